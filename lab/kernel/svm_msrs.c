// SPDX-License-Identifier: GPL-2.0-only
/* RDMSR and WRMSR */

static bool svm_rdmsr(struct fhv_pt *p, struct fhv_vp *v, u32 msr, u64 *val)
{
	struct svm_vp *s = S(v);
	struct vmcb_save_area *a = SAVE(s);

	*val = 0;
	switch (msr) {
	case MSR_EFER: *val = a->efer & ~EFER_SVME; break;
	case MSR_STAR: *val = a->star; break;
	case MSR_LSTAR: *val = a->lstar; break;
	case MSR_CSTAR: *val = a->cstar; break;
	case MSR_SYSCALL_MASK: *val = a->sfmask; break;
	case MSR_FS_BASE: *val = a->fs.base; break;
	case MSR_GS_BASE: *val = a->gs.base; break;
	case MSR_KERNEL_GS_BASE: *val = a->kernel_gs_base; break;
	case MSR_IA32_SYSENTER_CS: *val = a->sysenter_cs; break;
	case MSR_IA32_SYSENTER_ESP: *val = a->sysenter_esp; break;
	case MSR_IA32_SYSENTER_EIP: *val = a->sysenter_eip; break;
	case MSR_IA32_CR_PAT: *val = a->g_pat; break;
	case MSR_IA32_TSC: *val = tsc_get(s); break;
	case MSR_TSC_AUX: *val = s->tsc_aux; break;
	case MSR_IA32_MISC_ENABLE: *val = s->misc_enable; break;
	case MSR_MTRRcap: break;
	case MSR_MTRRdefType: *val = s->mtrr_def; break;
	case MSR_IA32_APICBASE:
		if (!has_apic(p))
			return false;
		*val = s->apic_base;
		break;
	case 0x800 ... 0x83f:
		if (!has_apic(p) || !x2apic(s))
			return false;
		*val = la_read(s, msr - 0x800);
		if (msr == 0x802)
			*val = v->apic_id;
		if (msr == 0x830)
			*val |= (u64)s->apic[A_ICRH] << 32;
		break;
	case MSR_IA32_TSC_DEADLINE:
		if (!has_apic(p))
			return false;
		*val = s->deadline;
		break;
	case HV_X64_MSR_TPR: *val = s->apic[A_TPR]; break;
	case HV_X64_MSR_ICR: *val = s->apic[A_ICRL] | (u64)s->apic[A_ICRH] << 32; break;
	case HV_X64_MSR_TSC_FREQUENCY: *val = tsc_hz(); break;
	case HV_X64_MSR_APIC_FREQUENCY: *val = APIC_TIMER_HZ; break;
	case HV_X64_MSR_GUEST_IDLE: s->halted = s->idle = true; break;
	default: return synthetic_get(p, v, synthetic_register(msr), val);
	}
	return true;
}

static bool svm_wrmsr(struct fhv_pt *p, struct fhv_vp *v, u32 msr, u64 val)
{
	struct svm_vp *s = S(v);
	struct vmcb_save_area *a = SAVE(s);

	switch (msr) {
	case MSR_EFER: a->efer = (val & ~EFER_LMA) | (a->efer & EFER_LMA) | EFER_SVME; break;
	case MSR_STAR: a->star = val; break;
	case MSR_LSTAR: a->lstar = val; break;
	case MSR_CSTAR: a->cstar = val; break;
	case MSR_SYSCALL_MASK: a->sfmask = val; break;
	case MSR_FS_BASE: a->fs.base = val; break;
	case MSR_GS_BASE: a->gs.base = val; break;
	case MSR_KERNEL_GS_BASE: a->kernel_gs_base = val; break;
	case MSR_IA32_SYSENTER_CS: a->sysenter_cs = val; break;
	case MSR_IA32_SYSENTER_ESP: a->sysenter_esp = val; break;
	case MSR_IA32_SYSENTER_EIP: a->sysenter_eip = val; break;
	case MSR_IA32_CR_PAT: a->g_pat = val; break;
	case MSR_IA32_TSC: tsc_set(s, val); break;
	case MSR_TSC_AUX: s->tsc_aux = val; break;
	case MSR_IA32_MISC_ENABLE: s->misc_enable = val; break;
	case MSR_MTRRdefType: s->mtrr_def = val; break;
	case MSR_IA32_APICBASE:
		if (!has_apic(p) || (val & ~0xffffffd00ULL) ||
		    ((val & 0x400) && !(p->flags & HV_PARTITION_CREATION_FLAG_X2APIC_CAPABLE)))
			return false;
		s->apic_base = (val & ~0x100ULL) | (s->apic_base & 0x100);
		if (x2apic(s))
			s->apic[A_LDR] = (v->apic_id >> 4) << 16 | 1 << (v->apic_id & 15);
		break;
	case 0x800 ... 0x83f:
		if (!has_apic(p) || !x2apic(s))
			return false;
		if (msr == 0x830) {
			s->apic[A_ICRL] = val;
			s->apic[A_ICRH] = val >> 32;
			apic_icr(p, v, val, val >> 32);
		} else if (msr == 0x83f) {
			apic_deliver(p, v, 0, val, false); /* self IPI */
		} else {
			la_write(p, v, msr - 0x800, val);
		}
		break;
	case MSR_IA32_TSC_DEADLINE:
		if (!has_apic(p))
			return false;
		apic_timer_deadline(s, val);
		break;
	case HV_X64_MSR_EOI: la_eoi(p, v); break;
	case HV_X64_MSR_ICR: apic_icr(p, v, val, val >> (x2apic(s) ? 32 : 56)); break;
	case HV_X64_MSR_TPR: s->apic[A_TPR] = val & 0xff; break;
	case HV_X64_MSR_HYPERCALL:
		if (p->svm->os_id && !(p->svm->hypercall & 2)) /* else as if it had not been */
			hc_page(p, val);
		break;
	default:
		return synthetic_valid(p, synthetic_register(msr), val) &&
		       synthetic_set(p, v, synthetic_register(msr), val);
	}
	return true;
}

static void svm_x_msr(struct fhv_pt *p, struct fhv_vp *v)
{
	struct svm_vp *s = S(v);
	u32 msr = s->gpr[1];
	bool wr = CTRL(s)->exit_info_1 & 1;
	struct x64_msr_msg m = {};
	struct kv *k;
	u64 val;

	if (icpt_find(p, 0xc, msr, wr ? 2 : 1))
		goto icpt;
	if (!synthetic_msr_allowed(p, msr)) {
		/* as if there were no such MSR */
	} else if (wr) {
		if (svm_wrmsr(p, v, msr, (u32)SAVE(s)->rax | s->gpr[2] << 32)) {
			svm_skip(s, 2);
			return;
		}
	} else if (svm_rdmsr(p, v, msr, &val)) {
		SAVE(s)->rax = (u32)val;
		s->gpr[2] = val >> 32;
		svm_skip(s, 2);
		return;
	}
	if (icpt_find(p, 1, ~0ULL, wr ? 2 : 1))
		goto icpt;
	k = kv_find(&p->props, HV_PARTITION_PROPERTY_UNIMPLEMENTED_MSR_ACTION);
	if (k && k->lo == 1) { /* ignore write, read zero */
		if (!wr)
			SAVE(s)->rax = s->gpr[2] = 0;
		svm_skip(s, 2);
		return;
	}
	fhv_log("MSR_GP pt=%llu vp=%u msr=0x%x write=%d", p->id, v->idx, msr, wr);
	svm_inject(s, 13, true, 0);
	return;
icpt:
	msg_header(v, &m.h, 2, wr);
	m.msr = msr;
	m.rdx = s->gpr[2];
	m.rax = SAVE(s)->rax;
	svm_deliver(p, v, HVMSG_X64_MSR_INTERCEPT, &m, sizeof(m));
}
