#include "memory.h"

#include <fcntl.h>
#include <linux/magic.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <utility>

#include "abi/mshv.h"
#include "atomic_word.h"
#include "export.h"
#include "export_list.h"
#include "sealed_file.h"
#include "system_call.h"

#ifdef __SANITIZE_THREAD__
extern "C" void __tsan_ignore_thread_begin();
extern "C" void __tsan_ignore_thread_end();
#endif

namespace mshv {
namespace {

constexpr uint64_t kPage = abi::MSHV_HV_PAGE_SIZE;
// Of x86-64, and of arm64 with pages of 4 KiB.
constexpr size_t kHugePage = size_t{2} << 20;

bool IsMappable(uint64_t size) { return size != 0 && size % kPage == 0 && size <= PTRDIFF_MAX; }

// Reserves more than is needed and maps over the part that is aligned.
OrError<Mapping> MapForHugePages(size_t size, int flags, int fd) {
  OrError<Mapping> mapping = kernel::Reserve(size + kHugePage);
  if (!mapping) {
    return mapping;
  }
  const auto start = reinterpret_cast<uintptr_t>(mapping->data());
  const size_t before = (kHugePage - start % kHugePage) % kHugePage;
  if (const auto mapped = kernel::MapOver(*mapping, before, size, flags, fd); !mapped) {
    return mapped.error();
  }
  mapping->Trim(before, size);
  // Only a hint: whoever runs without huge pages still has memory.
  madvise(mapping->data(), size, MADV_HUGEPAGE);
  return mapping;
}

// Behind the end of a file a mapping has nothing but SIGBUS.
OrError<void> CheckFile(int fd, uint64_t offset, uint64_t size) {
  struct stat file {};
  if (const auto known = kernel::Try("fstat", [&] { return fstat(fd, &file); }); !known) {
    return known.error();
  }
  // A device knows what it can map. The size of a block device is not in its status.
  if (S_ISCHR(file.st_mode)) {
    return {};
  }
  if (!S_ISREG(file.st_mode)) {
    return FailedAt("fstat", -ENODEV);
  }
  if (offset + size > static_cast<uint64_t>(file.st_size)) {
    return FailedAt("fstat", -ENXIO);
  }
  struct statfs system {};
  if (const auto known = kernel::Try("fstatfs", [&] { return fstatfs(fd, &system); }); !known) {
    return known.error();
  }
  // mmap(2) would round the size up, and munmap(2) refuse it.
  const bool huge = system.f_type == HUGETLBFS_MAGIC;
  const bool whole = !huge || size % static_cast<uint64_t>(system.f_bsize) == 0;
  return whole ? OrError<void>() : FailedAt("fstatfs", -EINVAL);
}

OrError<std::unique_ptr<Memory>> Make(OrError<Mapping> mapping, UniqueFd file) {
  if (!mapping) {
    return mapping.error();
  }
  // A child process has no use for it, and a fork would make the driver map every page again.
  madvise(mapping->data(), mapping->size(), MADV_DONTFORK);
  return std::make_unique<Memory>(*std::move(mapping), std::move(file));
}

}  // namespace

OrError<std::unique_ptr<Memory>> Memory::Create(uint64_t size, bool shared, bool huge_pages) {
  if (!IsMappable(size)) {
    return Error(-EINVAL);
  }
  // Nobody who shares it can make a page go away under a guest, or under a view.
  OrError<UniqueFd> file =
      shared ? kernel::CreateSealed("mshv_memory", size) : OrError<UniqueFd>(UniqueFd());
  if (!file) {
    return file.error();
  }
  // Most guests never touch all of their memory.
  const int flags = MAP_NORESERVE | (shared ? MAP_SHARED : MAP_PRIVATE | MAP_ANONYMOUS);
  OrError<Mapping> mapping = huge_pages ? MapForHugePages(size, flags, file->get())
                                        : kernel::Map(size, flags, file->get(), 0);
  return Make(std::move(mapping), *std::move(file));
}

OrError<std::unique_ptr<Memory>> Memory::FromFile(int fd, uint64_t offset, uint64_t size) {
  if (!IsMappable(size) || offset % kPage != 0 || offset > INT64_MAX - size) {
    return Error(-EINVAL);
  }
  // First, because the number is not ours: it could come to mean another file meanwhile.
  OrError<UniqueFd> file = kernel::Dup(fd);
  if (!file) {
    return file.error();
  }
  if (const auto fits = CheckFile(file->get(), offset, size); !fits) {
    return fits.error();
  }
  OrError<Mapping> mapping = kernel::Map(size, MAP_SHARED | MAP_NORESERVE, file->get(), offset);
  return Make(std::move(mapping), *std::move(file));
}

void* Memory::At(uint64_t offset, uint64_t size) const {
  const Mapping& mapping = mapping_.mapping();
  const bool inside = offset <= mapping.size() && size <= mapping.size() - offset;
  return inside ? mapping.data() + offset : nullptr;
}

OrError<UniqueFd> Memory::DupFile() const {
  return file_ ? kernel::Dup(file_.get()) : Error(-ENODEV);
}

OrError<OwnedMemory> OwnedMemory::Read(Environment& environment, napi_value value) {
  const auto handle = Argument<int32_t>::Read(environment, value);
  if (!handle) {
    return handle.error();
  }
  Memory* const memory = environment.memories().Find(*handle);
  return memory == nullptr ? Error(-EBADF) : OrError<OwnedMemory>(OwnedMemory{memory, *handle});
}

OrError<int> MemoryTable::Add(OrError<std::unique_ptr<Memory>> memory) {
  if (!memory) {
    return memory.error();
  }
  memories_.emplace(++last_, *std::move(memory));
  return last_;
}

Memory* MemoryTable::Find(int handle) const {
  const auto found = memories_.find(handle);
  return found == memories_.end() ? nullptr : found->second.get();
}

OrError<void> MemoryTable::Unmap(int handle) {
  const auto memory = memories_.find(handle);
  const auto detached = memory->second->mapping().Detach(detacher_);
  if (detached) {
    memories_.erase(memory);
  }
  return detached;
}

void MemoryTable::Forget() {
  for (const auto& [handle, memory] : memories_) {
    memory->mapping().Forget(detacher_.env());
  }
}

namespace {

OrError<int> Create(Environment& environment, uint64_t size, bool shared, bool huge_pages) {
  return environment.memories().Add(Memory::Create(size, shared, huge_pages));
}

OrError<int> FromFd(Environment& environment, int32_t fd, uint64_t offset, uint64_t size) {
  return environment.memories().Add(Memory::FromFile(fd, offset, size));
}

OrError<int> Fd(Environment& environment, OwnedMemory memory) {
  OrError<UniqueFd> fd = memory->DupFile();
  return fd ? environment.Own(OrError<int>(fd->release())) : fd.error();
}

OrError<napi_value> Buffer(Environment& environment, OwnedMemory memory) {
  return memory->mapping().Buffer(environment.detacher());
}

// An array may be a part of this very memory, and one without elements may have no address. What
// others write meanwhile may be copied or not: ThreadSanitizer is not to look.
void Copy(void* to, const void* from, size_t size) {
#ifdef __SANITIZE_THREAD__
  __tsan_ignore_thread_begin();
#endif
  if (size != 0) {
    std::memmove(to, from, size);
  }
#ifdef __SANITIZE_THREAD__
  __tsan_ignore_thread_end();
#endif
}

OrError<void> Read(Environment&, OwnedMemory memory, uint64_t offset, std::span<uint8_t> bytes) {
  const void* const from = memory->At(offset, bytes.size());
  if (from == nullptr) {
    return Error(-EINVAL);
  }
  Copy(bytes.data(), from, bytes.size());
  return {};
}

OrError<void> Write(Environment&, OwnedMemory memory, uint64_t offset, std::span<uint8_t> bytes) {
  void* const to = memory->At(offset, bytes.size());
  if (to == nullptr) {
    return Error(-EINVAL);
  }
  Copy(to, bytes.data(), bytes.size());
  return {};
}

// A word of the memory, which a guest is changing too. Null where it is not all inside, or not
// aligned.
uint32_t* WordAt(const Memory& memory, uint64_t offset) {
  void* const word = memory.At(offset, sizeof(uint32_t));
  return offset % sizeof(uint32_t) == 0 ? static_cast<uint32_t*>(word) : nullptr;
}

OrError<uint64_t> SetBits(Environment&, OwnedMemory memory, uint64_t offset, uint32_t bits) {
  uint32_t* const word = WordAt(*memory.memory, offset);
  if (word == nullptr) {
    return Error(-EINVAL);
  }
  // No write, no cache line of the guest's, where they are set.
  const AtomicWord shared(*word);
  const uint32_t present = shared.Load();
  return (present & bits) == bits ? uint64_t{0} : ~shared.FetchOr(bits) & bits;
}

OrError<uint64_t> TakeBits(Environment&, OwnedMemory memory, uint64_t offset, uint32_t bits) {
  uint32_t* const word = WordAt(*memory.memory, offset);
  if (word == nullptr) {
    return Error(-EINVAL);
  }
  const AtomicWord shared(*word);
  return (shared.Load() & bits) == 0 ? uint64_t{0} : shared.FetchAnd(~bits) & bits;
}

OrError<void> Detach(Environment& environment, OwnedMemory memory) {
  return memory->mapping().Detach(environment.detacher());
}

OrError<void> Unmap(Environment& environment, OwnedMemory memory) {
  return environment.memories().Unmap(memory.handle);
}

}  // namespace

void ExportMemory(Environment& environment, napi_value exports) {
  Export<Create>(environment, exports, "memoryCreate");
  Export<FromFd>(environment, exports, "memoryFromFd");
  Export<Fd>(environment, exports, "memoryFd");
  Export<Buffer>(environment, exports, "memoryBuffer");
  Export<Read>(environment, exports, "memoryRead");
  Export<Write>(environment, exports, "memoryWrite");
  Export<SetBits>(environment, exports, "memorySetBits");
  Export<TakeBits>(environment, exports, "memoryTakeBits");
  Export<Detach>(environment, exports, "memoryDetach");
  Export<Unmap>(environment, exports, "memoryUnmap");
}

}  // namespace mshv
