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
#include "backend.h"
#include "descriptor_link.h"
#include "eventfd_identity.h"
#include "export_list.h"
#include "kernel_eventfd.h"
#include "system_call.h"

namespace mshv {
namespace backend {
namespace {

OrError<int> Number(OrError<UniqueFd> fd) { return fd ? OrError<int>(fd->release()) : fd.error(); }

}  // namespace

Error Fault(const char*) { return Error(0); }

OrError<int> Open(const char* path) {
  return kernel::Try("open", [&] { return open(path, O_RDWR | O_CLOEXEC); });
}

Architecture ArchitectureOf(int) { return kOwnArchitecture; }

// What the kernel has in ms_hyperv.ext_features (ms_hyperv_init_platform).
bool FastInjection(int) {
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
    return false;
  }
  __cpuid(kFeatures, eax, ebx, ecx, edx);
  return (ecx & kInterruptInjection) != 0;
#else
  return false;
#endif
}

OrError<void> Close(int fd) {
  return kernel::Try("close", [&] { return close(fd); }).error();
}

OrError<int> Dup(int fd) { return Number(kernel::Dup(fd)); }

OrError<int> Ioctl(int fd, unsigned long request, void* argument) {
  // Not ioctl(), whose request is an int in musl.
  const long result = syscall(SYS_ioctl, fd, request, argument);
  return IoctlStep(static_cast<uint32_t>(request),
                   FromKernel(result < 0 ? -errno : static_cast<int>(result)));
}

OrError<Mapping> MapVpPage(int vp, uint32_t offset) {
  // Of any other file this could be memory that ends before the page does.
  if (!Identify(vp, Kind::kVp)) {
    return Error(-ENODEV);
  }
  constexpr size_t kPage = abi::MSHV_HV_PAGE_SIZE;
  return kernel::Map(kPage, MAP_SHARED, vp, offset * kPage);
}

OrError<void> Identify(int fd, Kind kind) {
  return kernel::CompareLink(
      fd, kind == Kind::kPartition ? "anon_inode:mshv_partition" : "anon_inode:mshv_vp");
}

OrError<int> EventFdCreate(uint32_t initial, bool semaphore) {
  return Number(Step("eventfd", kernel::EventFdCreate(initial, semaphore)));
}

OrError<int> EventFdAdopt(int fd) {
  if (const auto is = kernel::EventFdCheck(fd); !is) {
    return is.error();
  }
  const auto own = Dup(fd);
  if (own) {
    close(fd);
  }
  return own;
}

void EventFdCloseCopy(int fd, int copy) {
  if (IsSameEventFd(fd, copy)) {
    close(copy);
  }
}

OrError<void> EventFdWrite(int fd, uint64_t value, bool bounded) {
  return kernel::EventFdWrite(fd, value, bounded);
}

OrError<uint64_t> EventFdRead(int fd) { return Step("read", kernel::EventFdRead(fd)); }

OrError<bool> EventFdPoll(int fd) { return Step("poll", kernel::EventFdPoll(fd)); }

}  // namespace backend

void ExportBackend(Environment&, napi_value) {}

}  // namespace mshv
