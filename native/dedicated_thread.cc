#include "dedicated_thread.h"

#include <cerrno>
#include <chrono>
#include <cstring>
#include <utility>

#include "event_loop.h"
#include "export.h"
#include "system_call.h"
#include "thread_start.h"

namespace mshv {

OrError<std::unique_ptr<DedicatedThread>> DedicatedThread::Start(napi_env env, uv_loop_t* loop,
                                                                 ClosingHandles& closing, int vp,
                                                                 VpArbiter& arbiter,
                                                                 const ExitBlock& block,
                                                                 napi_value on_exit) {
  std::unique_ptr<DedicatedThread> thread(new DedicatedThread(env, closing, vp, arbiter, block));
  thread->async_.data = thread.get();
  const auto known = kernel::TryDirect(
      "uv_async_init", [&] { return uv_async_init(loop, &thread->async_, OnAsync); });
  if (!known) {
    // A handle whose init failed is not a handle yet.
    return known.error();
  }
  const bool referred = napi_create_reference(env, on_exit, 1, &thread->on_exit_) == napi_ok;
  const auto started =
      referred ? thread->StartThread() : FailedAt("napi_create_reference", -EINVAL);
  if (!started) {
    Discard(std::move(thread));
    return started.error();
  }
  return thread;
}

OrError<void> DedicatedThread::End(std::unique_ptr<DedicatedThread>& thread) {
  if (const auto left = thread->Leave(); !left) {
    return left;
  }
  pthread_join(thread->thread_, nullptr);
  thread->arbiter_.Release(*thread->runner_, thread->untold_, &thread->exit_);
  thread->runner_.reset();
  Discard(std::move(thread));
  return {};
}

OrError<void> DedicatedThread::Leave() {
  // So often is looked at who has the handler of the signal that interrupts it.
  constexpr auto kLook = std::chrono::milliseconds(5);
  std::unique_lock guard(lock_);
  const State before = std::exchange(state_, State::kEnding);
  changed_.notify_all();
  while (!done_) {
    if (const auto ended = arbiter_.End(*runner_); !ended) {
      // It is inside, and cannot have seen the state.
      state_ = before;
      return ended;
    }
    changed_.wait_for(guard, kLook, [this] { return done_; });
  }
  return {};
}

void DedicatedThread::Abandon(std::unique_ptr<DedicatedThread> thread) {
  thread->ForgetEnvironment();
  ClosingHandles& closing = thread->closing_;
  uv_handle_t* const handle = thread->handle();
  {
    const std::lock_guard guard(thread->lock_);
    thread->state_ = State::kEnding;
    thread->abandoned_ = true;
    thread->arbiter_.Abandon(*thread->runner_);
  }
  pthread_detach(thread->thread_);
  // The handle is a part of what it has.
  thread.release();
  closing.Close(handle, nullptr);
}

void DedicatedThread::Discard(std::unique_ptr<DedicatedThread> thread) {
  thread->ForgetEnvironment();
  ClosingHandles& closing = thread->closing_;
  uv_handle_t* const handle = thread->handle();
  closing.Close(handle, std::move(thread));
}

void DedicatedThread::ForgetEnvironment() {
  if (on_exit_ != nullptr) {
    napi_delete_reference(env_, std::exchange(on_exit_, nullptr));
  }
}

void DedicatedThread::Tell() {
  const std::lock_guard guard(lock_);
  if (state_ == State::kHandedOver) {
    untold_ = Error(-EINTR);
  }
}

OrError<void> DedicatedThread::Resume() {
  Tell();
  {
    const std::lock_guard guard(lock_);
    if (state_ != State::kHandedOver) {
      return Error(-EBUSY);
    }
    state_ = State::kRunning;
  }
  changed_.notify_all();
  return {};
}

void DedicatedThread::HoldLoop(bool hold) {
  if (hold) {
    uv_ref(handle());
  } else {
    uv_unref(handle());
  }
}

OrError<void> DedicatedThread::StartThread() {
  const auto thread = mshv::StartThread(true, Main, this);
  if (!thread) {
    return thread.error();
  }
  thread_ = *thread;
  pthread_setname_np(thread_, "mshv-vp");
  std::unique_lock guard(lock_);
  changed_.wait(guard, [this] { return state_ != State::kStarting; });
  if (state_ != State::kEnding) {
    return {};
  }
  guard.unlock();
  pthread_join(thread_, nullptr);
  failed_step = failed_step_;
  return untold_;
}

void* DedicatedThread::Main(void* self) {
  auto& thread = *static_cast<DedicatedThread*>(self);
  OrError<std::unique_ptr<KickTarget>> runner = KickTarget::Create();
  {
    const std::lock_guard guard(thread.lock_);
    if (!runner) {
      thread.untold_ = runner.error();
    }
    thread.runner_ = *std::move(runner);
    thread.failed_step_ = failed_step;
    thread.state_ = runner ? State::kRunning : State::kEnding;
  }
  thread.changed_.notify_all();
  if (runner) {
    thread.Loop();
    thread.Finish();
  }
  return nullptr;
}

void DedicatedThread::Loop() {
  std::unique_lock guard(lock_);
  while (true) {
    guard.unlock();
    const auto result = RunUntilExit();
    guard.lock();
    untold_ = result;
    if (state_ == State::kEnding) {
      return;
    }
    state_ = State::kExited;
    uv_async_send(&async_);
    changed_.wait(guard, [this] { return state_ == State::kRunning || state_ == State::kEnding; });
    if (state_ == State::kEnding) {
      return;
    }
  }
}

void DedicatedThread::Finish() {
  const std::lock_guard guard(lock_);
  if (abandoned_) {
    arbiter_.Release(*runner_, untold_, &exit_);
    runner_.reset();
  }
  done_ = true;
  changed_.notify_all();
}

OrError<void> DedicatedThread::RunUntilExit() {
  OrError<void> result = Error(-EINTR);
  while (result.error() == -EINTR) {
    result = arbiter_.RunAndHold(*runner_, vp_, &exit_);
  }
  return result;
}

void DedicatedThread::OnAsync(uv_async_t* handle) {
  auto& thread = *static_cast<DedicatedThread*>(handle->data);
  CallFromLoop(thread.env_, thread.on_exit_, [&thread] { return thread.HandOver(); });
}

napi_value DedicatedThread::HandOver() {
  const std::lock_guard guard(lock_);
  // libuv may call once more than was sent.
  if (state_ != State::kExited) {
    return nullptr;
  }
  state_ = State::kHandedOver;
  if (untold_) {
    std::memcpy(block_.message(), &exit_, sizeof(exit_));
  }
  block_.Unmark(runner_->run);
  return ToResult(env_, untold_);
}

}  // namespace mshv
