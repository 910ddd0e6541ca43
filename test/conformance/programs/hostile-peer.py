# Does to the eventfd at descriptor 3 what any process can that shares it, until it is told to end: clears and sets
# O_NONBLOCK, reads, writes, fills it. Says at the end what it has added and taken.
import os, select, random
random.seed(11)
added = taken = 0
print('ready', flush=True)
while not select.select([0], [], [], 0)[0]:
    os.set_blocking(3, False)
    choice = random.randrange(8)
    try:
        if choice < 2:
            taken += os.eventfd_read(3)
        elif choice < 4:
            os.eventfd_write(3, 1)
            added += 1
        elif choice == 4:
            os.eventfd_write(3, 2**64 - 2)
            added += 2**64 - 2
    except BlockingIOError:
        pass
    os.set_blocking(3, True)
os.set_blocking(3, False)
print(added, taken, flush=True)
