// SPDX-License-Identifier: GPL-2.0-only
/* what an exit becomes: a message for the VMM, who installs intercepts, or an exception of the
 * guest */

static void msg_header(struct fhv_vp *v, struct hv_x64_intercept_message_header *h, int len,
		       int acc)
{
	struct svm_vp *s = S(v);
	struct vmcb_save_area *a = SAVE(s);

	memset(h, 0, sizeof(*h));
	h->vp_index = v->idx;
	h->instruction_length = len;
	h->cr8 = s->apic[A_TPR] >> 4;
	h->intercept_access_type = acc;
	h->execution_state.cpl = a->cpl;
	h->execution_state.cr0_pe = a->cr0 & 1;
	h->execution_state.cr0_am = !!(a->cr0 & X86_CR0_AM);
	h->execution_state.efer_lma = !!(a->efer & EFER_LMA);
	h->execution_state.debug_active = !!(a->dr7 & 0xff);
	h->execution_state.interruption_pending = !!s->reinj;
	h->execution_state.interrupt_shadow = CTRL(s)->int_state & 1;
	seg_get(s, 1, &h->cs_segment);
	h->rip = a->rip;
	h->rflags = a->rflags;
}

/* fhv_lock held; the VP becomes intercept-suspended */
static void svm_deliver(struct fhv_pt *p, struct fhv_vp *v, u32 type, const void *pay, u32 len)
{
	struct hv_message *m;

	if (!v->state[HV_VP_STATE_PAGE_INTERCEPT_MESSAGE])
		return;
	m = page_address(v->state[HV_VP_STATE_PAGE_INTERCEPT_MESSAGE]);
	memset(m, 0, sizeof(*m));
	m->header.message_type = type;
	m->header.payload_size = len;
	m->header.sender = p->id;
	memcpy(m->u.payload, pay, len);
	regpage_fill(v);
	v->intercept = 1;
	if (svm_trace)
		fhv_log("INTERCEPT pt=%llu vp=%u type=0x%x rip=0x%llx", p->id, v->idx, type,
			SAVE(S(v))->rip);
	if (sched != HV_SCHEDULER_TYPE_ROOT) {
		struct hv_message o = {};

		o.header.message_type = HVMSG_OPAQUE_INTERCEPT;
		o.header.payload_size = sizeof(struct hv_opaque_intercept_message);
		o.header.sender = p->id;
		((struct hv_opaque_intercept_message *)o.u.payload)->vp_index = v->idx;
		sim_post(smp_processor_id(), &o);
	}
}

static struct svm_icpt *icpt_find(struct fhv_pt *p, u32 type, u64 param, u32 acc)
{
	struct svm_icpt *i;

	list_for_each_entry(i, &p->svm->icpts, l)
		if (i->type == type && (param == ~0ULL || i->param == param) &&
		    (!acc || (i->access & acc)))
			return i;
	return NULL;
}

static int svm_install(struct fhv_pt *p, u32 type, u32 access, u64 param)
{
	struct svm_icpt *i, *n;

	list_for_each_entry_safe(i, n, &p->svm->icpts, l)
		if (i->type == type && i->param == param) {
			list_del(&i->l);
			kfree(i);
		}
	if (access) {
		i = kzalloc(sizeof(*i), GFP_ATOMIC);
		if (!i)
			return -ENOMEM;
		i->type = type;
		i->access = access;
		i->param = param;
		list_add(&i->l, &p->svm->icpts);
	}
	p->svm->exc_mask = 0;
	list_for_each_entry(i, &p->svm->icpts, l)
		if (i->type == 3)
			p->svm->exc_mask |= BIT(i->param & 31);
	svm_stop_all(p);
	return 0;
}

static void svm_inject(struct svm_vp *s, u8 vec, bool has_err, u32 err)
{
	s->exc = SVM_EVTINJ_VALID | SVM_EVTINJ_TYPE_EXEPT | vec |
		 (has_err ? SVM_EVTINJ_VALID_ERR : 0);
	s->exc_err = err;
}
