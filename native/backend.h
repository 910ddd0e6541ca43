// The seam between the marshalling code and whatever plays the kernel.
//
// linux_backend.cc implements it with system calls (target mshv), sim/backend.cc with a simulated
// driver (target mshv_sim). Nothing blocks except Ioctl, which blocks exactly where the driver's
// ioctl would. Descriptors are numbers here, because a simulated one is more than the kernel's.
#ifndef MSHV_NATIVE_BACKEND_H_
#define MSHV_NATIVE_BACKEND_H_

#include <cstdint>

#include "architecture.h"
#include "or_error.h"
#include "ownership.h"

namespace mshv::backend {

// What the system call about to be made is to fail with, for a test; nothing always but in the
// simulator.
Error Fault(const char* name);

// Opens a device node read-write with O_CLOEXEC.
OrError<int> Open(const char* path);

// What the hypervisor behind a descriptor runs on, and with it the guests: the driver tells nobody,
// and has none but this machine's.
Architecture ArchitectureOf(int fd);

// Whether the hypervisor of this device offers to inject interrupts through VPs' register pages.
// The driver takes that with the root scheduler, which it tells nobody.
bool FastInjection(int device);

// Closes a descriptor. The number is free afterwards whatever is returned.
OrError<void> Close(int fd);

// Duplicates a descriptor with O_CLOEXEC.
OrError<int> Dup(int fd);

OrError<int> Ioctl(int fd, unsigned long request, void* argument);

// Maps one page of a VP descriptor (MSHV_VP_MMAP_OFFSET_*) read-write and shared, of
// MSHV_HV_PAGE_SIZE bytes. -ENODEV where it has no such page, or is no VP.
OrError<Mapping> MapVpPage(int vp, uint32_t offset);

// Checks what a descriptor is, as far as the driver tells: -EINVAL where it is none of these,
// -EBADF where it is not open.
enum class Kind : int { kPartition = 0, kVp = 1 };
OrError<void> Identify(int fd, Kind kind);

// eventfd(2), always O_CLOEXEC and O_NONBLOCK.
OrError<int> EventFdCreate(uint32_t initial, bool semaphore);

// Takes over an eventfd that came from elsewhere: a new descriptor of it with O_CLOEXEC, whose
// number nobody else knows, is returned and `fd` closed. O_NONBLOCK stays as it is for all who
// share it. -EINVAL where `fd` is open but no eventfd, -EBADF where it is not open; it is still
// open then.
OrError<int> EventFdAdopt(int fd);

// Closes `copy`, a descriptor that came of Dup(fd), where it is one of the same eventfd still:
// others were told the number, may have closed it, and it may mean another file by now.
void EventFdCloseCopy(int fd, int copy);

// Adds `value` to the counter; -EAGAIN where it would overflow. `bounded` where others may have
// cleared O_NONBLOCK: then it may take a millisecond, and fails where the thread can have no timer
// (see CallBounded).
OrError<void> EventFdWrite(int fd, uint64_t value, bool bounded);

// Consumes the counter (one unit of a semaphore); -EAGAIN where it is 0, whatever its O_NONBLOCK.
OrError<uint64_t> EventFdRead(int fd);

// Whether EventFdRead would succeed; -EBADF where it is not open.
OrError<bool> EventFdPoll(int fd);

}  // namespace mshv::backend

#endif  // MSHV_NATIVE_BACKEND_H_
