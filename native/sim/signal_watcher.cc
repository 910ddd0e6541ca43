#include "signal_watcher.h"

#include <poll.h>
#include <sys/eventfd.h>

#include <cerrno>
#include <iterator>
#include <utility>

#include "../kernel_eventfd.h"
#include "../thread_start.h"

namespace mshv::sim {

OrError<void> SignalWatcher::Watch(EventFdId id, int fd) {
  if (!epoll_) {
    if (const auto started = Start(); !started) {
      return started;
    }
  }
  epoll_event event{.events = EPOLLIN | EPOLLET, .data = {.u64 = id}};
  if (epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, fd, &event) < 0) {
    return Error(-errno);
  }
  ++watched_;
  return {};
}

void SignalWatcher::Unwatch(int fd) {
  epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, fd, nullptr);
  --watched_;
}

std::span<const EventFdId> SignalWatcher::Take() {
  taken_.clear();
  if (watched_ == 0) {
    return taken_;
  }
  // epoll_wait without a time-out looks at the ready list without its lock, so while the thread
  // polls it may wrongly find nothing. poll(2) takes the lock, so its answer decides.
  const auto ready = [this] {
    const auto polled = kernel::EventFdPoll(epoll_.get());
    return polled && *polled;
  };
  while (taken_.empty() && ready()) {
    // Room for all, so that one call is enough: a second one could go on forever in a storm of
    // writes.
    events_.resize(static_cast<size_t>(watched_));
    const int count = epoll_wait(epoll_.get(), events_.data(), watched_, 0);
    for (int i = 0; i < count; ++i) {
      // Copied first: the kernel's struct is packed, and nothing may refer to what is in it.
      const EventFdId id = events_[static_cast<size_t>(i)].data.u64;
      taken_.push_back(id);
    }
  }
  return taken_;
}

void SignalWatcher::Stop() {
  if (!epoll_) {
    return;
  }
  static_cast<void>(kernel::EventFdWrite(stop_.get(), 1, false));
  pthread_join(thread_, nullptr);
  epoll_.reset();
  stop_.reset();
}

OrError<void> SignalWatcher::Start() {
  OrError<UniqueFd> epoll = UniqueFd::Of(epoll_create1(EPOLL_CLOEXEC));
  if (!epoll) {
    return epoll.error();
  }
  OrError<UniqueFd> stop = kernel::EventFdCreate(0, false);
  if (!stop) {
    return stop.error();
  }
  epoll_ = *std::move(epoll);
  stop_ = *std::move(stop);
  const int error = CreateThread(&thread_, false, Run, this);
  if (error != 0) {
    epoll_.reset();
    stop_.reset();
    return Error(-error);
  }
  pthread_setname_np(thread_, "mshv-sim");
  return {};
}

void* SignalWatcher::Run(void* self) {
  const auto& watcher = *static_cast<const SignalWatcher*>(self);
  // Only waits: events are taken under the caller's lock, or a caller could miss one in flight.
  pollfd wait[] = {{.fd = watcher.epoll_.get(), .events = POLLIN, .revents = 0},
                   {.fd = watcher.stop_.get(), .events = POLLIN, .revents = 0}};
  while (true) {
    if (poll(wait, std::size(wait), -1) < 0 && errno != EINTR) {
      return nullptr;
    }
    if (wait[1].revents != 0) {
      return nullptr;
    }
    watcher.on_signal_();
  }
}

}  // namespace mshv::sim
