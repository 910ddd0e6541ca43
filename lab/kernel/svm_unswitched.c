// SPDX-License-Identifier: GPL-2.0-only
/* what VMRUN leaves to the hypervisor to switch */

struct svm_host {
	u64 xcr0, tsc_aux;
	unsigned long dr[4], dr7;
};

static void host_of_cpu(struct svm_host *h)
{
	h->xcr0 = xgetbv(XCR_XFEATURE_ENABLED_MASK);
	rdmsrq(MSR_TSC_AUX, h->tsc_aux);
}

/* DR7 first where something is enabled: nothing of one side may be hit by the other */
static void debug_registers(const unsigned long *dr, unsigned long dr7)
{
	set_debugreg(0x400UL, 7);
	set_debugreg(dr[0], 0);
	set_debugreg(dr[1], 1);
	set_debugreg(dr[2], 2);
	set_debugreg(dr[3], 3);
	set_debugreg(dr7, 7);
}

/* interrupts off, just before VMRUN */
static void switch_to_guest(struct svm_vp *s, struct svm_host *h)
{
	s->guest_dr7 = SAVE(s)->dr7;
	if (s->guest_dr7 & 0xff) {
		SAVE(s)->dr7 &= ~BIT_ULL(13); /* GD: MOV DR is intercepted */
		get_debugreg(h->dr[0], 0);
		get_debugreg(h->dr[1], 1);
		get_debugreg(h->dr[2], 2);
		get_debugreg(h->dr[3], 3);
		get_debugreg(h->dr7, 7);
		debug_registers((unsigned long *)s->dr, SAVE(s)->dr7);
	}
	if (s->xfem != h->xcr0)
		xsetbv(XCR_XFEATURE_ENABLED_MASK, s->xfem);
	if (s->tsc_aux != h->tsc_aux) /* RDTSCP is not intercepted */
		wrmsrq(MSR_TSC_AUX, s->tsc_aux);
}

/* GIF is 0, just after VMRUN */
static void switch_to_host(struct svm_vp *s, const struct svm_host *h)
{
	if (s->guest_dr7 & 0xff)
		debug_registers(h->dr, h->dr7);
	SAVE(s)->dr7 = s->guest_dr7;
	s->xfem = xgetbv(XCR_XFEATURE_ENABLED_MASK);
	if (s->xfem != h->xcr0)
		xsetbv(XCR_XFEATURE_ENABLED_MASK, h->xcr0);
	if (s->tsc_aux != h->tsc_aux)
		wrmsrq(MSR_TSC_AUX, h->tsc_aux);
	xstate_save(s);
}
