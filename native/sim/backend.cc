// The seam on the simulated driver. Descriptor numbers and eventfds are real; what a device,
// partition or VP descriptor does is simulated.
//
// An eventfd's last reference disarms it, as far as it can be seen: descriptors that came through
// this seam are counted, those of other processes and those opened by other means are not.
#include "../backend.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cerrno>
#include <charconv>
#include <memory>
#include <string>
#include <string_view>
#include <utility>

#include "../abi/mshv.h"
#include "../eventfd_identity.h"
#include "../kernel_eventfd.h"
#include "failing_calls.h"
#include "file.h"
#include "host.h"
#include "registry.h"

namespace mshv {
namespace sim {
namespace {

std::shared_ptr<Host> HostOf(std::string_view path) {
  constexpr std::string_view kPrefix = "sim:";
  if (!path.starts_with(kPrefix)) {
    return nullptr;
  }
  path.remove_prefix(kPrefix.size());
  int id = 0;
  const auto [end, error] = std::from_chars(path.data(), path.data() + path.size(), id);
  const bool whole = error == std::errc() && end == path.data() + path.size();
  return whole ? Registry::Get().FindHost(id) : nullptr;
}

// The driver's files can be neither read nor written.
bool IsFile(int fd) { return Registry::Get().FindFile(fd) != nullptr; }

OrError<int> Place(Opened opened) {
  const int fd = opened.fd.release();
  Registry::Get().AddFile(fd, std::move(opened.file));
  return fd;
}

// Closes the descriptor where it cannot be told apart from others.
OrError<int> PlaceEventFd(UniqueFd fd, bool semaphore) {
  const auto identity = IdentifyEventFd(fd.get());
  if (!identity) {
    return identity.error();
  }
  Registry::Get().AddEventFd(fd.get(), identity->id, semaphore);
  return fd.release();
}

}  // namespace

// Of a file of memory that can be sealed.
OrError<UniqueFd> NewDescriptor(const char* name) {
  return UniqueFd::Of(memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING));
}

}  // namespace sim

namespace backend {

Error Fault(const char* name) { return sim::FailingCalls::Get().Next(name); }

OrError<int> Open(const char* path) {
  return kernel::Attempt("open", [path]() -> OrError<int> {
    auto host = sim::HostOf(path);
    if (host == nullptr) {
      return Error(-ENOENT);
    }
    OrError<UniqueFd> fd = sim::NewDescriptor("mshv");
    if (!fd) {
      return fd.error();
    }
    return sim::Place({*std::move(fd), std::make_shared<sim::DeviceFile>(std::move(host))});
  });
}

Architecture ArchitectureOf(int fd) {
  const auto file = sim::Registry::Get().FindFile(fd);
  return file == nullptr ? sim::HostOptions().architecture : file->host().options().architecture;
}

bool FastInjection(int device) {
  const auto file = sim::Registry::Get().FindFile(device);
  return file != nullptr && file->host().InjectsFast();
}

OrError<void> Close(int fd) {
  const auto removed = sim::Registry::Get().Remove(fd);
  if (removed.orphan.host != nullptr) {
    removed.orphan.host->Forget(removed.orphan.id);
  }
  return Step("close", OrError<void>(Error(close(fd) < 0 ? -errno : 0)));
}

OrError<int> Dup(int fd) {
  OrError<UniqueFd> copy = kernel::Dup(fd);
  if (!copy) {
    return copy.error();
  }
  sim::Registry::Get().AddCopy(fd, copy->get());
  return copy->release();
}

OrError<int> Ioctl(int fd, unsigned long request, void* argument) {
  const uint32_t number = static_cast<uint32_t>(request);
  if (sim::FailingCalls& calls = sim::FailingCalls::Get(); calls.IsCounted()) {
    if (const Error fault = calls.Next(std::to_string(request)); fault != 0) {
      return IoctlStep(number, fault);
    }
  }
  const auto file = sim::Registry::Get().FindFile(fd);
  if (file == nullptr) {
    return IoctlStep(number, Error(fcntl(fd, F_GETFD) < 0 ? -errno : -ENOTTY));
  }
  OrError<sim::Opened> opened = file->Ioctl(number, argument);
  if (!opened) {
    return IoctlStep(number, opened.error());
  }
  return opened->file == nullptr ? OrError<int>(0) : sim::Place(*std::move(opened));
}

// A VP's descriptor is a file of its own with the register page and the intercept message page.
OrError<Mapping> MapVpPage(int vp, uint32_t offset) {
  if (!Identify(vp, Kind::kVp)) {
    return Error(-ENODEV);
  }
  // An encrypted partition's only, and there are none.
  if (offset == abi::MSHV_VP_MMAP_OFFSET_GHCB) {
    return Error(-ENODEV);
  }
  if (offset >= abi::MSHV_VP_MMAP_OFFSET_COUNT) {
    return Error(-EINVAL);
  }
  constexpr size_t kPage = abi::MSHV_HV_PAGE_SIZE;
  return kernel::Map(kPage, MAP_SHARED, vp, offset * kPage);
}

OrError<void> Identify(int fd, Kind kind) {
  const auto file = sim::Registry::Get().FindFile(fd);
  if (file == nullptr) {
    return Error(fcntl(fd, F_GETFD) < 0 ? -errno : -EINVAL);
  }
  return Error(file->kind() == kind ? 0 : -EINVAL);
}

OrError<int> EventFdCreate(uint32_t initial, bool semaphore) {
  OrError<UniqueFd> fd = kernel::Attempt(
      "eventfd", [initial, semaphore] { return kernel::EventFdCreate(initial, semaphore); });
  return fd ? Step("open", sim::PlaceEventFd(*std::move(fd), semaphore)) : fd.error();
}

OrError<int> EventFdAdopt(int fd) {
  if (const auto is = kernel::EventFdCheck(fd); !is) {
    return is.error();
  }
  const auto identity = Step("open", IdentifyEventFd(fd));
  if (!identity) {
    return identity.error();
  }
  OrError<UniqueFd> own = kernel::Dup(fd);
  if (!own) {
    return own.error();
  }
  // First, or its last number would be gone meanwhile.
  sim::Registry::Get().AddEventFd(own->get(), identity->id, identity->semaphore);
  static_cast<void>(Close(fd));
  return own->release();
}

void EventFdCloseCopy(int fd, int copy) {
  sim::Registry& registry = sim::Registry::Get();
  if (registry.FindEventFd(copy).id == registry.FindEventFd(fd).id) {
    registry.Remove(copy);
  }
  if (IsSameEventFd(fd, copy)) {
    close(copy);
  }
}

OrError<void> EventFdWrite(int fd, uint64_t value, bool bounded) {
  // The write itself is a step; before it there may be others.
  if (const Error fault = Fault("write"); fault != 0) {
    return FailedAt("write", fault.number());
  }
  const auto [id, host] = sim::Registry::Get().FindEventFd(fd);
  if (id == 0 && sim::IsFile(fd)) {
    return FailedAt("write", -EINVAL);
  }
  return host != nullptr ? host->Write(id, fd, value, bounded)
                         : kernel::EventFdWrite(fd, value, bounded);
}

OrError<uint64_t> EventFdRead(int fd) {
  return kernel::Attempt("read", [fd]() -> OrError<uint64_t> {
    const auto [id, host] = sim::Registry::Get().FindEventFd(fd);
    if (id == 0 && sim::IsFile(fd)) {
      return Error(-EINVAL);
    }
    return host != nullptr ? host->Read(id, fd) : kernel::EventFdRead(fd);
  });
}

OrError<bool> EventFdPoll(int fd) {
  return kernel::Attempt("poll", [fd] {
    const auto [id, host] = sim::Registry::Get().FindEventFd(fd);
    return host != nullptr ? host->Poll(id, fd) : kernel::EventFdPoll(fd);
  });
}

}  // namespace backend
}  // namespace mshv
