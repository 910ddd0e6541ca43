#if defined(__x86_64__)
#include <cpuid.h>
#endif
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdint>
#include <cstring>

#include "abi/mshv.h"
#include "descriptor_link.h"
#include "eventfd_identity.h"
#include "kernel_eventfd.h"
#include "syscalls.h"
#include "system_call.h"

namespace mshv {
namespace sys {

int Fault(const char*) { return 0; }

int Open(const char* path) {
  return kernel::Try("open", [&] { return open(path, O_RDWR | O_CLOEXEC); });
}

// What the kernel has in ms_hyperv.ext_features (ms_hyperv_init_platform).
int FastInjection(int) {
#if defined(__x86_64__)
  constexpr uint32_t kVendor = 0x40000000;
  constexpr uint32_t kFeatures = 0x40000003;
  constexpr uint32_t kInterruptInjection = 1 << 9;
  constexpr char kHyperV[] = "Microsoft Hv";
  uint32_t eax = 0;
  uint32_t ebx = 0;
  uint32_t ecx = 0;
  uint32_t edx = 0;
  // Without a hypervisor the leaf is that of the highest basic one.
  __cpuid(kVendor, eax, ebx, ecx, edx);
  const std::array<uint32_t, 3> vendor{ebx, ecx, edx};
  if (eax < kFeatures || std::memcmp(vendor.data(), kHyperV, sizeof(vendor)) != 0) {
    return 0;
  }
  __cpuid(kFeatures, eax, ebx, ecx, edx);
  return (ecx & kInterruptInjection) != 0 ? 1 : 0;
#else
  return 0;
#endif
}

int Close(int fd) {
  return kernel::Try("close", [&] { return close(fd); });
}

int Dup(int fd) {
  return kernel::Try("fcntl", [&] { return fcntl(fd, F_DUPFD_CLOEXEC, 0); });
}

int Ioctl(int fd, unsigned long request, void* argument) {
  // Not ioctl(), whose request is an int in musl.
  const long result = syscall(SYS_ioctl, fd, request, argument);
  return IoctlStep(static_cast<uint32_t>(request), result < 0 ? -errno : static_cast<int>(result));
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
  return Step("eventfd", kernel::EventFdCreate(initial, semaphore));
}
int EventFdAdopt(int fd) {
  if (const int error = kernel::EventFdCheck(fd); error < 0) {
    return error;
  }
  const int own = Dup(fd);
  if (own >= 0) {
    Close(fd);
  }
  return own;
}
void EventFdCloseCopy(int fd, int copy) {
  if (IsSameEventFd(fd, copy)) {
    Close(copy);
  }
}
int EventFdWrite(int fd, uint64_t value, bool bounded) {
  return kernel::EventFdWrite(fd, value, bounded);
}
int EventFdRead(int fd, uint64_t* value) { return Step("read", kernel::EventFdRead(fd, value)); }
int EventFdPoll(int fd) { return Step("poll", kernel::EventFdPoll(fd)); }

}  // namespace sys
}  // namespace mshv
