#include "hypercalls.h"

#include <algorithm>
#include <cstddef>
#include <cstring>
#include <iterator>
#include <optional>
#include <type_traits>

#include "../abi/vp.h"
#include "host.h"
#include "partition.h"

namespace mshv::sim {
namespace {

// HV_GET_VP_CPUID_VALUES_FLAGS: apply_registered_values.
constexpr uint32_t kApplyRegistered = 2;

// hv_interrupt_control.
constexpr uint64_t kLevelTriggered = uint64_t{1} << 32;
constexpr uint64_t kLogicalMode = uint64_t{1} << 33;
constexpr uint64_t kAsserted = uint64_t{1} << 34;

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

  // Each is the hypercall of its name: the status.
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
    const uint16_t status = partition_->properties.Set(input.property_code, input.property_value,
                                                       partition_->initialized);
    if (input.property_code == abi::HV_PARTITION_PROPERTY_TIME_FREEZE &&
        input.property_value == 0) {
      host_.Resume(*partition_);
    }
    return status;
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
      Output(host_.GetRegister(*partition_, *vp, name), i * sizeof(abi::hv_register_value));
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

  uint16_t ClearInterrupt() { return abi::HV_STATUS_SUCCESS; }

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
    if (!partition_->IsX64()) {
      // A line that is taken back is no interrupt.
      if ((input.control & kAsserted) != 0) {
        host_.Inject(*partition_,
                     {.vector = input.vector, .type = static_cast<uint32_t>(input.control)});
      }
      return abi::HV_STATUS_SUCCESS;
    }
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

 private:
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

  // A SINT comes to the VP's interrupt controller like an MSI for it.
  void Raise(const VirtualProcessor& vp, const SintResult& result) {
    if (result.vector) {
      const uint64_t destination = partition_->IsX64() ? vp.apic_id : 0;
      host_.Inject(*partition_, {.vector = *result.vector, .destination = destination}, &vp);
    }
  }

  Host& host_;
  Partition* const partition_;
  const uint32_t reps_;
  const uint32_t start_;
  HypercallPages& pages_;
  uint32_t& done_;
};

// The driver's allow-list, all of which the hypervisor knows.
struct Record {
  HypercallTraits traits;
  uint16_t (Call::*perform)();
};

constexpr Record kRecords[] = {
    {{.code = abi::HVCALL_GET_PARTITION_PROPERTY, .of_host = true}, &Call::GetProperty},
    {{.code = abi::HVCALL_GET_PARTITION_PROPERTY_EX, .of_host = true}, &Call::GetProperty},
    {{.code = abi::HVCALL_SET_PARTITION_PROPERTY}, &Call::SetProperty},
    {{.code = abi::HVCALL_INSTALL_INTERCEPT}, &Call::InstallIntercept},
    {{.code = abi::HVCALL_GET_VP_REGISTERS, .rep = true}, &Call::GetRegisters},
    {{.code = abi::HVCALL_SET_VP_REGISTERS, .rep = true}, &Call::SetRegisters},
    {{.code = abi::HVCALL_TRANSLATE_VIRTUAL_ADDRESS}, &Call::Translate},
    {{.code = abi::HVCALL_CLEAR_VIRTUAL_INTERRUPT}, &Call::ClearInterrupt},
    {{.code = abi::HVCALL_REGISTER_INTERCEPT_RESULT}, &Call::RegisterResult},
    {{.code = abi::HVCALL_ASSERT_VIRTUAL_INTERRUPT}, &Call::AssertInterrupt},
    {{.code = abi::HVCALL_SIGNAL_EVENT_DIRECT}, &Call::SignalEvent},
    {{.code = abi::HVCALL_POST_MESSAGE_DIRECT}, &Call::PostMessage},
    {{.code = abi::HVCALL_GET_GPA_PAGES_ACCESS_STATES, .rep = true}, &Call::AccessStates},
    {{.code = abi::HVCALL_GET_VP_CPUID_VALUES, .rep = true}, &Call::Cpuid},
};

const Record* Find(uint16_t code) {
  const auto found =
      std::ranges::find(kRecords, code, [](const Record& record) { return record.traits.code; });
  return found == std::end(kRecords) ? nullptr : &*found;
}

}  // namespace

const HypercallTraits* FindHypercall(uint16_t code) {
  const Record* const record = Find(code);
  return record == nullptr ? nullptr : &record->traits;
}

uint16_t Hypercall(Host& host, Partition* partition, uint16_t code, uint32_t reps, uint32_t start,
                   HypercallPages& pages, uint32_t* done) {
  *done = 0;
  const Refusal refusal = host.Refuse(code);
  const Record* const record = Find(code);
  const bool rep = record != nullptr && record->traits.rep;
  // The control word has 12 bits for the number of reps.
  constexpr uint32_t kMostReps = 0xfff;
  const bool fits = rep ? reps > start && reps <= kMostReps : reps == 0;
  const auto perform = [&](uint32_t end) -> uint16_t {
    if (partition == nullptr && (record == nullptr || !record->traits.of_host)) {
      return abi::HV_STATUS_INVALID_PARTITION_ID;
    }
    if (record == nullptr) {
      return abi::HV_STATUS_INVALID_HYPERCALL_CODE;
    }
    Call call(host, partition, end, start, pages, done);
    return (call.*record->perform)();
  };
  if (!refusal) {
    return fits ? perform(reps) : abi::HV_STATUS_INVALID_HYPERCALL_INPUT;
  }
  const uint32_t end = std::min(reps, start + std::min(refusal.reps, reps));
  if (fits && rep && end > start) {
    const uint16_t status = perform(end);
    if (status != abi::HV_STATUS_SUCCESS) {
      return status;
    }
  } else if (rep) {
    *done = start;
  }
  return refusal.status;
}

}  // namespace mshv::sim
