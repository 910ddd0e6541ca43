#include "doorbells.h"

#include <fcntl.h>

#include <algorithm>
#include <cerrno>
#include <utility>

#include "../abi/hypercalls.h"

namespace mshv::sim {
namespace {

constexpr uint32_t kDataMatch = 1u << abi::MSHV_IOEVENTFD_BIT_DATAMATCH;
constexpr uint32_t kPio = 1u << abi::MSHV_IOEVENTFD_BIT_PIO;
constexpr uint32_t kDeassign = 1u << abi::MSHV_IOEVENTFD_BIT_DEASSIGN;

}  // namespace

int Doorbells::Set(Hypervisor& hypervisor, const IdentifyFunction& known,
                   const abi::mshv_user_ioeventfd& argument) {
  const bool reserved = std::ranges::any_of(argument.rsvd, [](uint8_t byte) { return byte != 0; });
  if ((argument.flags & ~abi::MSHV_IOEVENTFD_FLAGS_MASK) != 0 || reserved) {
    return -EINVAL;
  }
  if ((argument.flags & kPio) != 0) {
    return -EOPNOTSUPP;
  }
  return (argument.flags & kDeassign) != 0 ? Deassign(known, argument)
                                           : Assign(hypervisor, known, argument);
}

int Doorbells::Assign(Hypervisor& hypervisor, const IdentifyFunction& known,
                      const abi::mshv_user_ioeventfd& argument) {
  switch (argument.len) {
    case 0:
    case 1:
    case 2:
    case 4:
    case 8:
      break;
    default:
      return -EINVAL;
  }
  if (argument.addr + argument.len < argument.addr) {
    return -EINVAL;
  }
  UniqueFd fd(fcntl(argument.fd, F_DUPFD_CLOEXEC, 0));
  if (!fd) {
    return -errno;
  }
  EventFdIdentity identity;
  if (const int error = known(fd.get(), &identity); error < 0) {
    return error;
  }
  const bool wildcard = (argument.flags & kDataMatch) == 0;
  Doorbell doorbell{.id = identity.id,
                    .fd = std::move(fd),
                    .gpa = argument.addr,
                    .size = argument.len,
                    .wildcard = wildcard,
                    .match = wildcard ? 0 : argument.datamatch};
  // Any size is a size of its own here.
  const bool taken = std::ranges::any_of(doorbells_, [&doorbell](const Doorbell& other) {
    return other.gpa == doorbell.gpa && other.size == doorbell.size &&
           (other.wildcard || doorbell.wildcard || other.match == doorbell.match);
  });
  if (taken) {
    return -EEXIST;
  }
  for (const uint16_t code : {abi::HVCALL_CREATE_PORT, abi::HVCALL_CONNECT_PORT}) {
    if (const int error = AskWithDeposits(hypervisor, code); error < 0) {
      return error;
    }
  }
  doorbells_.push_back(std::move(doorbell));
  return 0;
}

int Doorbells::Deassign(const IdentifyFunction& known, const abi::mshv_user_ioeventfd& argument) {
  EventFdIdentity identity;
  if (const int error = known(argument.fd, &identity); error < 0) {
    return error;
  }
  const bool wildcard = (argument.flags & kDataMatch) == 0;
  const auto found = std::ranges::find_if(doorbells_, [&](const Doorbell& doorbell) {
    return doorbell.id == identity.id && doorbell.gpa == argument.addr &&
           doorbell.size == argument.len && doorbell.wildcard == wildcard &&
           (wildcard || doorbell.match == argument.datamatch);
  });
  if (found == doorbells_.end()) {
    return -ENOENT;
  }
  doorbells_.erase(found);
  return 0;
}

int Doorbells::Ring(uint64_t gpa, uint32_t size, uint64_t value,
                    const std::function<void(const Doorbell&)>& ring) const {
  int rung = 0;
  for (const Doorbell& doorbell : doorbells_) {
    if (doorbell.gpa == gpa && (doorbell.size == 0 || doorbell.size == size) &&
        (doorbell.wildcard || doorbell.match == value)) {
      ring(doorbell);
      ++rung;
    }
  }
  return rung;
}

}  // namespace mshv::sim
