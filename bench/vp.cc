// The C++ side of the VP lines: the same ioctls over the same seam, without Node. One request a
// line, one answer a line:
//
//   run N         runs VP 0 until N port writes are completed; answers the ns that took
//   thread N      the same with the VP on a thread and the completion on this one, which waits in
//   epoll registers N   copies the general registers, RIP and RFLAGS out of the register page N
//   times;
//                 answers the ns
//   map N         maps and unmaps 1 GiB N times; answers the ns
//   doorbell N    the guest rings a doorbell N times, each waited for in epoll; answers the ns
#include <err.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <cinttypes>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <semaphore>
#include <thread>

#include "../native/abi/mshv.h"
#include "../native/backend.h"
#include "check.h"
#include "vp_machine.h"

namespace mshv::bench {
namespace {

constexpr uint64_t kGibibyte = uint64_t{1} << 30;
constexpr uint64_t kDoorbell = uint64_t{3} << 30;

// hv_vp_register_page and hv_x64_io_port_intercept_message, as far as they are used here.
constexpr size_t kPageValid = 2;
constexpr size_t kPageDirty = 4;
constexpr size_t kPageGeneral = 8;
constexpr size_t kPageRip = 136;
constexpr size_t kGeneralWords = 18;
constexpr uint32_t kIpClass = 1 << 1;
constexpr size_t kMessageLength = 20;
constexpr size_t kMessageRip = 40;
constexpr uint32_t kIoPortIntercept = 0x80010000;

int64_t Now() {
  return std::chrono::duration_cast<std::chrono::nanoseconds>(
             std::chrono::steady_clock::now().time_since_epoch())
      .count();
}

template <typename Value>
Value Load(const uint8_t* bytes, size_t offset) {
  Value value;
  std::memcpy(&value, bytes + offset, sizeof(value));
  return value;
}

template <typename Value>
void Store(uint8_t* bytes, size_t offset, Value value) {
  std::memcpy(bytes + offset, &value, sizeof(value));
}

class Epoll {
 public:
  explicit Epoll(int event) : event_(event), epoll_(epoll_create1(EPOLL_CLOEXEC)) {
    epoll_event request{.events = EPOLLIN, .data = {}};
    if (epoll_ < 0 || epoll_ctl(epoll_, EPOLL_CTL_ADD, event, &request) < 0) {
      err(1, "epoll");
    }
  }
  ~Epoll() { close(epoll_); }

  void Wait() {
    epoll_event ready{};
    uint64_t count = 0;
    if (epoll_wait(epoll_, &ready, 1, -1) != 1 || read(event_, &count, sizeof(count)) < 0) {
      err(1, "wait");
    }
  }

 private:
  const int event_;
  const int epoll_;
};

class Vp {
 public:
  explicit Vp(const Machine& machine)
      : machine_(machine),
        mapping_(Check(backend::MapVpPage(machine.vp, abi::MSHV_VP_MMAP_OFFSET_REGISTERS),
                       "register page")),
        page_(mapping_.data()) {}

  void Run() {
    Check(backend::Ioctl(machine_.vp, abi::MSHV_RUN_VP, &message_), "MSHV_RUN_VP");
    if (Load<uint32_t>(message_.msg_buf, 0) != kIoPortIntercept) {
      errx(1, "the guest left with message 0x%x", Load<uint32_t>(message_.msg_buf, 0));
    }
  }

  void Complete() {
    if (page_[kPageValid] != 1) {
      errx(1, "the register page is not valid");
    }
    const auto length = message_.msg_buf[kMessageLength] & 0xf;
    Store(page_, kPageRip, Load<uint64_t>(message_.msg_buf, kMessageRip) + length);
    Store(page_, kPageDirty, Load<uint32_t>(page_, kPageDirty) | kIpClass);
  }

  int64_t RunTimes(long times) {
    const int64_t start = Now();
    for (long i = 0; i < times; ++i) {
      Run();
      Complete();
    }
    return Now() - start;
  }

  int64_t RunOnThread(long times) {
    const int exited = eventfd(0, EFD_CLOEXEC);
    Epoll epoll(exited);
    std::binary_semaphore resume{0};
    const int64_t start = Now();
    std::thread runner([&] {
      for (long i = 0; i < times; ++i) {
        Run();
        const uint64_t one = 1;
        if (write(exited, &one, sizeof(one)) < 0) {
          err(1, "write");
        }
        resume.acquire();
      }
    });
    for (long i = 0; i < times; ++i) {
      epoll.Wait();
      Complete();
      resume.release();
    }
    runner.join();
    const int64_t duration = Now() - start;
    close(exited);
    return duration;
  }

  int64_t CopyRegisters(long times) {
    uint64_t registers[kGeneralWords];
    const int64_t start = Now();
    for (long i = 0; i < times; ++i) {
      std::memcpy(registers, page_ + kPageGeneral, sizeof(registers));
      asm volatile("" : : "r"(registers) : "memory");
    }
    return Now() - start;
  }

 private:
  const Machine machine_;
  const Mapping mapping_;
  uint8_t* const page_;
  abi::mshv_run_vp message_{};
};

int64_t MapTimes(const Machine& machine, long times) {
  void* memory = mmap(nullptr, kGibibyte, PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (memory == MAP_FAILED) {
    err(1, "mmap");
  }
  abi::mshv_user_mem_region region{};
  region.size = kGibibyte;
  region.guest_pfn = kGibibyte / abi::MSHV_HV_PAGE_SIZE;
  region.userspace_addr = reinterpret_cast<uintptr_t>(memory);
  const int64_t start = Now();
  for (long i = 0; i < times; ++i) {
    region.flags = 1 << abi::MSHV_SET_MEM_BIT_WRITABLE | 1 << abi::MSHV_SET_MEM_BIT_EXECUTABLE;
    Check(backend::Ioctl(machine.partition, abi::MSHV_SET_GUEST_MEMORY, &region), "map");
    region.flags = 1 << abi::MSHV_SET_MEM_BIT_UNMAP;
    Check(backend::Ioctl(machine.partition, abi::MSHV_SET_GUEST_MEMORY, &region), "unmap");
  }
  const int64_t duration = Now() - start;
  munmap(memory, kGibibyte);
  return duration;
}

int64_t RingTimes(const Machine& machine, long times) {
  const int event = Check(backend::EventFdCreate(0, false), "eventfd");
  abi::mshv_user_ioeventfd doorbell{};
  doorbell.addr = kDoorbell;
  doorbell.len = 4;
  doorbell.fd = event;
  Check(backend::Ioctl(machine.partition, abi::MSHV_IOEVENTFD, &doorbell), "assign");
  Epoll epoll(event);
  const int64_t start = Now();
  for (long i = 0; i < times; ++i) {
    WriteMmio(kDoorbell);
    epoll.Wait();
  }
  const int64_t duration = Now() - start;
  doorbell.flags = 1 << abi::MSHV_IOEVENTFD_BIT_DEASSIGN;
  Check(backend::Ioctl(machine.partition, abi::MSHV_IOEVENTFD, &doorbell), "deassign");
  Check(backend::Close(event), "close");
  return duration;
}

int Serve() {
  const Machine machine = OpenMachine();
  Vp vp(machine);
  char request[80];
  while (fgets(request, sizeof(request), stdin) != nullptr) {
    char name[16] = {};
    long times = 0;
    if (sscanf(request, "%15s %ld", name, &times) != 2) {
      errx(1, "what is %s", request);
    }
    const bool runs = strcmp(name, "run") == 0;
    const bool threads = strcmp(name, "thread") == 0;
    if (runs || threads) {
      PrepareExits(times);
    }
    const int64_t duration = runs                             ? vp.RunTimes(times)
                             : threads                        ? vp.RunOnThread(times)
                             : strcmp(name, "registers") == 0 ? vp.CopyRegisters(times)
                             : strcmp(name, "map") == 0       ? MapTimes(machine, times)
                                                              : RingTimes(machine, times);
    printf("%" PRId64 "\n", duration);
    fflush(stdout);
  }
  return 0;
}

}  // namespace
}  // namespace mshv::bench

int main() { return mshv::bench::Serve(); }
