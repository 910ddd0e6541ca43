/* SPDX-License-Identifier: MIT */
/*
 * The SynIC of device-guest.S: its commands and its handler. Each VP has an area of its own, at AREAS plus its
 * index times AREA_SIZE. The VMM writes the words HOLD and PACE; the guest adds to the others.
 *
 *   0x00000          its SIMP page and its SIEFP page: the VMM does not see what is laid over them
 *   0x02000 INPUT    of its hypercalls
 *   0x03000 HOLD     by SINT: leave messages and event flags where they are
 *   0x03008 PACE     turns of a loop before a message is taken
 *   0x03010 MESSAGES how many were taken
 *   0x03018 BAD      how many of them were not what their first word says
 *   0x03020 EOMS     how many had to be followed by an EOM
 *   0x03028 EVENTS   how many event flags were found set
 *   0x03030 ENABLED  by SINT: those that `synic` gave a vector
 *   0x03800 STATUSES by status (255 for those above): how often a hypercall ended with it
 *   0x04000 LOG      the first word of each message taken, in order, plus the SINT in bits 56 to 63
 *   0x20000 FLAGS    u32 by SINT and flag: how often it was found set
 *
 * A message, either way, is made of its first word, whose low half `n` says the rest: the type is the low 31 bits of `n`
 * plus 1, the payload has 8 + n % SIZES bytes, and its byte `i` from the eighth on is n + i.
 */
	.set	AREAS, 0x200000
	.set	AREA_SHIFT, 18
	.set	FLAGS_PAGE, 0x1000
	.set	INPUT, 0x2000
	.set	HOLD, 0x3000
	.set	PACE, 0x3008
	.set	MESSAGES, 0x3010
	.set	BAD, 0x3018
	.set	EOMS, 0x3020
	.set	EVENTS, 0x3028
	.set	ENABLED, 0x3030
	.set	STATUSES, 0x3800
	.set	LOG, 0x4000
	.set	LOG_LENGTH, 0x2000
	.set	FLAGS, 0x20000

	.set	SINTS, 16
	.set	FIRST_SINT, 0x90	/* its vector; the others follow */
	.set	SINT_MASKED, 0x10000
	.set	SLOT_SHIFT, 8		/* of both pages */
	.set	SLOT_SIZE, 4
	.set	SLOT_FLAGS, 5
	.set	SLOT_PAYLOAD, 16
	.set	PENDING, 1

	.set	VP_INDEX, 0x40000002	/* MSRs */
	.set	SCONTROL, 0x40000080
	.set	SIEFP, 0x40000082
	.set	SIMP, 0x40000083
	.set	EOM, 0x40000084
	.set	SINT0, 0x40000090

	.set	POST_MESSAGE, 0x5c	/* hypercalls */
	.set	SIGNAL_EVENT, 0x5d
	.set	FAST, 0x10000
	.set	INSUFFICIENT_BUFFERS, 0x13
	.set	SIZES, 233

/*
 * Sets the SynIC up: VALUE is the SINTs that get their vector, the others are masked. ADDRESS has bit 0 for SCONTROL,
 * bit 1 for SIMP, bit 2 for SIEFP; its upper bits are for the SINTs: bit 17 is auto EOI, 18 polling.
 */
synic:
	call	enable_hypercalls
	mov	$VP_INDEX, %ecx
	rdmsr
	shl	$AREA_SHIFT, %eax
	lea	AREAS(%rax), %ebp
	mov	%rbp, %gs:AREA
	mov	%rbx, ENABLED(%rbp)
	xor	%edx, %edx
	xor	%esi, %esi
1:	lea	SINT0(%rsi), %ecx
	mov	$SINT_MASKED, %eax
	bt	%esi, %ebx
	jnc	2f
	mov	%edi, %eax
	and	$~0xffff, %eax
	lea	FIRST_SINT(%rax, %rsi), %eax
2:	wrmsr
	inc	%esi
	cmp	$SINTS, %esi
	jb	1b
	mov	$SIEFP, %ecx
	lea	FLAGS_PAGE(%rbp), %eax
	bt	$2, %edi
	adc	$0, %eax
	wrmsr
	mov	$SIMP, %ecx
	mov	%ebp, %eax
	bt	$1, %edi
	adc	$0, %eax
	wrmsr
	mov	$SCONTROL, %ecx
	mov	%edi, %eax
	and	$1, %eax
	wrmsr
	jmp	_start

/* Calls the control word in RCX with RDX, takes interrupts meanwhile, and counts the status, which is in RAX then. */
	.macro	call_hypervisor
	xor	%r8d, %r8d
	mov	$HYPERCALL_PAGE, %eax
	sti
	call	*%rax
	cli
	mov	$255, %edx
	cmp	%rdx, %rax
	cmovb	%rax, %rdx
	incq	STATUSES(%rbp, %rdx, 8)
	.endm

/* EAX is the size of the payload that belongs to the first word in `register`. */
	.macro	payload_size register
	mov	\register, %eax
	xor	%edx, %edx
	mov	$SIZES, %ecx
	div	%ecx
	lea	8(%rdx), %eax
	.endm

/*
 * Messages to connection ADDRESS, the first word of each one more than that before. Where it has to post one again, it
 * first takes what is there: the host may wait for that.
 */
post:
	mov	%gs:AREA, %rbp
1:	mov	%edi, INPUT(%rbp)
	movl	$0, INPUT + 4(%rbp)
	mov	%ebx, %eax
	and	$0x7fffffff, %eax
	inc	%eax
	mov	%eax, INPUT + 8(%rbp)
	payload_size %ebx
	mov	%eax, INPUT + 12(%rbp)
	mov	%rbx, INPUT + 16(%rbp)
	mov	$8, %ecx
2:	lea	(%rbx, %rcx), %edx
	mov	%dl, INPUT + 16(%rbp, %rcx)
	inc	%ecx
	cmp	$240, %ecx
	jb	2b
3:	mov	$POST_MESSAGE, %ecx
	lea	INPUT(%rbp), %edx
	call_hypervisor
	cmp	$INSUFFICIENT_BUFFERS, %rax
	jne	4f
	call	take_all
	cmpq	$0, %gs:STOP
	je	3b
4:	inc	%rbx
	again	1b

/* Signals connection ADDRESS, its flags VALUE to VALUE + 7 in turn. */
	.macro	next_event
	mov	%r13d, %edx
	and	$7, %edx
	add	%rbx, %rdx
	shl	$32, %rdx
	add	%rdi, %rdx
	inc	%r13
	.endm

signal_fast:
	mov	%gs:AREA, %rbp
	xor	%r13d, %r13d
1:	next_event
	mov	$SIGNAL_EVENT + FAST, %ecx
	call_hypervisor
	again	1b

signal_slow:
	mov	%gs:AREA, %rbp
	xor	%r13d, %r13d
1:	next_event
	mov	%rdx, INPUT(%rbp)
	mov	$SIGNAL_EVENT, %ecx
	lea	INPUT(%rbp), %edx
	call_hypervisor
	again	1b

/* Takes what is there whenever it wakes up; counts how often that was. */
receive:
	mov	%gs:AREA, %rbp
1:	cli
	cmpq	$0, %gs:STOP
	jne	_start
	call	take_all
	call	rest
	incq	%gs:PROGRESS
	jmp	1b

take_all:
	xor	%edx, %edx
1:	bt	%edx, ENABLED(%rbp)
	jnc	2f
	call	take
2:	inc	%edx
	cmp	$SINTS, %edx
	jb	1b
	ret

/* Takes the message and the event flags of the SINT in EDX, unless it is told to hold; changes no register. */
take:
	.irp	register, rax, rbx, rcx, rdx, rsi, rdi, rbp, r8, r9, r10
	push	%\register
	.endr
	mov	%gs:AREA, %rbp
	mov	%edx, %r10d
	bt	%edx, HOLD(%rbp)
	jc	1f
	call	take_message
	call	take_events
1:	.irp	register, r10, r9, r8, rbp, rdi, rsi, rdx, rcx, rbx, rax
	pop	%\register
	.endr
	ret

take_message:
	mov	%r10d, %esi
	shl	$SLOT_SHIFT, %esi
	add	%rbp, %rsi
	mov	(%rsi), %r9d
	test	%r9d, %r9d
	jz	9f
	mov	PACE(%rbp), %rcx
	jrcxz	2f
1:	loop	1b
2:	mov	SLOT_PAYLOAD(%rsi), %r8
	/* R9 is 0 where everything is right. */
	mov	%r8d, %eax
	and	$0x7fffffff, %eax
	inc	%eax
	xor	%eax, %r9d
	payload_size %r8d
	movzbl	SLOT_SIZE(%rsi), %ecx
	xor	%ecx, %eax
	or	%eax, %r9d
	mov	$8, %ebx
3:	cmp	%ecx, %ebx
	jae	4f
	lea	(%r8, %rbx), %eax
	xor	SLOT_PAYLOAD(%rsi, %rbx), %al
	movzbl	%al, %eax
	or	%eax, %r9d
	inc	%ebx
	jmp	3b
4:	test	%r9d, %r9d
	jz	5f
	incq	BAD(%rbp)
5:	mov	%r10, %rax
	shl	$56, %rax
	add	%r8, %rax
	mov	MESSAGES(%rbp), %rcx
	and	$LOG_LENGTH - 1, %ecx
	mov	%rax, LOG(%rbp, %rcx, 8)
	incq	MESSAGES(%rbp)
	movl	$0, (%rsi)
	mfence
	testb	$PENDING, SLOT_FLAGS(%rsi)
	jz	9f
	incq	EOMS(%rbp)
	mov	$EOM, %ecx
	xor	%eax, %eax
	xor	%edx, %edx
	wrmsr
9:	ret

take_events:
	mov	%r10d, %esi
	shl	$SLOT_SHIFT, %esi
	lea	FLAGS_PAGE(%rbp, %rsi), %rsi
	mov	%r10d, %edi
	shl	$13, %edi		/* 2048 words of 4 bytes */
	lea	FLAGS(%rbp, %rdi), %rdi
	xor	%ebx, %ebx
1:	xor	%eax, %eax
	xchg	%rax, (%rsi, %rbx, 8)
2:	bsf	%rax, %rcx
	jz	3f
	btr	%rcx, %rax
	mov	%ebx, %edx
	shl	$6, %edx
	add	%ecx, %edx
	incl	(%rdi, %rdx, 4)
	incq	EVENTS(%rbp)
	jmp	2b
3:	inc	%ebx
	cmp	$32, %ebx
	jb	1b
	ret
