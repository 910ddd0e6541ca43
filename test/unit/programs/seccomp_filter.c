// A library that has a system call of the thread that loads it, and of all it starts, fail from
// then on: MSHV_TEST_FILTER is "NAME ERRNO", or "NAME ERRNO SECOND" for calls with that second
// argument.
#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

static const struct {
  const char* name;
  unsigned int number;
} kCalls[] = {
    {"eventfd2", SYS_eventfd2},         {"fcntl", SYS_fcntl},
    {"memfd_create", SYS_memfd_create}, {"mmap", SYS_mmap},
#ifdef SYS_readlink
    {"readlink", SYS_readlink},
#else
    {"readlink", SYS_readlinkat},
#endif
    {"timer_create", SYS_timer_create},
};

__attribute__((constructor)) static void Install(void) {
  char name[32];
  unsigned int error;
  unsigned int second;
  const char* text = getenv("MSHV_TEST_FILTER");
  const int words = text == NULL ? 0 : sscanf(text, "%31s %u %u", name, &error, &second);
  size_t call = 0;
  while (call < sizeof(kCalls) / sizeof(kCalls[0]) && strcmp(kCalls[call].name, name) != 0) {
    ++call;
  }
  if (words < 2 || call == sizeof(kCalls) / sizeof(kCalls[0])) {
    abort();
  }
  struct sock_filter code[] = {
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, kCalls[call].number, 0, 3),
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, args[1])),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, second, 0, words == 3 ? 1 : 0),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | error),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
  };
  const struct sock_fprog program = {sizeof(code) / sizeof(code[0]), code};
  if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 ||
      prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) < 0) {
    abort();
  }
}
