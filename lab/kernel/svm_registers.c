// SPDX-License-Identifier: GPL-2.0-only
/* GET/SET_VP_REGISTERS: the guest's own state */

/* returns false: not ours, use the plain store */
static bool svm_reg_get(struct fhv_pt *p, struct fhv_vp *v, u32 name, u64 *lo, u64 *hi)
{
	struct svm_vp *s = S(v);
	u64 *r;

	svm_stop(s);
	*hi = 0;
	r = svm_regp(s, name);
	if (r) {
		*lo = *r;
		return true;
	}
	switch (name) {
	case 0x00000004: *lo = s->wait_sipi | s->halted << 1; return true;
	case 0x00010002:
		*lo = s->reinj ? 1 | (s->reinj >> 8 & 7) << 1 | (s->reinj >> 11 & 1) << 4 |
					 (u64)(s->reinj & 0xff) << 16 | (u64)s->reinj_err << 32
			       : 0;
		return true;
	case 0x00010003: *lo = CTRL(s)->int_state & 1; return true;
	case 0x00010006: *lo = s->notify; return true;
	case 0x00030000 ... 0x0003000f:
		memcpy(lo, svm_xmm(s, name & 15), 8);
		memcpy(hi, svm_xmm(s, name & 15) + 8, 8);
		return true;
	case 0x00030018: /* FP control status: cw sw tag rsvd op(16) / rip(64) */
		*lo = (*(u64 *)s->xs & 0xffffffffffULL) | (u64) * (u16 *)(s->xs + 6) << 48;
		*hi = *(u64 *)(s->xs + 8);
		return true;
	case 0x00030019:
		*lo = *(u64 *)(s->xs + 16);
		*hi = *(u64 *)(s->xs + 24);
		return true;
	case 0x00040004: *lo = s->apic[A_TPR] >> 4; return true;
	case 0x00060000 ... 0x00060007: {
		struct hv_x64_segment_register g;

		seg_get(s, name & 7, &g);
		memcpy(lo, &g, 8);
		memcpy(hi, (u8 *)&g + 8, 8);
		return true;
	}
	case 0x00070000:
	case 0x00070001: {
		struct vmcb_seg *t = name & 1 ? &SAVE(s)->gdtr : &SAVE(s)->idtr;

		*lo = (u64)(t->limit & 0xffff) << 48;
		*hi = t->base;
		return true;
	}
	case 0x00080000: *lo = tsc_get(s); return true;
	case 0x00080001: *lo = SAVE(s)->efer & ~EFER_SVME; return true;
	case 0x00084803: *lo = s->apic[A_VER]; return true;
	}
	return synthetic_get(p, v, name, lo);
}

/* what the hypervisor takes as the value of a register */
static bool svm_reg_valid(struct fhv_pt *p, u32 name, u64 lo)
{
	return name == 0x00040005 ? xcr0_valid(lo) : synthetic_valid(p, name, lo);
}

static bool svm_reg_set(struct fhv_pt *p, struct fhv_vp *v, u32 name, u64 lo, u64 hi)
{
	struct svm_vp *s = S(v);
	u64 *r;

	svm_stop(s);
	s->stale = true; /* an unprocessed exit is discarded */
	r = svm_regp(s, name);
	if (r) {
		*r = lo;
		switch (name) {
		case 0x00020010: CTRL(s)->int_state &= ~1; break;
		case 0x00020011: *r |= 2; break;
		case 0x00040000 ... 0x00040003: s->flush = true; break;
		}
		return true;
	}
	switch (name) {
	case 0x00000004:
		s->wait_sipi = lo & 1;
		s->halted = lo >> 1 & 1;
		svm_wake(p, v);
		break;
	case 0x00010002:
		s->reinj = lo & 1 ? SVM_EVTINJ_VALID | (lo >> 1 & 7) << 8 | (lo >> 4 & 1) << 11 |
					    (lo >> 16 & 0xff)
				  : 0;
		s->reinj_err = lo >> 32;
		break;
	case 0x00010003: CTRL(s)->int_state = (CTRL(s)->int_state & ~1) | (lo & 1); break;
	case 0x00010004: /* pending event: exception */
		s->exc = lo & 1 ? SVM_EVTINJ_VALID | SVM_EVTINJ_TYPE_EXEPT | (lo >> 8 & 1) << 11 |
					  (lo >> 16 & 0xff)
				: 0;
		s->exc_err = lo >> 32;
		if ((lo >> 16 & 0xff) == 14)
			SAVE(s)->cr2 = hi;
		break;
	case 0x00010006:
		s->notify = lo;
		s->chk = true;
		svm_wake(p, v);
		break;
	case 0x00030000 ... 0x0003000f:
		s->xs_changed = true;
		memcpy(svm_xmm(s, name & 15), &lo, 8);
		memcpy(svm_xmm(s, name & 15) + 8, &hi, 8);
		break;
	case 0x00030018:
		s->xs_changed = true;
		memcpy(s->xs, &lo, 5);
		memcpy(s->xs + 6, (u8 *)&lo + 6, 2);
		memcpy(s->xs + 8, &hi, 8);
		break;
	case 0x00030019:
		s->xs_changed = true;
		memcpy(s->xs + 16, &lo, 8);
		*(u32 *)(s->xs + 24) = hi & MXCSR_MASK;
		break;
	case 0x00040004: s->apic[A_TPR] = (lo & 15) << 4; break;
	case 0x00060000 ... 0x00060007: {
		struct hv_x64_segment_register g;

		memcpy(&g, &lo, 8);
		memcpy((u8 *)&g + 8, &hi, 8);
		seg_set(s, name & 7, &g);
		break;
	}
	case 0x00070000:
	case 0x00070001: {
		struct vmcb_seg *t = name & 1 ? &SAVE(s)->gdtr : &SAVE(s)->idtr;

		t->limit = lo >> 48;
		t->base = hi;
		break;
	}
	case 0x00080000: tsc_set(s, lo); break;
	case 0x00080001: SAVE(s)->efer = lo | EFER_SVME; break;
	default: return synthetic_set(p, v, name, lo);
	}
	return true;
}
