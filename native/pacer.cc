#include "pacer.h"

#include <chrono>

#include "thread_start.h"

namespace mshv {
namespace {

// A run that lasts from one look to the next is interrupted then: after a tenth of a second.
constexpr auto kLook = std::chrono::milliseconds(50);

}  // namespace

int Pacer::Start(Runner& runner, std::unique_ptr<Pacer>* pacer) {
  std::unique_ptr<Pacer> started(new Pacer(runner));
  if (const int error = StartThread(&started->thread_, false, Main, started.get()); error < 0) {
    started->ended_ = true;
    return error;
  }
  pthread_setname_np(started->thread_, "mshv-pacer");
  *pacer = std::move(started);
  return 0;
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

bool Pacer::Begin(RunControl& control) {
  control_ = &control;
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
      control_.load()->Interrupt(runner_);
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
