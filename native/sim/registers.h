#ifndef MSHV_NATIVE_SIM_REGISTERS_H_
#define MSHV_NATIVE_SIM_REGISTERS_H_

#include <cstdint>
#include <optional>
#include <unordered_map>

#include "../abi/hypercalls.h"
#include "../architecture.h"

namespace mshv::sim {

// A VP's registers by name. Any name has a value; 0 until one is set.
class Registers {
 public:
  // A few architectural values after reset. VP 0 is the bootstrap processor.
  Registers(Architecture architecture, uint32_t vp);

  abi::hv_register_value Get(uint32_t name) const {
    const auto found = values_.find(name);
    return found == values_.end() ? abi::hv_register_value{} : found->second;
  }
  uint64_t Low(uint32_t name) const { return Get(name).low; }

  // The register that the hypervisor keeps an MSR in.
  static std::optional<uint32_t> OfMsr(uint64_t msr);

  void Set(uint32_t name, abi::hv_register_value value) { values_[name] = value; }
  void SetLow(uint32_t name, uint64_t value) { values_[name] = {value, 0}; }
  // As an instruction with an operand of `size` bytes leaves it.
  void SetPart(uint32_t name, uint64_t value, uint64_t size);
  // Where they are not in it: instructions are those of 64-bit mode.
  void EnterLongMode();

 private:
  std::unordered_map<uint32_t, abi::hv_register_value> values_;
};

}  // namespace mshv::sim

#endif  // MSHV_NATIVE_SIM_REGISTERS_H_
