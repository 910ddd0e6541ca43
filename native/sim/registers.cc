#include "registers.h"

#include "../abi/vp.h"

namespace mshv::sim {

namespace {

// Enabled, where every processor has it.
constexpr uint64_t kApicBase = 0xfee0'0800;
constexpr uint64_t kBootstrapProcessor = 0x100;

// CR0.PE, ET and PG; CR4.PAE; EFER.LME and LMA.
constexpr uint64_t kCr0LongMode = 0x80000011;
constexpr uint64_t kCr4LongMode = 0x20;
constexpr uint64_t kEferLongMode = 0x500;
constexpr uint64_t kEferActive = 0x400;

// EL1h with all exceptions masked.
constexpr uint64_t kPstateReset = 0x3c5;

// The upper word of a segment register.
constexpr uint64_t SegmentHigh(uint32_t limit, uint16_t selector, uint16_t attributes) {
  return limit | uint64_t{selector} << 32 | uint64_t{attributes} << 48;
}

}  // namespace

Registers::Registers(Architecture architecture, uint32_t vp) {
  if (architecture == Architecture::kArm64) {
    SetLow(abi::HV_ARM64_REGISTER_PSTATE, kPstateReset);
    return;
  }
  SetLow(abi::HV_X64_REGISTER_RFLAGS, 2);
  SetLow(abi::HV_X64_REGISTER_RIP, 0xfff0);
  SetLow(abi::HV_X64_REGISTER_CR0, 0x60000010);
  SetLow(abi::HV_X64_REGISTER_APIC_BASE, kApicBase | (vp == 0 ? kBootstrapProcessor : 0));
}

std::optional<uint32_t> Registers::OfMsr(uint64_t msr) {
  constexpr struct {
    uint64_t msr;
    uint32_t name;
    uint32_t count;
  } kRanges[] = {
      {0x10, 0x00080000, 1},         // TSC
      {0x1b, 0x00080003, 1},         // APIC_BASE
      {0x174, 0x00080005, 1},        // SYSENTER_CS
      {0x175, 0x00080007, 1},        // SYSENTER_ESP
      {0x176, 0x00080006, 1},        // SYSENTER_EIP
      {0x277, 0x00080004, 1},        // PAT
      {0x40000000, 0x00090002, 1},   // GUEST_OS_ID
      {0x40000001, 0x00090001, 1},   // HYPERCALL
      {0x40000080, 0x000a0010, 5},   // SCONTROL, SVERSION, SIEFP, SIMP, EOM
      {0x40000090, 0x000a0000, 16},  // SINT0 to SINT15
      {0xc0000080, 0x00080001, 1},   // EFER
      {0xc0000081, 0x00080008, 4},   // STAR, LSTAR, CSTAR, SFMASK
      {0xc0000102, 0x00080002, 1},   // KERNEL_GS_BASE
  };
  for (const auto& range : kRanges) {
    if (msr >= range.msr && msr < range.msr + range.count) {
      return range.name + static_cast<uint32_t>(msr - range.msr);
    }
  }
  return std::nullopt;
}

void Registers::SetPart(uint32_t name, uint64_t value, uint64_t size) {
  switch (size) {
    case 1:
    case 2: {
      const uint64_t mask = (uint64_t{1} << 8 * size) - 1;
      SetLow(name, (Low(name) & ~mask) | (value & mask));
      break;
    }
    case 4:
      SetLow(name, static_cast<uint32_t>(value));
      break;
    default:
      SetLow(name, value);
  }
}

void Registers::EnterLongMode() {
  if ((Low(abi::HV_X64_REGISTER_EFER) & kEferActive) != 0) {
    return;
  }
  SetLow(abi::HV_X64_REGISTER_CR0, kCr0LongMode);
  SetLow(abi::HV_X64_REGISTER_CR4, kCr4LongMode);
  SetLow(abi::HV_X64_REGISTER_EFER, kEferLongMode);
  for (uint32_t i = 0; i < 6; ++i) {
    // A flat 64-bit code segment, flat data segments.
    const bool code = abi::HV_X64_REGISTER_ES + i == abi::HV_X64_REGISTER_CS;
    const uint64_t high = code ? SegmentHigh(~0u, 0x08, 0xa09b) : SegmentHigh(~0u, 0x10, 0xc093);
    Set(abi::HV_X64_REGISTER_ES + i, {0, high});
  }
}

}  // namespace mshv::sim
