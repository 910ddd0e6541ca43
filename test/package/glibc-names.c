// What Debian's libstdc++ and libgcc want of glibc, for a program of musl that is to run with them:
// Bun, whose package for musl has no C++ library, and of musl's there is none in Debian. The addons
// need neither of them.
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/random.h>
#include <time.h>

uint32_t arc4random(void) {
  uint32_t number = 0;
  return getrandom(&number, sizeof(number), 0) == sizeof(number) ? number : 0;
}

size_t __strftime_l(char* text, size_t size, const char* format, const struct tm* time,
                    void* locale) {
  (void)locale;
  return strftime(text, size, format, time);
}

// Destructors of threads' objects do not run.
int __cxa_thread_atexit_impl(void (*function)(void*), void* object, void* library) {
  (void)function;
  (void)object;
  (void)library;
  return 0;
}

char __libc_single_threaded = 0;

// libgcc looks for itself then.
int _dl_find_object(void* address, void* result) {
  (void)address;
  (void)result;
  return -1;
}

int __cpu_indicator_init(void) { return 0; }

struct {
  unsigned words[4];
} __cpu_model;

// std::string::_M_replace_cold of a libstdc++ that is newer than Debian's: only for a string that
// replaces a part of itself.
void _ZNSt7__cxx1112basic_stringIcSt11char_traitsIcESaIcEE15_M_replace_coldEPcmPKcmm(void) {
  abort();
}
