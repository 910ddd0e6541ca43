#include "vp_pages.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cerrno>
#include <iterator>
#include <utility>

#include "../atomic_word.h"
#include "../sealed_file.h"

namespace mshv::sim {
namespace {

constexpr size_t kSize = 2 * abi::MSHV_HV_PAGE_SIZE;

constexpr bool Has(uint32_t dirty, uint32_t register_class) {
  return (dirty & 1u << register_class) != 0;
}

}  // namespace

OrError<VpPages> VpPages::Create(int file) {
  // Sealed, because a page that is gone would be a SIGBUS here.
  if (ftruncate(file, kSize) < 0 || fcntl(file, F_ADD_SEALS, kernel::kSeals) < 0) {
    return Error(-errno);
  }
  OrError<Mapping> mapping = Mapping::Create(kSize, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
  return mapping ? OrError<VpPages>(VpPages(*std::move(mapping))) : mapping.error();
}

abi::hv_vp_register_page& VpPages::page() const {
  return *reinterpret_cast<abi::hv_vp_register_page*>(mapping_.data());
}

void VpPages::TakeDirty(Registers& registers) {
  abi::hv_vp_register_page& from = page();
  if (from.isvalid == 0) {
    return;
  }
  const uint32_t dirty =
      AtomicWord(
          *reinterpret_cast<uint32_t*>(mapping_.data() + offsetof(abi::hv_vp_register_page, dirty)))
          .Exchange(0);
  if (Has(dirty, abi::HV_X64_REGISTER_CLASS_GENERAL)) {
    for (uint32_t i = 0; i < std::size(from.gp_registers); ++i) {
      registers.SetLow(abi::HV_X64_REGISTER_RAX + i, from.gp_registers[i]);
    }
  }
  if (Has(dirty, abi::HV_X64_REGISTER_CLASS_IP)) {
    registers.SetLow(abi::HV_X64_REGISTER_RIP, from.rip);
  }
  if (Has(dirty, abi::HV_X64_REGISTER_CLASS_FLAGS)) {
    // Bit 1 is always set in the processor.
    registers.SetLow(abi::HV_X64_REGISTER_RFLAGS, from.rflags | 2);
  }
  if (Has(dirty, abi::HV_X64_REGISTER_CLASS_XMM)) {
    for (uint32_t i = 0; i < std::size(from.xmm_registers); ++i) {
      registers.Set(abi::HV_X64_REGISTER_XMM0 + i,
                    {from.xmm_registers[i].low_part, from.xmm_registers[i].high_part});
    }
  }
  if (Has(dirty, abi::HV_X64_REGISTER_CLASS_SEGMENT)) {
    for (uint32_t i = 0; i < std::size(from.segment_registers); ++i) {
      registers.Set(abi::HV_X64_REGISTER_ES + i,
                    {from.segment_registers[i].low_part, from.segment_registers[i].high_part});
    }
  }
}

void VpPages::Invalidate() { page().isvalid = 0; }

void VpPages::Show(const Registers& registers) {
  abi::hv_vp_register_page& to = page();
  to.version = abi::HV_VP_REGISTER_PAGE_VERSION_1;
  for (uint32_t i = 0; i < std::size(to.gp_registers); ++i) {
    to.gp_registers[i] = registers.Low(abi::HV_X64_REGISTER_RAX + i);
  }
  to.rip = registers.Low(abi::HV_X64_REGISTER_RIP);
  to.rflags = registers.Low(abi::HV_X64_REGISTER_RFLAGS);
  for (uint32_t i = 0; i < std::size(to.xmm_registers); ++i) {
    const abi::hv_register_value value = registers.Get(abi::HV_X64_REGISTER_XMM0 + i);
    to.xmm_registers[i] = {value.low, value.high};
  }
  for (uint32_t i = 0; i < std::size(to.segment_registers); ++i) {
    const abi::hv_register_value value = registers.Get(abi::HV_X64_REGISTER_ES + i);
    to.segment_registers[i] = {value.low, value.high};
  }
  to.cr0 = registers.Low(abi::HV_X64_REGISTER_CR0);
  to.cr3 = registers.Low(abi::HV_X64_REGISTER_CR3);
  to.cr4 = registers.Low(abi::HV_X64_REGISTER_CR4);
  to.cr8 = registers.Low(abi::HV_X64_REGISTER_CR8);
  to.efer = registers.Low(abi::HV_X64_REGISTER_EFER);
  to.dr7 = registers.Low(abi::HV_X64_REGISTER_DR7);
  to.pending_interruption = registers.Low(abi::HV_REGISTER_PENDING_INTERRUPTION);
  to.interrupt_state = registers.Low(abi::HV_REGISTER_INTERRUPT_STATE);
  to.instruction_emulation_hints = registers.Low(abi::HV_REGISTER_INSTRUCTION_EMULATION_HINTS);
  to.xfem = registers.Low(abi::HV_X64_REGISTER_XFEM);
  to.dirty = 0;
  to.isvalid = 1;
}

std::span<uint8_t, abi::HV_MESSAGE_SIZE> VpPages::message() {
  return std::span<uint8_t, abi::HV_MESSAGE_SIZE>(mapping_.data() + abi::MSHV_HV_PAGE_SIZE,
                                                  abi::HV_MESSAGE_SIZE);
}

}  // namespace mshv::sim
