// What a VP shows: registers, register page, intercept messages; as far as the simulated hypervisor
// makes them, under the kernel's names. The values are those of x64.
#ifndef MSHV_NATIVE_ABI_VP_H_
#define MSHV_NATIVE_ABI_VP_H_

#include <cstddef>
#include <cstdint>

namespace mshv::abi {

inline constexpr uint32_t HV_REGISTER_EXPLICIT_SUSPEND = 0x00000000;
inline constexpr uint32_t HV_REGISTER_INTERCEPT_SUSPEND = 0x00000001;
inline constexpr uint32_t HV_REGISTER_INSTRUCTION_EMULATION_HINTS = 0x00000002;
inline constexpr uint32_t HV_REGISTER_DISPATCH_SUSPEND = 0x00000003;
inline constexpr uint32_t HV_REGISTER_PENDING_INTERRUPTION = 0x00010002;
inline constexpr uint32_t HV_REGISTER_INTERRUPT_STATE = 0x00010003;
// SINT n is bit 48 + n.
inline constexpr uint32_t HV_REGISTER_DELIVERABILITY_NOTIFICATIONS = 0x00010006;
// RAX, RCX, RDX, RBX, RSP, RBP, RSI, RDI, R8 to R15.
inline constexpr uint32_t HV_X64_REGISTER_RAX = 0x00020000;
inline constexpr uint32_t HV_X64_REGISTER_RCX = 0x00020001;
inline constexpr uint32_t HV_X64_REGISTER_RDX = 0x00020002;
inline constexpr uint32_t HV_X64_REGISTER_RBX = 0x00020003;
inline constexpr uint32_t HV_X64_REGISTER_RSI = 0x00020006;
inline constexpr uint32_t HV_X64_REGISTER_RDI = 0x00020007;
inline constexpr uint32_t HV_X64_REGISTER_R8 = 0x00020008;
inline constexpr uint32_t HV_X64_REGISTER_RIP = 0x00020010;
// The numbers begin again with each architecture.
inline constexpr uint32_t HV_ARM64_REGISTER_X0 = 0x00020000;
inline constexpr uint32_t HV_ARM64_REGISTER_PC = 0x00020022;
inline constexpr uint32_t HV_ARM64_REGISTER_PSTATE = 0x00020023;
inline constexpr uint32_t HV_X64_REGISTER_RFLAGS = 0x00020011;
inline constexpr uint32_t HV_X64_REGISTER_XMM0 = 0x00030000;
inline constexpr uint32_t HV_X64_REGISTER_CR0 = 0x00040000;
inline constexpr uint32_t HV_X64_REGISTER_CR3 = 0x00040002;
inline constexpr uint32_t HV_X64_REGISTER_CR4 = 0x00040003;
inline constexpr uint32_t HV_X64_REGISTER_CR8 = 0x00040004;
inline constexpr uint32_t HV_X64_REGISTER_XFEM = 0x00040005;
inline constexpr uint32_t HV_X64_REGISTER_DR7 = 0x00050005;
// ES, CS, SS, DS, FS, GS.
inline constexpr uint32_t HV_X64_REGISTER_ES = 0x00060000;
inline constexpr uint32_t HV_X64_REGISTER_CS = 0x00060001;
inline constexpr uint32_t HV_X64_REGISTER_DS = 0x00060003;
inline constexpr uint32_t HV_X64_REGISTER_EFER = 0x00080001;
inline constexpr uint32_t HV_X64_REGISTER_INITIAL_APIC_ID = 0x0008000c;
inline constexpr uint32_t HV_X64_REGISTER_APIC_ID = 0x00084802;
inline constexpr uint32_t HV_REGISTER_TIME_REF_COUNT = 0x00090004;
inline constexpr uint32_t HV_REGISTER_VP_ROOT_SIGNAL_COUNT = 0x00090014;
// SINT0 to SINT15.
inline constexpr uint32_t HV_X64_REGISTER_APIC_BASE = 0x00080003;
inline constexpr uint32_t HV_REGISTER_SINT0 = 0x000a0000;
inline constexpr uint32_t HV_REGISTER_SCONTROL = 0x000a0010;
inline constexpr uint32_t HV_REGISTER_SVERSION = 0x000a0011;
inline constexpr uint32_t HV_REGISTER_SIEFP = 0x000a0012;
inline constexpr uint32_t HV_REGISTER_SIMP = 0x000a0013;
inline constexpr uint32_t HV_REGISTER_EOM = 0x000a0014;

inline constexpr uint32_t HV_SYNIC_SINT_COUNT = 16;
inline constexpr uint32_t HV_EVENT_FLAGS_COUNT = 2048;
// SCONTROL, SIMP and SIEFP.
inline constexpr uint64_t HV_SYNIC_ENABLE = 0x1;
// hv_synic_sint.
inline constexpr uint64_t HV_SYNIC_SINT_VECTOR_MASK = 0xff;
inline constexpr uint64_t HV_SYNIC_SINT_MASKED = 0x10000;
inline constexpr uint64_t HV_SYNIC_SINT_POLLING = 0x40000;

// What the dirty bits of the register page stand for.
inline constexpr uint32_t HV_X64_REGISTER_CLASS_GENERAL = 0;
inline constexpr uint32_t HV_X64_REGISTER_CLASS_IP = 1;
inline constexpr uint32_t HV_X64_REGISTER_CLASS_XMM = 2;
inline constexpr uint32_t HV_X64_REGISTER_CLASS_SEGMENT = 3;
inline constexpr uint32_t HV_X64_REGISTER_CLASS_FLAGS = 4;

inline constexpr uint16_t HV_VP_REGISTER_PAGE_VERSION_1 = 1;

// Two words each, as in hv_register_value.
struct hv_u128 {
  uint64_t low_part;
  uint64_t high_part;
};
static_assert(sizeof(hv_u128) == 16);

struct [[gnu::packed]] hv_vp_register_page {
  uint16_t version;
  uint8_t isvalid;
  uint8_t rsvdz;
  uint32_t dirty;
  uint64_t gp_registers[16];
  uint64_t rip;
  uint64_t rflags;
  uint8_t reserved[8];
  hv_u128 xmm_registers[6];
  hv_u128 segment_registers[6];
  uint64_t cr0;
  uint64_t cr3;
  uint64_t cr4;
  uint64_t cr8;
  uint64_t efer;
  uint64_t dr7;
  uint64_t pending_interruption;
  uint64_t interrupt_state;
  uint64_t instruction_emulation_hints;
  uint64_t xfem;
  uint8_t reserved1[256];
  uint64_t interrupt_vectors;
};
static_assert(sizeof(hv_vp_register_page) == 696);
static_assert(offsetof(hv_vp_register_page, version) == 0);
static_assert(offsetof(hv_vp_register_page, isvalid) == 2);
static_assert(offsetof(hv_vp_register_page, dirty) == 4);
static_assert(offsetof(hv_vp_register_page, gp_registers) == 8);
static_assert(offsetof(hv_vp_register_page, rip) == 136);
static_assert(offsetof(hv_vp_register_page, rflags) == 144);
static_assert(offsetof(hv_vp_register_page, xmm_registers) == 160);
static_assert(offsetof(hv_vp_register_page, segment_registers) == 256);
static_assert(offsetof(hv_vp_register_page, cr0) == 352);
static_assert(offsetof(hv_vp_register_page, cr3) == 360);
static_assert(offsetof(hv_vp_register_page, cr4) == 368);
static_assert(offsetof(hv_vp_register_page, cr8) == 376);
static_assert(offsetof(hv_vp_register_page, efer) == 384);
static_assert(offsetof(hv_vp_register_page, dr7) == 392);
static_assert(offsetof(hv_vp_register_page, pending_interruption) == 400);
static_assert(offsetof(hv_vp_register_page, interrupt_state) == 408);
static_assert(offsetof(hv_vp_register_page, instruction_emulation_hints) == 416);
static_assert(offsetof(hv_vp_register_page, xfem) == 424);
static_assert(offsetof(hv_vp_register_page, interrupt_vectors) == 688);

inline constexpr uint32_t HVMSG_UNMAPPED_GPA = 0x80000000;
inline constexpr uint32_t HVMSG_GPA_INTERCEPT = 0x80000001;
inline constexpr uint32_t HVMSG_UNRECOVERABLE_EXCEPTION = 0x80000021;
inline constexpr uint32_t HVMSG_HYPERCALL_INTERCEPT = 0x80000050;
inline constexpr uint32_t HVMSG_SYNIC_SINT_DELIVERABLE = 0x80000062;
inline constexpr uint32_t HVMSG_X64_IO_PORT_INTERCEPT = 0x80010000;
inline constexpr uint32_t HVMSG_X64_MSR_INTERCEPT = 0x80010001;
inline constexpr uint32_t HVMSG_X64_CPUID_INTERCEPT = 0x80010002;
inline constexpr uint32_t HVMSG_X64_HALT = 0x80010007;
inline constexpr uint32_t HVMSG_ARM64_RESET_INTERCEPT = 0x8001000c;

inline constexpr size_t HV_MESSAGE_SIZE = 256;
inline constexpr size_t HV_MESSAGE_PAYLOAD_BYTE_COUNT = 240;
// X0 of HVC #0 for a hypercall: HV_FUNC_ID of Linux' arch/arm64/include/asm/mshyperv.h.
inline constexpr uint64_t HV_SMCCC_FUNC_ID = 0x46000001;

// In hv_message_header.message_flags.
inline constexpr uint8_t HV_MESSAGE_FLAG_PENDING = 0x1;

struct hv_message_header {
  uint32_t message_type;
  uint8_t payload_size;
  uint8_t message_flags;
  uint8_t reserved[2];
  uint64_t sender;
};
static_assert(sizeof(hv_message_header) == 16);
static_assert(offsetof(hv_message_header, message_type) == 0);
static_assert(offsetof(hv_message_header, payload_size) == 4);
static_assert(offsetof(hv_message_header, message_flags) == 5);
static_assert(offsetof(hv_message_header, reserved) == 6);
static_assert(offsetof(hv_message_header, sender) == 8);

struct hv_x64_intercept_message_header {
  uint32_t vp_index;
  // Length in bits 3:0, CR8 in bits 7:4.
  uint8_t instruction_length_and_cr8;
  uint8_t intercept_access_type;
  uint16_t execution_state;
  hv_u128 cs_segment;
  uint64_t rip;
  uint64_t rflags;
};
static_assert(sizeof(hv_x64_intercept_message_header) == 40);
static_assert(offsetof(hv_x64_intercept_message_header, vp_index) == 0);
static_assert(offsetof(hv_x64_intercept_message_header, intercept_access_type) == 5);
static_assert(offsetof(hv_x64_intercept_message_header, execution_state) == 6);
static_assert(offsetof(hv_x64_intercept_message_header, cs_segment) == 8);
static_assert(offsetof(hv_x64_intercept_message_header, rip) == 24);
static_assert(offsetof(hv_x64_intercept_message_header, rflags) == 32);

struct hv_arm64_intercept_message_header {
  uint32_t vp_index;
  uint8_t instruction_length;
  uint8_t intercept_access_type;
  uint16_t execution_state;
  uint64_t pc;
  uint64_t cpsr;
};
static_assert(sizeof(hv_arm64_intercept_message_header) == 24);
static_assert(offsetof(hv_arm64_intercept_message_header, vp_index) == 0);
static_assert(offsetof(hv_arm64_intercept_message_header, instruction_length) == 4);
static_assert(offsetof(hv_arm64_intercept_message_header, intercept_access_type) == 5);
static_assert(offsetof(hv_arm64_intercept_message_header, execution_state) == 6);
static_assert(offsetof(hv_arm64_intercept_message_header, pc) == 8);
static_assert(offsetof(hv_arm64_intercept_message_header, cpsr) == 16);

struct hv_arm64_memory_intercept_message {
  hv_arm64_intercept_message_header header;
  uint32_t cache_type;
  uint8_t instruction_byte_count;
  uint8_t memory_access_info;
  uint16_t reserved1;
  uint8_t instruction_bytes[4];
  uint32_t reserved2;
  uint64_t guest_virtual_address;
  uint64_t guest_physical_address;
  uint64_t syndrome;
};
static_assert(sizeof(hv_arm64_memory_intercept_message) == 64);
static_assert(offsetof(hv_arm64_memory_intercept_message, header) == 0);
static_assert(offsetof(hv_arm64_memory_intercept_message, cache_type) == 24);
static_assert(offsetof(hv_arm64_memory_intercept_message, instruction_byte_count) == 28);
static_assert(offsetof(hv_arm64_memory_intercept_message, memory_access_info) == 29);
static_assert(offsetof(hv_arm64_memory_intercept_message, instruction_bytes) == 32);
static_assert(offsetof(hv_arm64_memory_intercept_message, guest_virtual_address) == 40);
static_assert(offsetof(hv_arm64_memory_intercept_message, guest_physical_address) == 48);
static_assert(offsetof(hv_arm64_memory_intercept_message, syndrome) == 56);

struct hv_arm64_reset_intercept_message {
  hv_arm64_intercept_message_header header;
  uint32_t reset_type;
  uint32_t reset_code;
};
static_assert(sizeof(hv_arm64_reset_intercept_message) == 32);
static_assert(offsetof(hv_arm64_reset_intercept_message, header) == 0);
static_assert(offsetof(hv_arm64_reset_intercept_message, reset_type) == 24);
static_assert(offsetof(hv_arm64_reset_intercept_message, reset_code) == 28);

// Of these two Linux has no declaration: HvArm64HypercallInterceptMessage and
// HvArm64SynicSintDeliverableMessage of OpenVMM's hvdef.
struct hv_arm64_hypercall_intercept_message {
  hv_arm64_intercept_message_header header;
  uint16_t immediate;
  uint16_t reserved;
  uint32_t flags;
  uint64_t x[18];
};
static_assert(sizeof(hv_arm64_hypercall_intercept_message) == 176);
static_assert(offsetof(hv_arm64_hypercall_intercept_message, header) == 0);
static_assert(offsetof(hv_arm64_hypercall_intercept_message, immediate) == 24);
static_assert(offsetof(hv_arm64_hypercall_intercept_message, flags) == 28);
static_assert(offsetof(hv_arm64_hypercall_intercept_message, x) == 32);

struct hv_arm64_sint_deliverable_message {
  hv_arm64_intercept_message_header header;
  uint16_t deliverable_sints;
  uint16_t rsvd1;
  uint32_t rsvd2;
};
static_assert(sizeof(hv_arm64_sint_deliverable_message) == 32);
static_assert(offsetof(hv_arm64_sint_deliverable_message, header) == 0);
static_assert(offsetof(hv_arm64_sint_deliverable_message, deliverable_sints) == 24);

struct hv_x64_memory_intercept_message {
  hv_x64_intercept_message_header header;
  uint32_t cache_type;
  uint8_t instruction_byte_count;
  uint8_t memory_access_info;
  uint8_t tpr_priority;
  uint8_t reserved1;
  uint64_t guest_virtual_address;
  uint64_t guest_physical_address;
  uint8_t instruction_bytes[16];
};
static_assert(sizeof(hv_x64_memory_intercept_message) == 80);
static_assert(offsetof(hv_x64_memory_intercept_message, header) == 0);
static_assert(offsetof(hv_x64_memory_intercept_message, cache_type) == 40);
static_assert(offsetof(hv_x64_memory_intercept_message, instruction_byte_count) == 44);
static_assert(offsetof(hv_x64_memory_intercept_message, memory_access_info) == 45);
static_assert(offsetof(hv_x64_memory_intercept_message, tpr_priority) == 46);
static_assert(offsetof(hv_x64_memory_intercept_message, reserved1) == 47);
static_assert(offsetof(hv_x64_memory_intercept_message, guest_virtual_address) == 48);
static_assert(offsetof(hv_x64_memory_intercept_message, guest_physical_address) == 56);
static_assert(offsetof(hv_x64_memory_intercept_message, instruction_bytes) == 64);

struct hv_x64_io_port_intercept_message {
  hv_x64_intercept_message_header header;
  uint16_t port_number;
  uint8_t access_info;
  uint8_t instruction_byte_count;
  uint32_t reserved;
  uint64_t rax;
  uint8_t instruction_bytes[16];
  hv_u128 ds_segment;
  hv_u128 es_segment;
  uint64_t rcx;
  uint64_t rsi;
  uint64_t rdi;
};
static_assert(sizeof(hv_x64_io_port_intercept_message) == 128);
static_assert(offsetof(hv_x64_io_port_intercept_message, header) == 0);
static_assert(offsetof(hv_x64_io_port_intercept_message, port_number) == 40);
static_assert(offsetof(hv_x64_io_port_intercept_message, access_info) == 42);
static_assert(offsetof(hv_x64_io_port_intercept_message, instruction_byte_count) == 43);
static_assert(offsetof(hv_x64_io_port_intercept_message, reserved) == 44);
static_assert(offsetof(hv_x64_io_port_intercept_message, rax) == 48);
static_assert(offsetof(hv_x64_io_port_intercept_message, instruction_bytes) == 56);
static_assert(offsetof(hv_x64_io_port_intercept_message, ds_segment) == 72);
static_assert(offsetof(hv_x64_io_port_intercept_message, es_segment) == 88);
static_assert(offsetof(hv_x64_io_port_intercept_message, rcx) == 104);
static_assert(offsetof(hv_x64_io_port_intercept_message, rsi) == 112);
static_assert(offsetof(hv_x64_io_port_intercept_message, rdi) == 120);

struct hv_x64_msr_intercept_message {
  hv_x64_intercept_message_header header;
  uint32_t msr_number;
  uint32_t reserved;
  uint64_t rdx;
  uint64_t rax;
};
static_assert(sizeof(hv_x64_msr_intercept_message) == 64);
static_assert(offsetof(hv_x64_msr_intercept_message, header) == 0);
static_assert(offsetof(hv_x64_msr_intercept_message, msr_number) == 40);
static_assert(offsetof(hv_x64_msr_intercept_message, reserved) == 44);
static_assert(offsetof(hv_x64_msr_intercept_message, rdx) == 48);
static_assert(offsetof(hv_x64_msr_intercept_message, rax) == 56);

struct hv_x64_cpuid_intercept_message {
  hv_x64_intercept_message_header header;
  uint64_t rax;
  uint64_t rcx;
  uint64_t rdx;
  uint64_t rbx;
  uint64_t default_result_rax;
  uint64_t default_result_rcx;
  uint64_t default_result_rdx;
  uint64_t default_result_rbx;
};
static_assert(sizeof(hv_x64_cpuid_intercept_message) == 104);
static_assert(offsetof(hv_x64_cpuid_intercept_message, header) == 0);
static_assert(offsetof(hv_x64_cpuid_intercept_message, rax) == 40);
static_assert(offsetof(hv_x64_cpuid_intercept_message, rcx) == 48);
static_assert(offsetof(hv_x64_cpuid_intercept_message, rdx) == 56);
static_assert(offsetof(hv_x64_cpuid_intercept_message, rbx) == 64);
static_assert(offsetof(hv_x64_cpuid_intercept_message, default_result_rax) == 72);
static_assert(offsetof(hv_x64_cpuid_intercept_message, default_result_rcx) == 80);
static_assert(offsetof(hv_x64_cpuid_intercept_message, default_result_rdx) == 88);
static_assert(offsetof(hv_x64_cpuid_intercept_message, default_result_rbx) == 96);

struct [[gnu::packed]] hv_x64_hypercall_intercept_message {
  hv_x64_intercept_message_header header;
  uint64_t rax;
  uint64_t rbx;
  uint64_t rcx;
  uint64_t rdx;
  uint64_t r8;
  uint64_t rsi;
  uint64_t rdi;
  hv_u128 xmmregisters[6];
  uint32_t isolated;
};
static_assert(sizeof(hv_x64_hypercall_intercept_message) == 196);
static_assert(offsetof(hv_x64_hypercall_intercept_message, header) == 0);
static_assert(offsetof(hv_x64_hypercall_intercept_message, rax) == 40);
static_assert(offsetof(hv_x64_hypercall_intercept_message, rbx) == 48);
static_assert(offsetof(hv_x64_hypercall_intercept_message, rcx) == 56);
static_assert(offsetof(hv_x64_hypercall_intercept_message, rdx) == 64);
static_assert(offsetof(hv_x64_hypercall_intercept_message, r8) == 72);
static_assert(offsetof(hv_x64_hypercall_intercept_message, rsi) == 80);
static_assert(offsetof(hv_x64_hypercall_intercept_message, rdi) == 88);
static_assert(offsetof(hv_x64_hypercall_intercept_message, xmmregisters) == 96);
static_assert(offsetof(hv_x64_hypercall_intercept_message, isolated) == 192);

struct hv_x64_sint_deliverable_message {
  hv_x64_intercept_message_header header;
  uint16_t deliverable_sints;
  uint16_t rsvd1;
  uint32_t rsvd2;
};
static_assert(sizeof(hv_x64_sint_deliverable_message) == 48);
static_assert(offsetof(hv_x64_sint_deliverable_message, header) == 0);
static_assert(offsetof(hv_x64_sint_deliverable_message, deliverable_sints) == 40);
static_assert(offsetof(hv_x64_sint_deliverable_message, rsvd1) == 42);
static_assert(offsetof(hv_x64_sint_deliverable_message, rsvd2) == 44);

}  // namespace mshv::abi

#endif  // MSHV_NATIVE_ABI_VP_H_
