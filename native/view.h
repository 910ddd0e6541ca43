#ifndef MSHV_NATIVE_VIEW_H_
#define MSHV_NATIVE_VIEW_H_

#include <node_api.h>

#include "mapping.h"

namespace mshv {

// An ArrayBuffer or -errno.
struct BufferOrError {
  int error = 0;
  napi_value buffer = nullptr;
};

// The one ArrayBuffer of an environment over a mapping. Made at the first use and kept, so that two
// of them never show the same memory; detached before the mapping goes.
class View {
 public:
  // -ENOTSUP where the runtime allows no such buffer, or none of this size.
  BufferOrError Get(napi_env env, const Mapping& mapping);

  // The buffer's length is 0 from now on, and so is that of every array over it. False where
  // somebody moved the memory into another buffer: then it may still be in use.
  bool Detach(napi_env env);

 private:
  napi_ref buffer_ = nullptr;
  int64_t size_ = 0;
};

}  // namespace mshv

#endif  // MSHV_NATIVE_VIEW_H_
