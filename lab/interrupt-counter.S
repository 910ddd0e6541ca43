/* SPDX-License-Identifier: MIT */
/*
 * A guest that counts its interrupts. guest-runner enters it at its first byte, in 64-bit mode with
 * memory mapped one to one and flat segments.
 *
 *   READY     u64     1 once interrupts are being taken; port READY_PORT is written at that time
 *   COUNTS    u64[]   by vector: how often the handler has run (32 to 255)
 *
 * A handler counts, ends the interrupt in the APIC and returns. Exceptions have no handler: one
 * ends in a triple fault, which guest-runner reports.
 */
	.code64
	.set	READY_PORT, 0xf4
	.set	READY, 0x10000
	.set	COUNTS, 0x11000
	.set	IDT, 0x20000
	.set	STACK, 0x80000
	.set	APIC, 0xfee00000
	.set	APIC_EOI, 0xb0
	.set	APIC_SVR, 0xf0
	.set	FIRST, 32

	.globl	_start
_start:
	mov	$STACK, %esp
	mov	$IDT + 16 * FIRST, %edi
	lea	stubs(%rip), %rax
	mov	$256 - FIRST, %ecx
gate:
	mov	%ax, (%rdi)
	movw	$0x08, 2(%rdi)		/* the code segment */
	movw	$0x8e00, 4(%rdi)	/* present, interrupt gate */
	mov	%rax, %rdx
	shr	$16, %rdx
	mov	%dx, 6(%rdi)
	shr	$16, %rdx
	mov	%rdx, 8(%rdi)
	add	$16, %rdi
	add	$16, %rax
	loop	gate
	lidt	idtr(%rip)

	mov	$APIC, %ebp
	movl	$0x1ff, APIC_SVR(%rbp)	/* software enable, spurious vector 255 */
	movq	$1, READY
	out	%al, $READY_PORT
idle:
	sti
	hlt
	jmp	idle

	.balign	8
	.word	0, 0, 0
idtr:
	.word	16 * 256 - 1
	.quad	IDT

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
	incq	COUNTS(, %rax, 8)
	mov	$APIC, %eax
	movl	$0, APIC_EOI(%rax)
	pop	%rax
	iretq
