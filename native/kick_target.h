#ifndef MSHV_NATIVE_KICK_TARGET_H_
#define MSHV_NATIVE_KICK_TARGET_H_

#include <cstdint>
#include <memory>
#include <utility>

#include "or_error.h"
#include "thread_timer.h"

namespace mshv {

// Where kicks go: a thread that runs VPs, one at a time, and the timer that interrupts it there.
// Its address names the runner in this process, as long as it is there.
class KickTarget {
 public:
  // Of the calling thread.
  static OrError<std::unique_ptr<KickTarget>> Create() {
    std::unique_ptr<KickTarget> runner(new KickTarget());
    const auto prepared = runner->timer.Prepare();
    return prepared ? OrError<std::unique_ptr<KickTarget>>(std::move(runner)) : prepared.error();
  }
  ~KickTarget() { timer.Delete(); }

  KickTarget(const KickTarget&) = delete;
  KickTarget& operator=(const KickTarget&) = delete;

  // Guarded by the lock of the VpArbiter whose VP the thread is running; its own else.
  ThreadTimer timer;
  // The number that the VpArbiter gave to the last run.
  uint32_t run = 0;
  // It is to run nothing more. Guarded by the lock of the one VpArbiter that it is used with.
  bool ended = false;

 private:
  KickTarget() = default;
};

}  // namespace mshv

#endif  // MSHV_NATIVE_KICK_TARGET_H_
