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

// 1 where the handler of `signal` is ours now, which was `free` or ours; 0 where it was another
// one; or -errno.
int Take(int signal, Handler free) {
  struct sigaction present {};
  if (const int error =
          kernel::Try("sigaction", [&] { return sigaction(signal, nullptr, &present); });
      error < 0) {
    return error;
  }
  if (IsOurs(present)) {
    return 1;
  }
  if (!Is(present, free)) {
    return 0;
  }
  struct sigaction action {};
  action.sa_handler = mshv_interrupt_system_call;
  action.sa_flags = SA_ONSTACK;
  if (const int error =
          kernel::Try("sigaction", [&] { return sigaction(signal, &action, &present); });
      error < 0) {
    return error;
  }
  if (IsOurs(present) || Is(present, free)) {
    return 1;
  }
  // Somebody else was faster by that much.
  sigaction(signal, &present, nullptr);
  return 0;
}

}  // namespace

int TakeInterruptSignals(const sigset_t& except, InterruptSignals* signals) {
  static std::mutex lock;
  const std::lock_guard guard(lock);
  size_t taken = 0;
  for (const Handler free : {SIG_DFL, SIG_IGN}) {
    for (int signal = SIGRTMAX; signal >= SIGRTMIN && taken < signals->size(); --signal) {
      const auto end = signals->begin() + taken;
      const bool has = std::find(signals->begin(), end, signal) != end;
      const int result = has || sigismember(&except, signal) == 1 ? 0 : Take(signal, free);
      if (result < 0) {
        return result;
      }
      if (result == 1) {
        (*signals)[taken++] = signal;
      }
    }
  }
  if (taken == 0) {
    // A system call of none: others have taken them all.
    return Step("sigaction", -ENOSPC);
  }
  std::fill(signals->begin() + taken, signals->end(), signals->front());
  return 0;
}

bool IsInterruptSignal(int signal) {
  struct sigaction present {};
  return sigaction(signal, nullptr, &present) == 0 && IsOurs(present);
}

}  // namespace mshv
