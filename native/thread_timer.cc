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

OrError<void> ThreadTimer::Prepare() {
  if (signals_[0] != 0 && IsInterruptSignal(signals_[0])) {
    return LetIn(signals_);
  }
  if (const auto known = LetIn({}); !known) {
    return known;
  }
  // What a thread has blocked somebody may be waiting for, by sigwait(3) or a signalfd.
  auto signals = TakeInterruptSignals(blocked_);
  if (signals.error() == -ENOSPC) {
    signals = TakeInterruptSignals({});
  }
  if (!signals) {
    return signals.error();
  }
  const auto let_in = LetIn(*signals);
  return let_in ? Create(gettid(), *signals) : let_in;
}

OrError<void> ThreadTimer::Arm(nanoseconds first, nanoseconds interval) {
  if (!IsInterruptSignal(signals_[0])) {
    const auto signals = TakeInterruptSignals(blocked_);
    if (!signals) {
      return signals.error();
    }
    if (const auto created = Create(thread_, *signals); !created) {
      return created;
    }
  }
  Set(first, interval);
  return {};
}

void ThreadTimer::Disarm() const { Set(nanoseconds(0), nanoseconds(0)); }

void ThreadTimer::Delete() {
  if (signals_[0] != 0) {
    timer_delete(timer_);
    signals_ = {};
  }
}

OrError<void> ThreadTimer::LetIn(const InterruptSignals& signals) {
  sigset_t set;
  sigemptyset(&set);
  for (const int signal : signals) {
    if (signal != 0) {
      sigaddset(&set, signal);
    }
  }
  const auto done = kernel::TryDirect(
      "pthread_sigmask", [&] { return pthread_sigmask(SIG_UNBLOCK, &set, &blocked_); });
  if (!done) {
    return done;
  }
  for (const int signal : signals) {
    sigdelset(&blocked_, signal);
  }
  return {};
}

OrError<void> ThreadTimer::Create(pid_t thread, const InterruptSignals& signals) {
  sigevent event{};
  event.sigev_notify = SIGEV_THREAD_ID;
  event.sigev_signo = signals[0];
  event.sigev_notify_thread_id = thread;
  timer_t timer{};
  const auto created =
      kernel::Try("timer_create", [&] { return timer_create(CLOCK_MONOTONIC, &event, &timer); });
  if (!created) {
    return created.error();
  }
  Delete();
  thread_ = thread;
  signals_ = signals;
  timer_ = timer;
  return {};
}

void ThreadTimer::Set(nanoseconds first, nanoseconds interval) const {
  const itimerspec times{.it_interval = Timespec(interval), .it_value = Timespec(first)};
  timer_settime(timer_, 0, &times, nullptr);
}

}  // namespace mshv
