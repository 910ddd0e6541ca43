// MSHV_ROOT_HVCALL: what the driver passes through to the hypervisor.
#include <cerrno>
#include <cstring>

#include "host.h"
#include "hypercalls.h"
#include "partition.h"
#include "reserved.h"
#include "user_memory.h"

namespace mshv::sim {

OrError<void> PassThrough(Host& host, Partition* partition, CallerFile file,
                          abi::mshv_root_hvcall* argument) {
  const abi::mshv_root_hvcall given = *argument;
  if (given.status != 0 || given.in_ptr == 0 || given.in_sz < sizeof(uint64_t) ||
      given.in_sz > abi::MSHV_HV_PAGE_SIZE || AnySet(given.rsvd)) {
    return Error(-EINVAL);
  }
  if (given.out_ptr != 0 && (given.out_sz == 0 || given.out_sz > abi::MSHV_HV_PAGE_SIZE)) {
    return Error(-EINVAL);
  }
  const HypercallTraits* const traits = FindHypercall(given.code);
  if (traits == nullptr || (file == CallerFile::kDevice && !traits->of_host)) {
    return Error(-EINVAL);
  }
  const bool async = given.code == abi::HVCALL_SET_PARTITION_PROPERTY;
  if (async && file != CallerFile::kPartition) {
    return Error(-EINVAL);
  }
  HypercallPages pages;
  pages.has_output = given.out_ptr != 0;
  if (!CopyFromUser(pages.input.data(), given.in_ptr, given.in_sz)) {
    return Error(-EFAULT);
  }
  const uint64_t id = partition == nullptr ? abi::HV_PARTITION_ID_SELF : partition->id;
  std::memcpy(pages.input.data(), &id, sizeof(id));

  OrError<void> result;
  uint16_t status = 0;
  uint32_t done = 0;
  do {
    status = Hypercall(host, partition, given.code, given.reps, done, pages, &done);
    if (status == abi::HV_STATUS_CALL_PENDING) {
      if (!async) {
        return Error(-EBADFD);
      }
      // The driver waits here; the completion message carries the status.
      status = Hypercall(host, partition, given.code, given.reps, done, pages, &done);
    }
    if (NeedsMemory(status) && !host.options().deposits_inside) {
      result = Error(-EAGAIN);
    } else if (!NeedsMemory(status)) {
      result = FromStatus(status);
    }
  } while (NeedsMemory(status) && result);

  argument->status = status;
  argument->reps = static_cast<uint16_t>(given.reps == 0 ? 0 : done);
  // Drivers that leave the rest to their caller hand over what is there.
  const bool outputs = result || result.error() == -EAGAIN;
  if (outputs && pages.has_output &&
      !CopyToUser(given.out_ptr, pages.output.data(), given.out_sz)) {
    return Error(-EFAULT);
  }
  return result;
}

}  // namespace mshv::sim
