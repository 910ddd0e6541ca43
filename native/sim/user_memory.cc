#include "user_memory.h"

#include <sys/mman.h>
#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "../abi/mshv.h"

namespace mshv::sim {
namespace {

// TASK_SIZE_MAX with the page tables that mmap(2) uses unless it is asked for others.
#if defined(__x86_64__)
constexpr uint64_t kEnd = (uint64_t{1} << 47) - abi::MSHV_HV_PAGE_SIZE;
#else
constexpr uint64_t kEnd = uint64_t{1} << 48;
#endif

// Linux 5.14 and later; glibc may be older.
constexpr int kPopulateWrite = 23;

// NOLINTNEXTLINE(performance-no-int-to-ptr): addresses come from system call arguments.
void* Pointer(uint64_t address) { return reinterpret_cast<void*>(address); }

}  // namespace

bool CopyFromUser(void* to, uint64_t from, size_t size) {
  if (size == 0) {
    return true;
  }
  const iovec local{.iov_base = to, .iov_len = size};
  const iovec remote{.iov_base = Pointer(from), .iov_len = size};
  return process_vm_readv(getpid(), &local, 1, &remote, 1, 0) == static_cast<ssize_t>(size);
}

bool CopyToUser(uint64_t to, const void* from, size_t size) {
  if (size == 0) {
    return true;
  }
  const iovec local{.iov_base = const_cast<void*>(from), .iov_len = size};
  const iovec remote{.iov_base = Pointer(to), .iov_len = size};
  return process_vm_writev(getpid(), &local, 1, &remote, 1, 0) == static_cast<ssize_t>(size);
}

bool InUserSpace(uint64_t address, uint64_t size) {
  const uint64_t end = address + size;
  return end >= address && end <= kEnd;
}

bool IsMapped(uint64_t address) {
  unsigned char resident = 0;
  return mincore(Pointer(address), 1, &resident) == 0 || errno != ENOMEM;
}

bool FaultIn(uint64_t address, uint64_t size) {
  if (madvise(Pointer(address), size, kPopulateWrite) == 0) {
    return true;
  }
  // An older kernel does not know the advice even for nothing.
  if (errno != EINVAL || madvise(Pointer(address), 0, kPopulateWrite) == 0) {
    return false;
  }
  for (uint64_t page = 0; page < size; page += abi::MSHV_HV_PAGE_SIZE) {
    unsigned char byte = 0;
    if (!CopyFromUser(&byte, address + page, 1)) {
      return false;
    }
  }
  return true;
}

}  // namespace mshv::sim
