#include "poller.h"

#include <cerrno>
#include <utility>

#include "export.h"
#include "export_list.h"
#include "syscalls.h"

namespace mshv {

int Poller::Watch(int fd, napi_value on_count) {
  if (watched_.contains(fd)) {
    return -EEXIST;
  }
  auto watched = std::make_unique<Watched>();
  watched->poller = this;
  watched->fd = fd;
  watched->handle.data = watched.get();
  // libuv's error codes are negative errnos. A handle whose init failed is not a handle yet.
  if (const int error = uv_poll_init(loop_, &watched->handle, fd); error < 0) {
    return error;
  }
  if (napi_create_reference(env_, on_count, 1, &watched->on_count) != napi_ok) {
    Release(std::move(watched));
    return -EINVAL;
  }
  if (const int error = uv_poll_start(&watched->handle, UV_READABLE, OnReadable); error < 0) {
    Release(std::move(watched));
    return error;
  }
  watched_.emplace(fd, std::move(watched));
  return 0;
}

int Poller::Unwatch(int fd) {
  const auto found = watched_.find(fd);
  if (found == watched_.end()) {
    return -ENOENT;
  }
  Release(std::move(found->second));
  watched_.erase(found);
  return 0;
}

int Poller::HoldLoop(int fd, bool hold) {
  const auto found = watched_.find(fd);
  if (found == watched_.end()) {
    return -ENOENT;
  }
  auto* handle = reinterpret_cast<uv_handle_t*>(&found->second->handle);
  if (hold) {
    uv_ref(handle);
  } else {
    uv_unref(handle);
  }
  return 0;
}

void Poller::Close(std::function<void()> closed) {
  closed_ = std::move(closed);
  for (auto& [fd, watched] : watched_) {
    Release(std::move(watched));
  }
  watched_.clear();
  if (closing_.empty()) {
    // A copy, because it destroys this poller.
    const auto last = closed_;
    last();
  }
}

void Poller::Release(std::unique_ptr<Watched> watched) {
  auto* handle = reinterpret_cast<uv_handle_t*>(&watched->handle);
  if (watched->on_count != nullptr) {
    napi_delete_reference(env_, std::exchange(watched->on_count, nullptr));
  }
  closing_.emplace(handle, std::move(watched));
  // Leaves the epoll set at once: the descriptor may be closed right after.
  uv_close(handle, OnClosed);
}

void Poller::OnClosed(uv_handle_t* handle) {
  Poller* poller = static_cast<Watched*>(handle->data)->poller;
  poller->closing_.erase(handle);
  if (poller->closing_.empty() && poller->closed_) {
    const auto last = poller->closed_;
    last();
  }
}

void Poller::OnReadable(uv_poll_t* handle, int, int) {
  const auto& watched = *static_cast<const Watched*>(handle->data);
  uint64_t count = 0;
  // An empty counter is no error: an irqfd or another reader was faster.
  if (sys::EventFdRead(watched.fd, &count) == 0) {
    watched.poller->Call(watched.on_count, count);
  }
}

void Poller::Call(napi_ref on_count, uint64_t count) {
  napi_handle_scope scope = nullptr;
  if (napi_open_handle_scope(env_, &scope) != napi_ok) {
    return;
  }
  napi_value function = nullptr;
  napi_value receiver = nullptr;
  napi_value argument = nullptr;
  // The receiver must be an object: with undefined the call fails without an exception.
  if (napi_get_reference_value(env_, on_count, &function) == napi_ok && function != nullptr &&
      napi_get_global(env_, &receiver) == napi_ok &&
      napi_create_bigint_uint64(env_, count, &argument) == napi_ok &&
      napi_make_callback(env_, nullptr, receiver, function, 1, &argument, nullptr) ==
          napi_pending_exception) {
    napi_value error = nullptr;
    if (napi_get_and_clear_last_exception(env_, &error) == napi_ok && error != nullptr) {
      napi_fatal_exception(env_, error);
    }
  }
  napi_close_handle_scope(env_, scope);
}

namespace {

int Watch(Environment& environment, OwnedFd fd, Callback on_count) {
  return environment.poller().Watch(fd.number, on_count.function);
}

int Unwatch(Environment& environment, OwnedFd fd) {
  return environment.poller().Unwatch(fd.number);
}

int HoldLoop(Environment& environment, OwnedFd fd, bool hold) {
  return environment.poller().HoldLoop(fd.number, hold);
}

}  // namespace

void ExportPoller(Environment& environment, napi_value exports) {
  Export<Watch>(environment, exports, "watch");
  Export<Unwatch>(environment, exports, "unwatch");
  Export<HoldLoop>(environment, exports, "holdLoop");
}

}  // namespace mshv
