#ifndef MSHV_NATIVE_EVENTFD_IDENTITY_H_
#define MSHV_NATIVE_EVENTFD_IDENTITY_H_

#include <cstdint>

#include "ownership.h"

namespace mshv {

// What the kernel calls one eventfd, however many descriptors it has. Unique while any is open.
using EventFdId = uint64_t;

struct EventFdIdentity {
  EventFdId id = 0;
  uint64_t count = 0;
  bool semaphore = false;
};

// Reads /proc/self/fdinfo, which takes nothing from the counter. -EBADF where `fd` is not open,
// -EINVAL where it is no eventfd.
OrError<EventFdIdentity> IdentifyEventFd(int fd);

// A descriptor of our own, whose number cannot come to mean another file meanwhile.
struct OwnEventFd {
  UniqueFd fd;
  EventFdIdentity identity;
};
OrError<OwnEventFd> AcquireEventFd(int fd);

// Whether two descriptors are of one eventfd. Where the kernel does not tell (without /proc) they
// are taken for it.
bool IsSameEventFd(int fd, int other);

}  // namespace mshv

#endif  // MSHV_NATIVE_EVENTFD_IDENTITY_H_
