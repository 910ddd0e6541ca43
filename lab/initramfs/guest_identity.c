/* SPDX-License-Identifier: MIT */
/* what CPUID says and which MSRs there are: included by guest_test.c */

#define CPUID1 (LOAD + 0x3030)

static void leaf(struct vm *v, int i, uint32_t eax, uint32_t ecx, uint32_t *o)
{
	uint8_t m[256];

	boot(v, i, CPUID1);
	mb(v)[0] = eax;
	mb(v)[1] = ecx;
	if (run(v, i, m) || mtype(m) != M_IO)
		printf("FAIL CPUID of VP %d\n", i), fails++;
	memcpy(o, v->ram + MBOX + 64, 16);
}

static int result(struct vm *v, uint32_t vp, uint32_t eax, uint32_t ecx, int sub, uint32_t val,
		  uint32_t mask)
{
	struct {
		uint64_t pt;
		uint32_t vp, type, eax, ecx;
		uint8_t sub, always;
		uint16_t pad;
		uint32_t r[8], z;
	} in = { 0, vp, 2, eax, ecx, sub, 0, 0, { val, mask }, 0 };
	return hv(v->pt, 0x91, 0, &in, 60, NULL, 0, NULL);
}

static void t_identity(void)
{
	struct vm *v = mkvm(1, 2);
	uint32_t a[4], b[4];
	uint64_t was = synthetic_features;

	printf("--- identity: CPUID and MSRs of a partition and its VPs\n");
	leaf(v, 0, 0xb, 0, a);
	leaf(v, 1, 0xb, 0, b);
	OK(a[3] == 0 && b[3] == 1, "leaf 0xb has each VP's own APIC id (%u, %u)", a[3], b[3]);
	setreg(v->pt, 1, 0x8000c, 7, 0);
	leaf(v, 1, 0xb, 1, b);
	leaf(v, 1, 1, 0, a);
	OK(b[3] == 7 && a[1] >> 24 == 7, "and what it was set to");
	OK((a[2] >> 24 & 1) && (a[2] >> 21 & 1) && (a[2] >> 31 & 1) && (a[3] >> 9 & 1),
	   "1: APIC, x2APIC, TSC deadline, a hypervisor");
	leaf(v, 0, 6, 0, a);
	OK(a[0] & 4, "6: ARAT");
	leaf(v, 0, 0x40000003, 0, a);
	OK(a[0] == 0xe7f && (a[3] & 0x80120) == 0x80120, "0x40000003: 0x%x, 0x%x", a[0], a[3]);
	OK(!result(v, 1, 0x40000003, 0, 0, 0x5, 0xff) && !result(v, 0, 0xb, 1, 1, 0x99, 0xf0),
	   "results are registered, with masks");
	leaf(v, 0, 0x40000003, 0, a);
	leaf(v, 1, 0x40000003, 0, b);
	OK(a[0] == 0xe7f && b[0] == 0xe05, "for one VP, the masked bits: 0x%x, 0x%x", a[0], b[0]);
	leaf(v, 0, 0xb, 0, a);
	leaf(v, 0, 0xb, 1, b);
	OK(a[0] == 0 && b[0] == 0x90, "for one subleaf");
	rmvm(v);

	v = mkvm(0, 1);
	leaf(v, 0, 1, 0, a);
	leaf(v, 0, 6, 0, b);
	OK(!(a[2] >> 24 & 1) && !(a[2] >> 21 & 1) && !(a[3] >> 9 & 1) && !(b[0] & 4),
	   "without APICs: no APIC, no deadline, no ARAT");
	rmvm(v);

	synthetic_features = 0;
	v = mkmain(1); /* its writes of the hypervisor's MSRs are #GPs that it skips */
	gcmd(v, 8, 0x40000000, 0, 0);
	memcpy(a, v->ram + MBOX + 64, 16);
	gcmd(v, 8, 1, 0, 0);
	OK(!(a[0] | a[1] | a[2] | a[3]) && !(*(uint32_t *)(v->ram + MBOX + 72) >> 31),
	   "without features: no hypervisor");
	mb(v)[10] = 0;
	gcmd(v, 9, 0x40000020, 0, 0);
	OK(mb(v)[10] == 13, "and no TIME_REF_COUNT");
	stop(v, 1);
	rmvm(v);
	close(wakefd);

	synthetic_features = was & ~(1ull << 22 | 1 << 3);
	v = mkmain(1);
	gcmd(v, 8, 0x40000003, 0, 0);
	memcpy(a, v->ram + MBOX + 64, 16);
	OK(!(a[0] & 2) && !(a[3] >> 19 & 1) && (a[0] & 4), "without two of them: the others");
	mb(v)[10] = 0;
	gcmd(v, 10, 0x400000b0, 1 << 12 | 0x62 << 4, 0);
	OK(mb(v)[10] == 13, "a direct timer is #GP then");
	stop(v, 1);
	rmvm(v);
	close(wakefd);
	synthetic_features = was;
}
