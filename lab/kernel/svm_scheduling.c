// SPDX-License-Identifier: GPL-2.0-only
/* stopping and waking a VP */

/* fhv_lock held: after this the VP is not in guest mode and cannot enter it */
static void svm_stop(struct svm_vp *s)
{
	if (!READ_ONCE(s->in_guest))
		return;
	s->n_kick++;
	__apic_send_IPI(s->cpu, RESCHEDULE_VECTOR);
	while (smp_load_acquire(&s->in_guest))
		cpu_relax();
}

static void svm_stop_all(struct fhv_pt *p)
{
	struct fhv_vp *v;

	list_for_each_entry(v, &p->vps, l) {
		svm_stop(S(v));
		S(v)->flush = true;
	}
}

/* fhv_lock held: something happened that a running or idle VP must notice */
static void svm_wake(struct fhv_pt *p, struct fhv_vp *v)
{
	struct svm_vp *s = S(v);

	if (READ_ONCE(s->in_guest)) {
		s->n_kick++;
		if (s->cpu != smp_processor_id())
			__apic_send_IPI(s->cpu, RESCHEDULE_VECTOR);
		return;
	}
	if (!v->blocked || v->explicit || v->intercept || v->dispatch)
		return;
	if (sched == HV_SCHEDULER_TYPE_ROOT) {
		vp_signal(p, v);
	} else if (!s->work_active) {
		v->blocked = false;
		s->work_active = true;
		queue_work(svm_wq, &s->work);
	}
}

/* hypervisor schedulers: a suspend bit was cleared */
static void svm_resume(struct fhv_pt *p, struct fhv_vp *v)
{
	struct svm_vp *s = S(v);

	if (v->explicit || v->intercept || v->dispatch || sched == HV_SCHEDULER_TYPE_ROOT)
		return;
	v->blocked = false;
	if (!s->work_active) {
		s->work_active = true;
		queue_work(svm_wq, &s->work);
	}
}
