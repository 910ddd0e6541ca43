#include "interrupt_signal.h"

#include <dlfcn.h>
#include <signal.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <mutex>
#include <string_view>

#include "system_call.h"

// By this name the addons know each other's: a handler is a function of the one that came first.
extern "C" __attribute__((visibility("default"))) void mshv_interrupt_system_call(int) {}

namespace mshv {
namespace {

constexpr std::string_view kHandler = "mshv_interrupt_system_call";

using Handler = void (*)(int);

bool IsOurHandler(Handler handler) {
  // Looking an address up takes longer than a system call: the last one found is remembered.
  static std::atomic<Handler> known = mshv_interrupt_system_call;
  if (handler == known.load(std::memory_order_relaxed) || handler == mshv_interrupt_system_call) {
    return true;
  }
  Dl_info found{};
  const bool ours = handler != SIG_DFL && handler != SIG_IGN &&
                    dladdr(reinterpret_cast<void*>(handler), &found) != 0 &&
                    found.dli_sname != nullptr && found.dli_sname == kHandler &&
                    found.dli_saddr == reinterpret_cast<void*>(handler);
  if (ours) {
    known.store(handler, std::memory_order_relaxed);
  }
  return ours;
}

bool IsOurs(const struct sigaction& action) {
  return (action.sa_flags & (SA_SIGINFO | SA_RESTART)) == 0 && IsOurHandler(action.sa_handler);
}

bool Is(const struct sigaction& action, Handler handler) {
  return (action.sa_flags & SA_SIGINFO) == 0 && action.sa_handler == handler;
}

OrError<struct sigaction> ReplaceAction(int signal, const struct sigaction* action) {
  struct sigaction present {};
  const auto done = kernel::Try("sigaction", [&] { return sigaction(signal, action, &present); });
  if (!done) {
    return done.error();
  }
  return present;
}

// Whether the handler of `signal` is ours now, which was `free` or ours.
OrError<bool> Take(int signal, Handler free) {
  const auto before = ReplaceAction(signal, nullptr);
  if (!before) {
    return before.error();
  }
  if (IsOurs(*before) || !Is(*before, free)) {
    return IsOurs(*before);
  }
  struct sigaction action {};
  action.sa_handler = mshv_interrupt_system_call;
  action.sa_flags = SA_ONSTACK;
  const auto replaced = ReplaceAction(signal, &action);
  if (!replaced) {
    return replaced.error();
  }
  if (IsOurs(*replaced) || Is(*replaced, free)) {
    return true;
  }
  // Somebody else was faster by that much.
  sigaction(signal, &*replaced, nullptr);
  return false;
}

}  // namespace

OrError<InterruptSignals> TakeInterruptSignals(const sigset_t& except) {
  static std::mutex lock;
  const std::lock_guard guard(lock);
  InterruptSignals signals{};
  size_t taken = 0;
  for (const Handler free : {SIG_DFL, SIG_IGN}) {
    for (int signal = SIGRTMAX; signal >= SIGRTMIN && taken < signals.size(); --signal) {
      const auto end = signals.begin() + taken;
      if (std::find(signals.begin(), end, signal) != end || sigismember(&except, signal) == 1) {
        continue;
      }
      const auto ours = Take(signal, free);
      if (!ours) {
        return ours.error();
      }
      if (*ours) {
        signals[taken++] = signal;
      }
    }
  }
  if (taken == 0) {
    // A system call of none: others have taken them all.
    return FailedAt("sigaction", -ENOSPC);
  }
  std::fill(signals.begin() + taken, signals.end(), signals.front());
  return signals;
}

bool IsInterruptSignal(int signal) {
  struct sigaction present {};
  return sigaction(signal, nullptr, &present) == 0 && IsOurs(present);
}

}  // namespace mshv
