#ifndef MSHV_NATIVE_SIM_HYPERVISOR_H_
#define MSHV_NATIVE_SIM_HYPERVISOR_H_

#include <cstdint>

#include "../or_error.h"

namespace mshv::sim {

// What a hypercall that the hypervisor refuses was answered with.
struct Refusal {
  uint16_t status = 0;
  // Completed before it was refused; rep calls only.
  uint32_t reps = 0;

  explicit operator bool() const { return status != 0; }
};

// What the driver's parts ask of the hypervisor for the hypercalls they make themselves, whose
// effect they see to.
class Hypervisor {
 public:
  // Counts a hypercall that is about to be made. Empty where it is not to be refused.
  virtual Refusal Refuse(uint16_t code) = 0;

 protected:
  ~Hypervisor() = default;
};

// Whether the driver deposits memory and tries again for this status (hv_result_needs_memory).
bool NeedsMemory(uint16_t status);

// hv_result_to_errno.
OrError<void> FromStatus(uint16_t status);

// A hypercall that the driver repeats after a deposit.
OrError<void> AskWithDeposits(Hypervisor& hypervisor, uint16_t code);

// One that it does not.
OrError<void> Ask(Hypervisor& hypervisor, uint16_t code);

}  // namespace mshv::sim

#endif  // MSHV_NATIVE_SIM_HYPERVISOR_H_
