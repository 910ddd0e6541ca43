// The seam on the simulated driver. Descriptor numbers and eventfds are real; what a device,
// partition or VP descriptor does is simulated.
//
// An eventfd's last reference disarms it, as far as it can be seen: descriptors that came through
// this seam are counted, those of other processes and those opened by other means are not.
#include "../syscalls.h"

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
#include "file.h"
#include "host.h"
#include "registry.h"
#include "system_call_plan.h"

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

int Place(Opened opened) {
  const int fd = opened.fd.release();
  Registry::Get().AddFile(fd, std::move(opened.file));
  return fd;
}

// Closes the descriptor where it cannot be told apart from others.
int PlaceEventFd(UniqueFd fd, bool semaphore) {
  EventFdIdentity identity;
  if (const int error = IdentifyEventFd(fd.get(), &identity); error < 0) {
    return error;
  }
  Registry::Get().AddEventFd(fd.get(), identity.id, semaphore);
  return fd.release();
}

}  // namespace

UniqueFd NewDescriptor(const char* name) {
  const int fd = memfd_create(name, MFD_CLOEXEC);
  return UniqueFd(fd < 0 ? -errno : fd);
}

}  // namespace sim

namespace sys {

int Fault(const char* name) { return sim::SystemCallPlan::Get().Next(name); }

int Open(const char* path) {
  return kernel::Attempt("open", [path] {
    auto host = sim::HostOf(path);
    if (host == nullptr) {
      return -ENOENT;
    }
    sim::Opened opened{sim::NewDescriptor("mshv"), nullptr};
    if (!opened.fd) {
      return opened.fd.get();
    }
    opened.file = std::make_shared<sim::DeviceFile>(std::move(host));
    return sim::Place(std::move(opened));
  });
}

int FastInjection(int device) {
  const auto file = sim::Registry::Get().FindFile(device);
  return file != nullptr && file->host().InjectsFast() ? 1 : 0;
}

int Close(int fd) {
  const auto removed = sim::Registry::Get().Remove(fd);
  if (removed.orphan.host != nullptr) {
    removed.orphan.host->Forget(removed.orphan.id);
  }
  return Step("close", close(fd) < 0 ? -errno : 0);
}

int Dup(int fd) {
  const int copy = kernel::Try("fcntl", [&] { return fcntl(fd, F_DUPFD_CLOEXEC, 0); });
  if (copy < 0) {
    return copy;
  }
  sim::Registry::Get().AddCopy(fd, copy);
  return copy;
}

int Ioctl(int fd, unsigned long request, void* argument) {
  const uint32_t number = static_cast<uint32_t>(request);
  if (sim::SystemCallPlan& plan = sim::SystemCallPlan::Get(); plan.IsCounted()) {
    if (const int error = plan.Next(std::to_string(request)); error < 0) {
      return IoctlStep(number, error);
    }
  }
  const auto file = sim::Registry::Get().FindFile(fd);
  if (file == nullptr) {
    return IoctlStep(number, fcntl(fd, F_GETFD) < 0 ? -errno : -ENOTTY);
  }
  sim::Opened opened;
  const int result = file->Ioctl(number, argument, &opened);
  return IoctlStep(number,
                   result == 0 && opened.file != nullptr ? sim::Place(std::move(opened)) : result);
}

// A VP's descriptor is a file of its own with the register page and the intercept message page.
int MapVpPage(int vp, uint32_t offset, void** page) {
  if (Identify(vp, Kind::kVp) < 0) {
    return -ENODEV;
  }
  // An encrypted partition's only, and there are none.
  if (offset == abi::MSHV_VP_MMAP_OFFSET_GHCB) {
    return -ENODEV;
  }
  if (offset >= abi::MSHV_VP_MMAP_OFFSET_COUNT) {
    return -EINVAL;
  }
  constexpr size_t kPage = abi::MSHV_HV_PAGE_SIZE;
  return kernel::Map(nullptr, kPage, PROT_READ | PROT_WRITE, MAP_SHARED, vp, offset * kPage, page);
}

int Identify(int fd, Kind kind) {
  const auto file = sim::Registry::Get().FindFile(fd);
  if (file == nullptr) {
    return fcntl(fd, F_GETFD) < 0 ? -errno : -EINVAL;
  }
  return file->kind() == kind ? 0 : -EINVAL;
}

int EventFdCreate(uint32_t initial, bool semaphore) {
  UniqueFd fd(kernel::Attempt(
      "eventfd", [initial, semaphore] { return kernel::EventFdCreate(initial, semaphore); }));
  return fd ? Step("open", sim::PlaceEventFd(std::move(fd), semaphore)) : fd.get();
}

int EventFdAdopt(int fd) {
  if (const int error = kernel::EventFdCheck(fd); error < 0) {
    return error;
  }
  EventFdIdentity identity;
  if (const int error = Step("open", IdentifyEventFd(fd, &identity)); error < 0) {
    return error;
  }
  const int own = kernel::Try("fcntl", [&] { return fcntl(fd, F_DUPFD_CLOEXEC, 0); });
  if (own < 0) {
    return own;
  }
  // First, or its last number would be gone meanwhile.
  sim::Registry::Get().AddEventFd(own, identity.id, identity.semaphore);
  Close(fd);
  return own;
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

int EventFdWrite(int fd, uint64_t value, bool bounded) {
  // The write itself is a step; before it there may be others.
  if (const int error = Step("write", Fault("write")); error < 0) {
    return error;
  }
  const auto [id, host] = sim::Registry::Get().FindEventFd(fd);
  if (id == 0 && sim::IsFile(fd)) {
    return Step("write", -EINVAL);
  }
  return host != nullptr ? host->Write(id, fd, value, bounded)
                         : kernel::EventFdWrite(fd, value, bounded);
}

int EventFdRead(int fd, uint64_t* value) {
  return kernel::Attempt("read", [fd, value] {
    const auto [id, host] = sim::Registry::Get().FindEventFd(fd);
    if (id == 0 && sim::IsFile(fd)) {
      return -EINVAL;
    }
    return host != nullptr ? host->Read(id, fd, value) : kernel::EventFdRead(fd, value);
  });
}

int EventFdPoll(int fd) {
  return kernel::Attempt("poll", [fd] {
    const auto [id, host] = sim::Registry::Get().FindEventFd(fd);
    return host != nullptr ? host->Poll(id, fd) : kernel::EventFdPoll(fd);
  });
}

}  // namespace sys
}  // namespace mshv
