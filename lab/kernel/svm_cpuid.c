// SPDX-License-Identifier: GPL-2.0-only
/*
 * CPUID, as the partition was made: its features of the hypervisor, its local APICs, the VP's own
 * ids, and what the VMM has registered.
 */

/* bits of SYNTHETIC_PROC_FEATURES */
enum {
	SYN_HYPERVISOR_PRESENT = 0,
	SYN_HV1 = 1,
	SYN_VP_RUNTIME = 2,
	SYN_REFERENCE_COUNTER = 3,
	SYN_SYNIC = 4,
	SYN_STIMERS = 5,
	SYN_INTR_CTRL = 6,
	SYN_HYPERCALL = 7,
	SYN_VP_INDEX = 8,
	SYN_REFERENCE_TSC = 9,
	SYN_GUEST_IDLE = 10,
	SYN_FREQUENCY = 11,
	SYN_DIRECT_STIMERS = 22,
};

static bool has_feature(struct fhv_pt *p, int bit)
{
	struct kv *k = kv_find(&p->props, HV_PARTITION_PROPERTY_SYNTHETIC_PROC_FEATURES);

	return k && (k->lo >> bit & 1);
}

#define CPUID_ANY_VP 0xffffffffu

static int svm_cpuid_result(struct fhv_pt *p, u32 vp, const void *d)
{
	struct svm_cpuid *c = kzalloc(sizeof(*c), GFP_ATOMIC), *o, *n;

	if (!c)
		return -ENOMEM;
	memcpy(&c->eax, d, 44);
	c->vp = vp;
	list_for_each_entry_safe(o, n, &p->svm->cpuids, l)
		if (o->vp == c->vp && o->eax == c->eax && o->ecx == c->ecx && o->sub == c->sub) {
			list_del(&o->l);
			kfree(o);
		}
	list_add_tail(&c->l, &p->svm->cpuids);
	return 0;
}

static void svm_cpuid_registered(struct fhv_pt *p, struct fhv_vp *v, u32 eax, u32 ecx, u32 *o)
{
	struct svm_cpuid *c;
	int i;

	list_for_each_entry(c, &p->svm->cpuids, l)
		if ((c->vp == v->idx || c->vp == CPUID_ANY_VP) && c->eax == eax &&
		    (!c->sub || c->ecx == ecx))
			for (i = 0; i < 4; i++) /* value, mask pairs */
				o[i] = (o[i] & ~c->r[2 * i + 1]) | (c->r[2 * i] & c->r[2 * i + 1]);
}

static void set_bit_if(u32 *word, int bit, bool set)
{
	*word = (*word & ~BIT(bit)) | (set ? BIT(bit) : 0);
}

/* the leaves of the hypervisor (TLFS, "Feature and Interface Discovery") */
static void svm_cpuid_hypervisor(struct fhv_pt *p, u32 eax, u32 *o)
{
	static const u8 access[] = { SYN_VP_RUNTIME, SYN_REFERENCE_COUNTER, SYN_SYNIC,
				     SYN_STIMERS,    SYN_INTR_CTRL,         SYN_HYPERCALL,
				     SYN_VP_INDEX };
	int i;

	memset(o, 0, 16);
	if (!has_feature(p, SYN_HYPERVISOR_PRESENT))
		return;
	switch (eax) {
	case 0x40000000:
		o[0] = has_feature(p, SYN_HV1) ? 0x40000006 : 0x40000001;
		o[1] = 0x7263694d;
		o[2] = 0x666f736f;
		o[3] = 0x76482074;
		return;
	}
	if (!has_feature(p, SYN_HV1))
		return;
	switch (eax) {
	case 0x40000001: o[0] = 0x31237648; break;
	case 0x40000002:
		o[0] = version;
		o[1] = 10 << 16;
		break;
	case 0x40000003:
		for (i = 0; i < ARRAY_SIZE(access); i++)
			set_bit_if(&o[0], i, has_feature(p, access[i]));
		set_bit_if(&o[0], 9, has_feature(p, SYN_REFERENCE_TSC));
		set_bit_if(&o[0], 10, has_feature(p, SYN_GUEST_IDLE));
		set_bit_if(&o[0], 11, has_feature(p, SYN_FREQUENCY));
		o[1] = has_feature(p, SYN_HYPERCALL) ? BIT(4) | BIT(5) : 0; /* messages, events */
		set_bit_if(&o[3], 5, has_feature(p, SYN_GUEST_IDLE));
		set_bit_if(&o[3], 8, has_feature(p, SYN_FREQUENCY));
		set_bit_if(&o[3], 19, has_feature(p, SYN_DIRECT_STIMERS));
		break;
	case 0x40000004: o[0] = BIT(5) | BIT(9); break;
	case 0x40000005:
		o[0] = 256;
		o[1] = 8;
		break;
	}
}

/* of leaf 7 what VMRUN and the nested walk know: FSGSBASE, BMI1, BMI2, ERMS, RDSEED, ADX, and AVX2
 */
#define LEAF7_EBX (BIT(0) | BIT(3) | BIT(8) | BIT(9) | BIT(18) | BIT(19))
#define AVX2      BIT(5)

static void svm_do_cpuid(struct fhv_pt *p, struct fhv_vp *v, u32 eax, u32 ecx, u32 *o)
{
	u64 states = xstate_offered(p);

	if (eax >> 8 == 0x400000) {
		svm_cpuid_hypervisor(p, eax, o);
	} else {
		cpuid_count(eax, ecx, &o[0], &o[1], &o[2], &o[3]);
		switch (eax) {
		case 1:
			o[1] = (o[1] & 0x00ffffff) | v->apic_id << 24;
			set_bit_if(&o[2], 3, false); /* MONITOR */
			set_bit_if(&o[2], 21, p->flags & HV_PARTITION_CREATION_FLAG_X2APIC_CAPABLE);
			set_bit_if(&o[2], 24, has_apic(p)); /* TSC deadline */
			set_bit_if(&o[2], 26, states);      /* XSAVE */
			set_bit_if(&o[2], 27, states && (SAVE(S(v))->cr4 & X86_CR4_OSXSAVE));
			if (!(states & XSTATE_AVX)) /* FMA, AVX, F16C */
				o[2] &= ~(BIT(12) | BIT(28) | BIT(29));
			set_bit_if(&o[2], 31, has_feature(p, SYN_HYPERVISOR_PRESENT));
			set_bit_if(&o[3], 9, has_apic(p));
			break;
		case 6: /* ARAT: the APIC's timer never stops */
			memset(o, 0, 16);
			set_bit_if(&o[0], 2, has_apic(p));
			break;
		case 7:
			o[0] = 0;
			o[1] &= ecx ? 0 : LEAF7_EBX | (states & XSTATE_AVX ? AVX2 : 0);
			o[2] = o[3] = 0;
			break;
		case 0xb: /* a package for each VP */
			o[0] = 0;
			o[1] = ecx < 2;
			o[2] = (ecx & 0xff) | (ecx < 2 ? (ecx + 1) << 8 : 0);
			o[3] = v->apic_id;
			break;
		case 0x1f: memset(o, 0, 16); break;
		case 0xd: xstate_cpuid(p, S(v), ecx, o); break;
		case 0x80000001: o[2] &= ~BIT(2); break;
		case 0x8000000a: memset(o, 0, 16); break;
		}
	}
	svm_cpuid_registered(p, v, eax, ecx, o);
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
