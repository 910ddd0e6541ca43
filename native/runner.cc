#include "runner.h"

#include <unistd.h>

#include <cerrno>

#include "system_call.h"

#ifndef sigev_notify_thread_id
#define sigev_notify_thread_id _sigev_un._tid
#endif

namespace mshv {
namespace {

using std::chrono::nanoseconds;

constexpr nanoseconds kKickInterval = std::chrono::microseconds(500);

constexpr timespec Timespec(nanoseconds time) {
  constexpr nanoseconds kSecond = std::chrono::seconds(1);
  return {.tv_sec = time / kSecond, .tv_nsec = (time % kSecond).count()};
}

void Set(timer_t timer, nanoseconds first, nanoseconds interval) {
  const itimerspec times{.it_interval = Timespec(interval), .it_value = Timespec(first)};
  timer_settime(timer, 0, &times, nullptr);
}

// Whatever handler somebody else has for the signal interrupts as well as ours.
int InstallHandler() {
  struct sigaction present {};
  if (const int error =
          kernel::Try("sigaction", [&] { return sigaction(KickSignal(), nullptr, &present); });
      error < 0) {
    return error;
  }
  if ((present.sa_flags & SA_SIGINFO) != 0 ||
      (present.sa_handler != SIG_DFL && present.sa_handler != SIG_IGN)) {
    return 0;
  }
  struct sigaction action {};
  action.sa_handler = [](int) {};
  // The driver's ioctl returns EINTR all the same; what else the thread may be in goes on.
  action.sa_flags = SA_RESTART | SA_ONSTACK;
  return kernel::Try("sigaction", [&] { return sigaction(KickSignal(), &action, nullptr); });
}

}  // namespace

int KickSignal() { return SIGRTMIN; }

int Runner::Create(nanoseconds rest, std::unique_ptr<Runner>* runner) {
  if (const int error = InstallHandler(); error < 0) {
    return error;
  }
  sigset_t kick;
  sigemptyset(&kick);
  sigaddset(&kick, KickSignal());
  if (const int error = kernel::TryDirect(
          "pthread_sigmask", [&] { return pthread_sigmask(SIG_UNBLOCK, &kick, nullptr); });
      error < 0) {
    return error;
  }
  sigevent event{};
  event.sigev_notify = SIGEV_THREAD_ID;
  event.sigev_signo = KickSignal();
  event.sigev_notify_thread_id = gettid();
  timer_t timer{};
  if (const int error = kernel::Try("timer_create",
                                    [&] { return timer_create(CLOCK_MONOTONIC, &event, &timer); });
      error < 0) {
    return error;
  }
  runner->reset(new Runner(timer, rest));
  (*runner)->Rest();
  return 0;
}

void Runner::Kick(timer_t timer) { Set(timer, nanoseconds(1), kKickInterval); }

void Runner::Rest() const { Set(timer_, rest_, rest_); }

}  // namespace mshv
