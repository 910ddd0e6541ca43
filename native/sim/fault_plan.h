#ifndef MSHV_NATIVE_SIM_FAULT_PLAN_H_
#define MSHV_NATIVE_SIM_FAULT_PLAN_H_

#include <cstdint>
#include <unordered_map>

namespace mshv::sim {

// How often each ioctl was issued, and which of its next calls are to fail.
class FaultPlan {
 public:
  // Lets `after` calls pass, then fails `count` of them with the errno `error`. Replaces what an
  // earlier plan for the request has left.
  void Set(uint32_t request, int error, uint32_t after, uint32_t count) {
    Request& state = requests_[request];
    state.error = error;
    state.after = after;
    state.count = count;
  }

  // Counts a call. 0, or the negative errno it is to fail with.
  int Next(uint32_t request) {
    Request& state = requests_[request];
    ++state.calls;
    if (state.after > 0) {
      --state.after;
      return 0;
    }
    if (state.count > 0) {
      --state.count;
      return -state.error;
    }
    return 0;
  }

  uint64_t calls(uint32_t request) const {
    const auto found = requests_.find(request);
    return found == requests_.end() ? 0 : found->second.calls;
  }

 private:
  struct Request {
    uint64_t calls = 0;
    int error = 0;
    uint32_t after = 0;
    uint32_t count = 0;
  };

  std::unordered_map<uint32_t, Request> requests_;
};

}  // namespace mshv::sim

#endif  // MSHV_NATIVE_SIM_FAULT_PLAN_H_
