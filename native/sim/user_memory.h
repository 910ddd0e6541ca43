#ifndef MSHV_NATIVE_SIM_USER_MEMORY_H_
#define MSHV_NATIVE_SIM_USER_MEMORY_H_

#include <cstddef>
#include <cstdint>

namespace mshv::sim {

// Memory of this process that may be gone by now, as the kernel sees user memory: an address that
// cannot be accessed is an error, never a crash.

// copy_from_user and copy_to_user: whether all bytes could be copied.
bool CopyFromUser(void* to, uint64_t from, size_t size);
bool CopyToUser(uint64_t to, const void* from, size_t size);

// access_ok: whether the range is one that user memory can be at.
bool InUserSpace(uint64_t address, uint64_t size);

// vma_lookup: whether something is mapped there.
bool IsMapped(uint64_t address);

// Faults whole pages in for writing: whether all of them could be.
bool FaultIn(uint64_t address, uint64_t size);

}  // namespace mshv::sim

#endif  // MSHV_NATIVE_SIM_USER_MEMORY_H_
