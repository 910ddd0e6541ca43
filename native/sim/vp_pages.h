#ifndef MSHV_NATIVE_SIM_VP_PAGES_H_
#define MSHV_NATIVE_SIM_VP_PAGES_H_

#include <cstddef>
#include <cstdint>
#include <span>
#include <utility>

#include "../abi/mshv.h"
#include "../abi/vp.h"
#include "../ownership.h"
#include "registers.h"

namespace mshv::sim {

// The two pages that a VP shares with user space: register page and intercept message page. The
// VP's descriptor is the file behind them.
class VpPages {
 public:
  // Without any.
  VpPages() = default;

  // Of a new file, which is to be the VP's descriptor.
  static OrError<VpPages> Create(int file);

  // Takes over what user space has marked dirty on the register page, if it is valid.
  void TakeDirty(Registers& registers);
  // What is on the register page does not count until the next Show.
  void Invalidate();
  // Fills the register page and makes it valid.
  void Show(const Registers& registers);

  // The intercept message, as user space may have left it.
  std::span<uint8_t, abi::HV_MESSAGE_SIZE> message();

 private:
  explicit VpPages(Mapping mapping) : mapping_(std::move(mapping)) {}

  abi::hv_vp_register_page& page() const;

  Mapping mapping_;
};

}  // namespace mshv::sim

#endif  // MSHV_NATIVE_SIM_VP_PAGES_H_
