#ifndef MSHV_NATIVE_SEALED_FILE_H_
#define MSHV_NATIVE_SEALED_FILE_H_

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cstdint>

#include "ownership.h"
#include "system_call.h"

namespace mshv::kernel {

constexpr int kSeals = F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL;

// Makes a file without a name that nobody can resize.
inline OrError<UniqueFd> CreateSealed(const char* name, uint64_t size) {
  OrError<UniqueFd> file = Attempt("memfd_create", [&] {
    return UniqueFd::Of(memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING));
  });
  if (!file) {
    return file;
  }
  const int fd = file->get();
  if (const auto sized = Try("ftruncate", [&] { return ftruncate(fd, static_cast<off_t>(size)); });
      !sized) {
    return sized.error();
  }
  if (const auto sealed = Try("fcntl", [&] { return fcntl(fd, F_ADD_SEALS, kSeals); }); !sealed) {
    return sealed.error();
  }
  return file;
}

}  // namespace mshv::kernel

#endif  // MSHV_NATIVE_SEALED_FILE_H_
