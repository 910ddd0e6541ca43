#include "vp_thread.h"

#include <signal.h>

#include <cerrno>
#include <cstring>
#include <utility>

#include "abi/vp.h"
#include "export.h"
#include "loop_callback.h"
#include "system_call.h"

namespace mshv {
namespace {

// An intercepted instruction is executed again. These come once.
bool ComesOnce(const abi::mshv_run_vp& exit) {
  uint32_t type = 0;
  std::memcpy(&type, &exit, sizeof(type));
  return type == abi::HVMSG_SYNIC_SINT_DELIVERABLE ||
         type == abi::HVMSG_X64_INTERRUPTION_DELIVERABLE || type == abi::HVMSG_X64_APIC_EOI;
}

}  // namespace

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
  const bool referred = napi_create_reference(env, message, 1, &started->message_) == napi_ok &&
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
  bool handed_over = false;
  {
    const std::lock_guard guard(thread->lock_);
    handed_over = std::exchange(thread->state_, State::kEnding) == State::kHandedOver;
  }
  thread->changed_.notify_all();
  thread->control_.End(*thread->runner_);
  pthread_join(thread->thread_, nullptr);
  thread->runner_.reset();
  // Nobody was told of how this run has ended: what does not come again is the next run's.
  if (!handed_over && thread->result_ == -ECANCELED) {
    thread->control_.Cancel();
  } else if (!handed_over && thread->result_ == 0 && ComesOnce(thread->exit_)) {
    thread->control_.Keep(thread->exit_);
  }
  Discard(std::move(thread));
}

void VpThread::Discard(std::unique_ptr<VpThread> thread) {
  for (napi_ref* reference : {&thread->message_, &thread->on_exit_}) {
    if (*reference != nullptr) {
      napi_delete_reference(thread->env_, std::exchange(*reference, nullptr));
    }
  }
  ClosingHandles& closing = thread->closing_;
  uv_handle_t* const handle = thread->handle();
  closing.Close(handle, std::move(thread));
}

int VpThread::Resume() {
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
  return result_;
}

void* VpThread::Main(void* self) {
  auto& thread = *static_cast<VpThread*>(self);
  const int error = Runner::Create(std::chrono::nanoseconds(0), &thread.runner_);
  {
    const std::lock_guard guard(thread.lock_);
    thread.result_ = error;
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
  while (true) {
    const int result = RunUntilExit();
    std::unique_lock guard(lock_);
    result_ = result;
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
  int result = 0;
  {
    const std::lock_guard guard(thread.lock_);
    // libuv may call once more than was sent.
    if (thread.state_ != State::kExited) {
      return;
    }
    thread.state_ = State::kHandedOver;
    result = thread.result_;
  }
  CallFromLoop(thread.env_, thread.on_exit_, [&thread, result] {
    return ToResult(thread.env_, result < 0 ? result : thread.CopyMessage());
  });
}

// The array may have been detached since the start.
int VpThread::CopyMessage() const {
  napi_value array = nullptr;
  napi_typedarray_type type = napi_int8_array;
  size_t length = 0;
  void* data = nullptr;
  if (napi_get_reference_value(env_, message_, &array) != napi_ok || array == nullptr ||
      napi_get_typedarray_info(env_, array, &type, &length, &data, nullptr, nullptr) != napi_ok ||
      length < sizeof(exit_)) {
    return -EFAULT;
  }
  std::memcpy(data, &exit_, sizeof(exit_));
  return 0;
}

}  // namespace mshv
