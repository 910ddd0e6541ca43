// SPDX-License-Identifier: GPL-2.0-only
/* the page in which driver and VMM see registers */

/*
 * Load what the VMM wrote in the register page: when the VP runs, as Hyper-V does. Until then
 * register hypercalls see and change what was there before.
 */
static void regpage_flush(struct fhv_vp *v)
{
	struct svm_vp *s = S(v);
	struct hv_vp_register_page *rp;
	u32 d, i;

	if (!v->state[HV_VP_STATE_PAGE_REGISTERS])
		return;
	rp = page_address(v->state[HV_VP_STATE_PAGE_REGISTERS]);
	if (!rp->isvalid || !READ_ONCE(rp->dirty))
		return;
	d = xchg(&rp->dirty, 0);
	if (d & BIT(HV_X64_REGISTER_CLASS_GENERAL))
		for (i = 0; i < 16; i++)
			*svm_gpr(s, i) = rp->gp_registers[i];
	if (d & BIT(HV_X64_REGISTER_CLASS_IP)) {
		SAVE(s)->rip = rp->rip;
		CTRL(s)->int_state &= ~1;
	}
	if (d & BIT(HV_X64_REGISTER_CLASS_FLAGS))
		SAVE(s)->rflags = rp->rflags | 2;
	if (d & BIT(HV_X64_REGISTER_CLASS_XMM)) {
		memcpy(svm_xmm(s, 0), &rp->xmm0, 96);
		s->xs_changed = true;
	}
	if (d & BIT(HV_X64_REGISTER_CLASS_SEGMENT))
		for (i = 0; i < 6; i++)
			seg_set(s, i, &rp->segment_registers[i]);
}

static void regpage_fill(struct fhv_vp *v)
{
	struct svm_vp *s = S(v);
	struct vmcb_save_area *a = SAVE(s);
	struct hv_vp_register_page *rp;
	int i;

	if (!v->state[HV_VP_STATE_PAGE_REGISTERS])
		return;
	rp = page_address(v->state[HV_VP_STATE_PAGE_REGISTERS]);
	rp->version = HV_VP_REGISTER_PAGE_VERSION_1;
	for (i = 0; i < 16; i++)
		rp->gp_registers[i] = *svm_gpr(s, i);
	rp->rip = a->rip;
	rp->rflags = a->rflags;
	memcpy(&rp->xmm0, svm_xmm(s, 0), 96);
	for (i = 0; i < 6; i++)
		seg_get(s, i, &rp->segment_registers[i]);
	rp->cr0 = a->cr0;
	rp->cr3 = a->cr3;
	rp->cr4 = a->cr4;
	rp->cr8 = s->apic[A_TPR] >> 4;
	rp->efer = a->efer & ~EFER_SVME;
	rp->dr7 = a->dr7;
	rp->pending_interruption.as_uint64 =
		s->reinj ? 1 | (s->reinj >> 8 & 7) << 1 | (u64)(s->reinj & 0xff) << 16 : 0;
	rp->interrupt_state.as_uint64 = CTRL(s)->int_state & 1;
	rp->instruction_emulation_hints = 0;
	rp->xfem = s->xfem;
	rp->dirty = 0;
	smp_wmb();
	rp->isvalid = 1;
}

static void regpage_invalidate(struct fhv_vp *v)
{
	struct hv_vp_register_page *rp;

	if (!v->state[HV_VP_STATE_PAGE_REGISTERS])
		return;
	regpage_flush(v);
	rp = page_address(v->state[HV_VP_STATE_PAGE_REGISTERS]);
	rp->isvalid = 0;
}
