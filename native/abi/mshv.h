// The user-space interface of /dev/mshv (Linux 7.2), under the kernel's names.
//
// Three kinds of descriptor take ioctls: the device, the partition it creates, the VPs the
// partition creates. Request numbers repeat across them (CREATE_PARTITION, INITIALIZE_PARTITION and
// RUN_VP are all nr 0), so a request is known by its descriptor and its number together. The kernel
// compares all 32 bits, the size included.
//
// Everything is little endian. What is named rsvd, or has a bit outside its mask, must be 0.
#ifndef MSHV_NATIVE_ABI_MSHV_H_
#define MSHV_NATIVE_ABI_MSHV_H_

#include <cstddef>
#include <cstdint>

namespace mshv::abi {

inline constexpr uint32_t MSHV_IOCTL = 0xb8;
inline constexpr uint32_t MSHV_HV_PAGE_SIZE = 0x1000;

// mshv_create_partition.pt_flags, as bit numbers. The driver adds what every partition needs.
inline constexpr uint32_t MSHV_PT_BIT_LAPIC = 0;
inline constexpr uint32_t MSHV_PT_BIT_X2APIC = 1;
inline constexpr uint32_t MSHV_PT_BIT_GPA_SUPER_PAGES = 2;
// The argument is mshv_create_partition_v2, although the request number says 16 bytes.
inline constexpr uint32_t MSHV_PT_BIT_CPU_AND_XSAVE_FEATURES = 3;
inline constexpr uint32_t MSHV_PT_BIT_NESTED_VIRTUALIZATION = 4;
inline constexpr uint32_t MSHV_PT_BIT_SMT_ENABLED_GUEST = 5;
inline constexpr uint32_t MSHV_PT_BIT_COUNT = 6;
inline constexpr uint64_t MSHV_PT_FLAGS_MASK = (uint64_t{1} << MSHV_PT_BIT_COUNT) - 1;

// mshv_create_partition.pt_isolation.
inline constexpr uint64_t MSHV_PT_ISOLATION_NONE = 0;
inline constexpr uint64_t MSHV_PT_ISOLATION_COUNT = 1;

struct mshv_create_partition {
  uint64_t pt_flags;
  uint64_t pt_isolation;
};
static_assert(sizeof(mshv_create_partition) == 16);
static_assert(offsetof(mshv_create_partition, pt_flags) == 0);
static_assert(offsetof(mshv_create_partition, pt_isolation) == 8);

// The only accepted value of mshv_create_partition_v2.pt_num_cpu_fbanks.
inline constexpr uint16_t MSHV_NUM_CPU_FEATURES_BANKS = 2;

// A set bit in a feature bank or in pt_disabled_xsave takes the feature away from the guest.
struct [[gnu::packed]] mshv_create_partition_v2 {
  uint64_t pt_flags;
  uint64_t pt_isolation;
  uint16_t pt_num_cpu_fbanks;
  uint8_t pt_rsvd[6];
  uint64_t pt_cpu_fbanks[MSHV_NUM_CPU_FEATURES_BANKS];
  uint64_t pt_rsvd1[2];
#if defined(__x86_64__)
  uint64_t pt_disabled_xsave;
#else
  uint64_t pt_rsvd2;
#endif
};
static_assert(sizeof(mshv_create_partition_v2) == 64);
static_assert(offsetof(mshv_create_partition_v2, pt_flags) == 0);
static_assert(offsetof(mshv_create_partition_v2, pt_isolation) == 8);
static_assert(offsetof(mshv_create_partition_v2, pt_num_cpu_fbanks) == 16);
static_assert(offsetof(mshv_create_partition_v2, pt_rsvd) == 18);
static_assert(offsetof(mshv_create_partition_v2, pt_cpu_fbanks) == 24);
static_assert(offsetof(mshv_create_partition_v2, pt_rsvd1) == 40);
#if defined(__x86_64__)
static_assert(offsetof(mshv_create_partition_v2, pt_disabled_xsave) == 56);
#else
static_assert(offsetof(mshv_create_partition_v2, pt_rsvd2) == 56);
#endif

struct mshv_create_vp {
  uint32_t vp_index;
};
static_assert(sizeof(mshv_create_vp) == 4);
static_assert(offsetof(mshv_create_vp, vp_index) == 0);

// mshv_user_mem_region.flags, as bit numbers. With UNMAP the other two are ignored.
inline constexpr uint32_t MSHV_SET_MEM_BIT_WRITABLE = 0;
inline constexpr uint32_t MSHV_SET_MEM_BIT_EXECUTABLE = 1;
inline constexpr uint32_t MSHV_SET_MEM_BIT_UNMAP = 2;
inline constexpr uint32_t MSHV_SET_MEM_BIT_COUNT = 3;
inline constexpr uint8_t MSHV_SET_MEM_FLAGS_MASK = (1u << MSHV_SET_MEM_BIT_COUNT) - 1;

// size (bytes) and userspace_addr are multiples of MSHV_HV_PAGE_SIZE.
struct mshv_user_mem_region {
  uint64_t size;
  uint64_t guest_pfn;
  uint64_t userspace_addr;
  uint8_t flags;
  uint8_t rsvd[7];
};
static_assert(sizeof(mshv_user_mem_region) == 32);
static_assert(offsetof(mshv_user_mem_region, size) == 0);
static_assert(offsetof(mshv_user_mem_region, guest_pfn) == 8);
static_assert(offsetof(mshv_user_mem_region, userspace_addr) == 16);
static_assert(offsetof(mshv_user_mem_region, flags) == 24);
static_assert(offsetof(mshv_user_mem_region, rsvd) == 25);

// mshv_user_irqfd.flags, as bit numbers.
inline constexpr uint32_t MSHV_IRQFD_BIT_DEASSIGN = 0;
inline constexpr uint32_t MSHV_IRQFD_BIT_RESAMPLE = 1;
inline constexpr uint32_t MSHV_IRQFD_BIT_COUNT = 2;
inline constexpr uint32_t MSHV_IRQFD_FLAGS_MASK = (1u << MSHV_IRQFD_BIT_COUNT) - 1;

// resamplefd is looked at only with RESAMPLE.
struct mshv_user_irqfd {
  int32_t fd;
  int32_t resamplefd;
  uint32_t gsi;
  uint32_t flags;
};
static_assert(sizeof(mshv_user_irqfd) == 16);
static_assert(offsetof(mshv_user_irqfd, fd) == 0);
static_assert(offsetof(mshv_user_irqfd, resamplefd) == 4);
static_assert(offsetof(mshv_user_irqfd, gsi) == 8);
static_assert(offsetof(mshv_user_irqfd, flags) == 12);

// mshv_user_ioeventfd.flags, as bit numbers. PIO is defined but refused with EOPNOTSUPP.
inline constexpr uint32_t MSHV_IOEVENTFD_BIT_DATAMATCH = 0;
inline constexpr uint32_t MSHV_IOEVENTFD_BIT_PIO = 1;
inline constexpr uint32_t MSHV_IOEVENTFD_BIT_DEASSIGN = 2;
inline constexpr uint32_t MSHV_IOEVENTFD_BIT_COUNT = 3;
inline constexpr uint32_t MSHV_IOEVENTFD_FLAGS_MASK = (1u << MSHV_IOEVENTFD_BIT_COUNT) - 1;

// addr is a guest physical address; len is 1, 2, 4, 8, or 0 for a write of any size.
struct mshv_user_ioeventfd {
  uint64_t datamatch;
  uint64_t addr;
  uint32_t len;
  int32_t fd;
  uint32_t flags;
  uint8_t rsvd[4];
};
static_assert(sizeof(mshv_user_ioeventfd) == 32);
static_assert(offsetof(mshv_user_ioeventfd, datamatch) == 0);
static_assert(offsetof(mshv_user_ioeventfd, addr) == 8);
static_assert(offsetof(mshv_user_ioeventfd, len) == 16);
static_assert(offsetof(mshv_user_ioeventfd, fd) == 20);
static_assert(offsetof(mshv_user_ioeventfd, flags) == 24);
static_assert(offsetof(mshv_user_ioeventfd, rsvd) == 28);

// One MSI route. The driver refuses an address_hi that is not 0.
struct mshv_user_irq_entry {
  uint32_t gsi;
  uint32_t address_lo;
  uint32_t address_hi;
  uint32_t data;
};
static_assert(sizeof(mshv_user_irq_entry) == 16);
static_assert(offsetof(mshv_user_irq_entry, gsi) == 0);
static_assert(offsetof(mshv_user_irq_entry, address_lo) == 4);
static_assert(offsetof(mshv_user_irq_entry, address_hi) == 8);
static_assert(offsetof(mshv_user_irq_entry, data) == 12);

// nr entries follow the header in memory; the request number counts the header only.
struct mshv_user_irq_table {
  uint32_t nr;
  uint32_t rsvd;
  mshv_user_irq_entry entries[];
};
static_assert(sizeof(mshv_user_irq_table) == 8);
static_assert(offsetof(mshv_user_irq_table, nr) == 0);
static_assert(offsetof(mshv_user_irq_table, rsvd) == 4);
static_assert(offsetof(mshv_user_irq_table, entries) == 8);

inline constexpr uint8_t MSHV_GPAP_ACCESS_TYPE_ACCESSED = 0;
inline constexpr uint8_t MSHV_GPAP_ACCESS_TYPE_DIRTY = 1;
inline constexpr uint8_t MSHV_GPAP_ACCESS_TYPE_COUNT = 2;

// NOOP does not leave the bits alone: the driver treats it as SET.
inline constexpr uint8_t MSHV_GPAP_ACCESS_OP_NOOP = 0;
inline constexpr uint8_t MSHV_GPAP_ACCESS_OP_CLEAR = 1;
inline constexpr uint8_t MSHV_GPAP_ACCESS_OP_SET = 2;
inline constexpr uint8_t MSHV_GPAP_ACCESS_OP_COUNT = 3;

// Bit i of the bitmap, least significant first, is guest page gpap_base + i.
struct mshv_gpap_access_bitmap {
  uint8_t access_type;
  uint8_t access_op;
  uint8_t rsvd[6];
  uint64_t page_count;
  uint64_t gpap_base;
  uint64_t bitmap_ptr;
};
static_assert(sizeof(mshv_gpap_access_bitmap) == 32);
static_assert(offsetof(mshv_gpap_access_bitmap, access_type) == 0);
static_assert(offsetof(mshv_gpap_access_bitmap, access_op) == 1);
static_assert(offsetof(mshv_gpap_access_bitmap, rsvd) == 2);
static_assert(offsetof(mshv_gpap_access_bitmap, page_count) == 8);
static_assert(offsetof(mshv_gpap_access_bitmap, gpap_base) == 16);
static_assert(offsetof(mshv_gpap_access_bitmap, bitmap_ptr) == 24);

// A hypercall the driver makes on the caller's behalf. reps and status are written back. Sizes are
// in bytes; in_sz is at least 8, because the driver puts the partition id there.
struct mshv_root_hvcall {
  uint16_t code;
  uint16_t reps;
  uint16_t in_sz;
  uint16_t out_sz;
  uint16_t status;
  uint8_t rsvd[6];
  uint64_t in_ptr;
  uint64_t out_ptr;
};
static_assert(sizeof(mshv_root_hvcall) == 32);
static_assert(offsetof(mshv_root_hvcall, code) == 0);
static_assert(offsetof(mshv_root_hvcall, reps) == 2);
static_assert(offsetof(mshv_root_hvcall, in_sz) == 4);
static_assert(offsetof(mshv_root_hvcall, out_sz) == 6);
static_assert(offsetof(mshv_root_hvcall, status) == 8);
static_assert(offsetof(mshv_root_hvcall, rsvd) == 10);
static_assert(offsetof(mshv_root_hvcall, in_ptr) == 16);
static_assert(offsetof(mshv_root_hvcall, out_ptr) == 24);

inline constexpr size_t MSHV_RUN_VP_BUF_SZ = 256;

// The intercept message that ended the run; nothing is read from it.
struct mshv_run_vp {
  uint8_t msg_buf[MSHV_RUN_VP_BUF_SZ];
};
static_assert(sizeof(mshv_run_vp) == 256);
static_assert(offsetof(mshv_run_vp, msg_buf) == 0);

// Page offsets of mmap(2) on a VP descriptor.
inline constexpr uint32_t MSHV_VP_MMAP_OFFSET_REGISTERS = 0;
inline constexpr uint32_t MSHV_VP_MMAP_OFFSET_INTERCEPT_MESSAGE = 1;
inline constexpr uint32_t MSHV_VP_MMAP_OFFSET_GHCB = 2;
inline constexpr uint32_t MSHV_VP_MMAP_OFFSET_COUNT = 3;

inline constexpr uint8_t MSHV_VP_STATE_LAPIC = 0;
inline constexpr uint8_t MSHV_VP_STATE_XSAVE = 1;
inline constexpr uint8_t MSHV_VP_STATE_SIMP = 2;
inline constexpr uint8_t MSHV_VP_STATE_SIEFP = 3;
inline constexpr uint8_t MSHV_VP_STATE_SYNTHETIC_TIMERS = 4;
inline constexpr uint8_t MSHV_VP_STATE_COUNT = 5;

// buf_sz and buf_ptr are multiples of MSHV_HV_PAGE_SIZE; the size needed is written back to buf_sz.
struct mshv_get_set_vp_state {
  uint8_t type;
  uint8_t rsvd[3];
  uint32_t buf_sz;
  uint64_t buf_ptr;
};
static_assert(sizeof(mshv_get_set_vp_state) == 16);
static_assert(offsetof(mshv_get_set_vp_state, type) == 0);
static_assert(offsetof(mshv_get_set_vp_state, rsvd) == 1);
static_assert(offsetof(mshv_get_set_vp_state, buf_sz) == 4);
static_assert(offsetof(mshv_get_set_vp_state, buf_ptr) == 8);

// Which way the argument travels, seen from the caller.
enum class Transfer : uint32_t { kNone = 0, kWrite = 1, kRead = 2, kReadWrite = 3 };

// A request number: transfer in bits 31:30, argument size in 29:16, type in 15:8, nr in 7:0.
consteval uint32_t Request(Transfer transfer, uint32_t nr, size_t size) {
  return static_cast<uint32_t>(transfer) << 30 | static_cast<uint32_t>(size) << 16 |
         MSHV_IOCTL << 8 | nr;
}

// On the device.
inline constexpr uint32_t MSHV_CREATE_PARTITION =
    Request(Transfer::kWrite, 0, sizeof(mshv_create_partition));
static_assert(MSHV_CREATE_PARTITION == 0x4010b800);

// On a partition.
inline constexpr uint32_t MSHV_INITIALIZE_PARTITION = Request(Transfer::kNone, 0, 0);
inline constexpr uint32_t MSHV_CREATE_VP = Request(Transfer::kWrite, 1, sizeof(mshv_create_vp));
inline constexpr uint32_t MSHV_SET_GUEST_MEMORY =
    Request(Transfer::kWrite, 2, sizeof(mshv_user_mem_region));
inline constexpr uint32_t MSHV_IRQFD = Request(Transfer::kWrite, 3, sizeof(mshv_user_irqfd));
inline constexpr uint32_t MSHV_IOEVENTFD =
    Request(Transfer::kWrite, 4, sizeof(mshv_user_ioeventfd));
inline constexpr uint32_t MSHV_SET_MSI_ROUTING =
    Request(Transfer::kWrite, 5, sizeof(mshv_user_irq_table));
inline constexpr uint32_t MSHV_GET_GPAP_ACCESS_BITMAP =
    Request(Transfer::kReadWrite, 6, sizeof(mshv_gpap_access_bitmap));
static_assert(MSHV_INITIALIZE_PARTITION == 0x0000b800);
static_assert(MSHV_CREATE_VP == 0x4004b801);
static_assert(MSHV_SET_GUEST_MEMORY == 0x4020b802);
static_assert(MSHV_IRQFD == 0x4010b803);
static_assert(MSHV_IOEVENTFD == 0x4020b804);
static_assert(MSHV_SET_MSI_ROUTING == 0x4008b805);
static_assert(MSHV_GET_GPAP_ACCESS_BITMAP == 0xc020b806);

// On the device, a partition or a VP.
inline constexpr uint32_t MSHV_ROOT_HVCALL =
    Request(Transfer::kReadWrite, 7, sizeof(mshv_root_hvcall));
static_assert(MSHV_ROOT_HVCALL == 0xc020b807);

// On a VP.
inline constexpr uint32_t MSHV_RUN_VP = Request(Transfer::kRead, 0, sizeof(mshv_run_vp));
inline constexpr uint32_t MSHV_GET_VP_STATE =
    Request(Transfer::kReadWrite, 1, sizeof(mshv_get_set_vp_state));
inline constexpr uint32_t MSHV_SET_VP_STATE =
    Request(Transfer::kReadWrite, 2, sizeof(mshv_get_set_vp_state));
static_assert(MSHV_RUN_VP == 0x8100b800);
static_assert(MSHV_GET_VP_STATE == 0xc010b801);
static_assert(MSHV_SET_VP_STATE == 0xc010b802);

// Limits of the driver, not of the interface: VP indices and GSIs are below these.
inline constexpr uint32_t MSHV_MAX_VPS = 256;
inline constexpr uint32_t MSHV_MAX_GUEST_IRQS = 4096;

// The hypervisor builds the driver was written for. With any other it only logs an error.
inline constexpr uint32_t MSHV_HV_MIN_VERSION = 27744;
inline constexpr uint32_t MSHV_HV_MAX_VERSION = 27751;

}  // namespace mshv::abi

#endif  // MSHV_NATIVE_ABI_MSHV_H_
