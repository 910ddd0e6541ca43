#include "run_control.h"

#include <fcntl.h>
#include <pthread.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

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
  // A thread is between Enter and Leave, or was interrupted there and is about to enter again.
  bool running = false;
  bool kicked = false;
  // The running one's.
  timer_t runner{};
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
int RunControl::Create() {
  static_assert(sizeof(Block) <= kSize);
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

void RunControl::Keep(const abi::mshv_run_vp& message) {
  const Lock lock(*this);
  block().kept = message;
  block().has_kept = true;
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

void RunControl::GiveUp(const Runner& runner) {
  const Lock lock(*this);
  if (IsRunBy(runner)) {
    EndRun(runner);
  }
}

void RunControl::End(Runner& runner) {
  const Lock lock(*this);
  runner.ended = true;
  if (block().runner == runner.timer()) {
    Kick();
  }
}

void RunControl::Acquire() { pthread_mutex_lock(&block().lock); }

void RunControl::Release() { pthread_mutex_unlock(&block().lock); }

bool RunControl::Running() const { return block().running; }

bool RunControl::IsRunBy(const Runner& runner) const {
  return block().running && block().runner == runner.timer();
}

void RunControl::Kick() {
  if (block().running && !std::exchange(block().kicked, true)) {
    Runner::Kick(block().runner);
  }
}

int RunControl::Enter(const Runner& runner) {
  const Lock lock(*this);
  if (block().running && !IsRunBy(runner)) {
    return runner.ended ? -ESHUTDOWN : -EBUSY;
  }
  block().running = true;
  block().runner = runner.timer();
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
