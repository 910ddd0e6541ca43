#ifndef MSHV_NATIVE_SIM_HYPERCALLS_H_
#define MSHV_NATIVE_SIM_HYPERCALLS_H_

#include <array>
#include <cstdint>

#include "../abi/hypercalls.h"
#include "../abi/mshv.h"
#include "../or_error.h"

namespace mshv::sim {

class Host;
struct Partition;

// The pages that a hypercall is made with. The driver's hold whatever was there before; these
// nothing.
struct HypercallPages {
  using Page = std::array<uint8_t, abi::MSHV_HV_PAGE_SIZE>;

  Page input = {};
  Page output = {};
  bool has_output = false;
};

// A hypercall of the driver's allow-list.
struct HypercallTraits {
  uint16_t code = 0;
  bool rep = false;
  // Of the host itself, too: on the device's descriptor it is one of those only.
  bool of_host = false;
};

// Null where the driver does not let it pass.
const HypercallTraits* FindHypercall(uint16_t code);

// What the hypervisor does for a hypercall of the driver's allow-list. `partition` is null where it
// is called for the host itself. `*done` is the number of completed reps, those before `start`
// included.
uint16_t Hypercall(Host& host, Partition* partition, uint16_t code, uint32_t reps, uint32_t start,
                   HypercallPages& pages, uint32_t* done);

// Which descriptor MSHV_ROOT_HVCALL was issued on.
enum class CallerFile { kDevice, kPartition, kVp };

// MSHV_ROOT_HVCALL (mshv_ioctl_passthru_hvcall). The argument is written back.
OrError<void> PassThrough(Host& host, Partition* partition, CallerFile file,
                          abi::mshv_root_hvcall* argument);

}  // namespace mshv::sim

#endif  // MSHV_NATIVE_SIM_HYPERCALLS_H_
