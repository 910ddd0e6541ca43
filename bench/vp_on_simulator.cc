// The partition and the VP are those of a simulated machine in this process.
#include <err.h>

#include <cerrno>
#include <memory>
#include <string>
#include <vector>

#include "../native/abi/mshv.h"
#include "../native/backend.h"
#include "../native/sim/file.h"
#include "../native/sim/guest_step.h"
#include "../native/sim/host.h"
#include "../native/sim/registry.h"
#include "check.h"
#include "vp_machine.h"

namespace mshv::bench {
namespace {

struct Simulated {
  Machine machine;
  std::shared_ptr<sim::File> file;
};

Simulated Create() {
  const int host = sim::Registry::Get().AddHost({}, nullptr);
  const int device = Check(backend::Open(("sim:" + std::to_string(host)).c_str()), "open");
  abi::mshv_create_partition options{};
  options.pt_flags = 1 << abi::MSHV_PT_BIT_LAPIC;
  Machine machine;
  machine.partition = Check(backend::Ioctl(device, abi::MSHV_CREATE_PARTITION, &options), "create");
  Check(backend::Ioctl(machine.partition, abi::MSHV_INITIALIZE_PARTITION, nullptr), "initialize");
  abi::mshv_create_vp vp{};
  machine.vp = Check(backend::Ioctl(machine.partition, abi::MSHV_CREATE_VP, &vp), "create VP");
  return {machine, sim::Registry::Get().FindFile(machine.partition)};
}

const Simulated& Get() {
  static const Simulated simulated = Create();
  return simulated;
}

}  // namespace

Machine OpenMachine() { return Get().machine; }

void PrepareExits(long times) {
  // Port 0x10, one byte, a write.
  const sim::GuestStep step{.kind = sim::GuestStep::Kind::kIoPort, .operands = {0x10, 1, 1, 0x55}};
  const std::vector<sim::GuestStep> steps(static_cast<size_t>(times), step);
  Check(Get().file->host().AddSteps(*Get().file->partition(), 0, steps), "steps of the guest");
}

void WriteMmio(uint64_t gpa) {
  if (Check(Get().file->host().WriteMmio(*Get().file->partition(), gpa, 4, 1), "MMIO") != 1) {
    errx(1, "no doorbell rang");
  }
}

}  // namespace mshv::bench
