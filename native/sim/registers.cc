#include "registers.h"

#include "../abi/vp.h"

namespace mshv::sim {

Registers::Registers() {
  SetLow(abi::HV_X64_REGISTER_RFLAGS, 2);
  SetLow(abi::HV_X64_REGISTER_RIP, 0xfff0);
  SetLow(abi::HV_X64_REGISTER_CR0, 0x60000010);
}

}  // namespace mshv::sim
