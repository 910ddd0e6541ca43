#include "poller.h"

#include <cerrno>
#include <utility>

#include "backend.h"
#include "event_loop.h"
#include "export.h"
#include "export_list.h"
#include "system_call.h"

namespace mshv {

OrError<void> Poller::Watch(int fd, napi_value on_count) {
  if (watched_.contains(fd)) {
    return Error(-EEXIST);
  }
  auto watched = std::make_unique<Watched>();
  watched->poller = this;
  watched->fd = fd;
  watched->handle.data = watched.get();
  // libuv's error codes are negative errnos. A handle whose init failed is not a handle yet.
  if (const auto made = kernel::TryDirect(
          "uv_poll_init", [&] { return uv_poll_init(loop_, &watched->handle, fd); });
      !made) {
    return made;
  }
  if (napi_create_reference(env_, on_count, 1, &watched->on_count) != napi_ok) {
    Release(std::move(watched));
    return FailedAt("napi_create_reference", -EINVAL);
  }
  if (const auto started = kernel::TryDirect(
          "uv_poll_start",
          [&] { return uv_poll_start(&watched->handle, UV_READABLE, OnReadable); });
      !started) {
    Release(std::move(watched));
    return started;
  }
  watched_.emplace(fd, std::move(watched));
  return {};
}

OrError<void> Poller::Unwatch(int fd) {
  const auto found = watched_.find(fd);
  if (found == watched_.end()) {
    return Error(-ENOENT);
  }
  Release(std::move(found->second));
  watched_.erase(found);
  return {};
}

OrError<void> Poller::HoldLoop(int fd, bool hold) {
  const auto found = watched_.find(fd);
  if (found == watched_.end()) {
    return Error(-ENOENT);
  }
  auto* handle = reinterpret_cast<uv_handle_t*>(&found->second->handle);
  if (hold) {
    uv_ref(handle);
  } else {
    uv_unref(handle);
  }
  return {};
}

void Poller::UnwatchAll() {
  for (auto& [fd, watched] : watched_) {
    Release(std::move(watched));
  }
  watched_.clear();
}

void Poller::Release(std::unique_ptr<Watched> watched) {
  auto* handle = reinterpret_cast<uv_handle_t*>(&watched->handle);
  if (watched->on_count != nullptr) {
    napi_delete_reference(env_, std::exchange(watched->on_count, nullptr));
  }
  // Leaves the epoll set at once: the descriptor may be closed right after.
  closing_.Close(handle, std::move(watched));
}

void Poller::OnReadable(uv_poll_t* handle, int status, int) {
  auto& watched = *static_cast<Watched*>(handle->data);
  // A counter at 2^64-1, which only the kernel's own signals reach, is an error for poll, and libuv
  // has stopped the handle. Reading it ends that. libuv aborts the process for a number that is not
  // open: whoever closed that hears no more.
  if (status < 0 && backend::EventFdPoll(watched.fd)) {
    uv_poll_start(handle, UV_READABLE, OnReadable);
  }
  // Where a thousand descriptors are readable libuv polls again, up to 48 times, before timers have
  // their turn. What is left in the counter is there in the next turn, too.
  uv_metrics_t loop{};
  uv_metrics_info(handle->loop, &loop);
  if (watched.turn == loop.loop_count) {
    return;
  }
  watched.turn = loop.loop_count;
  const napi_env env = watched.poller->env_;
  CallFromLoop(env, watched.on_count, [env, fd = watched.fd]() -> napi_value {
    const auto count = backend::EventFdRead(fd);
    // An empty counter is no error: an irqfd or another reader was faster.
    return count ? ToResult(env, *count) : nullptr;
  });
}

namespace {

OrError<void> Watch(Environment& environment, OwnedFd fd, Callback on_count) {
  return environment.poller().Watch(fd.number, on_count.function);
}

OrError<void> Unwatch(Environment& environment, OwnedFd fd) {
  return environment.poller().Unwatch(fd.number);
}

OrError<void> HoldLoop(Environment& environment, OwnedFd fd, bool hold) {
  return environment.poller().HoldLoop(fd.number, hold);
}

}  // namespace

void ExportPoller(Environment& environment, napi_value exports) {
  Export<Watch>(environment, exports, "watch");
  Export<Unwatch>(environment, exports, "unwatch");
  Export<HoldLoop>(environment, exports, "holdLoop");
}

}  // namespace mshv
