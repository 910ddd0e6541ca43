#ifndef MSHV_NATIVE_SIM_ARM64_GUEST_H_
#define MSHV_NATIVE_SIM_ARM64_GUEST_H_

#include "guest.h"

namespace mshv::sim {

// RunGuest for a VP of arm64, at EL1 in AArch64.
bool RunArm64Guest(Partition& partition, VirtualProcessor& vp, const RingFunction& ring,
                   std::span<uint8_t, abi::HV_MESSAGE_SIZE> message);

}  // namespace mshv::sim

#endif  // MSHV_NATIVE_SIM_ARM64_GUEST_H_
