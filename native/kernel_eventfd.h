// Real eventfds, for both implementations of the seam: the simulator simulates the driver, never
// the eventfd. Semantics and results are those of syscalls.h.
#ifndef MSHV_NATIVE_KERNEL_EVENTFD_H_
#define MSHV_NATIVE_KERNEL_EVENTFD_H_

#include <fcntl.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>

#include "descriptor_link.h"
#include "system_call.h"

namespace mshv::kernel {

inline int EventFdCreate(uint32_t initial, bool semaphore) {
  const int fd = eventfd(initial, EFD_CLOEXEC | EFD_NONBLOCK | (semaphore ? EFD_SEMAPHORE : 0));
  return fd < 0 ? -errno : fd;
}

inline int EventFdAdopt(int fd) {
  const int flags = Try("fcntl", [&] { return fcntl(fd, F_GETFL); });
  if (flags < 0) {
    return flags;
  }
  if (const int error = CompareLink(fd, "anon_inode:[eventfd]"); error < 0) {
    return error;
  }
  if (const int error = Try("fcntl", [&] { return fcntl(fd, F_SETFL, flags | O_NONBLOCK); });
      error < 0) {
    return error;
  }
  return Try("fcntl", [&] { return fcntl(fd, F_SETFD, FD_CLOEXEC); });
}

inline int EventFdWrite(int fd, uint64_t value) {
  return write(fd, &value, sizeof(value)) < 0 ? -errno : 0;
}

inline int EventFdRead(int fd, uint64_t* value) {
  return read(fd, value, sizeof(*value)) < 0 ? -errno : 0;
}

inline int EventFdPoll(int fd) {
  pollfd request{.fd = fd, .events = POLLIN, .revents = 0};
  int ready = 0;
  do {
    ready = poll(&request, 1, 0);
    // It does not wait, but looks for signals all the same: a thread that runs a VP gets some.
  } while (ready < 0 && errno == EINTR);
  return ready < 0 ? -errno : ready;
}

}  // namespace mshv::kernel

#endif  // MSHV_NATIVE_KERNEL_EVENTFD_H_
