#ifndef MSHV_NATIVE_BUFFER_DETACHER_H_
#define MSHV_NATIVE_BUFFER_DETACHER_H_

#include <node_api.h>

#include "or_error.h"

namespace mshv {

// Detaches ArrayBuffers of one environment. From Node 24 on a buffer can be locked
// (markAsUntransferable), and napi_detach_arraybuffer ends the process over one that is: whoever
// has ArrayBuffer.prototype.transfer is asked by that, which throws.
class BufferDetacher {
 public:
  explicit BufferDetacher(napi_env env);

  BufferDetacher(const BufferDetacher&) = delete;
  BufferDetacher& operator=(const BufferDetacher&) = delete;

  napi_env env() const { return env_; }

  // -EPERM where the buffer is locked or no JavaScript can run any more.
  OrError<void> Detach(napi_value buffer) const;

 private:
  const napi_env env_;
  // As it was when the addon was loaded; null where there is none. Goes with the environment.
  napi_ref transfer_ = nullptr;
};

}  // namespace mshv

#endif  // MSHV_NATIVE_BUFFER_DETACHER_H_
