#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <utility>

#include "../abi/mshv.h"
#include "file.h"

namespace mshv::sim {

PartitionFile::PartitionFile(std::shared_ptr<Host> host, std::shared_ptr<Partition> partition)
    : File(std::move(host)), partition_(std::move(partition)) {}

PartitionFile::~PartitionFile() { host().Release(*partition_); }

int PartitionFile::Ioctl(uint32_t request, const void* argument, Opened* opened) {
  switch (request) {
    case abi::MSHV_INITIALIZE_PARTITION:
      partition_->initialized = true;
      return 0;
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
    default:
      return -ENOTTY;
  }
}

// mshv_partition_ioctl_create_vp. Without INITIALIZE it is the hypervisor that refuses.
int PartitionFile::CreateVp(const void* argument, Opened* opened) {
  abi::mshv_create_vp vp;
  std::memcpy(&vp, argument, sizeof(vp));
  if (vp.vp_index >= abi::MSHV_MAX_VPS) {
    return -EINVAL;
  }
  if (partition_->vps.test(vp.vp_index)) {
    return -EEXIST;
  }
  if (!partition_->initialized) {
    return -EIO;
  }
  opened->fd = NewDescriptor("mshv_vp");
  if (!opened->fd) {
    return opened->fd.get();
  }
  // Its register page and its intercept message page.
  if (ftruncate(opened->fd.get(), 2 * abi::MSHV_HV_PAGE_SIZE) < 0) {
    return -errno;
  }
  opened->file = std::make_shared<VpFile>(shared_host(), partition_);
  partition_->vps.set(vp.vp_index);
  return 0;
}

}  // namespace mshv::sim
