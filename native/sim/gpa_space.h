#ifndef MSHV_NATIVE_SIM_GPA_SPACE_H_
#define MSHV_NATIVE_SIM_GPA_SPACE_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <unordered_map>

namespace mshv::sim {

// What the hypervisor knows of one guest page: the access that is allowed (HV_MAP_GPA_*), and
// whether the guest has used it.
struct GpaPage {
  static constexpr uint8_t kAccessMask = 0x0f;
  static constexpr uint8_t kAccessed = 0x10;
  static constexpr uint8_t kDirty = 0x20;

  uint8_t bits = 0;

  uint8_t access() const { return bits & kAccessMask; }
};

// A partition's guest physical address space, as HvCallMapGpaPages and HvCallUnmapGpaPages leave
// it. A mapped page without access costs nothing, however many there are. Numbers wrap.
class GpaSpace {
 public:
  // Maps `count` pages. They count as unused, also where they were mapped already.
  void Map(uint64_t first, uint64_t count, uint32_t access);
  void Unmap(uint64_t first, uint64_t count);

  // Empty where the page is not mapped.
  std::optional<GpaPage> Find(uint64_t number) const;
  // Of a mapped page.
  void Set(uint64_t number, GpaPage page);

 private:
  static constexpr uint64_t kChunk = 512;
  using Chunk = std::array<uint8_t, kChunk>;

  // With last >= first.
  void Add(uint64_t first, uint64_t last);
  void Remove(uint64_t first, uint64_t last);
  void Fill(uint64_t first, uint64_t last, uint8_t bits);

  // What is mapped: the last page by the first one. They neither overlap nor touch.
  std::map<uint64_t, uint64_t> ranges_;
  // The pages with any bit set, and their neighbours.
  std::unordered_map<uint64_t, Chunk> chunks_;
};

}  // namespace mshv::sim

#endif  // MSHV_NATIVE_SIM_GPA_SPACE_H_
