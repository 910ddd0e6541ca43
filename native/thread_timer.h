#ifndef MSHV_NATIVE_THREAD_TIMER_H_
#define MSHV_NATIVE_THREAD_TIMER_H_

#include <sys/types.h>
#include <time.h>

#include <chrono>

#include "interrupt_signal.h"

namespace mshv {

// A timer that interrupts the system calls of one thread, which fail with EINTR then. A plain
// value, for memory that several environments share; functions are not thread-safe, and return 0 or
// -errno where they return something.
class ThreadTimer {
 public:
  // Makes the calling thread ready to be interrupted: its signals are let in, and there is a timer.
  // To be called before each arming: signals and handlers belong to the whole process.
  int Prepare();
  // The same from another thread, while the owner is inside a system call before which it was
  // prepared.
  int PrepareFromOutside();

  // Interrupts after `first`, and then every `interval`; it may be just before a system call.
  void Arm(std::chrono::nanoseconds first, std::chrono::nanoseconds interval) const;
  // Nothing is interrupted any more once this has returned in the owner.
  void Disarm() const;

  // Harmless where there is none.
  void Delete();

 private:
  int Create(pid_t thread, const InterruptSignals& signals);

  pid_t thread_ = 0;
  // The first is the timer's; 0 where there is none.
  InterruptSignals signals_{};
  timer_t timer_{};
};

}  // namespace mshv

#endif  // MSHV_NATIVE_THREAD_TIMER_H_
