#ifndef MSHV_NATIVE_BOUNDED_CALL_H_
#define MSHV_NATIVE_BOUNDED_CALL_H_

#include <cerrno>
#include <chrono>

#include "or_error.h"
#include "thread_timer.h"

namespace mshv {

// A system call that may block where others want it to is left after this time, or a little more.
constexpr auto kBound = std::chrono::milliseconds(1);

// The calling thread's timer for that, made when it is needed first.
inline ThreadTimer& BoundTimer() {
  struct Owned {
    ThreadTimer timer;
    ~Owned() { timer.Delete(); }
  };
  thread_local Owned owned;
  return owned.timer;
}

// Makes a call that gives an OrError. Returns that; -EAGAIN where it blocked until the bound;
// without a call, what failed where the thread can have no timer, and for -EAGAIN, which would be
// another thing here, -ENOBUFS.
template <typename Call>
auto CallBounded(Call call) -> decltype(call()) {
  ThreadTimer& timer = BoundTimer();
  // Again and again: the first could come before the call has begun.
  OrError<void> armed = timer.Prepare();
  if (armed) {
    armed = timer.Arm(kBound, kBound);
  }
  if (!armed) {
    return armed.error() == -EAGAIN ? Error(-ENOBUFS) : armed.error();
  }
  const auto end = std::chrono::steady_clock::now() + kBound;
  auto result = call();
  // Signals of others interrupt as well.
  while (result.error() == -EINTR && std::chrono::steady_clock::now() < end) {
    result = call();
  }
  timer.Disarm();
  return result.error() == -EINTR ? Error(-EAGAIN) : result;
}

}  // namespace mshv

#endif  // MSHV_NATIVE_BOUNDED_CALL_H_
