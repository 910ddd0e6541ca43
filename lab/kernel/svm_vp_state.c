// SPDX-License-Identifier: GPL-2.0-only
/* GET/SET_VP_STATE: what a VP that executes code has of it */

/* hv_local_interrupt_controller_state: the registers in its order */
static const u8 lapic_map[] = { 0x02, 0x03, 0x0d, 0x0e, 0x0f, 0x10, 0x11, 0x12, 0x13, 0x14, 0x15,
				0x16, 0x17, 0x18, 0x19, 0x1a, 0x1b, 0x1c, 0x1d, 0x1e, 0x1f, 0x20,
				0x21, 0x22, 0x23, 0x24, 0x25, 0x26, 0x27, 0x28, 0x31, 0x30, 0x32,
				0x33, 0x34, 0x35, 0x36, 0x37, 0x2f, 0x28, 0x38, 0x39, 0x3e };

static void lapic_get(struct svm_vp *s, u32 *buf)
{
	int i;

	memset(buf, 0, PAGE_SIZE);
	for (i = 0; i < ARRAY_SIZE(lapic_map); i++)
		buf[i] = la_read(s, lapic_map[i]);
}

static void lapic_set(struct svm_vp *s, const u32 *buf)
{
	int i;

	for (i = 0; i < ARRAY_SIZE(lapic_map); i++)
		if (lapic_map[i] != A_ID && lapic_map[i] != A_VER)
			s->apic[lapic_map[i]] = buf[i];
	apic_timer_start(s, s->apic[A_TMCCT]);
}

/*
 * hv_synthetic_timers_state. What `adjustment` is to a hypervisor is nowhere written: here the
 * reference time at which a periodic timer expires next.
 */
static void stimers_get(struct svm_vp *s, struct hv_synthetic_timers_state *state)
{
	int i;

	memset(state, 0, sizeof(*state));
	for (i = 0; i < HV_SYNIC_STIMER_COUNT; i++) {
		struct svm_stimer *st = &s->st[i];
		struct hv_stimer_state *t = &state->timers[i];

		t->flags.undelivered_msg_pending = st->pending;
		t->config = st->config;
		t->count = st->count;
		t->undelivered_exp_time = st->pending ? st->expired : 0;
		if (st->t.on && st->t.period)
			t->adjustment = ref_time(s->p) +
					mul_u64_u64_shr(timer_left(&st->t), ref_scale(), 64);
	}
}

static bool stimers_set(struct svm_vp *s, const struct hv_synthetic_timers_state *state)
{
	int i;

	for (i = 0; i < HV_SYNIC_STIMER_COUNT; i++)
		if (!stimer_config_valid(s->p, state->timers[i].config))
			return false;
	for (i = 0; i < HV_SYNIC_STIMER_COUNT; i++) {
		const struct hv_stimer_state *t = &state->timers[i];
		struct svm_stimer *st = &s->st[i];
		u64 now = ref_time(s->p);

		st->config = t->config;
		st->count = t->count;
		st->pending = t->flags.undelivered_msg_pending;
		st->expired = t->undelivered_exp_time;
		stimer_start(st);
		if (st->t.on && st->t.period && t->adjustment)
			timer_arm(&st->t,
				  clock_ticks(s->p) + (t->adjustment > now
							       ? ref_to_ticks(t->adjustment - now)
							       : 0),
				  st->t.period);
	}
	stimers_retry(s);
	return true;
}

/* 1: done; 0: not a state of this VP's own; -EINVAL: no such state can be */
static int svm_state(struct fhv_vp *v, u32 type, void *buf, bool set)
{
	struct svm_vp *s = S(v);
	struct svm_ov *page = NULL;

	svm_stop(s);
	switch (type) {
	case HV_GET_SET_VP_STATE_LAPIC_STATE:
		if (set)
			lapic_set(s, buf);
		else
			lapic_get(s, buf);
		break;
	case HV_GET_SET_VP_STATE_XSAVE:
		if (!set)
			xstate_get(s, buf);
		else if (!xstate_set(s, buf))
			return -EINVAL;
		break;
	case HV_GET_SET_VP_STATE_SYNTHETIC_TIMERS:
		if (!set)
			stimers_get(s, buf);
		else if (!stimers_set(s, buf))
			return -EINVAL;
		break;
	case HV_GET_SET_VP_STATE_SIM_PAGE: page = &s->simp_ov; break;
	case HV_GET_SET_VP_STATE_SIEF_PAGE: page = &s->siefp_ov; break;
	default: return 0;
	}
	if (!page)
		goto done;
	if (!page->pg)
		return 0; /* kept until there is one */
	if (set)
		memcpy(page_address(page->pg), buf, PAGE_SIZE);
	else
		memcpy(buf, page_address(page->pg), PAGE_SIZE);
done:
	if (set)
		svm_wake(s->p, v);
	return 1;
}
