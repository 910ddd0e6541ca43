#include "reports.h"

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstring>
#include <iterator>
#include <utility>
#include <vector>

namespace mshv::sim {
namespace {

// `pack` makes the words of one.
template <typename Word, typename All, typename Pack>
int Report(const All& all, std::span<Word> out, Pack pack) {
  int count = 0;
  for (const auto& one : all) {
    const auto words = pack(one);
    if (out.size() >= words.size()) {
      std::ranges::copy(words, out.begin());
      out = out.subspan(words.size());
    } else {
      out = {};
    }
    ++count;
  }
  return count;
}

std::array<uint64_t, 4> WordsOf(const RecordedInterrupt& recorded) {
  const LapicInterrupt& interrupt = recorded.interrupt;
  return {recorded.sequence,
          interrupt.vector | uint64_t{interrupt.type & UINT16_MAX} << 32 |
              uint64_t{interrupt.level} << 48 | uint64_t{interrupt.logical} << 49 |
              uint64_t{recorded.fast} << 50 |
              (recorded.vp ? uint64_t{*recorded.vp} + 1 : uint64_t{0}) << 51,
          interrupt.destination, recorded.time};
}

}  // namespace

int TakeInterrupts(Partition& partition, std::span<uint64_t> out) {
  constexpr size_t kWords = 4;
  // Of these nobody is to think that they were all.
  if (partition.interrupts_lost > 0 && out.size() >= kWords) {
    out[0] = 0;
    out[1] = std::exchange(partition.interrupts_lost, 0);
    return 1;
  }
  const auto begin = partition.interrupts.begin();
  const auto end =
      begin + static_cast<ptrdiff_t>(std::min(partition.interrupts.size(), out.size() / kWords));
  const int count = Report(std::ranges::subrange(begin, end), out, WordsOf);
  partition.interrupts.erase(begin, end);
  return count;
}

int RoutesOf(const Partition& partition, std::span<uint32_t> out) {
  std::vector<GuestIrq> valid;
  std::ranges::copy_if(partition.routes.slots(), std::back_inserter(valid), &GuestIrq::valid);
  return Report(valid, out, [](const GuestIrq& irq) {
    return std::array{irq.number, irq.address_low, uint32_t{0}, irq.data};
  });
}

int IrqFdsOf(const Partition& partition, std::span<uint32_t> out) {
  std::vector<std::array<uint32_t, 2>> armed;
  for (const auto& [id, irqfd] : partition.irqfds) {
    armed.push_back({irqfd.gsi, irqfd.flags});
  }
  std::ranges::sort(armed);
  return Report(armed, out, [](const auto& words) { return words; });
}

int DoorbellsOf(const Partition& partition, std::span<uint64_t> out) {
  return Report(partition.doorbells.all(), out, [](const Doorbell& doorbell) {
    return std::array<uint64_t, 4>{doorbell.gpa, doorbell.size, doorbell.wildcard, doorbell.match};
  });
}

int MemoryOf(const Partition& partition, std::span<uint64_t> out) {
  return Report(partition.memory.regions(), out, [](const auto& entry) {
    const MemoryRegion& region = entry.second;
    uint64_t present = 0;
    for (const uint64_t part : region.present) {
      present +=
          std::min(GuestMemory::kFaultInPages, region.pages - part * GuestMemory::kFaultInPages);
    }
    return std::array<uint64_t, 4>{region.first, region.pages, region.flags, present};
  });
}

int InterceptsOf(const Partition& partition, std::span<uint64_t> out) {
  return Report(partition.intercepts.installed(), out, [](const InstalledIntercept& installed) {
    return std::array<uint64_t, 3>{installed.type, installed.access, installed.parameter};
  });
}

int ResultsOf(const Partition& partition, std::span<uint64_t> out) {
  return Report(partition.intercepts.registered(), out, [](const RegisteredResult& registered) {
    // VP, type, then the parameters, filled up with zeroes.
    std::array<uint64_t, 8> words{registered.vp, registered.type};
    std::memcpy(&words[2], registered.parameters, sizeof(registered.parameters));
    return words;
  });
}

}  // namespace mshv::sim
