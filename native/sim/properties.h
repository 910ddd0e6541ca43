#ifndef MSHV_NATIVE_SIM_PROPERTIES_H_
#define MSHV_NATIVE_SIM_PROPERTIES_H_

#include <cstdint>
#include <optional>
#include <unordered_map>

#include "reference_clock.h"

namespace mshv::sim {

// Partition properties: what was set, else the hypervisor's default.
class Properties {
 public:
  // Empty where the hypervisor does not know the property.
  static std::optional<uint64_t> Default(uint32_t code);

  std::optional<uint64_t> Get(uint32_t code) const;

  // HvCallSetPartitionProperty. `initialized` is whether the partition is.
  uint16_t Set(uint32_t code, uint64_t value, bool initialized);

  // REFERENCE_TIME and TIME_FREEZE.
  const ReferenceClock& clock() const { return clock_; }

 private:
  ReferenceClock clock_;
  std::unordered_map<uint32_t, uint64_t> values_;
};

}  // namespace mshv::sim

#endif  // MSHV_NATIVE_SIM_PROPERTIES_H_
