// qemu-user has two signals for the C library of this machine, and so none for the guest's 63 and
// 64: it takes handlers of theirs, never calls them, and makes no timer that sends one. Preloaded,
// this has the addons take others: somebody has these.
#include <signal.h>

static void Ignore(int signal) { (void)signal; }

__attribute__((constructor)) static void Take(void) {
  const struct sigaction action = {.sa_handler = Ignore, .sa_flags = SA_RESTART};
  for (int signal = SIGRTMAX - 1; signal <= SIGRTMAX; ++signal) {
    sigaction(signal, &action, 0);
  }
}
