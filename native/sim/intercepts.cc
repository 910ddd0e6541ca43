#include "intercepts.h"

#include <algorithm>
#include <cstring>

#if defined(__x86_64__)
#include <cpuid.h>
#endif

namespace mshv::sim {
namespace {

using CpuidParameters = abi::hv_register_x64_cpuid_result_parameters;
using MsrParameters = abi::hv_register_x64_msr_result_parameters;

template <typename Parameters>
Parameters Read(const RegisteredResult& result) {
  Parameters parameters;
  static_assert(sizeof(parameters) <= sizeof(result.parameters));
  std::memcpy(&parameters, result.parameters, sizeof(parameters));
  return parameters;
}

bool SameInput(const RegisteredResult& one, const RegisteredResult& other) {
  if (one.vp != other.vp || one.type != other.type) {
    return false;
  }
  switch (one.type) {
    case abi::HV_INTERCEPT_TYPE_X64_CPUID: {
      const auto a = Read<CpuidParameters>(one).input;
      const auto b = Read<CpuidParameters>(other).input;
      return a.eax == b.eax && a.ecx == b.ecx && a.subleaf_specific == b.subleaf_specific;
    }
    case abi::HV_INTERCEPT_TYPE_X64_MSR: {
      const auto a = Read<MsrParameters>(one);
      const auto b = Read<MsrParameters>(other);
      return a.msr_index == b.msr_index && a.access_type == b.access_type;
    }
    default:
      return std::memcmp(one.parameters, other.parameters, sizeof(one.parameters)) == 0;
  }
}

// Of a machine without CPUID all are 0.
CpuidResult MachineCpuid([[maybe_unused]] uint32_t eax, [[maybe_unused]] uint32_t ecx) {
  CpuidResult result;
#if defined(__x86_64__)
  __cpuid_count(eax, ecx, result.eax, result.ebx, result.ecx, result.edx);
#endif
  return result;
}

}  // namespace

void Intercepts::Install(const InstalledIntercept& intercept) {
  std::erase_if(installed_, [&intercept](const InstalledIntercept& other) {
    return other.type == intercept.type && other.parameter == intercept.parameter;
  });
  if (intercept.access != 0) {
    installed_.push_back(intercept);
  }
}

void Intercepts::Register(const RegisteredResult& result) {
  std::erase_if(registered_,
                [&result](const RegisteredResult& other) { return SameInput(result, other); });
  registered_.push_back(result);
}

bool Intercepts::Covers(uint32_t type, std::optional<uint64_t> parameter, uint32_t access) const {
  return std::ranges::any_of(installed_, [&](const InstalledIntercept& installed) {
    return installed.type == type && (!parameter || installed.parameter == *parameter) &&
           (access == 0 || (installed.access & access) != 0);
  });
}

CpuidResult Intercepts::Cpuid(uint32_t vp, uint32_t eax, uint32_t ecx, bool registered) const {
  CpuidResult result = MachineCpuid(eax, ecx);
  if (!registered) {
    return result;
  }
  for (const RegisteredResult& known : registered_) {
    if (known.type != abi::HV_INTERCEPT_TYPE_X64_CPUID ||
        (known.vp != vp && known.vp != abi::HV_ANY_VP)) {
      continue;
    }
    const auto [input, value] = Read<CpuidParameters>(known);
    if (input.eax != eax || (input.subleaf_specific != 0 && input.ecx != ecx)) {
      continue;
    }
    const auto apply = [](uint32_t& to, uint32_t from, uint32_t mask) {
      to = (to & ~mask) | (from & mask);
    };
    apply(result.eax, value.eax, value.eax_mask);
    apply(result.ebx, value.ebx, value.ebx_mask);
    apply(result.ecx, value.ecx, value.ecx_mask);
    apply(result.edx, value.edx, value.edx_mask);
  }
  return result;
}

}  // namespace mshv::sim
