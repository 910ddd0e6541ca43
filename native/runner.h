#ifndef MSHV_NATIVE_RUNNER_H_
#define MSHV_NATIVE_RUNNER_H_

#include <chrono>
#include <memory>
#include <utility>

#include "thread_timer.h"

namespace mshv {

// A thread that runs VPs, one at a time, and the timer that interrupts it there. Its address names
// the runner in this process, as long as it is there.
class Runner {
 public:
  // Of the calling thread. While it runs a VP it is interrupted every `rest`, or never where that
  // is 0, but for kicks. Returns 0 or -errno.
  static int Create(std::chrono::nanoseconds rest, std::unique_ptr<Runner>* runner) {
    std::unique_ptr<Runner> created(new Runner(rest));
    const int error = created->timer.Prepare();
    if (error == 0) {
      *runner = std::move(created);
    }
    return error;
  }
  ~Runner() { timer.Delete(); }

  Runner(const Runner&) = delete;
  Runner& operator=(const Runner&) = delete;

  const std::chrono::nanoseconds rest;
  // The thread's, but while it runs a VP: the RunControl's then.
  ThreadTimer timer;
  // It is to run nothing more. Guarded by the lock of the one RunControl that it is used with.
  bool ended = false;

 private:
  explicit Runner(std::chrono::nanoseconds pace) : rest(pace) {}
};

}  // namespace mshv

#endif  // MSHV_NATIVE_RUNNER_H_
