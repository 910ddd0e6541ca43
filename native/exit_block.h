#ifndef MSHV_NATIVE_EXIT_BLOCK_H_
#define MSHV_NATIVE_EXIT_BLOCK_H_

#include <node_api.h>

#include <array>
#include <cstdint>

#include "abi/mshv.h"
#include "or_error.h"

namespace mshv {

// What JavaScript and this code tell each other of a VP's exits, without an argument for it: see
// vpUseBlock in lib/native.ts. It is in a SharedArrayBuffer, which nobody can detach, so that it
// stays where it is; whoever has come by a view of it can change it at any moment.
//
// JavaScript marks it when somebody was told of an exit: a Worker can be terminated anywhere
// before, but not between what the handler did last and this.
class ExitBlock {
 public:
  // Words of registers, and where in the register page each goes, in bytes; 0 where it does not.
  struct Completion {
    static constexpr size_t kMost = 10;
    std::array<uint64_t, kMost> words;
    std::array<uint32_t, kMost> places;
  };

  explicit ExitBlock(napi_env env) : env_(env) {}

  ExitBlock(const ExitBlock&) = delete;
  ExitBlock& operator=(const ExitBlock&) = delete;

  // Takes the memory of a Uint8Array, and has it stay. -EEXIST where it has some.
  OrError<void> Use(napi_value array);
  // Before the end of the environment.
  void Forget();

  explicit operator bool() const { return layout_ != nullptr; }
  void* message() const { return &layout_->message; }
  // Nobody was told yet of what this run has returned.
  void Unmark(uint32_t run) const;
  bool IsMarked() const;
  // What it says at this moment.
  Completion completion() const;

 private:
  struct Layout {
    abi::mshv_run_vp message;
    uint8_t mark;
    uint32_t run;
    Completion completion;
  };

  const napi_env env_;
  napi_ref array_ = nullptr;
  // Null where there is none.
  Layout* layout_ = nullptr;
};

}  // namespace mshv

#endif  // MSHV_NATIVE_EXIT_BLOCK_H_
