#include "abi/mshv.h"
#include "export.h"
#include "export_list.h"
#include "syscalls.h"

namespace mshv {
namespace {

int Initialize(Environment&, OwnedFd partition) {
  return sys::Ioctl(partition.number, abi::MSHV_INITIALIZE_PARTITION, nullptr);
}

int CreateVp(Environment& environment, OwnedFd partition, uint32_t index) {
  abi::mshv_create_vp argument{.vp_index = index};
  return environment.Own(sys::Ioctl(partition.number, abi::MSHV_CREATE_VP, &argument));
}

int IrqFd(Environment& environment, OwnedFd partition, OwnedFd event, int32_t resample_fd,
          uint32_t gsi, uint32_t flags) {
  constexpr uint32_t kResample = 1u << abi::MSHV_IRQFD_BIT_RESAMPLE;
  if ((flags & kResample) != 0 && !environment.Owns(resample_fd)) {
    return -EBADF;
  }
  abi::mshv_user_irqfd argument{
      .fd = event.number, .resamplefd = resample_fd, .gsi = gsi, .flags = flags};
  return sys::Ioctl(partition.number, abi::MSHV_IRQFD, &argument);
}

// The caller's array is the driver's argument, word for word: nothing is copied here.
int SetMsiRouting(Environment&, OwnedFd partition, std::span<uint32_t> table) {
  constexpr size_t kHeader = sizeof(abi::mshv_user_irq_table) / sizeof(uint32_t);
  constexpr size_t kEntry = sizeof(abi::mshv_user_irq_entry) / sizeof(uint32_t);
  if (table.size() < kHeader || (table.size() - kHeader) / kEntry < table[0]) {
    return -EINVAL;
  }
  return sys::Ioctl(partition.number, abi::MSHV_SET_MSI_ROUTING, table.data());
}

}  // namespace

void ExportPartition(Environment& environment, napi_value exports) {
  Export<Initialize>(environment, exports, "initializePartition");
  Export<CreateVp>(environment, exports, "createVp");
  Export<IrqFd>(environment, exports, "irqfd");
  Export<SetMsiRouting>(environment, exports, "setMsiRouting");
}

}  // namespace mshv
