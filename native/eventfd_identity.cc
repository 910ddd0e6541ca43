#include "eventfd_identity.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

namespace mshv {
namespace {

std::optional<uint64_t> Field(std::string_view text, std::string_view name, int base) {
  const size_t found = text.find(name);
  if (found == std::string_view::npos) {
    return std::nullopt;
  }
  text.remove_prefix(found + name.size());
  text.remove_prefix(std::min(text.find_first_not_of(" \t"), text.size()));
  uint64_t value = 0;
  const auto parsed = std::from_chars(text.data(), text.data() + text.size(), value, base);
  return parsed.ec == std::errc() ? std::optional(value) : std::nullopt;
}

}  // namespace

OrError<EventFdIdentity> IdentifyEventFd(int fd) {
  if (fcntl(fd, F_GETFD) < 0) {
    return Error(-errno);
  }
  const UniqueFd info(
      open(("/proc/self/fdinfo/" + std::to_string(fd)).c_str(), O_RDONLY | O_CLOEXEC));
  char text[512];
  const ssize_t length = info ? read(info.get(), text, sizeof(text)) : -1;
  if (length < 0) {
    return Error(-errno);
  }
  const std::string_view fields(text, static_cast<size_t>(length));
  const auto id = Field(fields, "eventfd-id:", 10);
  const auto count = Field(fields, "eventfd-count:", 16);
  if (!id || !count) {
    return Error(-EINVAL);
  }
  // Kernels before 6.5 do not say whether it is a semaphore.
  return EventFdIdentity{*id, *count, Field(fields, "eventfd-semaphore:", 10).value_or(0) == 1};
}

OrError<OwnEventFd> AcquireEventFd(int fd) {
  OrError<UniqueFd> own = UniqueFd::Dup(fd);
  if (!own) {
    return own.error();
  }
  const auto identity = IdentifyEventFd(own->get());
  if (!identity) {
    return identity.error();
  }
  return OwnEventFd{*std::move(own), *identity};
}

bool IsSameEventFd(int fd, int other) {
  const auto one = IdentifyEventFd(fd);
  const auto two = IdentifyEventFd(other);
  return one.error() == two.error() && (!one || one->id == two->id);
}

}  // namespace mshv
