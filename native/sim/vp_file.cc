#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <mutex>
#include <utility>
#include <vector>

#include "../abi/hypercalls.h"
#include "../abi/mshv.h"
#include "file.h"
#include "hypercalls.h"
#include "reserved.h"
#include "user_memory.h"

namespace mshv::sim {
namespace {

constexpr uint64_t kPageSize = abi::MSHV_HV_PAGE_SIZE;

// How many pages fit into one hypercall: HV_GET_VP_STATE_BATCH_SIZE.
constexpr size_t kMostPages = 507;

// sizeof(struct hv_synthetic_timers_state).
constexpr uint32_t kSyntheticTimersSize = 200;

// The hypervisor's type of a state (HV_GET_SET_VP_STATE_*), by the driver's (MSHV_VP_STATE_*).
constexpr uint32_t kTypes[abi::MSHV_VP_STATE_COUNT] = {
    abi::HV_GET_SET_VP_STATE_LAPIC_STATE, abi::HV_GET_SET_VP_STATE_XSAVE,
    abi::HV_GET_SET_VP_STATE_SIM_PAGE, abi::HV_GET_SET_VP_STATE_SIEF_PAGE,
    abi::HV_GET_SET_VP_STATE_SYNTHETIC_TIMERS};

}  // namespace

VpFile::VpFile(std::shared_ptr<Host> host, std::shared_ptr<Partition> partition,
               VirtualProcessor& vp)
    : File(std::move(host)), partition_(std::move(partition)), vp_(vp) {}

OrError<Opened> VpFile::Ioctl(uint32_t request, void* argument) {
  const std::lock_guard guard(vp_.mutex);
  return request == abi::MSHV_RUN_VP ? NothingOpened(host().RunVp(*partition_, vp_, argument))
                                     : File::Ioctl(request, argument);
}

OrError<Opened> VpFile::Handle(uint32_t request, void* argument) {
  switch (request) {
    case abi::MSHV_GET_VP_STATE:
    case abi::MSHV_SET_VP_STATE:
      return NothingOpened(State(static_cast<abi::mshv_get_set_vp_state*>(argument),
                                 request == abi::MSHV_SET_VP_STATE));
    case abi::MSHV_ROOT_HVCALL:
      return NothingOpened(PassThrough(host(), partition_.get(), CallerFile::kVp,
                                       static_cast<abi::mshv_root_hvcall*>(argument)));
    default:
      return Error(-ENOTTY);
  }
}

// mshv_vp_ioctl_get_set_state.
OrError<void> VpFile::State(abi::mshv_get_set_vp_state* argument, bool set) {
  const abi::mshv_get_set_vp_state given = *argument;
  if (given.type >= abi::MSHV_VP_STATE_COUNT || AnySet(given.rsvd) || given.buf_sz == 0 ||
      given.buf_sz % kPageSize != 0 || given.buf_ptr % kPageSize != 0) {
    return Error(-EINVAL);
  }
  if (!InUserSpace(given.buf_ptr, given.buf_sz)) {
    return Error(-EFAULT);
  }
  uint32_t needed = kPageSize;
  if (given.type == abi::MSHV_VP_STATE_XSAVE) {
    for (const uint32_t property : {abi::HV_PARTITION_PROPERTY_XSAVE_STATES,
                                    abi::HV_PARTITION_PROPERTY_MAX_XSAVE_DATA_SIZE}) {
      if (const auto known = Ask(host(), abi::HVCALL_GET_PARTITION_PROPERTY); !known) {
        return known;
      }
      needed = static_cast<uint32_t>(partition_->properties.Get(property).value_or(0));
    }
  } else if (given.type == abi::MSHV_VP_STATE_SYNTHETIC_TIMERS) {
    needed = kSyntheticTimersSize;
  }
  argument->buf_sz = needed;
  if (needed > given.buf_sz) {
    return Error(-EINVAL);
  }
  const uint32_t type = kTypes[given.type];
  const uint16_t code = set ? abi::HVCALL_SET_VP_STATE : abi::HVCALL_GET_VP_STATE;
  if ((type & abi::HV_GET_SET_VP_STATE_TYPE_PFN) == 0) {
    VpState::Page page{};
    if (set && !CopyFromUser(page.data(), given.buf_ptr, needed)) {
      return Error(-EFAULT);
    }
    if (const auto done = AskWithDeposits(host(), code); !done) {
      return done;
    }
    if (set) {
      vp_.state.At(type, 0) = page;
      return {};
    }
    if (const VpState::Page* known = vp_.state.Find(type, 0); known != nullptr) {
      page = *known;
    }
    return Error(CopyToUser(given.buf_ptr, page.data(), needed) ? 0 : -EFAULT);
  }
  // The hypervisor gets the caller's pages, which the driver pins for writing in either case.
  if (!FaultIn(given.buf_ptr, given.buf_sz)) {
    return Error(-EFAULT);
  }
  const size_t count = given.buf_sz / kPageSize;
  if (count > kMostPages) {
    return Error(-EINVAL);
  }
  if (const auto done = AskWithDeposits(host(), code); !done) {
    return done;
  }
  for (size_t i = 0; i < count; ++i) {
    const uint64_t address = given.buf_ptr + i * kPageSize;
    VpState::Page page{};
    if (set) {
      if (i < VpState::kMostPages && CopyFromUser(page.data(), address, page.size())) {
        vp_.state.At(type, i) = page;
      }
      continue;
    }
    if (const VpState::Page* known = vp_.state.Find(type, i); known != nullptr) {
      page = *known;
    }
    CopyToUser(address, page.data(), page.size());
  }
  return {};
}

}  // namespace mshv::sim
