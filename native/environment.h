#ifndef MSHV_NATIVE_ENVIRONMENT_H_
#define MSHV_NATIVE_ENVIRONMENT_H_

#include <node_api.h>

#include <memory>
#include <unordered_map>
#include <vector>

#include "or_error.h"

struct uv_loop_s;

namespace mshv {

class BufferDetacher;
class ClosingHandles;
class MemoryTable;
class Poller;
class ShareTokens;
class VpTable;

// What one JavaScript environment (the main thread or a Worker) owns: the descriptors and the
// memory that the addon handed out there and the poller that watches eventfds. Everything is closed
// when the environment ends, so a terminated Worker leaves nothing behind.
class Environment {
 public:
  // Attaches the state to `env`; nullptr where the environment is already ending.
  static Environment* Attach(napi_env env);

  Environment(const Environment&) = delete;
  Environment& operator=(const Environment&) = delete;

  ~Environment();

  napi_env env() const { return env_; }
  const BufferDetacher& detacher() const { return *detacher_; }
  Poller& poller() { return *poller_; }
  MemoryTable& memories() { return *memories_; }
  VpTable& vps() { return *vps_; }
  ShareTokens& tokens() { return *tokens_; }

  void Own(int fd);
  // Records a descriptor that a system call returned; passes errors through.
  OrError<int> Own(OrError<int> fd) {
    if (fd) {
      Own(*fd);
    }
    return fd;
  }
  bool Owns(int fd) const {
    return fd >= 0 && static_cast<size_t>(fd) < owned_.size() && owned_[static_cast<size_t>(fd)];
  }
  void Disown(int fd) { owned_[static_cast<size_t>(fd)] = false; }

  // A second descriptor of an eventfd, for others to know: the same one each time until Hide, which
  // closes it unless somebody has done that already.
  OrError<int> Show(int fd);
  void Hide(int fd);

 private:
  Environment(napi_env env, uv_loop_s* loop);

  static void CleanUp(napi_async_cleanup_hook_handle hook, void* data);

  const napi_env env_;
  const std::unique_ptr<const BufferDetacher> detacher_;
  const std::unique_ptr<ClosingHandles> closing_;
  const std::unique_ptr<Poller> poller_;
  const std::unique_ptr<MemoryTable> memories_;
  const std::unique_ptr<VpTable> vps_;
  const std::unique_ptr<ShareTokens> tokens_;
  std::vector<bool> owned_;
  // By the descriptor that nobody else knows.
  std::unordered_map<int, int> shown_;
};

}  // namespace mshv

#endif  // MSHV_NATIVE_ENVIRONMENT_H_
