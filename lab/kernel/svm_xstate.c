// SPDX-License-Identifier: GPL-2.0-only
/*
 * XSAVE: x87, SSE and AVX of a guest, in the standard format, and its XCR0.
 *
 * VMRUN switches none of this, and QEMU 7.2 takes a guest's XSETBV whatever is intercepted: XCR0 is
 * the guest's for as long as VMRUN lasts.
 */

#define XSTATE_X87   BIT_ULL(0)
#define XSTATE_SSE   BIT_ULL(1)
#define XSTATE_AVX   BIT_ULL(2)
#define XSTATE_ALL   (XSTATE_X87 | XSTATE_SSE | XSTATE_AVX)
#define XSTATE_SIZE  832
#define XSTATE_YMM   576 /* where the upper halves are, in either format */
#define XCOMP_FORMAT BIT_ULL(63)
#define MXCSR_MASK   0xffffu

/* hv_partition_processor_xsave_features */
#define NO_XSAVE    BIT_ULL(0)
#define NO_XSAVEOPT BIT_ULL(1)
#define NO_AVX      BIT_ULL(2)

static u64 xstate_offered(struct fhv_pt *p)
{
	if (p->no_xsave & NO_XSAVE)
		return 0;
	return XSTATE_X87 | XSTATE_SSE | (p->no_xsave & NO_AVX ? 0 : XSTATE_AVX);
}

/* what XSETBV takes */
static bool xcr0_valid(u64 xcr0)
{
	return (xcr0 & XSTATE_X87) && !(xcr0 & ~XSTATE_ALL) &&
	       (!(xcr0 & XSTATE_AVX) || (xcr0 & XSTATE_SSE));
}

static u64 *xstate_bv(struct svm_vp *s)
{
	return (u64 *)(s->xs + 512);
}

static void xstate_reset(struct svm_vp *s)
{
	memset(s->xs, 0, sizeof(s->xs));
	*(u16 *)s->xs = 0x37f;
	*(u32 *)(s->xs + 24) = 0x1f80;
	*xstate_bv(s) = XSTATE_ALL;
	s->xs_changed = true;
	s->xfem = XSTATE_X87;
}

/* the CPU has the guest's registers: after VMRUN, and until the next one nobody else uses them */
static void xstate_save(struct svm_vp *s)
{
	asm volatile("xsave64 %0" : "+m"(s->xs) : "a"((u32)XSTATE_ALL), "d"(0));
	*xstate_bv(s) = XSTATE_ALL; /* XSAVE has written all of them */
}

static void xstate_load(struct svm_vp *s)
{
	*(u32 *)(s->xs + 24) &= MXCSR_MASK;
	asm volatile("xrstor64 %0" : : "m"(s->xs), "a"((u32)XSTATE_ALL), "d"(0));
	s->xs_changed = false;
}

/* the compacted form, as GET/SET_VP_STATE have it: with these states everything lies where it lay
 */
static void xstate_get(struct svm_vp *s, u8 *to)
{
	memset(to, 0, PAGE_SIZE);
	memcpy(to, s->xs, XSTATE_SIZE);
	((u64 *)(to + 512))[1] = XCOMP_FORMAT | XSTATE_ALL;
}

static bool xstate_set(struct svm_vp *s, const u8 *from)
{
	const u64 *header = (const u64 *)(from + 512);
	u64 present = header[0];
	int i;

	if (header[1] != (XCOMP_FORMAT | XSTATE_ALL) || (present & ~XSTATE_ALL) ||
	    (*(u32 *)(from + 24) & ~MXCSR_MASK))
		return false;
	for (i = 2; i < 8; i++)
		if (header[i])
			return false;
	memcpy(s->xs, from, XSTATE_SIZE);
	/* what is not present is in its initial state */
	if (!(present & XSTATE_X87)) {
		memset(s->xs, 0, 24);
		memset(s->xs + 32, 0, 128);
		*(u16 *)s->xs = 0x37f;
	}
	if (!(present & XSTATE_SSE))
		memset(s->xs + 160, 0, 256);
	if (!(present & (XSTATE_SSE | XSTATE_AVX)))
		*(u32 *)(s->xs + 24) = 0x1f80;
	if (!(present & XSTATE_AVX))
		memset(s->xs + XSTATE_YMM, 0, 256);
	xstate_bv(s)[0] = XSTATE_ALL;
	xstate_bv(s)[1] = 0;
	s->xs_changed = true;
	return true;
}

/* CPUID 0xd: the states that the guest is offered, whatever else this CPU has */
static void xstate_cpuid(struct fhv_pt *p, struct svm_vp *s, u32 ecx, u32 *o)
{
	u64 offered = xstate_offered(p);
	u32 eax, ebx, ecx1, edx;

	memset(o, 0, 16);
	if (!offered)
		return;
	switch (ecx) {
	case 0:
		o[0] = offered;
		o[1] = s->xfem & XSTATE_AVX ? XSTATE_SIZE : XSTATE_YMM;
		o[2] = offered & XSTATE_AVX ? XSTATE_SIZE : XSTATE_YMM;
		break;
	case 1:
		cpuid_count(0xd, 1, &eax, &ebx, &ecx1, &edx);
		/* XSAVEOPT, and XGETBV of the states in use; no XSAVEC, no XSAVES */
		o[0] = eax & (p->no_xsave & NO_XSAVEOPT ? BIT(2) : BIT(0) | BIT(2));
		break;
	case 2:
		if (offered & XSTATE_AVX) {
			o[0] = XSTATE_SIZE - XSTATE_YMM;
			o[1] = XSTATE_YMM;
		}
		break;
	}
}
