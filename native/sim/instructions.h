#ifndef MSHV_NATIVE_SIM_INSTRUCTIONS_H_
#define MSHV_NATIVE_SIM_INSTRUCTIONS_H_

#include <algorithm>
#include <cstdint>
#include <initializer_list>

namespace mshv::sim {

// An instruction's bytes.
struct Instruction {
  uint8_t bytes[16] = {};
  uint8_t length = 0;

  Instruction(std::initializer_list<uint8_t> all) : length(static_cast<uint8_t>(all.size())) {
    std::ranges::copy(all, bytes);
  }
};

inline Instruction IoInstruction(uint64_t size, bool out) {
  // IN and OUT of AL, AX or EAX and the port in DX.
  const uint8_t opcode = static_cast<uint8_t>((out ? 0xee : 0xec) | (size == 1 ? 0 : 1));
  return size == 2 ? Instruction{0x66, opcode} : Instruction{opcode};
}

inline Instruction MoveInstruction(uint64_t size, bool write) {
  // MOV between [RDI] and AL, AX, EAX or RAX.
  const uint8_t opcode = static_cast<uint8_t>((write ? 0x88 : 0x8a) | (size == 1 ? 0 : 1));
  constexpr uint8_t kRdiRax = 0x07;
  switch (size) {
    case 2:
      return {0x66, opcode, kRdiRax};
    case 8:
      return {0x48, opcode, kRdiRax};
    default:
      return {opcode, kRdiRax};
  }
}

}  // namespace mshv::sim

#endif  // MSHV_NATIVE_SIM_INSTRUCTIONS_H_
