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
#include <concepts>
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
#include "or_error.h"

namespace mshv {

// How an argument is read from a JavaScript value: types of ours say it themselves.
template <typename Type>
struct Argument {
  static OrError<Type> Read(Environment& environment, napi_value value) {
    return Type::Read(environment, value);
  }
};

// A number that is one of the type: Node-API's own functions for integers take it modulo 2^32.
template <typename Type>
requires std::same_as<Type, int32_t> || std::same_as<Type, uint32_t>
struct Argument<Type> {
  static OrError<Type> Read(Environment& environment, napi_value value) {
    double number = 0;
    if (napi_get_value_double(environment.env(), value, &number) != napi_ok) {
      return Error(-EINVAL);
    }
    // Not with NaN either.
    const bool fits =
        number >= std::numeric_limits<Type>::min() && number <= std::numeric_limits<Type>::max();
    if (!fits || static_cast<Type>(number) != number) {
      return Error(-EINVAL);
    }
    return static_cast<Type>(number);
  }
};

template <>
struct Argument<bool> {
  static OrError<bool> Read(Environment& environment, napi_value value) {
    bool read = false;
    return napi_get_value_bool(environment.env(), value, &read) == napi_ok ? OrError<bool>(read)
                                                                           : Error(-EINVAL);
  }
};

template <>
struct Argument<uint64_t> {
  static OrError<uint64_t> Read(Environment& environment, napi_value value) {
    uint64_t read = 0;
    bool lossless = false;
    const napi_status status =
        napi_get_value_bigint_uint64(environment.env(), value, &read, &lossless);
    return status == napi_ok && lossless ? OrError<uint64_t>(read) : Error(-EINVAL);
  }
};

template <>
struct Argument<std::string> {
  static OrError<std::string> Read(Environment& environment, napi_value value) {
    size_t length = 0;
    if (napi_get_value_string_utf8(environment.env(), value, nullptr, 0, &length) != napi_ok) {
      return Error(-EINVAL);
    }
    std::string read(length, '\0');
    // The kernel would take what is before a NUL for all of it.
    if (napi_get_value_string_utf8(environment.env(), value, read.data(), length + 1, &length) !=
            napi_ok ||
        read.find('\0') != std::string::npos) {
      return Error(-EINVAL);
    }
    return read;
  }
};

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
struct Argument<std::span<Element>> {
  static OrError<std::span<Element>> Read(Environment& environment, napi_value value) {
    napi_typedarray_type type = napi_int8_array;
    size_t length = 0;
    void* data = nullptr;
    if (napi_get_typedarray_info(environment.env(), value, &type, &length, &data, nullptr,
                                 nullptr) != napi_ok ||
        type != kTypedArray<Element>) {
      return Error(-EINVAL);
    }
    return std::span(static_cast<Element*>(data), length);
  }
};

// An argument that the caller left out (null) stays empty, and so does undefined.
template <typename Value>
struct Argument<std::optional<Value>> {
  static OrError<std::optional<Value>> Read(Environment& environment, napi_value value) {
    napi_valuetype type = napi_undefined;
    if (value != nullptr && napi_typeof(environment.env(), value, &type) != napi_ok) {
      return Error(-EINVAL);
    }
    OrError<std::optional<Value>> read;
    if (type != napi_undefined) {
      OrError<Value> given = Argument<Value>::Read(environment, value);
      if (!given) {
        return given.error();
      }
      read->emplace(*std::move(given));
    }
    return read;
  }
};

// A descriptor that the calling environment owns.
struct OwnedFd {
  int number = -1;

  static OrError<OwnedFd> Read(Environment& environment, napi_value value) {
    const auto number = Argument<int32_t>::Read(environment, value);
    if (!number) {
      return number.error();
    }
    return environment.Owns(*number) ? OrError<OwnedFd>(OwnedFd{*number}) : Error(-EBADF);
  }
};

// A typed array that is looked into after the call too: it may have shrunk to nothing by then.
template <typename Element>
struct KeptArray {
  napi_value array = nullptr;
  // As long as this call lasts.
  std::span<Element> elements;

  static OrError<KeptArray> Read(Environment& environment, napi_value value) {
    const auto elements = Argument<std::span<Element>>::Read(environment, value);
    return elements ? OrError<KeptArray>(KeptArray{value, *elements}) : elements.error();
  }
};

// A JavaScript function.
struct Callback {
  napi_value function = nullptr;

  static OrError<Callback> Read(Environment& environment, napi_value value) {
    napi_valuetype type = napi_undefined;
    const bool known = napi_typeof(environment.env(), value, &type) == napi_ok;
    return known && type == napi_function ? OrError<Callback>(Callback{value}) : Error(-EINVAL);
  }
};

inline napi_value ToResult(napi_env env, int value) {
  napi_value result = nullptr;
  return napi_create_int32(env, value, &result) == napi_ok ? result : nullptr;
}

inline napi_value ToResult(napi_env env, bool value) { return ToResult(env, value ? 1 : 0); }

inline napi_value ToResult(napi_env env, uint64_t value) {
  napi_value result = nullptr;
  return napi_create_bigint_uint64(env, value, &result) == napi_ok ? result : nullptr;
}

inline napi_value ToResult(napi_env, napi_value value) { return value; }

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

// An errno is a negative number.
template <typename Value>
napi_value ToResult(napi_env env, const OrError<Value>& result) {
  return result ? ToResult(env, *result) : ToResult(env, result.error().number());
}

inline napi_value ToResult(napi_env env, const OrError<void>& result) {
  return ToResult(env, result.error().number());
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
    // Who asks which step has failed asks for an earlier function's.
    if constexpr (!std::is_same_v<Result, FailedStep>) {
      failed_step = {};
    }
    return Invoke(*static_cast<Environment*>(data), values);
  }

 private:
  // Reads one argument after the other, up to the first that does not fit, then calls. Each is a
  // variable of its own: GCC 12 loses what a pointer points to that is copied into a tuple together
  // with a number before it, and leaves out what is written there.
  template <typename... Known>
  static napi_value Invoke(Environment& environment, [[maybe_unused]] const napi_value* values,
                           Known&... known) {
    constexpr size_t kIndex = sizeof...(Known);
    if constexpr (kIndex == sizeof...(Arguments)) {
      return ToResult(environment.env(), kFunction(environment, std::move(known)...));
    } else {
      using Next = std::tuple_element_t<kIndex, std::tuple<Arguments...>>;
      OrError<Next> next = Argument<Next>::Read(environment, values[kIndex]);
      return next ? Invoke(environment, values, known..., *next)
                  : ToResult(environment.env(), next.error().number());
    }
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
