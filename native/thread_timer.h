#ifndef MSHV_NATIVE_THREAD_TIMER_H_
#define MSHV_NATIVE_THREAD_TIMER_H_

#include <signal.h>
#include <sys/types.h>
#include <time.h>

#include <chrono>

#include "interrupt_signal.h"
#include "or_error.h"

namespace mshv {

// A timer that interrupts the system calls of one thread, which fail with EINTR then. Functions are
// not thread-safe.
//
// Signals and their handlers belong to the whole process, and anybody may replace a handler at any
// moment. So whoever arms the timer looks first: what comes between the look and the signal, or
// while an armed timer repeats itself, nobody can know.
class ThreadTimer {
 public:
  // Makes the calling thread ready to be interrupted: its signals are let in, and there is a timer,
  // whose expiry can fail for nothing. The thread's own code may have blocked them since it was
  // called last.
  OrError<void> Prepare();

  // Interrupts after `first`, and then every `interval`; it may be just before a system call. From
  // any thread. Where somebody has replaced the handler, there is another timer now, by a signal
  // that the thread lets in. Where that cannot be had the timer is as it was.
  OrError<void> Arm(std::chrono::nanoseconds first, std::chrono::nanoseconds interval);
  // Nothing is interrupted any more once this has returned in the owner.
  void Disarm() const;

  // Harmless where there is none.
  void Delete();

 private:
  OrError<void> LetIn(const InterruptSignals& signals);
  OrError<void> Create(pid_t thread, const InterruptSignals& signals);
  void Set(std::chrono::nanoseconds first, std::chrono::nanoseconds interval) const;

  pid_t thread_ = 0;
  // The first is the timer's; 0 where there is none.
  InterruptSignals signals_{};
  // What the thread does not let in.
  sigset_t blocked_{};
  timer_t timer_{};
};

}  // namespace mshv

#endif  // MSHV_NATIVE_THREAD_TIMER_H_
