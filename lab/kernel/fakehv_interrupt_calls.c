// SPDX-License-Identifier: GPL-2.0-only
/* hypercalls that interrupt, message and signal a guest */

HYPERCALL(interrupt_call)
{
	struct fhv_pt *p;
	struct fhv_vp *v;

	switch (code) {
	case HVCALL_ASSERT_VIRTUAL_INTERRUPT: {
		struct hv_input_assert_virtual_interrupt *a = in;
		u64 st = 0;

		NEED_PT(a->partition_id);
		if (strict && a->control.interrupt_type == HV_X64_INTERRUPT_TYPE_FIXED &&
		    a->vector < 16)
			st = HV_STATUS_INVALID_PARAMETER;
		v = a->control.logical_dest_mode ? NULL : vp_of_apic(p, a->dest_addr);
		if (!svm || svm_trace)
			fhv_log("ASSERT pt=%llu vector=0x%x dest=0x%llx type=%u level=%u "
				"logical=%u vtl=%u rsvd=0x%x vp=%d status=0x%llx",
				p->id, a->vector, a->dest_addr, a->control.interrupt_type,
				a->control.level_triggered, a->control.logical_dest_mode,
				a->target_vtl, a->control.rsvd, v ? (int)v->idx : -1, st);
		if (!st && p->svm)
			svm_assert(p, a->control.interrupt_type, a->vector, a->dest_addr,
				   a->control.level_triggered, a->control.logical_dest_mode);
		return st;
	}

	case HVCALL_CLEAR_VIRTUAL_INTERRUPT: {
		u64 id = fast ? in1 : *(u64 *)in;

		NEED_PT(id);
		fhv_log("CLEAR pt=%llu", p->id);
		return 0;
	}

	case HVCALL_SIGNAL_EVENT_DIRECT: {
		struct {
			u64 pt;
			u32 vp;
			u8 vtl, sint;
			u16 flag;
		} *a = in;

		NEED_PT(a->pt);
		NEED_VP(a->vp);
		if (!svm || svm_trace)
			fhv_log("SIGNAL_EVENT_DIRECT pt=%llu vp=%u vtl=%u sint=%u flag=%u", p->id,
				a->vp, a->vtl, a->sint, a->flag);
		if (v->svm) {
			bool newly;
			u64 st = svm_signal_event(p, v, a->sint, a->flag, &newly);

			if (out)
				*(u64 *)out = newly;
			return st;
		}
		if (out)
			*(u64 *)out = 1;
		return 0;
	}

	case HVCALL_POST_MESSAGE_DIRECT: {
		struct {
			u64 pt;
			u32 vp;
			u8 vtl, p0[3];
			u8 sint, p1[3];
			u8 msg[256];
		} *a = in;

		NEED_PT(a->pt);
		NEED_VP(a->vp);
		if (!svm || svm_trace)
			fhv_log("POST_MESSAGE_DIRECT pt=%llu vp=%u vtl=%u sint=%u head=%*phN",
				p->id, a->vp, a->vtl, a->sint, 48, a->msg);
		return v->svm ? svm_post_message(p, v, a->sint, a->msg) : 0;
	}
	}
	return HV_STATUS_INVALID_HYPERCALL_CODE;
}
