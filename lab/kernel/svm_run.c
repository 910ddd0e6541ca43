// SPDX-License-Identifier: GPL-2.0-only
/*
 * Running a VP: events into it, exits out of it. Enabled by fakehv.svm=1; needs EFER.SVME and
 * nested paging, which QEMU's "-cpu max" has.
 *
 * Every VM exit is either resumed here or becomes an intercept message with the real layout. All
 * exits are restartable: nothing is changed before the exit is processed under fhv_lock, so a
 * suspend simply discards the exit. With the root scheduler HVCALL_DISPATCH_VP runs the guest, with
 * the hypervisor's an unbound work item of the VP.
 */

static void svm_ack(struct svm_vp *s, int vec)
{
	vclr(s->apic + A_IRR, vec);
	if (!vget(s->autoeoi, vec))
		vset(s->apic + A_ISR, vec);
}

/*
 * Between STI and HLT. QEMU says so in int_state at an exit, but takes no notice of it at VMRUN: an
 * interrupt would come before HLT, and nothing would end that any more.
 */
static bool svm_before_hlt(struct fhv_pt *p, struct svm_vp *s)
{
	u8 next;

	return (CTRL(s)->int_state & 1) && svm_fetch(p, s, &next, 1) && next == 0xf4;
}

/* choose the event to inject, open an interrupt window if one more waits */
static void svm_prepare(struct fhv_pt *p, struct fhv_vp *v)
{
	struct svm_vp *s = S(v);
	struct vmcb_control_area *c = CTRL(s);
	bool can = (SAVE(s)->rflags & X86_EFLAGS_IF) && !(c->int_state & 1), want;
	int vec;

	c->event_inj = 0;
	if (s->reinj) {
		c->event_inj = s->reinj;
		c->event_inj_err = s->reinj_err;
		s->reinj = 0;
	} else if (s->exc) {
		c->event_inj = s->exc;
		c->event_inj_err = s->exc_err;
		s->exc = 0;
	} else if (s->nmi && !(c->int_state & 1)) {
		c->event_inj = SVM_EVTINJ_VALID | SVM_EVTINJ_TYPE_NMI | 2;
		s->nmi = false;
	} else if (s->extint >= 0 && can) {
		c->event_inj = SVM_EVTINJ_VALID | SVM_EVTINJ_TYPE_INTR | s->extint;
		s->extint = -1;
	} else if (can && (vec = apic_deliverable(s)) >= 0) {
		svm_ack(s, vec);
		/*
		 * Type "soft" where that is possible (CPL 0, no gate DPL check to fail):
		 * QEMU's helper_vmrun leaves a stale exception_index behind an injected
		 * INTR, and a CPU kick at that moment delivers the vector a second time.
		 */
		c->event_inj = SVM_EVTINJ_VALID | vec |
			       (SAVE(s)->cpl ? SVM_EVTINJ_TYPE_INTR : SVM_EVTINJ_TYPE_SOFT);
		s->n_inj++;
	}
	s->last_inj = c->event_inj;
	/* where HLT comes next there is an exit for it */
	want = (apic_deliverable(s) >= 0 || s->extint >= 0) && !svm_before_hlt(p, s);
	c->int_ctl = V_INTR_MASKING_MASK | (s->apic[A_TPR] >> 4 & 15);
	if (want) {
		c->int_ctl |= V_IRQ_MASK | V_IGN_TPR_MASK | (0xf << V_INTR_PRIO_SHIFT);
		c->intercepts[INTERCEPT_WORD3] |= BIT(INTERCEPT_VINTR & 31);
	} else {
		c->intercepts[INTERCEPT_WORD3] &= ~BIT(INTERCEPT_VINTR & 31);
	}
	c->intercepts[INTERCEPT_EXCEPTION] = p->svm->exc_mask;
	if (p->svm->exc_mask & BIT(3)) /* INT3: see svm_debug.c */
		c->intercepts[INTERCEPT_WORD3] |= BIT(INTERCEPT_INTn & 31);
	else
		c->intercepts[INTERCEPT_WORD3] &= ~BIT(INTERCEPT_INTn & 31);
	c->tlb_ctl = s->flush ? TLB_CONTROL_FLUSH_ALL_ASID : 0;
	s->flush = false;
	c->clean = 0;
	c->exit_int_info = 0;
	c->tsc_offset = s->tsc - p->clock.stopped;
	SAVE(s)->efer |= EFER_SVME;
}

static bool svm_event_pending(struct svm_vp *s)
{
	return s->reinj || s->exc || s->nmi ||
	       ((s->idle || (SAVE(s)->rflags & X86_EFLAGS_IF)) &&
		(s->extint >= 0 || apic_deliverable(s) >= 0));
}

/* pending SINT deliverability notification: true when a message was delivered */
static bool svm_notify(struct fhv_pt *p, struct fhv_vp *v)
{
	struct svm_vp *s = S(v);
	struct x64_sint_msg m = {};
	u32 want = s->notify >> 48, free = 0, i;

	s->chk = false;
	if (!want || !s->simp_ov.on || !(s->scontrol & 1))
		return false;
	for (i = 0; i < 16; i++)
		if (!*(u32 *)(page_address(s->simp_ov.pg) + 256 * i))
			free |= BIT(i);
	if (!(want & free))
		return false;
	s->notify &= ~((u64)(want & free) << 48);
	msg_header(v, &m.h, 0, 0);
	m.sints = want & free;
	svm_deliver(p, v, HVMSG_SYNIC_SINT_DELIVERABLE, &m, sizeof(m));
	return true;
}

/*
 * Run until the VP is suspended (returns INTERCEPT/SUSPEND), idle (BLOCKED) or
 * the CPU is wanted by the host (READY, no event). Preemption disabled, irqs on.
 */
static bool svm_run(struct fhv_pt *p, struct fhv_vp *v, u32 *state, u32 *event)
{
	struct svm_vp *s = S(v);
	int cpu = smp_processor_id();
	bool intr = false, alive = true;
	u64 began, rip;
	bool shadow;
	struct svm_host host;

	*state = HV_VP_DISPATCH_STATE_READY;
	*event = HV_VP_DISPATCH_EVENT_INVALID;
	host_of_cpu(&host);
	kernel_fpu_begin();
	spin_lock_irq(&fhv_lock);
	if (!s->dead && !v->intercept && !v->explicit && !v->dispatch)
		regpage_invalidate(v);
	s->xs_changed = true; /* the CPU has somebody else's */
	for (;;) {
		struct qmsg *q;

		if (s->dead) {
			alive = false;
			break;
		}
		if (s->exit_valid) {
			s->exit_valid = false;
			if (!v->explicit && !s->stale)
				svm_exit(p, v);
		}
		s->stale = false;
		if (v->intercept) {
			*event = HV_VP_DISPATCH_EVENT_INTERCEPT;
			break;
		}
		if (v->explicit || v->dispatch) {
			*state = HV_VP_DISPATCH_STATE_BLOCKED;
			*event = HV_VP_DISPATCH_EVENT_SUSPEND;
			break;
		}
		if (s->chk && svm_notify(p, v))
			continue;
		q = list_first_entry_or_null(&v->msgs, struct qmsg, l);
		if (q) { /* scripted message (/dev/fakehv "msg") */
			list_del(&q->l);
			svm_deliver(p, v, q->m.header.message_type, q->m.u.payload, 240);
			memcpy(page_address(v->state[HV_VP_STATE_PAGE_INTERCEPT_MESSAGE]), &q->m,
			       sizeof(q->m));
			kfree(q);
			continue;
		}
		if (s->halted && svm_event_pending(s))
			s->halted = s->idle = false;
		if (s->halted || s->wait_sipi || p->clock.frozen) {
			v->blocked = true;
			*state = HV_VP_DISPATCH_STATE_BLOCKED;
			break;
		}
		if (intr)
			break;
		svm_prepare(p, v);
		s->cpu = cpu;
		s->in_guest = 1;
		s->exit_valid = true;
		if (s->xs_changed)
			xstate_load(s);
		shadow = CTRL(s)->int_state & 1;
		rip = SAVE(s)->rip;
		began = rdtsc();
		spin_unlock(&fhv_lock);
		switch_to_guest(s, &host);
		fhv_svm_enter(s->gpr, __pa(s->vmcb), __pa(per_cpu(svm_host_vmcb, cpu)));
		/* GIF=0 here */
		switch_to_host(s, &host);
		s->ran += rdtsc() - began;
		/* nothing was executed: QEMU has forgotten the shadow that VMRUN was given */
		if (shadow && SAVE(s)->rip == rip)
			CTRL(s)->int_state |= 1;
		s->n_exit++;
		s->exits[CTRL(s)->exit_code < 0x80            ? CTRL(s)->exit_code
			 : CTRL(s)->exit_code == SVM_EXIT_NPF ? 0xff
			 : CTRL(s)->exit_code < 0xa0          ? CTRL(s)->exit_code
							      : 0xfe]++;
		if ((CTRL(s)->int_ctl & 15) != (s->apic[A_TPR] >> 4 & 15))
			s->apic[A_TPR] = (CTRL(s)->int_ctl & 15) << 4;
		/* an INT n of the guest is simply executed again, what we injected is not */
		if ((CTRL(s)->exit_int_info & SVM_EXITINTINFO_VALID) &&
		    ((CTRL(s)->exit_int_info & SVM_EXITINTINFO_TYPE_MASK) !=
			     SVM_EXITINTINFO_TYPE_SOFT ||
		     CTRL(s)->exit_int_info == s->last_inj)) {
			s->reinj = CTRL(s)->exit_int_info;
			s->reinj_err = CTRL(s)->exit_int_info_err;
		}
		intr = CTRL(s)->exit_code == SVM_EXIT_INTR || CTRL(s)->exit_code == SVM_EXIT_NMI;
		smp_store_release(&s->in_guest, 0);
		asm volatile("stgi" : : : "memory");
		local_irq_enable();
		/* pending host interrupts are taken here */
		spin_lock_irq(&fhv_lock);
	}
	if (!alive || sched != HV_SCHEDULER_TYPE_ROOT) {
		/* hypervisor scheduler: the work item ends unless it just yields */
		if (!alive || *event != HV_VP_DISPATCH_EVENT_INVALID ||
		    *state == HV_VP_DISPATCH_STATE_BLOCKED)
			s->work_active = false;
	}
	spin_unlock_irq(&fhv_lock);
	kernel_fpu_end();
	return alive;
}

static void svm_vp_destroy(struct fhv_vp *v);

static void svm_work(struct work_struct *w)
{
	struct svm_vp *s = container_of(w, struct svm_vp, work);
	struct fhv_vp *v = s->v;
	u32 state, event;

	for (;;) {
		bool alive;

		preempt_disable();
		alive = svm_run(s->p, v, &state, &event);
		preempt_enable();
		if (!alive) {
			svm_vp_destroy(v);
			kfree(v);
			return;
		}
		if (state != HV_VP_DISPATCH_STATE_READY || event != HV_VP_DISPATCH_EVENT_INVALID)
			return;
		cond_resched();
	}
}

/* HVCALL_DISPATCH_VP with SVM; called without fhv_lock */
static u64 svm_dispatch(struct hv_input_dispatch_vp *a, struct hv_output_dispatch_vp *o)
{
	struct fhv_pt *p;
	struct fhv_vp *v;
	unsigned long fl;

	spin_lock_irqsave(&fhv_lock, fl);
	p = pt_find(a->partition_id);
	v = p ? vp_find(p, a->vp_index) : NULL;
	if (!v) {
		spin_unlock_irqrestore(&fhv_lock, fl);
		return p ? HV_STATUS_INVALID_VP_INDEX : HV_STATUS_INVALID_PARTITION_ID;
	}
	if (a->flags & HV_DISPATCH_VP_FLAG_CLEAR_INTERCEPT_SUSPEND)
		v->intercept = 0;
	if (a->flags & HV_DISPATCH_VP_FLAG_SCAN_INTERRUPT_INJECTION)
		take_page_vectors(p, v);
	v->blocked = false;
	spin_unlock_irqrestore(&fhv_lock, fl);
	svm_run(p, v, &o->dispatch_state, &o->dispatch_event);
	return 0;
}
