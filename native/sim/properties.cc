#include "properties.h"

#include "../abi/hypercalls.h"

namespace mshv::sim {
namespace {

// What a partition is made with: it stands once the partition is initialized. Hosts have been seen
// to refuse the privileges then (mshv-ioctls, test_set_partition_property_invalid); what the guest
// is offered, its interrupt controller's lines and the processor that it sees are decided before by
// every VMM, or are the input of HvCallCreatePartition. The MSR action, the processors of a socket,
// the tracking of accesses, isolation and time are set later, and stay free.
bool IsOfCreation(uint32_t code) {
  return code == abi::HV_PARTITION_PROPERTY_PRIVILEGE_FLAGS ||
         code == abi::HV_PARTITION_PROPERTY_SYNTHETIC_PROC_FEATURES ||
         (code >= abi::HV_PARTITION_PROPERTY_GIC_LPI_INT_ID_BITS &&
          code <= abi::HV_PARTITION_PROPERTY_GIC_PPI_PMBIRQ) ||
         (code >= abi::HV_PARTITION_PROPERTY_PROCESSOR_VENDOR &&
          code <= abi::HV_PARTITION_PROPERTY_PROCESSOR_FEATURES1);
}

}  // namespace

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

std::optional<uint64_t> Properties::Get(uint32_t code) const {
  if (code == abi::HV_PARTITION_PROPERTY_REFERENCE_TIME) {
    return clock_.Now();
  }
  const auto found = values_.find(code);
  return found == values_.end() ? Default(code) : found->second;
}

uint16_t Properties::Set(uint32_t code, uint64_t value, bool initialized) {
  if (!Default(code)) {
    return abi::HV_STATUS_UNKNOWN_PROPERTY;
  }
  if (initialized && IsOfCreation(code)) {
    return abi::HV_STATUS_INVALID_PARTITION_STATE;
  }
  if (code == abi::HV_PARTITION_PROPERTY_REFERENCE_TIME) {
    // The clock is set while it stands.
    if (!clock_.frozen()) {
      return abi::HV_STATUS_INVALID_PARTITION_STATE;
    }
    clock_.Set(value);
    return abi::HV_STATUS_SUCCESS;
  }
  if (code == abi::HV_PARTITION_PROPERTY_TIME_FREEZE) {
    clock_.Freeze(value != 0);
  }
  values_[code] = value;
  return abi::HV_STATUS_SUCCESS;
}

}  // namespace mshv::sim
