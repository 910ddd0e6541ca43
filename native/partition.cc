#include "abi/mshv.h"
#include "backend.h"
#include "export.h"
#include "export_list.h"
#include "memory.h"

namespace mshv {
namespace {

OrError<int> Initialize(Environment&, OwnedFd partition) {
  return backend::Ioctl(partition.number, abi::MSHV_INITIALIZE_PARTITION, nullptr);
}

OrError<int> CreateVp(Environment& environment, OwnedFd partition, uint32_t index) {
  abi::mshv_create_vp argument{.vp_index = index};
  return environment.Own(backend::Ioctl(partition.number, abi::MSHV_CREATE_VP, &argument));
}

OrError<int> IrqFd(Environment& environment, OwnedFd partition, OwnedFd event, int32_t resample_fd,
                   uint32_t gsi, uint32_t flags) {
  constexpr uint32_t kResample = 1u << abi::MSHV_IRQFD_BIT_RESAMPLE;
  if ((flags & kResample) != 0 && !environment.Owns(resample_fd)) {
    return Error(-EBADF);
  }
  abi::mshv_user_irqfd argument{
      .fd = event.number, .resamplefd = resample_fd, .gsi = gsi, .flags = flags};
  return backend::Ioctl(partition.number, abi::MSHV_IRQFD, &argument);
}

// The caller's array is the driver's argument, word for word: nothing is copied here.
OrError<int> SetMsiRouting(Environment&, OwnedFd partition, std::span<uint32_t> table) {
  constexpr size_t kHeader = sizeof(abi::mshv_user_irq_table) / sizeof(uint32_t);
  constexpr size_t kEntry = sizeof(abi::mshv_user_irq_entry) / sizeof(uint32_t);
  if (table.size() < kHeader || (table.size() - kHeader) / kEntry < table[0]) {
    return Error(-EINVAL);
  }
  return backend::Ioctl(partition.number, abi::MSHV_SET_MSI_ROUTING, table.data());
}

OrError<int> IoEventFd(Environment&, OwnedFd partition, OwnedFd event, uint64_t address,
                       uint32_t size, uint64_t match, uint32_t flags) {
  abi::mshv_user_ioeventfd argument{};
  argument.datamatch = match;
  argument.addr = address;
  argument.len = size;
  argument.fd = event.number;
  argument.flags = flags;
  return backend::Ioctl(partition.number, abi::MSHV_IOEVENTFD, &argument);
}

OrError<int> MapMemory(Environment&, OwnedFd partition, OwnedMemory memory, uint64_t offset,
                       uint64_t size, uint64_t gpa, uint32_t flags) {
  constexpr uint64_t kPage = abi::MSHV_HV_PAGE_SIZE;
  const void* const start = memory->At(offset, size);
  // The driver is told a page number, and does not see where pages come after the last one.
  const bool wraps = size != 0 && size - 1 > UINT64_MAX - gpa;
  if (start == nullptr || gpa % kPage != 0 || wraps || flags > UINT8_MAX) {
    return Error(-EINVAL);
  }
  abi::mshv_user_mem_region argument{};
  argument.size = size;
  argument.guest_pfn = gpa / kPage;
  argument.userspace_addr = reinterpret_cast<uintptr_t>(start);
  argument.flags = static_cast<uint8_t>(flags);
  return backend::Ioctl(partition.number, abi::MSHV_SET_GUEST_MEMORY, &argument);
}

OrError<int> AccessBitmap(Environment&, OwnedFd partition, uint32_t type, uint32_t operation,
                          uint64_t first_page, uint32_t pages, std::span<uint64_t> bitmap) {
  constexpr uint64_t kBits = 64;
  if (type > UINT8_MAX || operation > UINT8_MAX || bitmap.size() < (pages + kBits - 1) / kBits) {
    return Error(-EINVAL);
  }
  abi::mshv_gpap_access_bitmap argument{};
  argument.access_type = static_cast<uint8_t>(type);
  argument.access_op = static_cast<uint8_t>(operation);
  argument.page_count = pages;
  argument.gpap_base = first_page;
  argument.bitmap_ptr = reinterpret_cast<uintptr_t>(bitmap.data());
  return backend::Ioctl(partition.number, abi::MSHV_GET_GPAP_ACCESS_BITMAP, &argument);
}

}  // namespace

void ExportPartition(Environment& environment, napi_value exports) {
  Export<Initialize>(environment, exports, "initializePartition");
  Export<CreateVp>(environment, exports, "createVp");
  Export<IrqFd>(environment, exports, "irqfd");
  Export<SetMsiRouting>(environment, exports, "setMsiRouting");
  Export<IoEventFd>(environment, exports, "ioeventfd");
  Export<MapMemory>(environment, exports, "mapMemory");
  Export<AccessBitmap>(environment, exports, "accessBitmap");
}

}  // namespace mshv
