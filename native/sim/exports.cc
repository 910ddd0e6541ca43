// What only the simulator's addon exports: the guest's side and the controls of the simulated host,
// as lib/native.ts describes them.
#include "../export_list.h"

#include <cerrno>
#include <memory>
#include <string>
#include <utility>

#include "../export.h"
#include "file.h"
#include "host.h"
#include "registry.h"

namespace mshv {
namespace sim {
namespace {

// A partition and its host, both alive during the call.
struct Target {
  std::shared_ptr<File> file;
  std::shared_ptr<Partition> partition;
};

int Find(OwnedFd fd, Target* target) {
  target->file = Registry::Get().FindFile(fd.number);
  target->partition = target->file == nullptr ? nullptr : target->file->partition();
  return target->partition == nullptr ? -ENOTTY : 0;
}

int Create(Environment& environment, uint32_t scheduler, bool fast_injection, bool v1_only) {
  if (scheduler < kFirstScheduler || scheduler > kRootScheduler) {
    return -EINVAL;
  }
  return Registry::Get().AddHost({scheduler, fast_injection, v1_only}, &environment);
}

int Destroy(Environment&, int32_t id) {
  const auto host = Registry::Get().RemoveHost(id);
  if (host == nullptr) {
    return -ENOENT;
  }
  host->Destroy();
  return 0;
}

void DestroyAllOf(void* environment) {
  for (const auto& host : Registry::Get().RemoveHostsOf(environment)) {
    host->Destroy();
  }
}

int HostOf(Environment&, OwnedFd partition) {
  Target target;
  const int error = Find(partition, &target);
  return error < 0 ? error : target.file->host().id();
}

int Settle(Environment&, int32_t id) {
  const auto host = Registry::Get().FindHost(id);
  if (host == nullptr) {
    return -ENOENT;
  }
  host->Settle();
  return 0;
}

int FailNext(Environment&, int32_t id, uint32_t request, int32_t error, uint32_t after,
             uint32_t count) {
  const auto host = Registry::Get().FindHost(id);
  if (host == nullptr) {
    return -ENOENT;
  }
  if (error <= 0) {
    return -EINVAL;
  }
  host->FailNext(request, error, after, count);
  return 0;
}

CountOrError Calls(Environment&, int32_t id, uint32_t request) {
  const auto host = Registry::Get().FindHost(id);
  return host == nullptr ? CountOrError{.error = -ENOENT}
                         : CountOrError{.count = host->Calls(request)};
}

std::string Oops(Environment&, int32_t id) {
  const auto host = Registry::Get().FindHost(id);
  return host == nullptr ? std::string() : host->Oops();
}

int Interrupts(Environment&, OwnedFd partition, std::span<uint64_t> out) {
  Target target;
  const int error = Find(partition, &target);
  return error < 0 ? error : target.file->host().TakeInterrupts(*target.partition, out);
}

int Listen(Environment&, OwnedFd partition, OwnedFd event) {
  Target target;
  if (const int error = Find(partition, &target); error < 0) {
    return error;
  }
  return target.file->host().AddListener(*target.partition, event.number);
}

int EndOfInterrupt(Environment&, OwnedFd partition, uint32_t vp, uint32_t vector) {
  Target target;
  const int error = Find(partition, &target);
  return error < 0 ? error : target.file->host().EndOfInterrupt(*target.partition, vp, vector);
}

int Routes(Environment&, OwnedFd partition, std::span<uint32_t> out) {
  Target target;
  const int error = Find(partition, &target);
  return error < 0 ? error : target.file->host().Routes(*target.partition, out);
}

int ArmedIrqFds(Environment&, OwnedFd partition, std::span<uint32_t> out) {
  Target target;
  const int error = Find(partition, &target);
  return error < 0 ? error : target.file->host().ArmedIrqFds(*target.partition, out);
}

}  // namespace
}  // namespace sim

void ExportBackend(Environment& environment, napi_value exports) {
  // Without the hook a terminated Worker would leave its machines and their threads behind.
  if (napi_add_env_cleanup_hook(environment.env(), sim::DestroyAllOf, &environment) != napi_ok) {
    return;
  }
  Export<sim::Create>(environment, exports, "simCreate");
  Export<sim::Destroy>(environment, exports, "simDestroy");
  Export<sim::HostOf>(environment, exports, "simOf");
  Export<sim::Settle>(environment, exports, "simSettle");
  Export<sim::FailNext>(environment, exports, "simFailNext");
  Export<sim::Calls>(environment, exports, "simCalls");
  Export<sim::Oops>(environment, exports, "simOops");
  Export<sim::Interrupts>(environment, exports, "simInterrupts");
  Export<sim::Listen>(environment, exports, "simListen");
  Export<sim::EndOfInterrupt>(environment, exports, "simEndOfInterrupt");
  Export<sim::Routes>(environment, exports, "simRoutes");
  Export<sim::ArmedIrqFds>(environment, exports, "simIrqFds");
}

}  // namespace mshv
