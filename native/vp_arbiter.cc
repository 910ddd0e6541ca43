#include "vp_arbiter.h"

#include <fcntl.h>
#include <pthread.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
#ifdef __SANITIZE_THREAD__
#include <sanitizer/tsan_interface.h>
#endif

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <new>
#include <utility>

#include "abi/mshv.h"
#include "backend.h"
#include "ownership.h"
#include "sealed_file.h"
#include "system_call.h"

namespace mshv {

// The same in both addons, which may share one.
struct VpArbiter::Block {
  static constexpr uint64_t kMagic = 0x6d736876'72756e33;

  uint64_t magic = 0;
  // A timer means something in its own process only, and so does whoever holds the lock.
  pid_t process = 0;
  // Shared between mappings, which the lock takes for processes.
  pthread_mutex_t lock{};
  bool canceled = false;
  // Null where nobody holds the VP. It is there as long as it does.
  KickTarget* holder = nullptr;
  // The holder is between Enter and Leave, or was interrupted there and is about to enter again.
  bool running = false;
  // It is between Enter and Leave: its timer is for whoever has the lock.
  bool inside = false;
  bool kicked = false;
  uint32_t last_run = 0;
  size_t comes_again_size = 0;
  std::array<uint32_t, 64> comes_again{};
  // More than one where several environments have ended since the last run, each with one.
  size_t kept_size = 0;
  std::array<abi::mshv_run_vp, 8> kept{};
};

namespace {

constexpr size_t kSize = abi::MSHV_HV_PAGE_SIZE;

OrError<Mapping> Map(int fd) { return kernel::Map(kSize, MAP_SHARED, fd, 0); }

// Every environment has the lock at an address of its own, which ThreadSanitizer takes for a lock
// of its own. What it guards at one address for all of them is the holder.
#ifdef __SANITIZE_THREAD__
void AfterLock(KickTarget* holder) { __tsan_acquire(holder); }
void BeforeUnlock(KickTarget* holder) { __tsan_release(holder); }
#else
void AfterLock(const KickTarget*) {}
void BeforeUnlock(const KickTarget*) {}
#endif

}  // namespace

OrError<UniqueFd> VpArbiter::Create(std::span<const uint32_t> comes_again) {
  static_assert(sizeof(Block) <= kSize);
  if (comes_again.size() > Block{}.comes_again.size()) {
    return Error(-EINVAL);
  }
  OrError<UniqueFd> fd = kernel::CreateSealed("mshv_arbiter", kSize);
  if (!fd) {
    return fd;
  }
  const auto mapping = Map(fd->get());
  if (!mapping) {
    return mapping.error();
  }
  auto* const block = new (mapping->data()) Block;
  pthread_mutexattr_t attributes;
  pthread_mutexattr_init(&attributes);
  pthread_mutexattr_setpshared(&attributes, PTHREAD_PROCESS_SHARED);
  pthread_mutex_init(&block->lock, &attributes);
  pthread_mutexattr_destroy(&attributes);
  block->comes_again_size = comes_again.size();
  std::copy(comes_again.begin(), comes_again.end(), block->comes_again.begin());
  block->process = getpid();
  block->magic = Block::kMagic;
  return fd;
}

OrError<std::unique_ptr<VpArbiter>> VpArbiter::Open(int fd) {
  struct stat file {};
  if (const auto known = kernel::Try("fstat", [&] { return fstat(fd, &file); }); !known) {
    return known.error();
  }
  // Sealed, it cannot be cut off under a mapping.
  if (!S_ISREG(file.st_mode) || file.st_size != kSize) {
    return FailedAt("fstat", -EINVAL);
  }
  const auto seals = kernel::Try("fcntl", [&] { return fcntl(fd, F_GET_SEALS); });
  if (!seals || *seals != kernel::kSeals) {
    return seals ? FailedAt("fcntl", -EINVAL) : seals.error();
  }
  OrError<Mapping> mapping = Map(fd);
  if (!mapping) {
    return mapping.error();
  }
  std::unique_ptr<VpArbiter> arbiter(new VpArbiter(*std::move(mapping)));
  if (arbiter->block().magic != Block::kMagic || arbiter->block().process != getpid()) {
    return Error(-EINVAL);
  }
  return arbiter;
}

OrError<void> VpArbiter::Run(KickTarget& runner, int vp, void* message, bool hold) {
  if (const auto ended = Enter(runner, message, hold)) {
    return *ended;
  }
  return Leave(runner, backend::Ioctl(vp, abi::MSHV_RUN_VP, message).error(), hold);
}

bool VpArbiter::ComesOnce(OrError<void> result, const void* message) const {
  if (!result) {
    return result.error() == -ECANCELED;
  }
  uint32_t type = 0;
  std::memcpy(&type, message, sizeof(type));
  const auto again = std::span(block().comes_again).first(block().comes_again_size);
  return std::find(again.begin(), again.end(), type) == again.end();
}

void VpArbiter::Release(const KickTarget& runner, OrError<void> untold, const void* message) {
  const Lock lock(*this);
  if (!IsHeldBy(runner)) {
    return;
  }
  EndRun(/*hold=*/false);
  KeepLocked(untold, message);
}

void VpArbiter::Keep(OrError<void> untold, const void* message) {
  const Lock lock(*this);
  KeepLocked(untold, message);
}

void VpArbiter::KeepLocked(OrError<void> untold, const void* message) {
  if (!ComesOnce(untold, message)) {
    return;
  }
  if (untold.error() == -ECANCELED) {
    block().canceled = true;
    // Where the run under way cannot be interrupted it ends by the cancel when it is the next time.
    static_cast<void>(Kick());
    return;
  }
  // The oldest goes where nobody runs the VP but environments that end.
  if (block().kept_size == block().kept.size()) {
    DropKept();
  }
  std::memcpy(&block().kept.at(block().kept_size++), message, sizeof(abi::mshv_run_vp));
}

void VpArbiter::DropKept() {
  std::shift_left(block().kept.begin(), block().kept.end(), 1);
  --block().kept_size;
}

void VpArbiter::TakeKept(void* message) {
  std::memcpy(message, block().kept.data(), sizeof(abi::mshv_run_vp));
  DropKept();
}

OrError<void> VpArbiter::Cancel() {
  const Lock lock(*this);
  const bool before = std::exchange(block().canceled, true);
  const auto kicked = Kick();
  if (!kicked) {
    block().canceled = before;
  }
  return kicked;
}

OrError<void> VpArbiter::Interrupt(const KickTarget& runner) {
  const Lock lock(*this);
  return IsHeldBy(runner) ? Kick() : OrError<void>();
}

OrError<void> VpArbiter::End(KickTarget& runner) {
  const Lock lock(*this);
  const bool before = std::exchange(runner.ended, true);
  const auto kicked = IsHeldBy(runner) ? Kick() : OrError<void>();
  if (!kicked) {
    runner.ended = before;
  }
  return kicked;
}

void VpArbiter::Abandon(KickTarget& runner) {
  const Lock lock(*this);
  runner.ended = true;
}

int VpArbiter::LastRun() const {
  const Lock lock(*this);
  return static_cast<int>(NumberOfLastRun());
}

void VpArbiter::Acquire() const {
  pthread_mutex_lock(&block().lock);
  AfterLock(block().holder);
}

void VpArbiter::Release() const {
  BeforeUnlock(block().holder);
  pthread_mutex_unlock(&block().lock);
}

bool VpArbiter::Running() const { return block().running; }

uint32_t VpArbiter::NumberOfLastRun() const { return block().last_run; }

bool VpArbiter::IsHeldBy(const KickTarget& runner) const { return block().holder == &runner; }

// Who is not inside finds out when it is about to enter.
OrError<void> VpArbiter::Kick() {
  // The driver has no flag for leaving at once, so a kick that comes just before the ioctl is lost:
  // kicks are repeated.
  constexpr auto kInterval = std::chrono::microseconds(500);
  if (!block().inside) {
    return {};
  }
  // Where it is kicked already, somebody may have replaced the handler since.
  ThreadTimer& timer = block().holder->timer;
  const auto armed = timer.Arm(std::chrono::nanoseconds(1), kInterval);
  if (!armed && block().kicked) {
    timer.Disarm();
  }
  block().kicked = static_cast<bool>(armed);
  return armed;
}

// What the run has come to where it needs no VP.
std::optional<OrError<void>> VpArbiter::Enter(KickTarget& runner, void* message, bool hold) {
  const Lock lock(*this);
  if (block().holder != nullptr && !IsHeldBy(runner)) {
    return Error(runner.ended ? -ESHUTDOWN : -EBUSY);
  }
  block().holder = &runner;
  block().running = true;
  if (runner.ended) {
    EndRun(hold);
    return Error(-ESHUTDOWN);
  }
  if (std::exchange(block().canceled, false)) {
    EndRun(hold);
    return Error(-ECANCELED);
  }
  // It is an int for JavaScript.
  runner.run = block().last_run = block().last_run % INT32_MAX + 1;
  if (block().kept_size > 0) {
    TakeKept(message);
    EndRun(hold);
    return OrError<void>();
  }
  block().inside = true;
  return std::nullopt;
}

OrError<void> VpArbiter::Leave(const KickTarget& runner, OrError<void> result, bool hold) {
  const Lock lock(*this);
  block().inside = false;
  // Nothing else is to be interrupted by it.
  if (std::exchange(block().kicked, false)) {
    runner.timer.Disarm();
  }
  const bool interrupted = result.error() == -EINTR;
  // Where the runner ends as well, nobody would be told of the cancel.
  const bool acknowledged = interrupted && !runner.ended && std::exchange(block().canceled, false);
  if (!interrupted || acknowledged || runner.ended) {
    EndRun(hold);
  }
  return acknowledged ? Error(-ECANCELED) : result;
}

void VpArbiter::EndRun(bool hold) {
  block().running = false;
  if (!hold) {
    block().holder = nullptr;
  }
}

}  // namespace mshv
