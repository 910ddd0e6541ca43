// SPDX-License-Identifier: GPL-2.0-only
/* the table of hypercalls and their common checks */

static const struct hypercall {
	u16 code;
	const char *name;
	u64 (*call)(HYPERCALL_PARAMETERS);
} hypercalls[] = {
#define N(x, f)                          \
	{                                \
		HVCALL_##x, #x, f##_call \
	}
	N(CREATE_PARTITION, partition),
	N(INITIALIZE_PARTITION, partition),
	N(FINALIZE_PARTITION, partition),
	N(DELETE_PARTITION, partition),
	N(GET_PARTITION_PROPERTY, partition),
	N(SET_PARTITION_PROPERTY, partition),
	N(GET_PARTITION_ID, partition),
	N(DEPOSIT_MEMORY, partition),
	N(WITHDRAW_MEMORY, partition),
	N(MAP_GPA_PAGES, memory),
	N(UNMAP_GPA_PAGES, memory),
	N(INSTALL_INTERCEPT, vp),
	N(CREATE_VP, vp),
	N(DELETE_VP, vp),
	N(GET_VP_REGISTERS, vp),
	N(SET_VP_REGISTERS, vp),
	N(TRANSLATE_VIRTUAL_ADDRESS, vp),
	N(CLEAR_VIRTUAL_INTERRUPT, interrupt),
	N(DELETE_PORT, port),
	N(DISCONNECT_PORT, port),
	N(MAP_STATS_PAGE, stats),
	N(UNMAP_STATS_PAGE, stats),
	N(MAP_STATS_PAGE2, stats),
	N(GET_SYSTEM_PROPERTY, partition),
	N(SET_SYSTEM_PROPERTY, partition),
	N(NOTIFY_PORT_RING_EMPTY, port),
	N(REGISTER_INTERCEPT_RESULT, vp),
	N(ASSERT_VIRTUAL_INTERRUPT, interrupt),
	N(CREATE_PORT, port),
	N(CONNECT_PORT, port),
	N(SIGNAL_EVENT_DIRECT, interrupt),
	N(POST_MESSAGE_DIRECT, interrupt),
	N(DISPATCH_VP, vp),
	N(GET_GPA_PAGES_ACCESS_STATES, memory),
	N(MAP_VP_STATE_PAGE, vp),
	N(UNMAP_VP_STATE_PAGE, vp),
	N(GET_VP_STATE, vp),
	N(SET_VP_STATE, vp),
	N(GET_VP_CPUID_VALUES, vp),
	N(GET_PARTITION_PROPERTY_EX, partition),
#undef N
};

static const struct hypercall *hypercall_of(u16 code)
{
	int i;

	for (i = 0; i < ARRAY_SIZE(hypercalls); i++)
		if (hypercalls[i].code == code)
			return &hypercalls[i];
	return NULL;
}

static bool hc_is_rep(u16 code)
{
	switch (code) {
	case HVCALL_DEPOSIT_MEMORY:
	case HVCALL_WITHDRAW_MEMORY:
	case HVCALL_MAP_GPA_PAGES:
	case HVCALL_UNMAP_GPA_PAGES:
	case HVCALL_GET_VP_REGISTERS:
	case HVCALL_SET_VP_REGISTERS:
	case HVCALL_GET_GPA_PAGES_ACCESS_STATES:
	case HVCALL_GET_VP_CPUID_VALUES: return true;
	}
	return false;
}

static u64 fakehv_hypercall(u64 control, u64 p1, u64 p2)
{
	u16 code = control & 0xffff;
	bool fast = control & HV_HYPERCALL_FAST_BIT;
	u32 var = FIELD_GET(HV_HYPERCALL_VARHEAD_MASK, control);
	u32 reps = FIELD_GET(HV_HYPERCALL_REP_COMP_MASK, control);
	u32 start = FIELD_GET(HV_HYPERCALL_REP_START_MASK, control);
	void *in = NULL, *out = NULL;
	unsigned long fl;
	u32 done = 0;
	u64 st = 0;
	const struct hypercall *c = hypercall_of(code);
	int i;

	if (!fast) {
		in = p1 ? phys_to_virt(p1) : NULL;
		out = p2 ? phys_to_virt(p2) : NULL;
	}

	if (svm && code == HVCALL_DISPATCH_VP)
		return svm_dispatch(in, out);

	spin_lock_irqsave(&fhv_lock, fl);
	for (i = 0; i < ARRAY_SIZE(inject); i++)
		if (inject[i].count && inject[i].code == code) {
			inject[i].count--;
			st = inject[i].status;
			break;
		}
	if (st)
		fhv_log("INJECTED code=0x%x %s status=0x%llx", code, c ? c->name : "?", st);
	else if ((control & HV_HYPERCALL_RSVD_MASK) ||
		 (hc_is_rep(code) ? (!reps || start >= reps) : !!reps))
		st = HV_STATUS_INVALID_HYPERCALL_INPUT;
	else
		st = c ? c->call(code, var, reps, start, fast, p1, p2, in, out, &done)
		       : HV_STATUS_INVALID_HYPERCALL_CODE;
	if (!svm || svm_trace || (st && st != HV_STATUS_INSUFFICIENT_MEMORY))
		fhv_log("HC code=0x%x %s pt=%lld reps=%u start=%u done=%u fast=%d status=0x%llx",
			code, c ? c->name : "?",
			fast ? (s64)p1
			: in ? (s64) * (u64 *)in
			     : 0,
			reps, start, done, fast, st);
	spin_unlock_irqrestore(&fhv_lock, fl);

	return st | (u64)done << HV_HYPERCALL_REP_COMP_OFFSET;
}
