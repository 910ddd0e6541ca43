/* SPDX-License-Identifier: MIT */
/* XSAVE and AVX: included by guest_test.c */

#define XSTATE  (LOAD + 0x3000)
#define XCR0    (LOAD + 0x3010)
#define YMM_IN  0x30000
#define YMM_OUT 0x30400
enum { XMM0 = 0x30000, XFEM = 0x40005, TSC_AUX = 0x8007b };

/* MSHV_RUN_VP with a pattern in the host's YMM15; whether it is there afterwards */
static int run_with_ymm(struct vm *v, int i, uint8_t *m)
{
	static const uint64_t pattern[4] = { 0x5a5a, 0x1234567890abcdef, 77, ~0ull };
	uint64_t after[4];
	long r;

	asm volatile("vmovdqu %1, %%ymm15\n syscall\n vmovdqu %%ymm15, %2"
		     : "=a"(r)
		     : "m"(pattern), "m"(after), "a"(16L), "D"((long)v->vp[i]),
		       "S"((long)MSHV_RUN_VP), "d"(m)
		     : "rcx", "r11", "memory", "xmm15");
	return !r && !memcmp(pattern, after, sizeof after);
}

static int vpstate(struct vm *v, int i, int set, int type, void *page)
{
	struct mshv_get_set_vp_state a = { .type = type,
					   .buf_sz = 4096,
					   .buf_ptr = (uintptr_t)page };

	return ioctl(v->vp[i], set ? MSHV_SET_VP_STATE : MSHV_GET_VP_STATE, &a);
}

/* of a VP whose thread is running it: RUN_VP holds the VP's mutex, so it is interrupted until it is
 * out */
static int vpstate_of_running(struct vm *v, int set, int type, void *page)
{
	int r;

	v->hold = 1;
	while (!v->held) {
		pthread_kill(v->thr[0], SIGUSR1);
		usleep(1000);
	}
	r = vpstate(v, 0, set, type, page);
	v->hold = 0;
	while (v->held)
		usleep(100);
	return r;
}

static void t_xstate(void)
{
	struct vm *v = mkvm(0, 2);
	uint8_t m[256], *x = aligned_alloc(4096, 4096);
	uint64_t *in = (void *)(v->ram + YMM_IN), *out = (void *)(v->ram + YMM_OUT), hi;
	int i, ok = 1, n = 200;

	printf("--- xstate: XCR0, AVX, the XSAVE state\n");
	boot(v, 0, XCR0);
	mb(v)[0] = 3;
	OK(run_with_ymm(v, 0, m) && mtype(m) == M_IO,
	   "guest sets XCR0, the host keeps its own and its YMM");
	OK(mb(v)[2] == 1 && getreg(v->pt, 0, XFEM) == 3, "XCR0 was 1 at reset, XFEM is 3 (%llu)",
	   (long long)getreg(v->pt, 0, XFEM));
	OK(!setreg(v->pt, 0, XFEM, 7, 0) && setreg(v->pt, 0, XFEM, 5, 0) == -1 &&
		   setreg(v->pt, 0, XFEM, 0x207, 0) == -1,
	   "XFEM: 7 accepted, 5 and 0x207 refused");
	skip(v, 0, m);
	OK(!run(v, 0, m) && mtype(m) == M_HALT && mb(v)[3] == 7, "and the guest's XCR0 is 7");

	boot(v, 0, XSTATE);
	for (i = 0; i < 64; i++)
		in[i] = 0x1111111111111111ull * (i & 15) + i;
	mb(v)[0] = n;
	setreg(v->pt, 0, TSC_AUX, 0x77, 0);
	for (i = 0; i < n && ok; i++) {
		ok = run_with_ymm(v, 0, m) && mtype(m) == M_IO;
		if (i + 1 < n)
			skip(v, 0, m);
	}
	OK(ok, "%d exits of a guest that uses AVX: the host keeps its YMM", i);
	OK(((uint32_t)mb(v)[2] >> 26 & 7) == 7, "CPUID 1.ECX: XSAVE, OSXSAVE, AVX");
	OK((uint32_t)mb(v)[3] == 7 && mb(v)[3] >> 32 == 832 && (uint32_t)mb(v)[4] == 832,
	   "CPUID 0xd: states 7, 832 bytes");
	OK((uint32_t)mb(v)[5] == 0x77, "RDTSCP gives TSC_AUX (0x%x)", (uint32_t)mb(v)[5]);
	OK(getreg2(v->pt, 0, XMM0 + 3, &hi) == in[12] && hi == in[13], "XMM3 by register");
	OK(!vpstate(v, 0, 0, MSHV_VP_STATE_XSAVE, x) && *(uint64_t *)(x + 512) == 7 &&
		   *(uint64_t *)(x + 520) == (1ull << 63 | 7),
	   "the state xsave is compacted");
	for (i = ok = 0; i < 16; i++)
		ok += !memcmp(x + 160 + 16 * i, in + 4 * i, 16) &&
		      !memcmp(x + 576 + 16 * i, in + 4 * i + 2, 16);
	OK(ok == 16, "and has all of YMM0 to YMM15 (%d)", ok);
	*(uint64_t *)(x + 576 + 16 * 5) = 0xfeed;
	*(uint64_t *)(x + 160 + 16 * 6) = 0xbeef;
	OK(!vpstate(v, 0, 1, MSHV_VP_STATE_XSAVE, x), "set with another YMM5 and XMM6");
	setreg(v->pt, 0, XMM0 + 7, 0xcafe, 0);
	x[520] = 0;
	OK(vpstate(v, 0, 1, MSHV_VP_STATE_XSAVE, x) == -1, "the standard format is refused");

	/* the other VP has other registers in the meantime */
	boot(v, 1, XSTATE);
	for (i = 0; i < 64; i++)
		in[i] = ~in[i];
	mb(v)[0] = 2;
	OK(run_with_ymm(v, 1, m), "another VP runs, with other YMM");
	skip(v, 1, m);
	run(v, 1, m);
	skip(v, 1, m);
	OK(!run(v, 1, m) && mtype(m) == M_HALT && !memcmp(in, out, 512), "and keeps them");
	for (i = 0; i < 64; i++)
		in[i] = ~in[i];
	in[22] = 0xfeed;
	in[24] = 0xbeef;
	in[28] = 0xcafe;
	in[29] = 0;
	in[8] = 0xabcd;
	/* XMM2 by the register page, RIP by hypercall */
	*(uint64_t *)(v->rp[0] + 160 + 16 * 2) = 0xabcd;
	*(volatile uint32_t *)(v->rp[0] + 4) = 4;
	setreg(v->pt, 0, RIP, getreg(v->pt, 0, RIP) + 1, 0);
	OK(run_with_ymm(v, 0, m) && mtype(m) == M_HALT, "the first one goes on to its end");
	OK(!memcmp(in, out, 512), "with the registers it had, and what was set");
	rmvm(v);
	free(x);
}
