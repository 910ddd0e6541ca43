// SPDX-License-Identifier: GPL-2.0-only
/* creating, resetting and freeing VPs and partitions */

static void svm_vp_reset(struct fhv_vp *v)
{
	struct svm_vp *s = S(v);
	struct vmcb_save_area *a = SAVE(s);
	struct vmcb_control_area *c = CTRL(s);
	int i;

	memset(s->vmcb, 0, PAGE_SIZE);
	memset(s->gpr, 0, sizeof(s->gpr));
	xstate_reset(s);
	c->intercepts[INTERCEPT_DR] = 0x00ff00ff;
	c->intercepts[INTERCEPT_WORD3] =
		BIT(INTERCEPT_INTR & 31) | BIT(INTERCEPT_NMI & 31) | BIT(INTERCEPT_CPUID & 31) |
		BIT(INTERCEPT_HLT & 31) | BIT(INTERCEPT_INVLPGA & 31) |
		BIT(INTERCEPT_IOIO_PROT & 31) | BIT(INTERCEPT_MSR_PROT & 31) |
		BIT(INTERCEPT_SHUTDOWN & 31);
	c->intercepts[INTERCEPT_WORD4] = BIT(INTERCEPT_VMRUN & 31) | BIT(INTERCEPT_VMMCALL & 31) |
					 BIT(INTERCEPT_VMLOAD & 31) | BIT(INTERCEPT_VMSAVE & 31) |
					 BIT(INTERCEPT_STGI & 31) | BIT(INTERCEPT_CLGI & 31) |
					 BIT(INTERCEPT_SKINIT & 31) | BIT(INTERCEPT_MONITOR & 31) |
					 BIT(INTERCEPT_MWAIT & 31);
	c->iopm_base_pa = svm_iopm_pa;
	c->msrpm_base_pa = svm_msrpm_pa;
	c->asid = 1;
	c->misc_ctl = SVM_MISC_ENABLE_NP;
	c->nested_cr3 = __pa(s->p->svm->npt);
	for (i = 0; i < 6; i++) {
		struct vmcb_seg *g = svm_seg(s, i);

		g->attrib = i == 1 ? 0x9b : 0x93;
		g->limit = 0xffff;
	}
	a->cs.selector = 0xf000;
	a->cs.base = 0xffff0000;
	a->ldtr.attrib = 0x82;
	a->ldtr.limit = a->gdtr.limit = a->idtr.limit = a->tr.limit = 0xffff;
	a->tr.attrib = 0x8b;
	a->rip = 0xfff0;
	a->rflags = 2;
	a->cr0 = 0x60000010;
	a->efer = EFER_SVME;
	a->dr6 = 0xffff0ff0;
	a->dr7 = 0x400;
	a->g_pat = 0x0007040600070406ULL;
	s->flush = true;
	s->halted = s->idle = s->wait_sipi = s->nmi = false;
	s->reinj = s->exc = 0;
	s->extint = -1;
	timer_off(&s->timer);
	s->deadline = 0;
	memset(s->apic, 0, sizeof(s->apic));
	s->apic[A_ID] = v->apic_id << 24;
	s->apic[A_VER] = 0x50014;
	s->apic[A_DFR] = 0xffffffff;
	s->apic[A_SVR] = 0xff;
	for (i = 0x32; i <= 0x37; i++)
		s->apic[i] = 0x10000;
	s->apic_base = 0xfee00000 | 0x800 | (v->idx ? 0 : 0x100);
}

static int svm_vp_create(struct fhv_pt *p, struct fhv_vp *v)
{
	struct svm_vp *s = kzalloc(sizeof(*s), GFP_ATOMIC);
	int i;

	if (!s)
		return -ENOMEM;
	s->vmcb = (void *)get_zeroed_page(GFP_ATOMIC);
	if (!s->vmcb) {
		kfree(s);
		return -ENOMEM;
	}
	s->p = p;
	s->v = v;
	v->svm = s;
	INIT_WORK(&s->work, svm_work);
	s->tsc = p->clock.tsc;
	timer_init(&s->timer, s, apic_timer_fire);
	for (i = 0; i < HV_SYNIC_STIMER_COUNT; i++)
		timer_init(&s->st[i].t, s, stimer_fire);
	for (i = 0; i < 16; i++)
		s->sint[i] = 0x10000;
	s->scontrol = 0;
	svm_vp_reset(v);
	return 0;
}

/* no longer running, not on any list */
static void svm_vp_destroy(struct fhv_vp *v)
{
	int i;

	hrtimer_cancel(&S(v)->timer.t);
	for (i = 0; i < HV_SYNIC_STIMER_COUNT; i++)
		hrtimer_cancel(&S(v)->st[i].t.t);
	free_page((unsigned long)v->svm->vmcb);
	kfree(v->svm);
	v->svm = NULL;
}

/* fhv_lock held; its timers want to be waited for without it: the work item frees the VP */
static void svm_vp_free(struct fhv_pt *p, struct fhv_vp *v)
{
	struct svm_vp *s = S(v);
	struct svm_ov *o[] = { &s->simp_ov, &s->siefp_ov };
	int i;

	svm_stop(s);
	for (i = 0; i < 2; i++)
		if (o[i]->pg) {
			ov_set(p, o[i], false, 0, false);
			list_del(&o[i]->l);
			__free_page(o[i]->pg);
		}
	fhv_log("SVM_STATS pt=%llu vp=%u exits=%llu intr=%llu hlt=%llu io=%llu msr=%llu "
		"vmmcall=%llu npf=%llu vintr=%llu cpuid=%llu injected=%llu kicks=%llu",
		p->id, v->idx, s->n_exit, s->exits[SVM_EXIT_INTR], s->exits[SVM_EXIT_HLT],
		s->exits[SVM_EXIT_IOIO], s->exits[SVM_EXIT_MSR], s->exits[SVM_EXIT_VMMCALL],
		s->exits[0xff], s->exits[SVM_EXIT_VINTR], s->exits[SVM_EXIT_CPUID], s->n_inj,
		s->n_kick);
	s->dead = true;
	if (!s->work_active) {
		s->work_active = true;
		queue_work(svm_wq, &s->work);
	}
}

static int svm_pt_create(struct fhv_pt *p)
{
	struct svm_pt *sp = kzalloc(sizeof(*sp), GFP_ATOMIC);

	if (!sp)
		return -ENOMEM;
	sp->npt = (u64 *)get_zeroed_page(GFP_ATOMIC);
	if (!sp->npt) {
		kfree(sp);
		return -ENOMEM;
	}
	INIT_LIST_HEAD(&sp->tables);
	INIT_LIST_HEAD(&sp->ovs);
	INIT_LIST_HEAD(&sp->icpts);
	INIT_LIST_HEAD(&sp->cpuids);
	p->svm = sp;
	return 0;
}

/* all VPs are gone */
static void svm_pt_free(struct fhv_pt *p)
{
	struct svm_pt *sp = p->svm;
	struct svm_icpt *i, *in;
	struct svm_cpuid *c, *cn;
	struct page *pg, *pn;

	list_for_each_entry_safe(i, in, &sp->icpts, l)
		kfree(i);
	list_for_each_entry_safe(c, cn, &sp->cpuids, l)
		kfree(c);
	list_for_each_entry_safe(pg, pn, &sp->tables, lru)
		__free_page(pg);
	if (sp->hc.pg)
		__free_page(sp->hc.pg);
	if (sp->tsc_page.pg)
		__free_page(sp->tsc_page.pg);
	free_page((unsigned long)sp->npt);
	kfree(sp);
	p->svm = NULL;
}
