// SPDX-License-Identifier: GPL-2.0-only
/* the timer of the local APIC: 200 MHz, as Hyper-V has it, or the TSC */

#define APIC_TIMER_HZ 200000000ULL

enum { TIMER_ONCE, TIMER_PERIODIC, TIMER_DEADLINE };

static u32 apic_timer_mode(struct svm_vp *s)
{
	return s->apic[A_LVTT] >> 17 & 3;
}

static u32 apic_timer_divisor(struct svm_vp *s)
{
	u32 d = s->apic[A_TDCR];

	return 1u << ((((d & 3) | (d >> 1 & 4)) + 1) & 7);
}

static u64 apic_to_ticks(struct svm_vp *s, u64 count)
{
	return mul_u64_u64_div_u64(count * apic_timer_divisor(s), tsc_hz(), APIC_TIMER_HZ);
}

static u32 apic_timer_count(struct svm_vp *s)
{
	u64 left = apic_timer_mode(s) == TIMER_DEADLINE ? 0 : timer_left(&s->timer);

	return div_u64(mul_u64_u64_div_u64(left, APIC_TIMER_HZ, tsc_hz()), apic_timer_divisor(s));
}

/* counts down from `count`, and then from the initial count where it is periodic */
static void apic_timer_start(struct svm_vp *s, u32 count)
{
	u64 period = apic_timer_mode(s) == TIMER_PERIODIC ? apic_to_ticks(s, s->apic[A_TMICT]) : 0;

	if (!count || apic_timer_mode(s) > TIMER_PERIODIC)
		timer_off(&s->timer);
	else
		timer_arm(&s->timer, clock_ticks(s->p) + apic_to_ticks(s, count), period);
}

static void apic_timer_deadline(struct svm_vp *s, u64 tsc)
{
	if (apic_timer_mode(s) != TIMER_DEADLINE)
		return;
	s->deadline = tsc;
	if (tsc)
		timer_arm(&s->timer, tsc - s->tsc, 0);
	else
		timer_off(&s->timer);
}

static void apic_timer_lvt(struct svm_vp *s, u32 val)
{
	u32 was = apic_timer_mode(s), count = apic_timer_count(s);

	s->apic[A_LVTT] = val & 0x700ff;
	if (was == apic_timer_mode(s))
		return;
	s->deadline = 0;
	apic_timer_start(s, was == TIMER_DEADLINE ? 0 : count);
}

static void apic_timer_divide(struct svm_vp *s, u32 val)
{
	u32 count = apic_timer_count(s);

	s->apic[A_TDCR] = val & 0xb;
	if (s->timer.on && apic_timer_mode(s) != TIMER_DEADLINE)
		apic_timer_start(s, count);
}

static void apic_timer_fire(struct svm_timer *t)
{
	struct svm_vp *s = t->s;
	u32 lvt = s->apic[A_LVTT];

	s->deadline = 0;
	if (!(lvt & BIT(16)) && (s->apic[A_SVR] & BIT(8)) && (lvt & 0xff) > 15)
		apic_request(s->p, s->v, lvt & 0xff, false);
}
