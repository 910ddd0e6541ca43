#ifndef MSHV_NATIVE_POLLER_H_
#define MSHV_NATIVE_POLLER_H_

#include <node_api.h>
#include <uv.h>

#include <cstdint>
#include <memory>
#include <unordered_map>

#include "event_loop.h"
#include "or_error.h"

namespace mshv {

// Watches eventfds on the environment's own loop, one uv_poll_t each, and hands what it reads to
// the function that came with each, once in a turn of the loop.
class Poller {
 public:
  Poller(napi_env env, uv_loop_t* loop, ClosingHandles& closing)
      : env_(env), loop_(loop), closing_(closing) {}

  Poller(const Poller&) = delete;
  Poller& operator=(const Poller&) = delete;

  OrError<void> Watch(int fd, napi_value on_count);
  OrError<void> Unwatch(int fd);
  OrError<void> HoldLoop(int fd, bool hold);

  void UnwatchAll();

 private:
  struct Watched {
    uv_poll_t handle;
    Poller* poller;
    int fd;
    napi_ref on_count;
    // The turn of the loop in which it was heard last.
    uint64_t turn;
  };

  static void OnReadable(uv_poll_t* handle, int status, int events);
  void Release(std::unique_ptr<Watched> watched);

  napi_env env_;
  uv_loop_t* loop_;
  ClosingHandles& closing_;
  std::unordered_map<int, std::unique_ptr<Watched>> watched_;
};

}  // namespace mshv

#endif  // MSHV_NATIVE_POLLER_H_
