#ifndef MSHV_NATIVE_RUNNER_H_
#define MSHV_NATIVE_RUNNER_H_

#include <cstdint>
#include <memory>
#include <utility>

#include "or_error.h"
#include "thread_timer.h"

namespace mshv {

// A thread that runs VPs, one at a time, and the timer that interrupts it there. Its address names
// the runner in this process, as long as it is there.
class Runner {
 public:
  // Of the calling thread.
  static OrError<std::unique_ptr<Runner>> Create() {
    std::unique_ptr<Runner> runner(new Runner());
    const auto prepared = runner->timer.Prepare();
    return prepared ? OrError<std::unique_ptr<Runner>>(std::move(runner)) : prepared.error();
  }
  ~Runner() { timer.Delete(); }

  Runner(const Runner&) = delete;
  Runner& operator=(const Runner&) = delete;

  // Guarded by the lock of the RunControl whose VP the thread is running; its own else.
  ThreadTimer timer;
  // The number that the RunControl gave to the last run.
  uint32_t run = 0;
  // It is to run nothing more. Guarded by the lock of the one RunControl that it is used with.
  bool ended = false;

 private:
  Runner() = default;
};

}  // namespace mshv

#endif  // MSHV_NATIVE_RUNNER_H_
