#include <fcntl.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cerrno>

#include "abi/mshv.h"
#include "descriptor_link.h"
#include "kernel_eventfd.h"
#include "syscalls.h"
#include "system_call.h"

namespace mshv {
namespace sys {

int Fault(const char*) { return 0; }

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

int MapVpPage(int vp, uint32_t offset, void** page) {
  // Of any other file this could be memory that ends before the page does.
  if (Identify(vp, Kind::kVp) < 0) {
    return -ENODEV;
  }
  constexpr size_t kPage = abi::MSHV_HV_PAGE_SIZE;
  return kernel::Map(nullptr, kPage, PROT_READ | PROT_WRITE, MAP_SHARED, vp, offset * kPage, page);
}

int Identify(int fd, Kind kind) {
  return kernel::CompareLink(
      fd, kind == Kind::kPartition ? "anon_inode:mshv_partition" : "anon_inode:mshv_vp");
}

int EventFdCreate(uint32_t initial, bool semaphore) {
  return kernel::EventFdCreate(initial, semaphore);
}
int EventFdAdopt(int fd) { return kernel::EventFdAdopt(fd); }
int EventFdWrite(int fd, uint64_t value) { return kernel::EventFdWrite(fd, value); }
int EventFdRead(int fd, uint64_t* value) { return kernel::EventFdRead(fd, value); }
int EventFdPoll(int fd) { return kernel::EventFdPoll(fd); }

}  // namespace sys
}  // namespace mshv
