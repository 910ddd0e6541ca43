#include "environment.h"

#include <memory>

#include "eventfd_identity.h"
#include "syscalls.h"

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

int Environment::Own(int fd_or_error) {
  if (fd_or_error >= 0) {
    const auto fd = static_cast<size_t>(fd_or_error);
    if (fd >= owned_.size()) {
      owned_.resize(fd + 1);
    }
    if (owned_[fd]) {
      // Whoever was told the number has closed it.
      std::erase_if(shown_, [&](const auto& shown) { return shown.second == fd_or_error; });
    }
    owned_[fd] = true;
  }
  return fd_or_error;
}

int Environment::Show(int fd) {
  if (const auto found = shown_.find(fd); found != shown_.end()) {
    if (Owns(found->second) && IsSameEventFd(fd, found->second)) {
      return found->second;
    }
    Hide(fd);
  }
  const int copy = Own(sys::Dup(fd));
  if (copy >= 0) {
    shown_[fd] = copy;
  }
  return copy;
}

void Environment::Hide(int fd) {
  const auto shown = shown_.extract(fd);
  if (shown && Owns(shown.mapped())) {
    Disown(shown.mapped());
    sys::EventFdCloseCopy(fd, shown.mapped());
  }
}

void Environment::CleanUp(napi_async_cleanup_hook_handle hook, void* data) {
  auto* environment = static_cast<Environment*>(data);
  // First, because a thread uses a descriptor, and a guest that runs uses memory.
  environment->vps_.Forget();
  environment->poller_.UnwatchAll();
  environment->memories_.Forget();
  environment->tokens_.Close();
  environment->closing_.WhenEmpty([environment, hook] {
    const std::unique_ptr<Environment> last(environment);
    while (!last->shown_.empty()) {
      last->Hide(last->shown_.begin()->first);
    }
    for (size_t fd = 0; fd < last->owned_.size(); ++fd) {
      if (last->owned_[fd]) {
        sys::Close(static_cast<int>(fd));
      }
    }
    napi_remove_async_cleanup_hook(hook);
  });
}

}  // namespace mshv
