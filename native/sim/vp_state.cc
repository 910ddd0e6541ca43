#include "vp_state.h"

namespace mshv::sim {

VpState::Page& VpState::At(uint32_t type, size_t index) {
  std::vector<Page>& pages = pages_[type];
  if (pages.size() <= index) {
    pages.resize(index + 1);
  }
  return pages[index];
}

const VpState::Page* VpState::Find(uint32_t type, size_t index) const {
  const auto found = pages_.find(type);
  return found == pages_.end() || index >= found->second.size() ? nullptr : &found->second[index];
}

}  // namespace mshv::sim
