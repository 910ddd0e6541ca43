/* SPDX-License-Identifier: MIT */
/*
 * A VMM in small that runs guest.S through /dev/mshv on emulated SVM and checks what comes out.
 *
 *   guest_test [SECTION,...]   of io fault spin mem irq door hc synic eoi smp stress xstate
 * apictimer stimer clock identity state modes spin2 debug; all where absent
 *
 * `guest_n=N` on the kernel's command line sets the number of interrupts (10000).
 */
#include "guest_vm.h"

static void t_io(void)
{
	struct vm *v = mkvm(0, 1);
	uint8_t m[256];
	uint64_t hi;

	printf("--- io: OUT, IN, string OUT, HLT, registers, register page\n");
	OK(!boot(v, 0, LOAD), "registers set");
	double t0 = now();
	OK(!run(v, 0, m) && mtype(m) == M_IO, "first exit is IO_PORT_INTERCEPT (0x%x), %.2f ms",
	   mtype(m), (now() - t0) * 1e3);
	OK(P16(m, 40) == 0x3f8 && pay(m)[5] == 1 && (pay(m)[42] & 7) == 1 &&
		   (P64(m, 48) & 255) == 'H',
	   "OUT 0x3f8 size 1 'H'");
	OK(ilen(m) == 1 && mrip(m) == LOAD + 0x69 && pay(m)[43] == 16 && pay(m)[56] == 0xee,
	   "rip 0x%llx length %d bytes[0] 0x%x", (long long)mrip(m), ilen(m), pay(m)[56]);
	OK(P16(m, 8 + 12) == 8 && P16(m, 8 + 14) == 0xa09b && (P16(m, 6) & 0x1f) == 0x14,
	   "cs, attributes, execution state 0x%x", P16(m, 6));
	OK(getreg(v->vp[0], 0, RBX) == 0x1122334455667788, "RBX from the guest");
	OK(v->rp[0][2] == 1 && *(uint64_t *)(v->rp[0] + 136) == mrip(m) &&
		   *(uint64_t *)(v->rp[0] + 8 + 24) == 0x1122334455667788,
	   "register page valid");
	skip(v, 0, m);
	OK(*(uint64_t *)(v->rp[0] + 136) == mrip(m),
	   "register page does not follow SET_VP_REGISTERS");
	OK(!run(v, 0, m) && mtype(m) == M_IO && P16(m, 40) == 0x60 && pay(m)[5] == 0 &&
		   ilen(m) == 2,
	   "IN 0x60, length 2");
	/* complete through the register page */
	*(uint64_t *)(v->rp[0] + 8) = 0x5a;
	*(uint64_t *)(v->rp[0] + 136) = mrip(m) + 2;
	*(uint32_t *)(v->rp[0] + 4) = 3;
	OK(getreg(v->vp[0], 0, RAX) != 0x5a && *(uint32_t *)(v->rp[0] + 4) == 3,
	   "hypercall does not see the dirty register page");
	OK(!run(v, 0, m) && P16(m, 40) == 0x510 && (pay(m)[42] & 7) == 4 &&
		   P64(m, 48) == 0x12345678,
	   "OUT 0x510 size 4");
	OK((uint32_t)mb(v)[0] == 0x5a, "IN result 0x5a reached the guest (memory %llx)",
	   (long long)mb(v)[0]);
	skip(v, 0, m);
	int r = run(v, 0, m);
	OK(!r && mtype(m) == M_IO && (pay(m)[42] & 0x18) == 0x18 && P64(m, 104) == 5 &&
		   !memcmp(v->ram + P64(m, 112), "hello", 5),
	   "REP OUTSB: string, rep, rcx 5, rsi -> \"hello\"");
	OK((uint32_t)mb(v)[1] == 0x7263694d, "CPUID 0x40000000 says \"Micr\"");
	OK(getreg2(v->vp[0], 0, 0x30001, &hi) == 0x1122334455667788 && hi == 0,
	   "XMM1 by hypercall");
	OK(*(uint64_t *)(v->rp[0] + 160 + 16) == 0x1122334455667788, "XMM1 in the register page");
	setreg(v->vp[0], 0, RCX, 0, 0);
	skip(v, 0, m);
	OK(!run(v, 0, m) && mtype(m) == M_HALT && ilen(m) == 1,
	   "HLT without LAPIC: X64_HALT message");
	struct {
		uint64_t pt;
		uint32_t vp, pad;
		uint64_t flags, page;
	} tr = { .page = 0x100 };
	uint64_t o[2] = { -1, -1 };
	OK(!hv(v->vp[0], 0x52, 0, &tr, sizeof tr, o, 16, NULL) && (uint32_t)o[0] == 0 &&
		   o[1] == 0x100,
	   "TRANSLATE walks the guest page table");
	((uint64_t *)(v->ram + 0x3000))[5] = 0;
	tr.page = 0xa00;
	OK(!hv(v->vp[0], 0x52, 0, &tr, sizeof tr, o, 16, NULL) && (uint32_t)o[0] == 1,
	   "TRANSLATE: not present");
	rmvm(v);
}

static void t_fault(void)
{
	struct vm *v = mkvm(0, 1);
	uint8_t m[256];

	printf("--- fault: triple fault, exception intercept, unmapped GPA\n");
	boot(v, 0, LOAD + 48);
	OK(!run(v, 0, m) && mtype(m) == M_UNREC, "triple fault: UNRECOVERABLE_EXCEPTION (0x%x)",
	   mtype(m));
	icpt(v, 4, 3, 6);
	boot(v, 0, LOAD + 48);
	OK(!run(v, 0, m) && mtype(m) == M_EXC && P16(m, 40) == 6, "exception intercept #UD");
	boot(v, 0, 0x500000);
	OK(!run(v, 0, m) && mtype(m) == M_UNMAPPED && pay(m)[5] == 2 && P64(m, 56) == 0x500000 &&
		   P64(m, 48) == 0x500000,
	   "fetch from unmapped GPA: UNMAPPED_GPA, execute");
	rmvm(v);
}

static pthread_t main_thr;
static volatile int spin_stop;
static void *kicker(void *a)
{
	usleep(50000);
	while (!spin_stop) {
		pthread_kill(main_thr, SIGUSR1);
		usleep(20000);
	}
	return a;
}
static void t_spin(void)
{
	struct vm *v = mkvm(0, 1);
	uint8_t m[256];
	pthread_t t;
	uint64_t c[4];

	printf("--- spin: guest never exits, RUN_VP is interrupted by a signal\n");
	boot(v, 0, LOAD + 32);
	main_thr = pthread_self();
	for (int k = 0; k < 3; k++) {
		spin_stop = 0;
		pthread_create(&t, NULL, kicker, NULL);
		errno = 0;
		int r = run(v, 0, m);
		int e = errno;
		spin_stop = 1;
		pthread_join(t, NULL);
		c[k] = mb(v)[8];
		usleep(20000);
		OK(r == -1 && e == EINTR && c[k] > (k ? c[k - 1] : 0) && mb(v)[8] == c[k],
		   "EINTR, guest counted to %llu and is stopped", (long long)c[k]);
		OK(getreg(v->vp[0], 0, RIP) - (LOAD + 0xaf) <= 8, "RIP in the loop");
	}
	rmvm(v);
}

static void t_mem(void)
{
	struct vm *v = mkvm(0, 1);
	uint8_t m[256], bm[64] = { 0 };
	int n = 300, bad = 0;

	printf("--- mem: movable region, faults resolved inside RUN_VP, dirty bitmap\n");
	uint8_t *p =
		mmap(NULL, 2 << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	OK(!setmem(v->pt, 0x800, p, 2 << 20, 1), "2 MiB at 8 MiB");
	boot(v, 0, LOAD + 64);
	mb(v)[0] = 0x800000;
	mb(v)[1] = n;
	OK(!run(v, 0, m) && mtype(m) == M_HALT,
	   "guest wrote %d pages of a movable region, only HALT seen (0x%x)", n, mtype(m));
	for (int i = 0; i < 512; i++)
		bad += p[i * 4096] != (i < n ? 0x77 : 0);
	OK(!bad, "userspace sees every byte");
	struct mshv_gpap_access_bitmap b = { .access_type = 1,
					     .access_op = 1,
					     .page_count = 512,
					     .gpap_base = 0x800,
					     .bitmap_ptr = (uintptr_t)bm };
	int cnt = 0;
	OK(!ioctl(v->pt, MSHV_GET_GPAP_ACCESS_BITMAP, &b), "dirty bitmap get+clear (errno %d)",
	   errno);
	for (int i = 0; i < 512; i++)
		cnt += bm[i / 8] >> (i & 7) & 1;
	OK(cnt == n, "%d dirty pages", cnt);
	boot(v, 0, LOAD + 64);
	mb(v)[0] = 0x800000 + 7 * 4096;
	mb(v)[1] = 3;
	OK(!run(v, 0, m) && mtype(m) == M_HALT, "second run: 3 pages");
	memset(bm, 0, sizeof bm);
	ioctl(v->pt, MSHV_GET_GPAP_ACCESS_BITMAP, &b);
	cnt = 0;
	for (int i = 0; i < 512; i++)
		cnt += bm[i / 8] >> (i & 7) & 1;
	OK(cnt == 3 && (bm[0] & 0x80) && (bm[1] & 3) == 3, "exactly those 3 dirty (%d)", cnt);
	/* the host moves the pages away: the driver must fault them back */
	OK(!madvise(p, 64 * 4096, MADV_DONTNEED),
	   "madvise(DONTNEED) of 64 pages in use by the guest");
	boot(v, 0, LOAD + 64);
	mb(v)[0] = 0x800000;
	mb(v)[1] = 10;
	OK(!run(v, 0, m) && mtype(m) == M_HALT, "run after invalidation");
	bad = 0;
	for (int i = 0; i < 64; i++)
		bad += p[i * 4096] != (i < 10 ? 0x77 : 0);
	OK(!bad, "guest writes went to the new pages");
	OK(!setmem(v->pt, 0x800, p, 2 << 20, 4), "unmapped");
	boot(v, 0, LOAD + 64);
	OK(!run(v, 0, m) && mtype(m) == M_UNMAPPED && P64(m, 56) == 0x800000 &&
		   P64(m, 48) == 0x800000 && pay(m)[5] == 1 && ilen(m) == 3,
	   "access after unmap: UNMAPPED_GPA write gpa=gva=0x%llx len %d", (long long)P64(m, 56),
	   ilen(m));
	rmvm(v);
	munmap(p, 2 << 20);
}

static int N = 10000,
	   fast; /* fast: root scheduler with interrupt injection through the register page */
static void t_irq(void)
{
	struct vm *v = mkmain(1);
	int f41 = eventfd(0, EFD_NONBLOCK), f42 = eventfd(0, EFD_NONBLOCK), i;
	volatile uint64_t *c = counts(v);
	double t0;

	printf("--- irq: irqfd MSIs into guest ISRs\n");
	OK((uint32_t)mb(v)[7] == 0x1ff && mb(v)[7] >> 32 == 0x50014,
	   "APIC page: SVR 0x%x version 0x%x", (uint32_t)mb(v)[7], (uint32_t)(mb(v)[7] >> 32));
	OK(!irqfd(v->pt, f41, -1, 6, 0) && !irqfd(v->pt, f42, -1, 7, 0),
	   "irqfds gsi 6 -> 0x41, gsi 7 -> 0x42");
	t0 = now();
	for (i = 0; i < N; i++) {
		esig(f41);
		if (!WAIT(c[0x41] >= (uint64_t)i + 1, 5))
			break;
	}
	double dt = now() - t0;
	usleep(50000);
	OK(i == N && c[0x41] == (uint64_t)N,
	   "%d irqfd signals one at a time -> %llu ISR runs (%.2f s, %.0f us each, APIC page EOI)",
	   i, (long long)c[0x41], dt, dt / (i ? i : 1) * 1e6);
	mb(v)[13] = 1; /* EOI by HV_X64_MSR_EOI */
	t0 = now();
	for (i = 0; i < N / 10; i++) {
		esig(f42);
		if (!WAIT(c[0x42] >= (uint64_t)i + 1, 5))
			break;
	}
	OK(c[0x42] == (uint64_t)N / 10, "%d more with EOI by MSR -> %llu (%.0f us each)", i,
	   (long long)c[0x42], (now() - t0) / i * 1e6);
	mb(v)[13] = 0;
	uint64_t b41 = c[0x41], b42 = c[0x42];
	for (i = 0; i < 2000; i++) {
		esig(f41);
		esig(f42);
	}
	WAIT(0, 0.1);
	OK(c[0x41] > b41 && c[0x41] <= b41 + 2000 && c[0x42] > b42 && c[0x42] <= b42 + 2000,
	   "burst of 2 x 2000: coalesced to %llu and %llu, none lost at the end",
	   (long long)(c[0x41] - b41), (long long)(c[0x42] - b42));
	uint64_t other = 0;
	for (i = 0; i < 256; i++)
		if (i != 0x40 && i != 0x41 && i != 0x42)
			other += c[i];
	OK(other == 0 && v->n_other == 0, "no other vector, no unexpected exit");
	/* signal interruption of an idle VP, then it continues */
	uint64_t e = v->n_eintr;
	pthread_kill(v->thr[0], SIGUSR1);
	OK(WAIT(v->n_eintr == e + 1, 2), "signal while the VP sleeps in HLT: EINTR");
	b41 = c[0x41];
	esig(f41);
	OK(WAIT(c[0x41] == b41 + 1, 2), "and it still wakes by irqfd");
	stop(v, 1);
	rmvm(v);
	close(f41);
	close(f42);
	close(wakefd);
}

static void t_door(void)
{
	struct vm *v = mkmain(1);
	int any = eventfd(0, EFD_NONBLOCK), e4 = eventfd(0, EFD_NONBLOCK),
	    dm = eventfd(0, EFD_NONBLOCK), e8 = eventfd(0, EFD_NONBLOCK);

	printf("--- door: guest MMIO writes ring eventfds\n");
	OK(!ioev(v->pt, e4, DOORG, 4, 0, 0) && !ioev(v->pt, dm, DOORG + 0x100, 2, 0xbeef, 1) &&
		   !ioev(v->pt, any, DOORG + 0x200, 0, 0, 0) &&
		   !ioev(v->pt, e8, DOORG + 0x300, 8, 0, 0),
	   "ioeventfds: 4 bytes, datamatch 0xbeef 2 bytes, any size, 8 bytes");
	gcmd(v, 5, DOORG, 1, 0);
	OK(WAIT(ecount(e4) == 1, 2) && v->n_unmapped_w == 0,
	   "32-bit write rings, no exit to userspace");
	gcmd(v, 13, DOORG, 0, 0);
	OK(WAIT(ecount(e4) == 1, 2), "movl $imm rings");
	gcmd(v, 4, DOORG, 1, 0);
	OK(v->n_unmapped_w == 1 && v->gpa == DOORG && ecount(e4) == 0,
	   "16-bit write to the 4-byte doorbell: UNMAPPED_GPA exit");
	gcmd(v, 4, DOORG + 0x100, 0xbeef, 0);
	OK(WAIT(ecount(dm) == 1, 2), "datamatch hit");
	gcmd(v, 4, DOORG + 0x100, 0xbeee, 0);
	OK(v->n_unmapped_w == 2 && ecount(dm) == 0, "datamatch miss: exit");
	gcmd(v, 3, DOORG + 0x200, 7, 0);
	gcmd(v, 5, DOORG + 0x200, 7, 0);
	gcmd(v, 6, DOORG + 0x200 - 0x10, 7, 0);
	uint64_t n = 0;
	WAIT((n += ecount(any)) == 3, 2);
	OK(n == 3, "any size: 1, 4 and 8 byte writes ring (%llu)", (long long)n);
	gcmd(v, 6, DOORG + 0x300 - 0x10, 7, 0);
	OK(WAIT(ecount(e8) == 1, 2), "64-bit REX.W/SIB/disp8 write rings");
	uint64_t w = v->n_unmapped_w;
	gcmd(v, 6, DOORG + 0x400, 0x1234567890, 0);
	OK(v->n_unmapped_w == w + 1 && v->gpa == DOORG + 0x410 && ilen(v->msg) == 5 &&
		   P64(v->msg, 48) == DOORG + 0x410 && pay(v->msg)[44] == 16 &&
		   pay(v->msg)[64] == 0x4e,
	   "unmapped write: gpa, gva, length 5, bytes");
	gcmd(v, 7, DOORG + 0x404, 0, 0);
	OK(v->n_unmapped_r == 1 && v->gpa == DOORG + 0x404 && mb(v)[4] == 0xfeedface,
	   "unmapped read completed by the VMM: 0x%llx", (long long)mb(v)[4]);
	/* doorbell throughput */
	double t0 = now();
	int D = 5000;
	n = 0;
	gcmd(v, 12, DOORG, D, 0);
	double t1 = now();
	WAIT((n += ecount(e4)) >= (uint64_t)D, 2);
	OK(n == (uint64_t)D, "%d doorbell writes in a row: eventfd total %llu (%.0f us each)", D,
	   (long long)n, (t1 - t0) / D * 1e6);
	OK(v->n_unmapped_w == w + 1, "no exit for any of them");
	stop(v, 1);
	rmvm(v);
	close(any);
	close(e4);
	close(dm);
	close(e8);
	close(wakefd);
}

static void t_hc(void)
{
	struct vm *v = mkmain(1);

	printf("--- hc: VMMCALL, CPUID, MSR\n");
	gcmd(v, 1, 0x5c, 0, 0);
	OK(mb(v)[4] == 0x12 && v->n_hc == 0,
	   "HvPostMessage without intercept: INVALID_CONNECTION_ID (0x%llx) to the guest",
	   (long long)mb(v)[4]);
	gcmd(v, 1, 0x7777, 0, 0);
	OK(mb(v)[4] == 2, "unknown call: INVALID_HYPERCALL_CODE");
	OK(!icpt(v, 4, 0xd, 0), "install UNKNOWN_SYNIC_CONNECTION intercept");
	struct {
		uint32_t conn, rsvd, type, size;
		uint64_t p[30];
	} pm = { 0x800074, 0, 1, 16, { 0x1111, 0x2222 } };
	memcpy(v->ram + HCIN, &pm, 256);
	v->hc_ret = 0;
	gcmd(v, 1, 0x5c, 0, 0);
	OK(v->n_hc == 1 && v->hc_code == 0x5c && v->hc_rdx == HCIN && !memcmp(v->hc_in, &pm, 256) &&
		   mb(v)[4] == 0,
	   "HvPostMessage: HYPERCALL_INTERCEPT, input page readable, result 0");
	OK(v->hc_rbx == 0x5555 && v->last == M_HC, "registers in the message");
	v->hc_ret = 0x13;
	gcmd(v, 1, 0x5c, 0, 0);
	OK(mb(v)[4] == 0x13, "result INSUFFICIENT_BUFFERS reaches the guest");
	v->hc_ret = 0;
	gcmd(v, 2, 0x1005d, 0x0000000500000002ull, 0x99);
	OK(v->n_hc == 3 && v->hc_code == 0x1005d && v->hc_rdx == 0x0000000500000002ull &&
		   v->hc_r8 == 0x99,
	   "fast HvSignalEvent conn 2 flag 5: values in RDX/R8");
	gcmd(v, 1, 0x7777, 0, 0);
	OK(mb(v)[4] == 2 && v->n_hc == 3, "other calls are not intercepted");
	OK(!icpt(v, 4, 8, 0), "install HYPERCALL intercept");
	gcmd(v, 1, 0x7777, 0, 0);
	OK(mb(v)[4] == 0 && v->n_hc == 4 && v->hc_code == 0x7777, "now every call exits");
	double t0 = now();
	for (int i = 0; i < 500; i++)
		gcmd(v, 1, 0x5c, 0, 0);
	OK(v->n_hc == 504,
	   "500 x (irqfd wake + HvPostMessage exit + register page completion), %.0f us each",
	   (now() - t0) / 500 * 1e6);
	gcmd(v, 8, 0x40000001, 0, 0);
	OK((uint32_t)mb(v)[8] == 0x31237648, "CPUID 0x40000001 = Hv#1");
	struct {
		uint64_t pt;
		uint32_t vp, type;
		uint32_t eax, ecx;
		uint8_t sub, always;
		uint16_t pad;
		uint32_t r[8];
		uint32_t z;
	} rr = { 0, 0, 2, 0x40000082, 0, 0, 0, 0, { 0xabcd, ~0u, 0x1234, ~0u, 0, 0, 0, 0 }, 0 };
	OK(!hv(v->pt, 0x91, 0, &rr, 60, NULL, 0, NULL),
	   "REGISTER_INTERCEPT_RESULT cpuid 0x40000082");
	gcmd(v, 8, 0x40000082, 0, 0);
	OK((uint32_t)mb(v)[8] == 0xabcd && mb(v)[8] >> 32 == 0x1234, "registered CPUID result");
	OK(!icpt(v, 4, 2, 0x40000090), "install CPUID intercept");
	gcmd(v, 8, 0x40000090, 0, 0);
	OK(v->n_cpuid == 1 && mb(v)[8] >> 32 == 0xb0b, "CPUID_INTERCEPT completed by the VMM");
	gcmd(v, 9, 0x12345, 0, 0);
	OK(mb(v)[10] == 13, "unknown MSR: #GP in the guest (vector %llu)", (long long)mb(v)[10]);
	OK(!icpt(v, 3, 1, 0), "install MSR intercept");
	gcmd(v, 9, 0x12345, 0, 0);
	OK(v->n_msr == 1 && v->msr == 0x12345 && mb(v)[4] == 0x0000567800001234ull,
	   "MSR_INTERCEPT read completed: 0x%llx", (long long)mb(v)[4]);
	gcmd(v, 10, 0x40000092, 0x20052, 0);
	OK(getreg(v->pt, 0, 0xa0002) == 0x20052,
	   "SINT2 written by the guest read by GET_VP_REGISTERS");
	gcmd(v, 11, 0x510, 0xc0ffee, 0);
	OK(v->n_io == 1 && v->io_val == 0xc0ffee, "OUT exit in the LAPIC guest");
	stop(v, 1);
	rmvm(v);
	close(wakefd);
}

static int post(struct vm *v, int sint, uint32_t type, uint64_t p0, struct mshv_root_hvcall *res)
{
	struct {
		uint64_t pt;
		uint32_t vp;
		uint8_t vtl, p[3];
		uint32_t sint;
		uint8_t msg[256];
		uint32_t z;
	} __attribute__((packed)) in = { .sint = sint };
	*(uint32_t *)in.msg = type;
	in.msg[4] = 16;
	*(uint64_t *)(in.msg + 16) = p0;
	return hv(v->pt, 0xc1, 0, &in, sizeof in, NULL, 0, res);
}
static int sigev(struct vm *v, int sint, int flag, uint8_t *newly)
{
	struct {
		uint64_t pt;
		uint32_t vp;
		uint8_t vtl, sint;
		uint16_t flag;
	} in = { .sint = sint, .flag = flag };
	uint64_t out = 0xff;
	int r = hv(v->pt, 0xc0, 0, &in, sizeof in, &out, 8, NULL);
	if (newly)
		*newly = out;
	return r;
}
static void t_synic(void)
{
	struct vm *v = mkmain(1);
	volatile uint64_t *lg = (void *)(v->ram + LOG);
	volatile uint32_t *ev = (void *)(v->ram + EVCNT);
	struct mshv_root_hvcall res;
	uint8_t newly;
	int i, busy = 0;
	uint64_t sum = 0;

	printf("--- synic: POST_MESSAGE_DIRECT, SIGNAL_EVENT_DIRECT\n");
	OK(!post(v, 2, 1, 0x1000, NULL) && WAIT(lg[0] == 1, 2),
	   "message delivered to the ISR of SINT2");
	OK(lg[3] == 1 && lg[1] == 0x1000 &&
		   *(volatile uint64_t *)(v->ram + LOG + 64 + 16) == 0x1000,
	   "type and payload");
	OK(post(v, 3, 1, 1, &res) == 0 && counts(v)[0x51] == 1,
	   "message to a masked SINT: stored, no interrupt");
	OK(post(v, 3, 1, 1, &res) == -1 && res.status == 0x19,
	   "slot 3 busy: status OBJECT_IN_USE (0x%x)", res.status);
	OK(post(v, 16, 1, 1, &res) == -1 && res.status == 5, "SINT 16: INVALID_PARAMETER");
	int M = N / 10;
	double t0 = now();
	for (i = 0; i < M; i++) {
		while (post(v, 2, 1, i, &res)) {
			if (res.status != 0x19)
				break;
			busy++;
			usleep(20);
		}
		sum += i;
	}
	WAIT(lg[0] == (uint64_t)M + 1, 5);
	OK(lg[0] == (uint64_t)M + 1 && lg[1] == sum + 0x1000,
	   "%d messages: all received in order of slots, sum matches (%d busy retries, %llu EOMs, "
	   "%.0f us each)",
	   M, busy, (long long)lg[2], (now() - t0) / M * 1e6);
	/* busy slot + deliverability notification */
	mb(v)[14] = 1;
	OK(!post(v, 2, 1, 5, NULL), "post, guest told not to consume");
	usleep(20000);
	OK(post(v, 2, 1, 6, &res) == -1 && res.status == 0x19, "second: OBJECT_IN_USE");
	OK(!setreg(v->pt, 0, 0x10006, 1ull << (48 + 2), 0),
	   "register SINT2 deliverability notification");
	usleep(20000);
	OK(v->n_sint == 0, "not yet deliverable");
	mb(v)[14] = 0;
	sigev(v, 2, 0, &newly); /* makes the ISR run: consumes, sees msg_pending, EOM */
	OK(WAIT(v->n_sint == 1, 2) && v->sints == 4,
	   "SYNIC_SINT_DELIVERABLE after EOM, sints 0x%llx", (long long)v->sints);
	OK(!post(v, 2, 1, 6, NULL) && WAIT(lg[0] == (uint64_t)M + 3, 2), "retry is accepted");
	/* events */
	OK(ev[0] == 1 && newly == 1, "event flag 0: newly signaled");
	t0 = now();
	for (i = 0; i < M; i++) {
		uint32_t b = ev[i % 2048];
		if (sigev(v, 2, i % 2048, &newly) || !newly || !WAIT(ev[i % 2048] == b + 1, 2))
			break;
	}
	OK(i == M, "%d events over %d flags, each seen exactly once (%.0f us each)", i,
	   M < 2048 ? M : 2048, (now() - t0) / M * 1e6);
	OK(!sigev(v, 3, 77, &newly) && newly == 1 && !sigev(v, 3, 77, &newly) && newly == 0,
	   "masked SINT: newly signaled 1, then 0");
	OK(sigev(v, 2, 2048, &newly) == -1, "flag 2048 refused");
	gcmd(v, 10, 0x40000080, 0, 0);
	OK(post(v, 2, 1, 1, &res) == -1 && res.status == 0x18, "SCONTROL off: INVALID_SYNIC_STATE");
	OK(v->n_other == 0, "no unexpected exit");
	stop(v, 1);
	rmvm(v);
	close(wakefd);
}

static void t_eoi(void)
{
	struct vm *v = mkmain(1);
	int f = eventfd(0, EFD_NONBLOCK), rf = eventfd(0, EFD_NONBLOCK), i;

	printf("--- eoi: level-triggered irqfd with resamplefd (gsi == vector)\n");
	OK(!irqfd(v->pt, f, rf, 0x23, 1 << MSHV_IRQFD_BIT_RESAMPLE), "irqfd gsi 0x23 + resamplefd");
	int M = N / 10;
	double t0 = now();
	if (fast) { /* driver quirk: the register page carries only the vector, level is lost */
		esig(f);
		OK(WAIT(counts(v)[0x23] == 1, 2),
		   "fast path: the level-triggered MSI reaches the ISR");
		OK(!WAIT(ecount(rf), 0.3),
		   "driver quirk: it was injected as an edge, so no EOI message and no resamplefd");
		goto out;
	}
	for (i = 0; i < M; i++) {
		esig(f);
		if (!WAIT(ecount(rf) == 1, 2))
			break;
	}
	OK(i == M && counts(v)[0x23] == (uint64_t)M,
	   "%d level interrupts: %llu ISR runs, every EOI signalled the resamplefd (%.0f us each)",
	   i, (long long)counts(v)[0x23], (now() - t0) / M * 1e6);
	esig(wakefd);
	OK(WAIT(counts(v)[0x40] > 0, 2) && ecount(rf) == 0, "edge interrupt: no resample");
out:
	stop(v, 1);
	rmvm(v);
	close(f);
	close(rf);
	close(wakefd);
}

static void t_smp(void)
{
	struct vm *v = mkmain(2);
	int f = eventfd(0, EFD_NONBLOCK), i;
	volatile uint64_t *c = counts(v);

	printf("--- smp: two VPs, MSI to VP 1, IPIs from VP 0\n");
	boot(v, 1, LOAD + 80);
	start(v, 1);
	OK(WAIT(mb(v)[16] == 1, 5), "VP 1 up");
	OK(!irqfd(v->pt, f, -1, 8, 0), "irqfd gsi 8 -> vector 0x45 on APIC id 1");
	int M = N / 10;
	double t0 = now();
	for (i = 0; i < M; i++) {
		esig(f);
		if (!WAIT(c[0x45] >= (uint64_t)i + 1, 2))
			break;
	}
	OK(i == M && c[0x45] == (uint64_t)M, "%d MSIs to VP 1 -> %llu ISR runs (%.0f us each)", i,
	   (long long)c[0x45], (now() - t0) / M * 1e6);
	for (i = 0; i < 200; i++) {
		gcmd(v, 14, 0x46, 1 << 24, 0);
		if (!WAIT(c[0x46] >= (uint64_t)i + 1, 2))
			break;
	}
	OK(i == 200 && c[0x46] == 200, "%d guest IPIs VP 0 -> VP 1 through the ICR -> %llu", i,
	   (long long)c[0x46]);
	stop(v, 2);
	rmvm(v);
	close(f);
	close(wakefd);
}

/* two VPs, a signalling thread each, doorbells, IPIs and messages at the same time */
struct sig {
	int fd, vec;
	uint64_t n;
	volatile int bad;
};
static volatile int st_stop;
static void *sigthr(void *a)
{
	struct sig *g = a;
	volatile uint64_t *c = counts(V);

	while (!st_stop) {
		esig(g->fd);
		if (!WAIT(c[g->vec] >= g->n + 1, 5)) {
			g->bad = 1;
			break;
		}
		g->n++;
	}
	return NULL;
}
static void t_stress(void)
{
	struct vm *v = mkmain(2);
	struct sig g[2] = { { .fd = eventfd(0, EFD_NONBLOCK), .vec = 0x41 },
			    { .fd = eventfd(0, EFD_NONBLOCK), .vec = 0x45 } };
	int db = eventfd(0, EFD_NONBLOCK);
	volatile uint64_t *c = counts(v), *lg = (void *)(v->ram + LOG);
	struct mshv_root_hvcall res;
	uint64_t ipi = 0, dbs = 0, dn = 0, msgs = 0, evs = 0;
	pthread_t t[2];
	int ok = 1, secs = N / 2000 > 2 ? N / 2000 : 2;

	printf("--- stress: %d s of MSIs to 2 VPs, IPIs, doorbells, SynIC, register reads, all at "
	       "once\n",
	       secs);
	boot(v, 1, LOAD + 80);
	start(v, 1);
	OK(WAIT(mb(v)[16] == 1, 5), "VP 1 up");
	OK(!irqfd(v->pt, g[0].fd, -1, 6, 0) && !irqfd(v->pt, g[1].fd, -1, 8, 0) &&
		   !ioev(v->pt, db, DOORG, 4, 0, 0),
	   "irqfds, ioeventfd");
	st_stop = 0;
	for (int i = 0; i < 2; i++)
		pthread_create(&t[i], NULL, sigthr, &g[i]);
	double e = now() + secs;
	while (now() < e && ok) {
		ok &= gcmd(v, 14, 0x46, 1 << 24, 0) && WAIT(c[0x46] >= ipi + 1, 5);
		ipi++;
		ok &= gcmd(v, 12, DOORG, 10, 0);
		dbs += 10;
		dn += ecount(db);
		if (!post(v, 2, 1, 1, &res))
			msgs++;
		uint8_t nw = 0;
		if (!sigev(v, 2, ipi % 2048, &nw) && nw)
			evs++;
		ok &= getreg(v->pt, 1, RSP) <= 0x88000;
		if (v->n_other)
			ok = 0;
	}
	st_stop = 1;
	for (int i = 0; i < 2; i++)
		pthread_join(t[i], NULL);
	usleep(100000);
	dn += ecount(db);
	uint64_t es = 0;
	for (int i = 0; i < 2048; i++)
		es += ((volatile uint32_t *)(v->ram + EVCNT))[i];
	OK(ok && !g[0].bad && !g[1].bad, "no timeout, no unexpected exit");
	OK(c[0x41] == g[0].n, "VP 0: %llu MSIs -> %llu ISR runs", (long long)g[0].n,
	   (long long)c[0x41]);
	OK(c[0x45] == g[1].n, "VP 1: %llu MSIs -> %llu ISR runs", (long long)g[1].n,
	   (long long)c[0x45]);
	OK(c[0x46] == ipi, "%llu IPIs -> %llu", (long long)ipi, (long long)c[0x46]);
	OK(dn == dbs, "%llu doorbell writes -> eventfd total %llu", (long long)dbs, (long long)dn);
	OK(lg[0] == msgs && es == evs, "%llu messages -> %llu, %llu new event flags -> %llu",
	   (long long)msgs, (long long)lg[0], (long long)evs, (long long)es);
	stop(v, 2);
	rmvm(v);
	close(g[0].fd);
	close(g[1].fd);
	close(db);
	close(wakefd);
}

#include "guest_xstate.c"
#include "guest_time.c"
#include "guest_identity.c"
#include "guest_state.c"
#include "guest_debug.c"
#include "guest_modes.c"

static const struct {
	const char *n;
	void (*f)(void);
} secs[] = {
	{ "io", t_io },
	{ "fault", t_fault },
	{ "spin", t_spin },
	{ "mem", t_mem },
	{ "irq", t_irq },
	{ "door", t_door },
	{ "hc", t_hc },
	{ "synic", t_synic },
	{ "eoi", t_eoi },
	{ "smp", t_smp },
	{ "stress", t_stress },
	{ "xstate", t_xstate },
	{ "apictimer", t_apic_timer },
	{ "stimer", t_stimer },
	{ "clock", t_clock },
	{ "identity", t_identity },
	{ "state", t_state },
	{ "modes", t_modes },
	{ "spin2", t_spin2 },
	{ "debug", t_debug },
};

int main(int argc, char **argv)
{
	struct sigaction sa = { .sa_handler = sigh };
	double t0 = now();
	char cl[4096] = "", *q;

	setvbuf(stdout, NULL, _IOLBF, 0);
	sigaction(SIGUSR1, &sa, NULL);
	int fd = open("/proc/cmdline", O_RDONLY);
	if (fd >= 0) {
		if (read(fd, cl, sizeof cl - 1) < 0)
			*cl = 0;
		close(fd);
	}
	if ((q = strstr(cl, "guest_n=")))
		N = atoi(q + 8);
	fast = strstr(cl, "ext_features=0x200") && strstr(cl, "sched=4");
	mshv = open("/dev/mshv", O_RDWR);
	fh = open("/dev/fakehv", O_RDWR);
	if (mshv < 0 || fh < 0) {
		perror("FAIL open");
		return 1;
	}
	const char *only = argc > 1 && strcmp(argv[1], "all") ? argv[1] : NULL;
	for (unsigned i = 0; i < sizeof secs / sizeof *secs; i++) {
		char b[16];
		snprintf(b, sizeof b, ",%s,", secs[i].n);
		if (only) {
			char o[200];
			snprintf(o, sizeof o, ",%s,", only);
			if (!strstr(o, b))
				continue;
		}
		double t = now();
		secs[i].f();
		NOTE("%s: %.2f s", secs[i].n, now() - t);
	}
	{ /* hypervisor statistics and surprises from the event log */
		static char lb[1 << 20];
		int len = 0, r;
		while (len < (int)sizeof lb - 4096 && (r = read(fh, lb + len, 4096)) > 0)
			len += r;
		lb[len] = 0;
		for (char *l = strtok(lb, "\n"); l; l = strtok(NULL, "\n"))
			if (strstr(l, "SVM_STATS") || strstr(l, "INVALID_VMCB") ||
			    strstr(l, "unknown code") || strstr(l, "APIC_DECODE") ||
			    strstr(l, "STUCK") || strstr(l, "SHUTDOWN") || strstr(l, "HOSTSTATE") ||
			    (strstr(l, "leaked_deposit=") && !strstr(l, "leaked_deposit=0")))
				printf("     | %s\n", l);
	}
	{ /* kernel complaints */
		static char k[1 << 16];
		int n = klogctl(3, k, sizeof k - 1);
		for (char *l = strtok(n > 0 ? k : "", "\n"); l; l = strtok(NULL, "\n"))
			if (strstr(l, "WARN") || strstr(l, "BUG") || strstr(l, "mshv") ||
			    strstr(l, "fakehv") || strstr(l, "Oops"))
				printf("dmesg: %s\n", l);
	}
	printf("GUEST %s: %d ok, %d failed, %.2f s\n", fails ? "FAIL" : "PASS", oks, fails,
	       now() - t0);
	return fails ? 1 : 0;
}
