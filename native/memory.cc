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

namespace mshv {
namespace {

constexpr uint64_t kPage = abi::MSHV_HV_PAGE_SIZE;
// Of x86-64, and of arm64 with pages of 4 KiB.
constexpr size_t kHugePage = size_t{2} << 20;

bool IsMappable(uint64_t size) { return size != 0 && size % kPage == 0 && size <= PTRDIFF_MAX; }

int Map(void* where, size_t size, int flags, int fd, uint64_t offset, Mapping* mapping) {
  void* data = nullptr;
  if (const int error = kernel::Map(where, size, PROT_READ | PROT_WRITE, flags, fd, offset, &data);
      error < 0) {
    return error;
  }
  *mapping = Mapping(data, size);
  return 0;
}

// Reserves more than is needed and maps over the part that is aligned.
int MapForHugePages(size_t size, int flags, int fd, Mapping* mapping) {
  const size_t reserved = size + kHugePage;
  void* start = nullptr;
  if (const int error = kernel::Map(nullptr, reserved, PROT_NONE,
                                    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0, &start);
      error < 0) {
    return error;
  }
  Mapping head(start, reserved);
  uint8_t* const aligned =
      head.data() + (kHugePage - reinterpret_cast<uintptr_t>(start) % kHugePage) % kHugePage;
  if (const int error = Map(aligned, size, flags | MAP_FIXED, fd, 0, mapping); error < 0) {
    return error;
  }
  const size_t before = static_cast<size_t>(aligned - head.data());
  const Mapping tail(aligned + size, reserved - before - size);
  head.Abandon();
  const Mapping unaligned(before == 0 ? nullptr : start, before);
  // Only a hint: whoever runs without huge pages still has memory.
  madvise(mapping->data(), size, MADV_HUGEPAGE);
  return 0;
}

// Nobody who shares it can make a page go away under a guest, or under a view.
int CreateFile(uint64_t size, UniqueFd* file) {
  const int fd = kernel::CreateSealed("mshv_memory", size);
  *file = UniqueFd(fd);
  return fd < 0 ? fd : 0;
}

// Behind the end of a file a mapping has nothing but SIGBUS.
int CheckFile(int fd, uint64_t offset, uint64_t size) {
  struct stat file {};
  if (const int error = kernel::Try("fstat", [&] { return fstat(fd, &file); }); error < 0) {
    return error;
  }
  // A device knows what it can map. The size of a block device is not in its status.
  if (S_ISCHR(file.st_mode)) {
    return 0;
  }
  if (!S_ISREG(file.st_mode)) {
    return Step("fstat", -ENODEV);
  }
  if (offset + size > static_cast<uint64_t>(file.st_size)) {
    return Step("fstat", -ENXIO);
  }
  struct statfs system {};
  if (const int error = kernel::Try("fstatfs", [&] { return fstatfs(fd, &system); }); error < 0) {
    return error;
  }
  // mmap(2) would round the size up, and munmap(2) refuse it.
  const bool huge = system.f_type == HUGETLBFS_MAGIC;
  const bool whole = !huge || size % static_cast<uint64_t>(system.f_bsize) == 0;
  return Step("fstatfs", whole ? 0 : -EINVAL);
}

}  // namespace

int Memory::Create(uint64_t size, bool shared, bool huge_pages, std::unique_ptr<Memory>* memory) {
  if (!IsMappable(size)) {
    return -EINVAL;
  }
  UniqueFd file;
  if (shared) {
    if (const int error = CreateFile(size, &file); error < 0) {
      return error;
    }
  }
  // Most guests never touch all of their memory.
  const int flags = MAP_NORESERVE | (shared ? MAP_SHARED : MAP_PRIVATE | MAP_ANONYMOUS);
  Mapping mapping;
  const int error = huge_pages ? MapForHugePages(size, flags, file.get(), &mapping)
                               : Map(nullptr, size, flags, file.get(), 0, &mapping);
  if (error < 0) {
    return error;
  }
  // A child process has no use for it, and a fork would make the driver map every page again.
  madvise(mapping.data(), size, MADV_DONTFORK);
  *memory = std::make_unique<Memory>(std::move(mapping), std::move(file));
  return 0;
}

int Memory::FromFile(int fd, uint64_t offset, uint64_t size, std::unique_ptr<Memory>* memory) {
  if (!IsMappable(size) || offset % kPage != 0 || offset > INT64_MAX - size) {
    return -EINVAL;
  }
  // First, because the number is not ours: it could come to mean another file meanwhile.
  UniqueFd file(kernel::Try("fcntl", [&] { return fcntl(fd, F_DUPFD_CLOEXEC, 0); }));
  if (!file) {
    return file.get();
  }
  if (const int error = CheckFile(file.get(), offset, size); error < 0) {
    return error;
  }
  Mapping mapping;
  if (const int error =
          Map(nullptr, size, MAP_SHARED | MAP_NORESERVE, file.get(), offset, &mapping);
      error < 0) {
    return error;
  }
  madvise(mapping.data(), size, MADV_DONTFORK);
  *memory = std::make_unique<Memory>(std::move(mapping), std::move(file));
  return 0;
}

void* Memory::At(uint64_t offset, uint64_t size) const {
  const Mapping& mapping = mapping_.mapping();
  const bool inside = offset <= mapping.size() && size <= mapping.size() - offset;
  return inside ? mapping.data() + offset : nullptr;
}

int Memory::DupFile() const {
  if (!file_) {
    return -ENODEV;
  }
  return kernel::Try("fcntl", [&] { return fcntl(file_.get(), F_DUPFD_CLOEXEC, 0); });
}

int MemoryTable::Add(std::unique_ptr<Memory> memory) {
  memories_.emplace(++last_, std::move(memory));
  return last_;
}

Memory* MemoryTable::Find(int handle) const {
  const auto found = memories_.find(handle);
  return found == memories_.end() ? nullptr : found->second.get();
}

int MemoryTable::Unmap(int handle) {
  const auto memory = memories_.find(handle);
  const int error = memory->second->mapping().Detach(detacher_);
  if (error == 0) {
    memories_.erase(memory);
  }
  return error;
}

void MemoryTable::Forget() {
  for (const auto& [handle, memory] : memories_) {
    memory->mapping().Forget(detacher_.env());
  }
}

namespace {

int Create(Environment& environment, uint64_t size, bool shared, bool huge_pages) {
  std::unique_ptr<Memory> memory;
  const int error = Memory::Create(size, shared, huge_pages, &memory);
  return error < 0 ? error : environment.memories().Add(std::move(memory));
}

int FromFd(Environment& environment, int32_t fd, uint64_t offset, uint64_t size) {
  std::unique_ptr<Memory> memory;
  const int error = Memory::FromFile(fd, offset, size, &memory);
  return error < 0 ? error : environment.memories().Add(std::move(memory));
}

int Fd(Environment& environment, OwnedMemory memory) { return environment.Own(memory->DupFile()); }

BufferOrError Buffer(Environment& environment, OwnedMemory memory) {
  return memory->mapping().Buffer(environment.detacher());
}

// An array may be a part of this very memory, and one without elements may have no address.
void Copy(void* to, const void* from, size_t size) {
  if (size != 0) {
    std::memmove(to, from, size);
  }
}

int Read(Environment&, OwnedMemory memory, uint64_t offset, std::span<uint8_t> bytes) {
  const void* const from = memory->At(offset, bytes.size());
  if (from == nullptr) {
    return -EINVAL;
  }
  Copy(bytes.data(), from, bytes.size());
  return 0;
}

int Write(Environment&, OwnedMemory memory, uint64_t offset, std::span<uint8_t> bytes) {
  void* const to = memory->At(offset, bytes.size());
  if (to == nullptr) {
    return -EINVAL;
  }
  Copy(to, bytes.data(), bytes.size());
  return 0;
}

// A word of the memory, which a guest is changing too. Null where it is not all inside, or not
// aligned.
uint32_t* WordAt(const Memory& memory, uint64_t offset) {
  void* const word = memory.At(offset, sizeof(uint32_t));
  return offset % sizeof(uint32_t) == 0 ? static_cast<uint32_t*>(word) : nullptr;
}

CountOrError SetBits(Environment&, OwnedMemory memory, uint64_t offset, uint32_t bits) {
  uint32_t* const word = WordAt(*memory.memory, offset);
  if (word == nullptr) {
    return {.error = -EINVAL};
  }
  // No write, no cache line of the guest's, where they are set.
  const AtomicWord shared(*word);
  const uint32_t present = shared.Load();
  return {.count = (present & bits) == bits ? 0 : ~shared.FetchOr(bits) & bits};
}

CountOrError TakeBits(Environment&, OwnedMemory memory, uint64_t offset, uint32_t bits) {
  uint32_t* const word = WordAt(*memory.memory, offset);
  if (word == nullptr) {
    return {.error = -EINVAL};
  }
  const AtomicWord shared(*word);
  return {.count = (shared.Load() & bits) == 0 ? 0 : shared.FetchAnd(~bits) & bits};
}

int Detach(Environment& environment, OwnedMemory memory) {
  return memory->mapping().Detach(environment.detacher());
}

int Unmap(Environment& environment, OwnedMemory memory) {
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
