// What the hypervisor defines about interrupts, as far as the simulated driver needs it, under the
// kernel's names. The values are those of x64, also where this is compiled for arm64.
#ifndef MSHV_NATIVE_ABI_HV_H_
#define MSHV_NATIVE_ABI_HV_H_

#include <cstdint>

namespace mshv::abi {

// How an interrupt is delivered: hv_msi_data_register::delivery_mode has the first eight.
inline constexpr uint32_t HV_X64_INTERRUPT_TYPE_FIXED = 0;
inline constexpr uint32_t HV_X64_INTERRUPT_TYPE_LOWESTPRIORITY = 1;
inline constexpr uint32_t HV_X64_INTERRUPT_TYPE_SMI = 2;
inline constexpr uint32_t HV_X64_INTERRUPT_TYPE_REMOTEREAD = 3;
inline constexpr uint32_t HV_X64_INTERRUPT_TYPE_NMI = 4;
inline constexpr uint32_t HV_X64_INTERRUPT_TYPE_INIT = 5;
inline constexpr uint32_t HV_X64_INTERRUPT_TYPE_SIPI = 6;
inline constexpr uint32_t HV_X64_INTERRUPT_TYPE_EXTINT = 7;
inline constexpr uint32_t HV_X64_INTERRUPT_TYPE_LOCALINT0 = 8;
inline constexpr uint32_t HV_X64_INTERRUPT_TYPE_LOCALINT1 = 9;
inline constexpr uint32_t HV_X64_INTERRUPT_TYPE_MAXIMUM = 10;

inline constexpr uint32_t HV_INTERRUPT_TRIGGER_MODE_EDGE = 0;
inline constexpr uint32_t HV_INTERRUPT_TRIGGER_MODE_LEVEL = 1;

// How many vectors a VP's register page holds for the next run.
inline constexpr uint32_t HV_VP_REGISTER_PAGE_MAX_VECTOR_COUNT = 7;

// A run of bits of a 32-bit word.
struct BitField {
  uint32_t offset;
  uint32_t width;

  constexpr uint32_t Of(uint32_t word) const {
    return static_cast<uint32_t>(word >> offset & ((uint64_t{1} << width) - 1));
  }
};

// mshv_user_irq_entry::address_lo. The driver looks at destination_mode (1 is logical) and
// destination_id only.
struct hv_msi_address_register {
  static constexpr BitField reserved1{0, 2};
  static constexpr BitField destination_mode{2, 1};
  static constexpr BitField redirection_hint{3, 1};
  static constexpr BitField reserved2{4, 8};
  static constexpr BitField destination_id{12, 8};
  static constexpr BitField msi_base{20, 12};
};

// mshv_user_irq_entry::data. The driver looks at vector, delivery_mode and trigger_mode only.
struct hv_msi_data_register {
  static constexpr BitField vector{0, 8};
  static constexpr BitField delivery_mode{8, 3};
  static constexpr BitField reserved1{11, 3};
  static constexpr BitField level_assert{14, 1};
  static constexpr BitField trigger_mode{15, 1};
  static constexpr BitField reserved2{16, 16};
};

}  // namespace mshv::abi

#endif  // MSHV_NATIVE_ABI_HV_H_
