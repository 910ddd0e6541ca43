#include "user_memory.h"

#include <fcntl.h>
#include <limits.h>
#include <sys/mman.h>
#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "../abi/mshv.h"
#include "../ownership.h"

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

// The kernel was built without it, or a filter forbids it.
bool IsUnavailable(int error) { return error == ENOSYS || error == EPERM; }

// Through the kernel, which looks at both sides.
bool CopyByPipe(void* to, const void* from, size_t size) {
  int ends[2] = {-1, -1};
  if (pipe2(ends, O_CLOEXEC | O_NONBLOCK) < 0) {
    return false;
  }
  const UniqueFd out(ends[0]);
  const UniqueFd in(ends[1]);
  // What a pipe always has room for.
  constexpr size_t kPart = PIPE_BUF;
  for (size_t done = 0; done < size; done += kPart) {
    const size_t part = std::min(kPart, size - done);
    const auto expected = static_cast<ssize_t>(part);
    if (write(in.get(), static_cast<const uint8_t*>(from) + done, part) != expected ||
        read(out.get(), static_cast<uint8_t*>(to) + done, part) != expected) {
      return false;
    }
  }
  return true;
}

}  // namespace

bool CopyFromUser(void* to, uint64_t from, size_t size) {
  if (size == 0) {
    return true;
  }
  const iovec local{.iov_base = to, .iov_len = size};
  const iovec remote{.iov_base = Pointer(from), .iov_len = size};
  const ssize_t copied = process_vm_readv(getpid(), &local, 1, &remote, 1, 0);
  return copied < 0 && IsUnavailable(errno) ? CopyByPipe(to, Pointer(from), size)
                                            : copied == static_cast<ssize_t>(size);
}

bool CopyToUser(uint64_t to, const void* from, size_t size) {
  if (size == 0) {
    return true;
  }
  const iovec local{.iov_base = const_cast<void*>(from), .iov_len = size};
  const iovec remote{.iov_base = Pointer(to), .iov_len = size};
  const ssize_t copied = process_vm_writev(getpid(), &local, 1, &remote, 1, 0);
  return copied < 0 && IsUnavailable(errno) ? CopyByPipe(Pointer(to), from, size)
                                            : copied == static_cast<ssize_t>(size);
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
