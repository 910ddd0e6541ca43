#ifndef MSHV_NATIVE_SIM_GUEST_STEP_H_
#define MSHV_NATIVE_SIM_GUEST_STEP_H_

#include <array>
#include <cstddef>
#include <cstdint>

#include "../abi/vp.h"
#include "../architecture.h"

namespace mshv::sim {

// One thing that a scripted guest does. The numbers are part of the addon's interface
// (simGuestSteps in lib/native.ts).
struct GuestStep {
  enum class Kind : uint32_t {
    // An intercept message as it is.
    kMessage = 0,
    // Operands: port, size, whether it is OUT (1 of a value, 2 of what RAX holds), value.
    kIoPort = 1,
    // MSR, whether it is WRMSR, value.
    kMsr = 2,
    // EAX, ECX.
    kCpuid = 3,
    // x64: RCX, RDX, R8. arm64: the immediate of HVC, X0, X1, X2.
    kHypercall = 4,
    // GPA, size, whether it is a write, value.
    kMemory = 5,
    kHalt = 6,
    kTripleFault = 7,
    // arm64: register, value. HvCallSetVpRegisters of the guest for itself.
    kSetRegister = 8,
    // arm64: type, code. PSCI.
    kReset = 9,
    kCount = 10,
  };

  static constexpr size_t kOperands = 4;

  // Whether a guest of this architecture can do it.
  static bool IsOf(Architecture architecture, Kind kind) {
    switch (kind) {
      case Kind::kHypercall:
      case Kind::kMemory:
        return true;
      case Kind::kSetRegister:
      case Kind::kReset:
        return architecture == Architecture::kArm64;
      default:
        return architecture == Architecture::kX64;
    }
  }

  Kind kind = Kind::kMessage;
  std::array<uint64_t, kOperands> operands = {};
  std::array<uint8_t, abi::HV_MESSAGE_SIZE> message = {};

  // Its registers have been loaded.
  bool begun = false;
  // It has exited, with the instruction at `pc`. It is over when the VMM has moved on.
  bool exited = false;
  uint64_t pc = 0;
};

}  // namespace mshv::sim

#endif  // MSHV_NATIVE_SIM_GUEST_STEP_H_
