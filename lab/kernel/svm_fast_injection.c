// SPDX-License-Identifier: GPL-2.0-only
/* vectors that the driver leaves in the register page */

/* Takes what the driver has put into the VP's register page: vectors, and nothing else of an
 * interrupt. */
static void take_page_vectors(struct fhv_pt *p, struct fhv_vp *v)
{
	union hv_vp_register_page_interrupt_vectors iv;
	struct hv_vp_register_page *rp;
	int i;

	if (!v->state[HV_VP_STATE_PAGE_REGISTERS])
		return;
	rp = page_address(v->state[HV_VP_STATE_PAGE_REGISTERS]);
	iv.as_uint64 = xchg(&rp->interrupt_vectors.as_uint64, 0);
	for (i = 0; i < iv.vector_count && i < HV_VP_REGISTER_PAGE_MAX_VECTOR_COUNT; i++) {
		if (!svm || svm_trace)
			fhv_log("FAST_INJECT pt=%llu vp=%u vector=0x%x", p->id, v->idx,
				iv.vector[i]);
		if (v->svm)
			apic_request(p, v, iv.vector[i], false);
	}
}
