// SPDX-License-Identifier: GPL-2.0-only
/* the registers of the local APIC, by whichever way they are reached */

static u32 la_read(struct svm_vp *s, u32 idx)
{
	if (idx == A_PPR)
		return apic_ppr(s);
	if (idx == A_TMCCT)
		return apic_timer_count(s);
	return s->apic[idx & 63];
}

static void la_write(struct fhv_pt *p, struct fhv_vp *v, u32 idx, u32 val)
{
	struct svm_vp *s = S(v);

	switch (idx) {
	case A_EOI: la_eoi(p, v); break;
	case A_TPR: s->apic[A_TPR] = val & 0xff; break;
	case A_SVR: s->apic[A_SVR] = val & 0x1ff; break;
	case A_LDR: s->apic[A_LDR] = val & 0xff000000; break;
	case A_DFR: s->apic[A_DFR] = val | 0x0fffffff; break;
	case A_ESR: s->apic[A_ESR] = 0; break;
	case A_ICRL:
		s->apic[A_ICRL] = val & ~BIT(12);
		apic_icr(p, v, val, s->apic[A_ICRH] >> 24);
		break;
	case A_ICRH: s->apic[A_ICRH] = val; break;
	case A_LVTT: apic_timer_lvt(s, val); break;
	case A_TDCR: apic_timer_divide(s, val); break;
	case A_TMICT:
		if (apic_timer_mode(s) == TIMER_DEADLINE)
			break;
		s->apic[A_TMICT] = val;
		apic_timer_start(s, val);
		break;
	case 0x2f:
	case 0x33 ... 0x37: s->apic[idx] = val; break;
	}
}
