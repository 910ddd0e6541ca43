#ifndef MSHV_NATIVE_UNIQUE_FD_H_
#define MSHV_NATIVE_UNIQUE_FD_H_

#include <unistd.h>

#include <utility>

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

}  // namespace mshv

#endif  // MSHV_NATIVE_UNIQUE_FD_H_
