#ifndef MSHV_NATIVE_SIM_VP_PAGES_H_
#define MSHV_NATIVE_SIM_VP_PAGES_H_

#include <cstddef>
#include <cstdint>
#include <span>

#include "../abi/mshv.h"
#include "../abi/vp.h"
#include "../unique_fd.h"
#include "registers.h"

namespace mshv::sim {

// The two pages that a VP shares with user space: register page and intercept message page. The
// VP's descriptor is the file behind them.
class VpPages {
 public:
  // Opens the descriptor and maps it. -errno in `fd` on failure.
  static VpPages Create(UniqueFd* fd);

  VpPages() = default;
  VpPages(VpPages&& other) noexcept;
  VpPages& operator=(VpPages&& other) noexcept;
  ~VpPages();

  // Takes over what user space has marked dirty on the register page, if it is valid.
  void TakeDirty(Registers& registers);
  // What is on the register page does not count until the next Show.
  void Invalidate();
  // Fills the register page and makes it valid.
  void Show(const Registers& registers);

  // The intercept message, as user space may have left it.
  std::span<uint8_t, abi::HV_MESSAGE_SIZE> message();

 private:
  abi::hv_vp_register_page& page() const;

  std::span<uint8_t> memory_;
};

}  // namespace mshv::sim

#endif  // MSHV_NATIVE_SIM_VP_PAGES_H_
