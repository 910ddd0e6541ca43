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
#include "failing_calls.h"
#include "file.h"
#include "host.h"
#include "registry.h"
#include "reports.h"

namespace mshv {
namespace sim {
namespace {

// A simulated machine, by its id.
struct Machine {
  std::shared_ptr<Host> host;
  Host* operator->() const { return host.get(); }

  static OrError<Machine> Read(Environment& environment, napi_value value) {
    const auto id = Argument<int32_t>::Read(environment, value);
    if (!id) {
      return id.error();
    }
    Machine machine{Registry::Get().FindHost(*id)};
    return machine.host == nullptr ? Error(-ENOENT) : OrError<Machine>(std::move(machine));
  }
};

// A partition of one, by its descriptor. Both are alive during the call.
struct Target {
  std::shared_ptr<File> file;
  std::shared_ptr<Partition> shared;

  Host& host() const { return file->host(); }
  Partition& partition() const { return *shared; }

  static OrError<Target> Read(Environment& environment, napi_value value) {
    const auto fd = OwnedFd::Read(environment, value);
    if (!fd) {
      return fd.error();
    }
    Target target{Registry::Get().FindFile(fd->number), nullptr};
    target.shared = target.file == nullptr ? nullptr : target.file->partition();
    return target.shared == nullptr ? Error(-ENOTTY) : OrError<Target>(std::move(target));
  }
};

OrError<int> Create(Environment& environment, uint32_t scheduler, bool fast_injection, bool v1_only,
                    std::optional<bool> register_page, std::optional<bool> deposits_inside,
                    std::optional<uint32_t> architecture) {
  constexpr auto kLastArchitecture = static_cast<uint32_t>(Architecture::kArm64);
  if (scheduler < kFirstScheduler || scheduler > kRootScheduler ||
      architecture.value_or(0) > kLastArchitecture) {
    return Error(-EINVAL);
  }
  return Registry::Get().AddHost(
      {.architecture = static_cast<Architecture>(architecture.value_or(0)),
       .scheduler = scheduler,
       .fast_injection = fast_injection,
       .v1_only = v1_only,
       .register_page = register_page.value_or(true),
       .deposits_inside = deposits_inside.value_or(true)},
      &environment);
}

OrError<void> Destroy(Environment&, Machine machine) {
  // Several environments may have come this far.
  if (Registry::Get().RemoveHost(machine->id()) == nullptr) {
    return Error(-ENOENT);
  }
  machine->Destroy();
  return {};
}

void DestroyAllOf(void* environment) {
  for (const auto& host : Registry::Get().RemoveHostsOf(environment)) {
    host->Destroy();
  }
}

int HostOf(Environment&, Target target) { return target.host().id(); }

OrError<void> Settle(Environment&, Machine machine) {
  machine->Settle();
  return {};
}

OrError<void> FailNext(Environment&, Machine machine, uint32_t request, int32_t error,
                       uint32_t after, uint32_t count) {
  if (error <= 0) {
    return Error(-EINVAL);
  }
  machine->FailNext(request, error, after, count);
  return {};
}

OrError<void> FailSystemCall(Environment&, int32_t error, uint32_t after) {
  if (error < 0) {
    return Error(-EINVAL);
  }
  FailingCalls::Get().Begin(error, after);
  return {};
}

std::string SystemCalls(Environment&) { return FailingCalls::Get().End(); }

uint64_t Calls(Environment&, Machine machine, uint32_t request) { return machine->Calls(request); }

std::string Oops(Environment&, Machine machine) { return machine->Oops(); }

int Interrupts(Environment&, Target target, std::span<uint64_t> out) {
  target.host().Settle();
  return target.host().WhileLocked([&] { return TakeInterrupts(target.partition(), out); });
}

OrError<void> Listen(Environment&, Target target, OwnedFd event) {
  return target.host().AddListener(target.partition(), event.number);
}

OrError<int> EndOfInterrupt(Environment&, Target target, uint32_t vp, uint32_t vector) {
  return target.host().EndOfInterrupt(target.partition(), vp, vector);
}

OrError<void> QueueMessage(Environment&, Target target, uint32_t vp, std::span<uint8_t> message) {
  GuestStep step;
  if (message.size() > step.message.size()) {
    return Error(-EINVAL);
  }
  std::ranges::copy(message, step.message.begin());
  return target.host().AddSteps(target.partition(), vp, {&step, 1});
}

bool IsAccessSize(uint64_t size) { return size == 1 || size == 2 || size == 4 || size == 8; }

OrError<GuestStep> ReadStep(std::span<const uint64_t> words) {
  using Kind = GuestStep::Kind;
  if (words[0] == static_cast<uint64_t>(Kind::kMessage) ||
      words[0] >= static_cast<uint64_t>(Kind::kCount)) {
    return Error(-EINVAL);
  }
  GuestStep step;
  step.kind = static_cast<Kind>(words[0]);
  std::ranges::copy(words.subspan(1), step.operands.begin());
  const bool sized = step.kind == Kind::kIoPort || step.kind == Kind::kMemory;
  return !sized || IsAccessSize(step.operands[1]) ? OrError<GuestStep>(step) : Error(-EINVAL);
}

OrError<void> AddSteps(Environment&, Target target, uint32_t vp, std::span<uint64_t> words) {
  constexpr size_t kWords = 1 + GuestStep::kOperands;
  if (words.size() % kWords != 0 || words.size() / kWords > kMostSteps) {
    return Error(-EINVAL);
  }
  std::vector<GuestStep> steps;
  for (size_t at = 0; at < words.size(); at += kWords) {
    const auto step = ReadStep(words.subspan(at, kWords));
    if (!step) {
      return step.error();
    }
    if (!GuestStep::IsOf(target.partition().architecture, step->kind)) {
      return Error(-EINVAL);
    }
    steps.push_back(*step);
  }
  return target.host().AddSteps(target.partition(), vp, steps);
}

OrError<int> PendingSteps(Environment&, Target target, uint32_t vp) {
  return target.host().PendingSteps(target.partition(), vp);
}

OrError<void> GuestAccess(Environment&, Target target, uint64_t gpa, std::span<uint8_t> bytes,
                          bool write) {
  return target.host().GuestAccess(target.partition(), gpa, bytes, write);
}

OrError<int> WriteMmio(Environment&, Target target, uint64_t gpa, uint32_t size, uint64_t value) {
  return IsAccessSize(size) ? target.host().WriteMmio(target.partition(), gpa, size, value)
                            : Error(-EINVAL);
}

OrError<void> Refuse(Environment&, Machine machine, uint32_t code, uint32_t status, uint32_t after,
                     uint32_t count, uint32_t reps) {
  if (code > UINT16_MAX || status == 0 || status > UINT16_MAX) {
    return Error(-EINVAL);
  }
  machine->PlanRefusal(static_cast<uint16_t>(code), {static_cast<uint16_t>(status), reps}, after,
                       count);
  return {};
}

template <auto kRead>
struct Report;

template <typename Word, int (*kRead)(const Partition&, std::span<Word>)>
struct Report<kRead> {
  static int Copy(Environment&, Target target, std::span<Word> out) {
    return target.host().WhileLocked([&] { return kRead(target.partition(), out); });
  }
};

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
  Export<sim::Report<sim::RoutesOf>::Copy>(environment, exports, "simRoutes");
  Export<sim::Report<sim::IrqFdsOf>::Copy>(environment, exports, "simIrqFds");
  Export<sim::QueueMessage>(environment, exports, "simQueueMessage");
  Export<sim::AddSteps>(environment, exports, "simGuestSteps");
  Export<sim::PendingSteps>(environment, exports, "simPendingSteps");
  Export<sim::GuestAccess>(environment, exports, "simGuestAccess");
  Export<sim::WriteMmio>(environment, exports, "simWriteMmio");
  Export<sim::Refuse>(environment, exports, "simRefuse");
  Export<sim::Report<sim::DoorbellsOf>::Copy>(environment, exports, "simDoorbells");
  Export<sim::Report<sim::MemoryOf>::Copy>(environment, exports, "simMemory");
  Export<sim::Report<sim::InterceptsOf>::Copy>(environment, exports, "simIntercepts");
  Export<sim::Report<sim::ResultsOf>::Copy>(environment, exports, "simInterceptResults");
}

}  // namespace mshv
