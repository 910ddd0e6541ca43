#ifndef MSHV_NATIVE_SIM_VIRTUAL_PROCESSOR_H_
#define MSHV_NATIVE_SIM_VIRTUAL_PROCESSOR_H_

#include <cstddef>
#include <cstdint>
#include <deque>
#include <mutex>

#include "../ownership.h"
#include "guest_step.h"
#include "registers.h"
#include "synic.h"
#include "vp_pages.h"
#include "vp_state.h"

namespace mshv::sim {

// How many steps a guest can have before it: 20 MiB.
inline constexpr size_t kMostSteps = size_t{1} << 16;

// A VP: what the driver and the hypervisor keep of it. Guarded by its host's lock, but for `mutex`.
struct VirtualProcessor {
  VirtualProcessor(Architecture architecture, uint32_t number, VpPages shared, UniqueFd waker)
      : index(number),
        apic_id(number),
        pages(std::move(shared)),
        registers(architecture, number),
        wake(std::move(waker)) {}

  const uint32_t index;

  // INITIAL_APIC_ID and APIC_ID, x64 only: what physical destinations name.
  uint32_t apic_id;

  // The driver's vp_mutex: held for the whole of every ioctl on the VP's descriptor, MSHV_RUN_VP
  // included. Taken before the host's lock.
  std::mutex mutex;

  VpPages pages;
  Registers registers;
  VpState state;
  Synic synic{registers, state};
  // What the guest does when it runs, in order.
  std::deque<GuestStep> steps;
  // It has come to its first instruction.
  bool began = false;

  // The suspend registers. A new VP is suspended explicitly; an intercept suspends it until it is
  // run again.
  bool explicit_suspend = true;
  bool intercept_suspend = false;
  bool dispatch_suspend = false;
  // Root scheduler: dispatched with nothing to do.
  bool blocked = false;
  // VP_ROOT_SIGNAL_COUNT.
  uint64_t signals = 0;

  // vp->run: the hypervisor has something for the thread that waits in MSHV_RUN_VP, which sleeps in
  // poll(2) on `wake`.
  bool kicked = false;
  bool root_blocked = false;
  bool root_intercept = false;
  const UniqueFd wake;
};

}  // namespace mshv::sim

#endif  // MSHV_NATIVE_SIM_VIRTUAL_PROCESSOR_H_
