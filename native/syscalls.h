// The seam between the marshalling code and whatever plays the kernel.
//
// linux_syscalls.cc implements it with system calls (target mshv), sim/syscalls.cc with a simulated
// driver (target mshv_sim). Every function returns a value >= 0 or -errno, and never blocks except
// Ioctl, which blocks exactly where the driver's ioctl would.
#ifndef MSHV_NATIVE_SYSCALLS_H_
#define MSHV_NATIVE_SYSCALLS_H_

#include <cstdint>

namespace mshv::sys {

// The negative errno that the system call about to be made is to fail with, for a test; 0 always
// but in the simulator.
int Fault(const char* name);

// Opens a device node read-write with O_CLOEXEC.
int Open(const char* path);

// Whether the hypervisor of this device offers to inject interrupts through VPs' register pages: 1,
// or 0. The driver takes that with the root scheduler, which it tells nobody.
int FastInjection(int device);

// Closes a descriptor. The number is free afterwards whatever is returned.
int Close(int fd);

// Duplicates a descriptor with O_CLOEXEC.
int Dup(int fd);

int Ioctl(int fd, unsigned long request, void* argument);

// Maps one page of a VP descriptor (MSHV_VP_MMAP_OFFSET_*) read-write and shared, MSHV_HV_PAGE_SIZE
// bytes at *page; munmap(2) undoes it. -ENODEV where it has no such page, or is no VP.
int MapVpPage(int vp, uint32_t offset, void** page);

// What a descriptor is, as far as the driver tells: -EINVAL where it is none of these, -EBADF where
// it is not open.
enum class Kind : int { kPartition = 0, kVp = 1 };
int Identify(int fd, Kind kind);

// eventfd(2), always O_CLOEXEC and O_NONBLOCK.
int EventFdCreate(uint32_t initial, bool semaphore);

// Takes over an eventfd that came from elsewhere: a new descriptor of it with O_CLOEXEC, whose
// number nobody else knows, is returned and `fd` closed. O_NONBLOCK stays as it is for all who
// share it. -EINVAL where `fd` is open but no eventfd, -EBADF where it is not open; it is still
// open then.
int EventFdAdopt(int fd);

// Closes `copy`, a descriptor that came of Dup(fd), where it is one of the same eventfd still:
// others were told the number, may have closed it, and it may mean another file by now.
void EventFdCloseCopy(int fd, int copy);

// Adds `value` to the counter; -EAGAIN where it would overflow. `bounded` where others may have
// cleared O_NONBLOCK: then it may take a millisecond, and fails where the thread can have no timer
// (see CallBounded).
int EventFdWrite(int fd, uint64_t value, bool bounded);

// Consumes the counter (one unit of a semaphore); -EAGAIN where it is 0, whatever its O_NONBLOCK.
int EventFdRead(int fd, uint64_t* value);

// 1 where EventFdRead would succeed, 0 where not; -EBADF where it is not open.
int EventFdPoll(int fd);

}  // namespace mshv::sys

#endif  // MSHV_NATIVE_SYSCALLS_H_
