#include "pacer.h"

#include <chrono>

#include "thread_start.h"

namespace mshv {
namespace {

// A run that lasts from one look to the next is interrupted then: after a tenth of a second.
constexpr auto kLook = std::chrono::milliseconds(50);

}  // namespace

OrError<std::unique_ptr<Pacer>> Pacer::Start(KickTarget& runner) {
  std::unique_ptr<Pacer> pacer(new Pacer(runner));
  const auto thread = StartThread(false, Main, pacer.get());
  if (!thread) {
    pacer->ended_ = true;
    return thread.error();
  }
  pacer->thread_ = *thread;
  pthread_setname_np(pacer->thread_, "mshv-pacer");
  return pacer;
}

Pacer::~Pacer() {
  {
    const std::lock_guard guard(lock_);
    if (std::exchange(ended_, true)) {
      return;
    }
  }
  changed_.notify_all();
  pthread_join(thread_, nullptr);
}

bool Pacer::Begin(VpArbiter& arbiter) {
  arbiter_ = &arbiter;
  ++run_;
  if (sleeps_) {
    // It looks at the run under the lock before it sleeps.
    Forget();
    changed_.notify_all();
  }
  return came_round_ && came_round_.exchange(false);
}

void* Pacer::Main(void* self) {
  static_cast<Pacer*>(self)->Loop();
  return nullptr;
}

void Pacer::Loop() {
  std::unique_lock guard(lock_);
  uint64_t seen = 0;
  while (!ended_) {
    if (run_ != seen) {
      seen = run_;
    } else if (seen % 2 != 0) {
      // Where it fails, because others have taken the signals, the next look tries again.
      static_cast<void>(arbiter_.load()->Interrupt(runner_));
    } else {
      sleeps_ = true;
      changed_.wait(guard, [this, seen] { return ended_ || run_ != seen; });
      sleeps_ = false;
      seen = run_;
    }
    came_round_ = true;
    changed_.wait_for(guard, kLook, [this] { return ended_; });
  }
}

}  // namespace mshv
