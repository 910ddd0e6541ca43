#ifndef MSHV_NATIVE_MEMORY_H_
#define MSHV_NATIVE_MEMORY_H_

#include <node_api.h>

#include <cstdint>
#include <memory>
#include <unordered_map>
#include <utility>

#include "buffer_detacher.h"
#include "or_error.h"
#include "ownership.h"
#include "viewed_mapping.h"

namespace mshv {

class Environment;

// Memory of this process that can be a guest's: one mapping and the file behind it, if any.
class Memory {
 public:
  Memory(Mapping mapping, UniqueFd file)
      : mapping_(std::move(mapping), !file), file_(std::move(file)) {}

  Memory(const Memory&) = delete;
  Memory& operator=(const Memory&) = delete;

  // The same as memoryCreate and memoryFromFd in lib/native.ts.
  static OrError<std::unique_ptr<Memory>> Create(uint64_t size, bool shared, bool huge_pages);
  static OrError<std::unique_ptr<Memory>> FromFile(int fd, uint64_t offset, uint64_t size);

  // Null where the range is not all inside.
  void* At(uint64_t offset, uint64_t size) const;
  // A new descriptor; -ENODEV where there is no file.
  OrError<UniqueFd> DupFile() const;

  ViewedMapping& mapping() { return mapping_; }

 private:
  ViewedMapping mapping_;
  UniqueFd file_;
};

// Guest memory that the calling environment owns, as an argument.
struct OwnedMemory {
  Memory* memory = nullptr;
  int handle = -1;
  Memory* operator->() const { return memory; }

  static OrError<OwnedMemory> Read(Environment& environment, napi_value value);
};

// The memory of one environment, by handles that are never used again.
class MemoryTable {
 public:
  explicit MemoryTable(const BufferDetacher& detacher) : detacher_(detacher) {}

  // Returns the handle; the error where there is no memory.
  OrError<int> Add(OrError<std::unique_ptr<Memory>> memory);
  // Null where there is none.
  Memory* Find(int handle) const;
  // -EPERM where its buffer is locked: then it is still there.
  OrError<void> Unmap(int handle);
  // The environment ends.
  void Forget();

 private:
  const BufferDetacher& detacher_;
  std::unordered_map<int, std::unique_ptr<Memory>> memories_;
  int last_ = -1;
};

}  // namespace mshv

#endif  // MSHV_NATIVE_MEMORY_H_
