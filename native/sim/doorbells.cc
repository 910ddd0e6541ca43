#include "doorbells.h"

#include <algorithm>
#include <cerrno>
#include <utility>

#include "../abi/hypercalls.h"
#include "reserved.h"

namespace mshv::sim {
namespace {

constexpr uint32_t kDataMatch = 1u << abi::MSHV_IOEVENTFD_BIT_DATAMATCH;
constexpr uint32_t kPio = 1u << abi::MSHV_IOEVENTFD_BIT_PIO;
constexpr uint32_t kDeassign = 1u << abi::MSHV_IOEVENTFD_BIT_DEASSIGN;

}  // namespace

OrError<void> Doorbells::Set(Hypervisor& hypervisor, const IdentifyFunction& known,
                             const abi::mshv_user_ioeventfd& argument) {
  if ((argument.flags & ~abi::MSHV_IOEVENTFD_FLAGS_MASK) != 0 || AnySet(argument.rsvd)) {
    return Error(-EINVAL);
  }
  if ((argument.flags & kPio) != 0) {
    return Error(-EOPNOTSUPP);
  }
  return (argument.flags & kDeassign) != 0 ? Deassign(known, argument)
                                           : Assign(hypervisor, known, argument);
}

OrError<void> Doorbells::Assign(Hypervisor& hypervisor, const IdentifyFunction& known,
                                const abi::mshv_user_ioeventfd& argument) {
  switch (argument.len) {
    case 0:
    case 1:
    case 2:
    case 4:
    case 8:
      break;
    default:
      return Error(-EINVAL);
  }
  if (argument.addr + argument.len < argument.addr) {
    return Error(-EINVAL);
  }
  OrError<UniqueFd> fd = UniqueFd::Dup(argument.fd);
  if (!fd) {
    return fd.error();
  }
  const auto identity = known(fd->get());
  if (!identity) {
    return identity.error();
  }
  const bool wildcard = (argument.flags & kDataMatch) == 0;
  Doorbell doorbell{.id = identity->id,
                    .fd = *std::move(fd),
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
    return Error(-EEXIST);
  }
  for (const uint16_t code : {abi::HVCALL_CREATE_PORT, abi::HVCALL_CONNECT_PORT}) {
    if (const auto done = AskWithDeposits(hypervisor, code); !done) {
      return done;
    }
  }
  doorbells_.push_back(std::move(doorbell));
  return {};
}

OrError<void> Doorbells::Deassign(const IdentifyFunction& known,
                                  const abi::mshv_user_ioeventfd& argument) {
  const auto identity = known(argument.fd);
  if (!identity) {
    return identity.error();
  }
  const bool wildcard = (argument.flags & kDataMatch) == 0;
  const auto found = std::ranges::find_if(doorbells_, [&](const Doorbell& doorbell) {
    return doorbell.id == identity->id && doorbell.gpa == argument.addr &&
           doorbell.size == argument.len && doorbell.wildcard == wildcard &&
           (wildcard || doorbell.match == argument.datamatch);
  });
  if (found == doorbells_.end()) {
    return Error(-ENOENT);
  }
  doorbells_.erase(found);
  return {};
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
