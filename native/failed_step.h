#ifndef MSHV_NATIVE_FAILED_STEP_H_
#define MSHV_NATIVE_FAILED_STEP_H_

#include <cstdint>
#include <utility>

#include "or_error.h"

namespace mshv {

// Which step of a function has failed: a call by its name, an ioctl by its request. The name is
// empty where there was none, because the function itself refused.
struct FailedStep {
  const char* name = "";
  uint32_t request = 0;
};

// The last one of the calling thread, beside the errno that the function returns, as errno(3) is
// beside a result. Each function that JavaScript calls begins with none.
inline constinit thread_local FailedStep failed_step;

// Passes on what a step gave, and notes the step where it failed.
template <typename Value>
OrError<Value> Step(const char* name, OrError<Value> result) {
  if (!result) {
    failed_step = {.name = name};
  }
  return result;
}

// The same for a step that the function itself takes for failed.
inline Error FailedAt(const char* name, int error) {
  failed_step = {.name = name};
  return Error(error);
}

inline OrError<int> IoctlStep(uint32_t request, OrError<int> result) {
  if (!result) {
    failed_step = {.name = "ioctl", .request = request};
  }
  return result;
}

}  // namespace mshv

#endif  // MSHV_NATIVE_FAILED_STEP_H_
