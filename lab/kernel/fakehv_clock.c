// SPDX-License-Identifier: GPL-2.0-only
/*
 * The clock of a partition: its reference time, in units of 100 ns from its creation on, and what
 * its TSCs are made of. It counts this machine's TSC and stands while TIME_FREEZE is set.
 */

#define REF_HZ 10000000ULL

static u64 tsc_hz(void)
{
	return tsc_khz * 1000ULL;
}

/* units of reference time in one tick, as a fraction of 2^64: what a guest is told too */
static u64 ref_scale(void)
{
	static u64 scale;

	if (!scale)
		scale = mul_u64_u64_div_u64(REF_HZ, 1ULL << 63, tsc_hz()) * 2;
	return scale;
}

static u64 ref_to_ticks(u64 ref)
{
	return mul_u64_u64_div_u64(ref, tsc_hz(), REF_HZ);
}

static u64 ticks_to_ns(u64 ticks)
{
	return mul_u64_u64_div_u64(ticks, 1000000, tsc_khz);
}

/* ticks of the partition: the machine's TSC without the time that it was frozen */
static u64 clock_ticks(const struct fhv_pt *p)
{
	return (p->clock.frozen ? p->clock.frozen_at : rdtsc()) - p->clock.stopped;
}

static u64 ref_time(const struct fhv_pt *p)
{
	return mul_u64_u64_shr(clock_ticks(p) + p->clock.tsc, ref_scale(), 64) + p->clock.ref;
}

/* the reference time becomes this, at a TSC that is `tsc` ahead of the ticks */
static void clock_set(struct fhv_pt *p, u64 tsc, u64 ref)
{
	p->clock.tsc = tsc;
	p->clock.ref = ref - mul_u64_u64_shr(clock_ticks(p) + tsc, ref_scale(), 64);
}

static void clock_freeze(struct fhv_pt *p, bool freeze)
{
	u64 now = rdtsc();

	if (freeze == p->clock.frozen)
		return;
	if (freeze)
		p->clock.frozen_at = now;
	else
		p->clock.stopped += now - p->clock.frozen_at;
	p->clock.frozen = freeze;
}
