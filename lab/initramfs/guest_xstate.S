/* SPDX-License-Identifier: MIT */
/*
 * A guest that uses AVX. Its YMM registers come from YMM_IN, go through as many exits as MBOX says, and
 * go to YMM_OUT.
 */
	.set YMM_IN,  0x30000
	.set YMM_OUT, 0x30400

osxsave:
	mov	%cr4, %rax
	or	$0x40000, %eax
	mov	%rax, %cr4
	ret

xstate:	call	osxsave
	xor	%ecx, %ecx
	xor	%edx, %edx
	mov	$7, %eax
	xsetbv
	mov	$1, %eax
	cpuid
	mov	%ecx, MBOX+16
	mov	$0xd, %eax
	xor	%ecx, %ecx
	cpuid
	mov	%eax, MBOX+24
	mov	%ebx, MBOX+28
	mov	%ecx, MBOX+32
	rdtscp
	mov	%ecx, MBOX+40
	.irp	i, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15
	vmovdqu	YMM_IN+32*\i, %ymm\i
	.endr
	mov	MBOX, %esi
1:	mov	$0x510, %edx
	mov	%esi, %eax
	out	%eax, %dx
	dec	%esi
	jnz	1b
	.irp	i, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15
	vmovdqu	%ymm\i, YMM_OUT+32*\i
	.endr
	hlt

# XCR0 becomes what MBOX says; what it was before and is then
xcr0:	call	osxsave
	xor	%ecx, %ecx
	xgetbv
	mov	%eax, MBOX+16
	xor	%edx, %edx
	mov	MBOX, %eax
	xsetbv
	out	%eax, $0x80
	xgetbv
	mov	%eax, MBOX+24
	hlt
