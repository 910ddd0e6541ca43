#include "run_control.h"

#include <fcntl.h>
#include <pthread.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <new>
#include <utility>

#include "abi/mshv.h"
#include "sealed_file.h"
#include "syscalls.h"
#include "system_call.h"
#include "unique_fd.h"

namespace mshv {

// The same in both addons, which may share one.
struct RunControl::Block {
  static constexpr uint64_t kMagic = 0x6d736876'72756e31;

  uint64_t magic = 0;
  // A timer means something in its own process only, and so does whoever holds the lock.
  pid_t process = 0;
  // Shared between mappings, which the lock takes for processes.
  pthread_mutex_t lock{};
  bool canceled = false;
  // Null where nobody holds the VP. It is there as long as it does.
  const void* holder = nullptr;
  // The holder is between Enter and Leave, or was interrupted there and is about to enter again.
  bool running = false;
  bool kicked = false;
  // The running one's.
  timer_t timer{};
  size_t comes_again_size = 0;
  std::array<uint32_t, 64> comes_again{};
  bool has_kept = false;
  abi::mshv_run_vp kept{};
};

namespace {

constexpr size_t kSize = abi::MSHV_HV_PAGE_SIZE;

int Map(int fd, Mapping* mapping) {
  void* data = nullptr;
  if (const int error =
          kernel::Map(nullptr, kSize, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0, &data);
      error < 0) {
    return error;
  }
  *mapping = Mapping(data, kSize);
  return 0;
}

}  // namespace

int RunControl::Create(std::span<const uint32_t> comes_again) {
  static_assert(sizeof(Block) <= kSize);
  if (comes_again.size() > Block{}.comes_again.size()) {
    return -EINVAL;
  }
  UniqueFd fd(kernel::CreateSealed("mshv_run_control", kSize));
  if (!fd) {
    return fd.get();
  }
  Mapping mapping;
  if (const int error = Map(fd.get(), &mapping); error < 0) {
    return error;
  }
  auto* const block = new (mapping.data()) Block;
  pthread_mutexattr_t attributes;
  pthread_mutexattr_init(&attributes);
  pthread_mutexattr_setpshared(&attributes, PTHREAD_PROCESS_SHARED);
  pthread_mutex_init(&block->lock, &attributes);
  pthread_mutexattr_destroy(&attributes);
  block->comes_again_size = comes_again.size();
  std::copy(comes_again.begin(), comes_again.end(), block->comes_again.begin());
  block->process = getpid();
  block->magic = Block::kMagic;
  return fd.release();
}

int RunControl::Open(int fd, std::unique_ptr<RunControl>* control) {
  struct stat file {};
  if (const int error = kernel::Try("fstat", [&] { return fstat(fd, &file); }); error < 0) {
    return error;
  }
  // Sealed, it cannot be cut off under a mapping.
  if (!S_ISREG(file.st_mode) || file.st_size != kSize) {
    return Step("fstat", -EINVAL);
  }
  const int seals = kernel::Try("fcntl", [&] { return fcntl(fd, F_GET_SEALS); });
  if (seals != kernel::kSeals) {
    return seals < 0 ? seals : Step("fcntl", -EINVAL);
  }
  Mapping mapping;
  if (const int error = Map(fd, &mapping); error < 0) {
    return error;
  }
  std::unique_ptr<RunControl> opened(new RunControl(std::move(mapping)));
  if (opened->block().magic != Block::kMagic || opened->block().process != getpid()) {
    return -EINVAL;
  }
  *control = std::move(opened);
  return 0;
}

int RunControl::Run(Runner& runner, int vp, void* message) {
  if (const int error = Enter(runner); error < 0) {
    return error;
  }
  return Leave(runner, TakeKept(message) ? 0 : sys::Ioctl(vp, abi::MSHV_RUN_VP, message));
}

bool RunControl::ComesOnce(int result, const void* message) const {
  if (result < 0) {
    return result == -ECANCELED;
  }
  uint32_t type = 0;
  std::memcpy(&type, message, sizeof(type));
  const auto again = std::span(block().comes_again).first(block().comes_again_size);
  return std::find(again.begin(), again.end(), type) == again.end();
}

void RunControl::Release(const Runner& runner, int untold, const void* message) {
  const Lock lock(*this);
  if (!IsHeldBy(runner)) {
    return;
  }
  EndRun(runner);
  block().holder = nullptr;
  if (!ComesOnce(untold, message)) {
    return;
  }
  if (untold == -ECANCELED) {
    block().canceled = true;
  } else {
    std::memcpy(&block().kept, message, sizeof(block().kept));
    block().has_kept = true;
  }
}

bool RunControl::TakeKept(void* message) {
  const Lock lock(*this);
  if (!std::exchange(block().has_kept, false)) {
    return false;
  }
  std::memcpy(message, &block().kept, sizeof(block().kept));
  return true;
}

void RunControl::Cancel() {
  const Lock lock(*this);
  block().canceled = true;
  Kick();
}

void RunControl::End(Runner& runner) {
  const Lock lock(*this);
  runner.ended = true;
  if (IsHeldBy(runner)) {
    Kick();
  }
}

void RunControl::Acquire() { pthread_mutex_lock(&block().lock); }

void RunControl::Release() { pthread_mutex_unlock(&block().lock); }

bool RunControl::Running() const { return block().running; }

bool RunControl::IsHeldBy(const Runner& runner) const { return block().holder == &runner; }

void RunControl::Kick() {
  if (block().running && !std::exchange(block().kicked, true)) {
    Runner::Kick(block().timer);
  }
}

int RunControl::Enter(const Runner& runner) {
  const Lock lock(*this);
  if (block().holder != nullptr && !IsHeldBy(runner)) {
    return runner.ended ? -ESHUTDOWN : -EBUSY;
  }
  block().holder = &runner;
  block().running = true;
  block().timer = runner.timer();
  const bool canceled = !runner.ended && std::exchange(block().canceled, false);
  if (runner.ended || canceled) {
    EndRun(runner);
    return canceled ? -ECANCELED : -ESHUTDOWN;
  }
  return 0;
}

int RunControl::Leave(const Runner& runner, int result) {
  const Lock lock(*this);
  // Where the runner ends as well, nobody would be told of the cancel.
  const bool acknowledged =
      result == -EINTR && !runner.ended && std::exchange(block().canceled, false);
  if (result != -EINTR || acknowledged || runner.ended) {
    EndRun(runner);
  }
  return acknowledged ? -ECANCELED : result;
}

void RunControl::EndRun(const Runner& runner) {
  block().running = false;
  if (std::exchange(block().kicked, false)) {
    runner.Rest();
  }
}

}  // namespace mshv
