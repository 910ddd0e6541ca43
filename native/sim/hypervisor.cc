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

int StatusToErrno(uint16_t status) {
  switch (status) {
    case abi::HV_STATUS_SUCCESS:
      return 0;
    case abi::HV_STATUS_INVALID_HYPERCALL_CODE:
    case abi::HV_STATUS_INVALID_HYPERCALL_INPUT:
    case abi::HV_STATUS_INVALID_PARAMETER:
    case abi::HV_STATUS_INVALID_PARTITION_ID:
    case abi::HV_STATUS_INVALID_VP_INDEX:
    case abi::HV_STATUS_INVALID_PORT_ID:
    case abi::HV_STATUS_INVALID_CONNECTION_ID:
    case abi::HV_STATUS_INVALID_LP_INDEX:
    case abi::HV_STATUS_INVALID_REGISTER_VALUE:
      return -EINVAL;
    default:
      return NeedsMemory(status) ? -ENOMEM : -EIO;
  }
}

int AskWithDeposits(Hypervisor& hypervisor, uint16_t code) {
  Refusal refusal = hypervisor.Refuse(code);
  while (NeedsMemory(refusal.status)) {
    refusal = hypervisor.Refuse(code);
  }
  return StatusToErrno(refusal.status);
}

int Ask(Hypervisor& hypervisor, uint16_t code) {
  return StatusToErrno(hypervisor.Refuse(code).status);
}

}  // namespace mshv::sim
