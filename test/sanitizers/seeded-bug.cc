// One bug of each kind that the sanitizers are there to find, linked into the addons by run.ts and
// by nothing else. When the addon is loaded, it has the one that MSHV_SEEDED_BUG names.
#include <pthread.h>

#include <climits>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <string_view>

namespace {

// What the compiler cannot see through.
volatile int one = 1;

void HeapOverflow() {
  const std::unique_ptr<volatile char[]> bytes(new volatile char[16]);
  bytes[15 + one] = 1;
}

void UseAfterFree() {
  auto bytes = std::make_unique<char[]>(16);
  volatile char* const kept = bytes.get();
  bytes.reset();
  kept[one] = 1;
}

void SignedOverflow() { one = INT_MAX - 1 + one + one; }

void MisalignedLoad() {
  alignas(uint64_t) char bytes[16] = {};
  one = static_cast<int>(*reinterpret_cast<volatile uint64_t*>(bytes + one));
}

int shared = 0;

// Between two threads of its own: ThreadSanitizer looks away from one that loads a library.
void DataRace() {
  pthread_t threads[2] = {};
  const auto add = [](void*) -> void* {
    shared += one;
    return nullptr;
  };
  for (pthread_t& thread : threads) {
    if (pthread_create(&thread, nullptr, add, nullptr) != 0) {
      return;
    }
  }
  for (const pthread_t thread : threads) {
    pthread_join(thread, nullptr);
  }
}

void Leak() { std::memset(new char[48], one, 48); }

constexpr struct {
  std::string_view name;
  void (*make)();
} kBugs[] = {
    {"HeapOverflow", HeapOverflow},
    {"UseAfterFree", UseAfterFree},
    {"SignedOverflow", SignedOverflow},
    {"MisalignedLoad", MisalignedLoad},
    {"DataRace", DataRace},
    {"Leak", Leak},
};

[[gnu::constructor]] void Seed() {
  const char* const named = std::getenv("MSHV_SEEDED_BUG");
  for (const auto& [name, make] : kBugs) {
    if (named != nullptr && name == named) {
      make();
    }
  }
}

}  // namespace
