#ifndef MSHV_NATIVE_POLLER_H_
#define MSHV_NATIVE_POLLER_H_

#include <node_api.h>
#include <uv.h>

#include <functional>
#include <memory>
#include <unordered_map>

namespace mshv {

// Watches eventfds on the environment's own loop, one uv_poll_t each, and hands what it reads to
// the function that came with each. Functions return 0 or -errno.
class Poller {
 public:
  Poller(napi_env env, uv_loop_t* loop) : env_(env), loop_(loop) {}

  Poller(const Poller&) = delete;
  Poller& operator=(const Poller&) = delete;

  int Watch(int fd, napi_value on_count);
  int Unwatch(int fd);
  int HoldLoop(int fd, bool hold);

  // Stops everything; `closed` runs once libuv has let go of the last handle.
  void Close(std::function<void()> closed);

 private:
  struct Watched {
    uv_poll_t handle;
    Poller* poller;
    int fd;
    napi_ref on_count;
  };

  static void OnReadable(uv_poll_t* handle, int status, int events);
  static void OnClosed(uv_handle_t* handle);
  void Call(napi_ref on_count, uint64_t count);
  void Release(std::unique_ptr<Watched> watched);

  napi_env env_;
  uv_loop_t* loop_;
  std::unordered_map<int, std::unique_ptr<Watched>> watched_;
  std::unordered_map<uv_handle_t*, std::unique_ptr<Watched>> closing_;
  std::function<void()> closed_;
};

}  // namespace mshv

#endif  // MSHV_NATIVE_POLLER_H_
