#ifndef MSHV_NATIVE_SIM_DOORBELLS_H_
#define MSHV_NATIVE_SIM_DOORBELLS_H_

#include <cstdint>
#include <functional>
#include <vector>

#include "../abi/mshv.h"
#include "../eventfd_identity.h"
#include "../ownership.h"
#include "hypervisor.h"

namespace mshv::sim {

// An eventfd that a guest's write to one address signals.
struct Doorbell {
  EventFdId id = 0;
  // Our own, so that the eventfd lives as long as the doorbell.
  UniqueFd fd;
  uint64_t gpa = 0;
  // In bytes; 0 is any.
  uint32_t size = 0;
  bool wildcard = false;
  // 0 for a wildcard.
  uint64_t match = 0;
};

// A partition's ioeventfds, as mshv_eventfd.c keeps them. All functions need the host's lock.
class Doorbells {
 public:
  using IdentifyFunction = std::function<OrError<EventFdIdentity>(int fd)>;

  // MSHV_IOEVENTFD (mshv_set_unset_ioeventfd). `known` is the seam's way to know an eventfd.
  OrError<void> Set(Hypervisor& hypervisor, const IdentifyFunction& known,
                    const abi::mshv_user_ioeventfd& argument);

  // The guest writes `size` bytes: rings each doorbell that matches, in the order they were
  // assigned, and returns their number.
  int Ring(uint64_t gpa, uint32_t size, uint64_t value,
           const std::function<void(const Doorbell&)>& ring) const;

  void Clear() { doorbells_.clear(); }

  const std::vector<Doorbell>& all() const { return doorbells_; }

 private:
  OrError<void> Assign(Hypervisor& hypervisor, const IdentifyFunction& known,
                       const abi::mshv_user_ioeventfd& argument);
  OrError<void> Deassign(const IdentifyFunction& known, const abi::mshv_user_ioeventfd& argument);

  std::vector<Doorbell> doorbells_;
};

}  // namespace mshv::sim

#endif  // MSHV_NATIVE_SIM_DOORBELLS_H_
