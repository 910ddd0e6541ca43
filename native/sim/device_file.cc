#include <cerrno>
#include <cstring>

#include "../abi/hypercalls.h"
#include "../abi/mshv.h"
#include "file.h"
#include "hypercalls.h"

namespace mshv::sim {
namespace {

constexpr uint64_t kV2 = uint64_t{1} << abi::MSHV_PT_BIT_CPU_AND_XSAVE_FEATURES;

// Drivers before the feature flag knew the flags below it.
uint64_t KnownFlags(const Host& host) {
  return host.options().v1_only ? kV2 - 1 : abi::MSHV_PT_FLAGS_MASK;
}

// mshv_ioctl_process_pt_flags.
int CheckCreatePartition(const Host& host, const void* argument) {
  abi::mshv_create_partition v1;
  std::memcpy(&v1, argument, sizeof(v1));
  if ((v1.pt_flags & ~KnownFlags(host)) != 0 || v1.pt_isolation != abi::MSHV_PT_ISOLATION_NONE) {
    return -EINVAL;
  }
  if ((v1.pt_flags & kV2) == 0) {
    return 0;
  }
  abi::mshv_create_partition_v2 v2;
  std::memcpy(&v2, argument, sizeof(v2));
  if (v2.pt_num_cpu_fbanks != abi::MSHV_NUM_CPU_FEATURES_BANKS) {
    return -EINVAL;
  }
  constexpr abi::mshv_create_partition_v2 kZero{};
  const bool reserved = std::memcmp(v2.pt_rsvd, kZero.pt_rsvd, sizeof(v2.pt_rsvd)) != 0 ||
                        std::memcmp(v2.pt_rsvd1, kZero.pt_rsvd1, sizeof(v2.pt_rsvd1)) != 0;
#if defined(__x86_64__)
  return reserved ? -EINVAL : 0;
#else
  return reserved || v2.pt_rsvd2 != 0 ? -EINVAL : 0;
#endif
}

}  // namespace

int DeviceFile::Handle(uint32_t request, void* argument, Opened* opened) {
  if (request == abi::MSHV_ROOT_HVCALL) {
    return PassThrough(host(), nullptr, CallerFile::kDevice,
                       static_cast<abi::mshv_root_hvcall*>(argument));
  }
  if (request != abi::MSHV_CREATE_PARTITION) {
    return -ENOTTY;
  }
  if (const int error = CheckCreatePartition(host(), argument); error < 0) {
    return error;
  }
  if (const int error = AskWithDeposits(host(), abi::HVCALL_CREATE_PARTITION); error < 0) {
    return error;
  }
  opened->fd = NewDescriptor("mshv_partition");
  if (!opened->fd) {
    return opened->fd.get();
  }
  abi::mshv_create_partition given;
  std::memcpy(&given, argument, sizeof(given));
  const bool has_apics = (given.pt_flags & uint64_t{1} << abi::MSHV_PT_BIT_LAPIC) != 0;
  opened->file = std::make_shared<PartitionFile>(shared_host(), host().NewPartition(has_apics));
  return 0;
}

}  // namespace mshv::sim
