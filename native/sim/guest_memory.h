#ifndef MSHV_NATIVE_SIM_GUEST_MEMORY_H_
#define MSHV_NATIVE_SIM_GUEST_MEMORY_H_

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <span>

#include "../abi/mshv.h"
#include "gpa_space.h"
#include "hypervisor.h"

namespace mshv::sim {

// One mapping of the driver's (mshv_mem_region): movable memory.
struct MemoryRegion {
  uint64_t first = 0;
  uint64_t pages = 0;
  uint64_t address = 0;
  uint8_t flags = 0;
  // The parts of kFaultInPages that were paged in, counted from the start of the region.
  std::set<uint64_t> present;
};

// What the hypervisor has put in front of one page of the guest's, mapped or not.
struct OverlayPage {
  uint64_t page = 0;
  std::span<uint8_t> bytes;
};

// Why a guest's access cannot be made: -ENXIO where no memory is mapped, -EACCES where it may not
// (yet).
struct MemoryFault {
  Error error;
  // The first address that it cannot access.
  uint64_t gpa = 0;
};

// What a partition's guest has for memory, as mshv_root_main.c and mshv_regions.c keep it. All
// functions need the host's lock.
class GuestMemory {
 public:
  // How many pages the driver faults in at a time.
  static constexpr uint64_t kFaultInPages = 512;

  explicit GuestMemory(Hypervisor& hypervisor) : hypervisor_(hypervisor) {}

  // MSHV_SET_GUEST_MEMORY.
  OrError<void> Set(const abi::mshv_user_mem_region& argument);

  // mshv_handle_gpa_intercept: whether the access may go on. `access` is HV_INTERCEPT_ACCESS_*.
  bool PageIn(uint64_t page, uint32_t access);

  // MSHV_GET_GPAP_ACCESS_BITMAP.
  OrError<void> AccessBitmap(const abi::mshv_gpap_access_bitmap& argument);

  // HvCallGetGpaPagesAccessStates for states.size() pages: the status. Pages before the one that is
  // not mapped have changed then.
  uint16_t AccessStates(uint64_t first, uint64_t flags, std::span<uint8_t> states);

  // The guest's own access. Where it faults nothing is transferred.
  std::optional<MemoryFault> Access(uint64_t gpa, std::span<uint8_t> bytes, bool write,
                                    std::span<const OverlayPage> overlays);

  const GpaSpace& space() const { return space_; }
  // By their first page.
  const std::map<uint64_t, MemoryRegion>& regions() const { return regions_; }

 private:
  OrError<void> Map(const abi::mshv_user_mem_region& argument);
  OrError<void> Unmap(const abi::mshv_user_mem_region& argument);
  OrError<void> MapPages(uint64_t first, uint64_t count, uint32_t access);
  void UnmapPages(uint64_t first, uint64_t count);
  MemoryRegion* Find(uint64_t page);
  // The VMM's address, or why the guest may not access the page.
  OrError<uint64_t> Translate(uint64_t gpa, bool write);

  Hypervisor& hypervisor_;
  GpaSpace space_;
  std::map<uint64_t, MemoryRegion> regions_;
};

}  // namespace mshv::sim

#endif  // MSHV_NATIVE_SIM_GUEST_MEMORY_H_
