// GSI allocation as OpenVMM's virt_mshv did it: an array of states, the first unallocated one is
// found by looking at each. The array is as long as the driver's table, so that 4000 fit; upstream
// has 2048. Upstream's lock is left out.
//
// Request "churn N": frees a GSI of 4000 and allocates again, N times. Answers the ns that took.
#define _GNU_SOURCE
#include <err.h>
#include <inttypes.h>
#include <stdint.h>
#include <stdio.h>
#include <time.h>

enum { kGsis = 4096, kInUse = 4000, kStride = 1601 };

enum GsiKind { kUnallocated, kDisabled, kEnabled };

struct GsiState {
  enum GsiKind kind;
  uint32_t address_low;
  uint32_t address_high;
  uint32_t data;
};

static struct GsiState states[kGsis];

static int Allocate(void) {
  for (int gsi = 0; gsi < kGsis; ++gsi) {
    if (states[gsi].kind == kUnallocated) {
      states[gsi].kind = kDisabled;
      return gsi;
    }
  }
  return -1;
}

static void Free(int gsi) { states[gsi].kind = kUnallocated; }

static uint64_t Now(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

int main(void) {
  for (int i = 0; i < kInUse; ++i) {
    Allocate();
  }
  char request[80];
  while (fgets(request, sizeof(request), stdin) != NULL) {
    long times = 0;
    if (sscanf(request, "churn %ld", &times) != 1) {
      errx(1, "what is %s", request);
    }
    const uint64_t start = Now();
    for (long i = 0; i < times; ++i) {
      const int gsi = (int)(i * kStride % kInUse);
      Free(gsi);
      if (Allocate() != gsi) {
        errx(1, "GSI %d was not the lowest free one", gsi);
      }
    }
    printf("%" PRIu64 "\n", Now() - start);
    fflush(stdout);
  }
  return 0;
}
