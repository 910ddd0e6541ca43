// SPDX-License-Identifier: GPL-2.0-only
/* what the hypervisor adds to a processor: the same registers as MSRs and for GET/SET_VP_REGISTERS
 */

#define REG_VP_RUNTIME    0x00090000
#define REG_HYPERCALL     0x00090001
#define REG_GUEST_OS_ID   0x00090002
#define REG_VP_INDEX      0x00090003
#define REG_ASSIST_PAGE   0x00090013
#define REG_REFERENCE_TSC 0x00090017
#define REG_SINT0         0x000a0000
#define REG_SCONTROL      0x000a0010
#define REG_SVERSION      0x000a0011
#define REG_SIEFP         0x000a0012
#define REG_SIMP          0x000a0013
#define REG_EOM           0x000a0014
#define REG_STIMER0       0x000b0000

/* the register that an MSR is, 0: none */
static u32 synthetic_register(u32 msr)
{
	switch (msr) {
	case HV_X64_MSR_VP_RUNTIME: return REG_VP_RUNTIME;
	case HV_X64_MSR_HYPERCALL: return REG_HYPERCALL;
	case HV_X64_MSR_GUEST_OS_ID: return REG_GUEST_OS_ID;
	case HV_X64_MSR_VP_INDEX: return REG_VP_INDEX;
	case HV_X64_MSR_TIME_REF_COUNT: return REG_TIME_REF_COUNT;
	case HV_X64_MSR_VP_ASSIST_PAGE: return REG_ASSIST_PAGE;
	case HV_X64_MSR_REFERENCE_TSC: return REG_REFERENCE_TSC;
	case HV_X64_MSR_SINT0 ... HV_X64_MSR_SINT15: return REG_SINT0 + msr - HV_X64_MSR_SINT0;
	case HV_X64_MSR_SCONTROL: return REG_SCONTROL;
	case HV_X64_MSR_SVERSION: return REG_SVERSION;
	case HV_X64_MSR_SIEFP: return REG_SIEFP;
	case HV_X64_MSR_SIMP: return REG_SIMP;
	case HV_X64_MSR_EOM: return REG_EOM;
	case HV_X64_MSR_STIMER0_CONFIG ... HV_X64_MSR_STIMER3_COUNT:
		return REG_STIMER0 + msr - HV_X64_MSR_STIMER0_CONFIG;
	}
	return 0;
}

/* whether the guest may use an MSR of the hypervisor's at all */
static bool synthetic_msr_allowed(struct fhv_pt *p, u32 msr)
{
	switch (msr) {
	case HV_X64_MSR_GUEST_OS_ID:
	case HV_X64_MSR_HYPERCALL: return has_feature(p, SYN_HYPERCALL);
	case HV_X64_MSR_VP_INDEX: return has_feature(p, SYN_VP_INDEX);
	case HV_X64_MSR_VP_RUNTIME: return has_feature(p, SYN_VP_RUNTIME);
	case HV_X64_MSR_TIME_REF_COUNT: return has_feature(p, SYN_REFERENCE_COUNTER);
	case HV_X64_MSR_REFERENCE_TSC: return has_feature(p, SYN_REFERENCE_TSC);
	case HV_X64_MSR_TSC_FREQUENCY:
	case HV_X64_MSR_APIC_FREQUENCY: return has_feature(p, SYN_FREQUENCY);
	case HV_X64_MSR_EOI:
	case HV_X64_MSR_ICR:
	case HV_X64_MSR_TPR:
	case HV_X64_MSR_VP_ASSIST_PAGE: return has_feature(p, SYN_INTR_CTRL);
	case HV_X64_MSR_SCONTROL ... HV_X64_MSR_SINT15: return has_feature(p, SYN_SYNIC);
	case HV_X64_MSR_STIMER0_CONFIG ... HV_X64_MSR_STIMER3_COUNT:
		return has_feature(p, SYN_STIMERS);
	case HV_X64_MSR_GUEST_IDLE: return has_feature(p, SYN_GUEST_IDLE);
	}
	return msr >> 8 != 0x400000;
}

/* false: no such register */
static bool synthetic_get(struct fhv_pt *p, struct fhv_vp *v, u32 reg, u64 *val)
{
	struct svm_vp *s = S(v);
	struct svm_stimer *st;

	switch (reg) {
	case REG_VP_RUNTIME: *val = mul_u64_u64_div_u64(s->ran, REF_HZ, tsc_hz()); break;
	case REG_HYPERCALL: *val = p->svm->hypercall; break;
	case REG_GUEST_OS_ID: *val = p->svm->os_id; break;
	case REG_VP_INDEX: *val = v->idx; break;
	case REG_TIME_REF_COUNT: *val = ref_time(p); break;
	case REG_ASSIST_PAGE: *val = s->assist; break;
	case REG_REFERENCE_TSC: *val = p->svm->reference_tsc; break;
	case REG_SINT0 ... REG_SINT0 + 15: *val = s->sint[reg - REG_SINT0]; break;
	case REG_SCONTROL: *val = s->scontrol; break;
	case REG_SVERSION: *val = 1; break;
	case REG_SIEFP: *val = s->siefp; break;
	case REG_SIMP: *val = s->simp; break;
	case REG_EOM: *val = 0; break;
	case REG_STIMER0 ... REG_STIMER0 + 2 * HV_SYNIC_STIMER_COUNT - 1:
		st = &s->st[(reg - REG_STIMER0) / 2];
		*val = reg & 1 ? st->count : st->config;
		break;
	default: return false;
	}
	return true;
}

/* what may be written, by whomever */
static bool synthetic_valid(struct fhv_pt *p, u32 reg, u64 val)
{
	switch (reg) {
	case REG_VP_INDEX:
	case REG_VP_RUNTIME:
	case REG_TIME_REF_COUNT: return false;
	case REG_SINT0 ... REG_SINT0 + 15: /* masked, polled, or a vector that there is */
		return (val & (BIT(16) | BIT(18))) || (val & 0xff) > 15;
	case REG_STIMER0 ... REG_STIMER0 + 2 * HV_SYNIC_STIMER_COUNT - 1:
		return (reg & 1) || stimer_config_valid(p, val);
	}
	return true;
}

/* false: no such register */
static bool synthetic_set(struct fhv_pt *p, struct fhv_vp *v, u32 reg, u64 val)
{
	struct svm_vp *s = S(v);
	struct svm_stimer *st;

	switch (reg) {
	case REG_HYPERCALL: hc_page(p, val); break;
	case REG_GUEST_OS_ID:
		p->svm->os_id = val;
		if (!val)
			hc_page(p, 0);
		break;
	case REG_ASSIST_PAGE: s->assist = val; break;
	case REG_REFERENCE_TSC: tsc_page_set(p, val); break;
	case REG_SINT0 ... REG_SINT0 + 15: s->sint[reg - REG_SINT0] = val; break;
	case REG_SCONTROL:
		s->scontrol = val;
		stimers_retry(s);
		break;
	case REG_SVERSION: break;
	case REG_SIEFP: svm_msr_simp(p, s, val, false); break;
	case REG_SIMP:
		svm_msr_simp(p, s, val, true);
		stimers_retry(s);
		break;
	case REG_EOM:
		s->chk = true;
		stimers_retry(s);
		break;
	case REG_STIMER0 ... REG_STIMER0 + 2 * HV_SYNIC_STIMER_COUNT - 1:
		st = &s->st[(reg - REG_STIMER0) / 2];
		if (reg & 1)
			stimer_count(st, val);
		else
			stimer_config(st, val);
		break;
	default: return false;
	}
	return true;
}
