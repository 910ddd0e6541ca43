#ifndef MSHV_NATIVE_SIM_REFERENCE_CLOCK_H_
#define MSHV_NATIVE_SIM_REFERENCE_CLOCK_H_

#include <chrono>
#include <cstdint>
#include <ratio>

namespace mshv::sim {

// A partition's reference time, in units of 100 ns from its creation on. It stands while it is
// frozen.
class ReferenceClock {
 public:
  bool frozen() const { return frozen_; }
  uint64_t Now() const { return frozen_ ? at_ : at_ + Elapsed(); }

  void Freeze(bool freeze) {
    Set(Now());
    frozen_ = freeze;
  }

  void Set(uint64_t time) {
    at_ = time;
    since_ = Steady::now();
  }

 private:
  using Steady = std::chrono::steady_clock;
  using Unit = std::chrono::duration<uint64_t, std::ratio<1, 10'000'000>>;

  uint64_t Elapsed() const {
    return std::chrono::duration_cast<Unit>(Steady::now() - since_).count();
  }

  bool frozen_ = false;
  uint64_t at_ = 0;
  Steady::time_point since_ = Steady::now();
};

}  // namespace mshv::sim

#endif  // MSHV_NATIVE_SIM_REFERENCE_CLOCK_H_
