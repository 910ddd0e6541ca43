#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <span>

#include "abi/mshv.h"
#include "backend.h"
#include "export.h"
#include "export_list.h"
#include "failed_step.h"
#include "vp.h"

namespace mshv {
namespace {

// A VP state in whole pages of its own, which is what the driver takes.
class StateBuffer {
 public:
  // For a state of so many bytes, all zero.
  explicit StateBuffer(size_t size)
      : size_((size + kPage - 1) / kPage * kPage),
        data_(static_cast<uint8_t*>(std::aligned_alloc(kPage, size_))) {
    if (data_ != nullptr) {
      std::fill_n(data_.get(), size_, uint8_t{0});
    }
  }

  explicit operator bool() const { return data_ != nullptr; }
  uint8_t* data() const { return data_.get(); }

  // MSHV_GET_VP_STATE or MSHV_SET_VP_STATE. Returns the number of bytes the state has, which may be
  // more than there are here: then the driver has done nothing.
  OrError<int> Transfer(int vp, uint32_t request, uint32_t type) const {
    abi::mshv_get_set_vp_state argument{};
    argument.type = static_cast<uint8_t>(type);
    argument.buf_sz = static_cast<uint32_t>(size_);
    argument.buf_ptr = reinterpret_cast<uintptr_t>(data_.get());
    const auto done = backend::Ioctl(vp, request, &argument);
    const bool too_short = done.error() == -EINVAL && argument.buf_sz > size_;
    return done || too_short ? OrError<int>(static_cast<int>(argument.buf_sz)) : done;
  }

  static constexpr size_t kPage = abi::MSHV_HV_PAGE_SIZE;

 private:
  struct Free {
    void operator()(uint8_t* data) const { std::free(data); }
  };

  const size_t size_;
  const std::unique_ptr<uint8_t, Free> data_;
};

// The driver takes no more pages than fit into one hypercall's input.
constexpr size_t kLongestState = StateBuffer::kPage * 507;

bool IsState(uint32_t type, std::span<const uint8_t> state) {
  return type <= UINT8_MAX && !state.empty() && state.size() <= kLongestState;
}

OrError<int> GetState(Environment&, AttachedVp vp, uint32_t type, std::span<uint8_t> state) {
  if (!IsState(type, state)) {
    return Error(-EINVAL);
  }
  const StateBuffer buffer(state.size());
  if (!buffer) {
    return FailedAt("aligned_alloc", -ENOMEM);
  }
  const auto size = vp->arbiter().WhileIdle(
      [&] { return buffer.Transfer(vp->fd(), abi::MSHV_GET_VP_STATE, type); });
  if (size && static_cast<size_t>(*size) <= state.size()) {
    std::copy_n(buffer.data(), *size, state.begin());
  }
  return size;
}

OrError<int> SetState(Environment&, AttachedVp vp, uint32_t type, std::span<uint8_t> state) {
  if (!IsState(type, state)) {
    return Error(-EINVAL);
  }
  const StateBuffer buffer(state.size());
  if (!buffer) {
    return FailedAt("aligned_alloc", -ENOMEM);
  }
  return vp->arbiter().WhileIdle([&]() -> OrError<int> {
    // Of a state that ends inside a page the driver takes the rest of the page too.
    if (state.size() % StateBuffer::kPage != 0) {
      const auto size = buffer.Transfer(vp->fd(), abi::MSHV_GET_VP_STATE, type);
      if (!size || static_cast<size_t>(*size) > state.size()) {
        return size;
      }
    }
    std::ranges::copy(state, buffer.data());
    return buffer.Transfer(vp->fd(), abi::MSHV_SET_VP_STATE, type);
  });
}

}  // namespace

void ExportVpState(Environment& environment, napi_value exports) {
  Export<GetState>(environment, exports, "vpGetState");
  Export<SetState>(environment, exports, "vpSetState");
}

}  // namespace mshv
