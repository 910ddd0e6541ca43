#ifndef MSHV_NATIVE_SIM_HOST_H_
#define MSHV_NATIVE_SIM_HOST_H_

#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <unordered_map>
#include <unordered_set>

#include "countdown.h"
#include "hypervisor.h"
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
  Architecture architecture = Architecture::kX64;
  uint32_t scheduler = 3;
  // HV_VP_DISPATCH_INTERRUPT_INJECTION_AVAILABLE; used with the root scheduler only.
  bool fast_injection = false;
  // A driver that knows the 16-byte argument of CREATE_PARTITION only.
  bool v1_only = false;
  // The hypervisor fills the VPs' register pages.
  bool register_page = true;
  // MSHV_ROOT_HVCALL goes on by itself after a deposit; older drivers return EAGAIN.
  bool deposits_inside = true;
};

// One simulated machine: hypervisor, driver and the guests in its partitions. Thread-safe: one lock
// around everything, under which the signals sent so far are processed before anything else
// happens. Nobody sleeps with it: MSHV_RUN_VP gives it up while it waits.
class Host final : public std::enable_shared_from_this<Host>, public Hypervisor, private IrqFdHost {
 public:
  // `owner` is who may be named to destroy it; never looked into.
  Host(int id, const HostOptions& options, const void* owner);

  int id() const { return id_; }
  const HostOptions& options() const { return options_; }
  const void* owner() const { return owner_; }

  // ioctl(2) on a descriptor of this host. -EIO once the host has crashed or was destroyed.
  OrError<Opened> Ioctl(File& file, uint32_t request, void* argument);

  // MSHV_RUN_VP (mshv_vp_ioctl_run_vp) with the VP's mutex held. -EINTR where a signal came while
  // it waited.
  OrError<void> RunVp(Partition& partition, VirtualProcessor& vp, void* message);

  // The driver injects through register pages where it can.
  bool InjectsFast() const {
    return options_.fast_injection && options_.scheduler == kRootScheduler &&
           options_.architecture == Architecture::kX64;
  }

  // The hypervisor shows registers on register pages: that of arm64 has none.
  bool ShowsRegisters() const {
    return options_.register_page && options_.architecture == Architecture::kX64;
  }

  // The last descriptor of the partition, or of the eventfd, was closed.
  void Release(Partition& partition);
  void Forget(EventFdId id);

  // write(2), read(2), poll(2) of an eventfd that may be armed here.
  OrError<void> Write(EventFdId id, int fd, uint64_t value, bool bounded);
  OrError<uint64_t> Read(EventFdId id, int fd);
  OrError<bool> Poll(EventFdId id, int fd);

  // Ends the thread and drops every eventfd. Must not be called from the thread, nor twice at once.
  void Destroy();

  // The guest's side and the controls, as described in lib/native.ts.
  void Settle();
  OrError<void> AddListener(Partition& partition, int fd);
  OrError<int> EndOfInterrupt(Partition& partition, uint32_t vp, uint32_t vector);
  void FailNext(uint32_t request, int error, uint32_t after, uint32_t count);
  uint64_t Calls(uint32_t request);
  std::string Oops();
  // All of them, or none: -ENOBUFS.
  OrError<void> AddSteps(Partition& partition, uint32_t vp, std::span<const GuestStep> steps);
  OrError<int> PendingSteps(Partition& partition, uint32_t vp);
  OrError<void> GuestAccess(Partition& partition, uint64_t gpa, std::span<uint8_t> bytes,
                            bool write);
  OrError<int> WriteMmio(Partition& partition, uint64_t gpa, uint32_t size, uint64_t value);
  void PlanRefusal(uint16_t code, Refusal refusal, uint32_t after, uint32_t count);
  // Calls with the lock held: for reports.h.
  template <typename Call>
  auto WhileLocked(Call call) {
    const std::lock_guard guard(lock_);
    return call();
  }

  // For the ioctl handlers, which run under the lock.
  std::shared_ptr<Partition> NewPartition(bool has_apics);
  IrqFds& irqfds() { return irqfds_; }
  OrError<void> SetDoorbell(Partition& partition, const abi::mshv_user_ioeventfd& argument);
  abi::hv_register_value GetRegister(const Partition& partition, VirtualProcessor& vp,
                                     uint32_t name);
  // Time goes on: what its VPs would have done meanwhile.
  void Resume(Partition& partition);
  uint16_t SetRegister(Partition& partition, VirtualProcessor& vp, uint32_t name,
                       abi::hv_register_value value);
  // The hypervisor asserts an interrupt: it is recorded.
  // Where `target` is null it is whatever VP the interrupt names.
  void Inject(Partition& partition, const LapicInterrupt& interrupt,
              const VirtualProcessor* target = nullptr);
  Refusal Refuse(uint16_t code) override { return refusals_[code].Next(); }

 private:
  bool FastInjection() const override { return InjectsFast(); }
  void Assert(Partition& partition, const LapicInterrupt& interrupt) override;
  void AssertFast(Partition& partition, const LapicInterrupt& interrupt) override;
  void Crash(const std::string& oops) override;
  bool Crashed() const override { return !oops_.empty(); }
  void HookChanged(EventFdId id) override;
  EventFdId KnownEventFd(int fd) const override;
  bool IsSemaphore(EventFdId id) const override;

  bool Dead() const { return destroyed_ || Crashed(); }
  // Begins an ioctl: counts it, and says why it fails before any effect.
  OrError<void> Begin(uint32_t request);
  void Record(Partition& partition, const LapicInterrupt& interrupt, std::optional<uint32_t> vp,
              bool fast);
  int Ring(Partition& partition, uint64_t gpa, uint32_t size, uint64_t value);

  // Running VPs, as run_vp.cc has it.
  using Lock = std::unique_lock<std::mutex>;
  OrError<void> RunWithHypervisorScheduler(Lock& lock, Partition& partition, VirtualProcessor& vp);
  OrError<void> RunWithRootScheduler(Lock& lock, Partition& partition, VirtualProcessor& vp);
  bool HandleIntercept(Partition& partition, VirtualProcessor& vp);
  bool TakeMessage(Partition& partition, VirtualProcessor& vp);
  void TryRun(Partition& partition, VirtualProcessor& vp);
  void SignalVp(VirtualProcessor& vp);
  void Kick(VirtualProcessor& vp);
  OrError<void> WaitForKick(Lock& lock, VirtualProcessor& vp);
  void WakeRunners();
  bool Listens(EventFdId id) const;
  void DropListeners(Partition& partition);
  void UpdateRegistry(EventFdId id);

  const int id_;
  const HostOptions options_;
  const void* const owner_;

  std::mutex lock_;
  bool destroyed_ = false;
  std::string oops_;
  // By ioctl, and by hypercall.
  std::unordered_map<uint32_t, uint64_t> calls_;
  std::unordered_map<uint32_t, Countdown<int>> faults_;
  std::unordered_map<uint16_t, Countdown<Refusal>> refusals_;
  // Those whose thread waits.
  std::unordered_set<VirtualProcessor*> waiting_;
  uint64_t partitions_created_ = 0;
  uint64_t interrupts_recorded_ = 0;
  // Those whose own descriptor is open.
  std::unordered_set<Partition*> partitions_;
  SignalWatcher watcher_;
  IrqFds irqfds_;
};

}  // namespace mshv::sim

#endif  // MSHV_NATIVE_SIM_HOST_H_
