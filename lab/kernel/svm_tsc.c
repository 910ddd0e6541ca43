// SPDX-License-Identifier: GPL-2.0-only
/* the TSC of each VP, and the page by which a guest makes reference time of it */

/*
 * A page can be right for one TSC only: where those of the VPs differ it says so (sequence 0), and
 * the guest asks for TIME_REF_COUNT instead.
 */
static void tsc_page_update(struct fhv_pt *p)
{
	struct ms_hyperv_tsc_page *page;
	struct fhv_vp *v, *first = list_first_entry_or_null(&p->vps, struct fhv_vp, l);
	bool same = true;

	list_for_each_entry(v, &p->vps, l)
		same &= S(v)->tsc == S(first)->tsc;
	if (first && same && S(first)->tsc != p->clock.tsc)
		clock_set(p, S(first)->tsc, ref_time(p));
	if (!p->svm->tsc_page.on)
		return;
	page = page_address(p->svm->tsc_page.pg);
	WRITE_ONCE(page->tsc_sequence, 0);
	smp_wmb();
	page->tsc_scale = ref_scale();
	page->tsc_offset = p->clock.ref;
	smp_wmb();
	if (!same)
		return;
	if (!++p->svm->tsc_sequence)
		p->svm->tsc_sequence = 1;
	WRITE_ONCE(page->tsc_sequence, p->svm->tsc_sequence);
}

static void tsc_page_set(struct fhv_pt *p, u64 val)
{
	p->svm->reference_tsc = val;
	if (!ov_set(p, &p->svm->tsc_page, val & 1, val >> 12, false))
		tsc_page_update(p);
}

static u64 tsc_get(struct svm_vp *s)
{
	return clock_ticks(s->p) + s->tsc;
}

static void tsc_set(struct svm_vp *s, u64 val)
{
	s->tsc = val - clock_ticks(s->p);
	if (s->deadline)
		apic_timer_deadline(s, s->deadline);
	tsc_page_update(s->p);
}

/* TIME_FREEZE: no VP runs and no timer fires until it ends */
static void svm_freeze(struct fhv_pt *p, bool freeze)
{
	struct fhv_vp *v;
	int i;

	svm_stop_all(p);
	clock_freeze(p, freeze);
	list_for_each_entry(v, &p->vps, l) {
		timer_program(&S(v)->timer, 0);
		for (i = 0; i < HV_SYNIC_STIMER_COUNT; i++)
			timer_program(&S(v)->st[i].t, 0);
		if (!freeze)
			svm_wake(p, v);
	}
}

static void svm_set_reference_time(struct fhv_pt *p, u64 ref)
{
	struct fhv_vp *v;
	int i;

	clock_set(p, p->clock.tsc, ref);
	tsc_page_update(p);
	list_for_each_entry(v, &p->vps, l)
		for (i = 0; i < HV_SYNIC_STIMER_COUNT; i++)
			if (!(S(v)->st[i].config & STIMER_PERIODIC))
				stimer_start(&S(v)->st[i]);
}
