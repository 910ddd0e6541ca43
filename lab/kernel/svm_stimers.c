// SPDX-License-Identifier: GPL-2.0-only
/* synthetic timers (TLFS, "Synthetic Timers"): in direct mode, or by message with a retry at EOM */

#define STIMER_ENABLE      BIT_ULL(0)
#define STIMER_PERIODIC    BIT_ULL(1)
#define STIMER_AUTO_ENABLE BIT_ULL(3)
#define STIMER_DIRECT      BIT_ULL(12)
#define STIMER_CONFIG_MASK 0xf1fffULL

static void stimer_post(struct svm_vp *s, int n)
{
	struct svm_stimer *st = &s->st[n];
	struct hv_message m = {};
	struct hv_timer_message_payload *t = (void *)m.u.payload;

	m.header.message_type = HVMSG_TIMER_EXPIRED;
	m.header.payload_size = sizeof(*t);
	t->timer_index = n;
	t->expiration_time = st->expired;
	t->delivery_time = ref_time(s->p);
	st->pending = svm_post_message(s->p, s->v, st->config >> 16 & 15, (u8 *)&m) != 0;
}

/* the guest may have made room */
static void stimers_retry(struct svm_vp *s)
{
	int i;

	for (i = 0; i < HV_SYNIC_STIMER_COUNT; i++)
		if (s->st[i].pending)
			stimer_post(s, i);
}

static void stimer_fire(struct svm_timer *t)
{
	struct svm_stimer *st = container_of(t, struct svm_stimer, t);
	struct svm_vp *s = t->s;
	u64 now = ref_time(s->p);

	if (!t->period && now < st->count) {
		/* ticks and reference time are rounded: never too early */
		timer_arm(t, clock_ticks(s->p) + ref_to_ticks(st->count - now) + 1, 0);
		return;
	}
	if (!t->period)
		st->config &= ~STIMER_ENABLE;
	if (st->config & STIMER_DIRECT) {
		apic_request(s->p, s->v, st->config >> 4 & 0xff, false);
	} else if (!st->pending) {
		st->expired = t->period ? now : st->count;
		stimer_post(s, st - s->st);
	}
}

static void stimer_start(struct svm_stimer *st)
{
	struct fhv_pt *p = st->t.s->p;
	u64 ticks = clock_ticks(p), now = ref_time(p), period;

	if (!(st->config & STIMER_DIRECT) && !(st->config >> 16 & 15))
		st->config &= ~STIMER_ENABLE;
	if (!st->count)
		st->config &= ~STIMER_ENABLE;
	if (!(st->config & STIMER_ENABLE)) {
		timer_off(&st->t);
	} else if (st->config & STIMER_PERIODIC) {
		period = max(ref_to_ticks(st->count), 1ULL);
		timer_arm(&st->t, ticks + period, period);
	} else {
		timer_arm(&st->t, st->count > now ? ticks + ref_to_ticks(st->count - now) : ticks,
			  0);
	}
}

static bool stimer_config_valid(struct fhv_pt *p, u64 val)
{
	return !(val & ~STIMER_CONFIG_MASK) &&
	       (!(val & STIMER_DIRECT) ||
		((val >> 4 & 0xff) > 15 && has_apic(p) && has_feature(p, SYN_DIRECT_STIMERS)));
}

static void stimer_config(struct svm_stimer *st, u64 val)
{
	st->config = val;
	stimer_start(st);
}

static void stimer_count(struct svm_stimer *st, u64 val)
{
	st->count = val;
	if (st->config & STIMER_AUTO_ENABLE)
		st->config |= STIMER_ENABLE;
	stimer_start(st);
}
