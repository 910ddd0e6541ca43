#ifndef MSHV_NATIVE_SIM_HOST_H_
#define MSHV_NATIVE_SIM_HOST_H_

#include <cstdint>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <unordered_set>

#include "fault_plan.h"
#include "irqfds.h"
#include "partition.h"
#include "signal_watcher.h"

namespace mshv::sim {

class File;
struct Opened;

// hv_scheduler_type.
inline constexpr uint32_t kFirstScheduler = 1;
inline constexpr uint32_t kRootScheduler = 4;

struct HostOptions {
  uint32_t scheduler = 3;
  // HV_VP_DISPATCH_INTERRUPT_INJECTION_AVAILABLE; used with the root scheduler only.
  bool fast_injection = false;
  // A driver that knows the 16-byte argument of CREATE_PARTITION only.
  bool v1_only = false;
};

// One simulated machine: hypervisor, driver and the guests in its partitions. Thread-safe: one lock
// around everything, under which the signals sent so far are processed before anything else
// happens.
class Host final : public std::enable_shared_from_this<Host>, private IrqFdHost {
 public:
  // `owner` is who may be named to destroy it; never looked into.
  Host(int id, const HostOptions& options, const void* owner);

  int id() const { return id_; }
  const HostOptions& options() const { return options_; }
  const void* owner() const { return owner_; }

  // ioctl(2) on a descriptor of this host. -EIO once the host has crashed or was destroyed.
  int Ioctl(File& file, uint32_t request, const void* argument, Opened* opened);

  // The last descriptor of the partition, or of the eventfd, was closed.
  void Release(Partition& partition);
  void Forget(EventFdId id);

  // write(2), read(2), poll(2) of an eventfd that may be armed here.
  int Write(EventFdId id, int fd, uint64_t value);
  int Read(EventFdId id, int fd, uint64_t* value);
  int Poll(EventFdId id, int fd);

  // Ends the thread and drops every eventfd. Must not be called from the thread, nor twice at once.
  void Destroy();

  // The guest's side and the controls, as described in lib/native.ts.
  void Settle();
  int TakeInterrupts(Partition& partition, std::span<uint64_t> out);
  int AddListener(Partition& partition, int fd);
  int EndOfInterrupt(Partition& partition, uint32_t vp, uint32_t vector);
  void FailNext(uint32_t request, int error, uint32_t after, uint32_t count);
  uint64_t Calls(uint32_t request);
  int Routes(Partition& partition, std::span<uint32_t> out);
  int ArmedIrqFds(Partition& partition, std::span<uint32_t> out);
  std::string Oops();

  // For the ioctl handlers, which run under the lock.
  std::shared_ptr<Partition> NewPartition();
  IrqFds& irqfds() { return irqfds_; }

 private:
  bool FastInjection() const override;
  void Assert(Partition& partition, const LapicInterrupt& interrupt, bool fast) override;
  void Crash(const std::string& oops) override;
  bool Crashed() const override { return !oops_.empty(); }
  void HookChanged(EventFdId id) override;
  EventFdId KnownEventFd(int fd) const override;
  bool IsSemaphore(EventFdId id) const override;

  bool Dead() const { return destroyed_ || Crashed(); }
  bool Listens(EventFdId id) const;
  void DropListeners(Partition& partition);
  void UpdateRegistry(EventFdId id);

  const int id_;
  const HostOptions options_;
  const void* const owner_;

  std::mutex lock_;
  bool destroyed_ = false;
  std::string oops_;
  FaultPlan faults_;
  uint64_t partitions_created_ = 0;
  uint64_t interrupts_recorded_ = 0;
  // Those whose own descriptor is open.
  std::unordered_set<Partition*> partitions_;
  SignalWatcher watcher_;
  IrqFds irqfds_;
};

}  // namespace mshv::sim

#endif  // MSHV_NATIVE_SIM_HOST_H_
