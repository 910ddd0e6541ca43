#include <cerrno>
#include <utility>

#include "file.h"

namespace mshv::sim {

VpFile::VpFile(std::shared_ptr<Host> host, std::shared_ptr<Partition> partition)
    : File(std::move(host)), partition_(std::move(partition)) {}

int VpFile::Ioctl(uint32_t, const void*, Opened*) { return -ENOTTY; }

}  // namespace mshv::sim
