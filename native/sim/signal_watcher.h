#ifndef MSHV_NATIVE_SIM_SIGNAL_WATCHER_H_
#define MSHV_NATIVE_SIM_SIGNAL_WATCHER_H_

#include <pthread.h>
#include <sys/epoll.h>

#include <functional>
#include <span>
#include <utility>
#include <vector>

#include "../eventfd_identity.h"
#include "../ownership.h"

namespace mshv::sim {

// Sees every write to the watched eventfds, from whatever thread or process, also where the counter
// was not 0 before: an edge-triggered epoll set, and a thread that says when to look into it.
//
// Watch, Unwatch and Take need the caller's lock, Stop must be called without it: the thread takes
// it in `on_signal`. The thread starts with the first Watch, blocks all Unix signals, and holds
// nothing that could keep the process from exiting.
class SignalWatcher {
 public:
  explicit SignalWatcher(std::function<void()> on_signal) : on_signal_(std::move(on_signal)) {}
  ~SignalWatcher() { Stop(); }

  SignalWatcher(const SignalWatcher&) = delete;
  SignalWatcher& operator=(const SignalWatcher&) = delete;

  // A counter that is not 0 already counts as a signal.
  OrError<void> Watch(EventFdId id, int fd);
  void Unwatch(int fd);

  // The eventfds written to since the last call, until the next one. One whose write(2) has
  // returned is never missing; several writes to one may come as one.
  std::span<const EventFdId> Take();

  // Ends the thread. Nothing may be watched any more, and nothing may be afterwards.
  void Stop();

 private:
  OrError<void> Start();
  static void* Run(void* self);

  const std::function<void()> on_signal_;
  UniqueFd epoll_;
  UniqueFd stop_;
  pthread_t thread_{};
  int watched_ = 0;
  std::vector<epoll_event> events_;
  std::vector<EventFdId> taken_;
};

}  // namespace mshv::sim

#endif  // MSHV_NATIVE_SIM_SIGNAL_WATCHER_H_
