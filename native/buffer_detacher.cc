#include "buffer_detacher.h"

#include <cerrno>

namespace mshv {

BufferDetacher::BufferDetacher(napi_env env) : env_(env) {
  napi_value global = nullptr;
  napi_value constructor = nullptr;
  napi_value prototype = nullptr;
  napi_value transfer = nullptr;
  napi_valuetype type = napi_undefined;
  if (napi_get_global(env, &global) == napi_ok &&
      napi_get_named_property(env, global, "ArrayBuffer", &constructor) == napi_ok &&
      napi_get_named_property(env, constructor, "prototype", &prototype) == napi_ok &&
      napi_get_named_property(env, prototype, "transfer", &transfer) == napi_ok &&
      napi_typeof(env, transfer, &type) == napi_ok && type == napi_function) {
    napi_create_reference(env, transfer, 1, &transfer_);
  }
}

OrError<void> BufferDetacher::Detach(napi_value buffer) const {
  if (transfer_ == nullptr) {
    return Error(napi_detach_arraybuffer(env_, buffer) == napi_ok ? 0 : -EPERM);
  }
  napi_value transfer = nullptr;
  napi_value length = nullptr;
  // To a buffer without bytes, which are nobody's then.
  if (napi_get_reference_value(env_, transfer_, &transfer) != napi_ok || transfer == nullptr ||
      napi_create_int32(env_, 0, &length) != napi_ok ||
      napi_call_function(env_, buffer, transfer, 1, &length, nullptr) != napi_ok) {
    napi_value error = nullptr;
    napi_get_and_clear_last_exception(env_, &error);
    return Error(-EPERM);
  }
  return {};
}

}  // namespace mshv
