#ifndef MSHV_NATIVE_SIM_X64_GUEST_H_
#define MSHV_NATIVE_SIM_X64_GUEST_H_

#include "guest.h"

namespace mshv::sim {

// RunGuest for a VP of x64, in 64-bit mode.
bool RunX64Guest(Partition& partition, VirtualProcessor& vp, const RingFunction& ring,
                 std::span<uint8_t, abi::HV_MESSAGE_SIZE> message);

}  // namespace mshv::sim

#endif  // MSHV_NATIVE_SIM_X64_GUEST_H_
