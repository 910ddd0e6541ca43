#ifndef MSHV_NATIVE_SIM_REGISTRY_H_
#define MSHV_NATIVE_SIM_REGISTRY_H_

#include <memory>
#include <mutex>
#include <unordered_map>
#include <vector>

#include "../eventfd_identity.h"
#include "file.h"
#include "host.h"

namespace mshv::sim {

// The process's table of simulated machines and of the descriptors that the seam handed out, shared
// by all environments. Its lock is the innermost: a host may call it, it calls nobody.
class Registry {
 public:
  // Never destroyed: at exit Workers and simulated machines may still be running.
  static Registry& Get();

  // Makes a host and returns its id, which is never used again.
  int AddHost(const HostOptions& options, const void* owner);
  std::shared_ptr<Host> FindHost(int id);
  std::shared_ptr<Host> RemoveHost(int id);
  std::vector<std::shared_ptr<Host>> RemoveHostsOf(const void* owner);

  // A number that was closed past the seam may come back: the new meaning replaces the old one.
  void AddFile(int fd, std::shared_ptr<File> file);
  void AddEventFd(int fd, EventFdId id, bool semaphore);
  // Makes `copy` mean what `fd` means.
  void AddCopy(int fd, int copy);

  std::shared_ptr<File> FindFile(int fd);

  struct HostedEventFd {
    EventFdId id = 0;
    // Who has it armed or listens with it, or null.
    std::shared_ptr<Host> host;
  };
  HostedEventFd FindEventFd(int fd);

  // Where two machines have one eventfd, the later one is not asked about reads and writes.
  void Attach(EventFdId id, std::shared_ptr<Host> host);
  void Detach(EventFdId id, const Host& host);
  bool IsSemaphore(EventFdId id);

  struct Removed {
    std::shared_ptr<File> file;
    // The eventfd whose last number this was.
    HostedEventFd orphan;
  };
  Removed Remove(int fd);

 private:
  struct Descriptor {
    // An eventfd where null.
    std::shared_ptr<File> file;
    EventFdId eventfd = 0;
  };
  struct EventFd {
    int numbers = 0;
    bool semaphore = false;
    std::shared_ptr<Host> host;
  };

  Registry() = default;
  // With the lock held.
  Removed Take(int fd);
  void EraseUnused(EventFdId id);

  std::mutex lock_;
  int last_host_ = 0;
  std::unordered_map<int, std::shared_ptr<Host>> hosts_;
  std::unordered_map<int, Descriptor> descriptors_;
  std::unordered_map<EventFdId, EventFd> eventfds_;
};

}  // namespace mshv::sim

#endif  // MSHV_NATIVE_SIM_REGISTRY_H_
