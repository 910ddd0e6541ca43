#ifndef MSHV_BENCH_CHECK_H_
#define MSHV_BENCH_CHECK_H_

#include <err.h>

#include <cerrno>
#include <type_traits>
#include <utility>

#include "../native/or_error.h"

namespace mshv::bench {

// What a step has given; the program ends where it failed.
template <typename Result>
auto Check(Result result, const char* what) {
  if (!result) {
    errno = -result.error().number();
    err(1, "%s", what);
  }
  if constexpr (!std::is_same_v<Result, OrError<void>>) {
    return *std::move(result);
  }
}

}  // namespace mshv::bench

#endif  // MSHV_BENCH_CHECK_H_
