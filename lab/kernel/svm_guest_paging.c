// SPDX-License-Identifier: GPL-2.0-only
/* the guest's own page tables, and fetching its code */

/* 0 ok; 1 not present; 2 privilege/other; 4 GPA unmapped */
static int svm_walk(struct fhv_pt *p, struct svm_vp *s, u64 gva, u64 *gpa)
{
	struct vmcb_save_area *a = SAVE(s);
	u64 t, e = 0;
	int lvl, top;

	if (!(a->cr0 & X86_CR0_PG)) {
		*gpa = gva & 0xffffffff;
		return 0;
	}
	if (!(a->cr4 & X86_CR4_PAE)) {
		u32 e32;

		if (svm_gmem(p, (a->cr3 & ~0xfffULL) + (gva >> 22 & 1023) * 4, &e32, 4, false))
			return 4;
		if (!(e32 & 1))
			return 1;
		if ((e32 & 0x80) && (a->cr4 & X86_CR4_PSE)) {
			*gpa = (e32 & 0xffc00000) | (gva & 0x3fffff);
			return 0;
		}
		if (svm_gmem(p, (e32 & ~0xfffu) + (gva >> 12 & 1023) * 4, &e32, 4, false))
			return 4;
		if (!(e32 & 1))
			return 1;
		*gpa = (e32 & ~0xfffu) | (gva & 0xfff);
		return 0;
	}
	if (a->efer & EFER_LMA) {
		t = a->cr3 & GENMASK_ULL(51, 12);
		top = 3;
	} else {
		if (svm_gmem(p, (a->cr3 & ~31ULL) + (gva >> 30 & 3) * 8, &e, 8, false))
			return 4;
		if (!(e & 1))
			return 1;
		t = e & GENMASK_ULL(51, 12);
		top = 1;
	}
	for (lvl = top; lvl >= 0; lvl--) {
		if (svm_gmem(p, t + (gva >> (12 + 9 * lvl) & 511) * 8, &e, 8, false))
			return 4;
		if (!(e & 1))
			return 1;
		t = e & GENMASK_ULL(51, 12);
		if (lvl && (e & 0x80)) {
			u64 m = (1ULL << (12 + 9 * lvl)) - 1;

			*gpa = (t & ~m) | (gva & m);
			return 0;
		}
	}
	*gpa = t | (gva & 0xfff);
	return 0;
}

static bool code64(struct svm_vp *s)
{
	return (SAVE(s)->efer & EFER_LMA) && (SAVE(s)->cs.attrib & 0x200);
}

static u64 svm_linrip(struct svm_vp *s)
{
	return code64(s) ? SAVE(s)->rip : (u32)(SAVE(s)->cs.base + SAVE(s)->rip);
}

static int svm_fetch(struct fhv_pt *p, struct svm_vp *s, u8 *b, int n)
{
	u64 gva = svm_linrip(s), gpa;
	int got = 0;

	while (got < n) {
		int c = min_t(int, n - got, PAGE_SIZE - (gva & 0xfff));

		if (svm_walk(p, s, gva, &gpa) || svm_gmem(p, gpa, b + got, c, false))
			break;
		got += c;
		gva += c;
	}
	return got;
}
