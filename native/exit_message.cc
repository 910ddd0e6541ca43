#include "exit_message.h"

#include <cerrno>
#include <cstring>
#include <utility>

namespace mshv {
namespace {

constexpr size_t kMark = sizeof(abi::mshv_run_vp);
constexpr size_t kRun = kMark + sizeof(uint32_t);

bool HasMark(std::span<uint8_t> bytes) { return bytes.size() == kRun + sizeof(uint32_t); }

}  // namespace

bool ExitMessage::Refer(napi_value array) {
  Forget();
  return napi_create_reference(env_, array, 1, &array_) == napi_ok;
}

void ExitMessage::Forget() {
  if (array_ != nullptr) {
    napi_delete_reference(env_, std::exchange(array_, nullptr));
  }
}

void ExitMessage::Unmark(std::span<uint8_t> bytes, uint32_t run) {
  if (HasMark(bytes)) {
    bytes[kMark] = 0;
    std::memcpy(&bytes[kRun], &run, sizeof(run));
  }
}

int ExitMessage::Fill(const abi::mshv_run_vp& exit, uint32_t run) const {
  const std::span<uint8_t> bytes = Bytes();
  if (bytes.size() < sizeof(exit)) {
    return -EFAULT;
  }
  std::memcpy(bytes.data(), &exit, sizeof(exit));
  Unmark(bytes, run);
  return 0;
}

bool ExitMessage::IsMarked() const {
  napi_handle_scope scope = nullptr;
  if (napi_open_handle_scope(env_, &scope) != napi_ok) {
    return true;
  }
  const std::span<uint8_t> bytes = Bytes();
  const bool marked = !HasMark(bytes) || bytes[kMark] != 0;
  napi_close_handle_scope(env_, scope);
  return marked;
}

std::span<uint8_t> ExitMessage::Bytes() const {
  napi_value array = nullptr;
  napi_typedarray_type type = napi_int8_array;
  size_t length = 0;
  void* data = nullptr;
  if (napi_get_reference_value(env_, array_, &array) != napi_ok || array == nullptr ||
      napi_get_typedarray_info(env_, array, &type, &length, &data, nullptr, nullptr) != napi_ok) {
    return {};
  }
  return {static_cast<uint8_t*>(data), length};
}

}  // namespace mshv
