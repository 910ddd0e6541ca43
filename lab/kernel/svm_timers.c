// SPDX-License-Identifier: GPL-2.0-only
/*
 * Timers of a VP in ticks of its partition, so that they stand when it is frozen. fhv_lock is held
 * by whoever changes one, and while one fires.
 */

/* a guest that asks for more is told less often: its host must get on, too */
#define TIMER_REST_NS 50000

static void timer_program(struct svm_timer *t, u64 rest)
{
	u64 now = clock_ticks(t->s->p), ns = rest;

	if (!t->on || t->s->p->clock.frozen) {
		/* if it fires just now it finds that there is nothing to do */
		hrtimer_try_to_cancel(&t->t);
		return;
	}
	if ((s64)(t->due - now) > 0)
		ns = max(rest, ticks_to_ns(t->due - now) + 1);
	/* a time beyond the end of the host's own does not come */
	ns = min_t(u64, ns, KTIME_MAX / 2);
	hrtimer_start(&t->t, ktime_add_ns(ktime_get(), ns), HRTIMER_MODE_ABS_PINNED_HARD);
}

static void timer_arm(struct svm_timer *t, u64 due, u64 period)
{
	t->on = true;
	t->due = due;
	t->period = period;
	timer_program(t, 0);
}

static void timer_off(struct svm_timer *t)
{
	t->on = false;
	timer_program(t, 0);
}

/* ticks until it fires; 0 where it does not */
static u64 timer_left(struct svm_timer *t)
{
	s64 left = t->due - clock_ticks(t->s->p);

	return t->on && left > 0 ? left : 0;
}

static enum hrtimer_restart timer_fired(struct hrtimer *h)
{
	struct svm_timer *t = container_of(h, struct svm_timer, t);
	unsigned long fl;
	u64 now;

	spin_lock_irqsave(&fhv_lock, fl);
	if (t->on && !t->s->dead && !t->s->p->clock.frozen) {
		now = clock_ticks(t->s->p);
		if ((s64)(t->due - now) > 0) {
			timer_program(t, 0);
		} else {
			if (t->period)
				t->due += (div64_u64(now - t->due, t->period) + 1) * t->period;
			else
				t->on = false;
			t->fire(t);
			if (t->on)
				timer_program(t, TIMER_REST_NS);
		}
	}
	spin_unlock_irqrestore(&fhv_lock, fl);
	return HRTIMER_NORESTART;
}

static void timer_init(struct svm_timer *t, struct svm_vp *s, void (*fire)(struct svm_timer *))
{
	t->s = s;
	t->fire = fire;
	hrtimer_setup(&t->t, timer_fired, CLOCK_MONOTONIC, HRTIMER_MODE_ABS_PINNED_HARD);
}
