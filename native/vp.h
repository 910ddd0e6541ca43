#ifndef MSHV_NATIVE_VP_H_
#define MSHV_NATIVE_VP_H_

#include <node_api.h>
#include <uv.h>

#include <array>
#include <memory>
#include <span>
#include <unordered_map>
#include <utility>

#include "abi/mshv.h"
#include "buffer_detacher.h"
#include "dedicated_thread.h"
#include "event_loop.h"
#include "exit_block.h"
#include "kick_target.h"
#include "or_error.h"
#include "ownership.h"
#include "pacer.h"
#include "viewed_mapping.h"
#include "vp_arbiter.h"

namespace mshv {

class Environment;

// What an environment has of a VP that it works with: its pages, its arbiter, its thread.
class Vp {
 public:
  Vp(napi_env env, int fd, std::unique_ptr<VpArbiter> arbiter)
      : fd_(fd), arbiter_(std::move(arbiter)), block_(env) {}

  Vp(const Vp&) = delete;
  Vp& operator=(const Vp&) = delete;

  int fd() const { return fd_; }
  VpArbiter& arbiter() const { return *arbiter_; }

  // Where it runs on a thread of its own.
  std::unique_ptr<DedicatedThread> thread;
  // As DedicatedThread::End. Harmless where it does not.
  OrError<void> End();

  // In which exits are handed over and completed.
  ExitBlock& block() { return block_; }

  // A run has returned this, with an exit in the block.
  void Offer(OrError<void> result);
  // JavaScript goes on: somebody was told of what was handed over last.
  void Tell();
  // It does not: where nobody was told, it is the next run's.
  void KeepUntold();

  // The register page is 0, the intercept message page 1.
  OrError<napi_value> Page(const BufferDetacher& detacher, uint32_t number);
  // Its 4096 bytes.
  OrError<std::span<uint8_t>> Map(uint32_t number);
  std::span<ViewedMapping> pages() { return pages_; }

 private:
  const int fd_;
  const std::unique_ptr<VpArbiter> arbiter_;
  // What a run has returned that comes once. Else -EINTR.
  OrError<void> offered_ = Error(-EINTR);
  abi::mshv_run_vp offered_exit_{};
  ExitBlock block_;
  std::array<ViewedMapping, 2> pages_;
};

// A VP descriptor that the calling environment owns and has attached, as an argument.
struct AttachedVp {
  Vp* vp = nullptr;
  Vp* operator->() const { return vp; }

  static OrError<AttachedVp> Read(Environment& environment, napi_value value);
};

// The VPs that one environment works with, by descriptor.
class VpTable {
 public:
  VpTable(const BufferDetacher& detacher, uv_loop_t* loop, ClosingHandles& closing)
      : env_(detacher.env()), detacher_(detacher), loop_(loop), closing_(closing) {}

  // -EEXIST where it is attached already.
  OrError<void> Attach(int fd, std::unique_ptr<VpArbiter> arbiter);
  // Null where it is not attached.
  Vp* Find(int fd) const;
  // Ends its thread and detaches its pages. Harmless where it is not attached. Where the thread
  // cannot be interrupted nothing has changed.
  OrError<void> Detach(int fd);
  // The environment ends.
  void Forget();

  // MSHV_RUN_VP on the environment's own thread. -ESHUTDOWN where the environment ends.
  OrError<void> Run(Vp& vp);
  OrError<void> Start(Vp& vp, napi_value on_exit);

 private:
  OrError<void> MakeRunner();
  OrError<void> RunPaced(VpArbiter& arbiter, int fd, void* message);
  void Leave(Vp& vp);

  const napi_env env_;
  const BufferDetacher& detacher_;
  uv_loop_t* const loop_;
  ClosingHandles& closing_;
  std::unordered_map<int, std::unique_ptr<Vp>> vps_;
  // Of the environment's own thread, from the first Run until no VP is left.
  std::unique_ptr<KickTarget> runner_;
  // Has it look whether the environment is to end.
  std::unique_ptr<Pacer> pacer_;
  bool ending_ = false;
};

}  // namespace mshv

#endif  // MSHV_NATIVE_VP_H_
