// SPDX-License-Identifier: GPL-2.0-only
/* VPs of which user space plays the guest, and what makes any VP go on */

static void vp_signal(struct fhv_pt *p, struct fhv_vp *v)
{
	struct hv_vp_signal_pair_scheduler_message *s;
	struct hv_message m = {};

	v->signals++;
	v->blocked = false;
	m.header.message_type = HVMSG_SCHEDULER_VP_SIGNAL_PAIR;
	m.header.payload_size = sizeof(*s);
	s = (void *)m.u.payload;
	s->vp_count = 1;
	s->partition_ids[0] = p->id;
	s->vp_indexes[0] = v->idx;
	sim_post(smp_processor_id(), &m);
}

static bool vp_take_msg(struct fhv_pt *p, struct fhv_vp *v)
{
	struct qmsg *q;

	if (p->clock.frozen || list_empty(&v->msgs) ||
	    !v->state[HV_VP_STATE_PAGE_INTERCEPT_MESSAGE])
		return false;
	q = list_first_entry(&v->msgs, struct qmsg, l);
	list_del(&q->l);
	memcpy(page_address(v->state[HV_VP_STATE_PAGE_INTERCEPT_MESSAGE]), &q->m, sizeof(q->m));
	v->intercept = 1;
	fhv_log("INTERCEPT pt=%llu vp=%u type=0x%x", p->id, v->idx, q->m.header.message_type);
	kfree(q);
	return true;
}

static void vp_try(struct fhv_pt *p, struct fhv_vp *v)
{
	struct hv_message m = {};

	if (v->explicit || v->intercept || v->dispatch)
		return;
	if (v->svm) {
		svm_resume(p, v);
		svm_wake(p, v);
		return;
	}
	if (sched == HV_SCHEDULER_TYPE_ROOT) {
		if (v->blocked && !list_empty(&v->msgs))
			vp_signal(p, v);
		return;
	}
	if (!vp_take_msg(p, v))
		return;
	m.header.message_type = HVMSG_OPAQUE_INTERCEPT;
	m.header.payload_size = sizeof(struct hv_opaque_intercept_message);
	m.header.sender = p->id;
	((struct hv_opaque_intercept_message *)m.u.payload)->vp_index = v->idx;
	sim_post(smp_processor_id(), &m);
}
