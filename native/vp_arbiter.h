#ifndef MSHV_NATIVE_VP_ARBITER_H_
#define MSHV_NATIVE_VP_ARBITER_H_

#include <cerrno>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <utility>

#include "abi/mshv.h"
#include "kick_target.h"
#include "or_error.h"
#include "ownership.h"

namespace mshv {

// Who may run a VP, and what must not be lost between two runs: one page of a memfd, which every
// environment of the process that works with the VP has mapped. Thread-safe.
//
// A cancel stays until a run has ended by it (-ECANCELED). Whoever finds it before entering, or is
// interrupted while it is there, acknowledges it; an exit that comes first is not thrown away for
// it. Kicks go on until the runner has left.
//
// Who runs the VP holds it from then on, through -EINTR. RunAndHold goes on with that until
// Release, so that nobody runs it between the end of a run and the keeping of what came of it.
class VpArbiter {
 public:
  // Makes a block. `comes_again`: the types of the messages of instructions, which the guest
  // executes again where nobody was told of them; -EINVAL where there are too many.
  static OrError<UniqueFd> Create(std::span<const uint32_t> comes_again);
  // -EINVAL where `fd` is something else, or another process's.
  static OrError<std::unique_ptr<VpArbiter>> Open(int fd);

  // MSHV_RUN_VP, with what vpRun in lib/native.ts promises; -ESHUTDOWN after End. -EBUSY where
  // another runner holds the VP. After -EINTR the run goes on with its next call, or ends by
  // Release.
  OrError<void> Run(KickTarget& runner, int vp, void* message) {
    return Run(runner, vp, message, /*hold=*/false);
  }
  OrError<void> RunAndHold(KickTarget& runner, int vp, void* message) {
    return Run(runner, vp, message, /*hold=*/true);
  }

  // Whether what Run returned does not come again by itself.
  bool ComesOnce(OrError<void> result, const void* message) const;

  // What comes once of what Run returned, and nobody was told of, is that of the run under way or
  // the next one, if it is a cancel, and of a later one, if it is an exit.
  void Keep(OrError<void> untold, const void* message);

  // The runner, where it holds the VP, does so no longer. `untold` is what Run returned and nobody
  // was told of, -EINTR where there is no such thing: what comes once is the next run's.
  void Release(const KickTarget& runner, OrError<void> untold, const void* message);

  // The run under way, or the next one, is to end with -ECANCELED. Where the one under way cannot
  // be interrupted nothing has changed.
  OrError<void> Cancel();

  // The runner, where it is running the VP, is to come back with -EINTR. Fails like Cancel.
  OrError<void> Interrupt(const KickTarget& runner);

  // A runner that is used with this VP only is to run no more: it is interrupted until it has left.
  // Fails like Cancel.
  OrError<void> End(KickTarget& runner);
  // The same, but it is not interrupted: it leaves with what ends its run.
  void Abandon(KickTarget& runner);

  // The number of the last run, 1 or more; 0 where there was none. Each Run that reaches the VP has
  // one.
  int LastRun() const;

  // Keeps the VP from being run while `call`, which gives an OrError, works on it. -EBUSY where it
  // runs already.
  template <typename Call>
  auto WhileIdle(Call call) -> decltype(call()) {
    const Lock lock(*this);
    return Running() ? Error(-EBUSY) : call();
  }

  // Likewise, as long as the run of this number is the last one. -ESTALE where it is not, or goes
  // on.
  template <typename Call>
  auto AfterRun(uint32_t run, Call call) -> decltype(call()) {
    const Lock lock(*this);
    return Running() || NumberOfLastRun() != run ? Error(-ESTALE) : call();
  }

 private:
  struct Block;

  class Lock {
   public:
    explicit Lock(const VpArbiter& arbiter) : arbiter_(arbiter) { arbiter_.Acquire(); }
    ~Lock() { arbiter_.Release(); }
    Lock(const Lock&) = delete;
    Lock& operator=(const Lock&) = delete;

   private:
    const VpArbiter& arbiter_;
  };

  explicit VpArbiter(Mapping mapping) : mapping_(std::move(mapping)) {}

  Block& block() const { return *reinterpret_cast<Block*>(mapping_.data()); }
  void Acquire() const;
  void Release() const;
  bool Running() const;
  uint32_t NumberOfLastRun() const;
  bool IsHeldBy(const KickTarget& runner) const;
  OrError<void> Kick();
  OrError<void> Run(KickTarget& runner, int vp, void* message, bool hold);
  std::optional<OrError<void>> Enter(KickTarget& runner, void* message, bool hold);
  void TakeKept(void* message);
  void KeepLocked(OrError<void> untold, const void* message);
  void DropKept();
  OrError<void> Leave(const KickTarget& runner, OrError<void> result, bool hold);
  void EndRun(bool hold);

  const Mapping mapping_;
};

}  // namespace mshv

#endif  // MSHV_NATIVE_VP_ARBITER_H_
