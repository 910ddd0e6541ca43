#ifndef MSHV_NATIVE_SIM_ROUTING_TABLE_H_
#define MSHV_NATIVE_SIM_ROUTING_TABLE_H_

#include <cstdint>
#include <vector>

#include "../abi/mshv.h"
#include "../architecture.h"
#include "../or_error.h"

namespace mshv::sim {

// What the hypervisor is asked to assert. An MSI's vector and destination have 8 bits.
struct LapicInterrupt {
  uint32_t vector = 0;
  uint32_t type = 0;
  bool level = false;
  bool logical = false;
  uint64_t destination = 0;
};

// One slot of the driver's table. A hole has number 0 like an unrouted GSI 0, and that is what
// makes the driver take both for routed.
struct GuestIrq {
  uint32_t number = 0;
  uint32_t address_low = 0;
  uint32_t data = 0;
  bool valid = false;

  // mshv_copy_girq_info: all zero where not valid. On arm64 an MSI has no destination, no level and
  // no logical mode.
  LapicInterrupt Decode(Architecture architecture) const;
};

// A partition's MSI routes, as mshv_irq.c keeps them.
class RoutingTable {
 public:
  // MSHV_SET_MSI_ROUTING (mshv_update_routing_table). -EINVAL leaves the table as it was.
  OrError<void> Replace(const abi::mshv_user_irq_table& header,
                        const abi::mshv_user_irq_entry* entries);

  // mshv_ret_girq_entry.
  GuestIrq Find(uint32_t gsi) const;

  // Every slot from GSI 0 to the highest routed one.
  const std::vector<GuestIrq>& slots() const { return slots_; }

 private:
  std::vector<GuestIrq> slots_;
};

}  // namespace mshv::sim

#endif  // MSHV_NATIVE_SIM_ROUTING_TABLE_H_
