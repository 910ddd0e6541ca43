#include "host.h"

#include <time.h>

#include <algorithm>
#include <cerrno>
#include <utility>
#include <vector>

#include "../abi/hypercalls.h"
#include "../kernel_eventfd.h"
#include "file.h"
#include "registry.h"

namespace mshv::sim {
namespace {

uint64_t MonotonicNanoseconds() {
  timespec now{};
  clock_gettime(CLOCK_MONOTONIC, &now);
  return static_cast<uint64_t>(now.tv_sec) * 1'000'000'000 + static_cast<uint64_t>(now.tv_nsec);
}

}  // namespace

Host::Host(int id, const HostOptions& options, const void* owner)
    : id_(id),
      options_(options),
      owner_(owner),
      watcher_([this] { Settle(); }),
      irqfds_(*this, watcher_) {}

OrError<Opened> Host::Ioctl(File& file, uint32_t request, void* argument) {
  const std::lock_guard guard(lock_);
  const auto begun = Begin(request);
  return begun ? file.Handle(request, argument) : begun.error();
}

OrError<void> Host::Begin(uint32_t request) {
  irqfds_.ProcessPending();
  ++calls_[request];
  const int fault = faults_[request].Next();
  return Error(Dead() ? -EIO : fault);
}

void Host::Release(Partition& partition) {
  const std::lock_guard guard(lock_);
  irqfds_.ProcessPending();
  partition.doorbells.Clear();
  irqfds_.Release(partition);
  partitions_.erase(&partition);
  DropListeners(partition);
}

void Host::Forget(EventFdId id) {
  const std::lock_guard guard(lock_);
  irqfds_.ProcessPending();
  irqfds_.Forget(id);
  for (Partition* partition : partitions_) {
    std::erase_if(partition->listeners, [id](const Listener& known) { return known.id == id; });
  }
  UpdateRegistry(id);
}

OrError<void> Host::Write(EventFdId id, int fd, uint64_t value, bool bounded) {
  const std::lock_guard guard(lock_);
  return irqfds_.Contains(id) ? irqfds_.Write(id, fd, value, bounded)
                              : kernel::EventFdWrite(fd, value, bounded);
}

OrError<uint64_t> Host::Read(EventFdId id, int fd) {
  const std::lock_guard guard(lock_);
  irqfds_.ProcessPending();
  return irqfds_.Contains(id) ? irqfds_.Read(id, fd) : kernel::EventFdRead(fd);
}

OrError<bool> Host::Poll(EventFdId id, int fd) {
  const std::lock_guard guard(lock_);
  irqfds_.ProcessPending();
  return irqfds_.Contains(id) ? irqfds_.Poll(id) : kernel::EventFdPoll(fd);
}

void Host::Destroy() {
  {
    const std::lock_guard guard(lock_);
    irqfds_.ProcessPending();
    destroyed_ = true;
    irqfds_.Clear();
    for (Partition* partition : partitions_) {
      partition->doorbells.Clear();
      DropListeners(*partition);
    }
    WakeRunners();
  }
  watcher_.Stop();
}

void Host::Settle() {
  const std::lock_guard guard(lock_);
  irqfds_.ProcessPending();
}

OrError<void> Host::AddListener(Partition& partition, int fd) {
  const std::lock_guard guard(lock_);
  if (Dead() || !partitions_.contains(&partition)) {
    return Error(-EIO);
  }
  OrError<OwnEventFd> own = AcquireEventFd(fd);
  if (!own) {
    return own.error();
  }
  const EventFdId id = own->identity.id;
  partition.listeners.push_back({id, std::move(own->fd)});
  UpdateRegistry(id);
  return {};
}

OrError<int> Host::EndOfInterrupt(Partition& partition, uint32_t vp, uint32_t vector) {
  const std::lock_guard guard(lock_);
  irqfds_.ProcessPending();
  if (Dead()) {
    return Error(-EIO);
  }
  if (partition.FindVp(vp) == nullptr || vector > UINT8_MAX) {
    return Error(-EINVAL);
  }
  return IrqFds::Acknowledge(partition, vp, vector);
}

void Host::FailNext(uint32_t request, int error, uint32_t after, uint32_t count) {
  const std::lock_guard guard(lock_);
  faults_[request] = {.answer = -error, .after = after, .count = count};
}

uint64_t Host::Calls(uint32_t request) {
  const std::lock_guard guard(lock_);
  const auto found = calls_.find(request);
  return found == calls_.end() ? 0 : found->second;
}

std::string Host::Oops() {
  const std::lock_guard guard(lock_);
  irqfds_.ProcessPending();
  return oops_;
}

OrError<void> Host::AddSteps(Partition& partition, uint32_t vp, std::span<const GuestStep> steps) {
  const std::lock_guard guard(lock_);
  irqfds_.ProcessPending();
  if (Dead()) {
    return Error(-EIO);
  }
  VirtualProcessor* found = partition.FindVp(vp);
  if (found == nullptr) {
    return Error(-EINVAL);
  }
  if (steps.size() > kMostSteps - found->steps.size()) {
    return Error(-ENOBUFS);
  }
  found->steps.insert(found->steps.end(), steps.begin(), steps.end());
  TryRun(partition, *found);
  return {};
}

OrError<int> Host::PendingSteps(Partition& partition, uint32_t vp) {
  const std::lock_guard guard(lock_);
  VirtualProcessor* found = partition.FindVp(vp);
  return found == nullptr ? Error(-EINVAL) : OrError<int>(static_cast<int>(found->steps.size()));
}

OrError<void> Host::GuestAccess(Partition& partition, uint64_t gpa, std::span<uint8_t> bytes,
                                bool write) {
  const std::lock_guard guard(lock_);
  if (Dead()) {
    return Error(-EIO);
  }
  const auto fault = partition.Access(gpa, bytes, write);
  return fault ? OrError<void>(fault->error) : OrError<void>();
}

OrError<int> Host::WriteMmio(Partition& partition, uint64_t gpa, uint32_t size, uint64_t value) {
  const std::lock_guard guard(lock_);
  irqfds_.ProcessPending();
  return Dead() ? Error(-EIO) : OrError<int>(Ring(partition, gpa, size, value));
}

void Host::PlanRefusal(uint16_t code, Refusal refusal, uint32_t after, uint32_t count) {
  const std::lock_guard guard(lock_);
  refusals_[code] = {.answer = refusal, .after = after, .count = count};
}

OrError<void> Host::SetDoorbell(Partition& partition, const abi::mshv_user_ioeventfd& argument) {
  const auto known = [this](int fd) { return irqfds_.Identify(fd); };
  return partition.doorbells.Set(*this, known, argument);
}

std::shared_ptr<Partition> Host::NewPartition(bool has_apics) {
  auto partition =
      std::make_shared<Partition>(++partitions_created_, options_.architecture, has_apics, *this);
  partitions_.insert(partition.get());
  return partition;
}

void Host::Assert(Partition& partition, const LapicInterrupt& interrupt) {
  if (!Refuse(abi::HVCALL_ASSERT_VIRTUAL_INTERRUPT)) {
    Inject(partition, interrupt);
  }
}

void Host::AssertFast(Partition& partition, const LapicInterrupt& interrupt) {
  Record(partition, interrupt, static_cast<uint32_t>(interrupt.destination), true);
}

void Host::Inject(Partition& partition, const LapicInterrupt& interrupt,
                  const VirtualProcessor* target) {
  // On arm64 it names none.
  if (target == nullptr && !interrupt.logical && partition.IsX64()) {
    target = partition.FindByApicId(interrupt.destination);
  }
  for (auto& [vp, vectors] : partition.fast_in_service) {
    if ((interrupt.logical || (target != nullptr && vp == target->index)) &&
        interrupt.vector < vectors.size()) {
      vectors.reset(interrupt.vector);
    }
  }
  Record(partition, interrupt, target == nullptr ? std::nullopt : std::optional(target->index),
         false);
}

void Host::Record(Partition& partition, const LapicInterrupt& interrupt, std::optional<uint32_t> vp,
                  bool fast) {
  if (partition.interrupts.size() == kMostInterrupts) {
    partition.interrupts.pop_front();
    ++partition.interrupts_lost;
  }
  partition.interrupts.push_back({.sequence = ++interrupts_recorded_,
                                  .interrupt = interrupt,
                                  .vp = vp,
                                  .fast = fast,
                                  .time = MonotonicNanoseconds()});
  for (const Listener& listener : partition.listeners) {
    kernel::EventFdSignal(listener.fd.get());
  }
}

void Host::Crash(const std::string& oops) {
  oops_ = oops;
  WakeRunners();
}

// Each doorbell is a signal of its own, also where two have one eventfd.
int Host::Ring(Partition& partition, uint64_t gpa, uint32_t size, uint64_t value) {
  return partition.doorbells.Ring(gpa, size, value, [this](const Doorbell& doorbell) {
    if (irqfds_.Contains(doorbell.id)) {
      irqfds_.Signal(doorbell.id, doorbell.fd.get());
    } else {
      kernel::EventFdSignal(doorbell.fd.get());
    }
  });
}

void Host::HookChanged(EventFdId id) { UpdateRegistry(id); }

EventFdId Host::KnownEventFd(int fd) const { return Registry::Get().FindEventFd(fd).id; }

bool Host::IsSemaphore(EventFdId id) const { return Registry::Get().IsSemaphore(id); }

bool Host::Listens(EventFdId id) const {
  return std::any_of(partitions_.begin(), partitions_.end(), [id](const Partition* partition) {
    return std::any_of(partition->listeners.begin(), partition->listeners.end(),
                       [id](const Listener& known) { return known.id == id; });
  });
}

void Host::DropListeners(Partition& partition) {
  const std::vector<Listener> listeners = std::exchange(partition.listeners, {});
  for (const Listener& listener : listeners) {
    // Whoever waits for an interrupt is to see that none will come.
    kernel::EventFdSignal(listener.fd.get());
    UpdateRegistry(listener.id);
  }
}

void Host::UpdateRegistry(EventFdId id) {
  if (irqfds_.Contains(id) || Listens(id)) {
    Registry::Get().Attach(id, shared_from_this());
  } else {
    Registry::Get().Detach(id, *this);
  }
}

}  // namespace mshv::sim
