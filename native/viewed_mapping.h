#ifndef MSHV_NATIVE_VIEWED_MAPPING_H_
#define MSHV_NATIVE_VIEWED_MAPPING_H_

#include <node_api.h>

#include <utility>

#include "mapping.h"

namespace mshv {

// An ArrayBuffer or -errno.
struct BufferOrError {
  int error = 0;
  napi_value buffer = nullptr;
};

// A mapping and the one ArrayBuffer that an environment has over it. The buffer is made at its
// first use and kept, until somebody transfers it; whoever destroys the mapping detaches it before.
class ViewedMapping {
 public:
  ViewedMapping() = default;
  explicit ViewedMapping(Mapping mapping) : mapping_(std::move(mapping)) {}
  ~ViewedMapping();

  ViewedMapping(const ViewedMapping&) = delete;
  ViewedMapping& operator=(const ViewedMapping&) = delete;

  const Mapping& mapping() const { return mapping_; }
  // Where there is none yet.
  void Set(Mapping mapping) { mapping_ = std::move(mapping); }

  // -ENOTSUP where the runtime allows no such buffer, or none of this size.
  BufferOrError Buffer(napi_env env);
  // The buffer's length is 0 from now on, and so is that of every array over it.
  void Detach(napi_env env);
  // The environment ends, and its buffers with it.
  void Forget(napi_env env);

 private:
  enum class Detached { kByUs, kByOthers };

  Detached DetachBuffer(napi_env env);

  Mapping mapping_;
  napi_ref buffer_ = nullptr;
  // Somebody moved the memory into a buffer that is not known here.
  bool moved_ = false;
};

}  // namespace mshv

#endif  // MSHV_NATIVE_VIEWED_MAPPING_H_
