// libFuzzer on the simulated hypervisor's hypercalls: any input page, number of reps and rep to
// begin with, on a partition that keeps what earlier calls of the same case have done to it.
#include <fuzzer/FuzzedDataProvider.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <string>
#include <vector>

#include "../../native/abi/hypercalls.h"
#include "../../native/backend.h"
#include "../../native/sim/file.h"
#include "../../native/sim/host.h"
#include "../../native/sim/hypercalls.h"
#include "../../native/sim/registry.h"

namespace mshv::fuzz {
namespace {

constexpr uint16_t kCodes[] = {
    abi::HVCALL_GET_PARTITION_PROPERTY,
    abi::HVCALL_GET_PARTITION_PROPERTY_EX,
    abi::HVCALL_SET_PARTITION_PROPERTY,
    abi::HVCALL_INSTALL_INTERCEPT,
    abi::HVCALL_GET_VP_REGISTERS,
    abi::HVCALL_SET_VP_REGISTERS,
    abi::HVCALL_TRANSLATE_VIRTUAL_ADDRESS,
    abi::HVCALL_CLEAR_VIRTUAL_INTERRUPT,
    abi::HVCALL_REGISTER_INTERCEPT_RESULT,
    abi::HVCALL_ASSERT_VIRTUAL_INTERRUPT,
    abi::HVCALL_SIGNAL_EVENT_DIRECT,
    abi::HVCALL_POST_MESSAGE_DIRECT,
    abi::HVCALL_GET_GPA_PAGES_ACCESS_STATES,
    abi::HVCALL_GET_VP_CPUID_VALUES,
    // No such call.
    0xffff,
};

void Require(bool holds, const char* what) {
  if (!holds) {
    fprintf(stderr, "a hypercall %s\n", what);
    abort();
  }
}

void Run(FuzzedDataProvider& data) {
  const int id = sim::Registry::Get().AddHost({}, nullptr);
  const auto host = sim::Registry::Get().RemoveHost(id);
  const std::shared_ptr<sim::Partition> partition = host->NewPartition(true);
  partition->initialized = true;
  const auto file = sim::NewDescriptor("vp");
  Require(bool(file), "has no VP");
  auto vp_pages = sim::VpPages::Create(file->get());
  Require(bool(vp_pages), "has no pages of a VP");
  partition->vps[0] = std::make_unique<sim::VirtualProcessor>(0, *std::move(vp_pages), UniqueFd());
  // The SynIC is on: messages and events get to its pages.
  sim::Registers& registers = partition->vps[0]->registers;
  for (const uint32_t name :
       {abi::HV_REGISTER_SCONTROL, abi::HV_REGISTER_SIMP, abi::HV_REGISTER_SIEFP}) {
    registers.SetLow(name, 1);
  }
  while (data.remaining_bytes() > 0) {
    const uint16_t code = data.PickValueInArray(kCodes);
    constexpr uint32_t kMost = 0x10ff;
    const uint32_t reps = data.ConsumeBool() ? data.ConsumeIntegralInRange<uint32_t>(0, 20)
                                             : data.ConsumeIntegralInRange<uint32_t>(0, kMost);
    const uint32_t start = data.ConsumeIntegralInRange<uint32_t>(0, data.ConsumeBool() ? 1 : kMost);
    const bool of_partition = data.ConsumeIntegralInRange(0, 15) != 0;
    auto pages = std::make_unique<sim::HypercallPages>();
    pages->has_output = data.ConsumeBool();
    const auto input =
        data.ConsumeBytes<uint8_t>(data.ConsumeIntegralInRange<size_t>(0, pages->input.size()));
    std::ranges::copy(input, pages->input.begin());
    if (input.size() > 8 && data.ConsumeBool()) {
      // Most calls name a VP or a SINT behind the partition's id.
      memset(pages->input.data() + 8, 0, sizeof(uint32_t));
    }
    uint32_t done = 0;
    const uint16_t status = sim::Hypercall(*host, of_partition ? partition.get() : nullptr, code,
                                           reps, start, *pages, &done);
    Require(done <= reps, "has done more reps than it was asked for");
    Require(done == 0 || start < reps, "has done reps that are not there");
    Require(status != abi::HV_STATUS_SUCCESS || reps == 0 || done == reps,
            "succeeds before its end");
  }
  host->Release(*partition);
  host->Destroy();
}

}  // namespace
}  // namespace mshv::fuzz

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* bytes, size_t size) {
  FuzzedDataProvider data(bytes, size);
  mshv::fuzz::Run(data);
  return 0;
}
