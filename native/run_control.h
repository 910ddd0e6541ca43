#ifndef MSHV_NATIVE_RUN_CONTROL_H_
#define MSHV_NATIVE_RUN_CONTROL_H_

#include <cerrno>
#include <memory>
#include <utility>

#include "abi/mshv.h"
#include "mapping.h"
#include "runner.h"

namespace mshv {

// Who runs a VP, and whether that is to end: one page of a memfd, which every environment of the
// process that works with the VP has mapped. Thread-safe. Functions return a value >= 0 or -errno.
//
// A cancel stays until a run has ended by it (-ECANCELED). Whoever finds it before entering, or is
// interrupted while it is there, acknowledges it; an exit that comes first is not thrown away for
// it. Kicks go on until the runner has left.
class RunControl {
 public:
  // Makes a block. Returns its descriptor.
  static int Create();
  // -EINVAL where `fd` is something else, or another process's.
  static int Open(int fd, std::unique_ptr<RunControl>* control);

  // MSHV_RUN_VP, with what vpRun in lib/native.ts promises; -ESHUTDOWN after End. After -EINTR the
  // run goes on with the same runner's next call: nobody else can run the VP until then.
  int Run(Runner& runner, int vp, void* message);

  // There will be no such call: a run that was only interrupted is over.
  void GiveUp(const Runner& runner);

  // The run under way, or the next one, is to end with -ECANCELED.
  void Cancel();

  // The next run returns this message of a run, whose exit nobody was told of, before the VP runs
  // on.
  void Keep(const abi::mshv_run_vp& message);

  // A runner that is used with this VP only is to run no more: it is interrupted until it has left.
  void End(Runner& runner);

  // Keeps the VP from being run while `call` works on it. -EBUSY where it runs already.
  template <typename Call>
  int WhileIdle(Call call) {
    const Lock lock(*this);
    return Running() ? -EBUSY : call();
  }

 private:
  struct Block;

  class Lock {
   public:
    explicit Lock(RunControl& control) : control_(control) { control_.Acquire(); }
    ~Lock() { control_.Release(); }
    Lock(const Lock&) = delete;
    Lock& operator=(const Lock&) = delete;

   private:
    RunControl& control_;
  };

  explicit RunControl(Mapping mapping) : mapping_(std::move(mapping)) {}

  Block& block() const { return *reinterpret_cast<Block*>(mapping_.data()); }
  void Acquire();
  void Release();
  bool Running() const;
  bool IsRunBy(const Runner& runner) const;
  void Kick();
  int Enter(const Runner& runner);
  bool TakeKept(void* message);
  int Leave(const Runner& runner, int result);
  void EndRun(const Runner& runner);

  const Mapping mapping_;
};

}  // namespace mshv

#endif  // MSHV_NATIVE_RUN_CONTROL_H_
