#include "abi/mshv.h"
#include "backend.h"
#include "export.h"
#include "export_list.h"

namespace mshv {
namespace {

constexpr uint64_t kLongArgument = uint64_t{1} << abi::MSHV_PT_BIT_CPU_AND_XSAVE_FEATURES;

OrError<int> Open(Environment& environment, std::string path) {
  return environment.Own(backend::Open(path.c_str()));
}

OrError<int> CreatePartition(Environment& environment, OwnedFd device, uint64_t flags,
                             uint64_t isolation) {
  // The driver would read on behind the argument.
  if ((flags & kLongArgument) != 0) {
    return Error(-EINVAL);
  }
  abi::mshv_create_partition argument{};
  argument.pt_flags = flags;
  argument.pt_isolation = isolation;
  return environment.Own(backend::Ioctl(device.number, abi::MSHV_CREATE_PARTITION, &argument));
}

// The same ioctl number as v1: a flag tells the driver that the longer argument follows.
OrError<int> CreatePartitionV2(Environment& environment, OwnedFd device, uint64_t flags,
                               uint64_t isolation, uint64_t cpu_feature_bank0,
                               uint64_t cpu_feature_bank1, uint64_t disabled_xsave) {
  abi::mshv_create_partition_v2 argument{};
  argument.pt_flags = flags;
  argument.pt_isolation = isolation;
  argument.pt_num_cpu_fbanks = abi::MSHV_NUM_CPU_FEATURES_BANKS;
  argument.pt_cpu_fbanks[0] = cpu_feature_bank0;
  argument.pt_cpu_fbanks[1] = cpu_feature_bank1;
#if defined(__x86_64__)
  argument.pt_disabled_xsave = disabled_xsave;
#else
  // The driver refuses all but 0.
  argument.pt_rsvd2 = disabled_xsave;
#endif
  return environment.Own(backend::Ioctl(device.number, abi::MSHV_CREATE_PARTITION, &argument));
}

int ArchitectureOf(Environment&, OwnedFd fd) {
  return static_cast<int>(backend::ArchitectureOf(fd.number));
}

bool FastInjection(Environment&, OwnedFd device) { return backend::FastInjection(device.number); }

}  // namespace

void ExportDevice(Environment& environment, napi_value exports) {
  Export<Open>(environment, exports, "open");
  Export<ArchitectureOf>(environment, exports, "architecture");
  Export<FastInjection>(environment, exports, "fastInjection");
  Export<CreatePartition>(environment, exports, "createPartition");
  Export<CreatePartitionV2>(environment, exports, "createPartitionV2");
}

}  // namespace mshv
