// SPDX-License-Identifier: GPL-2.0-only
/* what VMRUN leaves to the hypervisor to switch */

struct svm_host {
	u64 xcr0, tsc_aux;
};

static void host_of_cpu(struct svm_host *h)
{
	h->xcr0 = xgetbv(XCR_XFEATURE_ENABLED_MASK);
	rdmsrq(MSR_TSC_AUX, h->tsc_aux);
}

/* interrupts off, just before VMRUN */
static void switch_to_guest(struct svm_vp *s, const struct svm_host *h)
{
	if (s->xfem != h->xcr0)
		xsetbv(XCR_XFEATURE_ENABLED_MASK, s->xfem);
	if (s->tsc_aux != h->tsc_aux) /* RDTSCP is not intercepted */
		wrmsrq(MSR_TSC_AUX, s->tsc_aux);
}

/* GIF is 0, just after VMRUN */
static void switch_to_host(struct svm_vp *s, const struct svm_host *h)
{
	s->xfem = xgetbv(XCR_XFEATURE_ENABLED_MASK);
	if (s->xfem != h->xcr0)
		xsetbv(XCR_XFEATURE_ENABLED_MASK, h->xcr0);
	if (s->tsc_aux != h->tsc_aux)
		wrmsrq(MSR_TSC_AUX, h->tsc_aux);
	xstate_save(s);
}
