#include "guest_memory.h"

#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <iterator>
#include <optional>
#include <vector>

#include "../abi/hypercalls.h"
#include "reserved.h"
#include "user_memory.h"

namespace mshv::sim {
namespace {

constexpr uint64_t kPageSize = abi::MSHV_HV_PAGE_SIZE;
constexpr uint8_t kWritable = 1u << abi::MSHV_SET_MEM_BIT_WRITABLE;
constexpr uint8_t kExecutable = 1u << abi::MSHV_SET_MEM_BIT_EXECUTABLE;
constexpr uint8_t kUnmap = 1u << abi::MSHV_SET_MEM_BIT_UNMAP;

// Pages per hypercall: HV_MAP_GPA_BATCH_SIZE, HV_UMAP_GPA_PAGES and
// HV_GET_GPA_ACCESS_STATES_BATCH_SIZE.
constexpr uint64_t kMapBatch = 509;
constexpr uint64_t kUnmapBatch = 512;
constexpr uint64_t kStatesBatch = 4095;

// hv_gpa_page_access_state_flags, and hv_gpa_page_access_state.
constexpr uint64_t kClearAccessed = 1;
constexpr uint64_t kSetAccessed = 2;
constexpr uint64_t kClearDirty = 4;
constexpr uint64_t kSetDirty = 8;
constexpr uint8_t kAccessedState = 1;
constexpr uint8_t kDirtyState = 2;

uint32_t AccessOf(uint8_t flags) {
  return abi::HV_MAP_GPA_READABLE | ((flags & kWritable) != 0 ? abi::HV_MAP_GPA_WRITABLE : 0) |
         ((flags & kExecutable) != 0 ? abi::HV_MAP_GPA_EXECUTABLE : 0);
}

}  // namespace

OrError<void> GuestMemory::Set(const abi::mshv_user_mem_region& argument) {
  if (argument.size == 0 || argument.size % kPageSize != 0 ||
      argument.userspace_addr % kPageSize != 0 ||
      (argument.flags & ~abi::MSHV_SET_MEM_FLAGS_MASK) != 0 || AnySet(argument.rsvd)) {
    return Error(-EINVAL);
  }
  return (argument.flags & kUnmap) != 0 ? Unmap(argument) : Map(argument);
}

OrError<void> GuestMemory::Map(const abi::mshv_user_mem_region& argument) {
  const uint64_t pages = argument.size / kPageSize;
  // Only the first page is looked at.
  if (!InUserSpace(argument.userspace_addr, argument.size) || !IsMapped(argument.userspace_addr)) {
    return Error(-EINVAL);
  }
  for (const auto& [first, region] : regions_) {
    if (argument.guest_pfn + pages > first && first + region.pages > argument.guest_pfn) {
      return Error(-EEXIST);
    }
  }
  if (const auto mapped = MapPages(argument.guest_pfn, pages, 0); !mapped) {
    return mapped;
  }
  regions_[argument.guest_pfn] = {.first = argument.guest_pfn,
                                  .pages = pages,
                                  .address = argument.userspace_addr,
                                  .flags = argument.flags,
                                  .present = {}};
  return {};
}

OrError<void> GuestMemory::Unmap(const abi::mshv_user_mem_region& argument) {
  MemoryRegion* region = Find(argument.guest_pfn);
  if (region == nullptr) {
    return Error(-ENOENT);
  }
  if (region->address != argument.userspace_addr || region->first != argument.guest_pfn ||
      region->pages != argument.size / kPageSize) {
    return Error(-EINVAL);
  }
  // What was never paged in stays mapped without access.
  for (const uint64_t part : region->present) {
    const uint64_t offset = part * kFaultInPages;
    UnmapPages(region->first + offset, std::min(kFaultInPages, region->pages - offset));
  }
  regions_.erase(region->first);
  return {};
}

// hv_do_map_gpa_hcall.
OrError<void> GuestMemory::MapPages(uint64_t first, uint64_t count, uint32_t access) {
  for (uint64_t done = 0; done < count; done += std::min(kMapBatch, count - done)) {
    if (const auto mapped = AskWithDeposits(hypervisor_, abi::HVCALL_MAP_GPA_PAGES); !mapped) {
      UnmapPages(first, done);
      return mapped;
    }
    space_.Map(first + done, std::min(kMapBatch, count - done), access);
  }
  return {};
}

// hv_call_unmap_gpa_pages, whose result nobody looks at.
void GuestMemory::UnmapPages(uint64_t first, uint64_t count) {
  for (uint64_t done = 0; done < count; done += kUnmapBatch) {
    if (!Ask(hypervisor_, abi::HVCALL_UNMAP_GPA_PAGES)) {
      return;
    }
    space_.Unmap(first + done, std::min(kUnmapBatch, count - done));
  }
}

bool GuestMemory::PageIn(uint64_t page, uint32_t access) {
  MemoryRegion* region = Find(page);
  if (region == nullptr ||
      (access == abi::HV_INTERCEPT_ACCESS_WRITE && (region->flags & kWritable) == 0) ||
      (access == abi::HV_INTERCEPT_ACCESS_EXECUTE && (region->flags & kExecutable) == 0)) {
    return false;
  }
  const uint64_t part = (page - region->first) / kFaultInPages;
  const uint64_t offset = part * kFaultInPages;
  const uint64_t count = std::min(kFaultInPages, region->pages - offset);
  if (!FaultIn(region->address + offset * kPageSize, count * kPageSize)) {
    return false;
  }
  region->present.insert(part);
  return bool(MapPages(region->first + offset, count, AccessOf(region->flags)));
}

// mshv_partition_ioctl_get_gpap_access_bitmap.
OrError<void> GuestMemory::AccessBitmap(const abi::mshv_gpap_access_bitmap& argument) {
  if (argument.access_type >= abi::MSHV_GPAP_ACCESS_TYPE_COUNT ||
      argument.access_op >= abi::MSHV_GPAP_ACCESS_OP_COUNT || AnySet(argument.rsvd) ||
      argument.page_count == 0 || argument.bitmap_ptr == 0) {
    return Error(-EINVAL);
  }
  const bool dirty = argument.access_type == abi::MSHV_GPAP_ACCESS_TYPE_DIRTY;
  // NOOP is not told from SET; not accessed implies not dirty, and dirty implies accessed.
  const uint64_t flags = argument.access_op == abi::MSHV_GPAP_ACCESS_OP_CLEAR
                             ? (dirty ? 0 : kClearAccessed) | kClearDirty
                             : (dirty ? kSetDirty : 0) | kSetAccessed;
  const uint8_t mask = dirty ? kDirtyState : kAccessedState;
  // The driver gets a byte a page; where that is more than there is, it is -ENOMEM.
  constexpr uint64_t kMostPages = uint64_t{1} << 33;
  if (argument.page_count > kMostPages) {
    return Error(-ENOMEM);
  }
  std::vector<uint8_t> bitmap((argument.page_count + 7) / 8);
  const uint64_t count = static_cast<uint32_t>(argument.page_count);
  std::vector<uint8_t> states(std::min(count, kStatesBatch));
  for (uint64_t done = 0; done < count; done += kStatesBatch) {
    const std::span batch = std::span(states).first(std::min(kStatesBatch, count - done));
    const Refusal refusal = hypervisor_.Refuse(abi::HVCALL_GET_GPA_PAGES_ACCESS_STATES);
    const uint16_t status =
        refusal ? refusal.status : AccessStates(argument.gpap_base + done, flags, batch);
    if (status != abi::HV_STATUS_SUCCESS) {
      return FromStatus(status);
    }
    for (uint64_t i = 0; i < batch.size(); ++i) {
      if ((batch[i] & mask) != 0) {
        bitmap[(done + i) / 8] |= static_cast<uint8_t>(1u << (done + i) % 8);
      }
    }
  }
  return Error(CopyToUser(argument.bitmap_ptr, bitmap.data(), bitmap.size()) ? 0 : -EFAULT);
}

uint16_t GuestMemory::AccessStates(uint64_t first, uint64_t flags, std::span<uint8_t> states) {
  for (size_t i = 0; i < states.size(); ++i) {
    std::optional<GpaPage> page = space_.Find(first + i);
    if (!page) {
      return abi::HV_STATUS_INVALID_PARAMETER;
    }
    states[i] = static_cast<uint8_t>(((page->bits & GpaPage::kAccessed) != 0 ? kAccessedState : 0) |
                                     ((page->bits & GpaPage::kDirty) != 0 ? kDirtyState : 0));
    unsigned bits = page->bits;
    bits &= ~((flags & kClearAccessed) != 0 ? GpaPage::kAccessed : 0u);
    bits &= ~((flags & kClearDirty) != 0 ? GpaPage::kDirty : 0u);
    bits |= (flags & kSetAccessed) != 0 ? GpaPage::kAccessed : 0u;
    bits |= (flags & kSetDirty) != 0 ? GpaPage::kDirty : 0u;
    if (bits != page->bits) {
      space_.Set(first + i, {static_cast<uint8_t>(bits)});
    }
  }
  return abi::HV_STATUS_SUCCESS;
}

std::optional<MemoryFault> GuestMemory::Access(uint64_t gpa, std::span<uint8_t> bytes, bool write,
                                               std::span<const OverlayPage> overlays) {
  struct Part {
    uint64_t gpa;
    std::span<uint8_t> bytes;
    // Where it is: on an overlay page, or at an address of the VMM's.
    std::span<uint8_t> overlay;
    uint64_t address;
  };
  std::vector<Part> parts;
  for (size_t done = 0; done < bytes.size();) {
    const uint64_t at = gpa + done;
    const size_t size = std::min(bytes.size() - done, kPageSize - at % kPageSize);
    Part part{.gpa = at, .bytes = bytes.subspan(done, size), .overlay = {}, .address = 0};
    const auto overlay = std::ranges::find(overlays, at / kPageSize, &OverlayPage::page);
    if (overlay != overlays.end()) {
      part.overlay = overlay->bytes.subspan(at % kPageSize, size);
    } else if (const auto address = Translate(at, write); address) {
      part.address = *address;
    } else {
      return MemoryFault{address.error(), at};
    }
    parts.push_back(part);
    done += size;
  }
  const auto refuse = [this](const Part& part) {
    space_.Set(part.gpa / kPageSize, {});
    return MemoryFault{Error(-EACCES), part.gpa};
  };
  // Before anything is transferred: the host may have unmapped what it had mapped.
  if (parts.size() > 1) {
    for (const Part& part : parts) {
      uint8_t byte = 0;
      if (part.overlay.empty() && !CopyFromUser(&byte, part.address, 1)) {
        return refuse(part);
      }
    }
  }
  for (const Part& part : parts) {
    if (!part.overlay.empty()) {
      std::ranges::copy(write ? part.bytes : part.overlay,
                        (write ? part.overlay : part.bytes).begin());
      continue;
    }
    if (write ? !CopyToUser(part.address, part.bytes.data(), part.bytes.size())
              : !CopyFromUser(part.bytes.data(), part.address, part.bytes.size())) {
      return refuse(part);
    }
    const uint64_t page = part.gpa / kPageSize;
    const unsigned bits =
        space_.Find(page)->bits | GpaPage::kAccessed | (write ? GpaPage::kDirty : 0u);
    space_.Set(page, {static_cast<uint8_t>(bits)});
  }
  return std::nullopt;
}

OrError<uint64_t> GuestMemory::Translate(uint64_t gpa, bool write) {
  const uint64_t page = gpa / kPageSize;
  const std::optional<GpaPage> found = space_.Find(page);
  if (!found) {
    return Error(-ENXIO);
  }
  const MemoryRegion* region = Find(page);
  if (region == nullptr ||
      (found->access() & (write ? abi::HV_MAP_GPA_WRITABLE : abi::HV_MAP_GPA_READABLE)) == 0) {
    return Error(-EACCES);
  }
  return region->address + (page - region->first) * kPageSize + gpa % kPageSize;
}

MemoryRegion* GuestMemory::Find(uint64_t page) {
  const auto after = regions_.upper_bound(page);
  if (after == regions_.begin()) {
    return nullptr;
  }
  MemoryRegion& region = std::prev(after)->second;
  return page < region.first + region.pages ? &region : nullptr;
}

}  // namespace mshv::sim
