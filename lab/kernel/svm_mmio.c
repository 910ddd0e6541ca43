// SPDX-License-Identifier: GPL-2.0-only
/* nested page faults: APIC page, doorbells, intercepts */

static bool svm_doorbell(struct fhv_pt *p, u64 gpa, int len, u64 val)
{
	static const u8 sz[] = { 0, 1, 2, 4, 8 };
	struct fhv_port *q;
	int n = 0;

	list_for_each_entry(q, &ports, l) {
		u32 fs = q->flags & HV_DOORBELL_FLAG_TRIGGER_SIZE_MASK;

		if (!q->connected || q->conn_pt != p->id || q->gpa != gpa)
			continue;
		if (fs && (fs > 4 || sz[fs] != len))
			continue;
		if (!(q->flags & HV_DOORBELL_FLAG_TRIGGER_ANY_VALUE) && q->val != val)
			continue;
		if (svm_trace)
			fhv_log("DOORBELL pt=%llu port=%u gpa=0x%llx len=%d value=0x%llx", p->id,
				q->id, gpa, len, val);
		ring_push(smp_processor_id(), q->sint, q->id);
		n++;
	}
	return n;
}

static void svm_x_npf(struct fhv_pt *p, struct fhv_vp *v)
{
	struct svm_vp *s = S(v);
	u64 err = CTRL(s)->exit_info_1, gpa = CTRL(s)->exit_info_2;
	bool final = err & BIT_ULL(32);
	u32 acc = err & 0x10 ? HV_INTERCEPT_ACCESS_EXECUTE
		  : err & 2  ? HV_INTERCEPT_ACCESS_WRITE
			     : HV_INTERCEPT_ACCESS_READ;
	struct hv_x64_memory_intercept_message m = {};
	struct svm_insn d = {};
	bool dec = false, apic;
	int r;

	apic = has_apic(p) && (s->apic_base & 0xc00) == 0x800 && gpa >> 12 == s->apic_base >> 12;
	r = apic ? 2 : npt_fault(p, gpa, acc);
	if (r == 0)
		return;
	if (r < 0) {
		fhv_log("NPT out of memory");
		return;
	}
	/* the hypervisor's own pages: no VMM can do anything about it (TLFS, "Hypercall Page") */
	if (r == 1 && ov_find(p, gpa >> 12)) {
		svm_inject(s, 13, true, 0);
		return;
	}
	m.instruction_byte_count =
		acc == HV_INTERCEPT_ACCESS_EXECUTE ? 0 : svm_fetch(p, s, m.instruction_bytes, 16);
	if (final && m.instruction_byte_count)
		dec = svm_decode(s, m.instruction_bytes, m.instruction_byte_count, &d) &&
		      d.wr == (acc == HV_INTERCEPT_ACCESS_WRITE);
	if (apic) {
		if (!dec) {
			fhv_log("APIC_DECODE failed %*phN", 16, m.instruction_bytes);
			svm_inject(s, 13, true, 0);
			return;
		}
		if (d.wr)
			la_write(p, v, (gpa & 0xfff) >> 4, d.val);
		else
			svm_insn_result(s, &d, la_read(s, (gpa & 0xfff) >> 4) >> (8 * (gpa & 3)));
		svm_skip(s, d.len);
		return;
	}
	if (r == 2 && dec && d.wr && svm_doorbell(p, gpa, d.size, d.val)) {
		svm_skip(s, d.len);
		return;
	}
	msg_header(v, &m.header, dec ? d.len : 0, acc);
	m.cache_type = 6;
	m.tpr_priority = s->apic[A_TPR] >> 4;
	m.guest_physical_address = gpa;
	m.memory_access_info.gva_gpa_valid = final;
	if (acc == HV_INTERCEPT_ACCESS_EXECUTE && final) {
		/* the fetch may be of the page after the one rip is in */
		u64 g = svm_linrip(s);

		m.guest_virtual_address = (g & 0xfff) == (gpa & 0xfff)
						  ? g
						  : ((g + 0xfff) & ~0xfffULL) | (gpa & 0xfff);
		m.memory_access_info.gva_valid = 1;
	} else if (dec) {
		m.guest_virtual_address = d.gva;
		m.memory_access_info.gva_valid = 1;
	}
	svm_deliver(p, v, r == 1 ? HVMSG_GPA_INTERCEPT : HVMSG_UNMAPPED_GPA, &m, sizeof(m));
}
