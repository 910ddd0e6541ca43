#ifndef MSHV_NATIVE_DEDICATED_THREAD_H_
#define MSHV_NATIVE_DEDICATED_THREAD_H_

#include <node_api.h>
#include <pthread.h>
#include <uv.h>

#include <cerrno>
#include <condition_variable>
#include <memory>
#include <mutex>

#include "abi/mshv.h"
#include "event_loop.h"
#include "exit_block.h"
#include "failed_step.h"
#include "kick_target.h"
#include "or_error.h"
#include "vp_arbiter.h"

namespace mshv {

// Runs one VP on a thread of its own and hands each exit to a JavaScript function on the
// environment's loop; the thread waits for Resume meanwhile. Functions are the loop's.
class DedicatedThread {
 public:
  // `vp`, `arbiter` and `block`, which has memory, outlive the thread.
  static OrError<std::unique_ptr<DedicatedThread>> Start(napi_env env, uv_loop_t* loop,
                                                         ClosingHandles& closing, int vp,
                                                         VpArbiter& arbiter, const ExitBlock& block,
                                                         napi_value on_exit);

  // Interrupts and joins it. The function is not called any more: what comes once and nobody was
  // told of is the next run's. Where it cannot be interrupted it goes on.
  static OrError<void> End(std::unique_ptr<DedicatedThread>& thread);

  // Where that is so and the environment ends: it is left to itself until the VP exits, with what
  // it was made of, which nobody frees any more.
  static void Abandon(std::unique_ptr<DedicatedThread> thread);

  DedicatedThread(const DedicatedThread&) = delete;
  DedicatedThread& operator=(const DedicatedThread&) = delete;

  // Somebody was told of what was handed over last.
  void Tell();
  // The same, and the VP runs on. -EBUSY where nothing was handed over since the last time.
  OrError<void> Resume();
  void HoldLoop(bool hold);

 private:
  enum class State { kStarting, kRunning, kExited, kHandedOver, kEnding };

  DedicatedThread(napi_env env, ClosingHandles& closing, int vp, VpArbiter& arbiter,
                  const ExitBlock& block)
      : env_(env), closing_(closing), vp_(vp), arbiter_(arbiter), block_(block) {}

  static void Discard(std::unique_ptr<DedicatedThread> thread);
  OrError<void> Leave();
  void ForgetEnvironment();
  static void* Main(void* self);
  static void OnAsync(uv_async_t* handle);
  OrError<void> StartThread();
  void Loop();
  void Finish();
  OrError<void> RunUntilExit();
  napi_value HandOver();
  uv_handle_t* handle() { return reinterpret_cast<uv_handle_t*>(&async_); }

  const napi_env env_;
  ClosingHandles& closing_;
  const int vp_;
  VpArbiter& arbiter_;
  // The loop's.
  const ExitBlock& block_;
  uv_async_t async_{};
  napi_ref on_exit_ = nullptr;
  pthread_t thread_{};
  std::unique_ptr<KickTarget> runner_;

  std::mutex lock_;
  std::condition_variable changed_;
  State state_ = State::kStarting;
  bool abandoned_ = false;
  // It touches nothing of this any more.
  bool done_ = false;
  // What the last run returned and nobody was told of yet, -EINTR where there is no such thing.
  OrError<void> untold_ = Error(-EINTR);
  // Where the thread could not begin.
  FailedStep failed_step_;
  abi::mshv_run_vp exit_{};
};

}  // namespace mshv

#endif  // MSHV_NATIVE_DEDICATED_THREAD_H_
