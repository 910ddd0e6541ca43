// System calls that both addons make themselves, so that a test can have any of them fail.
#ifndef MSHV_NATIVE_SYSTEM_CALL_H_
#define MSHV_NATIVE_SYSTEM_CALL_H_

#include <sys/mman.h>

#include <cerrno>
#include <cstddef>
#include <cstdint>

#include "failed_step.h"
#include "syscalls.h"

namespace mshv::kernel {

// Makes a call that returns a value >= 0 or -errno, under the name that an error has for it.
template <typename Call>
int Attempt(const char* name, Call call) {
  const int error = sys::Fault(name);
  return Step(name, error < 0 ? error : call());
}

// Makes a call that returns a negative value and sets errno where it fails. Returns its result or
// -errno.
template <typename Call>
int Try(const char* name, Call call) {
  return Attempt(name, [&] {
    const int result = call();
    return result < 0 ? -errno : result;
  });
}

// Makes a call that returns 0, or its error: libuv's as a negative errno, POSIX threads' as a
// positive one. Returns 0 or -errno.
template <typename Call>
int TryDirect(const char* name, Call call) {
  return Attempt(name, [&] {
    const int error = call();
    return error > 0 ? -error : error;
  });
}

// mmap(2). Returns 0 or -errno.
inline int Map(void* where, size_t size, int protection, int flags, int fd, uint64_t offset,
               void** data) {
  return Try("mmap", [&] {
    *data = mmap(where, size, protection, flags, fd, static_cast<off_t>(offset));
    return *data == MAP_FAILED ? -1 : 0;
  });
}

}  // namespace mshv::kernel

#endif  // MSHV_NATIVE_SYSTEM_CALL_H_
