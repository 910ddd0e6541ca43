#ifndef MSHV_NATIVE_SIM_REFUSAL_PLAN_H_
#define MSHV_NATIVE_SIM_REFUSAL_PLAN_H_

#include <cstdint>
#include <unordered_map>

#include "hypervisor.h"

namespace mshv::sim {

// Which of the next hypercalls are to be refused, by code.
class RefusalPlan {
 public:
  // Lets `after` calls pass, then refuses `count` of them. Replaces what an earlier plan for the
  // code has left.
  void Set(uint16_t code, Refusal refusal, uint32_t after, uint32_t count) {
    plans_[code] = {refusal, after, count};
  }

  // Counts a call. Empty where it passes.
  Refusal Next(uint16_t code) {
    const auto found = plans_.find(code);
    if (found == plans_.end()) {
      return {};
    }
    Plan& plan = found->second;
    if (plan.after > 0) {
      --plan.after;
      return {};
    }
    if (plan.count > 0) {
      --plan.count;
      return plan.refusal;
    }
    return {};
  }

 private:
  struct Plan {
    Refusal refusal;
    uint32_t after = 0;
    uint32_t count = 0;
  };

  std::unordered_map<uint16_t, Plan> plans_;
};

}  // namespace mshv::sim

#endif  // MSHV_NATIVE_SIM_REFUSAL_PLAN_H_
