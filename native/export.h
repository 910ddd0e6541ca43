// The bridge between JavaScript calls and flat C++ functions.
//
// Export<F> makes a JavaScript function of any `R F(Environment&, Arguments...)`: the argument
// types say how the JavaScript values are read, the result type says what comes back. A value that
// does not fit is -EINVAL, a descriptor that this environment does not own -EBADF, both before F
// runs. Every status is checked and nothing throws, so worker.terminate() is harmless at any point.
#ifndef MSHV_NATIVE_EXPORT_H_
#define MSHV_NATIVE_EXPORT_H_

#include <node_api.h>

#include <cerrno>
#include <cstdint>
#include <limits>
#include <optional>
#include <span>
#include <string>
#include <tuple>
#include <type_traits>
#include <utility>

#include "environment.h"
#include "failed_step.h"
#include "memory.h"
#include "viewed_mapping.h"
#include "vp.h"

namespace mshv {

// A descriptor that the calling environment owns.
struct OwnedFd {
  int number = -1;
};

// Guest memory that the calling environment owns.
struct OwnedMemory {
  int handle = -1;
  Memory* memory = nullptr;
  Memory* operator->() const { return memory; }
};

// A VP descriptor that the calling environment owns and has attached.
struct AttachedVp {
  Vp* vp = nullptr;
  Vp* operator->() const { return vp; }
};

// A Uint8Array that is looked into after the call too: it may have shrunk to nothing by then.
struct KeptBytes {
  napi_value array = nullptr;
  size_t size = 0;
  // As long as this call lasts.
  uint8_t* data = nullptr;
};

// A JavaScript function.
struct Callback {
  napi_value function = nullptr;
};

// A 64-bit value or -errno: a bigint or a negative number in JavaScript.
struct CountOrError {
  int error = 0;
  uint64_t count = 0;
};

// A number that is one of the type: Node-API's own functions for integers take it modulo 2^32.
template <typename Integer>
int ReadInteger(Environment& environment, napi_value value, Integer* out) {
  double number = 0;
  if (napi_get_value_double(environment.env(), value, &number) != napi_ok) {
    return -EINVAL;
  }
  // Not with NaN either.
  const bool fits = number >= std::numeric_limits<Integer>::min() &&
                    number <= std::numeric_limits<Integer>::max();
  if (!fits) {
    return -EINVAL;
  }
  *out = static_cast<Integer>(number);
  return *out == number ? 0 : -EINVAL;
}

inline int ReadArgument(Environment& environment, napi_value value, int32_t* out) {
  return ReadInteger(environment, value, out);
}

inline int ReadArgument(Environment& environment, napi_value value, uint32_t* out) {
  return ReadInteger(environment, value, out);
}

inline int ReadArgument(Environment& environment, napi_value value, bool* out) {
  return napi_get_value_bool(environment.env(), value, out) == napi_ok ? 0 : -EINVAL;
}

inline int ReadArgument(Environment& environment, napi_value value, uint64_t* out) {
  bool lossless = false;
  const napi_status status = napi_get_value_bigint_uint64(environment.env(), value, out, &lossless);
  return status == napi_ok && lossless ? 0 : -EINVAL;
}

inline int ReadArgument(Environment& environment, napi_value value, OwnedFd* out) {
  if (const int error = ReadArgument(environment, value, &out->number); error < 0) {
    return error;
  }
  return environment.Owns(out->number) ? 0 : -EBADF;
}

inline int ReadArgument(Environment& environment, napi_value value, OwnedMemory* out) {
  if (const int error = ReadArgument(environment, value, &out->handle); error < 0) {
    return error;
  }
  out->memory = environment.memories().Find(out->handle);
  return out->memory == nullptr ? -EBADF : 0;
}

inline int ReadArgument(Environment& environment, napi_value value, AttachedVp* out) {
  OwnedFd fd;
  if (const int error = ReadArgument(environment, value, &fd); error < 0) {
    return error;
  }
  out->vp = environment.vps().Find(fd.number);
  return out->vp == nullptr ? -EBADF : 0;
}

inline int ReadArgument(Environment& environment, napi_value value, Callback* out) {
  napi_valuetype type = napi_undefined;
  if (napi_typeof(environment.env(), value, &type) != napi_ok || type != napi_function) {
    return -EINVAL;
  }
  out->function = value;
  return 0;
}

inline int ReadArgument(Environment& environment, napi_value value, std::string* out) {
  size_t length = 0;
  if (napi_get_value_string_utf8(environment.env(), value, nullptr, 0, &length) != napi_ok) {
    return -EINVAL;
  }
  out->resize(length);
  if (napi_get_value_string_utf8(environment.env(), value, out->data(), length + 1, &length) !=
      napi_ok) {
    return -EINVAL;
  }
  // The kernel would take what is before a NUL for all of it.
  return out->find('\0') == std::string::npos ? 0 : -EINVAL;
}

template <typename Element>
constexpr napi_typedarray_type kTypedArray = napi_uint8_array;
template <>
inline constexpr napi_typedarray_type kTypedArray<int32_t> = napi_int32_array;
template <>
inline constexpr napi_typedarray_type kTypedArray<uint32_t> = napi_uint32_array;
template <>
inline constexpr napi_typedarray_type kTypedArray<uint64_t> = napi_biguint64_array;

// The caller's own memory, valid during the call only.
template <typename Element>
int ReadArgument(Environment& environment, napi_value value, std::span<Element>* out) {
  napi_typedarray_type type = napi_int8_array;
  size_t length = 0;
  void* data = nullptr;
  if (napi_get_typedarray_info(environment.env(), value, &type, &length, &data, nullptr, nullptr) !=
          napi_ok ||
      type != kTypedArray<Element>) {
    return -EINVAL;
  }
  *out = std::span(static_cast<Element*>(data), length);
  return 0;
}

inline int ReadArgument(Environment& environment, napi_value value, KeptBytes* out) {
  std::span<uint8_t> bytes;
  const int error = ReadArgument(environment, value, &bytes);
  *out = {value, bytes.size(), bytes.data()};
  return error;
}

// An argument that the caller left out (null) stays empty, and so does undefined.
template <typename Value>
int ReadArgument(Environment& environment, napi_value value, std::optional<Value>* out) {
  if (value == nullptr) {
    return 0;
  }
  napi_valuetype type = napi_undefined;
  if (napi_typeof(environment.env(), value, &type) != napi_ok) {
    return -EINVAL;
  }
  return type == napi_undefined ? 0 : ReadArgument(environment, value, &out->emplace());
}

inline napi_value ToResult(napi_env env, int value) {
  napi_value result = nullptr;
  return napi_create_int32(env, value, &result) == napi_ok ? result : nullptr;
}

inline napi_value ToResult(napi_env env, uint64_t value) {
  napi_value result = nullptr;
  return napi_create_bigint_uint64(env, value, &result) == napi_ok ? result : nullptr;
}

inline napi_value ToResult(napi_env env, const CountOrError& value) {
  return value.error < 0 ? ToResult(env, value.error) : ToResult(env, value.count);
}

inline napi_value ToResult(napi_env env, const BufferOrError& value) {
  return value.error < 0 ? ToResult(env, value.error) : value.buffer;
}

inline napi_value ToResult(napi_env env, const std::string& value) {
  napi_value result = nullptr;
  return napi_create_string_utf8(env, value.data(), value.size(), &result) == napi_ok ? result
                                                                                      : nullptr;
}

inline napi_value ToResult(napi_env env, const FailedStep& step) {
  napi_value result = nullptr;
  const napi_status status =
      step.request == 0 ? napi_create_string_utf8(env, step.name, NAPI_AUTO_LENGTH, &result)
                        : napi_create_uint32(env, step.request, &result);
  return status == napi_ok ? result : nullptr;
}

template <auto kFunction>
struct Exported;

template <typename Result, typename... Arguments, Result (*kFunction)(Environment&, Arguments...)>
struct Exported<kFunction> {
  static napi_value Call(napi_env env, napi_callback_info info) {
    constexpr size_t kCount = sizeof...(Arguments);
    size_t count = kCount;
    napi_value values[kCount == 0 ? 1 : kCount] = {};
    void* data = nullptr;
    if (napi_get_cb_info(env, info, &count, values, nullptr, &data) != napi_ok) {
      return nullptr;
    }
    // Node-API fills in undefined for what the caller left out; telling that takes a call more.
    for (size_t i = count; i < kCount; ++i) {
      values[i] = nullptr;
    }
    return Invoke(*static_cast<Environment*>(data), values,
                  std::index_sequence_for<Arguments...>());
  }

 private:
  template <size_t... kIndex>
  static napi_value Invoke(Environment& environment, [[maybe_unused]] const napi_value* values,
                           std::index_sequence<kIndex...>) {
    // Who asks which step has failed asks for an earlier function's.
    if constexpr (!std::is_same_v<Result, FailedStep>) {
      failed_step = {};
    }
    std::tuple<Arguments...> arguments;
    int error = 0;
    // Reads in order and stops at the first that does not fit.
    static_cast<void>(
        (((error = ReadArgument(environment, values[kIndex], &std::get<kIndex>(arguments))) == 0) &&
         ...));
    if (error < 0) {
      return ToResult(environment.env(), error);
    }
    return ToResult(environment.env(),
                    kFunction(environment, std::move(std::get<kIndex>(arguments))...));
  }
};

// Adds kFunction to `exports`.
template <auto kFunction>
void Export(Environment& environment, napi_value exports, const char* name) {
  napi_value function = nullptr;
  if (napi_create_function(environment.env(), name, NAPI_AUTO_LENGTH, Exported<kFunction>::Call,
                           &environment, &function) == napi_ok) {
    napi_set_named_property(environment.env(), exports, name, function);
  }
}

}  // namespace mshv

#endif  // MSHV_NATIVE_EXPORT_H_
