/* SPDX-License-Identifier: MIT */
/* The VMM in small of guest_test.c: a partition, its VPs, and the guest's mailbox. */
#define _GNU_SOURCE
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <stdint.h>
#include <unistd.h>
#include <fcntl.h>
#include <errno.h>
#include <poll.h>
#include <sched.h>
#include <pthread.h>
#include <signal.h>
#include <time.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/eventfd.h>
#include <sys/klog.h>
#include <linux/mshv.h>

asm(".pushsection .rodata\n.globl guest_bin, guest_bin_end\nguest_bin: .incbin "
    "\"guest.bin\"\nguest_bin_end:\n.popsection");
extern const uint8_t guest_bin[], guest_bin_end[];

static int fails, oks, mshv, fh = -1;
#define OK(c, ...)                                        \
	do {                                              \
		int c_ = !!(c);                           \
		if (c_)                                   \
			oks++;                            \
		else                                      \
			fails++;                          \
		printf("%s ", c_ ? "ok  " : "FAIL");      \
		printf(__VA_ARGS__);                      \
		if (!c_)                                  \
			printf("   (line %d)", __LINE__); \
		printf("\n");                             \
		fflush(stdout);                           \
	} while (0)
#define NOTE(...)                    \
	do {                         \
		printf("note ");     \
		printf(__VA_ARGS__); \
		printf("\n");        \
		fflush(stdout);      \
	} while (0)
static double now(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec + t.tv_nsec / 1e9;
}

#define RAM    (4u << 20)
#define LOAD   0x100000
#define MBOX   0x10000
#define COUNTS 0x11000
#define LOG    0x12000
#define EVCNT  0x14000
#define HCIN   0x23000
#define DOORG  0xd0000000u
enum { RAX = 0x20000, RCX, RDX, RBX, RSP, RBP, RSI, RDI, R8, R11 = 0x2000b, RIP = 0x20010, RFLAGS };
enum {
	M_UNMAPPED = 0x80000000u,
	M_GPA = 0x80000001u,
	M_UNREC = 0x80000021u,
	M_HC = 0x80000050u,
	M_SINT = 0x80000062u,
	M_IO = 0x80010000u,
	M_MSR = 0x80010001u,
	M_CPUID = 0x80010002u,
	M_EXC = 0x80010003u,
	M_HALT = 0x80010007u
};

struct vm {
	int pt, vp[4];
	uint8_t *ram, *rp[4];
	volatile int quit, hold, held; /* the VP's thread waits outside of RUN_VP */
	pthread_t thr[4];
	/* what the VP threads saw */
	volatile uint64_t n_io, n_unmapped_w, n_unmapped_r, n_hc, n_sint, n_msr, n_cpuid, n_other,
		n_eintr;
	volatile uint64_t gpa, hc_code, hc_rdx, hc_r8, hc_rbx, sints, io_val, msr, last;
	uint8_t hc_in[256];
	uint64_t hc_ret;
	uint8_t msg[256];
};
static struct vm *V;
static void sigh(int s)
{
	(void)s;
}

static int hv(int fd, int code, int reps, void *in, int insz, void *out, int outsz,
	      struct mshv_root_hvcall *res)
{
	struct mshv_root_hvcall a = { .code = code,
				      .reps = reps,
				      .in_sz = insz,
				      .out_sz = outsz,
				      .in_ptr = (uintptr_t)in,
				      .out_ptr = (uintptr_t)out };
	int r = ioctl(fd, MSHV_ROOT_HVCALL, &a);
	if (res)
		*res = a;
	return r;
}
struct assoc {
	uint32_t name, r1;
	uint64_t r2, lo, hi;
};
static int setregs(int fd, int idx, int n, const struct assoc *a)
{
	struct {
		uint64_t pt;
		uint32_t vp, z;
		struct assoc a[40];
	} in = { .vp = idx };
	memcpy(in.a, a, n * sizeof *a);
	return hv(fd, 0x51, n, &in, 16 + 32 * n, NULL, 0, NULL);
}
static int setreg(int fd, int idx, uint32_t name, uint64_t lo, uint64_t hi)
{
	struct assoc a = { .name = name, .lo = lo, .hi = hi };
	return setregs(fd, idx, 1, &a);
}
static uint64_t getreg2(int fd, int idx, uint32_t name, uint64_t *hi)
{
	struct {
		uint64_t pt;
		uint32_t vp, z, n;
	} in = { .vp = idx, .n = name };
	uint64_t out[2] = { -1, -1 };
	if (hv(fd, 0x50, 1, &in, 20, out, 16, NULL))
		printf("FAIL getreg %x errno %d\n", name, errno), fails++;
	if (hi)
		*hi = out[1];
	return out[0];
}
static uint64_t getreg(int fd, int idx, uint32_t name)
{
	return getreg2(fd, idx, name, NULL);
}
static int icpt(struct vm *v, uint32_t access, uint32_t type, uint64_t param)
{
	struct {
		uint64_t pt;
		uint32_t access, type;
		uint64_t param;
	} in = { 0, access, type, param };
	return hv(v->pt, 0x4d, 0, &in, sizeof in, NULL, 0, NULL);
}
static int setmem(int pt, uint64_t gfn, void *va, uint64_t sz, int fl)
{
	struct mshv_user_mem_region a = {
		.size = sz, .guest_pfn = gfn, .userspace_addr = (uintptr_t)va, .flags = fl
	};
	return ioctl(pt, MSHV_SET_GUEST_MEMORY, &a);
}
static int setprop(struct vm *v, uint32_t code, uint64_t val)
{
	struct {
		uint64_t pt;
		uint32_t code, pad;
		uint64_t val;
	} in = { .code = code, .val = val };
	return hv(v->pt, 0x45, 0, &in, sizeof in, NULL, 0, NULL);
}
static int getprop(struct vm *v, uint32_t code, uint64_t *val)
{
	struct {
		uint64_t pt;
		uint32_t code, pad;
	} in = { .code = code };
	return hv(v->pt, 0x44, 0, &in, sizeof in, val, 8, NULL);
}
static volatile uint64_t *mb(struct vm *v)
{
	return (volatile uint64_t *)(v->ram + MBOX);
}
static volatile uint64_t *counts(struct vm *v)
{
	return (volatile uint64_t *)(v->ram + COUNTS);
}

/* long mode, identity map of 4 GiB, flat segments */
static int boot(struct vm *v, int i, uint64_t rip)
{
	uint64_t *pml4 = (void *)(v->ram + 0x1000), *pdpt = (void *)(v->ram + 0x2000),
		 *gdt = (void *)(v->ram + 0x7000);
	pml4[0] = 0x2007;
	for (int k = 0; k < 4; k++) {
		uint64_t *pd = (void *)(v->ram + 0x3000 + 0x1000 * k);
		pdpt[k] = (0x3000 + 0x1000 * k) | 7;
		for (int j = 0; j < 512; j++)
			pd[j] = ((uint64_t)k << 30 | (uint64_t)j << 21) | 0x87;
	}
	gdt[1] = 0x00af9b000000ffff;
	gdt[2] = 0x00cf93000000ffff;
	memcpy(v->ram + LOAD, guest_bin, guest_bin_end - guest_bin);
	uint64_t cs = 0xffffffffull | 0x0008ull << 32 | 0xa09bull << 48,
		 ds = 0xffffffffull | 0x0010ull << 32 | 0xc093ull << 48;
	struct assoc a[] = {
		{ 0x40000, 0, 0, 0x80000011, 0 },
		{ 0x40002, 0, 0, 0x1000, 0 },
		{ 0x40003, 0, 0, 0x620, 0 },
		{ 0x80001, 0, 0, 0xd00, 0 },
		/* segments: base in lo, limit/selector/attributes in hi; es cs ss ds fs gs */
		{ 0x60000, 0, 0, 0, ds },
		{ 0x60001, 0, 0, 0, cs },
		{ 0x60002, 0, 0, 0, ds },
		{ 0x60003, 0, 0, 0, ds },
		{ 0x60004, 0, 0, 0, ds },
		{ 0x60005, 0, 0, 0, ds },
		{ 0x60007, 0, 0, 0, 0xffffull | 0x0018ull << 32 | 0x008bull << 48 },
		{ 0x70001, 0, 0, 23ull << 48, 0x7000 },
		{ 0x70000, 0, 0, 0, 0 },
		{ RFLAGS, 0, 0, 2, 0 },
		{ RIP, 0, 0, rip, 0 },
		{ RSP, 0, 0, 0x80000, 0 },
	};
	return setregs(v->vp[i], i, sizeof a / sizeof *a, a);
}

#define SYNTHETIC_FEATURES 0x10001
/* access_vp_run_time_reg to access_frequency_regs, direct_synthetic_timers, and that there is a
 * hypervisor */
static uint64_t synthetic_features = 0xfff | 1 << 22;

static struct vm *mkvm(int lapic, int nvp)
{
	struct vm *v = calloc(1, sizeof *v);
	struct mshv_create_partition a = {
		.pt_flags = lapic ? (1 << MSHV_PT_BIT_LAPIC) | (1 << MSHV_PT_BIT_X2APIC) : 0
	};
	v->pt = ioctl(mshv, MSHV_CREATE_PARTITION, &a);
	if (v->pt < 0 || setprop(v, SYNTHETIC_FEATURES, synthetic_features) ||
	    ioctl(v->pt, MSHV_INITIALIZE_PARTITION)) {
		printf("FAIL create partition errno %d\n", errno), fails++;
		exit(1);
	}
	v->ram = mmap(NULL, RAM, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	OK(!setmem(v->pt, 0, v->ram, RAM, 3), "4 MiB of guest memory (lapic=%d, %d VP)", lapic,
	   nvp);
	for (int i = 0; i < nvp; i++) {
		struct mshv_create_vp c = { .vp_index = i };
		v->vp[i] = ioctl(v->pt, MSHV_CREATE_VP, &c);
		v->rp[i] = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, v->vp[i],
				MSHV_VP_MMAP_OFFSET_REGISTERS * 4096);
		if (v->vp[i] < 0 || v->rp[i] == MAP_FAILED)
			printf("FAIL vp %d errno %d\n", i, errno), fails++;
	}
	V = v;
	return v;
}
static void rmvm(struct vm *v)
{
	for (int i = 0; i < 4; i++)
		if (v->vp[i] > 0) {
			munmap(v->rp[i], 4096);
			close(v->vp[i]);
		}
	close(v->pt);
	munmap(v->ram, RAM);
	free(v);
}

/* message accessors */
static uint32_t mtype(const uint8_t *m)
{
	return *(uint32_t *)m;
}
static const uint8_t *pay(const uint8_t *m)
{
	return m + 16;
}
static int ilen(const uint8_t *m)
{
	return pay(m)[4] & 15;
}
static uint64_t mrip(const uint8_t *m)
{
	return *(uint64_t *)(pay(m) + 24);
}
#define P16(m, o) (*(const uint16_t *)(pay(m) + (o)))
#define P32(m, o) (*(const uint32_t *)(pay(m) + (o)))
#define P64(m, o) (*(const uint64_t *)(pay(m) + (o)))

static int run(struct vm *v, int i, uint8_t *m)
{
	memset(m, 0xee, 256);
	return ioctl(v->vp[i], MSHV_RUN_VP, m);
}
static void skip(struct vm *v, int i, const uint8_t *m)
{
	setreg(v->vp[i], i, RIP, mrip(m) + ilen(m), 0);
}

/* ------------------------------------------------------------ VP thread --- */
static void *vcpu(void *arg)
{
	struct vm *v = V;
	int i = (intptr_t)arg;
	uint8_t m[256];

	while (!v->quit) {
		while (v->hold && !i) {
			v->held = 1;
			usleep(100);
		}
		v->held = 0;
		if (run(v, i, m)) {
			if (errno == EINTR) {
				v->n_eintr++;
				continue;
			}
			printf("FAIL RUN_VP errno %d\n", errno), fails++;
			return NULL;
		}
		v->last = mtype(m);
		switch (mtype(m)) {
		case M_IO:
			v->io_val = P64(m, 48);
			v->n_io++;
			skip(v, i, m);
			break;
		case M_UNMAPPED:
			memcpy(v->msg, m, 256);
			v->gpa = P64(m, 56);
			if (pay(m)[5] == 1) {
				v->n_unmapped_w++;
				skip(v, i, m);
			} else {
				struct assoc a[2] = { { R11, 0, 0, 0xfeedface, 0 },
						      { RIP, 0, 0, mrip(m) + ilen(m), 0 } };
				v->n_unmapped_r++;
				setregs(v->vp[i], i, 2, a);
			}
			break;
		case M_HC: {
			uint64_t *gpr = (uint64_t *)(v->rp[i] + 8);
			v->hc_code = P64(m, 56);
			v->hc_rdx = P64(m, 64);
			v->hc_r8 = P64(m, 72);
			v->hc_rbx = P64(m, 48);
			if (v->hc_rdx + 256 < RAM)
				memcpy(v->hc_in, v->ram + v->hc_rdx, 256);
			v->n_hc++;
			/* complete through the register page: no hypercall at all */
			gpr[0] = v->hc_ret;
			*(uint64_t *)(v->rp[i] + 136) = mrip(m) + ilen(m);
			*(volatile uint32_t *)(v->rp[i] + 4) |= 3; /* GENERAL, IP */
			break;
		}
		case M_SINT:
			v->sints = P16(m, 40);
			v->n_sint++;
			break;
		case M_MSR:
			v->msr = P32(m, 40);
			v->n_msr++;
			setreg(v->vp[i], i, RAX, 0x1234, 0);
			setreg(v->vp[i], i, RDX, 0x5678, 0);
			skip(v, i, m);
			break;
		case M_CPUID: {
			v->n_cpuid++;
			struct assoc a[5] = { { RAX, 0, 0, P64(m, 72), 0 },
					      { RCX, 0, 0, P64(m, 80), 0 },
					      { RDX, 0, 0, P64(m, 88), 0 },
					      { RBX, 0, 0, 0xb0b, 0 },
					      { RIP, 0, 0, mrip(m) + ilen(m), 0 } };
			setregs(v->vp[i], i, 5, a);
			break;
		}
		default:
			v->n_other++;
			printf("note VP %d: message 0x%x rip 0x%llx\n", i, mtype(m),
			       (long long)mrip(m));
			memcpy(v->msg, m, 256);
			if (mtype(m) == M_UNREC)
				return NULL;
		}
	}
	return NULL;
}
static void start(struct vm *v, int i)
{
	V = v;
	pthread_create(&v->thr[i], NULL, vcpu, (void *)(intptr_t)i);
}
static void stop(struct vm *v, int n)
{
	v->quit = 1;
	for (int i = 0; i < n; i++) {
		struct timespec ts;
		for (;;) {
			pthread_kill(v->thr[i], SIGUSR1);
			clock_gettime(CLOCK_REALTIME, &ts);
			ts.tv_nsec += 20000000;
			if (ts.tv_nsec >= 1000000000)
				ts.tv_sec++, ts.tv_nsec -= 1000000000;
			if (!pthread_timedjoin_np(v->thr[i], NULL, &ts))
				break;
		}
	}
}
#define WAIT(c, sec)                                  \
	({                                            \
		double e_ = now() + (sec);            \
		int r_;                               \
		unsigned n_ = 0;                      \
		while (!(r_ = !!(c)) && now() < e_) { \
			if (++n_ > 200)               \
				usleep(100);          \
			else                          \
				sched_yield();        \
		}                                     \
		r_;                                   \
	})

static int irqfd(int pt, int fd, int rfd, unsigned gsi, unsigned fl)
{
	struct mshv_user_irqfd a = { .fd = fd, .resamplefd = rfd, .gsi = gsi, .flags = fl };
	return ioctl(pt, MSHV_IRQFD, &a);
}
static int route(int pt, int n, const struct mshv_user_irq_entry *e)
{
	struct mshv_user_irq_table *t = calloc(1, sizeof *t + n * sizeof *e);
	t->nr = n;
	memcpy(t->entries, e, n * sizeof *e);
	int r = ioctl(pt, MSHV_SET_MSI_ROUTING, t);
	free(t);
	return r;
}
static int ioev(int pt, int fd, uint64_t addr, unsigned len, uint64_t dm, unsigned fl)
{
	struct mshv_user_ioeventfd a = {
		.datamatch = dm, .addr = addr, .len = len, .fd = fd, .flags = fl
	};
	return ioctl(pt, MSHV_IOEVENTFD, &a);
}
static void esig(int fd)
{
	uint64_t v = 1;
	if (write(fd, &v, 8) != 8)
		printf("FAIL eventfd\n"), fails++;
}
static uint64_t ecount(int fd)
{
	uint64_t v = 0;
	if (read(fd, &v, 8) != 8)
		v = 0;
	return v;
}

static int wakefd;
/* guest command, result in mb[4] */
static int gcmd(struct vm *v, int op, uint64_t a0, uint64_t a1, uint64_t a2)
{
	volatile uint64_t *m = mb(v);
	m[1] = a0;
	m[2] = a1;
	m[3] = a2;
	__sync_synchronize();
	m[0] = op;
	esig(wakefd);
	int r = WAIT(m[0] == 0, 10);
	if (!r)
		printf("FAIL guest command %d timed out, rip 0x%llx\n", op,
		       (long long)getreg(v->pt, 0, RIP)),
			fails++;
	return r;
}
#define MSI(g, vec, dest, extra)                                                            \
	{                                                                                   \
		.gsi = g, .address_lo = 0xfee00000u | (dest) << 12, .data = (vec) | (extra) \
	}
/* LAPIC guest in its idle loop; gsi 5 -> vector 0x40 wakes it */
static struct vm *mkmain(int nvp)
{
	struct vm *v = mkvm(1, nvp);
	struct mshv_user_irq_entry e[] = { MSI(5, 0x40, 0, 0), MSI(6, 0x41, 0, 0),
					   MSI(7, 0x42, 0, 0), MSI(8, 0x45, 1, 0),
					   MSI(0x23, 0x23, 0, 1 << 15) };
	boot(v, 0, LOAD + 16);
	OK(!route(v->pt, 5, e), "routing table");
	wakefd = eventfd(0, EFD_NONBLOCK);
	OK(!irqfd(v->pt, wakefd, -1, 5, 0), "irqfd gsi 5 -> vector 0x40");
	start(v, 0);
	OK(WAIT(mb(v)[6] == 1, 10), "guest up: APIC, hypercall page, SynIC");
	return v;
}
