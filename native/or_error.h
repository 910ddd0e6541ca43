#ifndef MSHV_NATIVE_OR_ERROR_H_
#define MSHV_NATIVE_OR_ERROR_H_

#include <concepts>
#include <type_traits>
#include <utility>

namespace mshv {

// A negative errno, or 0 for none.
class Error {
 public:
  explicit constexpr Error(int number) : number_(number) {}

  constexpr int number() const { return number_; }
  constexpr bool operator==(int number) const { return number_ == number; }
  constexpr bool operator==(const Error&) const = default;

 private:
  int number_;
};

// What a step has given, or why it failed. Numbers are not converted: an errno is no value.
template <typename Value>
class [[nodiscard]] OrError {
 public:
  OrError() = default;
  template <typename From>
  requires(std::same_as<std::remove_cvref_t<From>, Value> ||
           (!std::is_arithmetic_v<Value> && std::convertible_to<From, Value> &&
            !std::same_as<std::remove_cvref_t<From>, Error>)) OrError(From&& value)
      : value_(std::forward<From>(value)) {}
  OrError(Error error) : error_(error) {}

  explicit operator bool() const { return error_ == 0; }
  // 0 where there is a value.
  Error error() const { return error_; }

  // Of a value that is there; else an empty one.
  Value& operator*() & { return value_; }
  const Value& operator*() const& { return value_; }
  Value&& operator*() && { return std::move(value_); }
  Value* operator->() { return &value_; }
  const Value* operator->() const { return &value_; }

 private:
  Value value_{};
  Error error_{0};
};

// A step that gives nothing.
template <>
class [[nodiscard]] OrError<void> {
 public:
  OrError() = default;
  OrError(Error error) : error_(error) {}

  explicit operator bool() const { return error_ == 0; }
  Error error() const { return error_; }

 private:
  Error error_{0};
};

// What a function of the kernel's kind has returned: a value >= 0 or -errno.
inline OrError<int> FromKernel(int result) {
  return result < 0 ? OrError<int>(Error(result)) : OrError<int>(result);
}

}  // namespace mshv

#endif  // MSHV_NATIVE_OR_ERROR_H_
