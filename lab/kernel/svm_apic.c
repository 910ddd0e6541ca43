// SPDX-License-Identifier: GPL-2.0-only
/* the local APIC */

static bool has_apic(struct fhv_pt *p)
{
	return p->flags & HV_PARTITION_CREATION_FLAG_LAPIC_ENABLED;
}
static bool x2apic(struct svm_vp *s)
{
	return (s->apic_base & 0xc00) == 0xc00;
}

static int vec_high(const u32 *r)
{
	int i;

	for (i = 7; i >= 0; i--)
		if (r[i])
			return i * 32 + fls(r[i]) - 1;
	return -1;
}
static void vset(u32 *r, u8 vec)
{
	r[vec >> 5] |= BIT(vec & 31);
}
static void vclr(u32 *r, u8 vec)
{
	r[vec >> 5] &= ~BIT(vec & 31);
}
static bool vget(const u32 *r, u8 vec)
{
	return r[vec >> 5] & BIT(vec & 31);
}

static u32 apic_ppr(struct svm_vp *s)
{
	int isr = vec_high(s->apic + A_ISR);
	u32 tpr = s->apic[A_TPR] & 0xff;

	return isr >= 0 && (isr & 0xf0) > (tpr & 0xf0) ? isr & 0xf0 : tpr;
}

static int apic_deliverable(struct svm_vp *s)
{
	int irr = vec_high(s->apic + A_IRR);

	if (irr < 0 || (irr & 0xf0) <= (apic_ppr(s) & 0xf0))
		return -1;
	return irr;
}

static void apic_request(struct fhv_pt *p, struct fhv_vp *v, u8 vec, bool level)
{
	struct svm_vp *s = S(v);

	vset(s->apic + A_IRR, vec);
	if (level)
		vset(s->apic + A_TMR, vec);
	else
		vclr(s->apic + A_TMR, vec);
	svm_wake(p, v);
}

static void la_eoi(struct fhv_pt *p, struct fhv_vp *v)
{
	struct svm_vp *s = S(v);
	int vec = vec_high(s->apic + A_ISR);

	if (vec < 0)
		return;
	vclr(s->apic + A_ISR, vec);
	if (vget(s->apic + A_TMR, vec) && svm_eoi) {
		struct hv_message m = {};
		struct hv_x64_apic_eoi_message *e = (void *)m.u.payload;

		m.header.message_type = HVMSG_X64_APIC_EOI;
		m.header.payload_size = sizeof(*e);
		m.header.sender = p->id;
		e->vp_index = v->idx;
		e->interrupt_vector = vec;
		if (svm_trace)
			fhv_log("EOI pt=%llu vp=%u vector=0x%x", p->id, v->idx, vec);
		sim_post(smp_processor_id(), &m);
	}
}

static bool apic_match(struct svm_vp *s, struct fhv_vp *v, u64 dest, bool logical)
{
	u32 ldr = s->apic[A_LDR], mda = dest;

	if (!logical)
		return dest == v->apic_id || dest == (x2apic(s) ? 0xffffffffULL : 0xff) ||
		       dest == 0xff;
	if (x2apic(s))
		return (mda >> 16) == (ldr >> 16) && (mda & ldr & 0xffff);
	if ((s->apic[A_DFR] >> 28) == 0xf)
		return mda & (ldr >> 24);
	return (mda >> 4) == (ldr >> 28) && (mda & (ldr >> 24) & 15);
}

static void svm_vp_reset(struct fhv_vp *v);

static void apic_deliver(struct fhv_pt *p, struct fhv_vp *v, u32 type, u8 vec, bool level)
{
	struct svm_vp *s = S(v);

	switch (type) {
	case HV_X64_INTERRUPT_TYPE_FIXED:
	case 1: /* lowest priority */ apic_request(p, v, vec, level); break;
	case 4: /* NMI */
		s->nmi = true;
		svm_wake(p, v);
		break;
	case 5: /* INIT */
		svm_stop(s);
		s->stale = true;
		svm_vp_reset(v);
		s->wait_sipi = true;
		break;
	case 6: /* SIPI */
		if (s->wait_sipi) {
			SAVE(s)->cs.selector = vec << 8;
			SAVE(s)->cs.base = vec << 12;
			SAVE(s)->rip = 0;
			s->wait_sipi = false;
			svm_wake(p, v);
		}
		break;
	case 7: /* ExtINT */
		s->extint = vec;
		svm_wake(p, v);
		break;
	}
}

/* INITIAL_APIC_ID, APIC_ID: until the guest runs the mode is what APIC_BASE says */
static void svm_apic_id(struct fhv_vp *v)
{
	struct svm_vp *s = S(v);

	s->apic[A_ID] = v->apic_id << 24;
	if (x2apic(s))
		s->apic[A_LDR] = (v->apic_id >> 4) << 16 | 1 << (v->apic_id & 15);
}

static int svm_assert(struct fhv_pt *p, u32 type, u32 vec, u64 dest, bool level, bool logical)
{
	struct fhv_vp *v;
	int n = 0;

	if (list_empty(&p->vps))
		return 0;
	list_for_each_entry(v, &p->vps, l)
		if (apic_match(S(v), v, dest, logical)) {
			apic_deliver(p, v, type, vec, level);
			n++;
			if (type == 1)
				break;
		}
	return n;
}

static void apic_icr(struct fhv_pt *p, struct fhv_vp *me, u32 lo, u32 dest)
{
	struct fhv_vp *v;
	u32 sh = lo >> 18 & 3, type = lo >> 8 & 7;

	if (type == 5 && !(lo & BIT(14))) /* INIT de-assert */
		return;
	list_for_each_entry(v, &p->vps, l) {
		bool hit = sh == 0   ? apic_match(S(v), v, dest, lo & BIT(11))
			   : sh == 1 ? v == me
			   : sh == 2 ? true
				     : v != me;

		if (hit)
			apic_deliver(p, v, type, lo & 0xff, false);
	}
}
