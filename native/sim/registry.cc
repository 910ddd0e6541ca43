#include "registry.h"

#include <utility>

namespace mshv::sim {

Registry& Registry::Get() {
  static Registry& registry = *std::unique_ptr<Registry>(new Registry).release();
  return registry;
}

int Registry::AddHost(const HostOptions& options, const void* owner) {
  const std::lock_guard guard(lock_);
  const int id = ++last_host_;
  hosts_[id] = std::make_shared<Host>(id, options, owner);
  return id;
}

std::shared_ptr<Host> Registry::FindHost(int id) {
  const std::lock_guard guard(lock_);
  const auto found = hosts_.find(id);
  return found == hosts_.end() ? nullptr : found->second;
}

std::shared_ptr<Host> Registry::RemoveHost(int id) {
  const std::lock_guard guard(lock_);
  auto node = hosts_.extract(id);
  return node ? std::move(node.mapped()) : nullptr;
}

std::vector<std::shared_ptr<Host>> Registry::RemoveHostsOf(const void* owner) {
  const std::lock_guard guard(lock_);
  std::vector<std::shared_ptr<Host>> removed;
  for (auto host = hosts_.begin(); host != hosts_.end();) {
    if (host->second->owner() == owner) {
      removed.push_back(std::move(host->second));
      host = hosts_.erase(host);
    } else {
      ++host;
    }
  }
  return removed;
}

void Registry::AddFile(int fd, std::shared_ptr<File> file) {
  Removed stale;  // Goes after the lock: a file's end locks its host.
  const std::lock_guard guard(lock_);
  stale = Take(fd);
  descriptors_[fd] = {std::move(file), 0};
}

void Registry::AddEventFd(int fd, EventFdId id, bool semaphore) {
  Removed stale;
  const std::lock_guard guard(lock_);
  stale = Take(fd);
  descriptors_[fd] = {nullptr, id};
  EventFd& eventfd = eventfds_[id];
  ++eventfd.numbers;
  eventfd.semaphore = semaphore;
}

void Registry::AddCopy(int fd, int copy) {
  Removed stale;
  const std::lock_guard guard(lock_);
  stale = Take(copy);
  const auto found = descriptors_.find(fd);
  if (found == descriptors_.end()) {
    return;
  }
  const Descriptor descriptor = found->second;
  descriptors_[copy] = descriptor;
  if (descriptor.file == nullptr) {
    ++eventfds_[descriptor.eventfd].numbers;
  }
}

std::shared_ptr<File> Registry::FindFile(int fd) {
  const std::lock_guard guard(lock_);
  const auto found = descriptors_.find(fd);
  return found == descriptors_.end() ? nullptr : found->second.file;
}

Registry::HostedEventFd Registry::FindEventFd(int fd) {
  const std::lock_guard guard(lock_);
  const auto found = descriptors_.find(fd);
  if (found == descriptors_.end() || found->second.file != nullptr) {
    return {};
  }
  const EventFdId id = found->second.eventfd;
  return {id, eventfds_[id].host};
}

void Registry::Attach(EventFdId id, std::shared_ptr<Host> host) {
  const std::lock_guard guard(lock_);
  EventFd& eventfd = eventfds_[id];
  if (eventfd.host == nullptr) {
    eventfd.host = std::move(host);
  }
}

void Registry::Detach(EventFdId id, const Host& host) {
  const std::lock_guard guard(lock_);
  const auto found = eventfds_.find(id);
  if (found != eventfds_.end() && found->second.host.get() == &host) {
    found->second.host = nullptr;
    EraseUnused(id);
  }
}

bool Registry::IsSemaphore(EventFdId id) {
  const std::lock_guard guard(lock_);
  const auto found = eventfds_.find(id);
  return found != eventfds_.end() && found->second.semaphore;
}

Registry::Removed Registry::Remove(int fd) {
  const std::lock_guard guard(lock_);
  return Take(fd);
}

Registry::Removed Registry::Take(int fd) {
  Removed removed;
  auto node = descriptors_.extract(fd);
  if (!node) {
    return removed;
  }
  removed.file = std::move(node.mapped().file);
  if (removed.file == nullptr) {
    const EventFdId id = node.mapped().eventfd;
    EventFd& eventfd = eventfds_[id];
    if (--eventfd.numbers == 0) {
      removed.orphan = {id, eventfd.host};
    }
    EraseUnused(id);
  }
  return removed;
}

void Registry::EraseUnused(EventFdId id) {
  const auto found = eventfds_.find(id);
  if (found->second.numbers == 0 && found->second.host == nullptr) {
    eventfds_.erase(found);
  }
}

}  // namespace mshv::sim
