// SPDX-License-Identifier: GPL-2.0-only
/* GET/SET_VP_REGISTERS: what is not the guest's own state */

/* the kernel has no names for them */
#define REGISTER_INITIAL_APIC_ID 0x0008000c
#define REGISTER_APIC_ID         0x00084802
#define REG_TIME_REF_COUNT       0x00090004

static u64 reg_get(struct fhv_pt *p, struct fhv_vp *v, u32 name, u64 *hi)
{
	struct kv *k;

	*hi = 0;
	switch (name) {
	case HV_REGISTER_EXPLICIT_SUSPEND: return v->explicit;
	case HV_REGISTER_INTERCEPT_SUSPEND: return v->intercept;
	case HV_REGISTER_DISPATCH_SUSPEND: return v->dispatch;
	case HV_REGISTER_VP_ROOT_SIGNAL_COUNT: return v->signals;
	case REG_TIME_REF_COUNT: return ref_time(p);
	case REGISTER_INITIAL_APIC_ID:
	case REGISTER_APIC_ID: return v->apic_id;
	}
	if (v->svm) {
		u64 lo;

		if (svm_reg_get(p, v, name, &lo, hi))
			return lo;
	}
	k = kv_find(&v->regs, name);
	if (!k)
		return 0;
	*hi = k->hi;
	return k->lo;
}

#define REG_NOTIFICATIONS 0x00010006

/*
 * HvRegisterDeliverabilityNotifications: a bit for each SINT from 48 on, and bit 1 for an
 * interrupt. NMIs (0) and an interrupt's priority (2 to 5) are for a VMM that has the local APICs
 * itself.
 */
static bool notifications_valid(struct fhv_pt *p, u64 lo)
{
	bool apics = p->flags & HV_PARTITION_CREATION_FLAG_LAPIC_ENABLED;

	return !(lo & ~(0xffffULL << 48 | (apics ? 0x2 : 0x3f)));
}

static u64 reg_set(struct fhv_pt *p, struct fhv_vp *v, u32 name, u64 lo, u64 hi)
{
	u64 was = v->explicit;

	if (name == REG_NOTIFICATIONS && !notifications_valid(p, lo))
		return HV_STATUS_INVALID_PARAMETER;
	if (v->svm && !svm_reg_valid(p, name, lo))
		return HV_STATUS_INVALID_REGISTER_VALUE;
	switch (name) {
	case HV_REGISTER_EXPLICIT_SUSPEND:
		if (v->svm)
			svm_stop(v->svm);
		v->explicit = lo & 1;
		if (was && !v->explicit && sched == HV_SCHEDULER_TYPE_ROOT)
			vp_signal(p, v);
		break;
	case HV_REGISTER_INTERCEPT_SUSPEND: v->intercept = lo & 1; break;
	case HV_REGISTER_DISPATCH_SUSPEND: v->dispatch = lo & 1; break;
	case REGISTER_INITIAL_APIC_ID:
	case REGISTER_APIC_ID:
		v->apic_id = lo;
		if (v->svm)
			svm_apic_id(v);
		return 0;
	default:
		if (v->svm && svm_reg_set(p, v, name, lo, hi))
			return 0;
		if (name == HV_REGISTER_SVERSION || name == HV_REGISTER_EOM)
			return 0; /* without guest code nothing looks at them */
		if (kv_set(&v->regs, name, lo, hi))
			return HV_STATUS_INSUFFICIENT_MEMORY;
		return 0;
	}
	vp_try(p, v);
	return 0;
}
