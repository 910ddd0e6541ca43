#include "routing_table.h"

#include <algorithm>
#include <cerrno>
#include <utility>

#include "../abi/hv.h"

namespace mshv::sim {

LapicInterrupt GuestIrq::Decode(Architecture architecture) const {
  LapicInterrupt interrupt;
  if (!valid) {
    return interrupt;
  }
  using Address = abi::hv_msi_address_register;
  using Data = abi::hv_msi_data_register;
  interrupt.vector = Data::vector.Of(data);
  interrupt.type = Data::delivery_mode.Of(data);
  if (architecture == Architecture::kX64) {
    interrupt.level = Data::trigger_mode.Of(data) != 0;
    interrupt.logical = Address::destination_mode.Of(address_low) != 0;
    interrupt.destination = Address::destination_id.Of(address_low);
  }
  return interrupt;
}

OrError<void> RoutingTable::Replace(const abi::mshv_user_irq_table& header,
                                    const abi::mshv_user_irq_entry* entries) {
  if (header.nr > abi::MSHV_MAX_GUEST_IRQS || header.rsvd != 0) {
    return Error(-EINVAL);
  }
  // The caller's memory may change while it is looked at.
  const std::vector<abi::mshv_user_irq_entry> copied(entries, entries + header.nr);
  uint32_t length = 0;
  for (const auto& entry : copied) {
    if (entry.gsi >= abi::MSHV_MAX_GUEST_IRQS || entry.address_hi != 0) {
      return Error(-EINVAL);
    }
    length = std::max(length, entry.gsi + 1);
  }
  std::vector<GuestIrq> slots(length);
  for (const auto& entry : copied) {
    GuestIrq& slot = slots[entry.gsi];
    if (slot.valid) {
      return Error(-EINVAL);
    }
    slot = {entry.gsi, entry.address_lo, entry.data, true};
  }
  slots_ = std::move(slots);
  return {};
}

GuestIrq RoutingTable::Find(uint32_t gsi) const {
  if (gsi >= slots_.size()) {
    return {.number = gsi};
  }
  return slots_[gsi];
}

}  // namespace mshv::sim
