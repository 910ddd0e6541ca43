/* SPDX-License-Identifier: MIT */
/* the modes of a processor, and VPs that do nothing but run: included by guest_test.c */

#define LOW 0x9000

static void segments(struct vm *v, uint64_t base, uint16_t sel, uint16_t cs, uint16_t ds,
		     uint32_t limit)
{
	for (int i = 0; i < 6; i++)
		setreg(v->pt, 0, 0x60000 + i, i == 1 ? base : 0,
		       limit | (uint64_t)(i == 1 ? sel : 0) << 32 |
			       (uint64_t)(i == 1 ? cs : ds) << 48);
}

/* a write to and a read of 0x500000, where nothing is, by code of 32 bits */
static void code32(struct vm *v, const char *mode)
{
	/* mov $0x12345678, %eax; mov %eax, 0x500000; mov 0x500004, %ecx; mov %ecx, 0x10900; hlt */
	static const char c[] = "\xb8\x78\x56\x34\x12\xa3\x00\x00\x50\x00\x8b\x0d\x04\x00\x50\x00"
				"\x89\x0d\x00\x09\x01\x00\xf4";
	uint8_t m[256];

	memcpy(v->ram + CODE, c, sizeof c);
	OK(!run(v, 0, m) && mtype(m) == M_UNMAPPED && P64(m, 56) == 0x500000 && pay(m)[5] == 1 &&
		   ilen(m) == 5 && !memcmp(pay(m) + 64, c + 5, 15),
	   "%s: write, length 5, bytes (0x%x at 0x%llx, %d)", mode, mtype(m), (long long)mrip(m),
	   ilen(m));
	skip(v, 0, m);
	OK(!run(v, 0, m) && mtype(m) == M_UNMAPPED && P64(m, 56) == 0x500004 && pay(m)[5] == 0 &&
		   ilen(m) == 6,
	   "%s: read, length 6", mode);
	setreg(v->pt, 0, RCX, 0xfeed, 0);
	skip(v, 0, m);
	OK(!run(v, 0, m) && mtype(m) == M_HALT && *(uint32_t *)(v->ram + 0x10900) == 0xfeed,
	   "%s: goes on", mode);
}

static void t_modes(void)
{
	struct vm *v = mkvm(0, 1);
	uint8_t m[256];

	printf("--- modes: real, protected, compatibility mode; INIT and SIPI\n");
	/* mov $'H', %al; mov $0x3f8, %dx; out %al, (%dx); hlt */
	memcpy(v->ram + LOW, "\xb0\x48\xba\xf8\x03\xee\xf4", 7);
	boot(v, 0, 0);
	setreg(v->pt, 0, 0x80001, 0, 0);
	setreg(v->pt, 0, 0x40000, 0x10, 0);
	setreg(v->pt, 0, 0x40003, 0, 0);
	segments(v, LOW, LOW >> 4, 0x9b, 0x93, 0xffff);
	OK(!run(v, 0, m) && mtype(m) == M_IO && P16(m, 40) == 0x3f8 && mrip(m) == 5 &&
		   ilen(m) == 1 && pay(m)[56] == 0xee && pay(m)[57] == 0xf4,
	   "real mode: OUT at %x:%llx, bytes %x", P16(m, 8 + 12), (long long)mrip(m), pay(m)[56]);
	skip(v, 0, m);
	OK(!run(v, 0, m) && mtype(m) == M_HALT && mrip(m) == 6, "real mode: HLT");

	boot(v, 0, CODE);
	setreg(v->pt, 0, 0x80001, 0, 0);
	setreg(v->pt, 0, 0x40000, 0x11, 0);
	setreg(v->pt, 0, 0x40003, 0, 0);
	segments(v, 0, 8, 0xc09b, 0xc093, 0xffffffff);
	code32(v, "protected mode");

	boot(v, 0, CODE);
	segments(v, 0, 8, 0xc09b, 0xc093, 0xffffffff);
	code32(v, "compatibility mode");
	rmvm(v);

	v = mkmain(2);
	setreg(v->pt, 1, 4, 1, 0); /* waits for SIPI */
	/* mov $0x1000, %ax; mov %ax, %ds; movb $0x77, 0x80; hlt; jmp -3 */
	memcpy(v->ram + LOW, "\xb8\x00\x10\x8e\xd8\xc6\x06\x80\x00\x77\xf4\xeb\xfd", 13);
	start(v, 1);
	gcmd(v, 14, 0x4500, 1 << 24, 0);
	gcmd(v, 14, 0x4600 | LOW >> 12, 1 << 24, 0);
	OK(WAIT(v->ram[MBOX + 0x80] == 0x77, 5), "INIT and SIPI start VP 1 in real mode");
	OK(v->n_other == 0, "no unexpected exit");
	stop(v, 2);
	rmvm(v);
	close(wakefd);
}

/* two VPs on two CPUs that never exit leave their VMM time */
static void t_spin2(void)
{
	struct vm *v = mkvm(0, 2);
	volatile uint64_t *count = mb(v) + 8;
	uint64_t was;

	printf("--- spin2: two VPs that never exit\n");
	boot(v, 0, LOAD + 32);
	boot(v, 1, LOAD + 32);
	start(v, 0);
	start(v, 1);
	OK(WAIT(*count > 1000, 20), "they run");
	was = *count;
	OK(WAIT(*count > was, 20), "and go on, with the VMM beside them");
	stop(v, 2);
	was = *count;
	usleep(20000);
	OK(*count == was, "and are stopped");
	rmvm(v);
}
