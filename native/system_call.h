// System calls that both addons make themselves, so that a test can have any of them fail.
#ifndef MSHV_NATIVE_SYSTEM_CALL_H_
#define MSHV_NATIVE_SYSTEM_CALL_H_

#include <cerrno>
#include <cstddef>
#include <cstdint>

#include "backend.h"
#include "failed_step.h"
#include "or_error.h"
#include "ownership.h"

namespace mshv::kernel {

// Makes a call that gives an OrError, under the name that an error has for it.
template <typename Call>
auto Attempt(const char* name, Call call) -> decltype(call()) {
  const Error fault = backend::Fault(name);
  return Step(name, fault == 0 ? call() : fault);
}

// Makes a call that returns a negative value and sets errno where it fails.
template <typename Call>
OrError<int> Try(const char* name, Call call) {
  return Attempt(name, [&] {
    const int result = call();
    return FromKernel(result < 0 ? -errno : result);
  });
}

// Makes a call that returns 0, or its error: libuv's as a negative errno, POSIX threads' as a
// positive one.
template <typename Call>
OrError<void> TryDirect(const char* name, Call call) {
  return Attempt(name, [&] {
    const int error = call();
    return OrError<void>(Error(error > 0 ? -error : error));
  });
}

inline OrError<UniqueFd> Dup(int fd) {
  return Attempt("fcntl", [fd] { return UniqueFd::Dup(fd); });
}

// mmap(2), wherever there is room, to read and write.
inline OrError<Mapping> Map(size_t size, int flags, int fd, uint64_t offset) {
  return Attempt("mmap",
                 [&] { return Mapping::Create(size, PROT_READ | PROT_WRITE, flags, fd, offset); });
}

// Addresses without memory.
inline OrError<Mapping> Reserve(size_t size) {
  return Attempt("mmap", [&] {
    return Mapping::Create(size, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  });
}

// Map over a part of a mapping.
inline OrError<void> MapOver(const Mapping& mapping, size_t start, size_t size, int flags, int fd) {
  return Attempt("mmap",
                 [&] { return mapping.Replace(start, size, PROT_READ | PROT_WRITE, flags, fd); });
}

}  // namespace mshv::kernel

#endif  // MSHV_NATIVE_SYSTEM_CALL_H_
