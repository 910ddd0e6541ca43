#include "thread_timer.h"

#include <signal.h>
#include <unistd.h>

#include <algorithm>

#include "system_call.h"

#ifndef sigev_notify_thread_id
#define sigev_notify_thread_id _sigev_un._tid
#endif

namespace mshv {
namespace {

using std::chrono::nanoseconds;

constexpr timespec Timespec(nanoseconds time) {
  constexpr nanoseconds kSecond = std::chrono::seconds(1);
  return {.tv_sec = time / kSecond, .tv_nsec = (time % kSecond).count()};
}

int Unblock(const InterruptSignals& signals) {
  sigset_t set;
  sigemptyset(&set);
  for (const int signal : signals) {
    sigaddset(&set, signal);
  }
  return pthread_sigmask(SIG_UNBLOCK, &set, nullptr);
}

}  // namespace

int ThreadTimer::Prepare() {
  if (std::ranges::all_of(signals_, IsInterruptSignal)) {
    // Others may have blocked them since. It cannot fail where it has not before.
    Unblock(signals_);
    return 0;
  }
  InterruptSignals signals{};
  if (const int error = TakeInterruptSignals(&signals); error < 0) {
    return error;
  }
  if (const int error = kernel::TryDirect("pthread_sigmask", [&] { return Unblock(signals); });
      error < 0) {
    return error;
  }
  return Create(gettid(), signals);
}

int ThreadTimer::PrepareFromOutside() {
  if (IsInterruptSignal(signals_[0])) {
    return 0;
  }
  InterruptSignals signals{};
  const int error = TakeInterruptSignals(&signals);
  return error < 0 ? error : Create(thread_, signals);
}

int ThreadTimer::Create(pid_t thread, const InterruptSignals& signals) {
  sigevent event{};
  event.sigev_notify = SIGEV_THREAD_ID;
  event.sigev_signo = signals[0];
  event.sigev_notify_thread_id = thread;
  timer_t timer{};
  if (const int error = kernel::Try("timer_create",
                                    [&] { return timer_create(CLOCK_MONOTONIC, &event, &timer); });
      error < 0) {
    return error;
  }
  Delete();
  thread_ = thread;
  signals_ = signals;
  timer_ = timer;
  return 0;
}

void ThreadTimer::Arm(nanoseconds first, nanoseconds interval) const {
  const itimerspec times{.it_interval = Timespec(interval), .it_value = Timespec(first)};
  timer_settime(timer_, 0, &times, nullptr);
}

void ThreadTimer::Disarm() const { Arm(nanoseconds(0), nanoseconds(0)); }

void ThreadTimer::Delete() {
  if (signals_[0] != 0) {
    timer_delete(timer_);
    signals_ = {};
  }
}

}  // namespace mshv
