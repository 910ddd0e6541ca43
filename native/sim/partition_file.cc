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

}  // namespace

PartitionFile::PartitionFile(std::shared_ptr<Host> host, std::shared_ptr<Partition> partition)
    : File(std::move(host)), partition_(std::move(partition)) {}

PartitionFile::~PartitionFile() { host().Release(*partition_); }

int PartitionFile::Handle(uint32_t request, void* argument, Opened* opened) {
  switch (request) {
    case abi::MSHV_INITIALIZE_PARTITION:
      return Initialize();
    case abi::MSHV_CREATE_VP:
      return CreateVp(argument, opened);
    case abi::MSHV_IRQFD: {
      abi::mshv_user_irqfd irqfd;
      std::memcpy(&irqfd, argument, sizeof(irqfd));
      return host().irqfds().Set(*partition_, irqfd);
    }
    case abi::MSHV_SET_MSI_ROUTING: {
      abi::mshv_user_irq_table header;
      std::memcpy(&header, argument, sizeof(header));
      return partition_->routes.Replace(
          header, static_cast<const abi::mshv_user_irq_table*>(argument)->entries);
    }
    case abi::MSHV_SET_GUEST_MEMORY: {
      abi::mshv_user_mem_region region;
      std::memcpy(&region, argument, sizeof(region));
      return partition_->memory.Set(region);
    }
    case abi::MSHV_IOEVENTFD: {
      abi::mshv_user_ioeventfd ioeventfd;
      std::memcpy(&ioeventfd, argument, sizeof(ioeventfd));
      return host().SetDoorbell(*partition_, ioeventfd);
    }
    case abi::MSHV_GET_GPAP_ACCESS_BITMAP: {
      abi::mshv_gpap_access_bitmap bitmap;
      std::memcpy(&bitmap, argument, sizeof(bitmap));
      return partition_->memory.AccessBitmap(bitmap);
    }
    case abi::MSHV_ROOT_HVCALL:
      return PassThrough(host(), partition_.get(), CallerFile::kPartition,
                         static_cast<abi::mshv_root_hvcall*>(argument));
    default:
      return -ENOTTY;
  }
}

int PartitionFile::Initialize() {
  if (partition_->initialized) {
    return 0;
  }
  const int error = AskWithDeposits(host(), abi::HVCALL_INITIALIZE_PARTITION);
  partition_->initialized = error == 0;
  return error;
}

// mshv_partition_ioctl_create_vp. Without INITIALIZE it is the hypervisor that refuses.
int PartitionFile::CreateVp(const void* argument, Opened* opened) {
  abi::mshv_create_vp vp;
  std::memcpy(&vp, argument, sizeof(vp));
  if (vp.vp_index >= abi::MSHV_MAX_VPS) {
    return -EINVAL;
  }
  if (partition_->FindVp(vp.vp_index) != nullptr) {
    return -EEXIST;
  }
  if (const int error = AskWithDeposits(host(), abi::HVCALL_CREATE_VP); error < 0) {
    return error;
  }
  if (!partition_->initialized) {
    return -EIO;
  }
  for (int page = 0; page < kStatePages; ++page) {
    if (const int error = AskWithDeposits(host(), abi::HVCALL_MAP_VP_STATE_PAGE); error < 0) {
      return error;
    }
  }
  VpPages pages = VpPages::Create(&opened->fd);
  UniqueFd wake(kernel::EventFdCreate(0, false));
  if (!opened->fd || !wake) {
    return opened->fd ? wake.get() : opened->fd.get();
  }
  auto created = std::make_unique<VirtualProcessor>(vp.vp_index, std::move(pages), std::move(wake));
  opened->file = std::make_shared<VpFile>(shared_host(), partition_, *created);
  partition_->vps[vp.vp_index] = std::move(created);
  return 0;
}

}  // namespace mshv::sim
