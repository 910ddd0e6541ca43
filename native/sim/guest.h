#ifndef MSHV_NATIVE_SIM_GUEST_H_
#define MSHV_NATIVE_SIM_GUEST_H_

#include <cstdint>
#include <functional>
#include <span>

#include "../abi/vp.h"

namespace mshv::sim {

struct Partition;
struct VirtualProcessor;

// The guest writes outside of its memory: the number of doorbells rung.
using RingFunction = std::function<int(uint64_t gpa, uint32_t size, uint64_t value)>;

// Lets the VP's guest go on until something comes to the VMM, which is put into `message`. False
// where it has nothing more to do.
//
// An instruction is over when RIP has moved on: else it is executed again, as a processor does.
// What the hypervisor does by itself (a doorbell, memory that is there, an MSR or CPUID that nobody
// intercepts) does not show. Everything in a message is what the VP's registers hold then.
bool RunGuest(Partition& partition, VirtualProcessor& vp, const RingFunction& ring,
              std::span<uint8_t, abi::HV_MESSAGE_SIZE> message);

}  // namespace mshv::sim

#endif  // MSHV_NATIVE_SIM_GUEST_H_
