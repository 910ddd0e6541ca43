#include <memory>

#include "export.h"
#include "export_list.h"
#include "failed_step.h"
#include "memory.h"
#include "run_control.h"
#include "syscalls.h"

namespace mshv {
namespace {

// Marks the descriptor as not ours before it is closed: a number must never be usable while another
// thread may already have received it for something else.
int Release(Environment& environment, OwnedFd fd) {
  environment.poller().Unwatch(fd.number);
  environment.vps().Detach(fd.number);
  environment.Disown(fd.number);
  return fd.number;
}

int Close(Environment& environment, OwnedFd fd) { return sys::Close(Release(environment, fd)); }

int Dup(Environment& environment, OwnedFd fd) { return environment.Own(sys::Dup(fd.number)); }

// lib/native.ts: descriptorKinds.
constexpr uint32_t kRunControl = 2;
constexpr uint32_t kMemory = 3;

int Check(int32_t fd, uint32_t kind) {
  std::unique_ptr<RunControl> control;
  switch (kind) {
    case static_cast<uint32_t>(sys::Kind::kPartition):
    case static_cast<uint32_t>(sys::Kind::kVp):
      return sys::Identify(fd, static_cast<sys::Kind>(kind));
    case kRunControl:
      return RunControl::Open(fd, &control);
    case kMemory:
      return Memory::CheckKind(fd);
    default:
      return -EINVAL;
  }
}

int Adopt(Environment& environment, int32_t fd, uint32_t kind) {
  // Owning a number twice would close it twice.
  if (environment.Owns(fd)) {
    return -EBUSY;
  }
  const int error = Check(fd, kind);
  return error < 0 ? error : environment.Own(fd);
}

FailedStep LastFailedStep(Environment&) { return failed_step; }

}  // namespace

void ExportDescriptor(Environment& environment, napi_value exports) {
  Export<Close>(environment, exports, "close");
  Export<Dup>(environment, exports, "dup");
  Export<Adopt>(environment, exports, "adopt");
  Export<Release>(environment, exports, "release");
  Export<LastFailedStep>(environment, exports, "failedStep");
}

}  // namespace mshv
