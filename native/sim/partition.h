#ifndef MSHV_NATIVE_SIM_PARTITION_H_
#define MSHV_NATIVE_SIM_PARTITION_H_

#include <bitset>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <unordered_map>
#include <vector>

#include "../abi/mshv.h"
#include "../eventfd_identity.h"
#include "../ownership.h"
#include "doorbells.h"
#include "guest_memory.h"
#include "hypervisor.h"
#include "intercepts.h"
#include "properties.h"
#include "routing_table.h"
#include "virtual_processor.h"

namespace mshv::sim {

// One eventfd armed for one GSI. resample is open with the RESAMPLE flag only.
struct IrqFd {
  uint32_t gsi = 0;
  uint32_t flags = 0;
  UniqueFd resample;
};

// An interrupt that the guest got.
struct RecordedInterrupt {
  uint64_t sequence = 0;
  LapicInterrupt interrupt;
  // The VP that it went to. None where the destination is a logical one, or nobody's.
  std::optional<uint32_t> vp;
  // Came through the VP's register page, which carries the vector and nothing else.
  bool fast = false;
  uint64_t time = 0;
};

// How many of them wait for somebody to take them: 12 MiB.
inline constexpr size_t kMostInterrupts = size_t{1} << 18;

// Somebody outside who is told of every recorded interrupt.
struct Listener {
  EventFdId id = 0;
  UniqueFd fd;
};

// The driver's and the guest's state of one partition. Guarded by its host's lock.
struct Partition {
  Partition(uint64_t number, Architecture of, bool apics, Hypervisor& hypervisor)
      : id(number), architecture(of), has_apics(apics), memory(hypervisor) {}

  bool IsX64() const { return architecture == Architecture::kX64; }

  // What the driver makes of a GSI's route.
  LapicInterrupt Route(uint32_t gsi) const { return routes.Find(gsi).Decode(architecture); }

  // Null where there is none.
  VirtualProcessor* FindVp(uint32_t index) {
    const auto found = vps.find(index);
    return found == vps.end() ? nullptr : found->second.get();
  }

  // The one VP that a physical destination names. Null where there is none, or several.
  VirtualProcessor* FindByApicId(uint64_t id) {
    VirtualProcessor* found = nullptr;
    for (const auto& [index, vp] : vps) {
      if (vp->apic_id == id) {
        if (found != nullptr) {
          return nullptr;
        }
        found = vp.get();
      }
    }
    return found;
  }

  // GuestMemory::Access, with the pages of the VPs' SynICs in front.
  std::optional<MemoryFault> Access(uint64_t gpa, std::span<uint8_t> bytes, bool write) {
    std::vector<OverlayPage> overlays;
    for (const auto& [index, vp] : vps) {
      vp->synic.AppendOverlays(overlays);
    }
    return memory.Access(gpa, bytes, write, overlays);
  }

  const uint64_t id;
  const Architecture architecture;
  // The hypervisor has the VPs' local APICs: MSHV_PT_BIT_LAPIC.
  const bool has_apics;
  bool initialized = false;
  // A VP stays until the partition is gone, whatever happens to its descriptor.
  std::map<uint32_t, std::unique_ptr<VirtualProcessor>> vps;
  GuestMemory memory;
  Doorbells doorbells;
  Properties properties;
  Intercepts intercepts;
  RoutingTable routes;
  std::unordered_map<EventFdId, IrqFd> irqfds;

  // At most kMostInterrupts, the newest; how many older ones were dropped since they were last
  // taken.
  std::deque<RecordedInterrupt> interrupts;
  uint64_t interrupts_lost = 0;
  std::vector<Listener> listeners;
  // Per VP, the vectors whose last interrupt came fast and has had no EOI.
  std::map<uint32_t, std::bitset<256>> fast_in_service;
};

}  // namespace mshv::sim

#endif  // MSHV_NATIVE_SIM_PARTITION_H_
