#ifndef MSHV_NATIVE_SIM_GUEST_H_
#define MSHV_NATIVE_SIM_GUEST_H_

#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <span>

#include "../abi/vp.h"
#include "guest_step.h"
#include "registers.h"

namespace mshv::sim {

struct Partition;
struct VirtualProcessor;

// The guest writes outside of its memory: the number of doorbells rung.
using RingFunction = std::function<int(uint64_t gpa, uint32_t size, uint64_t value)>;

// Lets the VP's guest go on until something comes to the VMM, which is put into `message`. False
// where it has nothing more to do.
//
// An instruction is over when the program counter has moved on: else it is executed again, as a
// processor does. What the hypervisor does by itself (a doorbell, memory that is there, an MSR or
// CPUID that nobody intercepts) does not show. Everything in a message is what the VP's registers
// hold then.
bool RunGuest(Partition& partition, VirtualProcessor& vp, const RingFunction& ring,
              std::span<uint8_t, abi::HV_MESSAGE_SIZE> message);

// What the guest of one VP does, on any architecture.
class Guest {
 public:
  Guest(Partition& partition, VirtualProcessor& vp, const RingFunction& ring,
        std::span<uint8_t, abi::HV_MESSAGE_SIZE> message);
  virtual ~Guest() = default;

  Guest(const Guest&) = delete;
  Guest& operator=(const Guest&) = delete;

  bool Run();

 protected:
  // kLastExit does not wait for the VMM to move on.
  enum class Outcome { kDone, kExit, kLastExit };

  // An access to memory, or a write that rang doorbells instead.
  struct MemoryAccess {
    // Where it failed. Nothing has changed then.
    std::optional<uint64_t> fault;
    // Memory is mapped there.
    bool mapped = false;
    uint64_t read = 0;
  };
  MemoryAccess Access(const GuestStep& step);

  // Puts it into the message.
  template <typename Payload>
  void Exit(uint32_t type, const Payload& payload) {
    static_assert(sizeof(payload) <= abi::HV_MESSAGE_PAYLOAD_BYTE_COUNT);
    ExitWith(type, std::as_bytes(std::span(&payload, 1)));
  }

  void Skip(uint8_t length);

  Partition& partition_;
  VirtualProcessor& vp_;
  Registers& registers_;

 private:
  // The register of it.
  virtual uint32_t ProgramCounter() const = 0;
  // The VP comes to its first instruction.
  virtual void Enter() {}
  // What the instructions before the step's have put into registers.
  virtual void Begin(const GuestStep& step) = 0;
  virtual Outcome Execute(const GuestStep& step) = 0;
  // Message slots are free that somebody waits for. This is no instruction: the VP goes on where it
  // was.
  virtual void NotifyOf(uint16_t sints) = 0;

  Outcome Perform(const GuestStep& step);
  void ExitWith(uint32_t type, std::span<const std::byte> payload);

  const RingFunction& ring_;
  const std::span<uint8_t, abi::HV_MESSAGE_SIZE> message_;
};

}  // namespace mshv::sim

#endif  // MSHV_NATIVE_SIM_GUEST_H_
