// A library of somebody who uses real-time signals, as the example of timer_create(2) does: its
// handler takes what comes with the signal for its own data, and ends the process where that is
// something else.
//
// Those of MSHV_TEST_TAKES ("64-64", "34-64"), whoever has them: at once, or at SIGUSR1 where
// MSHV_TEST_WHEN is "later", or "later ignored", which ignores them. SIGUSR2 gives them back.
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static int first;
static int last;

static void OnSignal(int signal, siginfo_t* info, void* context) {
  (void)signal;
  (void)info;
  (void)context;
  static const char kText[] = "a signal of somebody else's\n";
  (void)!write(STDERR_FILENO, kText, sizeof(kText) - 1);
  _exit(99);
}

static void SetAll(const struct sigaction* action) {
  for (int signal = first; signal <= last; ++signal) {
    sigaction(signal, action, NULL);
  }
}

static void TakeAll(int ignored) {
  (void)ignored;
  SetAll(&(struct sigaction){.sa_sigaction = OnSignal, .sa_flags = SA_SIGINFO | SA_RESTART});
}

static void IgnoreAll(int ignored) {
  (void)ignored;
  SetAll(&(struct sigaction){.sa_handler = SIG_IGN});
}

static void GiveBack(int ignored) {
  (void)ignored;
  SetAll(&(struct sigaction){.sa_handler = SIG_DFL});
}

__attribute__((constructor)) static void Load(void) {
  const char* takes = getenv("MSHV_TEST_TAKES");
  const char* when = getenv("MSHV_TEST_WHEN");
  if (takes == NULL || when == NULL || sscanf(takes, "%d-%d", &first, &last) != 2) {
    abort();
  }
  if (when[0] == 'n') {
    TakeAll(0);
  } else if (when[0] == 'l') {
    const int ignores = strcmp(when, "later ignored") == 0;
    struct sigaction action = {.sa_handler = ignores ? IgnoreAll : TakeAll, .sa_flags = SA_RESTART};
    sigaction(SIGUSR1, &action, NULL);
    action.sa_handler = GiveBack;
    sigaction(SIGUSR2, &action, NULL);
  } else if (when[0] == 'i') {
    IgnoreAll(0);
  } else {
    sigset_t set;
    sigfillset(&set);
    for (int signal = 1; signal < SIGRTMIN; ++signal) {
      sigdelset(&set, signal);
    }
    pthread_sigmask(SIG_BLOCK, &set, NULL);
  }
}
