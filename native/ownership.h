// Who owns what the kernel has given: descriptors, and ranges of the address space.
#ifndef MSHV_NATIVE_OWNERSHIP_H_
#define MSHV_NATIVE_OWNERSHIP_H_

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <utility>

#include "or_error.h"

namespace mshv {

// Owns one descriptor, or none.
class UniqueFd {
 public:
  UniqueFd() = default;
  explicit UniqueFd(int fd) : fd_(fd) {}
  UniqueFd(UniqueFd&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  UniqueFd& operator=(UniqueFd&& other) noexcept {
    std::swap(fd_, other.fd_);
    return *this;
  }
  ~UniqueFd() { reset(); }

  // What a function has returned that sets errno where it fails.
  static OrError<UniqueFd> Of(int result) {
    return result < 0 ? OrError<UniqueFd>(Error(-errno)) : UniqueFd(result);
  }
  // A descriptor more of what `fd` refers to.
  static OrError<UniqueFd> Dup(int fd) { return Of(fcntl(fd, F_DUPFD_CLOEXEC, 0)); }

  int get() const { return fd_; }
  explicit operator bool() const { return fd_ >= 0; }
  [[nodiscard]] int release() { return std::exchange(fd_, -1); }
  void reset() {
    if (fd_ >= 0) {
      close(release());
    }
  }

 private:
  int fd_ = -1;
};

// Owns a range of the address space that mmap(2) gave, or none.
class Mapping {
 public:
  Mapping() = default;
  Mapping(Mapping&& other) noexcept
      : data_(std::exchange(other.data_, nullptr)), size_(std::exchange(other.size_, 0)) {}
  Mapping& operator=(Mapping&& other) noexcept {
    std::swap(data_, other.data_);
    std::swap(size_, other.size_);
    return *this;
  }
  ~Mapping() { Unmap(data_, size_); }

  // mmap(2), wherever there is room.
  static OrError<Mapping> Create(size_t size, int protection, int flags, int fd, uint64_t offset) {
    void* const data = mmap(nullptr, size, protection, flags, fd, static_cast<off_t>(offset));
    if (data == MAP_FAILED) {
      return Error(-errno);
    }
    return Mapping(static_cast<uint8_t*>(data), size);
  }

  explicit operator bool() const { return data_ != nullptr; }
  uint8_t* data() const { return data_; }
  size_t size() const { return size_; }

  // mmap(2) over a part of it. Whoever uses the pages meanwhile is right to, but ThreadSanitizer
  // takes libc's function for a write to them.
  OrError<void> Replace(size_t start, size_t size, int protection, int flags, int fd) const {
    return syscall(SYS_mmap, data_ + start, size, long{protection}, long{flags | MAP_FIXED},
                   long{fd}, 0L) == -1
               ? OrError<void>(Error(-errno))
               : OrError<void>();
  }
  // Unmaps what is outside of the part.
  void Trim(size_t start, size_t size) {
    Unmap(data_, start);
    Unmap(data_ + start + size, size_ - start - size);
    data_ += start;
    size_ = size;
  }
  // From now on the range is never unmapped.
  void Abandon() { data_ = nullptr; }

 private:
  Mapping(uint8_t* data, size_t size) : data_(data), size_(size) {}

  static void Unmap(uint8_t* data, size_t size) {
    if (data != nullptr && size != 0) {
      munmap(data, size);
    }
  }

  uint8_t* data_ = nullptr;
  size_t size_ = 0;
};

}  // namespace mshv

#endif  // MSHV_NATIVE_OWNERSHIP_H_
