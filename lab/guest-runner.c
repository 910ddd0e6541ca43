/* SPDX-License-Identifier: MIT */
/*
 * Runs one VP of a partition that another process made: what a VMM does, without the VMM.
 *
 *   guest-runner GUEST [VP_INDEX]
 *
 * GUEST is a flat binary linked for 1 MiB; VP_INDEX is 0 where absent. Inherited descriptors:
 *
 *   0  standard input; its end stops the guest, and the program exits with status 0
 *   1  gets the line "ready" when the guest writes port 0xf4
 *   2  gets the reason when the program fails, with status 1: a refused ioctl, or an exit of the
 *      guest that is not the one above
 *   3  the partition, initialized and created with a local APIC
 *   4  the VP
 *   5  a file of at least 2 MiB, a multiple of 4 KiB, of zeroes: the guest's memory, from address 0
 *
 * The VP starts in 64-bit mode at 1 MiB, interrupts off, with the low 4 GiB mapped one to one and
 * flat segments (code 0x08, data 0x10). The tables for that take 0x1000 to 0x7fff. The memory is
 * mapped into the partition for as long as the program runs.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum { PARTITION = 3, VP = 4, MEMORY = 5 };

#define LOAD_ADDRESS   0x100000
#define PML4           0x1000
#define PDPT           0x2000
#define PAGE_DIRECTORY 0x3000 /* four of them */
#define GDT            0x7000
#define PAGE_SIZE      0x1000
#define READY_PORT     0xf4

/* the driver's interface */
struct memory_region {
	uint64_t size;
	uint64_t guest_pfn;
	uint64_t address;
	uint8_t flags;
	uint8_t reserved[7];
};

#define REGION_WRITABLE   1
#define REGION_EXECUTABLE 2
#define REGION_UNMAP      4

struct hypercall {
	uint16_t code;
	uint16_t reps;
	uint16_t input_size;
	uint16_t output_size;
	uint16_t status;
	uint8_t reserved[6];
	uint64_t input;
	uint64_t output;
};

struct message {
	uint32_t type;
	uint8_t payload_size;
	uint8_t flags[11];
	struct {
		uint32_t vp_index;
		uint8_t instruction_length : 4;
		uint8_t cr8 : 4;
		uint8_t access;
		uint16_t execution_state;
		uint8_t cs[16];
		uint64_t rip;
		uint64_t rflags;
		uint16_t port;
		uint8_t rest[198];
	} payload;
};

#define SET_GUEST_MEMORY _IOW(0xb8, 2, struct memory_region)
#define ROOT_HYPERCALL   _IOWR(0xb8, 7, struct hypercall)
#define RUN_VP           _IOR(0xb8, 0, struct message)

_Static_assert(sizeof(struct memory_region) == 32, "MSHV_SET_GUEST_MEMORY");
_Static_assert(sizeof(struct hypercall) == 32, "MSHV_ROOT_HVCALL");
_Static_assert(sizeof(struct message) == 256, "MSHV_RUN_VP");

/* the hypervisor's */
#define SET_VP_REGISTERS  0x51
#define IO_PORT_INTERCEPT 0x80010000

enum {
	RSP = 0x20004,
	RIP = 0x20010,
	RFLAGS = 0x20011,
	CR0 = 0x40000,
	CR3 = 0x40002,
	CR4 = 0x40003,
	ES = 0x60000,
	CS = 0x60001,
	SS = 0x60002,
	DS = 0x60003,
	FS = 0x60004,
	GS = 0x60005,
	TR = 0x60007,
	IDTR = 0x70000,
	GDTR = 0x70001,
	EFER = 0x80001,
};

struct assignment {
	uint32_t name;
	uint32_t reserved[3];
	uint64_t low;
	uint64_t high;
};

#define SEGMENT(limit, selector, attributes) \
	((uint64_t)(attributes) << 48 | (uint64_t)(selector) << 32 | (limit))
#define CODE_SEGMENT SEGMENT(0xffffffff, 0x08, 0xa09b)
#define DATA_SEGMENT SEGMENT(0xffffffff, 0x10, 0xc093)
#define TASK_SEGMENT SEGMENT(0xffff, 0x18, 0x008b)

static uint32_t vp_index;
static volatile sig_atomic_t stopping;

static void fail(const char *what)
{
	fprintf(stderr, "guest-runner: %s: %s\n", what, strerror(errno));
	_exit(1);
}

static int set_registers(const struct assignment *assignments, uint16_t n)
{
	struct {
		uint64_t partition; /* filled in by the driver */
		uint32_t vp_index;
		uint32_t vtl;
		struct assignment assignments[32];
	} input = { .vp_index = vp_index };
	struct hypercall call = {
		.code = SET_VP_REGISTERS,
		.reps = n,
		.input_size = (uint16_t)(16 + n * sizeof(*assignments)),
		.input = (uintptr_t)&input,
	};

	memcpy(input.assignments, assignments, n * sizeof(*assignments));
	return ioctl(VP, ROOT_HYPERCALL, &call);
}

static void make_tables(uint8_t *memory)
{
	uint64_t *pml4 = (uint64_t *)(memory + PML4);
	uint64_t *pdpt = (uint64_t *)(memory + PDPT);
	uint64_t *directory = (uint64_t *)(memory + PAGE_DIRECTORY);
	uint64_t *gdt = (uint64_t *)(memory + GDT);

	pml4[0] = PDPT | 0x3;
	for (uint64_t i = 0; i < 4; i++)
		pdpt[i] = (PAGE_DIRECTORY + i * PAGE_SIZE) | 0x3;
	for (uint64_t i = 0; i < 4 * 512; i++)
		directory[i] = i << 21 | 0x83;
	gdt[1] = 0x00af9b000000ffff;
	gdt[2] = 0x00cf93000000ffff;
}

static void load(uint8_t *memory, size_t size, const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n;

	if (fd < 0)
		fail(path);
	n = read(fd, memory + LOAD_ADDRESS, size - LOAD_ADDRESS);
	if (n < 0)
		fail(path);
	close(fd);
}

static void enter_long_mode(void)
{
	static const struct assignment state[] = {
		{ .name = CR0, .low = 0x80000011 },
		{ .name = CR3, .low = PML4 },
		{ .name = CR4, .low = 0x620 },
		{ .name = EFER, .low = 0xd00 },
		{ .name = CS, .high = CODE_SEGMENT },
		{ .name = SS, .high = DATA_SEGMENT },
		{ .name = DS, .high = DATA_SEGMENT },
		{ .name = ES, .high = DATA_SEGMENT },
		{ .name = FS, .high = DATA_SEGMENT },
		{ .name = GS, .high = DATA_SEGMENT },
		{ .name = TR, .high = TASK_SEGMENT },
		{ .name = GDTR, .low = 23ull << 48, .high = GDT },
		{ .name = IDTR },
		{ .name = RSP, .low = LOAD_ADDRESS },
		{ .name = RFLAGS, .low = 0x2 },
		{ .name = RIP, .low = LOAD_ADDRESS },
	};

	if (set_registers(state, sizeof(state) / sizeof(*state)))
		fail("SET_VP_REGISTERS");
}

static void *run(void *unused)
{
	struct message message;

	while (!stopping) {
		if (ioctl(VP, RUN_VP, &message)) {
			if (errno == EINTR)
				continue;
			fail("MSHV_RUN_VP");
		}
		if (message.type != IO_PORT_INTERCEPT || message.payload.port != READY_PORT) {
			fprintf(stderr,
				"guest-runner: the guest left with message 0x%x at 0x%llx\n",
				message.type, (unsigned long long)message.payload.rip);
			_exit(1);
		}
		if (write(STDOUT_FILENO, "ready\n", 6) != 6)
			fail("standard output");
		struct assignment next = {
			.name = RIP,
			.low = message.payload.rip + message.payload.instruction_length,
		};
		if (set_registers(&next, 1))
			fail("SET_VP_REGISTERS");
	}
	return unused;
}

/* A signal just before the ioctl is lost: repeat until the thread has seen `stopping`. */
static void stop(pthread_t thread)
{
	struct timespec until;

	stopping = 1;
	do {
		pthread_kill(thread, SIGUSR1);
		clock_gettime(CLOCK_REALTIME, &until);
		until.tv_nsec += 10000000;
		if (until.tv_nsec >= 1000000000) {
			until.tv_sec++;
			until.tv_nsec -= 1000000000;
		}
	} while (pthread_timedjoin_np(thread, NULL, &until));
}

static void interrupt_ioctl(int signal)
{
	(void)signal;
}

int main(int argc, char **argv)
{
	struct sigaction action = { .sa_handler = interrupt_ioctl };
	struct memory_region region = { .flags = REGION_WRITABLE | REGION_EXECUTABLE };
	struct stat file;
	pthread_t thread;
	uint8_t *memory;
	char byte;

	if (argc < 2 || argc > 3) {
		fprintf(stderr, "usage: guest-runner GUEST [VP_INDEX]\n");
		return 2;
	}
	if (argc == 3)
		vp_index = (uint32_t)strtoul(argv[2], NULL, 0);
	sigaction(SIGUSR1, &action, NULL);

	if (fstat(MEMORY, &file))
		fail("descriptor 5");
	if (file.st_size < 2 * LOAD_ADDRESS) {
		errno = EINVAL;
		fail("descriptor 5 is shorter than 2 MiB");
	}
	region.size = (uint64_t)file.st_size;
	memory = mmap(NULL, region.size, PROT_READ | PROT_WRITE, MAP_SHARED, MEMORY, 0);
	if (memory == MAP_FAILED)
		fail("mmap of descriptor 5");
	region.address = (uintptr_t)memory;
	make_tables(memory);
	load(memory, region.size, argv[1]);
	if (ioctl(PARTITION, SET_GUEST_MEMORY, &region))
		fail("MSHV_SET_GUEST_MEMORY");
	enter_long_mode();

	if (pthread_create(&thread, NULL, run, NULL))
		fail("pthread_create");
	while (read(STDIN_FILENO, &byte, 1) > 0)
		;
	stop(thread);
	region.flags = REGION_UNMAP;
	if (ioctl(PARTITION, SET_GUEST_MEMORY, &region))
		fail("MSHV_SET_GUEST_MEMORY (unmap)");
	return 0;
}
