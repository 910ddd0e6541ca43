#ifndef MSHV_NATIVE_CLOSING_HANDLES_H_
#define MSHV_NATIVE_CLOSING_HANDLES_H_

#include <uv.h>

#include <functional>
#include <memory>
#include <unordered_map>
#include <utility>

namespace mshv {

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

#endif  // MSHV_NATIVE_CLOSING_HANDLES_H_
