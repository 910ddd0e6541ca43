#include "properties.h"

#include "../abi/hypercalls.h"

namespace mshv::sim {

std::optional<uint64_t> Properties::Default(uint32_t code) {
  switch (code) {
    case abi::HV_PARTITION_PROPERTY_XSAVE_STATES:
      return 0x7;
    case abi::HV_PARTITION_PROPERTY_MAX_XSAVE_DATA_SIZE:
      return 832;
    case abi::HV_PARTITION_PROPERTY_PROCESSOR_CLOCK_FREQUENCY:
      return 2'400'000'000;
    default:
      // The groups of codes that there are.
      return code >= 0x00010000 && code < 0x000a0000 ? std::optional<uint64_t>(0) : std::nullopt;
  }
}

}  // namespace mshv::sim
