/* SPDX-License-Identifier: MIT */
/*
 * A guest that does what its VMM asks for and counts what happened. Entered at its first byte, in
 * 64-bit mode, interrupts off, with the low 4 GiB mapped one to one and flat segments, but for the
 * base of GS: the VP's mailbox. RSP is the end of its stack. Loaded at 1 MiB.
 *
 * The guest writes port WORK and then does what the mailbox says, for ever. So the VMM writes a
 * command, completes the exit, and has the results at the next write of that port. All words are
 * u64; COMMAND, COUNT, ADDRESS, VALUE and STOP are the VMM's, the guest adds to the others:
 *
 *   0x00  COMMAND   the number of an entry of `commands` below
 *   0x08  COUNT     how often
 *   0x10  ADDRESS   port, GPA, MSR or CPUID leaf, hypercall input value, APIC id
 *   0x18  VALUE     the first value to write (each is one more than the last), or a vector
 *   0x20  PROGRESS  how often so far
 *   0x28  SUM       of what was written or read, modulo 2^64
 *   0x30  WRONG     how often bits changed that must stay, or stayed that must change
 *   0x38  STOP      ends spin, touch, wait, receive and the retries of post when not 0
 *   0x40  GO_ON     where the VMM has to set RIP at port REGISTERS
 *   0x48  CARRY     what it made of the carry flag there
 *   0x50  FS_WORD   the first word of FS, read there
 *   0x58            its own
 *   0x60  AREA      where its SynIC is: see device-guest-synic.S, which has the commands for it
 *   0x800 COUNTS    by vector: how often the handler has run (32 to 255)
 *
 * Interrupts are taken while halted, and during some hypercalls. An exception has no handler: it ends in a
 * triple fault.
 */
	.code64
	.set	COMMAND, 0x00
	.set	COUNT, 0x08
	.set	ADDRESS, 0x10
	.set	VALUE, 0x18
	.set	PROGRESS, 0x20
	.set	SUM, 0x28
	.set	WRONG, 0x30
	.set	STOP, 0x38
	.set	GO_ON, 0x40
	.set	CARRY, 0x48
	.set	FS_WORD, 0x50
	.set	STACK, 0x58
	.set	AREA, 0x60
	.set	COUNTS, 0x800

	.set	WORK, 0xf4		/* ports */
	.set	HALTING, 0xf5
	.set	REGISTERS, 0xf6

	.set	SHARED, 0x18000		/* a counter of all VPs */
	.set	REGISTERS_IN, 0x19000	/* 16 general registers, 6 XMM */
	.set	REGISTERS_OUT, 0x1a000
	.set	IDT, 0x20000
	.set	HYPERCALL_PAGE, 0x30000

	.set	APIC, 0xfee00000
	.set	APIC_EOI, 0xb0
	.set	APIC_SVR, 0xf0
	.set	APIC_ICR_LOW, 0x300
	.set	APIC_ICR_HIGH, 0x310
	.set	FIRST, 32
	.set	PING, 0x70		/* its handler sends PONG to APIC 0 */
	.set	PONG, 0x71
	.set	PATTERN, 0xa5a5a5a5a5a5a5a5

	.globl	_start
_start:
	out	%al, $WORK
	cld
	mov	%gs:COMMAND, %eax
	mov	%gs:COUNT, %r12
	mov	%gs:ADDRESS, %rdi
	mov	%gs:VALUE, %rbx
	mov	%edi, %edx
	cmp	$LAST, %eax
	jae	fault
	jmp	*commands(, %rax, 8)

	.balign	8
commands:
	.quad	fault			/* 0 */
	.quad	interrupts
	.quad	out8			/* 2 */
	.quad	out16
	.quad	out32
	.quad	in8			/* 5 */
	.quad	in16
	.quad	in32
	.quad	rep_out8		/* 8 */
	.quad	rep_out16
	.quad	rep_out32
	.quad	rep_in8			/* 11 */
	.quad	rep_in16
	.quad	rep_in32
	.quad	write8			/* 14 */
	.quad	write16
	.quad	write32
	.quad	write64
	.quad	read8			/* 18 */
	.quad	read16
	.quad	read32
	.quad	read64
	.quad	wrmsr_			/* 22 */
	.quad	rdmsr_
	.quad	cpuid_			/* 24 */
	.quad	hypercall		/* 25 */
	.quad	halt			/* 26 */
	.quad	halts
	.quad	doorbell		/* 28 */
	.quad	wait
	.quad	ping			/* 30 */
	.quad	share
	.quad	registers		/* 32 */
	.quad	spin
	.quad	touch			/* 34 */
	.quad	synic
	.quad	post			/* 36 */
	.quad	signal_fast
	.quad	signal_slow
	.quad	receive			/* 39 */
	.set	LAST, (. - commands) / 8

/* once more, where COUNT says so */
	.macro	again label
	incq	%gs:PROGRESS
	dec	%r12
	jnz	\label
	jmp	_start
	.endm

/* The low `bits` bits of RAX are new, the rest is PATTERN, or 0 after 32 bits and more. */
	.macro	got bits
	mov	%rax, %rcx
	.if	\bits == 64
	xor	%ecx, %ecx
	.elseif	\bits == 32
	shr	$32, %rcx
	mov	%eax, %eax
	.else
	mov	$PATTERN, %rsi
	xor	%rsi, %rcx
	shr	$\bits, %rcx
	and	$(1 << \bits) - 1, %eax
	.endif
	add	%rax, %gs:SUM
	test	%rcx, %rcx
	jz	2f
	incq	%gs:WRONG
2:
	.endm

	.macro	output bits, operand
out\bits:
1:	mov	%ebx, %eax
	out	\operand, %dx
	.if	\bits < 32
	and	$(1 << \bits) - 1, %eax
	.endif
	add	%rax, %gs:SUM
	inc	%rbx
	again	1b
	.endm

	.macro	input bits, operand
in\bits:
1:	mov	$PATTERN, %rax
	in	%dx, \operand
	got	\bits
	again	1b
	.endm

/* VALUE is the address of COUNT elements */
	.macro	string bits, suffix
rep_out\bits:
	mov	%rbx, %rsi
	mov	%r12, %rcx
	rep outs\suffix
	sub	%rbx, %rsi
	add	%rsi, %gs:SUM
	add	%r12, %gs:PROGRESS
	jmp	_start
rep_in\bits:
	mov	%rbx, %rdi
	mov	%r12, %rcx
	rep ins\suffix
	sub	%rbx, %rdi
	add	%rdi, %gs:SUM
	add	%r12, %gs:PROGRESS
	jmp	_start
	.endm

	.macro	memory bits, operand
write\bits:
1:	mov	%rbx, %rax
	mov	\operand, (%rdi)
	.if	\bits == 32
	mov	%eax, %eax
	.elseif	\bits < 32
	and	$(1 << \bits) - 1, %eax
	.endif
	add	%rax, %gs:SUM
	inc	%rbx
	again	1b
read\bits:
1:	mov	$PATTERN, %rax
	mov	(%rdi), \operand
	got	\bits
	again	1b
	.endm

	output	8, %al
	output	16, %ax
	output	32, %eax
	input	8, %al
	input	16, %ax
	input	32, %eax
	string	8, b
	string	16, w
	string	32, l
	memory	8, %al
	memory	16, %ax
	memory	32, %eax
	memory	64, %rax

/* EDX:EAX gets VALUE in the low half and its complement in the high one; SUM gets VALUE. */
wrmsr_:
1:	mov	%edi, %ecx
	mov	%rbx, %rax
	mov	%rbx, %rdx
	not	%rdx
	wrmsr
	add	%rbx, %gs:SUM
	inc	%rbx
	again	1b

/* The upper halves of registers must become 0. */
	.macro	halves_clear registers:vararg
	xor	%r8d, %r8d
	.irp	register, \registers
	mov	\register, %r9
	add	%r9, %gs:SUM
	shr	$32, %r9
	or	%r9, %r8
	.endr
	test	%r8, %r8
	jz	2f
	incq	%gs:WRONG
2:
	.endm

rdmsr_:
1:	mov	%edi, %ecx
	mov	$PATTERN, %rax
	mov	%rax, %rdx
	rdmsr
	halves_clear %rax, %rdx
	again	1b

/* The subleaf is VALUE. */
cpuid_:
	mov	%rbx, %r10
1:	mov	$PATTERN, %rax
	mov	%rax, %rbx
	mov	%rax, %rdx
	mov	%edi, %eax
	mov	%r10d, %ecx
	cpuid
	halves_clear %rax, %rbx, %rcx, %rdx
	inc	%r10
	again	1b

/* Enables the page, once: another VP may be in it. */
enable_hypercalls:
	mov	$0x40000001, %ecx	/* HV_X64_MSR_HYPERCALL */
	rdmsr
	test	$1, %al
	jnz	1f
	mov	$0x40000000, %ecx	/* HV_X64_MSR_GUEST_OS_ID */
	mov	$0x8100, %edx
	xor	%eax, %eax
	wrmsr
	mov	$0x40000001, %ecx
	xor	%edx, %edx
	mov	$HYPERCALL_PAGE + 1, %eax
	wrmsr
1:	ret

/* RDX is VALUE, R8 three times as much; SUM gets the results. */
hypercall:
	call	enable_hypercalls
	mov	$HYPERCALL_PAGE, %ebp
1:	mov	%rdi, %rcx
	mov	%rbx, %rdx
	lea	(%rbx, %rbx, 2), %r8
	mov	$PATTERN, %rax
	call	*%rbp
	add	%rax, %gs:SUM
	cmp	%rbx, %rdx
	je	2f
	incq	%gs:WRONG
2:	inc	%rbx
	again	1b

/* Sleeps until the handler of VALUE has run once more than `r13` says. */
	.macro	sleep
	inc	%r13
3:	cli
	cmp	%r13, %gs:COUNTS(, %rbx, 8)
	jae	4f
	call	rest
	jmp	3b
4:
	.endm

halt:	mov	%gs:COUNTS(, %rbx, 8), %r13
1:	out	%al, $HALTING
	sleep
	again	1b

/* HLT without an APIC: each is an exit */
halts:
1:	hlt
	again	1b

/* a doorbell at ADDRESS is answered with an interrupt */
doorbell:
	mov	%gs:COUNTS(, %rbx, 8), %r13
1:	mov	%ebx, (%rdi)
	sleep
	again	1b

/* Takes interrupts; counts how often it woke up. */
wait:	cli
	cmpq	$0, %gs:STOP
	jne	_start
	call	rest
	incq	%gs:PROGRESS
	jmp	wait

/* Until an interrupt. The handler goes over the HLT where it comes before that: see `count`. */
rest:	sti
napping:
	hlt
	ret

/* an interrupt to the APIC that ADDRESS names, which the one in `wait` there answers */
ping:	mov	%gs:COUNTS + 8 * PONG, %r13
	mov	$PONG, %ebx
	shl	$24, %edi
	mov	$APIC, %ebp
1:	mov	%edi, APIC_ICR_HIGH(%rbp)
	movl	$PING, APIC_ICR_LOW(%rbp)
	sleep
	again	1b

share:
1:	lock incq SHARED
	again	1b

registers:
	mov	%rsp, %gs:STACK
1:	lea	2f(%rip), %rax
	mov	%rax, %gs:GO_ON
	.set	at, 0
	.irp	number, 0, 1, 2, 3, 4, 5
	movups	REGISTERS_IN + 128 + 16 * \number, %xmm\number
	.endr
	.irp	register, rax, rcx, rdx, rbx, rsp, rbp, rsi, rdi, r8, r9, r10, r11, r12, r13, r14, r15
	mov	REGISTERS_IN + at, %\register
	.set	at, at + 8
	.endr
	clc
	out	%al, $REGISTERS
	incq	%gs:WRONG		/* the VMM goes over this */
2:	setc	%gs:CARRY
	.set	at, 0
	.irp	register, rax, rcx, rdx, rbx, rsp, rbp, rsi, rdi, r8, r9, r10, r11, r12, r13, r14, r15
	mov	%\register, REGISTERS_OUT + at
	.set	at, at + 8
	.endr
	.irp	number, 0, 1, 2, 3, 4, 5
	movups	%xmm\number, REGISTERS_OUT + 128 + 16 * \number
	.endr
	mov	%fs:0, %rax
	mov	%rax, %gs:FS_WORD
	incq	%gs:PROGRESS
	decq	%gs:COUNT
	jnz	1b
	mov	%gs:STACK, %rsp
	jmp	_start

spin:	incq	%gs:PROGRESS
	cmpq	$0, %gs:STOP
	je	spin
	jmp	_start

/* Counts in the first word of each of COUNT pages in turn. */
touch:
1:	mov	%rdi, %rdx
	mov	%r12, %rcx
2:	incq	(%rdx)
	incq	%gs:PROGRESS
	cmpq	$0, %gs:STOP
	jne	_start
	add	$4096, %rdx
	loop	2b
	jmp	1b

fault:	lidt	no_idt(%rip)
	ud2

interrupts:
	mov	$IDT + 16 * FIRST, %edi
	lea	stubs(%rip), %rax
	mov	$256 - FIRST, %ecx
1:	mov	%ax, (%rdi)
	movw	$0x08, 2(%rdi)		/* the code segment */
	movw	$0x8e00, 4(%rdi)	/* present, interrupt gate */
	mov	%rax, %rdx
	shr	$16, %rdx
	mov	%dx, 6(%rdi)
	shr	$16, %rdx
	mov	%rdx, 8(%rdi)
	add	$16, %rdi
	add	$16, %rax
	loop	1b
	lidt	idtr(%rip)
	mov	$APIC, %ebp
	movl	$0x1ff, APIC_SVR(%rbp)	/* software enable, spurious vector 255 */
	jmp	_start

	.balign	8
	.word	0, 0, 0
idtr:	.word	16 * 256 - 1
	.quad	IDT
	.balign	8
	.word	0, 0, 0
no_idt:	.word	0
	.quad	0

	.balign	16
stubs:
	.set	vector, FIRST
	.rept	256 - FIRST
	.balign	16
	push	%rax
	mov	$vector, %eax
	jmp	count
	.set	vector, vector + 1
	.endr

count:
	incq	%gs:COUNTS(, %rax, 8)
	push	%rdx
	/* QEMU forgets across a VM exit that no interrupt comes between STI and HLT. */
	lea	napping(%rip), %rdx
	cmp	%rdx, 16(%rsp)
	jne	1f
	incq	16(%rsp)
1:	lea	-FIRST_SINT(%rax), %edx
	cmp	$SINTS, %edx
	jae	1f
	call	take
1:	mov	$APIC, %edx
	movl	$0, APIC_EOI(%rdx)
	cmp	$PING, %eax
	jne	1f
	movl	$0, APIC_ICR_HIGH(%rdx)
	movl	$PONG, APIC_ICR_LOW(%rdx)
1:	pop	%rdx
	pop	%rax
	iretq

	.include "device-guest-synic.S"
