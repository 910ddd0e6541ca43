/* SPDX-License-Identifier: MIT */
/* the clocks and timers of a guest: included by guest_test.c */

#define CLOCKS    (LOAD + 0x3020)
#define TSCPAGE   0x25000
#define APIC(o)   (0xfee00000u + (o))
#define MS        10000ull /* of reference time */
#define STIMER    0x400000b0
#define DIRECT(v) (1ull << 12 | (uint64_t)(v) << 4)
enum {
	TSC = 0x80000,
	REF_COUNT = 0x90004,
	REFERENCE_TSC = 0x90017,
	TIME_FREEZE = 0x30003,
	REFERENCE_TIME = 0x30005,
	CLOCK_FREQUENCY = 0x60009
};

static uint64_t rd(struct vm *v, uint32_t msr)
{
	gcmd(v, 9, msr, 0, 0);
	return mb(v)[4];
}
static void wr(struct vm *v, uint32_t msr, uint64_t val)
{
	gcmd(v, 10, msr, val, 0);
}
static uint32_t apic_rd(struct vm *v, int o)
{
	gcmd(v, 7, APIC(o), 0, 0);
	return mb(v)[4];
}
static void apic_wr(struct vm *v, int o, uint32_t val)
{
	gcmd(v, 5, APIC(o), val, 0);
}
static uint64_t ref(struct vm *v)
{
	return getreg(v->pt, 0, REF_COUNT);
}

static void t_apic_timer(void)
{
	struct vm *v = mkmain(1);
	volatile uint64_t *c = counts(v);
	uint64_t t0, n;
	uint32_t a, b;

	printf("--- apictimer: one-shot, periodic, TSC deadline\n");
	OK(rd(v, 0x40000023) == 200000000, "APIC_FREQUENCY is 200 MHz");
	apic_wr(v, 0x3e0, 0xb); /* by 1 */
	apic_wr(v, 0x320, 0x60);
	t0 = ref(v);
	apic_wr(v, 0x380, 2000000);
	OK(WAIT(c[0x60] == 1, 5) && ref(v) - t0 >= 10 * MS,
	   "one-shot of 10 ms: not early (%.2f ms)", (ref(v) - t0) / 1e4);
	OK(!WAIT(c[0x60] > 1, 0.05) && apic_rd(v, 0x390) == 0, "once, and the current count is 0");
	apic_wr(v, 0x380, 2000000000);
	a = apic_rd(v, 0x390);
	b = apic_rd(v, 0x390);
	OK(a > b && b && a < 2000000000, "the current count goes down: %u, %u", a, b);
	apic_wr(v, 0x380, 0);
	OK(apic_rd(v, 0x390) == 0, "an initial count of 0 stops it");
	apic_wr(v, 0x3e0, 3); /* by 16 */
	t0 = ref(v);
	apic_wr(v, 0x380, 62500);
	OK(WAIT(c[0x60] == 2, 5) && ref(v) - t0 >= 5 * MS, "62500 by 16: 5 ms");
	apic_wr(v, 0x320, 0x10060);
	apic_wr(v, 0x380, 100);
	OK(!WAIT(c[0x60] > 2, 0.03), "masked: no interrupt");
	apic_wr(v, 0x3e0, 0xb);
	apic_wr(v, 0x320, 0x20060);
	t0 = ref(v);
	apic_wr(v, 0x380, 200000);
	OK(WAIT(c[0x60] >= 12, 5) && ref(v) - t0 >= 10 * MS, "periodic: ten times 1 ms");
	apic_wr(v, 0x380, 0);
	n = c[0x60];
	OK(!WAIT(c[0x60] > n, 0.03), "stopped");
	apic_wr(v, 0x320, 0x40061);
	apic_wr(v, 0x380, 1000);
	OK(!WAIT(c[0x61], 0.03), "TSC deadline: the initial count counts nothing");
	t0 = getreg(v->pt, 0, TSC);
	n = rd(v, 0x40000022);
	wr(v, 0x6e0, t0 + n / 100);
	OK(rd(v, 0x6e0) == t0 + n / 100 || c[0x61], "the deadline is read back");
	OK(WAIT(c[0x61] == 1, 5) && getreg(v->pt, 0, TSC) >= t0 + n / 100 && rd(v, 0x6e0) == 0,
	   "TSC deadline in 10 ms: not early, then 0");
	wr(v, 0x6e0, 1);
	OK(WAIT(c[0x61] == 2, 5), "a deadline that has passed comes at once");
	wr(v, 0x6e0, getreg(v->pt, 0, TSC) + n);
	wr(v, 0x6e0, 0);
	OK(!WAIT(c[0x61] > 2, 1.2), "0 disarms it");
	OK(v->n_other == 0, "no unexpected exit");
	stop(v, 1);
	rmvm(v);
	close(wakefd);
}

static void t_stimer(void)
{
	struct vm *v = mkmain(1);
	volatile uint64_t *c = counts(v), *lg = (void *)(v->ram + LOG);
	uint64_t t0, n, due;

	printf("--- stimer: synthetic timers\n");
	t0 = ref(v) + 10 * MS;
	wr(v, STIMER + 1, t0);
	wr(v, STIMER, 1 | DIRECT(0x62));
	OK(WAIT(c[0x62] == 1, 5) && ref(v) >= t0, "direct, one-shot in 10 ms: not early");
	OK((rd(v, STIMER) & 1) == 0 && rd(v, STIMER + 1) == t0, "then disabled, the count stays");
	wr(v, STIMER, 8 | DIRECT(0x62)); /* auto-enable */
	wr(v, STIMER + 1, ref(v) + MS);
	OK(WAIT(c[0x62] == 2, 5), "enabled by its count");
	wr(v, STIMER + 1, 1);
	OK(WAIT(c[0x62] == 3, 5), "a time that has passed comes at once");
	wr(v, STIMER + 3, MS);
	t0 = ref(v);
	wr(v, STIMER + 2, 3 | DIRECT(0x63));
	OK(WAIT(c[0x63] >= 10, 5) && ref(v) - t0 >= 10 * MS, "periodic: ten times 1 ms");
	wr(v, STIMER + 2, 0);
	n = c[0x63];
	OK(!WAIT(c[0x63] > n, 0.03), "disabled");
	wr(v, STIMER + 3, 1);
	wr(v, STIMER + 2, 3 | DIRECT(0x63));
	OK(WAIT(c[0x63] > n + 20, 5), "a period of 100 ns leaves the host its time");
	wr(v, STIMER + 3, 0);
	OK((rd(v, STIMER + 2) & 1) == 0, "a count of 0 disables");

	due = ref(v) + 5 * MS;
	wr(v, STIMER + 5, due);
	wr(v, STIMER + 4, 1 | 2 << 16);
	OK(WAIT(lg[0] == 1, 5) && lg[3] == 0x80000010, "message mode: TIMER_EXPIRED at SINT2");
	OK(*(uint32_t *)(v->ram + LOG + 64 + 16) == 2 &&
		   *(uint64_t *)(v->ram + LOG + 64 + 24) == due &&
		   *(uint64_t *)(v->ram + LOG + 64 + 32) >= due,
	   "of timer 2, expired when it should, delivered after it");
	mb(v)[14] = 1;
	wr(v, STIMER + 5, ref(v) + MS);
	wr(v, STIMER + 4, 1 | 2 << 16);
	OK(WAIT(c[0x51] == 2, 5), "a second one lies in the slot");
	wr(v, STIMER + 7, ref(v) + MS);
	wr(v, STIMER + 6, 1 | 2 << 16);
	WAIT(0, 0.02);
	OK((rd(v, STIMER + 6) & 1) == 0 && lg[0] == 1, "a third one expires meanwhile");
	mb(v)[14] = 0;
	sigev(v, 2, 0, NULL); /* makes the ISR run */
	OK(WAIT(lg[0] == 3, 5) && *(uint32_t *)(v->ram + LOG + 64 + 16) == 3,
	   "and is delivered at EOM");
	wr(v, STIMER, 1); /* neither direct nor a SINT */
	OK((rd(v, STIMER) & 1) == 0, "SINT 0 in message mode is not enabled");
	mb(v)[10] = 0;
	wr(v, STIMER, 1ull << 40);
	OK(mb(v)[10] == 13, "reserved bits: #GP");
	OK(v->n_other == 0, "no unexpected exit");
	stop(v, 1);
	rmvm(v);
	close(wakefd);
}

static void t_clock(void)
{
	struct vm *v = mkmain(2);
	volatile uint64_t *c = counts(v);
	uint64_t hz, t0, t1, r0, r1;
	double a, b;

	printf("--- clock: TSC, reference time, TIME_FREEZE\n");
	OK(!getprop(v, CLOCK_FREQUENCY, &hz) && hz == rd(v, 0x40000022),
	   "PROCESSOR_CLOCK_FREQUENCY is TSC_FREQUENCY");
	a = now();
	t0 = getreg(v->pt, 0, TSC);
	r0 = ref(v);
	WAIT(0, 0.2);
	t1 = getreg(v->pt, 0, TSC);
	r1 = ref(v);
	b = now() - a;
	OK((t1 - t0) / b > 0.5 * hz && (t1 - t0) / b < 1.5 * hz, "and the TSC's: %.0f of %.0f MHz",
	   (t1 - t0) / b / 1e6, hz / 1e6);
	OK((r1 - r0) / b > 0.5e7 && (r1 - r0) / b < 1.5e7 && rd(v, 0x40000020) > r1,
	   "reference time counts 100 ns");
	wr(v, 0x40000021, TSCPAGE | 1);
	OK(getreg(v->pt, 0, REFERENCE_TSC) == (TSCPAGE | 1), "the guest has a reference TSC page");
	gcmd(v, 15, CLOCKS, 2000, TSCPAGE);
	OK(mb(v)[4] == 0, "its time is that of TIME_REF_COUNT, 2000 times (%llu)",
	   (long long)mb(v)[4]);
	setreg(v->pt, 0, TSC, 1000, 0);
	t0 = getreg(v->pt, 0, TSC);
	OK(t0 >= 1000 && t0 < 1000 + 10 * hz && rd(v, 0x10) >= t0, "TSC := 1000 reads %llu",
	   (long long)t0);
	gcmd(v, 15, CLOCKS, 10, TSCPAGE);
	OK(mb(v)[4] == 10, "TSCs that differ: the page is invalid");
	wr(v, 0x10, 5 * hz);
	t0 = getreg(v->pt, 0, TSC);
	OK(t0 >= 5 * hz && t0 < 15 * hz, "the guest writes its TSC");
	t0 += hz; /* two writes of one value are the same for VPs that stand */
	setprop(v, TIME_FREEZE, 1);
	setreg(v->pt, 0, TSC, t0, 0);
	setreg(v->pt, 1, TSC, t0, 0);
	OK(getreg(v->pt, 0, TSC) == t0 && getreg(v->pt, 1, TSC) == t0, "frozen: the TSC stands");
	setprop(v, TIME_FREEZE, 0);
	gcmd(v, 15, CLOCKS, 2000, TSCPAGE);
	OK(mb(v)[4] == 0, "TSCs alike: valid again, no step (%llu)", (long long)mb(v)[4]);

	apic_wr(v, 0x3e0, 0xb);
	apic_wr(v, 0x320, 0x64);
	wr(v, STIMER, 8 | DIRECT(0x65));
	r0 = ref(v);
	apic_wr(v, 0x380, 20000000); /* 100 ms */
	wr(v, STIMER + 1, r0 + 100 * MS);
	OK(!setprop(v, TIME_FREEZE, 1), "TIME_FREEZE, with two timers that expire in 100 ms");
	r0 = ref(v);
	t0 = getreg(v->pt, 0, TSC);
	mb(v)[1] = MBOX + 256;
	mb(v)[2] = 0x77;
	mb(v)[0] = 5;
	esig(wakefd);
	WAIT(0, 0.3);
	OK(ref(v) == r0 && getreg(v->pt, 0, TSC) == t0,
	   "0.3 s later reference time and TSC are the same");
	OK(!getprop(v, REFERENCE_TIME, &r1) && r1 == r0,
	   "and REFERENCE_TIME is that of the register");
	OK(mb(v)[0] == 5 && !c[0x64] && !c[0x65], "no guest code ran, no timer fired");
	OK(!setprop(v, REFERENCE_TIME, r0 + 1000 * MS) && ref(v) == r0 + 1000 * MS,
	   "the reference time can be set");
	OK(!setprop(v, TIME_FREEZE, 0) && WAIT(mb(v)[0] == 0 && c[0x64] == 1 && c[0x65] == 1, 5),
	   "then it all goes on");
	OK(setprop(v, REFERENCE_TIME, 1) == -1, "and can be set no more");
	gcmd(v, 15, CLOCKS, 1000, TSCPAGE);
	OK(mb(v)[4] == 0 && ref(v) >= r0 + 1000 * MS, "the page follows (%llu)",
	   (long long)mb(v)[4]);
	OK(getreg(v->pt, 0, 0x90000) > 0 && getreg(v->pt, 0, 0x90000) < ref(v), "VP_RUNTIME");
	OK(v->n_other == 0, "no unexpected exit");
	stop(v, 1);
	rmvm(v);
	close(wakefd);
}
