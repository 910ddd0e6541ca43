#ifndef MSHV_NATIVE_VIEWED_MAPPING_H_
#define MSHV_NATIVE_VIEWED_MAPPING_H_

#include <node_api.h>

#include <memory>
#include <utility>

#include "buffer_detacher.h"
#include "ownership.h"

namespace mshv {

// A mapping and the one ArrayBuffer that an environment has over it. The buffer is made at its
// first use and kept, until somebody transfers it; whoever destroys the mapping detaches it before.
//
// A detached buffer does not end what uses its addresses: a read(2) into it on a thread of Node's
// pool, say. So the pages go with the mapping, but the addresses only with the last buffer object,
// which whoever uses them holds. Until then they are zero pages of nobody.
class ViewedMapping {
 public:
  // For a mapping that is shared with others, and is set later.
  ViewedMapping() = default;
  ViewedMapping(Mapping mapping, bool is_private) : is_private_(is_private) {
    Set(std::move(mapping));
  }
  ~ViewedMapping();

  ViewedMapping(const ViewedMapping&) = delete;
  ViewedMapping& operator=(const ViewedMapping&) = delete;

  const Mapping& mapping() const { return *mapping_; }
  // Where there is none yet.
  void Set(Mapping mapping) { *mapping_ = std::move(mapping); }

  // -ENOTSUP where the runtime allows no such buffer, or none of this size.
  OrError<napi_value> Buffer(const BufferDetacher& detacher);
  // The buffer's length is 0 from now on, and so is that of every array over it. -EPERM where
  // somebody has locked the buffer: nothing has changed then.
  OrError<void> Detach(const BufferDetacher& detacher);
  // The environment ends, and its buffers with it.
  void Forget(napi_env env);

 private:
  // Whether somebody has transferred the buffer.
  bool IsMoved(napi_env env, napi_value buffer);

  // With the finalizers of the buffers that there were over it.
  const std::shared_ptr<Mapping> mapping_ = std::make_shared<Mapping>();
  const bool is_private_ = false;
  napi_ref buffer_ = nullptr;
  // Somebody moved the memory into a buffer that is not known here.
  bool moved_ = false;
};

}  // namespace mshv

#endif  // MSHV_NATIVE_VIEWED_MAPPING_H_
