// Real eventfds, for both implementations of the seam: the simulator simulates the driver, never
// the eventfd. Semantics and results are those of syscalls.h.
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

inline int EventFdCreate(uint32_t initial, bool semaphore) {
  const int fd = eventfd(initial, EFD_CLOEXEC | EFD_NONBLOCK | (semaphore ? EFD_SEMAPHORE : 0));
  return fd < 0 ? -errno : fd;
}

// Whether `fd` is an eventfd: 0, -EINVAL or -EBADF.
inline int EventFdCheck(int fd) {
  const int flags = Try("fcntl", [&] { return fcntl(fd, F_GETFD); });
  return flags < 0 ? flags : CompareLink(fd, "anon_inode:[eventfd]");
}

// O_NONBLOCK belongs to the open file, so whoever shares it can clear it: a call that may meet that
// is bounded.
inline int EventFdWrite(int fd, uint64_t value, bool bounded) {
  const auto call = [fd, &value] {
    return Step("write", write(fd, &value, sizeof(value)) < 0 ? -errno : 0);
  };
  return bounded ? CallBounded(call) : call();
}

// eventfd_signal(): what a driver does, which blocks nowhere. Returns nothing: where the counter
// has no room, its readers are told by what is there.
inline void EventFdSignal(int fd) { EventFdWrite(fd, 1, true); }

// The events that there are, without waiting for any; -EBADF where `fd` is not open.
inline int Poll(int fd, int16_t events) {
  pollfd request{.fd = fd, .events = events, .revents = 0};
  int ready = 0;
  do {
    ready = poll(&request, 1, 0);
    // It does not wait, but looks for signals all the same: a thread that runs a VP gets some.
  } while (ready < 0 && errno == EINTR);
  if (ready < 0) {
    return -errno;
  }
  return (request.revents & POLLNVAL) != 0 ? -EBADF : request.revents;
}

inline int EventFdPoll(int fd) {
  const int events = Poll(fd, POLLIN);
  return events < 0 ? events : (events & POLLIN) != 0 ? 1 : 0;
}

inline int EventFdRead(int fd, uint64_t* value) {
  iovec bytes{.iov_base = value, .iov_len = sizeof(*value)};
  // Not preadv2(), which musl has from 1.2.5 on. The offset -1, in two halves, is that of read(2).
  if (syscall(SYS_preadv2, fd, &bytes, 1L, -1L, -1L, RWF_NOWAIT) >= 0) {
    return 0;
  }
  if (errno == EAGAIN || errno == EBADF) {
    return -errno;
  }
  // A kernel, or a filter of system calls, that does not know it. What is there now somebody else
  // may take before the read.
  const int ready = EventFdPoll(fd);
  if (ready <= 0) {
    return ready < 0 ? ready : -EAGAIN;
  }
  return CallBounded([&] { return read(fd, value, sizeof(*value)) < 0 ? -errno : 0; });
}

}  // namespace mshv::kernel

#endif  // MSHV_NATIVE_KERNEL_EVENTFD_H_
