// SPDX-License-Identifier: GPL-2.0-only
/*
 * Exceptions that a VMM intercepts, debug registers and breakpoints.
 *
 * QEMU's VMRUN copies DR7 without arming anything, and forgets at an exit what is armed: a guest's
 * MOV DR is intercepted, and what it enables is armed by this CPU's own MOV just before VMRUN and
 * disarmed just after it (svm_unswitched.c). INT3 is no exception to QEMU: it is found by the
 * intercept of INT n.
 */

#define DR6_FIXED  0xffff0ff0ULL
#define DR6_BITS   0x0000e00fULL
#define DR6_BD     BIT_ULL(13)
#define DR7_FIXED  0x400ULL
#define DR7_BITS   0xffff2bffULL
#define DR7_GD     BIT_ULL(13)
#define DR7_ENABLE 0xffULL

static u64 *svm_dr(struct svm_vp *s, int n)
{
	return n < 4 ? &s->dr[n] : n == 6 ? &SAVE(s)->dr6 : &SAVE(s)->dr7;
}

static u64 dr_fixed(int n, u64 val)
{
	return n < 4 ? val : n == 6 ? (val & DR6_BITS) | DR6_FIXED : (val & DR7_BITS) | DR7_FIXED;
}

/* MOV to or from a debug register: 0f 21 and 0f 23, which have no memory operand */
static void svm_x_mov_dr(struct fhv_pt *p, struct fhv_vp *v)
{
	struct svm_vp *s = S(v);
	u8 b[15];
	int n = svm_fetch(p, s, b, sizeof(b)), i = 0, rex = 0, dr;
	u64 *gpr;

	while (i < n && (b[i] == 0x66 || b[i] == 0x67 || b[i] == 0xf2 || b[i] == 0xf3))
		i++;
	if (code64(s) && i < n && (b[i] & 0xf0) == 0x40)
		rex = b[i++];
	if (i + 3 > n || b[i] != 0x0f || (b[i + 1] != 0x21 && b[i + 1] != 0x23)) {
		svm_inject(s, 6, false, 0);
		return;
	}
	dr = b[i + 2] >> 3 & 7;
	if ((dr == 4 || dr == 5) && (SAVE(s)->cr4 & X86_CR4_DE)) {
		svm_inject(s, 6, false, 0);
		return;
	}
	if (dr == 4 || dr == 5)
		dr += 2;
	if (SAVE(s)->dr7 & DR7_GD) {
		SAVE(s)->dr7 &= ~DR7_GD;
		SAVE(s)->dr6 |= DR6_BD;
		svm_inject(s, 1, false, 0);
		return;
	}
	gpr = svm_gpr(s, (b[i + 2] & 7) | (rex & 1) << 3);
	if (b[i + 1] == 0x21) {
		*gpr = *svm_dr(s, dr);
	} else if (dr >= 6 && code64(s) && *gpr >> 32) {
		svm_inject(s, 13, true, 0);
		return;
	} else {
		*svm_dr(s, dr) = dr_fixed(dr, code64(s) ? *gpr : (u32)*gpr);
	}
	svm_skip(s, i + 3);
}

static void svm_x_exc(struct fhv_pt *p, struct fhv_vp *v, int vec, int len)
{
	struct svm_vp *s = S(v);
	struct x64_exc_msg m = {};
	int i;

	msg_header(v, &m.h, len, HV_INTERCEPT_ACCESS_EXECUTE);
	m.vector = vec;
	m.info = vec == 8 || (vec >= 10 && vec <= 14) || vec == 17;
	m.err = m.info ? CTRL(s)->exit_info_1 : 0;
	m.param = vec == 14 ? CTRL(s)->exit_info_2 : 0;
	m.nbytes = svm_fetch(p, s, m.bytes, 16);
	seg_get(s, 3, &m.ds);
	seg_get(s, 2, &m.ss);
	for (i = 0; i < 16; i++)
		m.r[i] = *svm_gpr(s, i);
	svm_deliver(p, v, HVMSG_X64_EXCEPTION_INTERCEPT, &m, sizeof(m));
}

/* INT n, INT3 and INTO, while somebody wants to know of INT3 */
static void svm_x_swint(struct fhv_pt *p, struct fhv_vp *v)
{
	struct svm_vp *s = S(v);
	u8 b[15], vec;
	int n = svm_fetch(p, s, b, sizeof(b)), i = 0;

	while (i < n && (b[i] == 0x66 || b[i] == 0x67 || b[i] == 0xf2 || b[i] == 0xf3 ||
			 (code64(s) && (b[i] & 0xf0) == 0x40)))
		i++;
	if (i < n && b[i] == 0xcc) {
		svm_x_exc(p, v, 3, i + 1);
		return;
	}
	vec = i < n && b[i] == 0xce ? 4 : i + 1 < n ? b[i + 1] : 0;
	svm_skip(s, i + (vec == 4 && b[i] == 0xce ? 1 : 2));
	s->reinj = SVM_EVTINJ_VALID | SVM_EVTINJ_TYPE_SOFT | vec;
	s->reinj_err = 0;
}
