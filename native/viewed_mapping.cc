#include "viewed_mapping.h"

#include <cerrno>
#include <utility>

#include "failed_step.h"

namespace mshv {
ViewedMapping::~ViewedMapping() {
  // Losing the addresses is better than a buffer over what comes to be there.
  if (moved_) {
    mapping_.Abandon();
  }
}

BufferOrError ViewedMapping::Buffer(napi_env env) {
  BufferOrError result;
  if (buffer_ != nullptr) {
    bool detached = false;
    if (napi_get_reference_value(env, buffer_, &result.buffer) != napi_ok ||
        result.buffer == nullptr ||
        napi_is_detached_arraybuffer(env, result.buffer, &detached) != napi_ok) {
      return {.error = -ENOTSUP};
    }
    if (!detached) {
      return result;
    }
    // Transferred: whoever has it now keeps the addresses.
    Detach(env);
  }
  if (napi_create_external_arraybuffer(env, mapping_.data(), mapping_.size(), nullptr, nullptr,
                                       &result.buffer) != napi_ok ||
      napi_create_reference(env, result.buffer, 1, &buffer_) != napi_ok) {
    // Without a reference the buffer could not be detached later.
    if (result.buffer != nullptr) {
      napi_detach_arraybuffer(env, result.buffer);
    }
    napi_value error = nullptr;
    napi_get_and_clear_last_exception(env, &error);
    return {.error = Step("napi_create_external_arraybuffer", -ENOTSUP)};
  }
  // V8 takes the bytes for memory that a collection might free. Telling it otherwise
  // (napi_adjust_external_memory) ends the process where Node 24 detaches the buffer first.
  return result;
}

void ViewedMapping::Detach(napi_env env) { moved_ |= DetachBuffer(env) == Detached::kByOthers; }

void ViewedMapping::Forget(napi_env env) { DetachBuffer(env); }

ViewedMapping::Detached ViewedMapping::DetachBuffer(napi_env env) {
  if (buffer_ == nullptr) {
    return Detached::kByUs;
  }
  Detached detached = Detached::kByOthers;
  napi_handle_scope scope = nullptr;
  if (napi_open_handle_scope(env, &scope) == napi_ok) {
    napi_value buffer = nullptr;
    bool before = true;
    if (napi_get_reference_value(env, buffer_, &buffer) == napi_ok && buffer != nullptr &&
        napi_is_detached_arraybuffer(env, buffer, &before) == napi_ok && !before &&
        napi_detach_arraybuffer(env, buffer) == napi_ok) {
      detached = Detached::kByUs;
    }
    napi_close_handle_scope(env, scope);
  }
  napi_delete_reference(env, std::exchange(buffer_, nullptr));
  return detached;
}

}  // namespace mshv
