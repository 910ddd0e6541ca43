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
OrError<void> CheckCreatePartition(const Host& host, const void* argument) {
  abi::mshv_create_partition v1;
  std::memcpy(&v1, argument, sizeof(v1));
  if ((v1.pt_flags & ~KnownFlags(host)) != 0 || v1.pt_isolation != abi::MSHV_PT_ISOLATION_NONE) {
    return Error(-EINVAL);
  }
  if ((v1.pt_flags & kV2) == 0) {
    return {};
  }
  abi::mshv_create_partition_v2 v2;
  std::memcpy(&v2, argument, sizeof(v2));
  if (v2.pt_num_cpu_fbanks != abi::MSHV_NUM_CPU_FEATURES_BANKS) {
    return Error(-EINVAL);
  }
  constexpr abi::mshv_create_partition_v2 kZero{};
  const bool reserved = std::memcmp(v2.pt_rsvd, kZero.pt_rsvd, sizeof(v2.pt_rsvd)) != 0 ||
                        std::memcmp(v2.pt_rsvd1, kZero.pt_rsvd1, sizeof(v2.pt_rsvd1)) != 0;
  // pt_disabled_xsave on x64, pt_rsvd2 on arm64.
  uint64_t last = 0;
  std::memcpy(&last, static_cast<const uint8_t*>(argument) + sizeof(v2) - sizeof(last),
              sizeof(last));
  const bool x64 = host.options().architecture == Architecture::kX64;
  return Error(reserved || (!x64 && last != 0) ? -EINVAL : 0);
}

}  // namespace

OrError<Opened> DeviceFile::Handle(uint32_t request, void* argument) {
  if (request == abi::MSHV_ROOT_HVCALL) {
    return NothingOpened(PassThrough(host(), nullptr, CallerFile::kDevice,
                                     static_cast<abi::mshv_root_hvcall*>(argument)));
  }
  if (request != abi::MSHV_CREATE_PARTITION) {
    return Error(-ENOTTY);
  }
  if (const auto fits = CheckCreatePartition(host(), argument); !fits) {
    return fits.error();
  }
  if (const auto made = AskWithDeposits(host(), abi::HVCALL_CREATE_PARTITION); !made) {
    return made.error();
  }
  OrError<UniqueFd> fd = NewDescriptor("mshv_partition");
  if (!fd) {
    return fd.error();
  }
  abi::mshv_create_partition given;
  std::memcpy(&given, argument, sizeof(given));
  const bool has_apics = (given.pt_flags & uint64_t{1} << abi::MSHV_PT_BIT_LAPIC) != 0;
  return Opened{*std::move(fd),
                std::make_shared<PartitionFile>(shared_host(), host().NewPartition(has_apics))};
}

}  // namespace mshv::sim
