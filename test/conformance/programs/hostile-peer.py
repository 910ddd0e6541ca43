# Does to eventfds what any process can that shares them: clears and sets O_NONBLOCK, reads, writes, fills them, closes its
# descriptors, and has the kernel add to a full one, which poll(2) reports as an error from then on.
#
#   hostile-peer.py STEPS WHAT...
#
# Each WHAT is what to do to descriptor 3, 4, …: 'flags', 'take' (reads, too), 'all' or 'overflow' (once, and nothing else). It
# says 'ready', and at the end for each what it has added, what it has taken, and how often it was at 2^64 - 1.
import ctypes, os, platform, random, select, struct, sys

FULL = 2**64 - 2
SETUP, GETEVENTS, SUBMIT = (206, 208, 209) if platform.machine() == 'x86_64' else (0, 4, 2)
libc = ctypes.CDLL(None, use_errno=True)
context = ctypes.c_ulong()


def check(result):
    if result < 0:
        raise OSError(ctypes.get_errno(), 'aio')


def kernel_signal(fd):
    """What eventfd_signal() does, here for an AIO read of nothing: it adds 1, to a full counter, too."""
    if context.value == 0:
        check(libc.syscall(SETUP, 1, ctypes.byref(context)))
    file = os.open('/proc/self/exe', os.O_RDONLY)
    bytes_read = ctypes.create_string_buffer(16)
    # struct iocb: aio_data, aio_key, aio_rw_flags, opcode (IOCB_CMD_PREAD), priority, fildes, buf, nbytes, offset,
    # reserved, flags (IOCB_FLAG_RESFD), resfd
    request = ctypes.create_string_buffer(struct.pack(
        '<QIIHhIQQqQII', 0, 0, 0, 0, 0, file, ctypes.addressof(bytes_read), 16, 0, 0, 1, fd))
    requests = (ctypes.c_void_p * 1)(ctypes.addressof(request))
    check(libc.syscall(SUBMIT, context, 1, requests))
    check(libc.syscall(GETEVENTS, context, 1, 1, ctypes.create_string_buffer(32), None))
    os.close(file)


def is_at_most(fd):
    poll = select.poll()
    poll.register(fd, 0)
    return bool(poll.poll(0))


class Shared:
    def __init__(self, fd, what):
        self.fd, self.what = fd, what
        self.added = self.taken = self.overflows = 0

    def add(self, count):
        os.eventfd_write(self.fd, count)
        self.added += count

    def overflow(self):
        # What is at 2^64 - 1 takes no notice of one more.
        if not is_at_most(self.fd):
            kernel_signal(self.fd)
            self.added += 1
            self.overflows += is_at_most(self.fd)

    def step(self):
        os.set_blocking(self.fd, False)
        choice = random.randrange(10)
        try:
            if choice < 2 and self.what in ('take', 'all'):
                self.taken += os.eventfd_read(self.fd)
            elif choice < 4 and self.what == 'all':
                self.add(1)
            elif choice < 6 and self.what == 'all':
                self.add(FULL)
                if choice == 5:
                    self.overflow()
            elif choice == 6:
                copy = os.dup(self.fd)
                os.close(self.fd)
                self.fd = copy
        except BlockingIOError:
            pass
        if choice != 9:
            os.set_blocking(self.fd, True)


random.seed(11)
steps, *whats = sys.argv[1:]
shared = [Shared(3 + i, what) for i, what in enumerate(whats)]
print('ready', flush=True)
for _ in range(int(steps)):
    for one in shared:
        if one.what == 'overflow':
            one.add(FULL)
            one.overflow()
        else:
            one.step()
for one in shared:
    os.set_blocking(one.fd, False)
print(' '.join(f'{one.added},{one.taken},{one.overflows}' for one in shared), flush=True)
