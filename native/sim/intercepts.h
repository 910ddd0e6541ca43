#ifndef MSHV_NATIVE_SIM_INTERCEPTS_H_
#define MSHV_NATIVE_SIM_INTERCEPTS_H_

#include <cstdint>
#include <optional>
#include <vector>

#include "../abi/hypercalls.h"

namespace mshv::sim {

// HvCallInstallIntercept: what of a guest's doing comes to the VMM.
struct InstalledIntercept {
  uint32_t type = 0;
  // HV_INTERCEPT_ACCESS_MASK_*.
  uint32_t access = 0;
  uint64_t parameter = 0;
};

// HvCallRegisterInterceptResult: what the hypervisor answers a guest with instead.
struct RegisteredResult {
  // HV_ANY_VP for all.
  uint32_t vp = 0;
  uint32_t type = 0;
  uint8_t parameters[44] = {};
};

struct CpuidResult {
  uint32_t eax = 0;
  uint32_t ebx = 0;
  uint32_t ecx = 0;
  uint32_t edx = 0;
};

// What a partition's guest does not do by itself.
class Intercepts {
 public:
  // Replaces what is there for the type and parameter; access 0 removes it.
  void Install(const InstalledIntercept& intercept);
  // Replaces what is there for the same input.
  void Register(const RegisteredResult& result);

  // Whether an intercept covers it. No parameter: whatever the parameter is; access 0: whatever the
  // access is.
  bool Covers(uint32_t type, std::optional<uint64_t> parameter, uint32_t access) const;

  // This machine's CPUID, all zero on others than x64; with what was registered where asked for.
  CpuidResult Cpuid(uint32_t vp, uint32_t eax, uint32_t ecx, bool registered) const;

  const std::vector<InstalledIntercept>& installed() const { return installed_; }
  const std::vector<RegisteredResult>& registered() const { return registered_; }

 private:
  std::vector<InstalledIntercept> installed_;
  std::vector<RegisteredResult> registered_;
};

}  // namespace mshv::sim

#endif  // MSHV_NATIVE_SIM_INTERCEPTS_H_
