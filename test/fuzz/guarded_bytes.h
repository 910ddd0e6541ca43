#ifndef MSHV_TEST_FUZZ_GUARDED_BYTES_H_
#define MSHV_TEST_FUZZ_GUARDED_BYTES_H_

#include <sanitizer/asan_interface.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <span>

namespace mshv::fuzz {

// Bytes that nobody may read or write beyond. AddressSanitizer sees those who do by themselves, and
// Check those who had the kernel do it.
class GuardedBytes {
 public:
  // Zeros.
  explicit GuardedBytes(size_t size) : size_(size), memory_(new uint8_t[size + kGuard]()) {
    memset(memory_.get() + size_, kPattern, kGuard);
    ASAN_POISON_MEMORY_REGION(memory_.get() + size_, kGuard);
  }

  explicit GuardedBytes(std::span<const uint8_t> bytes) : GuardedBytes(bytes.size()) {
    std::ranges::copy(bytes, memory_.get());
  }

  ~GuardedBytes() { ASAN_UNPOISON_MEMORY_REGION(memory_.get() + size_, kGuard); }

  GuardedBytes(const GuardedBytes&) = delete;
  GuardedBytes& operator=(const GuardedBytes&) = delete;

  std::span<uint8_t> bytes() const { return {memory_.get(), size_}; }

  void Check() const {
    const std::span guard(memory_.get() + size_, kGuard);
    ASAN_UNPOISON_MEMORY_REGION(guard.data(), guard.size());
    if (std::ranges::any_of(guard, [](uint8_t byte) { return byte != kPattern; })) {
      fprintf(stderr, "bytes behind a buffer of %zu were written\n", size_);
      abort();
    }
    ASAN_POISON_MEMORY_REGION(guard.data(), guard.size());
  }

 private:
  // As much as a hypercall can have of input or output.
  static constexpr size_t kGuard = 4096;
  static constexpr uint8_t kPattern = 0xa5;

  const size_t size_;
  const std::unique_ptr<uint8_t[]> memory_;
};

}  // namespace mshv::fuzz

#endif  // MSHV_TEST_FUZZ_GUARDED_BYTES_H_
