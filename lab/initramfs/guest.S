/* SPDX-License-Identifier: MIT */
/*
 * The guest of guest_test.c: a flat binary loaded at 1 MiB and entered in 64-bit mode, with memory
 * mapped one to one by the VMM, at one of the entries that stand 16 bytes apart.
 */
	.code64
	.set STACK,   0x80000
	.set MBOX,    0x10000		# cmd, a0..a3, result, status
	.set COUNTS,  0x11000		# u64[256]: ISR runs per vector
	.set LOG,     0x12000		# SynIC: see below
	.set EVCNT,   0x14000		# u32[2048]: event flag counts
	.set HCPAGE,  0x20000
	.set SIMP,    0x21000
	.set SIEFP,   0x22000
	.set HCIN,    0x23000
	.set IDT,     0x24000
	.set APIC,    0xfee00000
	.globl _start
_start:	jmp	simple			# +0: OUT, IN, HLT
	.balign	16
	jmp	main			# +16: everything
	.balign	16
	jmp	spin			# +32: count in memory for ever
	.balign	16
	jmp	ud			# +48: triple fault (no IDT)
	.balign	16
	jmp	touch			# +64: write one byte per page, then HLT
	.balign	16
	jmp	ap			# +80: second VP: enable its APIC, sti, hlt loop

simple:	mov	$0x1122334455667788, %rbx
	mov	$0x3f8, %edx
	mov	$'H', %eax
	out	%al, %dx
	in	$0x60, %al
	movzbl	%al, %eax
	mov	%eax, MBOX
	mov	$0x12345678, %eax
	mov	$0x510, %edx
	out	%eax, %dx
	movd	%rbx, %xmm1
	mov	$0x40000000, %eax
	cpuid
	mov	%ebx, MBOX+8
	lea	str(%rip), %rsi
	mov	$5, %ecx
	mov	$0x3f8, %edx
	rep outsb
	hlt
	ud2
str:	.ascii	"hello"

spin:	incq	MBOX+64
	jmp	spin

touch:	mov	MBOX, %rdi		# base
	mov	MBOX+8, %rcx		# pages
1:	movb	$0x77, (%rdi)
	add	$4096, %rdi
	loop	1b
	hlt

ud:	lidt	zero(%rip)
	ud2
	.balign	8
zero:	.quad	0, 0

# ---- main ------------------------------------------------------------------
main:	mov	$STACK, %esp
	call	idt
	mov	$APIC, %ebp		# xAPIC: software enable, read back
	movl	$0x1ff, 0xf0(%rbp)
	mov	0xf0(%rbp), %eax
	mov	%eax, MBOX+56
	mov	0x30(%rbp), %eax	# version
	mov	%eax, MBOX+60
	mov	$0x40000000, %ecx	# GUEST_OS_ID
	mov	$0x8100, %edx
	xor	%eax, %eax
	wrmsr
	mov	$0x40000001, %ecx	# HYPERCALL page
	xor	%edx, %edx
	mov	$HCPAGE+1, %eax
	wrmsr
	mov	$0x40000083, %ecx	# SIMP
	mov	$SIMP+1, %eax
	wrmsr
	mov	$0x40000082, %ecx	# SIEFP
	mov	$SIEFP+1, %eax
	wrmsr
	mov	$0x40000092, %ecx	# SINT2: vector 0x51
	mov	$0x51, %eax
	wrmsr
	mov	$0x40000080, %ecx	# SCONTROL
	mov	$1, %eax
	wrmsr
	mov	$0x40000002, %ecx	# VP_INDEX
	rdmsr
	mov	%eax, MBOX+40
	movq	$1, MBOX+48		# ready

idle:	cli
	cmpq	$0, MBOX
	jne	do
	sti
	hlt
	jmp	idle

do:	sti
	mov	MBOX, %rax
	mov	MBOX+8, %rdi
	mov	MBOX+16, %rsi
	mov	MBOX+24, %r10
	cmp	$1, %eax
	je	c_hc
	cmp	$2, %eax
	je	c_hcfast
	cmp	$3, %eax
	je	c_w8
	cmp	$4, %eax
	je	c_w16
	cmp	$5, %eax
	je	c_w32
	cmp	$6, %eax
	je	c_w64
	cmp	$7, %eax
	je	c_r32
	cmp	$8, %eax
	je	c_cpuid
	cmp	$9, %eax
	je	c_rdmsr
	cmp	$10, %eax
	je	c_wrmsr
	cmp	$11, %eax
	je	c_out
	cmp	$12, %eax
	je	c_doorn
	cmp	$13, %eax
	je	c_w32i
	cmp	$14, %eax
	je	c_ipi
	cmp	$15, %eax
	je	c_call
	ud2
# hypercall code rdi, input page HCIN (prepared by the VMM)
c_hc:	mov	%rdi, %rcx
	mov	$HCIN, %edx
	xor	%r8d, %r8d
	mov	$0x5555, %ebx
	mov	$HCPAGE, %eax
	call	*%rax
	mov	%rax, %r11
	jmp	done
# fast hypercall: rcx = rdi (with the fast bit), rdx = rsi, r8 = r10
c_hcfast:
	mov	%rdi, %rcx
	mov	%rsi, %rdx
	mov	%r10, %r8
	mov	$HCPAGE, %eax
	call	*%rax
	mov	%rax, %r11
	jmp	done
c_w8:	mov	%rsi, %rax
	mov	%al, (%rdi)
	jmp	done
c_w16:	mov	%rsi, %rdx
	mov	%dx, (%rdi)
	jmp	done
c_w32:	mov	%rsi, %r9
	mov	%r9d, (%rdi)
	jmp	done
c_w64:	mov	%rsi, %r15
	mov	%r15, 0x10(%rdi,%r14,1)	# r14 = 0
	jmp	done
c_w32i:	movl	$0xcafe, (%rdi)
	jmp	done
c_r32:	mov	(%rdi), %r11d
	jmp	done
c_cpuid:
	mov	%edi, %eax
	mov	%esi, %ecx
	cpuid
	mov	%eax, MBOX+64
	mov	%ebx, MBOX+68
	mov	%ecx, MBOX+72
	mov	%edx, MBOX+76
	jmp	done
c_rdmsr:
	mov	%edi, %ecx
	rdmsr
	shl	$32, %rdx
	mov	%eax, %eax
	lea	(%rax,%rdx), %r11
	jmp	done
c_wrmsr:
	mov	%edi, %ecx
	mov	%esi, %eax
	mov	%rsi, %rdx
	shr	$32, %rdx
	wrmsr
	jmp	done
c_out:	mov	%edi, %edx
	mov	%esi, %eax
	out	%eax, %dx
	jmp	done
# n doorbell writes: gpa rdi, count rsi, value = counter
c_doorn:
	xor	%eax, %eax
1:	mov	%eax, (%rdi)
	inc	%eax
	cmp	%esi, %eax
	jb	1b
	jmp	done
c_ipi:	movl	%esi, 0x310(%rbp)	# ICR high, low
	movl	%edi, 0x300(%rbp)
	jmp	done
# a function of this guest, with rsi and r10
c_call:	call	*%rdi
	mov	%rax, %r11
	jmp	done
done:	mov	%r11, MBOX+32
	movq	$0, MBOX
	jmp	idle

# ---- second VP ---------------------------------------------------------------
ap:	mov	$STACK+0x8000, %esp
	lidt	idtr(%rip)
	mov	$APIC, %ebp
	movl	$0x1ff, 0xf0(%rbp)
	movq	$1, MBOX+128
1:	sti
	hlt
	jmp	1b

# ---- IDT -----------------------------------------------------------------------
idt:	mov	$IDT, %edi
	lea	stubs(%rip), %rax
	xor	%ecx, %ecx
1:	mov	%ax, (%rdi)
	movw	$0x08, 2(%rdi)		# CS set by the VMM
	movw	$0x8e00, 4(%rdi)
	mov	%rax, %rdx
	shr	$16, %rdx
	mov	%dx, 6(%rdi)
	shr	$16, %rdx
	mov	%edx, 8(%rdi)
	movl	$0, 12(%rdi)
	add	$16, %rdi
	add	$16, %rax
	inc	%ecx
	cmp	$256, %ecx
	jb	1b
	lidt	idtr(%rip)
	ret
	.balign	8
	.word	0, 0, 0
idtr:	.word	4095
	.quad	IDT

	.balign	16
stubs:	.set	i, 0
	.rept	256
	.balign	16
	.if (i == 8) || (i >= 10 && i <= 14) || (i == 17)
	.else
	push	$0
	.endif
	push	$i
	jmp	common
	.set	i, i+1
	.endr
	.balign	16
common:	push	%rax
	push	%rcx
	push	%rdx
	push	%rdi
	push	%rsi
	mov	40(%rsp), %rax		# vector
	lock incq COUNTS(,%rax,8)
	cmp	$0x20, %eax
	jb	exc
	cmp	$0x51, %eax
	je	synic
eoi:	testq	$1, MBOX+104		# EOI by APIC page or by HV_X64_MSR_EOI
	jnz	1f
	mov	$APIC, %eax
	movl	$0, 0xb0(%rax)
	jmp	2f
1:	mov	$0x40000070, %ecx
	xor	%eax, %eax
	xor	%edx, %edx
	wrmsr
2:	pop	%rsi
	pop	%rdi
	pop	%rdx
	pop	%rcx
	pop	%rax
	add	$16, %rsp
	iretq
exc:	mov	%rax, MBOX+80		# exception: vector, error, rip, cr2
	mov	48(%rsp), %rax
	mov	%rax, MBOX+88
	mov	56(%rsp), %rax
	mov	%rax, MBOX+96
	addq	$2, 56(%rsp)		# skip a 2 byte instruction (rdmsr, wrmsr, ud2)
	jmp	2b

# SINT2: consume the message slot, then all event flags
# LOG: +0 messages, +8 sum of payload u64[0], +16 EOMs, +24 last type, +32 event scans
#      +64 copy of the last message (256 bytes)
synic:	testq	$1, MBOX+112		# "do not consume messages" for the busy test
	jnz	3f
	mov	$SIMP+512, %esi
	mov	(%rsi), %eax
	test	%eax, %eax
	jz	3f
	mov	%rax, LOG+24
	mov	16(%rsi), %rax
	add	%rax, LOG+8
	mov	$LOG+64, %edi
	mov	$32, %ecx
	cld
	push	%rsi
	rep movsq
	pop	%rsi
	incq	LOG
	movl	$0, (%rsi)
	mfence
	testb	$1, 5(%rsi)
	jz	3f
	incq	LOG+16
	mov	$0x40000084, %ecx
	xor	%eax, %eax
	xor	%edx, %edx
	wrmsr
3:	incq	LOG+32
	mov	$SIEFP+512, %esi
	xor	%ecx, %ecx
4:	mov	(%rsi,%rcx,8), %rax
	test	%rax, %rax
	jz	6f
5:	bsf	%rax, %rdx
	lock btr %rdx, (%rsi,%rcx,8)
	mov	%ecx, %edi
	shl	$6, %edi
	add	%edx, %edi
	incl	EVCNT(,%rdi,4)
	mov	(%rsi,%rcx,8), %rax
	test	%rax, %rax
	jnz	5b
6:	inc	%ecx
	cmp	$32, %ecx
	jb	4b
	jmp	eoi

# ---- entries of the guests in files of their own, 16 bytes apart ---------------
	.org	0x3000
	.balign	16
	jmp	xstate			# +0
	.balign	16
	jmp	xcr0			# +16
	.balign	16
	jmp	clocks			# +32: called
	.balign	16
	jmp	cpuid1			# +48: one leaf, for any VP
	.include "guest_xstate.S"
	.include "guest_time.S"

cpuid1:	mov	MBOX, %eax
	mov	MBOX+8, %ecx
	cpuid
	mov	%eax, MBOX+64
	mov	%ebx, MBOX+68
	mov	%ecx, MBOX+72
	mov	%edx, MBOX+76
	out	%al, $0x80
	hlt
