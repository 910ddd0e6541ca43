#ifndef MSHV_NATIVE_SIM_SYSTEM_CALL_PLAN_H_
#define MSHV_NATIVE_SIM_SYSTEM_CALL_PLAN_H_

#include <cstdint>
#include <mutex>
#include <string>
#include <thread>

namespace mshv::sim {

// Which of the addon's next system calls is to fail: those of one thread, and those with which
// threads begin that it starts. The simulated driver's own calls are none of them.
class SystemCallPlan {
 public:
  static SystemCallPlan& Get() {
    static SystemCallPlan plan;
    return plan;
  }

  // Counts the calling thread's calls from now on: lets `after` pass, then fails one with the errno
  // `error`, none where that is 0. Replaces the plan before.
  void Begin(int error, uint32_t after) {
    const std::lock_guard guard(lock_);
    counting_ = true;
    thread_ = std::this_thread::get_id();
    error_ = error;
    after_ = after;
    names_.clear();
  }

  // Ends it. Returns the names of the calls since, the failed one too, with a space after each.
  std::string End() {
    const std::lock_guard guard(lock_);
    counting_ = false;
    return std::move(names_);
  }

  // Counts a call. 0, or the negative errno it is to fail with.
  int Next(const std::string& name) {
    const std::lock_guard guard(lock_);
    if (!counting_) {
      return 0;
    }
    names_ += name + ' ';
    return after_-- == 0 ? -error_ : 0;
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
  int error_ = 0;
  uint32_t after_ = 0;
  std::string names_;
};

}  // namespace mshv::sim

#endif  // MSHV_NATIVE_SIM_SYSTEM_CALL_PLAN_H_
