#include "irqfds.h"

#include <algorithm>
#include <cerrno>
#include <utility>

#include "../abi/hv.h"
#include "../kernel_eventfd.h"

namespace mshv::sim {
namespace {

constexpr uint32_t kDeassign = 1u << abi::MSHV_IRQFD_BIT_DEASSIGN;
constexpr uint32_t kResample = 1u << abi::MSHV_IRQFD_BIT_RESAMPLE;

}  // namespace

void IrqFds::ProcessPending() {
  for (const EventFdId id : watcher_.Take()) {
    Wake(id);
  }
}

OrError<void> IrqFds::Set(Partition& partition, const abi::mshv_user_irqfd& argument) {
  if ((argument.flags & ~abi::MSHV_IRQFD_FLAGS_MASK) != 0) {
    return Error(-EINVAL);
  }
  return (argument.flags & kDeassign) != 0 ? Deassign(partition, argument)
                                           : Assign(partition, argument);
}

// Reading /proc would take longer than all the rest of arming.
OrError<EventFdIdentity> IrqFds::Identify(int fd) const {
  const EventFdId id = host_.KnownEventFd(fd);
  return id != 0 ? OrError<EventFdIdentity>(EventFdIdentity{.id = id}) : IdentifyEventFd(fd);
}

OrError<void> IrqFds::Assign(Partition& partition, const abi::mshv_user_irqfd& argument) {
  OrError<UniqueFd> event = UniqueFd::Dup(argument.fd);
  if (!event) {
    return event.error();
  }
  const auto identity = Identify(argument.fd);
  if (!identity) {
    return identity.error();
  }
  IrqFd irqfd{argument.gsi, argument.flags, {}};
  if ((argument.flags & kResample) != 0) {
    OrError<OwnEventFd> resample = AcquireEventFd(argument.resamplefd);
    if (!resample) {
      return resample.error();
    }
    irqfd.resample = std::move(resample->fd);
  }
  if (partition.irqfds.contains(identity->id)) {
    return Error(-EBUSY);
  }
  if (partition.IsX64() && irqfd.resample && !partition.Route(irqfd.gsi).level) {
    return Error(-EINVAL);
  }
  const auto signalled = AddWaiter(partition, *std::move(event), *identity);
  if (!signalled) {
    return signalled.error();
  }
  const auto [added, _] = partition.irqfds.emplace(identity->id, std::move(irqfd));
  // Not through the wake-up: the counter stays, and the fast path is not taken.
  if (*signalled) {
    AssertSlow(partition, added->second);
  }
  return {};
}

OrError<void> IrqFds::Deassign(Partition& partition, const abi::mshv_user_irqfd& argument) {
  const auto identity = Identify(argument.fd);
  if (!identity) {
    return identity.error();
  }
  const auto found = partition.irqfds.find(identity->id);
  if (found != partition.irqfds.end() && found->second.gsi == argument.gsi) {
    Remove(partition, identity->id);
  }
  return {};
}

OrError<bool> IrqFds::AddWaiter(Partition& partition, UniqueFd fd,
                                const EventFdIdentity& identity) {
  const EventFdId id = identity.id;
  if (const auto found = hooks_.find(id); found != hooks_.end()) {
    found->second.waiters.push_back(&partition);
    return found->second.left > 0;
  }
  if (const auto watched = watcher_.Watch(id, fd.get()); !watched) {
    return watched.error();
  }
  // A counter that is not 0 shows up at once. Taking that here is the moment of arming: a write
  // before it is part of what was there already, a write after it is seen as a new one.
  bool signalled = false;
  for (const EventFdId taken : watcher_.Take()) {
    if (taken == id) {
      signalled = true;
    } else {
      Wake(taken);
    }
  }
  const auto now =
      signalled ? IdentifyEventFd(fd.get()) : OrError<EventFdIdentity>(EventFdIdentity());
  if (!now) {
    watcher_.Unwatch(fd.get());
    return now.error();
  }
  Hook& hook = hooks_[id];
  hook.fd = std::move(fd);
  hook.semaphore = identity.semaphore || host_.IsSemaphore(id);
  hook.left = now->count;
  hook.waiters.push_back(&partition);
  host_.HookChanged(id);
  return signalled;
}

void IrqFds::Remove(Partition& partition, EventFdId id) {
  Hook& hook = hooks_.at(id);
  // eventfd_ctx_remove_wait_queue reads the counter. What a write has added since the last look
  // must not be lost in it: where nothing was left, the read is left out; else the surplus is
  // injected.
  if (hook.left > 0) {
    if (const auto count = kernel::EventFdRead(hook.fd.get()); count) {
      if (*count > hook.left) {
        Inject(hook, id);
      }
      hook.left = hook.semaphore ? hook.left - 1 : 0;
    }
  }
  partition.irqfds.erase(id);
  std::erase(hook.waiters, &partition);
  if (hook.waiters.empty()) {
    watcher_.Unwatch(hook.fd.get());
    hooks_.erase(id);
    host_.HookChanged(id);
  }
}

void IrqFds::Release(Partition& partition) {
  while (!partition.irqfds.empty()) {
    Remove(partition, partition.irqfds.begin()->first);
  }
}

void IrqFds::Forget(EventFdId id) {
  for (auto found = hooks_.find(id); found != hooks_.end(); found = hooks_.find(id)) {
    Remove(*found->second.waiters.front(), id);
  }
}

void IrqFds::Clear() {
  while (!hooks_.empty()) {
    Forget(hooks_.begin()->first);
  }
}

int IrqFds::Acknowledge(Partition& partition, uint32_t vp, uint32_t vector) {
  // A vector from the register page is edge-triggered for the hypervisor: its EOI is not reported.
  if (const auto fast = partition.fast_in_service.find(vp);
      fast != partition.fast_in_service.end() && fast->second.test(vector)) {
    fast->second.reset(vector);
    return 0;
  }
  int result = 0;
  for (const auto& [id, irqfd] : partition.irqfds) {
    // The driver compares the vector with the GSI.
    if (irqfd.resample && irqfd.gsi == vector) {
      if (partition.IsX64() &&
          partition.Route(irqfd.gsi).type == abi::HV_X64_INTERRUPT_TYPE_EXTINT) {
        result += kCleared;
      }
      kernel::EventFdSignal(irqfd.resample.get());
      ++result;
    }
  }
  return result;
}

OrError<void> IrqFds::Write(EventFdId id, int fd, uint64_t value, bool bounded) {
  ProcessPending();
  const auto written = kernel::EventFdWrite(fd, value, bounded);
  // A write of 0 wakes waiters as well, but with an empty counter it is no epoll event.
  if (written && value == 0 && hooks_.at(id).left == 0) {
    Wake(id);
  }
  return written;
}

void IrqFds::Signal(EventFdId id, int fd) {
  // The kernel's own signal takes no notice of a counter that has no room: it wakes all the same.
  if (!Write(id, fd, 1, true)) {
    Wake(id);
  }
}

OrError<uint64_t> IrqFds::Read(EventFdId id, int fd) {
  ProcessPending();
  Hook& hook = hooks_.at(id);
  // What is there now was written since: the driver would have consumed it.
  if (hook.left == 0) {
    return Error(-EAGAIN);
  }
  const auto count = kernel::EventFdRead(fd);
  if (count) {
    if (!hook.semaphore && *count > hook.left) {
      Inject(hook, id);
    }
    hook.left = hook.semaphore ? hook.left - 1 : 0;
  }
  return count;
}

bool IrqFds::Poll(EventFdId id) {
  ProcessPending();
  return hooks_.at(id).left > 0;
}

void IrqFds::Wake(EventFdId id) {
  const auto found = hooks_.find(id);
  if (found == hooks_.end()) {
    return;
  }
  Hook& hook = found->second;
  // Empty where somebody read the counter past the seam; the write has been made all the same.
  static_cast<void>(kernel::EventFdRead(hook.fd.get()));
  hook.left = 0;
  if (hook.semaphore) {
    const auto now = IdentifyEventFd(hook.fd.get());
    hook.left = now ? now->count : 0;
  }
  Inject(hook, id);
}

void IrqFds::Inject(const Hook& hook, EventFdId id) {
  if (host_.Crashed()) {
    return;
  }
  Partition& partition = *hook.waiters.front();
  const IrqFd& irqfd = partition.irqfds.at(id);
  if (!TryAssertFast(partition, irqfd)) {
    AssertSlow(partition, irqfd);
  }
}

bool IrqFds::TryAssertFast(Partition& partition, const IrqFd& irqfd) {
  // Whether the route is valid is not asked here: an unrouted GSI is vector 0 for VP 0.
  const LapicInterrupt interrupt = partition.Route(irqfd.gsi);
  if (!partition.IsX64() || !host_.FastInjection() || interrupt.logical) {
    return false;
  }
  // The driver takes the APIC id for a VP index.
  const auto vp = static_cast<uint32_t>(interrupt.destination);
  if (partition.FindVp(vp) == nullptr) {
    host_.Crash("kernel NULL pointer dereference in mshv_irqfd_wakeup: GSI " +
                std::to_string(irqfd.gsi) + " of partition " + std::to_string(partition.id) +
                " was signalled and its destination VP " + std::to_string(vp) + " does not exist");
    return true;
  }
  partition.fast_in_service[vp].set(interrupt.vector);
  host_.AssertFast(partition, {.vector = interrupt.vector, .destination = interrupt.destination});
  return true;
}

void IrqFds::AssertSlow(Partition& partition, const IrqFd& irqfd) {
  const GuestIrq irq = partition.routes.Find(irqfd.gsi);
  // The slot's own number is tested, so that GSI 0 and holes pass as vector 0.
  if (irq.number != 0 && !irq.valid) {
    return;
  }
  host_.Assert(partition, irq.Decode(partition.architecture));
}

}  // namespace mshv::sim
