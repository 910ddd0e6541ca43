#include "bounded_call.h"

namespace mshv {

ThreadTimer& BoundTimer() {
  struct Owned {
    ThreadTimer timer;
    ~Owned() { timer.Delete(); }
  };
  thread_local Owned owned;
  return owned.timer;
}

}  // namespace mshv
