#ifndef MSHV_NATIVE_RUNNER_H_
#define MSHV_NATIVE_RUNNER_H_

#include <signal.h>
#include <time.h>

#include <chrono>
#include <memory>

namespace mshv {

// The signal that makes MSHV_RUN_VP return. Its handler does nothing: the interruption is all.
int KickSignal();

// A thread that runs VPs, one at a time, and the timer that interrupts it there. The driver has no
// flag for leaving at once, so a kick that comes just before the ioctl is lost: kicks are repeated.
class Runner {
 public:
  // Of the calling thread. Without kicks it is interrupted every `rest`, or never where that is 0.
  // Returns 0 or -errno.
  static int Create(std::chrono::nanoseconds rest, std::unique_ptr<Runner>* runner);
  ~Runner() { timer_delete(timer_); }

  Runner(const Runner&) = delete;
  Runner& operator=(const Runner&) = delete;

  // What names the runner in this process, as long as it is there.
  timer_t timer() const { return timer_; }

  // Interrupts a runner's thread now, and again and again. From any thread.
  static void Kick(timer_t timer);
  // Back to the pace without kicks.
  void Rest() const;

  // It is to run nothing more. Guarded by the lock of the one RunControl that it is used with.
  bool ended = false;

 private:
  Runner(timer_t timer, std::chrono::nanoseconds rest) : timer_(timer), rest_(rest) {}

  const timer_t timer_;
  const std::chrono::nanoseconds rest_;
};

}  // namespace mshv

#endif  // MSHV_NATIVE_RUNNER_H_
