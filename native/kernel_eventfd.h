// Real eventfds, for both implementations of the seam: the simulator simulates the driver, never
// the eventfd. Semantics and results are those of backend.h.
#ifndef MSHV_NATIVE_KERNEL_EVENTFD_H_
#define MSHV_NATIVE_KERNEL_EVENTFD_H_

#include <fcntl.h>
#include <linux/fs.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>

#include "bounded_call.h"
#include "descriptor_link.h"
#include "system_call.h"

namespace mshv::kernel {

inline OrError<UniqueFd> EventFdCreate(uint32_t initial, bool semaphore) {
  return UniqueFd::Of(
      eventfd(initial, EFD_CLOEXEC | EFD_NONBLOCK | (semaphore ? EFD_SEMAPHORE : 0)));
}

// Checks that `fd` is an eventfd: -EINVAL or -EBADF.
inline OrError<void> EventFdCheck(int fd) {
  const auto flags = Try("fcntl", [&] { return fcntl(fd, F_GETFD); });
  return flags ? CompareLink(fd, "anon_inode:[eventfd]") : flags.error();
}

// O_NONBLOCK belongs to the open file, so whoever shares it can clear it: a call that may meet that
// is bounded.
inline OrError<void> EventFdWrite(int fd, uint64_t value, bool bounded) {
  const auto call = [fd, &value]() -> OrError<void> {
    return Step("write", OrError<void>(Error(write(fd, &value, sizeof(value)) < 0 ? -errno : 0)));
  };
  return bounded ? CallBounded(call) : call();
}

// eventfd_signal(): what a driver does, which blocks nowhere. Returns nothing: where the counter
// has no room, its readers are told by what is there.
inline void EventFdSignal(int fd) { static_cast<void>(EventFdWrite(fd, 1, true)); }

// The events that there are, without waiting for any; -EBADF where `fd` is not open.
inline OrError<int> Poll(int fd, int16_t events) {
  pollfd request{.fd = fd, .events = events, .revents = 0};
  int ready = 0;
  do {
    ready = poll(&request, 1, 0);
    // It does not wait, but looks for signals all the same: a thread that runs a VP gets some.
  } while (ready < 0 && errno == EINTR);
  if (ready < 0) {
    return Error(-errno);
  }
  return FromKernel((request.revents & POLLNVAL) != 0 ? -EBADF : request.revents);
}

inline OrError<bool> EventFdPoll(int fd) {
  const auto events = Poll(fd, POLLIN);
  if (!events) {
    return events.error();
  }
  return (*events & POLLIN) != 0;
}

inline OrError<uint64_t> EventFdRead(int fd) {
  uint64_t value = 0;
  iovec bytes{.iov_base = &value, .iov_len = sizeof(value)};
  // Not preadv2(), which musl has from 1.2.5 on. The offset -1, in two halves, is that of read(2).
  if (syscall(SYS_preadv2, fd, &bytes, 1L, -1L, -1L, RWF_NOWAIT) >= 0) {
    return value;
  }
  if (errno == EAGAIN || errno == EBADF) {
    return Error(-errno);
  }
  // A kernel, or a filter of system calls, that does not know it. What is there now somebody else
  // may take before the read.
  const auto ready = EventFdPoll(fd);
  if (!ready || !*ready) {
    return ready ? Error(-EAGAIN) : ready.error();
  }
  return CallBounded([fd, &value]() -> OrError<uint64_t> {
    return read(fd, &value, sizeof(value)) < 0 ? OrError<uint64_t>(Error(-errno)) : value;
  });
}

}  // namespace mshv::kernel

#endif  // MSHV_NATIVE_KERNEL_EVENTFD_H_
