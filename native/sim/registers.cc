#include "registers.h"

#include "../abi/vp.h"

namespace mshv::sim {

namespace {

// Enabled, where every processor has it.
constexpr uint64_t kApicBase = 0xfee0'0800;
constexpr uint64_t kBootstrapProcessor = 0x100;

}  // namespace

Registers::Registers(uint32_t vp) {
  SetLow(abi::HV_X64_REGISTER_RFLAGS, 2);
  SetLow(abi::HV_X64_REGISTER_RIP, 0xfff0);
  SetLow(abi::HV_X64_REGISTER_CR0, 0x60000010);
  SetLow(abi::HV_X64_REGISTER_APIC_BASE, kApicBase | (vp == 0 ? kBootstrapProcessor : 0));
}

}  // namespace mshv::sim
