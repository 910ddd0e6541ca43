// The hypercalls that the simulated hypervisor answers, as far as it looks into them, under the
// kernel's names. The inputs begin with the partition id, which the driver fills in.
#ifndef MSHV_NATIVE_ABI_HYPERCALLS_H_
#define MSHV_NATIVE_ABI_HYPERCALLS_H_

#include <cstddef>
#include <cstdint>

namespace mshv::abi {

// What the driver passes through (MSHV_ROOT_HVCALL).
inline constexpr uint16_t HVCALL_GET_PARTITION_PROPERTY = 0x0044;
inline constexpr uint16_t HVCALL_SET_PARTITION_PROPERTY = 0x0045;
inline constexpr uint16_t HVCALL_INSTALL_INTERCEPT = 0x004d;
inline constexpr uint16_t HVCALL_GET_VP_REGISTERS = 0x0050;
inline constexpr uint16_t HVCALL_SET_VP_REGISTERS = 0x0051;
inline constexpr uint16_t HVCALL_TRANSLATE_VIRTUAL_ADDRESS = 0x0052;
inline constexpr uint16_t HVCALL_CLEAR_VIRTUAL_INTERRUPT = 0x0056;
inline constexpr uint16_t HVCALL_REGISTER_INTERCEPT_RESULT = 0x0091;
inline constexpr uint16_t HVCALL_ASSERT_VIRTUAL_INTERRUPT = 0x0094;
inline constexpr uint16_t HVCALL_SIGNAL_EVENT_DIRECT = 0x00c0;
inline constexpr uint16_t HVCALL_POST_MESSAGE_DIRECT = 0x00c1;
inline constexpr uint16_t HVCALL_GET_GPA_PAGES_ACCESS_STATES = 0x00c9;
inline constexpr uint16_t HVCALL_GET_VP_CPUID_VALUES = 0x00f4;
inline constexpr uint16_t HVCALL_GET_PARTITION_PROPERTY_EX = 0x0101;

// What it issues itself.
inline constexpr uint16_t HVCALL_CREATE_PARTITION = 0x0040;
inline constexpr uint16_t HVCALL_INITIALIZE_PARTITION = 0x0041;
inline constexpr uint16_t HVCALL_MAP_GPA_PAGES = 0x004b;
inline constexpr uint16_t HVCALL_UNMAP_GPA_PAGES = 0x004c;
inline constexpr uint16_t HVCALL_CREATE_VP = 0x004e;
inline constexpr uint16_t HVCALL_CREATE_PORT = 0x0095;
inline constexpr uint16_t HVCALL_CONNECT_PORT = 0x0096;
inline constexpr uint16_t HVCALL_DISPATCH_VP = 0x00c2;
inline constexpr uint16_t HVCALL_MAP_VP_STATE_PAGE = 0x00e1;
inline constexpr uint16_t HVCALL_GET_VP_STATE = 0x00e3;
inline constexpr uint16_t HVCALL_SET_VP_STATE = 0x00e4;

// What a guest may issue.
inline constexpr uint16_t HVCALL_POST_MESSAGE = 0x005c;
inline constexpr uint16_t HVCALL_SIGNAL_EVENT = 0x005d;

inline constexpr uint16_t HV_STATUS_SUCCESS = 0x0000;
inline constexpr uint16_t HV_STATUS_INVALID_HYPERCALL_CODE = 0x0002;
inline constexpr uint16_t HV_STATUS_INVALID_HYPERCALL_INPUT = 0x0003;
inline constexpr uint16_t HV_STATUS_INVALID_PARAMETER = 0x0005;
inline constexpr uint16_t HV_STATUS_INVALID_PARTITION_STATE = 0x0007;
inline constexpr uint16_t HV_STATUS_UNKNOWN_PROPERTY = 0x0009;
inline constexpr uint16_t HV_STATUS_INSUFFICIENT_MEMORY = 0x000b;
inline constexpr uint16_t HV_STATUS_INVALID_PARTITION_ID = 0x000d;
inline constexpr uint16_t HV_STATUS_INVALID_VP_INDEX = 0x000e;
inline constexpr uint16_t HV_STATUS_INVALID_PORT_ID = 0x0011;
inline constexpr uint16_t HV_STATUS_INVALID_CONNECTION_ID = 0x0012;
inline constexpr uint16_t HV_STATUS_INVALID_SYNIC_STATE = 0x0018;
inline constexpr uint16_t HV_STATUS_OBJECT_IN_USE = 0x0019;
inline constexpr uint16_t HV_STATUS_INVALID_LP_INDEX = 0x0041;
inline constexpr uint16_t HV_STATUS_INVALID_REGISTER_VALUE = 0x0050;
inline constexpr uint16_t HV_STATUS_INSUFFICIENT_ROOT_MEMORY = 0x0073;
inline constexpr uint16_t HV_STATUS_INSUFFICIENT_CONTIGUOUS_MEMORY = 0x0075;
inline constexpr uint16_t HV_STATUS_CALL_PENDING = 0x0079;
inline constexpr uint16_t HV_STATUS_INSUFFICIENT_CONTIGUOUS_ROOT_MEMORY = 0x0083;

inline constexpr uint64_t HV_PARTITION_ID_SELF = ~uint64_t{0};
inline constexpr uint32_t HV_ANY_VP = ~uint32_t{0};

inline constexpr uint32_t HV_PARTITION_PROPERTY_PRIVILEGE_FLAGS = 0x00010000;
inline constexpr uint32_t HV_PARTITION_PROPERTY_SYNTHETIC_PROC_FEATURES = 0x00010001;
inline constexpr uint32_t HV_PARTITION_PROPERTY_INTEGRATED_SCHEDULER_ENABLED = 0x00020005;
inline constexpr uint32_t HV_PARTITION_PROPERTY_TIME_FREEZE = 0x00030003;
inline constexpr uint32_t HV_PARTITION_PROPERTY_REFERENCE_TIME = 0x00030005;
inline constexpr uint32_t HV_PARTITION_PROPERTY_UNIMPLEMENTED_MSR_ACTION = 0x00050017;
inline constexpr uint32_t HV_PARTITION_PROPERTY_GIC_LPI_INT_ID_BITS = 0x0005002a;
inline constexpr uint32_t HV_PARTITION_PROPERTY_GIC_PPI_PMBIRQ = 0x0005002e;
inline constexpr uint32_t HV_PARTITION_PROPERTY_PROCESSOR_VENDOR = 0x00060000;
inline constexpr uint32_t HV_PARTITION_PROPERTY_XSAVE_STATES = 0x00060007;
inline constexpr uint32_t HV_PARTITION_PROPERTY_MAX_XSAVE_DATA_SIZE = 0x00060008;
inline constexpr uint32_t HV_PARTITION_PROPERTY_PROCESSOR_CLOCK_FREQUENCY = 0x00060009;
inline constexpr uint32_t HV_PARTITION_PROPERTY_PROCESSOR_FEATURES1 = 0x0006000b;
inline constexpr uint32_t HV_PARTITION_PROPERTY_VMM_CAPABILITIES = 0x00090007;

inline constexpr uint64_t HV_UNIMPLEMENTED_MSR_ACTION_IGNORE_WRITE_READ_ZERO = 1;

// Access to a guest page.
inline constexpr uint32_t HV_MAP_GPA_READABLE = 0x1;
inline constexpr uint32_t HV_MAP_GPA_WRITABLE = 0x2;
inline constexpr uint32_t HV_MAP_GPA_EXECUTABLE = 0xc;

inline constexpr uint32_t HV_INTERCEPT_TYPE_X64_MSR = 0x1;
inline constexpr uint32_t HV_INTERCEPT_TYPE_X64_CPUID = 0x2;
inline constexpr uint32_t HV_INTERCEPT_TYPE_X64_GLOBAL_CPUID = 0x6;
inline constexpr uint32_t HV_INTERCEPT_TYPE_HYPERCALL = 0x8;
inline constexpr uint32_t HV_INTERCEPT_TYPE_X64_MSR_INDEX = 0xc;
inline constexpr uint32_t HV_INTERCEPT_TYPE_UNKNOWN_SYNIC_CONNECTION = 0xd;

inline constexpr uint32_t HV_INTERCEPT_ACCESS_MASK_READ = 0x1;
inline constexpr uint32_t HV_INTERCEPT_ACCESS_MASK_WRITE = 0x2;

// Numbers in an intercept message, where the mask above is what INSTALL_INTERCEPT takes.
inline constexpr uint32_t HV_INTERCEPT_ACCESS_READ = 0;
inline constexpr uint32_t HV_INTERCEPT_ACCESS_WRITE = 1;
inline constexpr uint32_t HV_INTERCEPT_ACCESS_EXECUTE = 2;

inline constexpr uint32_t HV_GET_SET_VP_STATE_LAPIC_STATE = 0x80000000;
inline constexpr uint32_t HV_GET_SET_VP_STATE_XSAVE = 0x80000001;
inline constexpr uint32_t HV_GET_SET_VP_STATE_SIM_PAGE = 0x80000002;
inline constexpr uint32_t HV_GET_SET_VP_STATE_SIEF_PAGE = 0x80000003;
inline constexpr uint32_t HV_GET_SET_VP_STATE_SYNTHETIC_TIMERS = 0x00000004;
inline constexpr uint32_t HV_GET_SET_VP_STATE_TYPE_PFN = 0x80000000;

inline constexpr uint32_t HV_TRANSLATE_GVA_SUCCESS = 0;
inline constexpr uint32_t HV_TRANSLATE_GVA_GPA_UNMAPPED = 4;

struct hv_input_get_partition_property {
  uint64_t partition_id;
  uint32_t property_code;
  uint32_t padding;
};
static_assert(sizeof(hv_input_get_partition_property) == 16);
static_assert(offsetof(hv_input_get_partition_property, partition_id) == 0);
static_assert(offsetof(hv_input_get_partition_property, property_code) == 8);
static_assert(offsetof(hv_input_get_partition_property, padding) == 12);

struct hv_input_set_partition_property {
  uint64_t partition_id;
  uint32_t property_code;
  uint32_t padding;
  uint64_t property_value;
};
static_assert(sizeof(hv_input_set_partition_property) == 24);
static_assert(offsetof(hv_input_set_partition_property, partition_id) == 0);
static_assert(offsetof(hv_input_set_partition_property, property_code) == 8);
static_assert(offsetof(hv_input_set_partition_property, padding) == 12);
static_assert(offsetof(hv_input_set_partition_property, property_value) == 16);

struct hv_input_install_intercept {
  uint64_t partition_id;
  uint32_t access_type;
  uint32_t intercept_type;
  uint64_t intercept_parameter;
};
static_assert(sizeof(hv_input_install_intercept) == 24);
static_assert(offsetof(hv_input_install_intercept, partition_id) == 0);
static_assert(offsetof(hv_input_install_intercept, access_type) == 8);
static_assert(offsetof(hv_input_install_intercept, intercept_type) == 12);
static_assert(offsetof(hv_input_install_intercept, intercept_parameter) == 16);

// In front of the names (u32 each) of GET_VP_REGISTERS and the elements of SET_VP_REGISTERS.
struct hv_input_vp_registers {
  uint64_t partition_id;
  uint32_t vp_index;
  uint8_t input_vtl;
  uint8_t rsvd_z8;
  uint16_t rsvd_z16;
};
static_assert(sizeof(hv_input_vp_registers) == 16);
static_assert(offsetof(hv_input_vp_registers, partition_id) == 0);
static_assert(offsetof(hv_input_vp_registers, vp_index) == 8);
static_assert(offsetof(hv_input_vp_registers, input_vtl) == 12);
static_assert(offsetof(hv_input_vp_registers, rsvd_z8) == 13);
static_assert(offsetof(hv_input_vp_registers, rsvd_z16) == 14);

struct hv_register_value {
  uint64_t low;
  uint64_t high;
};
static_assert(sizeof(hv_register_value) == 16);

struct hv_register_assoc {
  uint32_t name;
  uint32_t reserved1;
  uint64_t reserved2;
  hv_register_value value;
};
static_assert(sizeof(hv_register_assoc) == 32);
static_assert(offsetof(hv_register_assoc, name) == 0);
static_assert(offsetof(hv_register_assoc, reserved1) == 4);
static_assert(offsetof(hv_register_assoc, reserved2) == 8);
static_assert(offsetof(hv_register_assoc, value) == 16);

struct hv_input_translate_virtual_address {
  uint64_t partition_id;
  uint32_t vp_index;
  uint32_t padding;
  uint64_t control_flags;
  uint64_t gva_page;
};
static_assert(sizeof(hv_input_translate_virtual_address) == 32);
static_assert(offsetof(hv_input_translate_virtual_address, partition_id) == 0);
static_assert(offsetof(hv_input_translate_virtual_address, vp_index) == 8);
static_assert(offsetof(hv_input_translate_virtual_address, padding) == 12);
static_assert(offsetof(hv_input_translate_virtual_address, control_flags) == 16);
static_assert(offsetof(hv_input_translate_virtual_address, gva_page) == 24);

struct hv_output_translate_virtual_address {
  uint64_t translation_result;
  uint64_t gpa_page;
};
static_assert(sizeof(hv_output_translate_virtual_address) == 16);
static_assert(offsetof(hv_output_translate_virtual_address, translation_result) == 0);
static_assert(offsetof(hv_output_translate_virtual_address, gpa_page) == 8);

struct hv_register_x64_cpuid_result_parameters {
  struct {
    uint32_t eax;
    uint32_t ecx;
    uint8_t subleaf_specific;
    uint8_t always_override;
    uint16_t padding;
  } input;
  struct {
    uint32_t eax;
    uint32_t eax_mask;
    uint32_t ebx;
    uint32_t ebx_mask;
    uint32_t ecx;
    uint32_t ecx_mask;
    uint32_t edx;
    uint32_t edx_mask;
  } result;
};
static_assert(sizeof(hv_register_x64_cpuid_result_parameters) == 44);
static_assert(offsetof(hv_register_x64_cpuid_result_parameters, input) == 0);
static_assert(offsetof(hv_register_x64_cpuid_result_parameters, result) == 12);

struct hv_register_x64_msr_result_parameters {
  uint32_t msr_index;
  uint32_t access_type;
  uint32_t action;
};
static_assert(sizeof(hv_register_x64_msr_result_parameters) == 12);
static_assert(offsetof(hv_register_x64_msr_result_parameters, msr_index) == 0);
static_assert(offsetof(hv_register_x64_msr_result_parameters, access_type) == 4);
static_assert(offsetof(hv_register_x64_msr_result_parameters, action) == 8);

struct [[gnu::packed]] hv_input_register_intercept_result {
  uint64_t partition_id;
  uint32_t vp_index;
  uint32_t intercept_type;
  uint8_t parameters[44];
};
static_assert(sizeof(hv_input_register_intercept_result) == 60);
static_assert(offsetof(hv_input_register_intercept_result, partition_id) == 0);
static_assert(offsetof(hv_input_register_intercept_result, vp_index) == 8);
static_assert(offsetof(hv_input_register_intercept_result, intercept_type) == 12);
static_assert(offsetof(hv_input_register_intercept_result, parameters) == 16);

struct hv_input_assert_virtual_interrupt {
  uint64_t partition_id;
  uint64_t control;
  uint64_t dest_addr;
  uint32_t vector;
  uint8_t target_vtl;
  uint8_t rsvd_z0;
  uint16_t rsvd_z1;
};
static_assert(sizeof(hv_input_assert_virtual_interrupt) == 32);
static_assert(offsetof(hv_input_assert_virtual_interrupt, partition_id) == 0);
static_assert(offsetof(hv_input_assert_virtual_interrupt, control) == 8);
static_assert(offsetof(hv_input_assert_virtual_interrupt, dest_addr) == 16);
static_assert(offsetof(hv_input_assert_virtual_interrupt, vector) == 24);
static_assert(offsetof(hv_input_assert_virtual_interrupt, target_vtl) == 28);
static_assert(offsetof(hv_input_assert_virtual_interrupt, rsvd_z0) == 29);
static_assert(offsetof(hv_input_assert_virtual_interrupt, rsvd_z1) == 30);

struct hv_input_get_gpa_pages_access_state {
  uint64_t partition_id;
  uint64_t flags;
  uint64_t hv_gpa_page_number;
};
static_assert(sizeof(hv_input_get_gpa_pages_access_state) == 24);
static_assert(offsetof(hv_input_get_gpa_pages_access_state, partition_id) == 0);
static_assert(offsetof(hv_input_get_gpa_pages_access_state, flags) == 8);
static_assert(offsetof(hv_input_get_gpa_pages_access_state, hv_gpa_page_number) == 16);

struct hv_input_signal_event_direct {
  uint64_t target_partition;
  uint32_t target_vp;
  uint8_t target_vtl;
  uint8_t target_sint;
  uint16_t flag_number;
};
static_assert(sizeof(hv_input_signal_event_direct) == 16);
static_assert(offsetof(hv_input_signal_event_direct, target_partition) == 0);
static_assert(offsetof(hv_input_signal_event_direct, target_vp) == 8);
static_assert(offsetof(hv_input_signal_event_direct, target_vtl) == 12);
static_assert(offsetof(hv_input_signal_event_direct, target_sint) == 13);
static_assert(offsetof(hv_input_signal_event_direct, flag_number) == 14);

struct hv_input_post_message_direct {
  uint64_t partition_id;
  uint32_t vp_index;
  uint8_t vtl;
  uint8_t padding[3];
  uint32_t sint_index;
  uint8_t message[256];
  uint32_t padding2;
};
static_assert(sizeof(hv_input_post_message_direct) == 280);
static_assert(offsetof(hv_input_post_message_direct, partition_id) == 0);
static_assert(offsetof(hv_input_post_message_direct, vp_index) == 8);
static_assert(offsetof(hv_input_post_message_direct, vtl) == 12);
static_assert(offsetof(hv_input_post_message_direct, padding) == 13);
static_assert(offsetof(hv_input_post_message_direct, sint_index) == 16);
static_assert(offsetof(hv_input_post_message_direct, message) == 20);
static_assert(offsetof(hv_input_post_message_direct, padding2) == 276);

// In front of the leaves.
struct hv_input_get_vp_cpuid_values {
  uint64_t partition_id;
  uint32_t vp_index;
  uint32_t flags;
  uint32_t reserved;
  uint32_t padding;
};
static_assert(sizeof(hv_input_get_vp_cpuid_values) == 24);
static_assert(offsetof(hv_input_get_vp_cpuid_values, partition_id) == 0);
static_assert(offsetof(hv_input_get_vp_cpuid_values, vp_index) == 8);
static_assert(offsetof(hv_input_get_vp_cpuid_values, flags) == 12);
static_assert(offsetof(hv_input_get_vp_cpuid_values, reserved) == 16);
static_assert(offsetof(hv_input_get_vp_cpuid_values, padding) == 20);

struct hv_cpuid_leaf_info {
  uint32_t eax;
  uint32_t ecx;
  uint64_t xfem;
  uint64_t xss;
};
static_assert(sizeof(hv_cpuid_leaf_info) == 24);
static_assert(offsetof(hv_cpuid_leaf_info, eax) == 0);
static_assert(offsetof(hv_cpuid_leaf_info, ecx) == 4);
static_assert(offsetof(hv_cpuid_leaf_info, xfem) == 8);
static_assert(offsetof(hv_cpuid_leaf_info, xss) == 16);

}  // namespace mshv::abi

#endif  // MSHV_NATIVE_ABI_HYPERCALLS_H_
