#include "x64_guest.h"

#include <algorithm>
#include <iterator>
#include <optional>

#include "../abi/hypercalls.h"
#include "instructions.h"
#include "partition.h"
#include "virtual_processor.h"

namespace mshv::sim {
namespace {

// CR0.PE and AM; EFER.LMA.
constexpr uint64_t kCr0Protected = 0x1;
constexpr uint64_t kCr0AlignmentMask = 0x40000;
constexpr uint64_t kEferActive = 0x400;

constexpr uint32_t kWriteBack = 6;
// hv_x64_memory_access_info: gva_valid and gva_gpa_valid.
constexpr uint8_t kGvaKnown = 0x3;
constexpr uint64_t kFastHypercallCodeMask = 0xffff;

abi::hv_u128 Segment(const Registers& registers, uint32_t name) {
  const abi::hv_register_value value = registers.Get(name);
  return {value.low, value.high};
}

class X64Guest final : public Guest {
 public:
  using Guest::Guest;

 private:
  void Enter() override { registers_.EnterLongMode(); }

  uint32_t ProgramCounter() const override { return abi::HV_X64_REGISTER_RIP; }

  void NotifyOf(uint16_t sints) override {
    abi::hv_x64_sint_deliverable_message exit{};
    exit.header = Header(0, abi::HV_INTERCEPT_ACCESS_READ);
    exit.deliverable_sints = sints;
    Exit(abi::HVMSG_SYNIC_SINT_DELIVERABLE, exit);
  }

  void Begin(const GuestStep& step) override {
    const auto& operands = step.operands;
    switch (step.kind) {
      case GuestStep::Kind::kIoPort:
        registers_.SetPart(abi::HV_X64_REGISTER_RDX, operands[0], 2);
        if (operands[2] == 1) {
          registers_.SetPart(abi::HV_X64_REGISTER_RAX, operands[3], operands[1]);
        }
        break;
      case GuestStep::Kind::kMsr:
        registers_.SetPart(abi::HV_X64_REGISTER_RCX, operands[0], 4);
        if (operands[1] != 0) {
          registers_.SetPart(abi::HV_X64_REGISTER_RAX, operands[2], 4);
          registers_.SetPart(abi::HV_X64_REGISTER_RDX, operands[2] >> 32, 4);
        }
        break;
      case GuestStep::Kind::kCpuid:
        registers_.SetPart(abi::HV_X64_REGISTER_RAX, operands[0], 4);
        registers_.SetPart(abi::HV_X64_REGISTER_RCX, operands[1], 4);
        break;
      case GuestStep::Kind::kHypercall:
        registers_.SetLow(abi::HV_X64_REGISTER_RCX, operands[0]);
        registers_.SetLow(abi::HV_X64_REGISTER_RDX, operands[1]);
        registers_.SetLow(abi::HV_X64_REGISTER_R8, operands[2]);
        break;
      case GuestStep::Kind::kMemory:
        registers_.SetLow(abi::HV_X64_REGISTER_RDI, operands[0]);
        if (operands[2] != 0) {
          registers_.SetPart(abi::HV_X64_REGISTER_RAX, operands[3], operands[1]);
        }
        break;
      default:
        break;
    }
  }

  Outcome Execute(const GuestStep& step) override {
    switch (step.kind) {
      case GuestStep::Kind::kIoPort:
        return IoPort(step);
      case GuestStep::Kind::kMsr:
        return Msr(step);
      case GuestStep::Kind::kCpuid:
        return Cpuid();
      case GuestStep::Kind::kHypercall:
        return Hypercall();
      case GuestStep::Kind::kMemory:
        return Memory(step);
      case GuestStep::Kind::kHalt:
        Exit(abi::HVMSG_X64_HALT, Header(1, abi::HV_INTERCEPT_ACCESS_EXECUTE));
        return Outcome::kLastExit;
      case GuestStep::Kind::kTripleFault:
        Exit(abi::HVMSG_UNRECOVERABLE_EXCEPTION, Header(0, abi::HV_INTERCEPT_ACCESS_READ));
        return Outcome::kLastExit;
      default:
        return Outcome::kDone;
    }
  }

  Outcome IoPort(const GuestStep& step) {
    const bool out = step.operands[2] != 0;
    const Instruction instruction = IoInstruction(step.operands[1], out);
    abi::hv_x64_io_port_intercept_message exit{};
    exit.header = Header(instruction.length,
                         out ? abi::HV_INTERCEPT_ACCESS_WRITE : abi::HV_INTERCEPT_ACCESS_READ);
    exit.port_number = static_cast<uint16_t>(step.operands[0]);
    exit.access_info = static_cast<uint8_t>(step.operands[1]);
    exit.instruction_byte_count = instruction.length;
    std::ranges::copy(instruction.bytes, exit.instruction_bytes);
    exit.rax = registers_.Low(abi::HV_X64_REGISTER_RAX);
    exit.ds_segment = Segment(registers_, abi::HV_X64_REGISTER_DS);
    exit.es_segment = Segment(registers_, abi::HV_X64_REGISTER_ES);
    exit.rcx = registers_.Low(abi::HV_X64_REGISTER_RCX);
    exit.rsi = registers_.Low(abi::HV_X64_REGISTER_RSI);
    exit.rdi = registers_.Low(abi::HV_X64_REGISTER_RDI);
    Exit(abi::HVMSG_X64_IO_PORT_INTERCEPT, exit);
    return Outcome::kExit;
  }

  Outcome Msr(const GuestStep& step) {
    constexpr uint8_t kLength = 2;
    const uint64_t msr = step.operands[0];
    const bool write = step.operands[1] != 0;
    const uint32_t mask =
        write ? abi::HV_INTERCEPT_ACCESS_MASK_WRITE : abi::HV_INTERCEPT_ACCESS_MASK_READ;
    const std::optional<uint32_t> kept = Registers::OfMsr(msr);
    const uint32_t name = kept.value_or(0);
    const bool known = kept && (!write || Synic::GuestMayWrite(name, step.operands[2]));
    if (partition_.intercepts.Covers(abi::HV_INTERCEPT_TYPE_X64_MSR_INDEX, msr, mask) ||
        (!known && partition_.intercepts.Covers(abi::HV_INTERCEPT_TYPE_X64_MSR, {}, mask))) {
      abi::hv_x64_msr_intercept_message exit{};
      exit.header =
          Header(kLength, write ? abi::HV_INTERCEPT_ACCESS_WRITE : abi::HV_INTERCEPT_ACCESS_READ);
      exit.msr_number = static_cast<uint32_t>(msr);
      exit.rdx = registers_.Low(abi::HV_X64_REGISTER_RDX);
      exit.rax = registers_.Low(abi::HV_X64_REGISTER_RAX);
      Exit(abi::HVMSG_X64_MSR_INTERCEPT, exit);
      return Outcome::kExit;
    }
    if (known && name == abi::HV_REGISTER_EOM && write) {
      vp_.synic.Recheck();
    } else if (known && write) {
      registers_.SetLow(name, step.operands[2]);
    } else if (!write) {
      // An unknown MSR is 0, or a #GP whose handler goes on behind the instruction.
      const uint64_t value = known ? registers_.Low(name) : 0;
      const bool faults = !known && partition_.properties.Get(
                                        abi::HV_PARTITION_PROPERTY_UNIMPLEMENTED_MSR_ACTION) !=
                                        abi::HV_UNIMPLEMENTED_MSR_ACTION_IGNORE_WRITE_READ_ZERO;
      if (!faults) {
        registers_.SetPart(abi::HV_X64_REGISTER_RAX, value, 4);
        registers_.SetPart(abi::HV_X64_REGISTER_RDX, value >> 32, 4);
      }
    }
    Skip(kLength);
    return Outcome::kDone;
  }

  Outcome Cpuid() {
    constexpr uint8_t kLength = 2;
    const auto eax = static_cast<uint32_t>(registers_.Low(abi::HV_X64_REGISTER_RAX));
    const auto ecx = static_cast<uint32_t>(registers_.Low(abi::HV_X64_REGISTER_RCX));
    const CpuidResult result = partition_.intercepts.Cpuid(vp_.index, eax, ecx, true);
    if (partition_.intercepts.Covers(abi::HV_INTERCEPT_TYPE_X64_CPUID, eax, 0) ||
        partition_.intercepts.Covers(abi::HV_INTERCEPT_TYPE_X64_GLOBAL_CPUID, {}, 0)) {
      abi::hv_x64_cpuid_intercept_message exit{};
      exit.header = Header(kLength, abi::HV_INTERCEPT_ACCESS_EXECUTE);
      exit.rax = registers_.Low(abi::HV_X64_REGISTER_RAX);
      exit.rcx = registers_.Low(abi::HV_X64_REGISTER_RCX);
      exit.rdx = registers_.Low(abi::HV_X64_REGISTER_RDX);
      exit.rbx = registers_.Low(abi::HV_X64_REGISTER_RBX);
      exit.default_result_rax = result.eax;
      exit.default_result_rcx = result.ecx;
      exit.default_result_rdx = result.edx;
      exit.default_result_rbx = result.ebx;
      Exit(abi::HVMSG_X64_CPUID_INTERCEPT, exit);
      return Outcome::kExit;
    }
    registers_.SetLow(abi::HV_X64_REGISTER_RAX, result.eax);
    registers_.SetLow(abi::HV_X64_REGISTER_RBX, result.ebx);
    registers_.SetLow(abi::HV_X64_REGISTER_RCX, result.ecx);
    registers_.SetLow(abi::HV_X64_REGISTER_RDX, result.edx);
    Skip(kLength);
    return Outcome::kDone;
  }

  Outcome Hypercall() {
    constexpr uint8_t kLength = 3;
    const uint64_t code = registers_.Low(abi::HV_X64_REGISTER_RCX) & kFastHypercallCodeMask;
    const bool connection = code == abi::HVCALL_POST_MESSAGE || code == abi::HVCALL_SIGNAL_EVENT;
    if (partition_.intercepts.Covers(abi::HV_INTERCEPT_TYPE_HYPERCALL, {}, 0) ||
        (connection &&
         partition_.intercepts.Covers(abi::HV_INTERCEPT_TYPE_UNKNOWN_SYNIC_CONNECTION, {}, 0))) {
      abi::hv_x64_hypercall_intercept_message exit{};
      exit.header = Header(kLength, abi::HV_INTERCEPT_ACCESS_EXECUTE);
      exit.rax = registers_.Low(abi::HV_X64_REGISTER_RAX);
      exit.rbx = registers_.Low(abi::HV_X64_REGISTER_RBX);
      exit.rcx = registers_.Low(abi::HV_X64_REGISTER_RCX);
      exit.rdx = registers_.Low(abi::HV_X64_REGISTER_RDX);
      exit.r8 = registers_.Low(abi::HV_X64_REGISTER_R8);
      exit.rsi = registers_.Low(abi::HV_X64_REGISTER_RSI);
      exit.rdi = registers_.Low(abi::HV_X64_REGISTER_RDI);
      for (uint32_t i = 0; i < std::size(exit.xmmregisters); ++i) {
        exit.xmmregisters[i] = Segment(registers_, abi::HV_X64_REGISTER_XMM0 + i);
      }
      Exit(abi::HVMSG_HYPERCALL_INTERCEPT, exit);
      return Outcome::kExit;
    }
    registers_.SetLow(abi::HV_X64_REGISTER_RAX, connection ? abi::HV_STATUS_INVALID_CONNECTION_ID
                                                           : abi::HV_STATUS_INVALID_HYPERCALL_CODE);
    Skip(kLength);
    return Outcome::kDone;
  }

  Outcome Memory(const GuestStep& step) {
    const uint64_t size = step.operands[1];
    const bool write = step.operands[2] != 0;
    const Instruction instruction = MoveInstruction(size, write);
    const MemoryAccess access = Access(step);
    if (!access.fault) {
      if (!write) {
        registers_.SetPart(abi::HV_X64_REGISTER_RAX, access.read, size);
      }
      Skip(instruction.length);
      return Outcome::kDone;
    }
    abi::hv_x64_memory_intercept_message exit{};
    exit.header = Header(instruction.length,
                         write ? abi::HV_INTERCEPT_ACCESS_WRITE : abi::HV_INTERCEPT_ACCESS_READ);
    exit.cache_type = kWriteBack;
    exit.instruction_byte_count = instruction.length;
    exit.memory_access_info = kGvaKnown;
    exit.tpr_priority = static_cast<uint8_t>(registers_.Low(abi::HV_X64_REGISTER_CR8));
    exit.guest_virtual_address = *access.fault;
    exit.guest_physical_address = *access.fault;
    std::ranges::copy(instruction.bytes, exit.instruction_bytes);
    Exit(access.mapped ? abi::HVMSG_GPA_INTERCEPT : abi::HVMSG_UNMAPPED_GPA, exit);
    return Outcome::kExit;
  }

  abi::hv_x64_intercept_message_header Header(uint8_t length, uint32_t access) const {
    abi::hv_x64_intercept_message_header header{};
    const uint64_t cr0 = registers_.Low(abi::HV_X64_REGISTER_CR0);
    const abi::hv_u128 cs = Segment(registers_, abi::HV_X64_REGISTER_CS);
    constexpr int kPrivilegeLevel = 53;
    header.vp_index = vp_.index;
    header.instruction_length_and_cr8 = static_cast<uint8_t>(
        (length & 0xf) | (registers_.Low(abi::HV_X64_REGISTER_CR8) & 0xf) << 4);
    header.intercept_access_type = static_cast<uint8_t>(access);
    // hv_x64_vp_execution_state: cpl, cr0_pe, cr0_am, efer_lma, debug_active, interruption_pending,
    // interrupt_shadow.
    const uint64_t state =
        (cs.high_part >> kPrivilegeLevel & 3) | ((cr0 & kCr0Protected) != 0 ? 1u << 2 : 0) |
        ((cr0 & kCr0AlignmentMask) != 0 ? 1u << 3 : 0) |
        ((registers_.Low(abi::HV_X64_REGISTER_EFER) & kEferActive) != 0 ? 1u << 4 : 0) |
        ((registers_.Low(abi::HV_X64_REGISTER_DR7) & 0xff) != 0 ? 1u << 5 : 0) |
        (registers_.Low(abi::HV_REGISTER_PENDING_INTERRUPTION) & 1) << 6 |
        (registers_.Low(abi::HV_REGISTER_INTERRUPT_STATE) & 1) << 12;
    header.execution_state = static_cast<uint16_t>(state);
    header.cs_segment = cs;
    header.rip = registers_.Low(abi::HV_X64_REGISTER_RIP);
    header.rflags = registers_.Low(abi::HV_X64_REGISTER_RFLAGS);
    return header;
  }
};

}  // namespace

bool RunX64Guest(Partition& partition, VirtualProcessor& vp, const RingFunction& ring,
                 std::span<uint8_t, abi::HV_MESSAGE_SIZE> message) {
  return X64Guest(partition, vp, ring, message).Run();
}

}  // namespace mshv::sim
