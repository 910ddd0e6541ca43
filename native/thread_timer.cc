#include "thread_timer.h"

#include <unistd.h>

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

}  // namespace

int ThreadTimer::Prepare() {
  if (signals_[0] != 0 && IsInterruptSignal(signals_[0])) {
    return LetIn(signals_);
  }
  if (const int error = LetIn({}); error < 0) {
    return error;
  }
  // What a thread has blocked somebody may be waiting for, by sigwait(3) or a signalfd.
  auto signals = TakeInterruptSignals(blocked_);
  if (signals.error() == -ENOSPC) {
    signals = TakeInterruptSignals({});
  }
  if (!signals) {
    return signals.error().number();
  }
  const int error = LetIn(*signals);
  return error < 0 ? error : Create(gettid(), *signals);
}

int ThreadTimer::Arm(nanoseconds first, nanoseconds interval) {
  if (!IsInterruptSignal(signals_[0])) {
    const auto signals = TakeInterruptSignals(blocked_);
    if (const int error = signals ? Create(thread_, *signals) : signals.error().number();
        error < 0) {
      return error;
    }
  }
  Set(first, interval);
  return 0;
}

void ThreadTimer::Disarm() const { Set(nanoseconds(0), nanoseconds(0)); }

void ThreadTimer::Delete() {
  if (signals_[0] != 0) {
    timer_delete(timer_);
    signals_ = {};
  }
}

int ThreadTimer::LetIn(const InterruptSignals& signals) {
  sigset_t set;
  sigemptyset(&set);
  for (const int signal : signals) {
    if (signal != 0) {
      sigaddset(&set, signal);
    }
  }
  if (const int error =
          kernel::TryDirect("pthread_sigmask",
                            [&] { return pthread_sigmask(SIG_UNBLOCK, &set, &blocked_); })
              .error()
              .number();
      error < 0) {
    return error;
  }
  for (const int signal : signals) {
    sigdelset(&blocked_, signal);
  }
  return 0;
}

int ThreadTimer::Create(pid_t thread, const InterruptSignals& signals) {
  sigevent event{};
  event.sigev_notify = SIGEV_THREAD_ID;
  event.sigev_signo = signals[0];
  event.sigev_notify_thread_id = thread;
  timer_t timer{};
  if (const int error =
          kernel::Try("timer_create", [&] { return timer_create(CLOCK_MONOTONIC, &event, &timer); })
              .error()
              .number();
      error < 0) {
    return error;
  }
  Delete();
  thread_ = thread;
  signals_ = signals;
  timer_ = timer;
  return 0;
}

void ThreadTimer::Set(nanoseconds first, nanoseconds interval) const {
  const itimerspec times{.it_interval = Timespec(interval), .it_value = Timespec(first)};
  timer_settime(timer_, 0, &times, nullptr);
}

}  // namespace mshv
