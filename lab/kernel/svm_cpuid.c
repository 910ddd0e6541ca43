// SPDX-License-Identifier: GPL-2.0-only
/* CPUID */

static int svm_cpuid_result(struct fhv_pt *p, const void *d)
{
	struct svm_cpuid *c = kzalloc(sizeof(*c), GFP_ATOMIC), *o, *n;

	if (!c)
		return -ENOMEM;
	memcpy(&c->eax, d, 44);
	list_for_each_entry_safe(o, n, &p->svm->cpuids, l)
		if (o->eax == c->eax && o->ecx == c->ecx && o->sub == c->sub) {
			list_del(&o->l);
			kfree(o);
		}
	list_add_tail(&c->l, &p->svm->cpuids);
	return 0;
}

static void svm_do_cpuid(struct fhv_pt *p, struct fhv_vp *v, u32 eax, u32 ecx, u32 *o)
{
	struct svm_cpuid *c;
	int i;

	memset(o, 0, 16);
	switch (eax) {
	case 0x40000000:
		o[0] = 0x40000006;
		o[1] = 0x7263694d;
		o[2] = 0x666f736f;
		o[3] = 0x76482074;
		break;
	case 0x40000001: o[0] = 0x31237648; break;
	case 0x40000002:
		o[0] = version;
		o[1] = 10 << 16;
		break;
	case 0x40000003:
		o[0] = BIT(1) | BIT(2) | BIT(4) | BIT(5) | BIT(6);
		o[1] = BIT(4) | BIT(5); /* post messages, signal events */
		break;
	case 0x40000004: o[0] = BIT(5) | BIT(9); break;
	case 0x40000005:
		o[0] = 256;
		o[1] = 8;
		break;
	case 0x40000006: break;
	case 0x40000007 ... 0x400000ff: break;
	default:
		cpuid_count(eax, ecx, &o[0], &o[1], &o[2], &o[3]);
		switch (eax) {
		case 1:
			o[1] = (o[1] & 0x00ffffff) | v->apic_id << 24;
			/* no MONITOR, TSC deadline */
			o[2] &= ~(BIT(3) | BIT(24) | BIT(27));
			if (!xstate_offered(p))
				o[2] &= ~BIT(26);
			else if (SAVE(S(v))->cr4 & X86_CR4_OSXSAVE)
				o[2] |= BIT(27);
			if (!(xstate_offered(p) & XSTATE_AVX)) /* nor FMA and F16C */
				o[2] &= ~(BIT(28) | BIT(12) | BIT(29));
			o[2] |= BIT(31);
			if (!(p->flags & HV_PARTITION_CREATION_FLAG_X2APIC_CAPABLE))
				o[2] &= ~BIT(21);
			else
				o[2] |= BIT(21);
			break;
		case 7: o[1] = o[2] = o[3] = 0; break;
		case 0xd: xstate_cpuid(p, S(v), ecx, o); break;
		case 0x80000001: o[2] &= ~BIT(2); break;
		case 0x8000000a: memset(o, 0, 16); break;
		}
	}
	list_for_each_entry(c, &p->svm->cpuids, l)
		if (c->eax == eax && (!c->sub || c->ecx == ecx))
			for (i = 0; i < 4; i++) /* value, mask pairs */
				o[i] = (o[i] & ~c->r[2 * i + 1]) | (c->r[2 * i] & c->r[2 * i + 1]);
}

static void svm_x_cpuid(struct fhv_pt *p, struct fhv_vp *v)
{
	struct svm_vp *s = S(v);
	u32 o[4], eax = SAVE(s)->rax, ecx = s->gpr[1];

	svm_do_cpuid(p, v, eax, ecx, o);
	if (icpt_find(p, 2, eax, 0) || icpt_find(p, 6, ~0ULL, 0)) {
		struct x64_cpuid_msg m = {
			.rax = SAVE(s)->rax,
			.rcx = s->gpr[1],
			.rdx = s->gpr[2],
			.rbx = s->gpr[3],
			.drax = o[0],
			.drcx = o[2],
			.drdx = o[3],
			.drbx = o[1],
		};

		msg_header(v, &m.h, 2, HV_INTERCEPT_ACCESS_EXECUTE);
		svm_deliver(p, v, HVMSG_X64_CPUID_INTERCEPT, &m, sizeof(m));
		return;
	}
	SAVE(s)->rax = o[0];
	s->gpr[3] = o[1];
	s->gpr[1] = o[2];
	s->gpr[2] = o[3];
	svm_skip(s, 2);
}
