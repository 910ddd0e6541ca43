#include <fcntl.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <cerrno>

#include "export_list.h"
#include "kernel_eventfd.h"
#include "syscalls.h"

namespace mshv {

namespace sys {

int Open(const char* path) {
  const int fd = open(path, O_RDWR | O_CLOEXEC);
  return fd < 0 ? -errno : fd;
}

int Close(int fd) { return close(fd) < 0 ? -errno : 0; }

int Dup(int fd) {
  const int copy = fcntl(fd, F_DUPFD_CLOEXEC, 0);
  return copy < 0 ? -errno : copy;
}

int Ioctl(int fd, unsigned long request, void* argument) {
  const int result = ioctl(fd, request, argument);
  return result < 0 ? -errno : result;
}

int EventFdCreate(uint32_t initial, bool semaphore) {
  return kernel::EventFdCreate(initial, semaphore);
}
int EventFdAdopt(int fd) { return kernel::EventFdAdopt(fd); }
int EventFdWrite(int fd, uint64_t value) { return kernel::EventFdWrite(fd, value); }
int EventFdRead(int fd, uint64_t* value) { return kernel::EventFdRead(fd, value); }
int EventFdPoll(int fd) { return kernel::EventFdPoll(fd); }

}  // namespace sys

void ExportBackend(Environment&, napi_value) {}

}  // namespace mshv
