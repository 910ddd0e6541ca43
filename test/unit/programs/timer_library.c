// A library of somebody who uses SIGRTMIN as the example of timer_create(2) does: what comes with
// the signal is its own data, wherever that points.
//
// SIGUSR2 has it tell how often its handler has run and what the process does with each signal, and
// queue SIGRTMIN once more:
//
//   runs 0
//   signal 34: 0x7f0000001000 flags 10000004 mask 0000000000000000
#define _GNU_SOURCE
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

struct Job {
  int runs;
};

static struct Job job;

static void OnTimer(int signal, siginfo_t* info, void* context) {
  (void)signal;
  (void)context;
  ((struct Job*)info->si_value.sival_ptr)->runs++;
}

static void Tell(int ignored) {
  (void)ignored;
  dprintf(STDERR_FILENO, "runs %d\n", job.runs);
  for (int signal = 1; signal <= SIGRTMAX; ++signal) {
    struct sigaction action;
    // It refuses those of the C library.
    if (sigaction(signal, NULL, &action) == 0) {
      unsigned long long mask = 0;
      memcpy(&mask, &action.sa_mask, sizeof(mask));
      dprintf(STDERR_FILENO, "signal %d: %p flags %x mask %016llx\n", signal,
              (void*)action.sa_sigaction, (unsigned)action.sa_flags, mask);
    }
  }
  // The handler runs now, or a little later where a sanitizer puts it off.
  pthread_sigqueue(pthread_self(), SIGRTMIN, (union sigval){.sival_ptr = &job});
}

__attribute__((constructor)) static void Load(void) {
  const struct sigaction timer = {.sa_sigaction = OnTimer, .sa_flags = SA_SIGINFO | SA_RESTART};
  sigaction(SIGRTMIN, &timer, NULL);
  const struct sigaction tell = {.sa_handler = Tell, .sa_flags = SA_RESTART};
  sigaction(SIGUSR2, &tell, NULL);
}
