// What only the simulator's addon exports: the guest's side and the controls of the simulated host,
// as lib/native.ts describes them.
#include "../export_list.h"

#include <algorithm>
#include <cerrno>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "../export.h"
#include "file.h"
#include "host.h"
#include "registry.h"
#include "system_call_plan.h"

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

int Create(Environment& environment, uint32_t scheduler, bool fast_injection, bool v1_only,
           std::optional<bool> register_page, std::optional<bool> deposits_inside) {
  if (scheduler < kFirstScheduler || scheduler > kRootScheduler) {
    return -EINVAL;
  }
  return Registry::Get().AddHost({.scheduler = scheduler,
                                  .fast_injection = fast_injection,
                                  .v1_only = v1_only,
                                  .register_page = register_page.value_or(true),
                                  .deposits_inside = deposits_inside.value_or(true)},
                                 &environment);
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

int FailSystemCall(Environment&, int32_t error, uint32_t after) {
  if (error < 0) {
    return -EINVAL;
  }
  SystemCallPlan::Get().Begin(error, after);
  return 0;
}

std::string SystemCalls(Environment&) { return SystemCallPlan::Get().End(); }

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

int QueueMessage(Environment&, OwnedFd partition, uint32_t vp, std::span<uint8_t> message) {
  GuestStep step;
  if (message.size() > step.message.size()) {
    return -EINVAL;
  }
  std::ranges::copy(message, step.message.begin());
  Target target;
  const int error = Find(partition, &target);
  return error < 0 ? error : target.file->host().AddSteps(*target.partition, vp, {&step, 1});
}

bool IsAccessSize(uint64_t size) { return size == 1 || size == 2 || size == 4 || size == 8; }

bool ReadStep(std::span<const uint64_t> words, GuestStep* step) {
  using Kind = GuestStep::Kind;
  if (words[0] == static_cast<uint64_t>(Kind::kMessage) ||
      words[0] >= static_cast<uint64_t>(Kind::kCount)) {
    return false;
  }
  step->kind = static_cast<Kind>(words[0]);
  std::ranges::copy(words.subspan(1), step->operands.begin());
  const bool sized = step->kind == Kind::kIoPort || step->kind == Kind::kMemory;
  return !sized || IsAccessSize(step->operands[1]);
}

int AddSteps(Environment&, OwnedFd partition, uint32_t vp, std::span<uint64_t> words) {
  constexpr size_t kWords = 1 + GuestStep::kOperands;
  if (words.size() % kWords != 0 || words.size() / kWords > kMostSteps) {
    return -EINVAL;
  }
  std::vector<GuestStep> steps(words.size() / kWords);
  for (size_t i = 0; i < steps.size(); ++i) {
    if (!ReadStep(words.subspan(i * kWords, kWords), &steps[i])) {
      return -EINVAL;
    }
  }
  Target target;
  const int error = Find(partition, &target);
  return error < 0 ? error : target.file->host().AddSteps(*target.partition, vp, steps);
}

int PendingSteps(Environment&, OwnedFd partition, uint32_t vp) {
  Target target;
  const int error = Find(partition, &target);
  return error < 0 ? error : target.file->host().PendingSteps(*target.partition, vp);
}

int GuestAccess(Environment&, OwnedFd partition, uint64_t gpa, std::span<uint8_t> bytes,
                bool write) {
  Target target;
  const int error = Find(partition, &target);
  return error < 0 ? error : target.file->host().GuestAccess(*target.partition, gpa, bytes, write);
}

int WriteMmio(Environment&, OwnedFd partition, uint64_t gpa, uint32_t size, uint64_t value) {
  if (!IsAccessSize(size)) {
    return -EINVAL;
  }
  Target target;
  const int error = Find(partition, &target);
  return error < 0 ? error : target.file->host().WriteMmio(*target.partition, gpa, size, value);
}

int Refuse(Environment&, int32_t id, uint32_t code, uint32_t status, uint32_t after, uint32_t count,
           uint32_t reps) {
  const auto host = Registry::Get().FindHost(id);
  if (host == nullptr) {
    return -ENOENT;
  }
  if (code > UINT16_MAX || status == 0 || status > UINT16_MAX) {
    return -EINVAL;
  }
  host->PlanRefusal(static_cast<uint16_t>(code), {static_cast<uint16_t>(status), reps}, after,
                    count);
  return 0;
}

// What is kept of a partition, as words.
template <int (Host::*kRead)(Partition&, std::span<uint64_t>)>
int ReadWords(Environment&, OwnedFd partition, std::span<uint64_t> out) {
  Target target;
  const int error = Find(partition, &target);
  return error < 0 ? error : (target.file->host().*kRead)(*target.partition, out);
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
  Export<sim::FailSystemCall>(environment, exports, "simFailSystemCall");
  Export<sim::SystemCalls>(environment, exports, "simSystemCalls");
  Export<sim::Oops>(environment, exports, "simOops");
  Export<sim::Interrupts>(environment, exports, "simInterrupts");
  Export<sim::Listen>(environment, exports, "simListen");
  Export<sim::EndOfInterrupt>(environment, exports, "simEndOfInterrupt");
  Export<sim::Routes>(environment, exports, "simRoutes");
  Export<sim::ArmedIrqFds>(environment, exports, "simIrqFds");
  Export<sim::QueueMessage>(environment, exports, "simQueueMessage");
  Export<sim::AddSteps>(environment, exports, "simGuestSteps");
  Export<sim::PendingSteps>(environment, exports, "simPendingSteps");
  Export<sim::GuestAccess>(environment, exports, "simGuestAccess");
  Export<sim::WriteMmio>(environment, exports, "simWriteMmio");
  Export<sim::Refuse>(environment, exports, "simRefuse");
  Export<sim::ReadWords<&sim::Host::DoorbellsOf>>(environment, exports, "simDoorbells");
  Export<sim::ReadWords<&sim::Host::MemoryOf>>(environment, exports, "simMemory");
  Export<sim::ReadWords<&sim::Host::InterceptsOf>>(environment, exports, "simIntercepts");
  Export<sim::ReadWords<&sim::Host::ResultsOf>>(environment, exports, "simInterceptResults");
}

}  // namespace mshv
