// The C side of the eventfd lines. The eventfd is descriptor 3. One request a line, one answer a
// line:
//
//   signal N          writes N times; answers the ns that took
//   pace N INTERVAL   every INTERVAL ns, writes the time (CLOCK_MONOTONIC, ns) into the empty
//   counter,
//                     N times in all; answers "paced"
//   receive N         answers "ready", then, in an epoll loop, reads N such times and answers how
//   many ns
//                     ago each was when it got there
//
// With the argument "threaded" a second thread waits all the while, as in any VMM and in Node: the
// kernel and the C library take dearer paths for a process with threads.
#define _GNU_SOURCE
#include <err.h>
#include <inttypes.h>
#include <poll.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <time.h>
#include <unistd.h>

enum { kEventFd = 3, kMostSamples = 10000 };

static uint64_t Now(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

static void Signal(long times) {
  const uint64_t start = Now();
  for (long i = 0; i < times; ++i) {
    const uint64_t one = 1;
    if (write(kEventFd, &one, sizeof(one)) < 0) {
      err(1, "write");
    }
  }
  printf("%" PRIu64 "\n", Now() - start);
}

static void Spin(uint64_t interval) {
  const uint64_t end = Now() + interval;
  while (Now() < end) {
  }
}

static void Sleep(uint64_t interval) {
  const struct timespec pause = {.tv_sec = 0, .tv_nsec = (long)interval};
  clock_nanosleep(CLOCK_MONOTONIC, 0, &pause, NULL);
}

static void Pace(long times, uint64_t interval, void (*wait)(uint64_t)) {
  struct pollfd counter = {.fd = kEventFd, .events = POLLIN};
  for (long i = 0; i < times; ++i) {
    do {
      wait(interval);
    } while (poll(&counter, 1, 0) > 0);
    const uint64_t now = Now();
    if (write(kEventFd, &now, sizeof(now)) < 0) {
      err(1, "write");
    }
  }
  puts("paced");
}

static void Receive(long times) {
  static uint64_t latencies[kMostSamples];
  if (times > kMostSamples) {
    errx(1, "no room for %ld samples", times);
  }
  // Only now: somebody who waits would make writes dearer.
  const int epoll = epoll_create1(EPOLL_CLOEXEC);
  struct epoll_event event = {.events = EPOLLIN};
  if (epoll < 0 || epoll_ctl(epoll, EPOLL_CTL_ADD, kEventFd, &event) < 0) {
    err(1, "epoll");
  }
  puts("ready");
  fflush(stdout);
  for (long i = 0; i < times; ++i) {
    uint64_t sent = 0;
    if (epoll_wait(epoll, &event, 1, -1) != 1 || read(kEventFd, &sent, sizeof(sent)) < 0) {
      err(1, "receive");
    }
    latencies[i] = Now() - sent;
  }
  close(epoll);
  for (long i = 0; i < times; ++i) {
    printf("%" PRIu64 " ", latencies[i]);
  }
  putchar('\n');
}

static void* Wait(void* unused) {
  while (pause() != 0) {
  }
  return unused;
}

int main(int count, char** arguments) {
  pthread_t second;
  if (count > 1 && strcmp(arguments[1], "threaded") == 0 &&
      pthread_create(&second, NULL, Wait, NULL) != 0) {
    errx(1, "cannot start a thread");
  }

  char request[80];
  while (fgets(request, sizeof(request), stdin) != NULL) {
    long times = 0;
    uint64_t interval = 0;
    if (sscanf(request, "signal %ld", &times) == 1) {
      Signal(times);
    } else if (sscanf(request, "busy %ld %" SCNu64, &times, &interval) == 2) {
      Pace(times, interval, Spin);
    } else if (sscanf(request, "idle %ld %" SCNu64, &times, &interval) == 2) {
      Pace(times, interval, Sleep);
    } else if (sscanf(request, "receive %ld", &times) == 1) {
      Receive(times);
    } else {
      errx(1, "what is %s", request);
    }
    fflush(stdout);
  }
  return 0;
}
