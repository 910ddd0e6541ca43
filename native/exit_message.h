#ifndef MSHV_NATIVE_EXIT_MESSAGE_H_
#define MSHV_NATIVE_EXIT_MESSAGE_H_

#include <node_api.h>

#include <cstdint>
#include <span>

#include "abi/mshv.h"

namespace mshv {

// The Uint8Array that exits of a VP are handed over in. Where it is 8 bytes longer than a message,
// the first of them is a mark, which JavaScript sets when somebody was told: a Worker can be
// terminated anywhere before, but not between what the handler did last and this. The last four are
// the number of the run.
class ExitMessage {
 public:
  explicit ExitMessage(napi_env env) : env_(env) {}

  ExitMessage(const ExitMessage&) = delete;
  ExitMessage& operator=(const ExitMessage&) = delete;

  bool Refer(napi_value array);
  // Before the end of the environment.
  void Forget();

  // Nobody was told yet of what this run has returned.
  static void Unmark(std::span<uint8_t> bytes, uint32_t run);
  // The same, with an exit. -EFAULT where the array has been detached.
  int Fill(const abi::mshv_run_vp& exit, uint32_t run) const;
  void Unmark(uint32_t run) const { Unmark(Bytes(), run); }

  // True too where there is no mark.
  bool IsMarked() const;

 private:
  std::span<uint8_t> Bytes() const;

  const napi_env env_;
  napi_ref array_ = nullptr;
};

}  // namespace mshv

#endif  // MSHV_NATIVE_EXIT_MESSAGE_H_
