#ifndef MSHV_NATIVE_SIM_SYNIC_H_
#define MSHV_NATIVE_SIM_SYNIC_H_

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "../abi/vp.h"
#include "guest_memory.h"
#include "registers.h"
#include "vp_state.h"

namespace mshv::sim {

// What came of a message or an event that is for a SINT.
struct SintResult {
  uint16_t status = 0;
  // The event's flag was clear.
  bool newly_signaled = false;
  // To be asserted at the VP.
  std::optional<uint32_t> vector = std::nullopt;
};

// A VP's synthetic interrupt controller. Its registers are among the VP's; what is on its two pages
// is the VP's state of HV_GET_SET_VP_STATE_SIM_PAGE and SIEF_PAGE, which stays when the guest
// disables or moves them.
class Synic {
 public:
  // References are kept.
  Synic(Registers& registers, VpState& state);

  // HvCallPostMessageDirect and HvCallSignalEventDirect.
  SintResult Post(uint32_t sint, std::span<const uint8_t, abi::HV_MESSAGE_SIZE> message);
  SintResult Signal(uint32_t sint, uint32_t flag);

  // Whether a value of DELIVERABILITY_NOTIFICATIONS is taken. `has_apics` is whether the hypervisor
  // has the VPs' local APICs.
  static bool MayNotify(uint64_t value, bool has_apics);

  // Whether a guest's WRMSR of any register is taken, as far as the SynIC has a say; else it
  // faults.
  static bool GuestMayWrite(uint32_t name, uint64_t value);

  // Adds the pages that the guest sees instead of its memory.
  void AppendOverlays(std::vector<OverlayPage>& overlays);

  // DELIVERABILITY_NOTIFICATIONS or EOM has been written: the slots are looked at before the VP
  // goes on.
  void Recheck() { recheck_ = true; }
  bool recheck() const { return recheck_; }
  // Looks at them if they are to be: the SINTs that were asked for and have a free slot, one bit
  // each. They are no longer asked for then.
  uint16_t TakeDeliverable();

 private:
  bool Enabled(uint32_t page_register) const;
  // A SINT's part of a page.
  std::span<uint8_t> Slot(uint32_t state_type, uint32_t sint);

  Registers& registers_;
  VpState& state_;
  bool recheck_ = false;
};

}  // namespace mshv::sim

#endif  // MSHV_NATIVE_SIM_SYNIC_H_
