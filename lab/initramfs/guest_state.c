/* SPDX-License-Identifier: MIT */
/* registers and states of the hypervisor, from either side: included by guest_test.c */

enum { HYPERCALL = 0x90001, OS_ID, SINT = 0xa0000, STIMER_REG = 0xb0000 };

static void t_state(void)
{
	struct vm *v = mkmain(1);
	volatile uint64_t *c = counts(v);
	uint8_t *x = aligned_alloc(4096, 4096);
	uint64_t hc = getreg(v->pt, 0, HYPERCALL), t;
	struct {
		uint32_t pending, z;
		uint64_t config, count, adjustment, expired;
	} *st = (void *)x;

	printf("--- state: registers and states of the hypervisor\n");
	OK(hc == 0x20001 && getreg(v->pt, 0, OS_ID) == 0x8100ull << 32, "HYPERCALL, GUEST_OS_ID");
	mb(v)[10] = 0;
	gcmd(v, 3, 0x20000, 0x77, 0);
	OK(mb(v)[10] == 13 && v->n_other == 0, "a guest's write to the hypercall page is #GP");
	OK(!setreg(v->pt, 0, OS_ID, 0, 0) && getreg(v->pt, 0, HYPERCALL) == 0,
	   "GUEST_OS_ID := 0 takes the page away");
	mb(v)[10] = 0;
	gcmd(v, 3, 0x20000, 0x77, 0);
	OK(mb(v)[10] == 0 && v->ram[0x20000] == 0x77, "then memory is there");
	setreg(v->pt, 0, OS_ID, 0x8100ull << 32, 0);
	OK(!setreg(v->pt, 0, HYPERCALL, hc, 0), "HYPERCALL set by register");
	gcmd(v, 1, 0x7777, 0, 0);
	OK(mb(v)[4] == 2, "and the guest can call");
	OK(!setreg(v->pt, 0, REFERENCE_TSC, TSCPAGE | 1, 0), "REFERENCE_TSC set by register");
	gcmd(v, 15, CLOCKS, 100, TSCPAGE);
	OK(mb(v)[4] == 0 && rd(v, 0x40000021) == (TSCPAGE | 1), "the guest has the page");
	mb(v)[10] = 0;
	gcmd(v, 3, TSCPAGE, 0, 0);
	OK(mb(v)[10] == 13, "and may not write it");
	OK(!setreg(v->pt, 0, SINT + 5, 0x55, 0) && rd(v, 0x40000095) == 0x55, "SINT5 by register");
	OK(setreg(v->pt, 0, SINT + 5, 5, 0) == -1 && getreg(v->pt, 0, SINT + 5) == 0x55,
	   "not with a vector below 16");
	OK(setreg(v->pt, 0, 0x90003, 1, 0) == -1 && setreg(v->pt, 0, REF_COUNT, 1, 0) == -1,
	   "VP_INDEX and TIME_REF_COUNT are not set");

	t = ref(v) + 5 * MS;
	setreg(v->pt, 0, STIMER_REG + 1, t, 0);
	OK(!setreg(v->pt, 0, STIMER_REG, 1 | DIRECT(0x62), 0) && WAIT(c[0x62] == 1, 5) &&
		   ref(v) >= t,
	   "STIMER0 by register");
	OK(setreg(v->pt, 0, STIMER_REG, 1ull << 40, 0) == -1, "reserved bits are refused");
	wr(v, STIMER + 3, 100000 * MS);
	wr(v, STIMER + 2, 3 | DIRECT(0x63));
	OK(!vpstate_of_running(v, 0, MSHV_VP_STATE_SYNTHETIC_TIMERS, x) &&
		   st[1].config == (3 | DIRECT(0x63)) && st[1].count == 100000 * MS &&
		   st[1].adjustment > ref(v) && st[0].count == t,
	   "the state synthetic-timers");
	st[2].config = 1 | DIRECT(0x64);
	st[2].count = ref(v) + MS;
	OK(!vpstate_of_running(v, 1, MSHV_VP_STATE_SYNTHETIC_TIMERS, x) && WAIT(c[0x64] == 1, 5),
	   "a timer that is set with it expires");
	st[2].config = 1ull << 40;
	OK(vpstate_of_running(v, 1, MSHV_VP_STATE_SYNTHETIC_TIMERS, x) == -1,
	   "reserved bits are refused there, too");
	post(v, 3, 0x1234, 9, NULL);
	OK(!vpstate_of_running(v, 0, MSHV_VP_STATE_SIMP, x) && *(uint32_t *)(x + 3 * 256) == 0x1234,
	   "the state simp has the message in the slot");
	*(uint32_t *)(x + 3 * 256) = 0;
	OK(!vpstate_of_running(v, 1, MSHV_VP_STATE_SIMP, x) && !post(v, 3, 1, 1, NULL),
	   "and sets it: the slot is free");
	apic_wr(v, 0x3e0, 0xb);
	apic_wr(v, 0x320, 0x66);
	apic_wr(v, 0x380, 4000000000u);
	OK(!vpstate_of_running(v, 0, MSHV_VP_STATE_LAPIC, x) &&
		   ((uint32_t *)x)[40] == 4000000000u && ((uint32_t *)x)[41] &&
		   ((uint32_t *)x)[41] < 4000000000u,
	   "the state lapic has the timer's counts");
	((uint32_t *)x)[41] = 200000;
	OK(!vpstate_of_running(v, 1, MSHV_VP_STATE_LAPIC, x) && WAIT(c[0x66] == 1, 5),
	   "and sets them: it expires");
	OK(v->n_other == 0, "no unexpected exit");
	stop(v, 1);
	rmvm(v);
	close(wakefd);
	free(x);
}
