// SPDX-License-Identifier: GPL-2.0-only
/* the parts of a VMCB as registers */

static u16 seg_to_svm(u16 a)
{
	return (a & 0xff) | ((a >> 4) & 0xf00);
}
static u16 seg_to_hv(u16 a)
{
	return (a & 0xff) | ((a & 0xf00) << 4);
}

static struct vmcb_seg *svm_seg(struct svm_vp *s, u32 i) /* hv order */
{
	struct vmcb_save_area *a = SAVE(s);

	switch (i) {
	case 0: return &a->es;
	case 1: return &a->cs;
	case 2: return &a->ss;
	case 3: return &a->ds;
	case 4: return &a->fs;
	case 5: return &a->gs;
	case 6: return &a->ldtr;
	}
	return &a->tr;
}

static void seg_get(struct svm_vp *s, u32 i, struct hv_x64_segment_register *r)
{
	struct vmcb_seg *g = svm_seg(s, i);

	r->base = g->base;
	r->limit = g->limit;
	r->selector = g->selector;
	r->attributes = seg_to_hv(g->attrib);
}

static void seg_set(struct svm_vp *s, u32 i, const struct hv_x64_segment_register *r)
{
	struct vmcb_seg *g = svm_seg(s, i);

	g->base = r->base;
	g->limit = r->limit;
	g->selector = r->selector;
	g->attrib = seg_to_svm(r->attributes);
	if (i == 2)
		SAVE(s)->cpl = (g->attrib >> 5) & 3;
}

static u64 *svm_gpr(struct svm_vp *s, int i)
{
	return i == 0 ? &SAVE(s)->rax : i == 4 ? &SAVE(s)->rsp : &s->gpr[i];
}

static u64 *svm_regp(struct svm_vp *s, u32 name)
{
	struct vmcb_save_area *a = SAVE(s);

	switch (name) {
	case 0x00020000 ... 0x0002000f: return svm_gpr(s, name & 15);
	case 0x00020010: return &a->rip;
	case 0x00020011: return &a->rflags;
	case 0x00040000: return &a->cr0;
	case 0x00040001: return &a->cr2;
	case 0x00040002: return &a->cr3;
	case 0x00040003: return &a->cr4;
	case 0x00040005: return &s->xfem;
	case 0x00050000 ... 0x00050003: return &s->dr[name & 3];
	case 0x00050004: return &a->dr6;
	case 0x00050005: return &a->dr7;
	case 0x00080002: return &a->kernel_gs_base;
	case 0x00080003: return &s->apic_base;
	case 0x00080004: return &a->g_pat;
	case 0x00080005: return &a->sysenter_cs;
	case 0x00080006: return &a->sysenter_eip;
	case 0x00080007: return &a->sysenter_esp;
	case 0x00080008: return &a->star;
	case 0x00080009: return &a->lstar;
	case 0x0008000a: return &a->cstar;
	case 0x0008000b: return &a->sfmask;
	case 0x0008007b: return &s->tsc_aux;
	case 0x000800a0: return &s->misc_enable;
	case 0x0008000e: return &s->mtrr_def;
	}
	return NULL;
}

static u8 *svm_xmm(struct svm_vp *s, u32 i)
{
	return s->xs + 160 + 16 * i;
}
