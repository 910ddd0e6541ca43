// SPDX-License-Identifier: GPL-2.0-only
/* the SynIC of a guest: messages and event flags */

static void svm_msr_simp(struct fhv_pt *p, struct svm_vp *s, u64 val, bool simp)
{
	*(simp ? &s->simp : &s->siefp) = val;
	ov_set(p, simp ? &s->simp_ov : &s->siefp_ov, val & 1, val >> 12, true);
}

static void sint_raise(struct fhv_pt *p, struct fhv_vp *v, u32 n)
{
	struct svm_vp *s = S(v);
	u64 c = s->sint[n];

	if (c & (BIT(16) | BIT(18)) || (c & 0xff) < 16) /* masked, polling */
		return;
	if (c & BIT(17))
		vset(s->autoeoi, c & 0xff);
	else
		vclr(s->autoeoi, c & 0xff);
	apic_request(p, v, c & 0xff, false);
}

static u64 svm_post_message(struct fhv_pt *p, struct fhv_vp *v, u32 sint, const u8 *msg)
{
	struct svm_vp *s = S(v);
	u8 *slot;

	if (sint > 15)
		return HV_STATUS_INVALID_PARAMETER;
	if (!(s->scontrol & 1) || !s->simp_ov.on)
		return 0x18 /* INVALID_SYNIC_STATE */;
	slot = (u8 *)page_address(s->simp_ov.pg) + 256 * sint;
	if (READ_ONCE(*(u32 *)slot)) {
		slot[5] |= 1; /* message pending: guest must EOM */
		mb();
		if (READ_ONCE(*(u32 *)slot))
			return 0x19 /* OBJECT_IN_USE */;
	}
	memcpy(slot + 4, msg + 4, 252);
	slot[5] &= ~1;
	smp_wmb();
	WRITE_ONCE(*(u32 *)slot, *(u32 *)msg);
	sint_raise(p, v, sint);
	return 0;
}

static u64 svm_signal_event(struct fhv_pt *p, struct fhv_vp *v, u32 sint, u32 flag, bool *newly)
{
	struct svm_vp *s = S(v);
	unsigned long *w;

	*newly = false;
	if (sint > 15 || flag > 2047)
		return HV_STATUS_INVALID_PARAMETER;
	if (!(s->scontrol & 1) || !s->siefp_ov.on)
		return 0x18;
	w = page_address(s->siefp_ov.pg) + 256 * sint;
	if (!test_and_set_bit(flag, w)) {
		*newly = true;
		sint_raise(p, v, sint);
	}
	return 0;
}
