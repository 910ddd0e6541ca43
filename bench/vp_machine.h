// Where vp.cc gets a VP from: vp_on_device.cc or vp_on_simulator.cc.
#ifndef MSHV_BENCH_VP_MACHINE_H_
#define MSHV_BENCH_VP_MACHINE_H_

#include <cstdint>

namespace mshv::bench {

// Descriptors of an initialized partition and of its VP 0, whose guest writes a byte to a port,
// again and again.
struct Machine {
  int partition = -1;
  int vp = -1;
};

Machine OpenMachine();

// Sees to it that the guest exits `times` times.
void PrepareExits(long times);

// The guest writes 4 bytes to `gpa`, where a doorbell is.
void WriteMmio(uint64_t gpa);

}  // namespace mshv::bench

#endif  // MSHV_BENCH_VP_MACHINE_H_
