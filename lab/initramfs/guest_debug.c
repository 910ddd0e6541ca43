/* SPDX-License-Identifier: MIT */
/* debug registers, INT3, single step: included by guest_test.c */

#define CODE 0x40000
#define DATA 0x41000
enum { DR0 = 0x50000, DR1, DR6 = 0x50004, DR7 };

/* 64-bit code at CODE, from its beginning */
static void code(struct vm *v, const char *bytes, int n)
{
	memcpy(v->ram + CODE, bytes, n);
	boot(v, 0, CODE);
}

static void t_debug(void)
{
	struct vm *v = mkvm(0, 1);
	uint8_t m[256];
	int i, ok = 1;

	printf("--- debug: debug registers, INT3, single step\n");
	/* mov $0x1234, %eax; mov %rax, %db0; mov %db0, %rbx; mov %db7, %r9; hlt */
	code(v, "\xb8\x34\x12\x00\x00\x0f\x23\xc0\x0f\x21\xc3\x41\x0f\x21\xf9\xf4", 16);
	OK(!run(v, 0, m) && mtype(m) == M_HALT && getreg(v->pt, 0, RBX) == 0x1234 &&
		   getreg(v->pt, 0, DR0) == 0x1234 && getreg(v->pt, 0, 0x20009) == 0x400,
	   "MOV to and from debug registers");
	icpt(v, 4, 3, 1);
	code(v, "\x90\x90\x90\xf4", 4);
	setreg(v->pt, 0, DR0, CODE + 1, 0);
	setreg(v->pt, 0, DR7, 0x401, 0);
	OK(!run(v, 0, m) && mtype(m) == M_EXC && P16(m, 40) == 1 && mrip(m) == CODE + 1,
	   "an instruction breakpoint is #DB before it (0x%llx)", (long long)mrip(m));
	OK((getreg(v->pt, 0, DR6) & 0xf) == 1, "DR6 says which (0x%llx)",
	   (long long)getreg(v->pt, 0, DR6));
	OK(getreg(v->pt, 0, DR7) == 0x401, "DR7 is what it was");
	setreg(v->pt, 0, RFLAGS, 0x10002, 0); /* RF */
	OK(!run(v, 0, m) && mtype(m) == M_HALT, "with RF the VP goes on");
	setreg(v->pt, 0, DR7, 0x400, 0);
	code(v, "\x90\x90\x90\xf4", 4);
	OK(!run(v, 0, m) && mtype(m) == M_HALT, "disabled: nothing");
	/* movb $1, DATA; nop; hlt */
	code(v, "\xc6\x04\x25\x00\x10\x04\x00\x01\x90\xf4", 10);
	setreg(v->pt, 0, DR1, DATA, 0);
	setreg(v->pt, 0, DR6, 0xffff0ff0, 0);
	setreg(v->pt, 0, DR7, 0x100404, 0);
	OK(!run(v, 0, m) && mtype(m) == M_EXC && P16(m, 40) == 1 && mrip(m) == CODE + 8 &&
		   v->ram[DATA] == 1 && (getreg(v->pt, 0, DR6) & 0xf) == 2,
	   "a data breakpoint is #DB after the write (0x%llx, DR6 0x%llx)", (long long)mrip(m),
	   (long long)getreg(v->pt, 0, DR6));
	OK(!run(v, 0, m) && mtype(m) == M_HALT, "then the VP goes on");
	/* the same with what the guest itself enables: mov $DATA, %eax; mov %rax, %db1; mov
	 * $0x100404, %eax; mov %rax, %db7; movb $1, DATA; nop; hlt */
	setreg(v->pt, 0, DR7, 0x400, 0);
	code(v,
	     "\xb8\x00\x10\x04\x00\x0f\x23\xc8\xb8\x04\x04\x10\x00\x0f\x23\xf8"
	     "\xc6\x04\x25\x00\x10\x04\x00\x01\x90\xf4",
	     26);
	OK(!run(v, 0, m) && mtype(m) == M_EXC && P16(m, 40) == 1 && mrip(m) == CODE + 24,
	   "and where the guest enables it");
	setreg(v->pt, 0, DR7, 0x400, 0);
	code(v, "\x90\x90\x90\xf4", 4);
	setreg(v->pt, 0, RFLAGS, 0x102, 0); /* TF */
	for (i = 1; i <= 3; i++)
		ok &= !run(v, 0, m) && mtype(m) == M_EXC && P16(m, 40) == 1 && mrip(m) == CODE + i;
	OK(ok && (getreg(v->pt, 0, DR6) & 0x4000), "single step: three instructions, DR6.BS");
	icpt(v, 0, 3, 1);
	icpt(v, 4, 3, 3);
	code(v, "\x90\xcc\xf4", 3);
	OK(!run(v, 0, m) && mtype(m) == M_EXC && P16(m, 40) == 3 && mrip(m) == CODE + 1 &&
		   ilen(m) == 1,
	   "INT3 is intercepted (0x%x, vector %u)", mtype(m), P16(m, 40));
	skip(v, 0, m);
	OK(!run(v, 0, m) && mtype(m) == M_HALT, "and skipped");
	rmvm(v);

	v = mkmain(1);
	memcpy(v->ram + CODE, "\xcd\x80\xc3", 3); /* int $0x80; ret */
	icpt(v, 4, 3, 3);
	gcmd(v, 15, CODE, 0, 0);
	OK(counts(v)[0x80] == 1 && v->n_other == 0, "INT n is not, and takes its gate");
	stop(v, 1);
	rmvm(v);
	close(wakefd);
}
