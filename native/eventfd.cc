#include "backend.h"
#include "export.h"
#include "export_list.h"

namespace mshv {
namespace {

OrError<int> Create(Environment& environment, uint32_t initial, bool semaphore) {
  return environment.Own(backend::EventFdCreate(initial, semaphore));
}

OrError<int> Adopt(Environment& environment, int32_t fd) {
  // Owning a number twice would close it twice.
  if (environment.Owns(fd)) {
    return Error(-EBUSY);
  }
  return environment.Own(backend::EventFdAdopt(fd));
}

OrError<int> Show(Environment& environment, OwnedFd fd) { return environment.Show(fd.number); }

template <bool kBounded>
OrError<void> Signal(Environment&, OwnedFd fd, std::optional<uint64_t> count) {
  return backend::EventFdWrite(fd.number, count.value_or(1), kBounded);
}

OrError<uint64_t> Read(Environment&, OwnedFd fd) { return backend::EventFdRead(fd.number); }

OrError<bool> Poll(Environment&, OwnedFd fd) { return backend::EventFdPoll(fd.number); }

}  // namespace

void ExportEventFd(Environment& environment, napi_value exports) {
  Export<Create>(environment, exports, "eventfdCreate");
  Export<Adopt>(environment, exports, "eventfdAdopt");
  Export<Show>(environment, exports, "eventfdShow");
  Export<Signal<false>>(environment, exports, "eventfdSignal");
  Export<Signal<true>>(environment, exports, "eventfdSignalBounded");
  Export<Read>(environment, exports, "eventfdRead");
  Export<Poll>(environment, exports, "eventfdPoll");
}

}  // namespace mshv
