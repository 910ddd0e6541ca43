#ifndef MSHV_NATIVE_PACER_H_
#define MSHV_NATIVE_PACER_H_

#include <pthread.h>

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <memory>
#include <mutex>
#include <utility>

#include "kick_target.h"
#include "or_error.h"
#include "vp_arbiter.h"

namespace mshv {

// Has a runner come back now and then from a VP that does not exit, so that its caller can look
// whether it is to go on. A thread of its own looks for that, so that a run that ends soon costs no
// system call, and each signal is preceded by a look at its handler. It sleeps while nothing runs.
class Pacer {
 public:
  // The runner outlives it.
  static OrError<std::unique_ptr<Pacer>> Start(KickTarget& runner);
  ~Pacer();

  Pacer(const Pacer&) = delete;
  Pacer& operator=(const Pacer&) = delete;

  // The runner is about to run a VP. True where the pacer has come round since the last time.
  bool Begin(VpArbiter& arbiter);
  // It has.
  void End() { ++run_; }

  // Once this has returned, no VpArbiter that was run before is used.
  void Forget() { const std::lock_guard guard(lock_); }

 private:
  explicit Pacer(KickTarget& runner) : runner_(runner) {}

  static void* Main(void* self);
  void Loop();

  KickTarget& runner_;
  pthread_t thread_{};
  // Odd while the runner is inside.
  std::atomic<uint64_t> run_ = 0;
  // Of that run.
  std::atomic<VpArbiter*> arbiter_ = nullptr;
  std::atomic<bool> came_round_ = true;
  std::atomic<bool> sleeps_ = false;

  std::mutex lock_;
  std::condition_variable changed_;
  bool ended_ = false;
};

}  // namespace mshv

#endif  // MSHV_NATIVE_PACER_H_
