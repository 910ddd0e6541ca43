#include "synic.h"

#include <algorithm>
#include <cstddef>
#include <cstring>

#include "../abi/hypercalls.h"

namespace mshv::sim {
namespace {

constexpr int kPageShift = 12;
// Of a page, for one SINT: HV_MESSAGE_SIZE, and HV_EVENT_FLAGS_COUNT bits.
constexpr size_t kSlotSize = 256;
static_assert(kSlotSize == abi::HV_MESSAGE_SIZE && kSlotSize * 8 == abi::HV_EVENT_FLAGS_COUNT);

// HvRegisterDeliverabilityNotifications.
constexpr int kFirstSintBit = 48;
constexpr uint64_t kInterruptBit = 1u << 1;
// With the bit for NMIs and the four of an interrupt's priority.
constexpr uint64_t kApicBits = 0x3f;
// No processor takes a fixed interrupt below it.
constexpr uint64_t kFirstVector = 16;

// The vector that a SINT raises.
std::optional<uint32_t> VectorOf(uint64_t sint) {
  const uint64_t vector = sint & abi::HV_SYNIC_SINT_VECTOR_MASK;
  if ((sint & (abi::HV_SYNIC_SINT_MASKED | abi::HV_SYNIC_SINT_POLLING)) != 0 ||
      vector < kFirstVector) {
    return std::nullopt;
  }
  return static_cast<uint32_t>(vector);
}

bool IsFree(std::span<const uint8_t> slot) {
  uint32_t type = 0;
  std::memcpy(&type, slot.data() + offsetof(abi::hv_message_header, message_type), sizeof(type));
  return type == 0;
}

}  // namespace

Synic::Synic(Registers& registers, VpState& state) : registers_(registers), state_(state) {
  for (uint32_t sint = 0; sint < abi::HV_SYNIC_SINT_COUNT; ++sint) {
    registers_.SetLow(abi::HV_REGISTER_SINT0 + sint, abi::HV_SYNIC_SINT_MASKED);
  }
  registers_.SetLow(abi::HV_REGISTER_SVERSION, 1);
}

SintResult Synic::Post(uint32_t sint, std::span<const uint8_t, abi::HV_MESSAGE_SIZE> message) {
  if (sint >= abi::HV_SYNIC_SINT_COUNT) {
    return {.status = abi::HV_STATUS_INVALID_PARAMETER};
  }
  if (!Enabled(abi::HV_REGISTER_SIMP)) {
    return {.status = abi::HV_STATUS_INVALID_SYNIC_STATE};
  }
  const std::span<uint8_t> slot = Slot(abi::HV_GET_SET_VP_STATE_SIM_PAGE, sint);
  uint8_t& flags = slot[offsetof(abi::hv_message_header, message_flags)];
  if (!IsFree(slot)) {
    flags |= abi::HV_MESSAGE_FLAG_PENDING;
    return {.status = abi::HV_STATUS_OBJECT_IN_USE};
  }
  std::ranges::copy(message, slot.begin());
  flags &= static_cast<uint8_t>(~abi::HV_MESSAGE_FLAG_PENDING);
  return {.status = abi::HV_STATUS_SUCCESS,
          .vector = VectorOf(registers_.Low(abi::HV_REGISTER_SINT0 + sint))};
}

SintResult Synic::Signal(uint32_t sint, uint32_t flag) {
  if (sint >= abi::HV_SYNIC_SINT_COUNT || flag >= abi::HV_EVENT_FLAGS_COUNT) {
    return {.status = abi::HV_STATUS_INVALID_PARAMETER};
  }
  if (!Enabled(abi::HV_REGISTER_SIEFP)) {
    return {.status = abi::HV_STATUS_INVALID_SYNIC_STATE};
  }
  uint8_t& byte = Slot(abi::HV_GET_SET_VP_STATE_SIEF_PAGE, sint)[flag / 8];
  const auto bit = static_cast<uint8_t>(1u << flag % 8);
  if ((byte & bit) != 0) {
    return {.status = abi::HV_STATUS_SUCCESS};
  }
  byte |= bit;
  return {.status = abi::HV_STATUS_SUCCESS,
          .newly_signaled = true,
          .vector = VectorOf(registers_.Low(abi::HV_REGISTER_SINT0 + sint))};
}

bool Synic::MayNotify(uint64_t value, bool has_apics) {
  // NMIs and priorities are for a VMM that has the local APICs itself: with the hypervisor's, hosts
  // refuse 1 (mshv-ioctls, test_register_deliverabilty_notifications), and OpenVMM whatever is
  // neither a SINT nor the interrupt's bit.
  constexpr uint64_t kSints = uint64_t{UINT16_MAX} << kFirstSintBit;
  return (value & ~(kSints | (has_apics ? kInterruptBit : kApicBits))) == 0;
}

bool Synic::GuestMayWrite(uint32_t name, uint64_t value) {
  if (name >= abi::HV_REGISTER_SINT0 && name < abi::HV_REGISTER_SINT0 + abi::HV_SYNIC_SINT_COUNT) {
    // Either it raises nothing, or a vector that there is.
    return (value & (abi::HV_SYNIC_SINT_MASKED | abi::HV_SYNIC_SINT_POLLING)) != 0 ||
           VectorOf(value).has_value();
  }
  return name != abi::HV_REGISTER_SVERSION;
}

void Synic::AppendOverlays(std::vector<OverlayPage>& overlays) {
  constexpr struct {
    uint32_t page_register;
    uint32_t state_type;
  } kPages[] = {{abi::HV_REGISTER_SIMP, abi::HV_GET_SET_VP_STATE_SIM_PAGE},
                {abi::HV_REGISTER_SIEFP, abi::HV_GET_SET_VP_STATE_SIEF_PAGE}};
  for (const auto& [page_register, state_type] : kPages) {
    // Whatever SCONTROL says.
    const uint64_t value = registers_.Low(page_register);
    if ((value & abi::HV_SYNIC_ENABLE) != 0) {
      overlays.push_back({.page = value >> kPageShift, .bytes = state_.At(state_type, 0)});
    }
  }
}

uint16_t Synic::TakeDeliverable() {
  if (!recheck_) {
    return 0;
  }
  recheck_ = false;
  abi::hv_register_value requested = registers_.Get(abi::HV_REGISTER_DELIVERABILITY_NOTIFICATIONS);
  const auto sints = static_cast<uint16_t>(requested.low >> kFirstSintBit);
  if (sints == 0 || !Enabled(abi::HV_REGISTER_SIMP)) {
    return 0;
  }
  uint16_t deliverable = 0;
  for (uint32_t sint = 0; sint < abi::HV_SYNIC_SINT_COUNT; ++sint) {
    const auto bit = static_cast<uint16_t>(1u << sint);
    if ((sints & bit) != 0 && IsFree(Slot(abi::HV_GET_SET_VP_STATE_SIM_PAGE, sint))) {
      deliverable |= bit;
    }
  }
  requested.low &= ~(uint64_t{deliverable} << kFirstSintBit);
  registers_.Set(abi::HV_REGISTER_DELIVERABILITY_NOTIFICATIONS, requested);
  return deliverable;
}

bool Synic::Enabled(uint32_t page_register) const {
  return (registers_.Low(abi::HV_REGISTER_SCONTROL) & registers_.Low(page_register) &
          abi::HV_SYNIC_ENABLE) != 0;
}

std::span<uint8_t> Synic::Slot(uint32_t state_type, uint32_t sint) {
  return std::span(state_.At(state_type, 0)).subspan(sint * kSlotSize, kSlotSize);
}

}  // namespace mshv::sim
