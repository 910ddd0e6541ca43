#include "exit_block.h"

#include <cerrno>
#include <cstddef>
#include <utility>

#include "atomic_word.h"
#include "failed_step.h"

namespace mshv {

OrError<void> ExitBlock::Use(napi_value array) {
  // lib/vp/exit-block.ts.
  static_assert(offsetof(Layout, mark) == 256);
  static_assert(offsetof(Layout, run) == 260);
  static_assert(offsetof(Layout, completion) == 264);
  static_assert(offsetof(Completion, places) == 80);
  static_assert(sizeof(Layout) == 384);
  if (layout_ != nullptr) {
    return Error(-EEXIST);
  }
  napi_typedarray_type type = napi_int8_array;
  size_t size = 0;
  void* data = nullptr;
  napi_value buffer = nullptr;
  bool is_detachable = true;
  if (napi_get_typedarray_info(env_, array, &type, &size, &data, &buffer, nullptr) != napi_ok ||
      napi_is_arraybuffer(env_, buffer, &is_detachable) != napi_ok) {
    return Error(-EINVAL);
  }
  const bool aligned = reinterpret_cast<uintptr_t>(data) % alignof(Layout) == 0;
  if (type != napi_uint8_array || is_detachable || size < sizeof(Layout) || !aligned) {
    return Error(-EINVAL);
  }
  if (napi_create_reference(env_, array, 1, &array_) != napi_ok) {
    return FailedAt("napi_create_reference", -ENOMEM);
  }
  layout_ = static_cast<Layout*>(data);
  return {};
}

void ExitBlock::Forget() {
  layout_ = nullptr;
  if (array_ != nullptr) {
    napi_delete_reference(env_, std::exchange(array_, nullptr));
  }
}

void ExitBlock::Unmark(uint32_t run) const {
  layout_->mark = 0;
  layout_->run = run;
}

bool ExitBlock::IsMarked() const { return layout_->mark != 0; }

ExitBlock::Completion ExitBlock::completion() const {
  Completion& shared = layout_->completion;
  Completion copy{};
  for (size_t i = 0; i < Completion::kMost; ++i) {
    copy.words[i] = AtomicWord(shared.words[i]).Load();
    copy.places[i] = AtomicWord(shared.places[i]).Load();
  }
  return copy;
}

}  // namespace mshv
