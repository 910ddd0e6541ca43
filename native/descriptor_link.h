#ifndef MSHV_NATIVE_DESCRIPTOR_LINK_H_
#define MSHV_NATIVE_DESCRIPTOR_LINK_H_

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <string>
#include <string_view>

#include "system_call.h"

namespace mshv::kernel {

// Checks that the kernel's name for what a descriptor refers to is `name`: -EINVAL where it is
// another, -EBADF where the descriptor is not open, -ENOENT where there is no /proc to say so.
inline OrError<void> CompareLink(int fd, std::string_view name) {
  // Room for one character more, so that a longer name is not taken for this one.
  std::array<char, 64> link;
  const auto length = Try("readlink", [&] {
    return static_cast<int>(readlink(("/proc/self/fd/" + std::to_string(fd)).c_str(), link.data(),
                                     std::min(link.size(), name.size() + 1)));
  });
  if (!length) {
    const auto open = Try("fcntl", [&] { return fcntl(fd, F_GETFD); });
    return open ? FailedAt("readlink", length.error().number()) : open.error();
  }
  const bool equal = std::string_view(link.data(), static_cast<size_t>(*length)) == name;
  return equal ? OrError<void>() : FailedAt("readlink", -EINVAL);
}

}  // namespace mshv::kernel

#endif  // MSHV_NATIVE_DESCRIPTOR_LINK_H_
