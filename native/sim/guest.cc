#include "guest.h"

#include <algorithm>
#include <cstring>

#include "../abi/mshv.h"
#include "arm64_guest.h"
#include "partition.h"
#include "virtual_processor.h"
#include "x64_guest.h"

namespace mshv::sim {

Guest::Guest(Partition& partition, VirtualProcessor& vp, const RingFunction& ring,
             std::span<uint8_t, abi::HV_MESSAGE_SIZE> message)
    : partition_(partition), vp_(vp), registers_(vp.registers), ring_(ring), message_(message) {}

bool Guest::Run() {
  for (;;) {
    if (const uint16_t sints = vp_.synic.TakeDeliverable(); sints != 0) {
      NotifyOf(sints);
      return true;
    }
    if (vp_.steps.empty()) {
      return false;
    }
    GuestStep& step = vp_.steps.front();
    if (step.exited && registers_.Low(ProgramCounter()) != step.pc) {
      vp_.steps.pop_front();
      continue;
    }
    if (!step.begun) {
      if (step.kind != GuestStep::Kind::kMessage && !vp_.began) {
        Enter();
        vp_.began = true;
      }
      Begin(step);
      step.begun = true;
    }
    const Outcome outcome = Perform(step);
    if (outcome == Outcome::kExit) {
      step.exited = true;
      step.pc = registers_.Low(ProgramCounter());
      return true;
    }
    vp_.steps.pop_front();
    if (outcome == Outcome::kLastExit) {
      return true;
    }
  }
}

Guest::Outcome Guest::Perform(const GuestStep& step) {
  if (step.kind != GuestStep::Kind::kMessage) {
    return Execute(step);
  }
  std::ranges::copy(step.message, message_.begin());
  return Outcome::kLastExit;
}

Guest::MemoryAccess Guest::Access(const GuestStep& step) {
  const auto [gpa, size, operand, value] = step.operands;
  const bool write = operand != 0;
  uint8_t bytes[sizeof(value)] = {};
  if (write) {
    std::memcpy(bytes, &value, sizeof(value));
  }
  const auto fault = partition_.Access(gpa, std::span(bytes).first(size), write);
  if (!fault) {
    uint64_t read = 0;
    std::memcpy(&read, bytes, sizeof(read));
    return {.fault = std::nullopt, .mapped = true, .read = read};
  }
  const uint64_t page = fault->gpa / abi::MSHV_HV_PAGE_SIZE;
  const bool mapped = partition_.memory.space().Find(page).has_value();
  const bool rang =
      !mapped && write && fault->gpa == gpa && ring_(gpa, static_cast<uint32_t>(size), value) > 0;
  return {.fault = rang ? std::nullopt : std::optional(fault->gpa), .mapped = mapped, .read = 0};
}

void Guest::ExitWith(uint32_t type, std::span<const std::byte> payload) {
  const abi::hv_message_header header{.message_type = type,
                                      .payload_size = static_cast<uint8_t>(payload.size()),
                                      .message_flags = 0,
                                      .reserved = {},
                                      .sender = partition_.id};
  std::ranges::fill(message_, uint8_t{0});
  std::memcpy(message_.data(), &header, sizeof(header));
  std::memcpy(message_.data() + sizeof(header), payload.data(), payload.size());
}

void Guest::Skip(uint8_t length) {
  registers_.SetLow(ProgramCounter(), registers_.Low(ProgramCounter()) + length);
}

bool RunGuest(Partition& partition, VirtualProcessor& vp, const RingFunction& ring,
              std::span<uint8_t, abi::HV_MESSAGE_SIZE> message) {
  return partition.IsX64() ? RunX64Guest(partition, vp, ring, message)
                           : RunArm64Guest(partition, vp, ring, message);
}

}  // namespace mshv::sim
