// MSHV_RUN_VP: how the driver runs VPs with either scheduler, and how the hypervisor suspends and
// resumes them.
#include <poll.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "../abi/hypercalls.h"
#include "../abi/mshv.h"
#include "../abi/vp.h"
#include "../kernel_eventfd.h"
#include "guest.h"
#include "host.h"

namespace mshv::sim {

OrError<void> Host::RunVp(Partition& partition, VirtualProcessor& vp, void* message) {
  Lock lock(lock_);
  if (const auto begun = Begin(abi::MSHV_RUN_VP); !begun) {
    return begun;
  }
  do {
    const auto exited = options_.scheduler == kRootScheduler
                            ? RunWithRootScheduler(lock, partition, vp)
                            : RunWithHypervisorScheduler(lock, partition, vp);
    if (!exited) {
      return exited;
    }
  } while (HandleIntercept(partition, vp));
  std::memcpy(message, vp.pages.message().data(), abi::MSHV_RUN_VP_BUF_SZ);
  return {};
}

// mshv_run_vp_with_hyp_scheduler.
OrError<void> Host::RunWithHypervisorScheduler(Lock& lock, Partition& partition,
                                               VirtualProcessor& vp) {
  if (const auto resumed = Ask(*this, abi::HVCALL_SET_VP_REGISTERS); !resumed) {
    return resumed;
  }
  // In this order, so that an intercept that comes at once is not cleared.
  SetRegister(partition, vp, abi::HV_REGISTER_INTERCEPT_SUSPEND, {});
  SetRegister(partition, vp, abi::HV_REGISTER_EXPLICIT_SUSPEND, {});
  const auto kicked = WaitForKick(lock, vp);
  if (kicked.error() == -EINTR) {
    for (const uint16_t code : {abi::HVCALL_SET_VP_REGISTERS, abi::HVCALL_GET_VP_REGISTERS}) {
      if (const auto suspended = Ask(*this, code); !suspended) {
        return suspended;
      }
    }
    // A message in flight would have kicked: here it is there at once.
    SetRegister(partition, vp, abi::HV_REGISTER_EXPLICIT_SUSPEND, {.low = 1, .high = 0});
  }
  if (kicked) {
    vp.kicked = false;
  }
  return kicked;
}

// mshv_run_vp_with_root_scheduler.
OrError<void> Host::RunWithRootScheduler(Lock& lock, Partition& partition, VirtualProcessor& vp) {
  const auto wait = [this, &lock, &vp] {
    const auto kicked = WaitForKick(lock, vp);
    if (kicked) {
      vp.root_blocked = false;
      vp.kicked = false;
    }
    return kicked;
  };
  if (vp.root_blocked) {
    if (const auto kicked = wait(); !kicked) {
      return kicked;
    }
  }
  do {
    if (const auto dispatched = Ask(*this, abi::HVCALL_DISPATCH_VP); !dispatched) {
      return dispatched;
    }
    if (vp.root_intercept) {
      vp.intercept_suspend = false;
    }
    vp.root_intercept = false;
    vp.blocked = false;
    if (vp.explicit_suspend || vp.dispatch_suspend) {
      if (const auto resumed = Ask(*this, abi::HVCALL_SET_VP_REGISTERS); !resumed) {
        return resumed;
      }
      SetRegister(partition, vp, abi::HV_REGISTER_EXPLICIT_SUSPEND, {});
      if (const auto kicked = wait(); !kicked) {
        return kicked;
      }
    } else if (TakeMessage(partition, vp)) {
      vp.root_intercept = true;
    } else {
      vp.blocked = true;
      vp.root_blocked = true;
      if (const auto kicked = wait(); !kicked) {
        return kicked;
      }
    }
  } while (!vp.root_intercept);
  return {};
}

// mshv_vp_handle_intercept: whether the VP can go on.
bool Host::HandleIntercept(Partition& partition, VirtualProcessor& vp) {
  const auto message = vp.pages.message();
  abi::hv_message_header header;
  std::memcpy(&header, message.data(), sizeof(header));
  if (header.message_type != abi::HVMSG_GPA_INTERCEPT) {
    return false;
  }
  const auto page_in = [&]<typename Intercept>(Intercept intercept) {
    std::memcpy(&intercept, message.data() + sizeof(header), sizeof(intercept));
    return partition.memory.PageIn(intercept.guest_physical_address / abi::MSHV_HV_PAGE_SIZE,
                                   intercept.header.intercept_access_type);
  };
  return partition.IsX64() ? page_in(abi::hv_x64_memory_intercept_message{})
                           : page_in(abi::hv_arm64_memory_intercept_message{});
}

bool Host::TakeMessage(Partition& partition, VirtualProcessor& vp) {
  if (partition.properties.clock().frozen()) {
    return false;
  }
  if (ShowsRegisters()) {
    vp.pages.TakeDirty(vp.registers);
    vp.pages.Invalidate();
  }
  const auto ring = [this, &partition](uint64_t gpa, uint32_t size, uint64_t value) {
    return Ring(partition, gpa, size, value);
  };
  if (!RunGuest(partition, vp, ring, vp.pages.message())) {
    return false;
  }
  if (ShowsRegisters()) {
    vp.pages.Show(vp.registers);
  }
  vp.intercept_suspend = true;
  return true;
}

// The hypervisor lets the VP run, if nothing keeps it from it.
void Host::TryRun(Partition& partition, VirtualProcessor& vp) {
  if (vp.explicit_suspend || vp.intercept_suspend || vp.dispatch_suspend) {
    return;
  }
  if (options_.scheduler == kRootScheduler) {
    if (vp.blocked && (!vp.steps.empty() || vp.synic.recheck())) {
      SignalVp(vp);
    }
    return;
  }
  if (TakeMessage(partition, vp)) {
    Kick(vp);
  }
}

void Host::Resume(Partition& partition) {
  for (const auto& [index, vp] : partition.vps) {
    TryRun(partition, *vp);
  }
}

// HVMSG_SCHEDULER_VP_SIGNAL_PAIR.
void Host::SignalVp(VirtualProcessor& vp) {
  ++vp.signals;
  vp.blocked = false;
  Kick(vp);
}

void Host::Kick(VirtualProcessor& vp) {
  vp.kicked = true;
  if (waiting_.contains(&vp)) {
    static_cast<void>(kernel::EventFdWrite(vp.wake.get(), 1, false));
  }
}

OrError<void> Host::WaitForKick(Lock& lock, VirtualProcessor& vp) {
  bool interrupted = false;
  while (!vp.kicked && !interrupted && !Dead()) {
    waiting_.insert(&vp);
    lock.unlock();
    // poll(2) is interrupted by a handler even with SA_RESTART, as the driver's wait is.
    pollfd wake{.fd = vp.wake.get(), .events = POLLIN, .revents = 0};
    interrupted = poll(&wake, 1, -1) < 0 && errno == EINTR;
    lock.lock();
    waiting_.erase(&vp);
    static_cast<void>(kernel::EventFdRead(vp.wake.get()));
  }
  if (Dead()) {
    return Error(-EIO);
  }
  return Error(vp.kicked ? 0 : -EINTR);
}

void Host::WakeRunners() {
  for (const VirtualProcessor* vp : waiting_) {
    static_cast<void>(kernel::EventFdWrite(vp->wake.get(), 1, false));
  }
}

namespace {

// Two names of one register: which mode the local APIC is in makes no difference here.
bool IsApicId(Architecture architecture, uint32_t name) {
  return architecture == Architecture::kX64 &&
         (name == abi::HV_X64_REGISTER_INITIAL_APIC_ID || name == abi::HV_X64_REGISTER_APIC_ID);
}

}  // namespace

abi::hv_register_value Host::GetRegister(const Partition& partition, VirtualProcessor& vp,
                                         uint32_t name) {
  if (IsApicId(options_.architecture, name)) {
    return {.low = vp.apic_id, .high = 0};
  }
  switch (name) {
    case abi::HV_REGISTER_EXPLICIT_SUSPEND:
      return {.low = vp.explicit_suspend, .high = 0};
    case abi::HV_REGISTER_INTERCEPT_SUSPEND:
      return {.low = vp.intercept_suspend, .high = 0};
    case abi::HV_REGISTER_DISPATCH_SUSPEND:
      return {.low = vp.dispatch_suspend, .high = 0};
    case abi::HV_REGISTER_VP_ROOT_SIGNAL_COUNT:
      return {.low = vp.signals, .high = 0};
    case abi::HV_REGISTER_TIME_REF_COUNT:
      return {.low = partition.properties.clock().Now(), .high = 0};
    default:
      // What is on the register page is the next run's.
      return vp.registers.Get(name);
  }
}

uint16_t Host::SetRegister(Partition& partition, VirtualProcessor& vp, uint32_t name,
                           abi::hv_register_value value) {
  if (IsApicId(options_.architecture, name)) {
    vp.apic_id = static_cast<uint32_t>(value.low);
    return abi::HV_STATUS_SUCCESS;
  }
  const bool suspended = (value.low & 1) != 0;
  switch (name) {
    case abi::HV_REGISTER_EXPLICIT_SUSPEND: {
      const bool was = vp.explicit_suspend;
      vp.explicit_suspend = suspended;
      if (was && !suspended && options_.scheduler == kRootScheduler) {
        SignalVp(vp);
      }
      break;
    }
    case abi::HV_REGISTER_INTERCEPT_SUSPEND:
      vp.intercept_suspend = suspended;
      break;
    case abi::HV_REGISTER_DISPATCH_SUSPEND:
      vp.dispatch_suspend = suspended;
      break;
    case abi::HV_REGISTER_DELIVERABILITY_NOTIFICATIONS:
      if (!Synic::MayNotify(value.low, partition.has_apics)) {
        return abi::HV_STATUS_INVALID_PARAMETER;
      }
      vp.registers.Set(name, value);
      vp.synic.Recheck();
      break;
    case abi::HV_REGISTER_EOM:
      vp.synic.Recheck();
      break;
    case abi::HV_REGISTER_SVERSION:
      return abi::HV_STATUS_SUCCESS;
    default:
      // The register page shows it after the next run.
      vp.registers.Set(name, value);
      return abi::HV_STATUS_SUCCESS;
  }
  TryRun(partition, vp);
  return abi::HV_STATUS_SUCCESS;
}

}  // namespace mshv::sim
