#ifndef MSHV_NATIVE_ARCHITECTURE_H_
#define MSHV_NATIVE_ARCHITECTURE_H_

namespace mshv {

// What a hypervisor and its guests run on. The numbers are part of the addon's interface
// (architecture in lib/native.ts).
enum class Architecture : int { kX64 = 0, kArm64 = 1 };

#if defined(__x86_64__)
inline constexpr Architecture kOwnArchitecture = Architecture::kX64;
#else
inline constexpr Architecture kOwnArchitecture = Architecture::kArm64;
#endif

}  // namespace mshv

#endif  // MSHV_NATIVE_ARCHITECTURE_H_
