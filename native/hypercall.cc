#include "abi/mshv.h"
#include "backend.h"
#include "export.h"
#include "export_list.h"
#include "vp.h"

namespace mshv {
namespace {

// The driver writes no more than it is told, and the hypervisor's pages have no more.
constexpr size_t kLongest = abi::MSHV_HV_PAGE_SIZE;

OrError<int> Hypercall(Environment& environment, OwnedFd fd, uint32_t code, uint32_t reps,
                       std::span<uint8_t> input, std::span<uint8_t> output,
                       std::span<uint32_t> result) {
  if (code > UINT16_MAX || reps > UINT16_MAX || input.size() > kLongest ||
      output.size() > kLongest || result.size() < 2) {
    return Error(-EINVAL);
  }
  abi::mshv_root_hvcall argument{};
  argument.code = static_cast<uint16_t>(code);
  argument.reps = static_cast<uint16_t>(reps);
  argument.in_sz = static_cast<uint16_t>(input.size());
  argument.out_sz = static_cast<uint16_t>(output.size());
  argument.in_ptr = reinterpret_cast<uintptr_t>(input.data());
  // The driver takes a size without a pointer for no output, and refuses it the other way round.
  argument.out_ptr = output.empty() ? 0 : reinterpret_cast<uintptr_t>(output.data());
  const auto call = [&] { return backend::Ioctl(fd.number, abi::MSHV_ROOT_HVCALL, &argument); };
  // On a VP that runs the driver would keep this thread until its run is over.
  const Vp* const vp = environment.vps().Find(fd.number);
  const auto done = vp == nullptr ? call() : vp->arbiter().WhileIdle(call);
  // A refusal before the call leaves the caller's reps where the completed ones would be.
  const bool called = done || argument.status != 0;
  result[0] = argument.status;
  result[1] = called ? argument.reps : 0;
  return done;
}

}  // namespace

void ExportHypercall(Environment& environment, napi_value exports) {
  Export<Hypercall>(environment, exports, "hypercall");
}

}  // namespace mshv
