#include "environment.h"

#include <uv.h>

#include "backend.h"
#include "buffer_detacher.h"
#include "event_loop.h"
#include "eventfd_identity.h"
#include "memory.h"
#include "poller.h"
#include "share_tokens.h"
#include "vp.h"

namespace mshv {

Environment* Environment::Attach(napi_env env) {
  uv_loop_t* loop = nullptr;
  if (napi_get_uv_event_loop(env, &loop) != napi_ok) {
    return nullptr;
  }
  std::unique_ptr<Environment> environment(new Environment(env, loop));
  // Asynchronous, because a libuv handle is only gone once its close callback has run.
  if (napi_add_async_cleanup_hook(env, CleanUp, environment.get(), nullptr) != napi_ok) {
    return nullptr;
  }
  return environment.release();  // CleanUp takes it back.
}

Environment::Environment(napi_env env, uv_loop_t* loop)
    : env_(env),
      detacher_(std::make_unique<BufferDetacher>(env)),
      closing_(std::make_unique<ClosingHandles>()),
      poller_(std::make_unique<Poller>(env, loop, *closing_)),
      memories_(std::make_unique<MemoryTable>(*detacher_)),
      vps_(std::make_unique<VpTable>(*detacher_, loop, *closing_)),
      tokens_(std::make_unique<ShareTokens>(env)) {}

Environment::~Environment() = default;

void Environment::Own(int fd) {
  const auto index = static_cast<size_t>(fd);
  if (index >= owned_.size()) {
    owned_.resize(index + 1);
  }
  if (owned_[index]) {
    // Whoever was told the number has closed it.
    std::erase_if(shown_, [fd](const auto& shown) { return shown.second == fd; });
  }
  owned_[index] = true;
}

OrError<int> Environment::Show(int fd) {
  if (const auto found = shown_.find(fd); found != shown_.end()) {
    if (Owns(found->second) && IsSameEventFd(fd, found->second)) {
      return found->second;
    }
    Hide(fd);
  }
  const auto copy = Own(backend::Dup(fd));
  if (copy) {
    shown_[fd] = *copy;
  }
  return copy;
}

void Environment::Hide(int fd) {
  const auto shown = shown_.extract(fd);
  if (shown && Owns(shown.mapped())) {
    Disown(shown.mapped());
    backend::EventFdCloseCopy(fd, shown.mapped());
  }
}

void Environment::CleanUp(napi_async_cleanup_hook_handle hook, void* data) {
  auto* environment = static_cast<Environment*>(data);
  // First, because a thread uses a descriptor, and a guest that runs uses memory.
  environment->vps_->Forget();
  environment->poller_->UnwatchAll();
  environment->memories_->Forget();
  environment->tokens_->Close();
  environment->closing_->WhenEmpty([environment, hook] {
    const std::unique_ptr<Environment> last(environment);
    while (!last->shown_.empty()) {
      last->Hide(last->shown_.begin()->first);
    }
    for (size_t fd = 0; fd < last->owned_.size(); ++fd) {
      if (last->owned_[fd]) {
        static_cast<void>(backend::Close(static_cast<int>(fd)));
      }
    }
    napi_remove_async_cleanup_hook(hook);
  });
}

}  // namespace mshv
