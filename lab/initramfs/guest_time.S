/* SPDX-License-Identifier: MIT */
/*
 * Compares the reference TSC page at r10 with TIME_REF_COUNT before and after, rsi times: how often it
 * was invalid or out of order.
 */
ref_count:
	mov	$0x40000020, %ecx
	rdmsr
	shl	$32, %rdx
	mov	%eax, %eax
	or	%rdx, %rax
	ret

clocks:	xor	%r8d, %r8d
1:	call	ref_count
	mov	%rax, %r9
	cmpl	$0, (%r10)
	je	2f
	rdtsc
	shl	$32, %rdx
	or	%rdx, %rax
	mulq	8(%r10)
	add	16(%r10), %rdx
	mov	%rdx, %r11
	call	ref_count
	cmp	%r9, %r11
	jb	2f
	cmp	%r11, %rax
	jae	3f
2:	inc	%r8
3:	dec	%rsi
	jnz	1b
	mov	%r8, %rax
	ret
