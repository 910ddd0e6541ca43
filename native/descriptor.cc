#include "backend.h"
#include "export.h"
#include "export_list.h"
#include "failed_step.h"
#include "poller.h"
#include "vp.h"

namespace mshv {
namespace {

// Marks the descriptor as not ours before it is closed: a number must never be usable while another
// thread may already have received it for something else.
OrError<int> Release(Environment& environment, OwnedFd fd) {
  if (const auto detached = environment.vps().Detach(fd.number); !detached) {
    return detached.error();
  }
  static_cast<void>(environment.poller().Unwatch(fd.number));
  environment.Hide(fd.number);
  environment.Disown(fd.number);
  return fd.number;
}

OrError<void> Close(Environment& environment, OwnedFd fd) {
  const auto released = Release(environment, fd);
  return released ? backend::Close(*released) : released.error();
}

OrError<int> Dup(Environment& environment, OwnedFd fd) {
  return environment.Own(backend::Dup(fd.number));
}

FailedStep LastFailedStep(Environment&) { return failed_step; }

}  // namespace

void ExportDescriptor(Environment& environment, napi_value exports) {
  Export<Close>(environment, exports, "close");
  Export<Dup>(environment, exports, "dup");
  Export<Release>(environment, exports, "release");
  Export<LastFailedStep>(environment, exports, "failedStep");
}

}  // namespace mshv
