#ifndef MSHV_NATIVE_SEALED_FILE_H_
#define MSHV_NATIVE_SEALED_FILE_H_

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cstdint>

#include "system_call.h"
#include "unique_fd.h"

namespace mshv::kernel {

constexpr int kSeals = F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL;

// Makes a file without a name that nobody can resize. Returns its descriptor or -errno.
inline int CreateSealed(const char* name, uint64_t size) {
  UniqueFd fd(
      Try("memfd_create", [&] { return memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING); }));
  if (!fd) {
    return fd.get();
  }
  if (const int error =
          Try("ftruncate", [&] { return ftruncate(fd.get(), static_cast<off_t>(size)); });
      error < 0) {
    return error;
  }
  if (const int error = Try("fcntl", [&] { return fcntl(fd.get(), F_ADD_SEALS, kSeals); });
      error < 0) {
    return error;
  }
  return fd.release();
}

}  // namespace mshv::kernel

#endif  // MSHV_NATIVE_SEALED_FILE_H_
