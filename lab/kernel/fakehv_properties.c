// SPDX-License-Identifier: GPL-2.0-only
/* partition properties */

static u64 prop_default(u32 code, u64 *val)
{
	switch (code) {
	case HV_PARTITION_PROPERTY_XSAVE_STATES: *val = 0x7; return 0;
	case HV_PARTITION_PROPERTY_MAX_XSAVE_DATA_SIZE: *val = 832; return 0;
	case HV_PARTITION_PROPERTY_PROCESSOR_CLOCK_FREQUENCY: *val = tsc_hz(); return 0;
	}
	if (code >= 0x00010000 && code < 0x000a0000) {
		*val = 0;
		return 0;
	}
	return HV_STATUS_UNKNOWN_PROPERTY;
}

/* what a partition is made with: see native/sim/properties.cc */
static bool prop_of_creation(u32 code)
{
	switch (code) {
	case HV_PARTITION_PROPERTY_PRIVILEGE_FLAGS:
	case HV_PARTITION_PROPERTY_SYNTHETIC_PROC_FEATURES:
	case 0x0005002a ... 0x0005002e: /* lines of the GIC */
	case 0x00060000 ... 0x0006000b: /* the processor */ return true;
	}
	return false;
}

#define PROP_TIME_FREEZE    0x00030003
#define PROP_REFERENCE_TIME 0x00030005

static u64 prop_set(struct fhv_pt *p, u32 code, u64 value)
{
	struct fhv_vp *v;
	u64 val, st = prop_default(code, &val);

	if (st)
		return st;
	if (p->initialized && prop_of_creation(code))
		return HV_STATUS_INVALID_PARTITION_STATE;
	if (code == PROP_REFERENCE_TIME) {
		if (!p->clock.frozen)
			return HV_STATUS_INVALID_PARTITION_STATE;
		if (p->svm)
			svm_set_reference_time(p, value);
		else
			clock_set(p, 0, value);
		return 0;
	}
	if (code == PROP_TIME_FREEZE) {
		if (p->svm)
			svm_freeze(p, value);
		else
			clock_freeze(p, value);
		if (!value)
			list_for_each_entry(v, &p->vps, l)
				vp_try(p, v);
	}
	return kv_set(&p->props, code, value, 0) ? HV_STATUS_INSUFFICIENT_MEMORY : 0;
}
