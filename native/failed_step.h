#ifndef MSHV_NATIVE_FAILED_STEP_H_
#define MSHV_NATIVE_FAILED_STEP_H_

#include <cstdint>

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

// Passes on what a step returned, a value >= 0 or -errno, and notes the step where it failed.
inline int Step(const char* name, int result) {
  if (result < 0) {
    failed_step = {.name = name};
  }
  return result;
}

inline int IoctlStep(uint32_t request, int result) {
  if (result < 0) {
    failed_step = {.name = "ioctl", .request = request};
  }
  return result;
}

}  // namespace mshv

#endif  // MSHV_NATIVE_FAILED_STEP_H_
