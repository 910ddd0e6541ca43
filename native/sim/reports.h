// What is kept of a partition, in the words that lib/native.ts describes: as many as have room.
// Functions return how many there are, and need the host's lock.
#ifndef MSHV_NATIVE_SIM_REPORTS_H_
#define MSHV_NATIVE_SIM_REPORTS_H_

#include <cstdint>
#include <span>

#include "partition.h"

namespace mshv::sim {

// These are taken, and those returned that were.
int TakeInterrupts(Partition& partition, std::span<uint64_t> out);

int RoutesOf(const Partition& partition, std::span<uint32_t> out);
int IrqFdsOf(const Partition& partition, std::span<uint32_t> out);
int DoorbellsOf(const Partition& partition, std::span<uint64_t> out);
int MemoryOf(const Partition& partition, std::span<uint64_t> out);
int InterceptsOf(const Partition& partition, std::span<uint64_t> out);
int ResultsOf(const Partition& partition, std::span<uint64_t> out);

}  // namespace mshv::sim

#endif  // MSHV_NATIVE_SIM_REPORTS_H_
