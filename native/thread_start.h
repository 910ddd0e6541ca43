#ifndef MSHV_NATIVE_THREAD_START_H_
#define MSHV_NATIVE_THREAD_START_H_

#include <pthread.h>
#include <signal.h>

#include "system_call.h"

namespace mshv {

// Starts a thread that is joined, or detached, by the caller. Node's handlers belong on Node's
// threads, so no signal is let in, but for the real-time ones that the caller lets in where the
// thread is to be interrupted. Returns 0 or an errno, as pthread_create(3) does.
inline int CreateThread(pthread_t* thread, bool interruptible, void* (*main)(void*), void* data) {
  sigset_t blocked;
  sigset_t before;
  sigfillset(&blocked);
  pthread_sigmask(SIG_SETMASK, &blocked, &before);
  for (int signal = SIGRTMIN; interruptible && signal <= SIGRTMAX; ++signal) {
    if (sigismember(&before, signal) == 0) {
      sigdelset(&blocked, signal);
    }
  }
  pthread_sigmask(SIG_SETMASK, &blocked, nullptr);
  const int error = pthread_create(thread, nullptr, main, data);
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
  return error;
}

// The same, of the addon itself.
inline OrError<pthread_t> StartThread(bool interruptible, void* (*main)(void*), void* data) {
  pthread_t thread{};
  const auto started = kernel::TryDirect(
      "pthread_create", [&] { return CreateThread(&thread, interruptible, main, data); });
  return started ? OrError<pthread_t>(thread) : started.error();
}

}  // namespace mshv

#endif  // MSHV_NATIVE_THREAD_START_H_
