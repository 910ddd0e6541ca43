#ifndef MSHV_NATIVE_SIM_RESERVED_H_
#define MSHV_NATIVE_SIM_RESERVED_H_

#include <algorithm>
#include <cstddef>
#include <cstdint>

namespace mshv::sim {

// Whether an argument's reserved bytes are what the driver refuses.
template <size_t kSize>
bool AnySet(const uint8_t (&bytes)[kSize]) {
  return std::ranges::any_of(bytes, [](uint8_t byte) { return byte != 0; });
}

}  // namespace mshv::sim

#endif  // MSHV_NATIVE_SIM_RESERVED_H_
