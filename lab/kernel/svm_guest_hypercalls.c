// SPDX-License-Identifier: GPL-2.0-only
/* hypercalls of the guest and their page */

static void hc_page(struct fhv_pt *p, u64 val)
{
	static const u8 code[] = { 0x0f, 0x01, 0xd9, 0xc3 }; /* vmmcall; ret */

	p->svm->hypercall = val;
	if (ov_set(p, &p->svm->hc, val & 1, val >> 12, false))
		return;
	if (val & 1) {
		memset(page_address(p->svm->hc.pg), 0xcc, PAGE_SIZE);
		memcpy(page_address(p->svm->hc.pg), code, sizeof(code));
	}
}

static void svm_x_vmmcall(struct fhv_pt *p, struct fhv_vp *v)
{
	struct svm_vp *s = S(v);
	u16 code = s->gpr[1];
	u64 st = HV_STATUS_INVALID_HYPERCALL_CODE;
	struct x64_hc_msg m = {};
	bool conn = code == 0x5c || code == 0x5d;

	if (SAVE(s)->cpl || !(SAVE(s)->cr0 & 1) || !p->svm->os_id) {
		svm_inject(s, 6, false, 0);
		return;
	}
	if (icpt_find(p, 8, ~0ULL, 0) || (conn && icpt_find(p, 0xd, ~0ULL, 0))) {
		msg_header(v, &m.h, 3, HV_INTERCEPT_ACCESS_EXECUTE);
		m.rax = SAVE(s)->rax;
		m.rbx = s->gpr[3];
		m.rcx = s->gpr[1];
		m.rdx = s->gpr[2];
		m.r8 = s->gpr[8];
		m.rsi = s->gpr[6];
		m.rdi = s->gpr[7];
		memcpy(m.xmm, svm_xmm(s, 0), 96);
		svm_deliver(p, v, HVMSG_HYPERCALL_INTERCEPT, &m, sizeof(m));
		return;
	}
	if (conn)
		st = HV_STATUS_INVALID_CONNECTION_ID;
	else if (code == 8) /* notify long spin wait */
		st = 0;
	SAVE(s)->rax = st;
	svm_skip(s, 3);
}
