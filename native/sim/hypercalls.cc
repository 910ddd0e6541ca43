#include "hypercalls.h"

#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <cstring>
#include <optional>
#include <type_traits>

#include "../abi/vp.h"
#include "host.h"
#include "partition.h"
#include "user_memory.h"

namespace mshv::sim {
namespace {

// HV_GET_VP_CPUID_VALUES_FLAGS: apply_registered_values.
constexpr uint32_t kApplyRegistered = 2;

// hv_interrupt_control.
constexpr uint64_t kLevelTriggered = uint64_t{1} << 32;
constexpr uint64_t kLogicalMode = uint64_t{1} << 33;

// Whether `count` elements fit into a page behind a header.
constexpr bool Fits(size_t header, uint32_t count, size_t element) {
  return header + count * element <= abi::MSHV_HV_PAGE_SIZE;
}

// One hypercall under way.
class Call {
 public:
  Call(Host& host, Partition* partition, uint32_t reps, uint32_t start, HypercallPages& pages,
       uint32_t* done)
      : host_(host),
        partition_(partition),
        reps_(reps),
        start_(start),
        pages_(pages),
        done_(*done) {}

  uint16_t Perform(uint16_t code) {
    switch (code) {
      case abi::HVCALL_GET_PARTITION_PROPERTY:
      case abi::HVCALL_GET_PARTITION_PROPERTY_EX:
        return GetProperty();
      default:
        // The driver lets the device's descriptor make those only.
        return partition_ == nullptr ? abi::HV_STATUS_INVALID_PARTITION_ID : PerformOn(code);
    }
  }

 private:
  uint16_t PerformOn(uint16_t code) {
    switch (code) {
      case abi::HVCALL_SET_PARTITION_PROPERTY:
        return SetProperty();
      case abi::HVCALL_INSTALL_INTERCEPT:
        return InstallIntercept();
      case abi::HVCALL_GET_VP_REGISTERS:
        return GetRegisters();
      case abi::HVCALL_SET_VP_REGISTERS:
        return SetRegisters();
      case abi::HVCALL_TRANSLATE_VIRTUAL_ADDRESS:
        return Translate();
      case abi::HVCALL_CLEAR_VIRTUAL_INTERRUPT:
        return abi::HV_STATUS_SUCCESS;
      case abi::HVCALL_REGISTER_INTERCEPT_RESULT:
        return RegisterResult();
      case abi::HVCALL_ASSERT_VIRTUAL_INTERRUPT:
        return AssertInterrupt();
      case abi::HVCALL_SIGNAL_EVENT_DIRECT:
        return SignalEvent();
      case abi::HVCALL_POST_MESSAGE_DIRECT:
        return PostMessage();
      case abi::HVCALL_GET_GPA_PAGES_ACCESS_STATES:
        return AccessStates();
      case abi::HVCALL_GET_VP_CPUID_VALUES:
        return Cpuid();
      default:
        return abi::HV_STATUS_INVALID_HYPERCALL_CODE;
    }
  }

  template <typename Type>
  Type Input(size_t at = 0) const {
    static_assert(std::is_trivially_copyable_v<Type>);
    Type value;
    std::memcpy(&value, pages_.input.data() + at, sizeof(value));
    return value;
  }

  template <typename Type>
  void Output(const Type& value, size_t at = 0) {
    static_assert(std::is_trivially_copyable_v<Type>);
    std::memcpy(pages_.output.data() + at, &value, sizeof(value));
  }

  uint16_t GetProperty() {
    const auto input = Input<abi::hv_input_get_partition_property>();
    if (!pages_.has_output) {
      return abi::HV_STATUS_INVALID_HYPERCALL_INPUT;
    }
    if (input.property_code == abi::HV_PARTITION_PROPERTY_VMM_CAPABILITIES) {
      // One bank, without any capability.
      Output(uint64_t{1});
      Output(uint64_t{0}, sizeof(uint64_t));
      return abi::HV_STATUS_SUCCESS;
    }
    std::optional<uint64_t> value;
    if (partition_ != nullptr) {
      value = partition_->properties.Get(input.property_code);
    } else if (input.property_code == abi::HV_PARTITION_PROPERTY_INTEGRATED_SCHEDULER_ENABLED) {
      value = host_.options().scheduler == kRootScheduler ? 1 : 0;
    } else {
      value = Properties::Default(input.property_code);
    }
    if (!value) {
      return abi::HV_STATUS_UNKNOWN_PROPERTY;
    }
    Output(*value);
    return abi::HV_STATUS_SUCCESS;
  }

  uint16_t SetProperty() {
    const auto input = Input<abi::hv_input_set_partition_property>();
    return partition_->properties.Set(input.property_code, input.property_value,
                                      partition_->initialized);
  }

  uint16_t InstallIntercept() {
    const auto input = Input<abi::hv_input_install_intercept>();
    partition_->intercepts.Install({.type = input.intercept_type,
                                    .access = input.access_type,
                                    .parameter = input.intercept_parameter});
    return abi::HV_STATUS_SUCCESS;
  }

  uint16_t RegisterResult() {
    const auto input = Input<abi::hv_input_register_intercept_result>();
    if (input.vp_index != abi::HV_ANY_VP && partition_->FindVp(input.vp_index) == nullptr) {
      return abi::HV_STATUS_INVALID_VP_INDEX;
    }
    RegisteredResult result{.vp = input.vp_index, .type = input.intercept_type, .parameters = {}};
    std::ranges::copy(input.parameters, result.parameters);
    partition_->intercepts.Register(result);
    return abi::HV_STATUS_SUCCESS;
  }

  uint16_t GetRegisters() {
    const auto input = Input<abi::hv_input_vp_registers>();
    if (!pages_.has_output || !Fits(sizeof(input), reps_, sizeof(uint32_t)) ||
        !Fits(0, reps_, sizeof(abi::hv_register_value))) {
      return abi::HV_STATUS_INVALID_HYPERCALL_INPUT;
    }
    VirtualProcessor* vp = partition_->FindVp(input.vp_index);
    if (vp == nullptr) {
      return abi::HV_STATUS_INVALID_VP_INDEX;
    }
    for (uint32_t i = start_; i < reps_; ++i) {
      const auto name = Input<uint32_t>(sizeof(input) + i * sizeof(uint32_t));
      Output(host_.GetRegister(*vp, name), i * sizeof(abi::hv_register_value));
    }
    done_ = reps_;
    return abi::HV_STATUS_SUCCESS;
  }

  uint16_t SetRegisters() {
    const auto input = Input<abi::hv_input_vp_registers>();
    if (!Fits(sizeof(input), reps_, sizeof(abi::hv_register_assoc))) {
      return abi::HV_STATUS_INVALID_HYPERCALL_INPUT;
    }
    VirtualProcessor* vp = partition_->FindVp(input.vp_index);
    if (vp == nullptr) {
      return abi::HV_STATUS_INVALID_VP_INDEX;
    }
    for (uint32_t i = start_; i < reps_; ++i) {
      const auto element =
          Input<abi::hv_register_assoc>(sizeof(input) + i * sizeof(abi::hv_register_assoc));
      const uint16_t status = host_.SetRegister(*partition_, *vp, element.name, element.value);
      if (status != abi::HV_STATUS_SUCCESS) {
        return status;
      }
      done_ = i + 1;
    }
    return abi::HV_STATUS_SUCCESS;
  }

  uint16_t Translate() {
    const auto input = Input<abi::hv_input_translate_virtual_address>();
    if (!pages_.has_output) {
      return abi::HV_STATUS_INVALID_HYPERCALL_INPUT;
    }
    if (partition_->FindVp(input.vp_index) == nullptr) {
      return abi::HV_STATUS_INVALID_VP_INDEX;
    }
    // The guest has no page tables: every address is its own translation.
    const bool mapped = partition_->memory.space().Find(input.gva_page).has_value();
    Output(abi::hv_output_translate_virtual_address{
        .translation_result =
            mapped ? abi::HV_TRANSLATE_GVA_SUCCESS : abi::HV_TRANSLATE_GVA_GPA_UNMAPPED,
        .gpa_page = input.gva_page});
    return abi::HV_STATUS_SUCCESS;
  }

  uint16_t AssertInterrupt() {
    const auto input = Input<abi::hv_input_assert_virtual_interrupt>();
    host_.Inject(*partition_, {.vector = input.vector,
                               .type = static_cast<uint32_t>(input.control),
                               .level = (input.control & kLevelTriggered) != 0,
                               .logical = (input.control & kLogicalMode) != 0,
                               .destination = input.dest_addr});
    return abi::HV_STATUS_SUCCESS;
  }

  uint16_t SignalEvent() {
    const auto input = Input<abi::hv_input_signal_event_direct>();
    VirtualProcessor* vp = partition_->FindVp(input.target_vp);
    if (vp == nullptr) {
      return abi::HV_STATUS_INVALID_VP_INDEX;
    }
    const SintResult result = vp->synic.Signal(input.target_sint, input.flag_number);
    Raise(*vp, result);
    Output(uint64_t{result.newly_signaled});
    return result.status;
  }

  uint16_t PostMessage() {
    const auto input = Input<abi::hv_input_post_message_direct>();
    VirtualProcessor* vp = partition_->FindVp(input.vp_index);
    if (vp == nullptr) {
      return abi::HV_STATUS_INVALID_VP_INDEX;
    }
    const SintResult result = vp->synic.Post(input.sint_index, input.message);
    Raise(*vp, result);
    return result.status;
  }

  // A SINT comes to the VP's local APIC like an MSI for it.
  void Raise(const VirtualProcessor& vp, const SintResult& result) {
    if (result.vector) {
      host_.Inject(*partition_, {.vector = *result.vector, .destination = vp.apic_id});
    }
  }

  uint16_t AccessStates() {
    const auto input = Input<abi::hv_input_get_gpa_pages_access_state>();
    if (!pages_.has_output || reps_ > abi::MSHV_HV_PAGE_SIZE) {
      return abi::HV_STATUS_INVALID_HYPERCALL_INPUT;
    }
    const uint16_t status =
        partition_->memory.AccessStates(input.hv_gpa_page_number + start_, input.flags,
                                        std::span(pages_.output).subspan(start_, reps_ - start_));
    if (status == abi::HV_STATUS_SUCCESS) {
      done_ = reps_;
    }
    return status;
  }

  uint16_t Cpuid() {
    const auto input = Input<abi::hv_input_get_vp_cpuid_values>();
    if (!pages_.has_output || !Fits(sizeof(input), reps_, sizeof(abi::hv_cpuid_leaf_info)) ||
        !Fits(0, reps_, sizeof(CpuidResult))) {
      return abi::HV_STATUS_INVALID_HYPERCALL_INPUT;
    }
    if (partition_->FindVp(input.vp_index) == nullptr) {
      return abi::HV_STATUS_INVALID_VP_INDEX;
    }
    for (uint32_t i = start_; i < reps_; ++i) {
      const auto leaf =
          Input<abi::hv_cpuid_leaf_info>(sizeof(input) + i * sizeof(abi::hv_cpuid_leaf_info));
      Output(partition_->intercepts.Cpuid(input.vp_index, leaf.eax, leaf.ecx,
                                          (input.flags & kApplyRegistered) != 0),
             i * sizeof(CpuidResult));
    }
    done_ = reps_;
    return abi::HV_STATUS_SUCCESS;
  }

  Host& host_;
  Partition* const partition_;
  const uint32_t reps_;
  const uint32_t start_;
  HypercallPages& pages_;
  uint32_t& done_;
};

bool IsRep(uint16_t code) {
  switch (code) {
    case abi::HVCALL_GET_VP_REGISTERS:
    case abi::HVCALL_SET_VP_REGISTERS:
    case abi::HVCALL_GET_GPA_PAGES_ACCESS_STATES:
    case abi::HVCALL_GET_VP_CPUID_VALUES:
      return true;
    default:
      return false;
  }
}

}  // namespace

uint16_t Hypercall(Host& host, Partition* partition, uint16_t code, uint32_t reps, uint32_t start,
                   HypercallPages& pages, uint32_t* done) {
  *done = 0;
  const Refusal refusal = host.Refuse(code);
  // The control word has 12 bits for the number of reps.
  constexpr uint32_t kMostReps = 0xfff;
  const bool fits = IsRep(code) ? reps > start && reps <= kMostReps : reps == 0;
  if (!refusal) {
    return fits ? Call(host, partition, reps, start, pages, done).Perform(code)
                : abi::HV_STATUS_INVALID_HYPERCALL_INPUT;
  }
  const uint32_t end = std::min(reps, start + std::min(refusal.reps, reps));
  if (fits && IsRep(code) && end > start) {
    const uint16_t status = Call(host, partition, end, start, pages, done).Perform(code);
    if (status != abi::HV_STATUS_SUCCESS) {
      return status;
    }
  } else if (IsRep(code)) {
    *done = start;
  }
  return refusal.status;
}

namespace {

bool MayPass(CallerFile file, uint16_t code) {
  switch (code) {
    case abi::HVCALL_GET_PARTITION_PROPERTY:
    case abi::HVCALL_GET_PARTITION_PROPERTY_EX:
      return true;
    case abi::HVCALL_SET_PARTITION_PROPERTY:
    case abi::HVCALL_INSTALL_INTERCEPT:
    case abi::HVCALL_GET_VP_REGISTERS:
    case abi::HVCALL_SET_VP_REGISTERS:
    case abi::HVCALL_TRANSLATE_VIRTUAL_ADDRESS:
    case abi::HVCALL_CLEAR_VIRTUAL_INTERRUPT:
    case abi::HVCALL_REGISTER_INTERCEPT_RESULT:
    case abi::HVCALL_ASSERT_VIRTUAL_INTERRUPT:
    case abi::HVCALL_SIGNAL_EVENT_DIRECT:
    case abi::HVCALL_POST_MESSAGE_DIRECT:
    case abi::HVCALL_GET_GPA_PAGES_ACCESS_STATES:
    case abi::HVCALL_GET_VP_CPUID_VALUES:
      return file != CallerFile::kDevice;
    default:
      return false;
  }
}

}  // namespace

OrError<void> PassThrough(Host& host, Partition* partition, CallerFile file,
                          abi::mshv_root_hvcall* argument) {
  const abi::mshv_root_hvcall given = *argument;
  const bool reserved = std::ranges::any_of(given.rsvd, [](uint8_t byte) { return byte != 0; });
  if (given.status != 0 || given.in_ptr == 0 || given.in_sz < sizeof(uint64_t) ||
      given.in_sz > abi::MSHV_HV_PAGE_SIZE || reserved) {
    return Error(-EINVAL);
  }
  if (given.out_ptr != 0 && (given.out_sz == 0 || given.out_sz > abi::MSHV_HV_PAGE_SIZE)) {
    return Error(-EINVAL);
  }
  if (!MayPass(file, given.code)) {
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
