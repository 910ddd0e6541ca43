// What the addon does on the event loop of a JavaScript environment.
#ifndef MSHV_NATIVE_EVENT_LOOP_H_
#define MSHV_NATIVE_EVENT_LOOP_H_

#include <node_api.h>
#include <uv.h>

#include <functional>
#include <memory>
#include <unordered_map>
#include <utility>

namespace mshv {

// Whether the environment was told to end, which the runtime tells by refusing what could run
// JavaScript: a Worker that is being terminated still turns its loop.
inline bool IsEnding(napi_env env) {
  napi_value global = nullptr;
  bool has = false;
  return napi_get_global(env, &global) != napi_ok ||
         napi_has_named_property(env, global, "undefined", &has) != napi_ok;
}

// Calls a JavaScript function from a libuv callback, with the one argument that `take` takes from
// wherever it comes once; not at all where there is nothing (null). Nothing is taken where the
// environment is ending, which nobody could be told of. What the function throws is an uncaught
// exception. The call may destroy whatever the caller has, so it is the last thing to do.
template <typename Take>
void CallFromLoop(napi_env env, napi_ref on_event, Take take) {
  napi_handle_scope scope = nullptr;
  if (napi_open_handle_scope(env, &scope) != napi_ok) {
    return;
  }
  napi_value function = nullptr;
  napi_value receiver = nullptr;
  // The receiver must be an object: with undefined the call fails without an exception.
  if (napi_get_reference_value(env, on_event, &function) == napi_ok && function != nullptr &&
      napi_get_global(env, &receiver) == napi_ok && !IsEnding(env)) {
    const napi_value argument = take();
    if (argument != nullptr && napi_make_callback(env, nullptr, receiver, function, 1, &argument,
                                                  nullptr) == napi_pending_exception) {
      napi_value error = nullptr;
      if (napi_get_and_clear_last_exception(env, &error) == napi_ok && error != nullptr) {
        napi_fatal_exception(env, error);
      }
    }
  }
  napi_close_handle_scope(env, scope);
}

// The libuv handles of one environment on their way out. libuv uses a handle's memory until its
// close callback has run, so they are kept until then.
class ClosingHandles {
 public:
  ClosingHandles() = default;

  ClosingHandles(const ClosingHandles&) = delete;
  ClosingHandles& operator=(const ClosingHandles&) = delete;

  // `owner` is what the handle is a part of. None of the handle's callbacks runs any more.
  void Close(uv_handle_t* handle, std::shared_ptr<void> owner) {
    handle->data = this;
    closing_.emplace(handle, std::move(owner));
    uv_close(handle, OnClosed);
  }

  // Calls `empty`, which may destroy this, once libuv has let go of the last handle.
  void WhenEmpty(std::function<void()> empty) {
    empty_ = std::move(empty);
    Check();
  }

 private:
  static void OnClosed(uv_handle_t* handle) {
    auto& self = *static_cast<ClosingHandles*>(handle->data);
    self.closing_.erase(handle);
    self.Check();
  }

  void Check() {
    if (closing_.empty() && empty_) {
      const auto last = std::move(empty_);
      last();
    }
  }

  std::unordered_map<uv_handle_t*, std::shared_ptr<void>> closing_;
  std::function<void()> empty_;
};

}  // namespace mshv

#endif  // MSHV_NATIVE_EVENT_LOOP_H_
