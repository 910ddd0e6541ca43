#ifndef MSHV_NATIVE_SIM_FAILING_CALLS_H_
#define MSHV_NATIVE_SIM_FAILING_CALLS_H_

#include <cstdint>
#include <mutex>
#include <string>
#include <thread>
#include <utility>

#include "../or_error.h"
#include "countdown.h"

namespace mshv::sim {

// Which of the addon's next system calls is to fail: those of one thread, and those with which
// threads begin that it starts. The simulated driver's own calls are none of them.
class FailingCalls {
 public:
  static FailingCalls& Get() {
    static FailingCalls calls;
    return calls;
  }

  // Counts the calling thread's calls from now on: lets `after` pass, then fails one with the errno
  // `error`, none where that is 0. Replaces what was planned before.
  void Begin(int error, uint32_t after) {
    const std::lock_guard guard(lock_);
    counting_ = true;
    thread_ = std::this_thread::get_id();
    errors_ = {.answer = -error, .after = after, .count = 1};
    names_.clear();
  }

  // Ends it. Returns the names of the calls since, the failed one too, with a space after each.
  std::string End() {
    const std::lock_guard guard(lock_);
    counting_ = false;
    return std::move(names_);
  }

  // Counts a call. What it is to fail with, if at all.
  Error Next(const std::string& name) {
    const std::lock_guard guard(lock_);
    if (!counting_) {
      return Error(0);
    }
    names_ += name + ' ';
    return Error(errors_.Next());
  }

  // A thread that runs a VP makes ioctls whenever it comes to it.
  bool IsCounted() {
    const std::lock_guard guard(lock_);
    return counting_ && thread_ == std::this_thread::get_id();
  }

 private:
  std::mutex lock_;
  bool counting_ = false;
  std::thread::id thread_;
  Countdown<int> errors_;
  std::string names_;
};

}  // namespace mshv::sim

#endif  // MSHV_NATIVE_SIM_FAILING_CALLS_H_
