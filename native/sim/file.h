#ifndef MSHV_NATIVE_SIM_FILE_H_
#define MSHV_NATIVE_SIM_FILE_H_

#include <cstdint>
#include <memory>
#include <optional>

#include "../backend.h"
#include "../ownership.h"
#include "host.h"
#include "partition.h"

namespace mshv::sim {

class File;

// A descriptor that an ioctl opened, before it has its place in the registry. Without a file where
// it opened none.
struct Opened {
  UniqueFd fd;
  std::shared_ptr<File> file;
};

inline OrError<Opened> NothingOpened(OrError<void> done) {
  return done ? OrError<Opened>(Opened()) : done.error();
}

// What one or more descriptor numbers of the simulated driver refer to, as a struct file is in the
// kernel: the last number and the last ioctl under way destroy it. Never destroyed under a lock.
class File {
 public:
  explicit File(std::shared_ptr<Host> host) : host_(std::move(host)) {}
  virtual ~File() = default;

  File(const File&) = delete;
  File& operator=(const File&) = delete;

  Host& host() const { return *host_; }
  const std::shared_ptr<Host>& shared_host() const { return host_; }

  // ioctl(2), under the locks that the driver takes for this kind of descriptor.
  virtual OrError<Opened> Ioctl(uint32_t request, void* argument) {
    return host_->Ioctl(*this, request, argument);
  }

  // The driver's ioctl handler, with its checks in their order. The host is locked.
  virtual OrError<Opened> Handle(uint32_t request, void* argument) = 0;

  // Null where it is neither.
  virtual std::optional<backend::Kind> kind() const { return std::nullopt; }

  // The partition whose own descriptor this is, or null.
  virtual std::shared_ptr<Partition> partition() const { return nullptr; }

 private:
  const std::shared_ptr<Host> host_;
};

// /dev/mshv. Closing it affects nothing.
class DeviceFile final : public File {
 public:
  using File::File;
  OrError<Opened> Handle(uint32_t request, void* argument) override;
};

// Its end removes the partition's irqfds and doorbells, although VP descriptors keep the partition.
class PartitionFile final : public File {
 public:
  PartitionFile(std::shared_ptr<Host> host, std::shared_ptr<Partition> partition);
  ~PartitionFile() override;
  OrError<Opened> Handle(uint32_t request, void* argument) override;
  std::optional<backend::Kind> kind() const override { return backend::Kind::kPartition; }
  std::shared_ptr<Partition> partition() const override { return partition_; }

 private:
  OrError<void> Initialize();
  OrError<Opened> CreateVp(const abi::mshv_create_vp& argument);
  // The ioctls that open nothing.
  OrError<void> Set(uint32_t request, void* argument);

  const std::shared_ptr<Partition> partition_;
};

// Every ioctl holds the VP's mutex, so that they wait for MSHV_RUN_VP.
class VpFile final : public File {
 public:
  VpFile(std::shared_ptr<Host> host, std::shared_ptr<Partition> partition, VirtualProcessor& vp);
  OrError<Opened> Ioctl(uint32_t request, void* argument) override;
  OrError<Opened> Handle(uint32_t request, void* argument) override;
  std::optional<backend::Kind> kind() const override { return backend::Kind::kVp; }

 private:
  OrError<void> State(abi::mshv_get_set_vp_state* argument, bool set);

  const std::shared_ptr<Partition> partition_;
  VirtualProcessor& vp_;
};

// A descriptor with nothing behind it but its name, for a file to stand on.
OrError<UniqueFd> NewDescriptor(const char* name);

}  // namespace mshv::sim

#endif  // MSHV_NATIVE_SIM_FILE_H_
