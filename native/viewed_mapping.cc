#include "viewed_mapping.h"

#include <cerrno>
#include <utility>

#include "failed_step.h"
#include "ownership.h"
#include "sealed_file.h"
#include "system_call.h"

namespace mshv {
namespace {

void LetGo(napi_env, void* mapping, void*) {
  delete static_cast<std::shared_ptr<Mapping>*>(mapping);
}

// A reference that keeps the buffer, which keeps the addresses. Null where that fails.
napi_ref Keep(napi_env env, napi_value buffer, const std::shared_ptr<Mapping>& mapping) {
  napi_ref reference = nullptr;
  if (napi_create_reference(env, buffer, 1, &reference) != napi_ok) {
    return nullptr;
  }
  // Of the object, not of its memory: V8 lets go of that when it is detached, whoever uses it.
  auto held = std::make_unique<std::shared_ptr<Mapping>>(mapping);
  if (napi_add_finalizer(env, buffer, held.get(), LetGo, nullptr, nullptr) != napi_ok) {
    napi_delete_reference(env, reference);
    return nullptr;
  }
  static_cast<void>(held.release());
  return reference;
}

// Maps zero pages at the mapping's addresses, in one step: whoever uses them meanwhile never sees
// none. They are there when they are touched.
bool Replace(const Mapping& mapping, int flags, int fd) {
  return bool(kernel::MapOver(mapping, 0, mapping.size(), flags | MAP_NORESERVE, fd));
}

bool ReplaceByPrivate(const Mapping& mapping) {
  return Replace(mapping, MAP_PRIVATE | MAP_ANONYMOUS, -1);
}

bool ReplaceByFile(const Mapping& mapping) {
  const auto file = kernel::CreateSealed("mshv_nobodys", mapping.size());
  return file && Replace(mapping, MAP_SHARED, file->get());
}

// A host that promises no more memory than it has (vm.overcommit_memory = 2) counts private pages
// when they are mapped, and those of such a file when they are touched. Where it refuses the former
// Linux before 6.12 has unmapped what was there by then, and anybody may get the addresses. What is
// private has been counted already; anything else has a file in its place.
void GiveBack(const Mapping& mapping, bool is_private) {
  const bool replaced = is_private ? ReplaceByPrivate(mapping) || ReplaceByFile(mapping)
                                   : ReplaceByFile(mapping) || ReplaceByPrivate(mapping);
  if (!replaced) {
    // The mapping goes with the buffer's object, and what is private to it can go now.
    madvise(mapping.data(), mapping.size(), MADV_DONTNEED);
  }
}

}  // namespace

ViewedMapping::~ViewedMapping() {
  if (moved_ || mapping_.use_count() > 1) {
    GiveBack(*mapping_, is_private_);
  }
  // Losing the addresses is better than a buffer over what comes to be there.
  if (moved_) {
    mapping_->Abandon();
  }
}

OrError<napi_value> ViewedMapping::Buffer(const BufferDetacher& detacher) {
  const napi_env env = detacher.env();
  napi_value buffer = nullptr;
  if (buffer_ != nullptr) {
    if (napi_get_reference_value(env, buffer_, &buffer) != napi_ok || buffer == nullptr) {
      return FailedAt("napi_get_reference_value", -ENOTSUP);
    }
    if (!IsMoved(env, buffer)) {
      return buffer;
    }
    napi_delete_reference(env, std::exchange(buffer_, nullptr));
  }
  buffer = nullptr;
  if (napi_create_external_arraybuffer(env, mapping_->data(), mapping_->size(), nullptr, nullptr,
                                       &buffer) == napi_ok) {
    buffer_ = Keep(env, buffer, mapping_);
  }
  if (buffer_ == nullptr) {
    // Without a reference the buffer could not be detached later.
    if (buffer != nullptr) {
      napi_detach_arraybuffer(env, buffer);
    }
    napi_value error = nullptr;
    napi_get_and_clear_last_exception(env, &error);
    return FailedAt("napi_create_external_arraybuffer", -ENOTSUP);
  }
  // V8 takes the bytes for memory that a collection might free. Telling it otherwise
  // (napi_adjust_external_memory) ends the process where Node 24 detaches the buffer first.
  return buffer;
}

OrError<void> ViewedMapping::Detach(const BufferDetacher& detacher) {
  if (buffer_ == nullptr) {
    return {};
  }
  const napi_env env = detacher.env();
  OrError<void> detached = Error(-EPERM);
  napi_handle_scope scope = nullptr;
  if (napi_open_handle_scope(env, &scope) == napi_ok) {
    napi_value buffer = nullptr;
    if (napi_get_reference_value(env, buffer_, &buffer) == napi_ok && buffer != nullptr) {
      detached = IsMoved(env, buffer) ? OrError<void>() : detacher.Detach(buffer);
    }
    napi_close_handle_scope(env, scope);
  }
  if (detached) {
    napi_delete_reference(env, std::exchange(buffer_, nullptr));
  }
  return detached;
}

void ViewedMapping::Forget(napi_env env) {
  if (buffer_ == nullptr) {
    return;
  }
  napi_handle_scope scope = nullptr;
  // No JavaScript looks at the buffer any more; its finalizer comes with the environment's end.
  if (napi_open_handle_scope(env, &scope) == napi_ok) {
    napi_value buffer = nullptr;
    if (napi_get_reference_value(env, buffer_, &buffer) == napi_ok && buffer != nullptr) {
      IsMoved(env, buffer);
    }
    napi_close_handle_scope(env, scope);
  }
  napi_delete_reference(env, std::exchange(buffer_, nullptr));
}

bool ViewedMapping::IsMoved(napi_env env, napi_value buffer) {
  bool detached = true;
  const bool moved = napi_is_detached_arraybuffer(env, buffer, &detached) != napi_ok || detached;
  moved_ |= moved;
  return moved;
}

}  // namespace mshv
