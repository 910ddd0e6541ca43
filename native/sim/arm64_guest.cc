#include "arm64_guest.h"

#include <bit>
#include <cstring>
#include <iterator>

#include "../abi/hypercalls.h"
#include "partition.h"
#include "virtual_processor.h"

namespace mshv::sim {
namespace {

constexpr uint8_t kInstructionLength = 4;
constexpr uint32_t kWriteBack = 6;
// hv_arm64_memory_access_info: gva_valid and gva_gpa_valid.
constexpr uint8_t kGvaKnown = 0x3;
constexpr uint64_t kHypercallCodeMask = 0xffff;

// Exception level in bits 3:2 of PSTATE.
constexpr int kExceptionLevel = 2;

// ESR_EL2 of a data abort from a lower exception level (Arm ARM, D24.2.40): EC 0x24, IL, and an ISS
// that is valid (ISV), of a translation fault at level 3, or of a permission fault there.
constexpr uint64_t kDataAbort = uint64_t{0x24} << 26 | uint64_t{1} << 25 | uint64_t{1} << 24;
constexpr int kAccessSize = 22;
constexpr int kTransferRegister = 16;
constexpr uint64_t kSixtyFourBit = uint64_t{1} << 15;
constexpr uint64_t kWriteNotRead = uint64_t{1} << 6;
constexpr uint64_t kTranslationFault = 0x07;
constexpr uint64_t kPermissionFault = 0x0f;

// The register that data is in, and the one that has its address.
constexpr uint32_t kData = 0;
constexpr uint32_t kAddress = 1;

constexpr uint32_t X(uint32_t number) { return abi::HV_ARM64_REGISTER_X0 + number; }

// STRB, STRH, STR and LDRB, LDRH, LDR of X0 at [X1].
uint32_t MoveInstruction(uint64_t size, bool write) {
  const auto log = static_cast<uint32_t>(std::countr_zero(size));
  return 0x39000000u | log << 30 | (write ? 0 : 1u << 22) | kAddress << 5 | kData;
}

class Arm64Guest final : public Guest {
 public:
  using Guest::Guest;

 private:
  uint32_t ProgramCounter() const override { return abi::HV_ARM64_REGISTER_PC; }

  void NotifyOf(uint16_t sints) override {
    abi::hv_arm64_sint_deliverable_message exit{};
    exit.header = Header(abi::HV_INTERCEPT_ACCESS_READ);
    exit.header.instruction_length = 0;
    exit.deliverable_sints = sints;
    Exit(abi::HVMSG_SYNIC_SINT_DELIVERABLE, exit);
  }

  void Begin(const GuestStep& step) override {
    const auto& operands = step.operands;
    if (step.kind == GuestStep::Kind::kMemory) {
      registers_.SetLow(X(kAddress), operands[0]);
      if (operands[2] != 0) {
        registers_.SetLow(X(kData), operands[3]);
      }
    } else if (step.kind == GuestStep::Kind::kHypercall) {
      // HVC #1 has the control word in X0; HVC #0 has the function there, and all else one further.
      const bool smccc = operands[0] == 0;
      const uint32_t first = smccc ? 1 : 0;
      if (smccc) {
        registers_.SetLow(X(0), abi::HV_SMCCC_FUNC_ID);
      }
      for (uint32_t i = 0; i < 3; ++i) {
        registers_.SetLow(X(first + i), operands[1 + i]);
      }
    }
  }

  Outcome Execute(const GuestStep& step) override {
    switch (step.kind) {
      case GuestStep::Kind::kHypercall:
        return Hypercall(static_cast<uint16_t>(step.operands[0]));
      case GuestStep::Kind::kMemory:
        return Memory(step);
      case GuestStep::Kind::kSetRegister:
        SetRegister(static_cast<uint32_t>(step.operands[0]), step.operands[1]);
        Skip(kInstructionLength);
        return Outcome::kDone;
      case GuestStep::Kind::kReset:
        Reset(step);
        return Outcome::kLastExit;
      default:
        return Outcome::kDone;
    }
  }

  Outcome Hypercall(uint16_t immediate) {
    const uint32_t control = immediate == 0 ? 1 : 0;
    const uint64_t code = registers_.Low(X(control)) & kHypercallCodeMask;
    const bool connection = code == abi::HVCALL_POST_MESSAGE || code == abi::HVCALL_SIGNAL_EVENT;
    if (partition_.intercepts.Covers(abi::HV_INTERCEPT_TYPE_HYPERCALL, {}, 0) ||
        (connection &&
         partition_.intercepts.Covers(abi::HV_INTERCEPT_TYPE_UNKNOWN_SYNIC_CONNECTION, {}, 0))) {
      abi::hv_arm64_hypercall_intercept_message exit{};
      exit.header = Header(abi::HV_INTERCEPT_ACCESS_EXECUTE);
      exit.immediate = immediate;
      for (uint32_t i = 0; i < std::size(exit.x); ++i) {
        exit.x[i] = registers_.Low(X(i));
      }
      Exit(abi::HVMSG_HYPERCALL_INTERCEPT, exit);
      return Outcome::kExit;
    }
    registers_.SetLow(X(0), connection ? abi::HV_STATUS_INVALID_CONNECTION_ID
                                       : abi::HV_STATUS_INVALID_HYPERCALL_CODE);
    Skip(kInstructionLength);
    return Outcome::kDone;
  }

  Outcome Memory(const GuestStep& step) {
    const uint64_t size = step.operands[1];
    const bool write = step.operands[2] != 0;
    const MemoryAccess access = Access(step);
    if (!access.fault) {
      if (!write) {
        registers_.SetLow(X(kData), access.read);
      }
      Skip(kInstructionLength);
      return Outcome::kDone;
    }
    abi::hv_arm64_memory_intercept_message exit{};
    exit.header = Header(write ? abi::HV_INTERCEPT_ACCESS_WRITE : abi::HV_INTERCEPT_ACCESS_READ);
    exit.cache_type = kWriteBack;
    exit.instruction_byte_count = kInstructionLength;
    exit.memory_access_info = kGvaKnown;
    const uint32_t instruction = MoveInstruction(size, write);
    std::memcpy(exit.instruction_bytes, &instruction, sizeof(instruction));
    exit.guest_virtual_address = *access.fault;
    exit.guest_physical_address = *access.fault;
    exit.syndrome = kDataAbort | static_cast<uint64_t>(std::countr_zero(size)) << kAccessSize |
                    uint64_t{kData} << kTransferRegister |
                    (size == sizeof(uint64_t) ? kSixtyFourBit : 0) | (write ? kWriteNotRead : 0) |
                    (access.mapped ? kPermissionFault : kTranslationFault);
    Exit(access.mapped ? abi::HVMSG_GPA_INTERCEPT : abi::HVMSG_UNMAPPED_GPA, exit);
    return Outcome::kExit;
  }

  void SetRegister(uint32_t name, uint64_t value) {
    if (name == abi::HV_REGISTER_EOM) {
      vp_.synic.Recheck();
    } else if (Synic::GuestMayWrite(name, value)) {
      registers_.SetLow(name, value);
    }
  }

  void Reset(const GuestStep& step) {
    abi::hv_arm64_reset_intercept_message exit{};
    exit.header = Header(abi::HV_INTERCEPT_ACCESS_EXECUTE);
    exit.reset_type = static_cast<uint32_t>(step.operands[0]);
    exit.reset_code = static_cast<uint32_t>(step.operands[1]);
    Exit(abi::HVMSG_ARM64_RESET_INTERCEPT, exit);
  }

  abi::hv_arm64_intercept_message_header Header(uint32_t access) const {
    abi::hv_arm64_intercept_message_header header{};
    const uint64_t pstate = registers_.Low(abi::HV_ARM64_REGISTER_PSTATE);
    header.vp_index = vp_.index;
    header.instruction_length = kInstructionLength;
    header.intercept_access_type = static_cast<uint8_t>(access);
    // hv_arm64_vp_execution_state: cpl.
    header.execution_state = static_cast<uint16_t>(pstate >> kExceptionLevel & 3);
    header.pc = registers_.Low(abi::HV_ARM64_REGISTER_PC);
    header.cpsr = pstate;
    return header;
  }
};

}  // namespace

bool RunArm64Guest(Partition& partition, VirtualProcessor& vp, const RingFunction& ring,
                   std::span<uint8_t, abi::HV_MESSAGE_SIZE> message) {
  return Arm64Guest(partition, vp, ring, message).Run();
}

}  // namespace mshv::sim
