#ifndef MSHV_NATIVE_SIM_COUNTDOWN_H_
#define MSHV_NATIVE_SIM_COUNTDOWN_H_

#include <cstdint>

namespace mshv::sim {

// Lets `after` calls pass, then gives `answer` to `count` of them.
template <typename Answer>
struct Countdown {
  Answer answer{};
  uint32_t after = 0;
  uint32_t count = 0;

  // Counts a call. An empty answer where it passes.
  Answer Next() {
    if (after > 0) {
      --after;
      return {};
    }
    if (count == 0) {
      return {};
    }
    --count;
    return answer;
  }
};

}  // namespace mshv::sim

#endif  // MSHV_NATIVE_SIM_COUNTDOWN_H_
