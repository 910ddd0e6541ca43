#ifndef MSHV_NATIVE_SIM_IRQFDS_H_
#define MSHV_NATIVE_SIM_IRQFDS_H_

#include <cstdint>
#include <string>
#include <unordered_map>
#include <vector>

#include "../abi/mshv.h"
#include "../eventfd_identity.h"
#include "../ownership.h"
#include "partition.h"
#include "signal_watcher.h"

namespace mshv::sim {

// What irqfds need of the machine around them.
class IrqFdHost {
 public:
  // Root scheduler and hypervisor offer injection through the register page.
  virtual bool FastInjection() const = 0;
  // HvCallAssertVirtualInterrupt, whose status the driver does not look at.
  virtual void Assert(Partition& partition, const LapicInterrupt& interrupt) = 0;
  // Through the VP's register page.
  virtual void AssertFast(Partition& partition, const LapicInterrupt& interrupt) = 0;
  // The real host would be gone now: nothing is injected from here on.
  virtual void Crash(const std::string& oops) = 0;
  virtual bool Crashed() const = 0;
  // The eventfd has got its first hook, or lost its last one.
  virtual void HookChanged(EventFdId id) = 0;
  // Which eventfd a descriptor is, as far as the seam knows; 0 where it does not.
  virtual EventFdId KnownEventFd(int fd) const = 0;
  // Whether the eventfd was created as a semaphore, as far as the seam knows.
  virtual bool IsSemaphore(EventFdId id) const = 0;

 protected:
  ~IrqFdHost() = default;
};

// All irqfds of one host, as mshv_eventfd.c keeps them.
//
// The driver consumes and injects inside the write(2) that signals. Here a thread does it later, so
// whoever could see the difference calls ProcessPending() first, which does it for every write that
// has returned. All functions need the host's lock.
class IrqFds {
 public:
  IrqFds(IrqFdHost& host, SignalWatcher& watcher) : host_(host), watcher_(watcher) {}

  void ProcessPending();

  // MSHV_IRQFD (mshv_set_unset_irqfd).
  OrError<void> Set(Partition& partition, const abi::mshv_user_irqfd& argument);

  // The partition's last descriptor was closed (mshv_irqfd_release).
  void Release(Partition& partition);
  // The eventfd's last descriptor was closed (EPOLLHUP in mshv_irqfd_wakeup).
  void Forget(EventFdId id);
  // The host goes away.
  void Clear();

  // The guest's EOI (mshv_notify_acked_gsi): the number of resample eventfds signalled, plus
  // kCleared for each whose route is EXTINT.
  static int Acknowledge(Partition& partition, uint32_t vp, uint32_t vector);
  static constexpr int kCleared = 1 << 16;

  // Which eventfd a descriptor is.
  OrError<EventFdIdentity> Identify(int fd) const;

  bool Contains(EventFdId id) const { return hooks_.contains(id); }

  // write(2), read(2) and poll(2) of an armed eventfd: what user space sees of one.
  OrError<void> Write(EventFdId id, int fd, uint64_t value, bool bounded);
  OrError<uint64_t> Read(EventFdId id, int fd);
  bool Poll(EventFdId id);
  // eventfd_signal: what the driver does to an armed eventfd.
  void Signal(EventFdId id, int fd);

 private:
  // The driver's place in the wait queue of one eventfd.
  struct Hook {
    // Our own descriptor, so that the eventfd lives as long as the hook.
    UniqueFd fd;
    bool semaphore = false;
    // What the counter held after the last wake-up. Exact unless a signal is pending.
    uint64_t left = 0;
    // In the order of arming. Each wake-up goes to the first one only.
    std::vector<Partition*> waiters;
  };

  OrError<void> Assign(Partition& partition, const abi::mshv_user_irqfd& argument);
  OrError<void> Deassign(Partition& partition, const abi::mshv_user_irqfd& argument);
  // Whether it is signalled already.
  OrError<bool> AddWaiter(Partition& partition, UniqueFd fd, const EventFdIdentity& identity);
  void Remove(Partition& partition, EventFdId id);
  void Wake(EventFdId id);
  void Inject(const Hook& hook, EventFdId id);
  bool TryAssertFast(Partition& partition, const IrqFd& irqfd);
  void AssertSlow(Partition& partition, const IrqFd& irqfd);

  IrqFdHost& host_;
  SignalWatcher& watcher_;
  std::unordered_map<EventFdId, Hook> hooks_;
};

}  // namespace mshv::sim

#endif  // MSHV_NATIVE_SIM_IRQFDS_H_
