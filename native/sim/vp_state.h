#ifndef MSHV_NATIVE_SIM_VP_STATE_H_
#define MSHV_NATIVE_SIM_VP_STATE_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <map>
#include <span>
#include <vector>

#include "../abi/mshv.h"

namespace mshv::sim {

// What HvCallGetVpState and HvCallSetVpState move besides registers, by type
// (HV_GET_SET_VP_STATE_*): whole pages, all zero until they are set.
class VpState {
 public:
  using Page = std::array<uint8_t, abi::MSHV_HV_PAGE_SIZE>;

  // What the hypervisor keeps of one type.
  static constexpr size_t kMostPages = 8;

  // The page, made where it is not there yet.
  Page& At(uint32_t type, size_t index);
  // Null where it was never set.
  const Page* Find(uint32_t type, size_t index) const;

 private:
  std::map<uint32_t, std::vector<Page>> pages_;
};

}  // namespace mshv::sim

#endif  // MSHV_NATIVE_SIM_VP_STATE_H_
