#include "hypervisor.h"

#include <cerrno>

#include "../abi/hypercalls.h"

namespace mshv::sim {

bool NeedsMemory(uint16_t status) {
  switch (status) {
    case abi::HV_STATUS_INSUFFICIENT_MEMORY:
    case abi::HV_STATUS_INSUFFICIENT_CONTIGUOUS_MEMORY:
    case abi::HV_STATUS_INSUFFICIENT_ROOT_MEMORY:
    case abi::HV_STATUS_INSUFFICIENT_CONTIGUOUS_ROOT_MEMORY:
      return true;
    default:
      return false;
  }
}

OrError<void> FromStatus(uint16_t status) {
  switch (status) {
    case abi::HV_STATUS_SUCCESS:
      return {};
    case abi::HV_STATUS_INVALID_HYPERCALL_CODE:
    case abi::HV_STATUS_INVALID_HYPERCALL_INPUT:
    case abi::HV_STATUS_INVALID_PARAMETER:
    case abi::HV_STATUS_INVALID_PARTITION_ID:
    case abi::HV_STATUS_INVALID_VP_INDEX:
    case abi::HV_STATUS_INVALID_PORT_ID:
    case abi::HV_STATUS_INVALID_CONNECTION_ID:
    case abi::HV_STATUS_INVALID_LP_INDEX:
    case abi::HV_STATUS_INVALID_REGISTER_VALUE:
      return Error(-EINVAL);
    default:
      return Error(NeedsMemory(status) ? -ENOMEM : -EIO);
  }
}

OrError<void> AskWithDeposits(Hypervisor& hypervisor, uint16_t code) {
  Refusal refusal = hypervisor.Refuse(code);
  while (NeedsMemory(refusal.status)) {
    refusal = hypervisor.Refuse(code);
  }
  return FromStatus(refusal.status);
}

OrError<void> Ask(Hypervisor& hypervisor, uint16_t code) {
  return FromStatus(hypervisor.Refuse(code).status);
}

}  // namespace mshv::sim
