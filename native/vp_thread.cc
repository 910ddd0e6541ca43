#include "vp_thread.h"

#include <signal.h>

#include <cerrno>
#include <utility>

#include "export.h"
#include "loop_callback.h"
#include "system_call.h"

namespace mshv {

int VpThread::Start(napi_env env, uv_loop_t* loop, ClosingHandles& closing, int vp,
                    RunControl& control, napi_value message, napi_value on_exit,
                    std::unique_ptr<VpThread>* thread) {
  std::unique_ptr<VpThread> started(new VpThread(env, closing, vp, control));
  started->async_.data = started.get();
  // A handle whose init failed is not a handle yet.
  if (const int error = kernel::TryDirect(
          "uv_async_init", [&] { return uv_async_init(loop, &started->async_, OnAsync); });
      error < 0) {
    return error;
  }
  const bool referred = started->message_.Refer(message) &&
                        napi_create_reference(env, on_exit, 1, &started->on_exit_) == napi_ok;
  const int error = referred ? started->StartThread() : Step("napi_create_reference", -EINVAL);
  if (error < 0) {
    Discard(std::move(started));
    return error;
  }
  *thread = std::move(started);
  return 0;
}

void VpThread::End(std::unique_ptr<VpThread> thread) {
  {
    const std::lock_guard guard(thread->lock_);
    thread->state_ = State::kEnding;
  }
  thread->changed_.notify_all();
  thread->control_.End(*thread->runner_);
  pthread_join(thread->thread_, nullptr);
  thread->control_.Release(*thread->runner_, thread->untold_, &thread->exit_);
  thread->runner_.reset();
  Discard(std::move(thread));
}

void VpThread::Discard(std::unique_ptr<VpThread> thread) {
  thread->message_.Forget();
  if (thread->on_exit_ != nullptr) {
    napi_delete_reference(thread->env_, std::exchange(thread->on_exit_, nullptr));
  }
  ClosingHandles& closing = thread->closing_;
  uv_handle_t* const handle = thread->handle();
  closing.Close(handle, std::move(thread));
}

void VpThread::Tell() {
  const std::lock_guard guard(lock_);
  if (state_ == State::kHandedOver && filled_) {
    untold_ = -EINTR;
  }
}

int VpThread::Resume() {
  Tell();
  {
    const std::lock_guard guard(lock_);
    if (state_ != State::kHandedOver) {
      return -EBUSY;
    }
    state_ = State::kRunning;
  }
  changed_.notify_all();
  return 0;
}

void VpThread::HoldLoop(bool hold) {
  if (hold) {
    uv_ref(handle());
  } else {
    uv_unref(handle());
  }
}

int VpThread::StartThread() {
  // Node's handlers belong on Node's threads; the kick is let in by the runner.
  sigset_t all;
  sigset_t before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  const int error = kernel::TryDirect(
      "pthread_create", [&] { return pthread_create(&thread_, nullptr, Main, this); });
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
  if (error < 0) {
    return error;
  }
  pthread_setname_np(thread_, "mshv-vp");
  std::unique_lock guard(lock_);
  changed_.wait(guard, [this] { return state_ != State::kStarting; });
  if (state_ != State::kEnding) {
    return 0;
  }
  guard.unlock();
  pthread_join(thread_, nullptr);
  failed_step = failed_step_;
  return untold_;
}

void* VpThread::Main(void* self) {
  auto& thread = *static_cast<VpThread*>(self);
  const int error = Runner::Create(std::chrono::nanoseconds(0), &thread.runner_);
  {
    const std::lock_guard guard(thread.lock_);
    if (error < 0) {
      thread.untold_ = error;
    }
    thread.failed_step_ = failed_step;
    thread.state_ = error < 0 ? State::kEnding : State::kRunning;
  }
  thread.changed_.notify_all();
  if (error == 0) {
    thread.Loop();
  }
  return nullptr;
}

void VpThread::Loop() {
  std::unique_lock guard(lock_);
  while (true) {
    // What could not be handed over is offered again.
    if (untold_ == -EINTR) {
      guard.unlock();
      const int result = RunUntilExit();
      guard.lock();
      untold_ = result;
    }
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

int VpThread::RunUntilExit() {
  int result = -EINTR;
  while (result == -EINTR) {
    result = control_.Run(*runner_, vp_, &exit_);
  }
  return result;
}

void VpThread::OnAsync(uv_async_t* handle) {
  auto& thread = *static_cast<VpThread*>(handle->data);
  CallFromLoop(thread.env_, thread.on_exit_, [&thread] { return thread.HandOver(); });
}

napi_value VpThread::HandOver() {
  const std::lock_guard guard(lock_);
  // libuv may call once more than was sent.
  if (state_ != State::kExited) {
    return nullptr;
  }
  state_ = State::kHandedOver;
  int error = 0;
  if (untold_ == 0) {
    error = message_.Fill(exit_);
  } else {
    message_.Unmark();
  }
  filled_ = error == 0;
  return ToResult(env_, filled_ ? untold_ : error);
}

}  // namespace mshv
