#include "gpa_space.h"

#include <algorithm>
#include <iterator>

namespace mshv::sim {

void GpaSpace::Map(uint64_t first, uint64_t count, uint32_t access) {
  if (count == 0) {
    return;
  }
  const uint64_t last = first + (count - 1);
  if (last < first) {
    Map(first, -first, access);
    Map(0, last + 1, access);
    return;
  }
  Add(first, last);
  Fill(first, last, static_cast<uint8_t>(access & GpaPage::kAccessMask));
}

void GpaSpace::Unmap(uint64_t first, uint64_t count) {
  if (count == 0) {
    return;
  }
  const uint64_t last = first + (count - 1);
  if (last < first) {
    Unmap(first, -first);
    Unmap(0, last + 1);
    return;
  }
  Remove(first, last);
  Fill(first, last, 0);
}

std::optional<GpaPage> GpaSpace::Find(uint64_t number) const {
  const auto after = ranges_.upper_bound(number);
  if (after == ranges_.begin() || std::prev(after)->second < number) {
    return std::nullopt;
  }
  const auto chunk = chunks_.find(number / kChunk);
  return GpaPage{chunk == chunks_.end() ? uint8_t{0} : chunk->second[number % kChunk]};
}

void GpaSpace::Set(uint64_t number, GpaPage page) {
  if (page.bits != 0 || chunks_.contains(number / kChunk)) {
    chunks_[number / kChunk][number % kChunk] = page.bits;
  }
}

void GpaSpace::Add(uint64_t first, uint64_t last) {
  auto range = ranges_.upper_bound(first);
  if (range != ranges_.begin()) {
    const auto before = std::prev(range);
    // first is not 0 here: `before` begins at or below it, and touches it where it ends just below.
    if (before->second >= last) {
      return;
    }
    if (before->second + 1 >= first) {
      first = before->first;
      range = ranges_.erase(before);
    }
  }
  while (range != ranges_.end() && (range->first <= last || range->first - 1 == last)) {
    last = std::max(last, range->second);
    range = ranges_.erase(range);
  }
  ranges_[first] = last;
}

void GpaSpace::Remove(uint64_t first, uint64_t last) {
  auto range = ranges_.upper_bound(first);
  if (range != ranges_.begin()) {
    --range;
  }
  while (range != ranges_.end() && range->first <= last) {
    const auto [begin, end] = *range;
    if (end < first) {
      ++range;
      continue;
    }
    range = ranges_.erase(range);
    if (begin < first) {
      ranges_[begin] = first - 1;
    }
    if (end > last) {
      ranges_[last + 1] = end;
    }
  }
}

void GpaSpace::Fill(uint64_t first, uint64_t last, uint8_t bits) {
  if (bits == 0 && (last - first) / kChunk > chunks_.size()) {
    for (auto chunk = chunks_.begin(); chunk != chunks_.end();) {
      const uint64_t start = chunk->first * kChunk;
      Chunk& pages = chunk->second;
      for (uint64_t i = 0; i < kChunk; ++i) {
        if (start + i >= first && start + i <= last) {
          pages[i] = 0;
        }
      }
      const bool empty = std::ranges::all_of(pages, [](uint8_t page) { return page == 0; });
      chunk = empty ? chunks_.erase(chunk) : std::next(chunk);
    }
    return;
  }
  for (uint64_t number = first / kChunk; number <= last / kChunk; ++number) {
    const uint64_t begin = number == first / kChunk ? first % kChunk : 0;
    const uint64_t end = number == last / kChunk ? last % kChunk + 1 : kChunk;
    if (bits == 0 && !chunks_.contains(number)) {
      continue;
    }
    if (bits == 0 && begin == 0 && end == kChunk) {
      chunks_.erase(number);
      continue;
    }
    Chunk& chunk = chunks_[number];
    std::fill(chunk.begin() + static_cast<ptrdiff_t>(begin),
              chunk.begin() + static_cast<ptrdiff_t>(end), bits);
  }
}

}  // namespace mshv::sim
