#include <cerrno>
#include <cstring>
#include <memory>
#include <utility>

#include "../abi/hypercalls.h"
#include "../abi/mshv.h"
#include "../kernel_eventfd.h"
#include "file.h"
#include "hypercalls.h"

namespace mshv::sim {
namespace {

// Intercept message page and register page.
constexpr int kStatePages = 2;

template <typename Argument>
Argument Copied(const void* argument) {
  Argument copied;
  std::memcpy(&copied, argument, sizeof(copied));
  return copied;
}

}  // namespace

PartitionFile::PartitionFile(std::shared_ptr<Host> host, std::shared_ptr<Partition> partition)
    : File(std::move(host)), partition_(std::move(partition)) {}

PartitionFile::~PartitionFile() { host().Release(*partition_); }

OrError<Opened> PartitionFile::Handle(uint32_t request, void* argument) {
  return request == abi::MSHV_CREATE_VP ? CreateVp(Copied<abi::mshv_create_vp>(argument))
                                        : NothingOpened(Set(request, argument));
}

OrError<void> PartitionFile::Set(uint32_t request, void* argument) {
  switch (request) {
    case abi::MSHV_INITIALIZE_PARTITION:
      return Initialize();
    case abi::MSHV_IRQFD:
      return host().irqfds().Set(*partition_, Copied<abi::mshv_user_irqfd>(argument));
    case abi::MSHV_SET_MSI_ROUTING:
      return partition_->routes.Replace(
          Copied<abi::mshv_user_irq_table>(argument),
          static_cast<const abi::mshv_user_irq_table*>(argument)->entries);
    case abi::MSHV_SET_GUEST_MEMORY:
      return partition_->memory.Set(Copied<abi::mshv_user_mem_region>(argument));
    case abi::MSHV_IOEVENTFD:
      return host().SetDoorbell(*partition_, Copied<abi::mshv_user_ioeventfd>(argument));
    case abi::MSHV_GET_GPAP_ACCESS_BITMAP:
      return partition_->memory.AccessBitmap(Copied<abi::mshv_gpap_access_bitmap>(argument));
    case abi::MSHV_ROOT_HVCALL:
      return PassThrough(host(), partition_.get(), CallerFile::kPartition,
                         static_cast<abi::mshv_root_hvcall*>(argument));
    default:
      return Error(-ENOTTY);
  }
}

OrError<void> PartitionFile::Initialize() {
  if (partition_->initialized) {
    return {};
  }
  const auto done = AskWithDeposits(host(), abi::HVCALL_INITIALIZE_PARTITION);
  partition_->initialized = bool(done);
  return done;
}

// mshv_partition_ioctl_create_vp. Without INITIALIZE it is the hypervisor that refuses.
OrError<Opened> PartitionFile::CreateVp(const abi::mshv_create_vp& argument) {
  if (argument.vp_index >= abi::MSHV_MAX_VPS) {
    return Error(-EINVAL);
  }
  if (partition_->FindVp(argument.vp_index) != nullptr) {
    return Error(-EEXIST);
  }
  if (const auto made = AskWithDeposits(host(), abi::HVCALL_CREATE_VP); !made) {
    return made.error();
  }
  if (!partition_->initialized) {
    return Error(-EIO);
  }
  for (int page = 0; page < kStatePages; ++page) {
    if (const auto mapped = AskWithDeposits(host(), abi::HVCALL_MAP_VP_STATE_PAGE); !mapped) {
      return mapped.error();
    }
  }
  OrError<UniqueFd> fd = NewDescriptor("mshv_vp");
  if (!fd) {
    return fd.error();
  }
  OrError<VpPages> pages = VpPages::Create(fd->get());
  if (!pages) {
    return pages.error();
  }
  OrError<UniqueFd> wake = kernel::EventFdCreate(0, false);
  if (!wake) {
    return wake.error();
  }
  auto vp = std::make_unique<VirtualProcessor>(partition_->architecture, argument.vp_index,
                                               *std::move(pages), *std::move(wake));
  auto file = std::make_shared<VpFile>(shared_host(), partition_, *vp);
  partition_->vps[argument.vp_index] = std::move(vp);
  return Opened{*std::move(fd), std::move(file)};
}

}  // namespace mshv::sim
