#ifndef MSHV_NATIVE_RUNNER_H_
#define MSHV_NATIVE_RUNNER_H_

#include <cstdint>
#include <memory>
#include <utility>

#include "thread_timer.h"

namespace mshv {

// A thread that runs VPs, one at a time, and the timer that interrupts it there. Its address names
// the runner in this process, as long as it is there.
class Runner {
 public:
  // Of the calling thread. Returns 0 or -errno.
  static int Create(std::unique_ptr<Runner>* runner) {
    std::unique_ptr<Runner> created(new Runner());
    const int error = created->timer.Prepare();
    if (error == 0) {
      *runner = std::move(created);
    }
    return error;
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
