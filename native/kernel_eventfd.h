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
#include <string>
#include <string_view>

namespace mshv::kernel {

inline int EventFdCreate(uint32_t initial, bool semaphore) {
  const int fd = eventfd(initial, EFD_CLOEXEC | EFD_NONBLOCK | (semaphore ? EFD_SEMAPHORE : 0));
  return fd < 0 ? -errno : fd;
}

inline int EventFdAdopt(int fd) {
  const int flags = fcntl(fd, F_GETFL);
  if (flags < 0) {
    return -errno;
  }
  constexpr std::string_view kKind = "anon_inode:[eventfd]";
  char kind[kKind.size() + 1];
  const ssize_t length =
      readlink(("/proc/self/fd/" + std::to_string(fd)).c_str(), kind, sizeof(kind));
  if (length < 0) {
    return -errno;
  }
  if (std::string_view(kind, static_cast<size_t>(length)) != kKind) {
    return -EINVAL;
  }
  const bool set =
      fcntl(fd, F_SETFL, flags | O_NONBLOCK) == 0 && fcntl(fd, F_SETFD, FD_CLOEXEC) == 0;
  return set ? 0 : -errno;
}

inline int EventFdWrite(int fd, uint64_t value) {
  return write(fd, &value, sizeof(value)) < 0 ? -errno : 0;
}

inline int EventFdRead(int fd, uint64_t* value) {
  return read(fd, value, sizeof(*value)) < 0 ? -errno : 0;
}

inline int EventFdPoll(int fd) {
  pollfd request{.fd = fd, .events = POLLIN, .revents = 0};
  const int ready = poll(&request, 1, 0);
  return ready < 0 ? -errno : ready;
}

}  // namespace mshv::kernel

#endif  // MSHV_NATIVE_KERNEL_EVENTFD_H_
