// SPDX-License-Identifier: GPL-2.0-only
/*
 * fakehv_svm - VPs of the fake hypervisor execute real code with AMD SVM.
 *
 * Textually included by fakehv.c (one compile unit). Enabled by fakehv.svm=1.
 * Needs EFER.SVME and nested paging; QEMU TCG "-cpu max" has both.
 *
 *  - one VMCB, GPR/FX area, local APIC and SynIC per VP; registers live there
 *    and are reachable by GET/SET_VP_REGISTERS and by the register page;
 *  - one nested page table per partition, filled lazily from MAP_GPA_PAGES;
 *  - every VM exit is either resumed here or becomes an intercept message with
 *    the real layout. All exits are restartable: nothing is changed before the
 *    exit is processed under fhv_lock, so a suspend simply discards the exit;
 *  - root scheduler: HVCALL_DISPATCH_VP runs the guest inline;
 *    hypervisor schedulers: an unbound work item per VP runs it.
 */

/* ------------------------------------------------------------- structures - */
struct svm_ov { /* overlay page (SIMP, SIEFP, hypercall) */
	struct list_head l;
	u64 gfn;
	struct page *pg;
	bool on, wr;
};

struct svm_icpt {
	struct list_head l;
	u32 type, access;
	u64 param;
};

struct svm_cpuid {
	struct list_head l;
	u32 eax, ecx;
	u8 sub, always;
	u16 pad;
	u32 r[8];
};

struct svm_pt {
	u64 *npt;
	struct list_head tables; /* page->lru */
	struct list_head ovs, icpts, cpuids;
	struct svm_ov hc;
	u64 os_id, hypercall;
	u32 exc_mask;
	u64 n_npf;
};

struct svm_vp {
	struct vmcb *vmcb;
	u64 gpr[16]; /* rax and rsp live in the VMCB */
	u8 fx[512] __aligned(16);
	u64 dr[4], xfem, apic_base, tsc_aux, misc_enable, mtrr_def;
	int in_guest, cpu;
	bool exit_valid, stale, halted, wait_sipi, flush, work_active, dead, nmi, kick;
	u32 reinj, reinj_err;
	u32 exc, exc_err; /* exception to inject */
	u32 last_inj;
	/* local APIC: register file indexed by offset >> 4 */
	u32 apic[64];
	u32 autoeoi[8];
	int extint;
	/* SynIC */
	u64 sint[16], scontrol, simp, siefp, assist;
	struct svm_ov simp_ov, siefp_ov;
	u64 notify;
	bool chk;
	struct work_struct work;
	struct fhv_pt *p;
	struct fhv_vp *v;
	u64 n_exit, n_intr, n_inj, n_kick, exits[256];
};

#define A_ID   0x02
#define A_VER  0x03
#define A_TPR  0x08
#define A_PPR  0x0a
#define A_EOI  0x0b
#define A_LDR  0x0d
#define A_DFR  0x0e
#define A_SVR  0x0f
#define A_ISR  0x10
#define A_TMR  0x18
#define A_IRR  0x20
#define A_ESR  0x28
#define A_ICRL 0x30
#define A_ICRH 0x31

struct x64_io_msg {
	struct hv_x64_intercept_message_header h;
	u16 port;
	u8 access; /* size:3 string:1 rep:1 */
	u8 nbytes;
	u32 rsvd;
	u64 rax;
	u8 bytes[16];
	struct hv_x64_segment_register ds, es;
	u64 rcx, rsi, rdi;
} __packed;
struct x64_msr_msg {
	struct hv_x64_intercept_message_header h;
	u32 msr, rsvd;
	u64 rdx, rax;
} __packed;
struct x64_cpuid_msg {
	struct hv_x64_intercept_message_header h;
	u64 rax, rcx, rdx, rbx, drax, drcx, drdx, drbx;
} __packed;
struct x64_exc_msg {
	struct hv_x64_intercept_message_header h;
	u16 vector;
	u8 info, nbytes;
	u32 err;
	u64 param, rsvd;
	u8 bytes[16];
	struct hv_x64_segment_register ds, ss;
	u64 r[16];
} __packed;
struct x64_hc_msg {
	struct hv_x64_intercept_message_header h;
	u64 rax, rbx, rcx, rdx, r8, rsi, rdi;
	u8 xmm[6][16];
	u32 isolated;
} __packed;
struct x64_sint_msg {
	struct hv_x64_intercept_message_header h;
	u16 sints, r1;
	u32 r2;
} __packed;

static void *svm_iopm, *svm_msrpm;
static phys_addr_t svm_iopm_pa, svm_msrpm_pa;
static DEFINE_PER_CPU(struct vmcb *, svm_host_vmcb);
static struct workqueue_struct *svm_wq;
static int svm_trace;
module_param(svm_trace, int, 0644);
static int svm_eoi = 1; /* send HVMSG_X64_APIC_EOI */
module_param(svm_eoi, int, 0644);

#define S(v)    ((v)->svm)
#define SAVE(s) (&(s)->vmcb->save)
#define CTRL(s) (&(s)->vmcb->control)

/* ------------------------------------------------------------- world switch */
void fhv_svm_enter(u64 *gpr, u64 vmcb_pa, u64 host_pa);
asm(".pushsection .noinstr.text, \"ax\"\n"
    ".globl fhv_svm_enter\n"
    ".type fhv_svm_enter, @function\n"
    "fhv_svm_enter:\n"
    "	push %rbp\n push %rbx\n push %r12\n push %r13\n push %r14\n push %r15\n"
    "	push %rdi\n push %rdx\n push %rsi\n"
    "	clgi\n"
    "	mov %rdx, %rax\n"
    "	vmsave %rax\n"
    "	mov %rsi, %rax\n"
    "	vmload %rax\n"
    "	mov %rdi, %rax\n"
    "	mov 8(%rax), %rcx\n mov 16(%rax), %rdx\n mov 24(%rax), %rbx\n"
    "	mov 40(%rax), %rbp\n mov 48(%rax), %rsi\n mov 56(%rax), %rdi\n"
    "	mov 64(%rax), %r8\n mov 72(%rax), %r9\n mov 80(%rax), %r10\n mov 88(%rax), %r11\n"
    "	mov 96(%rax), %r12\n mov 104(%rax), %r13\n mov 112(%rax), %r14\n mov 120(%rax), %r15\n"
    "	mov (%rsp), %rax\n"
    "	sti\n"
    "	vmrun %rax\n"
    "	cli\n"
    "	mov 16(%rsp), %rax\n"
    "	mov %rcx, 8(%rax)\n mov %rdx, 16(%rax)\n mov %rbx, 24(%rax)\n"
    "	mov %rbp, 40(%rax)\n mov %rsi, 48(%rax)\n mov %rdi, 56(%rax)\n"
    "	mov %r8, 64(%rax)\n mov %r9, 72(%rax)\n mov %r10, 80(%rax)\n mov %r11, 88(%rax)\n"
    "	mov %r12, 96(%rax)\n mov %r13, 104(%rax)\n mov %r14, 112(%rax)\n mov %r15, 120(%rax)\n"
    "	mov (%rsp), %rax\n"
    "	vmsave %rax\n"
    "	mov 8(%rsp), %rax\n"
    "	vmload %rax\n"
    "	add $24, %rsp\n"
    "	pop %r15\n pop %r14\n pop %r13\n pop %r12\n pop %rbx\n pop %rbp\n"
    "	ret\n"
    ".size fhv_svm_enter, . - fhv_svm_enter\n"
    ".popsection\n");

static void svm_cpu_enable(void *ok)
{
	int cpu = smp_processor_id();
	struct page *hsave = alloc_page(GFP_ATOMIC | __GFP_ZERO);
	struct page *hv = alloc_page(GFP_ATOMIC | __GFP_ZERO);
	u64 efer;

	if (!hsave || !hv || !(cpuid_ecx(0x80000001) & BIT(2)) || !(cpuid_edx(0x8000000a) & 1)) {
		*(bool *)ok = false;
		return;
	}
	rdmsrq(MSR_EFER, efer);
	wrmsrq(MSR_EFER, efer | EFER_SVME);
	wrmsrq(MSR_VM_HSAVE_PA, page_to_phys(hsave));
	per_cpu(svm_host_vmcb, cpu) = page_address(hv);
}

static int __init svm_init(void)
{
	bool ok = true;

	on_each_cpu(svm_cpu_enable, &ok, 1);
	svm_iopm = (void *)__get_free_pages(GFP_KERNEL, 2);
	svm_msrpm = (void *)__get_free_pages(GFP_KERNEL, 1);
	svm_wq = alloc_workqueue("fakehv_svm", WQ_UNBOUND | WQ_HIGHPRI, 0);
	if (!ok || !svm_iopm || !svm_msrpm || !svm_wq) {
		pr_err("no SVM with nested paging on this CPU, fakehv.svm ignored\n");
		return -ENODEV;
	}
	memset(svm_iopm, 0xff, PAGE_SIZE << 2);
	memset(svm_msrpm, 0xff, PAGE_SIZE << 1);
	svm_iopm_pa = __pa(svm_iopm);
	svm_msrpm_pa = __pa(svm_msrpm);
	pr_info("VPs execute code with SVM\n");
	return 0;
}

/* ------------------------------------------------------------- stop / wake - */
/* fhv_lock held: after this the VP is not in guest mode and cannot enter it */
static void svm_stop(struct svm_vp *s)
{
	if (!READ_ONCE(s->in_guest))
		return;
	s->n_kick++;
	__apic_send_IPI(s->cpu, RESCHEDULE_VECTOR);
	while (smp_load_acquire(&s->in_guest))
		cpu_relax();
}

static void svm_stop_all(struct fhv_pt *p)
{
	struct fhv_vp *v;

	list_for_each_entry(v, &p->vps, l) {
		svm_stop(S(v));
		S(v)->flush = true;
	}
}

/* fhv_lock held: something happened that a running or idle VP must notice */
static void svm_wake(struct fhv_pt *p, struct fhv_vp *v)
{
	struct svm_vp *s = S(v);

	if (READ_ONCE(s->in_guest)) {
		s->n_kick++;
		if (s->cpu != smp_processor_id())
			__apic_send_IPI(s->cpu, RESCHEDULE_VECTOR);
		return;
	}
	if (!v->blocked || v->explicit || v->intercept || v->dispatch)
		return;
	if (sched == HV_SCHEDULER_TYPE_ROOT) {
		vp_signal(p, v);
	} else if (!s->work_active) {
		v->blocked = false;
		s->work_active = true;
		queue_work(svm_wq, &s->work);
	}
}

/* hypervisor schedulers: a suspend bit was cleared */
static void svm_resume(struct fhv_pt *p, struct fhv_vp *v)
{
	struct svm_vp *s = S(v);

	if (v->explicit || v->intercept || v->dispatch || sched == HV_SCHEDULER_TYPE_ROOT)
		return;
	v->blocked = false;
	if (!s->work_active) {
		s->work_active = true;
		queue_work(svm_wq, &s->work);
	}
}

/* ----------------------------------------------------- nested page table --- */
static u64 *npt_slot(struct fhv_pt *p, u64 gfn, bool create)
{
	u64 *t = p->svm->npt;
	int lvl;

	for (lvl = 3; lvl > 0; lvl--) {
		u64 *e = &t[(gfn >> (9 * lvl)) & 511];

		if (!*e) {
			struct page *pg;

			if (!create)
				return NULL;
			pg = alloc_page(GFP_ATOMIC | __GFP_ZERO);
			if (!pg)
				return NULL;
			list_add(&pg->lru, &p->svm->tables);
			*e = page_to_phys(pg) | 7;
		}
		t = phys_to_virt(*e & GENMASK_ULL(51, 12));
	}
	return &t[gfn & 511];
}

/* the mapping of these pages changes: no VP may keep using the old one */
static void svm_zap_range(struct fhv_pt *p, u64 gfn, u64 n)
{
	bool stopped = false;
	u64 i;

	for (i = 0; i < n; i++) {
		u64 *e = npt_slot(p, gfn + i, false);

		if (!e) {
			i = ((gfn + i) | 511) - gfn; /* no table: skip to the next one */
			continue;
		}
		if (!*e)
			continue;
		if (!stopped) {
			svm_stop_all(p);
			stopped = true;
		}
		*e = 0;
	}
}

static struct svm_ov *ov_find(struct fhv_pt *p, u64 gfn)
{
	struct svm_ov *o;

	list_for_each_entry(o, &p->svm->ovs, l)
		if (o->on && o->gfn == gfn)
			return o;
	return NULL;
}

static int ov_set(struct fhv_pt *p, struct svm_ov *o, bool on, u64 gfn, bool wr)
{
	if (!o->pg) {
		if (!on)
			return 0;
		o->pg = alloc_page(GFP_ATOMIC | __GFP_ZERO);
		if (!o->pg)
			return -ENOMEM;
		list_add(&o->l, &p->svm->ovs);
	}
	if (o->on)
		svm_zap_range(p, o->gfn, 1);
	o->on = on;
	o->gfn = gfn;
	o->wr = wr;
	if (on)
		svm_zap_range(p, gfn, 1);
	return 0;
}

/* xarray entry of gfn, resolving 2M mappings; false: unmapped */
static bool gpa_ent(struct fhv_pt *p, u64 gfn, u64 *val)
{
	void *e = xa_load(&p->gpa, gfn);

	if (!e) {
		e = xa_load(&p->gpa, gfn & ~511ULL);
		if (!e || !(xa_to_value(e) & G_LARGE))
			return false;
		*val = xa_to_value(e) + ((gfn & 511) << 8);
		return true;
	}
	*val = xa_to_value(e);
	return true;
}

/* guest physical memory access of the hypervisor itself (decode, page walk) */
static int svm_gmem(struct fhv_pt *p, u64 gpa, void *buf, u32 len, bool wr)
{
	while (len) {
		u32 off = gpa & (PAGE_SIZE - 1), n = min_t(u32, len, PAGE_SIZE - off);
		struct svm_ov *o = ov_find(p, gpa >> 12);
		u64 val;
		u8 *k;

		if (o) {
			k = page_address(o->pg);
		} else {
			if (!gpa_ent(p, gpa >> 12, &val))
				return -ENXIO;
			if (!(val & (wr ? HV_MAP_GPA_WRITABLE : HV_MAP_GPA_READABLE)))
				return -EACCES;
			k = phys_to_virt((val >> 8) << PAGE_SHIFT);
		}
		if (wr)
			memcpy(k + off, buf, n);
		else
			memcpy(buf, k + off, n);
		buf += n;
		gpa += n;
		len -= n;
	}
	return 0;
}

/* 0: mapped, now present in the NPT; 1: intercept; 2: unmapped; <0: no memory */
static int npt_fault(struct fhv_pt *p, u64 gpa, u32 acc)
{
	u64 gfn = gpa >> 12, val, pte, *e;
	struct svm_ov *o = ov_find(p, gfn);

	if (o) {
		if (acc == HV_INTERCEPT_ACCESS_WRITE && !o->wr)
			return 1;
		pte = page_to_phys(o->pg) | 5 | (o->wr ? 2 : 0);
	} else {
		void *x;

		if (!gpa_ent(p, gfn, &val))
			return 2;
		if (!(val & HV_MAP_GPA_READABLE) ||
		    (acc == HV_INTERCEPT_ACCESS_WRITE && !(val & HV_MAP_GPA_WRITABLE)) ||
		    (acc == HV_INTERCEPT_ACCESS_EXECUTE && !(val & HV_MAP_GPA_EXECUTABLE)))
			return 1;
		x = xa_load(&p->gpa, gfn);
		if (x) { /* accessed / dirty tracking of 4K entries */
			val |= G_A | (acc == HV_INTERCEPT_ACCESS_WRITE ? G_D : 0);
			xa_store(&p->gpa, gfn, xa_mk_value(val), GFP_ATOMIC);
		} else {
			val |= G_D;
		}
		pte = (val >> 8) << PAGE_SHIFT | 5;
		if ((val & HV_MAP_GPA_WRITABLE) && (val & G_D))
			pte |= 2;
		if (!(val & HV_MAP_GPA_EXECUTABLE))
			pte |= BIT_ULL(63);
	}
	e = npt_slot(p, gfn, true);
	if (!e)
		return -ENOMEM;
	*e = pte;
	p->svm->n_npf++;
	return 0;
}

/* ------------------------------------------------------------- registers --- */
static u16 seg_to_svm(u16 a)
{
	return (a & 0xff) | ((a >> 4) & 0xf00);
}
static u16 seg_to_hv(u16 a)
{
	return (a & 0xff) | ((a & 0xf00) << 4);
}

static struct vmcb_seg *svm_seg(struct svm_vp *s, u32 i) /* hv order */
{
	struct vmcb_save_area *a = SAVE(s);

	switch (i) {
	case 0: return &a->es;
	case 1: return &a->cs;
	case 2: return &a->ss;
	case 3: return &a->ds;
	case 4: return &a->fs;
	case 5: return &a->gs;
	case 6: return &a->ldtr;
	}
	return &a->tr;
}

static void seg_get(struct svm_vp *s, u32 i, struct hv_x64_segment_register *r)
{
	struct vmcb_seg *g = svm_seg(s, i);

	r->base = g->base;
	r->limit = g->limit;
	r->selector = g->selector;
	r->attributes = seg_to_hv(g->attrib);
}

static void seg_set(struct svm_vp *s, u32 i, const struct hv_x64_segment_register *r)
{
	struct vmcb_seg *g = svm_seg(s, i);

	g->base = r->base;
	g->limit = r->limit;
	g->selector = r->selector;
	g->attrib = seg_to_svm(r->attributes);
	if (i == 2)
		SAVE(s)->cpl = (g->attrib >> 5) & 3;
}

static u64 *svm_gpr(struct svm_vp *s, int i)
{
	return i == 0 ? &SAVE(s)->rax : i == 4 ? &SAVE(s)->rsp : &s->gpr[i];
}

static u64 *svm_regp(struct svm_vp *s, u32 name)
{
	struct vmcb_save_area *a = SAVE(s);

	switch (name) {
	case 0x00020000 ... 0x0002000f: return svm_gpr(s, name & 15);
	case 0x00020010: return &a->rip;
	case 0x00020011: return &a->rflags;
	case 0x00040000: return &a->cr0;
	case 0x00040001: return &a->cr2;
	case 0x00040002: return &a->cr3;
	case 0x00040003: return &a->cr4;
	case 0x00040005: return &s->xfem;
	case 0x00050000 ... 0x00050003: return &s->dr[name & 3];
	case 0x00050004: return &a->dr6;
	case 0x00050005: return &a->dr7;
	case 0x00080002: return &a->kernel_gs_base;
	case 0x00080003: return &s->apic_base;
	case 0x00080004: return &a->g_pat;
	case 0x00080005: return &a->sysenter_cs;
	case 0x00080006: return &a->sysenter_eip;
	case 0x00080007: return &a->sysenter_esp;
	case 0x00080008: return &a->star;
	case 0x00080009: return &a->lstar;
	case 0x0008000a: return &a->cstar;
	case 0x0008000b: return &a->sfmask;
	case 0x0008007b: return &s->tsc_aux;
	case 0x000800a0: return &s->misc_enable;
	case 0x0008000e: return &s->mtrr_def;
	case 0x00090013: return &s->assist;
	case 0x000a0000 ... 0x000a000f: return &s->sint[name & 15];
	case 0x000a0010: return &s->scontrol;
	}
	return NULL;
}

static u8 *svm_xmm(struct svm_vp *s, u32 i)
{
	return s->fx + 160 + 16 * i;
}

static u64 ref_time(void)
{
	return div_u64(ktime_get_ns(), 100);
}

static void svm_msr_simp(struct fhv_pt *p, struct svm_vp *s, u64 val, bool simp)
{
	*(simp ? &s->simp : &s->siefp) = val;
	ov_set(p, simp ? &s->simp_ov : &s->siefp_ov, val & 1, val >> 12, true);
}

/*
 * Load what the VMM wrote in the register page: when the VP runs, as Hyper-V does. Until then
 * register hypercalls see and change what was there before.
 */
static void regpage_flush(struct fhv_vp *v)
{
	struct svm_vp *s = S(v);
	struct hv_vp_register_page *rp;
	u32 d, i;

	if (!v->state[HV_VP_STATE_PAGE_REGISTERS])
		return;
	rp = page_address(v->state[HV_VP_STATE_PAGE_REGISTERS]);
	if (!rp->isvalid || !READ_ONCE(rp->dirty))
		return;
	d = xchg(&rp->dirty, 0);
	if (d & BIT(HV_X64_REGISTER_CLASS_GENERAL))
		for (i = 0; i < 16; i++)
			*svm_gpr(s, i) = rp->gp_registers[i];
	if (d & BIT(HV_X64_REGISTER_CLASS_IP)) {
		SAVE(s)->rip = rp->rip;
		CTRL(s)->int_state &= ~1;
	}
	if (d & BIT(HV_X64_REGISTER_CLASS_FLAGS))
		SAVE(s)->rflags = rp->rflags | 2;
	if (d & BIT(HV_X64_REGISTER_CLASS_XMM))
		memcpy(svm_xmm(s, 0), &rp->xmm0, 96);
	if (d & BIT(HV_X64_REGISTER_CLASS_SEGMENT))
		for (i = 0; i < 6; i++)
			seg_set(s, i, &rp->segment_registers[i]);
}

static void regpage_fill(struct fhv_vp *v)
{
	struct svm_vp *s = S(v);
	struct vmcb_save_area *a = SAVE(s);
	struct hv_vp_register_page *rp;
	int i;

	if (!v->state[HV_VP_STATE_PAGE_REGISTERS])
		return;
	rp = page_address(v->state[HV_VP_STATE_PAGE_REGISTERS]);
	rp->version = HV_VP_REGISTER_PAGE_VERSION_1;
	for (i = 0; i < 16; i++)
		rp->gp_registers[i] = *svm_gpr(s, i);
	rp->rip = a->rip;
	rp->rflags = a->rflags;
	memcpy(&rp->xmm0, svm_xmm(s, 0), 96);
	for (i = 0; i < 6; i++)
		seg_get(s, i, &rp->segment_registers[i]);
	rp->cr0 = a->cr0;
	rp->cr3 = a->cr3;
	rp->cr4 = a->cr4;
	rp->cr8 = s->apic[A_TPR] >> 4;
	rp->efer = a->efer & ~EFER_SVME;
	rp->dr7 = a->dr7;
	rp->pending_interruption.as_uint64 =
		s->reinj ? 1 | (s->reinj >> 8 & 7) << 1 | (u64)(s->reinj & 0xff) << 16 : 0;
	rp->interrupt_state.as_uint64 = CTRL(s)->int_state & 1;
	rp->instruction_emulation_hints = 0;
	rp->xfem = s->xfem;
	rp->dirty = 0;
	smp_wmb();
	rp->isvalid = 1;
}

static void regpage_invalidate(struct fhv_vp *v)
{
	struct hv_vp_register_page *rp;

	if (!v->state[HV_VP_STATE_PAGE_REGISTERS])
		return;
	regpage_flush(v);
	rp = page_address(v->state[HV_VP_STATE_PAGE_REGISTERS]);
	rp->isvalid = 0;
}

/* returns false: not ours, use the plain store */
static bool svm_reg_get(struct fhv_pt *p, struct fhv_vp *v, u32 name, u64 *lo, u64 *hi)
{
	struct svm_vp *s = S(v);
	u64 *r;

	svm_stop(s);
	*hi = 0;
	r = svm_regp(s, name);
	if (r) {
		*lo = *r;
		return true;
	}
	switch (name) {
	case 0x00000004: *lo = s->wait_sipi | s->halted << 1; return true;
	case 0x00010002:
		*lo = s->reinj ? 1 | (s->reinj >> 8 & 7) << 1 | (s->reinj >> 11 & 1) << 4 |
					 (u64)(s->reinj & 0xff) << 16 | (u64)s->reinj_err << 32
			       : 0;
		return true;
	case 0x00010003: *lo = CTRL(s)->int_state & 1; return true;
	case 0x00010006: *lo = s->notify; return true;
	case 0x00030000 ... 0x0003000f:
		memcpy(lo, svm_xmm(s, name & 15), 8);
		memcpy(hi, svm_xmm(s, name & 15) + 8, 8);
		return true;
	case 0x00030018: /* FP control status: cw sw tag rsvd op(16) / rip(64) */
		*lo = (*(u64 *)s->fx & 0xffffffffffULL) | (u64) * (u16 *)(s->fx + 6) << 48;
		*hi = *(u64 *)(s->fx + 8);
		return true;
	case 0x00030019:
		*lo = *(u64 *)(s->fx + 16);
		*hi = *(u64 *)(s->fx + 24);
		return true;
	case 0x00040004: *lo = s->apic[A_TPR] >> 4; return true;
	case 0x00060000 ... 0x00060007: {
		struct hv_x64_segment_register g;

		seg_get(s, name & 7, &g);
		memcpy(lo, &g, 8);
		memcpy(hi, (u8 *)&g + 8, 8);
		return true;
	}
	case 0x00070000:
	case 0x00070001: {
		struct vmcb_seg *t = name & 1 ? &SAVE(s)->gdtr : &SAVE(s)->idtr;

		*lo = (u64)(t->limit & 0xffff) << 48;
		*hi = t->base;
		return true;
	}
	case 0x00080000: *lo = rdtsc(); return true;
	case 0x00080001: *lo = SAVE(s)->efer & ~EFER_SVME; return true;
	case 0x00084803: *lo = s->apic[A_VER]; return true;
	case 0x00090001: *lo = p->svm->hypercall; return true;
	case 0x00090002: *lo = p->svm->os_id; return true;
	case 0x00090003: *lo = v->idx; return true;
	case 0x00090004: *lo = ref_time(); return true;
	case 0x000a0011: *lo = 1; return true;
	case 0x000a0012: *lo = s->siefp; return true;
	case 0x000a0013: *lo = s->simp; return true;
	}
	return false;
}

static bool svm_reg_set(struct fhv_pt *p, struct fhv_vp *v, u32 name, u64 lo, u64 hi)
{
	struct svm_vp *s = S(v);
	u64 *r;

	svm_stop(s);
	s->stale = true; /* an unprocessed exit is discarded */
	r = svm_regp(s, name);
	if (r) {
		*r = lo;
		switch (name) {
		case 0x00020010: CTRL(s)->int_state &= ~1; break;
		case 0x00020011: *r |= 2; break;
		case 0x00040000 ... 0x00040003: s->flush = true; break;
		}
		return true;
	}
	switch (name) {
	case 0x00000004:
		s->wait_sipi = lo & 1;
		s->halted = lo >> 1 & 1;
		svm_wake(p, v);
		break;
	case 0x00010002:
		s->reinj = lo & 1 ? SVM_EVTINJ_VALID | (lo >> 1 & 7) << 8 | (lo >> 4 & 1) << 11 |
					    (lo >> 16 & 0xff)
				  : 0;
		s->reinj_err = lo >> 32;
		break;
	case 0x00010003: CTRL(s)->int_state = (CTRL(s)->int_state & ~1) | (lo & 1); break;
	case 0x00010004: /* pending event: exception */
		s->exc = lo & 1 ? SVM_EVTINJ_VALID | SVM_EVTINJ_TYPE_EXEPT | (lo >> 8 & 1) << 11 |
					  (lo >> 16 & 0xff)
				: 0;
		s->exc_err = lo >> 32;
		if ((lo >> 16 & 0xff) == 14)
			SAVE(s)->cr2 = hi;
		break;
	case 0x00010006:
		s->notify = lo;
		s->chk = true;
		svm_wake(p, v);
		break;
	case 0x00030000 ... 0x0003000f:
		memcpy(svm_xmm(s, name & 15), &lo, 8);
		memcpy(svm_xmm(s, name & 15) + 8, &hi, 8);
		break;
	case 0x00030018:
		memcpy(s->fx, &lo, 5);
		memcpy(s->fx + 6, (u8 *)&lo + 6, 2);
		memcpy(s->fx + 8, &hi, 8);
		break;
	case 0x00030019:
		memcpy(s->fx + 16, &lo, 8);
		*(u32 *)(s->fx + 24) = hi;
		break;
	case 0x00040004: s->apic[A_TPR] = (lo & 15) << 4; break;
	case 0x00060000 ... 0x00060007: {
		struct hv_x64_segment_register g;

		memcpy(&g, &lo, 8);
		memcpy((u8 *)&g + 8, &hi, 8);
		seg_set(s, name & 7, &g);
		break;
	}
	case 0x00070000:
	case 0x00070001: {
		struct vmcb_seg *t = name & 1 ? &SAVE(s)->gdtr : &SAVE(s)->idtr;

		t->limit = lo >> 48;
		t->base = hi;
		break;
	}
	case 0x00080000: break;
	case 0x00080001: SAVE(s)->efer = lo | EFER_SVME; break;
	case 0x00090002: p->svm->os_id = lo; break;
	case 0x000a0012: svm_msr_simp(p, s, lo, false); break;
	case 0x000a0013: svm_msr_simp(p, s, lo, true); break;
	default: return false;
	}
	return true;
}

/* ------------------------------------------------------------- local APIC -- */
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

static u32 la_read(struct svm_vp *s, u32 idx)
{
	if (idx == A_PPR)
		return apic_ppr(s);
	return s->apic[idx & 63];
}

static void la_write(struct fhv_pt *p, struct fhv_vp *v, u32 idx, u32 val)
{
	struct svm_vp *s = S(v);

	switch (idx) {
	case A_EOI: la_eoi(p, v); break;
	case A_TPR: s->apic[A_TPR] = val & 0xff; break;
	case A_SVR: s->apic[A_SVR] = val & 0x1ff; break;
	case A_LDR: s->apic[A_LDR] = val & 0xff000000; break;
	case A_DFR: s->apic[A_DFR] = val | 0x0fffffff; break;
	case A_ESR: s->apic[A_ESR] = 0; break;
	case A_ICRL:
		s->apic[A_ICRL] = val & ~BIT(12);
		apic_icr(p, v, val, s->apic[A_ICRH] >> 24);
		break;
	case A_ICRH: s->apic[A_ICRH] = val; break;
	case 0x2f:
	case 0x32 ... 0x39:
	case 0x3e: s->apic[idx] = val; break;
	}
}

/* ------------------------------------------------------------------ SynIC -- */
static void sint_raise(struct fhv_pt *p, struct fhv_vp *v, u32 n)
{
	struct svm_vp *s = S(v);
	u64 c = s->sint[n];

	if (c & (BIT(16) | BIT(18)) || (c & 0xff) < 16) /* masked, polling */
		return;
	if (c & BIT(17))
		vset(s->autoeoi, c & 0xff);
	else
		vclr(s->autoeoi, c & 0xff);
	apic_request(p, v, c & 0xff, false);
}

static u64 svm_post_message(struct fhv_pt *p, struct fhv_vp *v, u32 sint, const u8 *msg)
{
	struct svm_vp *s = S(v);
	u8 *slot;

	if (sint > 15)
		return HV_STATUS_INVALID_PARAMETER;
	if (!(s->scontrol & 1) || !s->simp_ov.on)
		return 0x18 /* INVALID_SYNIC_STATE */;
	slot = (u8 *)page_address(s->simp_ov.pg) + 256 * sint;
	if (READ_ONCE(*(u32 *)slot)) {
		slot[5] |= 1; /* message pending: guest must EOM */
		mb();
		if (READ_ONCE(*(u32 *)slot))
			return 0x19 /* OBJECT_IN_USE */;
	}
	memcpy(slot + 4, msg + 4, 252);
	slot[5] &= ~1;
	smp_wmb();
	WRITE_ONCE(*(u32 *)slot, *(u32 *)msg);
	sint_raise(p, v, sint);
	return 0;
}

static u64 svm_signal_event(struct fhv_pt *p, struct fhv_vp *v, u32 sint, u32 flag, bool *newly)
{
	struct svm_vp *s = S(v);
	unsigned long *w;

	*newly = false;
	if (sint > 15 || flag > 2047)
		return HV_STATUS_INVALID_PARAMETER;
	if (!(s->scontrol & 1) || !s->siefp_ov.on)
		return 0x18;
	w = page_address(s->siefp_ov.pg) + 256 * sint;
	if (!test_and_set_bit(flag, w)) {
		*newly = true;
		sint_raise(p, v, sint);
	}
	return 0;
}

/* ---------------------------------------------------- guest page tables ---- */
/* 0 ok; 1 not present; 2 privilege/other; 4 GPA unmapped */
static int svm_walk(struct fhv_pt *p, struct svm_vp *s, u64 gva, u64 *gpa)
{
	struct vmcb_save_area *a = SAVE(s);
	u64 t, e = 0;
	int lvl, top;

	if (!(a->cr0 & X86_CR0_PG)) {
		*gpa = gva & 0xffffffff;
		return 0;
	}
	if (!(a->cr4 & X86_CR4_PAE)) {
		u32 e32;

		if (svm_gmem(p, (a->cr3 & ~0xfffULL) + (gva >> 22 & 1023) * 4, &e32, 4, false))
			return 4;
		if (!(e32 & 1))
			return 1;
		if ((e32 & 0x80) && (a->cr4 & X86_CR4_PSE)) {
			*gpa = (e32 & 0xffc00000) | (gva & 0x3fffff);
			return 0;
		}
		if (svm_gmem(p, (e32 & ~0xfffu) + (gva >> 12 & 1023) * 4, &e32, 4, false))
			return 4;
		if (!(e32 & 1))
			return 1;
		*gpa = (e32 & ~0xfffu) | (gva & 0xfff);
		return 0;
	}
	if (a->efer & EFER_LMA) {
		t = a->cr3 & GENMASK_ULL(51, 12);
		top = 3;
	} else {
		if (svm_gmem(p, (a->cr3 & ~31ULL) + (gva >> 30 & 3) * 8, &e, 8, false))
			return 4;
		if (!(e & 1))
			return 1;
		t = e & GENMASK_ULL(51, 12);
		top = 1;
	}
	for (lvl = top; lvl >= 0; lvl--) {
		if (svm_gmem(p, t + (gva >> (12 + 9 * lvl) & 511) * 8, &e, 8, false))
			return 4;
		if (!(e & 1))
			return 1;
		t = e & GENMASK_ULL(51, 12);
		if (lvl && (e & 0x80)) {
			u64 m = (1ULL << (12 + 9 * lvl)) - 1;

			*gpa = (t & ~m) | (gva & m);
			return 0;
		}
	}
	*gpa = t | (gva & 0xfff);
	return 0;
}

static bool code64(struct svm_vp *s)
{
	return (SAVE(s)->efer & EFER_LMA) && (SAVE(s)->cs.attrib & 0x200);
}

static u64 svm_linrip(struct svm_vp *s)
{
	return code64(s) ? SAVE(s)->rip : (u32)(SAVE(s)->cs.base + SAVE(s)->rip);
}

static int svm_fetch(struct fhv_pt *p, struct svm_vp *s, u8 *b, int n)
{
	u64 gva = svm_linrip(s), gpa;
	int got = 0;

	while (got < n) {
		int c = min_t(int, n - got, PAGE_SIZE - (gva & 0xfff));

		if (svm_walk(p, s, gva, &gpa) || svm_gmem(p, gpa, b + got, c, false))
			break;
		got += c;
		gva += c;
	}
	return got;
}

/* ----------------------------------------------- decoder for simple MOVs --- */
struct svm_insn {
	int len, size, reg; /* reg: destination of a read */
	int dsz;            /* destination size of movzx/movsx */
	bool wr, sx, hi8, rex;
	u64 val, gva;
};

static int seg_idx_default(int rm_base)
{
	return rm_base == 4 || rm_base == 5 ? 2 : 3;
}

static bool svm_decode(struct svm_vp *s, const u8 *b, int n, struct svm_insn *d)
{
	bool l64 = code64(s), o16, a16, a67 = false, o66 = false;
	int i = 0, seg = -1, rex = 0, op, mod, reg, rm, base = -1, imm = 0;
	u64 ea = 0;

	memset(d, 0, sizeof(*d));
	for (; i < n; i++) {
		switch (b[i]) {
		case 0x66: o66 = true; continue;
		case 0x67: a67 = true; continue;
		case 0x26: seg = 0; continue;
		case 0x2e: seg = 1; continue;
		case 0x36: seg = 2; continue;
		case 0x3e: seg = 3; continue;
		case 0x64: seg = 4; continue;
		case 0x65: seg = 5; continue;
		case 0xf0:
		case 0xf2:
		case 0xf3: continue;
		}
		break;
	}
	if (l64 && i < n && (b[i] & 0xf0) == 0x40)
		rex = b[i++];
	d->rex = rex;
	o16 = l64 ? o66 : !!(SAVE(s)->cs.attrib & 0x400) == o66;
	a16 = !l64 && !!(SAVE(s)->cs.attrib & 0x400) == a67;
	if (i >= n)
		return false;
	op = b[i++];
	if (op == 0x0f) {
		if (i >= n)
			return false;
		op = 0x100 | b[i++];
	}
	d->dsz = d->size = rex & 8 ? 8 : o16 ? 2 : 4;
	switch (op) {
	case 0x88: d->size = 1; fallthrough;
	case 0x89: d->wr = true; break;
	case 0x8a: d->dsz = d->size = 1; fallthrough;
	case 0x8b: break;
	case 0xc6:
		d->size = 1;
		d->wr = true;
		imm = 1;
		break;
	case 0xc7:
		d->wr = true;
		imm = d->size == 2 ? 2 : 4;
		break;
	case 0x1be: d->sx = true; fallthrough;
	case 0x1b6: d->size = 1; break;
	case 0x1bf: d->sx = true; fallthrough;
	case 0x1b7: d->size = 2; break;
	case 0xa0:
	case 0xa1:
	case 0xa2:
	case 0xa3: {
		int al = l64 ? (a67 ? 4 : 8) : a16 ? 2 : 4;

		if (i + al > n)
			return false;
		memcpy(&ea, b + i, al);
		i += al;
		if (!(op & 1))
			d->dsz = d->size = 1;
		d->wr = op & 2;
		d->reg = 0;
		d->val = SAVE(s)->rax;
		goto seg;
	}
	default: return false;
	}
	if (i >= n)
		return false;
	mod = b[i] >> 6;
	reg = (b[i] >> 3 & 7) | (rex & 4) << 1;
	rm = b[i++] & 7;
	if (mod == 3)
		return false;
	if (a16) {
		static const s8 r1[] = { 3, 3, 5, 5, 6, 7, 5, 3 },
				r2[] = { 6, 7, 6, 7, -1, -1, -1, -1 };

		if (mod == 0 && rm == 6) {
			if (i + 2 > n)
				return false;
			ea = b[i] | b[i + 1] << 8;
			i += 2;
		} else {
			ea = *svm_gpr(s, r1[rm]) + (r2[rm] >= 0 ? *svm_gpr(s, r2[rm]) : 0);
			base = r1[rm];
			if (mod == 1)
				ea += (s8)b[i++];
			else if (mod == 2) {
				ea += b[i] | b[i + 1] << 8;
				i += 2;
			}
		}
		ea &= 0xffff;
	} else {
		bool rip = false;

		if (rm == 4) {
			u8 sib = b[i++];
			int idx = (sib >> 3 & 7) | (rex & 2) << 2, bs = sib & 7;

			if (idx != 4)
				ea += *svm_gpr(s, idx) << (sib >> 6);
			if (bs == 5 && mod == 0) {
				ea += *(s32 *)(b + i);
				i += 4;
			} else {
				base = bs | (rex & 1) << 3;
				ea += *svm_gpr(s, base);
			}
		} else if (mod == 0 && rm == 5) {
			ea = *(s32 *)(b + i);
			i += 4;
			rip = l64;
		} else {
			base = rm | (rex & 1) << 3;
			ea = *svm_gpr(s, base);
		}
		if (mod == 1)
			ea += (s8)b[i++];
		else if (mod == 2) {
			ea += *(s32 *)(b + i);
			i += 4;
		}
		if (rip)
			ea += SAVE(s)->rip + i + imm;
		if (!l64 || a67)
			ea = (u32)ea;
	}
	if (imm) {
		d->val = imm == 1 ? b[i] : imm == 2 ? *(u16 *)(b + i) : (u64)(s64) * (s32 *)(b + i);
		i += imm;
	} else {
		d->reg = reg;
		if (d->size == 1 && !rex && reg >= 4 && op < 0x100) {
			d->hi8 = true;
			d->reg = reg & 3;
			d->val = *svm_gpr(s, reg & 3) >> 8;
		} else {
			d->val = *svm_gpr(s, reg);
		}
	}
seg:
	if (i > n)
		return false;
	if (seg < 0)
		seg = base >= 0 ? seg_idx_default(base) : 3;
	if (!l64)
		ea = (u32)(ea + svm_seg(s, seg)->base);
	else if (seg >= 4)
		ea += svm_seg(s, seg)->base;
	d->gva = ea;
	if (d->size < 8)
		d->val &= (1ULL << (8 * d->size)) - 1;
	d->len = i;
	return true;
}

static void svm_skip(struct svm_vp *s, int len)
{
	SAVE(s)->rip += len;
	if (!code64(s))
		SAVE(s)->rip = (u32)SAVE(s)->rip;
	CTRL(s)->int_state &= ~1;
}

static void svm_insn_result(struct svm_vp *s, struct svm_insn *d, u64 val)
{
	u64 *r = svm_gpr(s, d->reg);

	if (d->sx)
		val = d->size == 1 ? (u64)(s64)(s8)val : (u64)(s64)(s16)val;
	switch (d->dsz) {
	case 1:
		if (d->hi8)
			*r = (*r & ~0xff00ULL) | (val & 0xff) << 8;
		else
			*r = (*r & ~0xffULL) | (val & 0xff);
		break;
	case 2: *r = (*r & ~0xffffULL) | (val & 0xffff); break;
	case 4: *r = (u32)val; break;
	case 8: *r = val; break;
	}
}

/* --------------------------------------------------------------- messages -- */
static void msg_header(struct fhv_vp *v, struct hv_x64_intercept_message_header *h, int len,
		       int acc)
{
	struct svm_vp *s = S(v);
	struct vmcb_save_area *a = SAVE(s);

	memset(h, 0, sizeof(*h));
	h->vp_index = v->idx;
	h->instruction_length = len;
	h->cr8 = s->apic[A_TPR] >> 4;
	h->intercept_access_type = acc;
	h->execution_state.cpl = a->cpl;
	h->execution_state.cr0_pe = a->cr0 & 1;
	h->execution_state.cr0_am = !!(a->cr0 & X86_CR0_AM);
	h->execution_state.efer_lma = !!(a->efer & EFER_LMA);
	h->execution_state.debug_active = !!(a->dr7 & 0xff);
	h->execution_state.interruption_pending = !!s->reinj;
	h->execution_state.interrupt_shadow = CTRL(s)->int_state & 1;
	seg_get(s, 1, &h->cs_segment);
	h->rip = a->rip;
	h->rflags = a->rflags;
}

/* fhv_lock held; the VP becomes intercept-suspended */
static void svm_deliver(struct fhv_pt *p, struct fhv_vp *v, u32 type, const void *pay, u32 len)
{
	struct hv_message *m;

	if (!v->state[HV_VP_STATE_PAGE_INTERCEPT_MESSAGE])
		return;
	m = page_address(v->state[HV_VP_STATE_PAGE_INTERCEPT_MESSAGE]);
	memset(m, 0, sizeof(*m));
	m->header.message_type = type;
	m->header.payload_size = len;
	m->header.sender = p->id;
	memcpy(m->u.payload, pay, len);
	asm volatile("fxsave64 %0" : "=m"(S(v)->fx));
	regpage_fill(v);
	v->intercept = 1;
	if (svm_trace)
		fhv_log("INTERCEPT pt=%llu vp=%u type=0x%x rip=0x%llx", p->id, v->idx, type,
			SAVE(S(v))->rip);
	if (sched != HV_SCHEDULER_TYPE_ROOT) {
		struct hv_message o = {};

		o.header.message_type = HVMSG_OPAQUE_INTERCEPT;
		o.header.payload_size = sizeof(struct hv_opaque_intercept_message);
		o.header.sender = p->id;
		((struct hv_opaque_intercept_message *)o.u.payload)->vp_index = v->idx;
		sim_post(smp_processor_id(), &o);
	}
}

static struct svm_icpt *icpt_find(struct fhv_pt *p, u32 type, u64 param, u32 acc)
{
	struct svm_icpt *i;

	list_for_each_entry(i, &p->svm->icpts, l)
		if (i->type == type && (param == ~0ULL || i->param == param) &&
		    (!acc || (i->access & acc)))
			return i;
	return NULL;
}

static int svm_install(struct fhv_pt *p, u32 type, u32 access, u64 param)
{
	struct svm_icpt *i, *n;

	list_for_each_entry_safe(i, n, &p->svm->icpts, l)
		if (i->type == type && i->param == param) {
			list_del(&i->l);
			kfree(i);
		}
	if (access) {
		i = kzalloc(sizeof(*i), GFP_ATOMIC);
		if (!i)
			return -ENOMEM;
		i->type = type;
		i->access = access;
		i->param = param;
		list_add(&i->l, &p->svm->icpts);
	}
	p->svm->exc_mask = 0;
	list_for_each_entry(i, &p->svm->icpts, l)
		if (i->type == 3)
			p->svm->exc_mask |= BIT(i->param & 31);
	svm_stop_all(p);
	return 0;
}

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

static void svm_inject(struct svm_vp *s, u8 vec, bool has_err, u32 err)
{
	s->exc = SVM_EVTINJ_VALID | SVM_EVTINJ_TYPE_EXEPT | vec |
		 (has_err ? SVM_EVTINJ_VALID_ERR : 0);
	s->exc_err = err;
}

/* ------------------------------------------------------------ exit handlers */
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
			/* no MONITOR, TSC deadline, XSAVE, OSXSAVE, AVX, FMA, F16C */
			o[2] &= ~(BIT(3) | BIT(24) | BIT(26) | BIT(27) | BIT(28) | BIT(12) |
				  BIT(29));
			o[2] |= BIT(31);
			if (!(p->flags & HV_PARTITION_CREATION_FLAG_X2APIC_CAPABLE))
				o[2] &= ~BIT(21);
			else
				o[2] |= BIT(21);
			break;
		case 7: o[1] = o[2] = o[3] = 0; break;
		case 0xd: memset(o, 0, 16); break;
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

static bool svm_rdmsr(struct fhv_pt *p, struct fhv_vp *v, u32 msr, u64 *val)
{
	struct svm_vp *s = S(v);
	struct vmcb_save_area *a = SAVE(s);

	*val = 0;
	switch (msr) {
	case MSR_EFER: *val = a->efer & ~EFER_SVME; break;
	case MSR_STAR: *val = a->star; break;
	case MSR_LSTAR: *val = a->lstar; break;
	case MSR_CSTAR: *val = a->cstar; break;
	case MSR_SYSCALL_MASK: *val = a->sfmask; break;
	case MSR_FS_BASE: *val = a->fs.base; break;
	case MSR_GS_BASE: *val = a->gs.base; break;
	case MSR_KERNEL_GS_BASE: *val = a->kernel_gs_base; break;
	case MSR_IA32_SYSENTER_CS: *val = a->sysenter_cs; break;
	case MSR_IA32_SYSENTER_ESP: *val = a->sysenter_esp; break;
	case MSR_IA32_SYSENTER_EIP: *val = a->sysenter_eip; break;
	case MSR_IA32_CR_PAT: *val = a->g_pat; break;
	case MSR_IA32_TSC: *val = rdtsc(); break;
	case MSR_TSC_AUX: *val = s->tsc_aux; break;
	case MSR_IA32_MISC_ENABLE: *val = s->misc_enable; break;
	case MSR_MTRRcap: break;
	case MSR_MTRRdefType: *val = s->mtrr_def; break;
	case MSR_IA32_APICBASE:
		if (!has_apic(p))
			return false;
		*val = s->apic_base;
		break;
	case 0x800 ... 0x83f:
		if (!has_apic(p) || !x2apic(s))
			return false;
		*val = la_read(s, msr - 0x800);
		if (msr == 0x802)
			*val = v->apic_id;
		if (msr == 0x830)
			*val |= (u64)s->apic[A_ICRH] << 32;
		break;
	case HV_X64_MSR_GUEST_OS_ID: *val = p->svm->os_id; break;
	case HV_X64_MSR_HYPERCALL: *val = p->svm->hypercall; break;
	case HV_X64_MSR_VP_INDEX: *val = v->idx; break;
	case HV_X64_MSR_VP_RUNTIME:
	case HV_X64_MSR_TIME_REF_COUNT: *val = ref_time(); break;
	case HV_X64_MSR_TPR: *val = s->apic[A_TPR]; break;
	case HV_X64_MSR_ICR: *val = s->apic[A_ICRL] | (u64)s->apic[A_ICRH] << 32; break;
	case HV_X64_MSR_VP_ASSIST_PAGE: *val = s->assist; break;
	case HV_X64_MSR_SCONTROL: *val = s->scontrol; break;
	case HV_X64_MSR_SVERSION: *val = 1; break;
	case HV_X64_MSR_SIEFP: *val = s->siefp; break;
	case HV_X64_MSR_SIMP: *val = s->simp; break;
	case HV_X64_MSR_EOM: break;
	case HV_X64_MSR_SINT0 ... HV_X64_MSR_SINT15: *val = s->sint[msr - HV_X64_MSR_SINT0]; break;
	default: return false;
	}
	return true;
}

static bool svm_wrmsr(struct fhv_pt *p, struct fhv_vp *v, u32 msr, u64 val)
{
	struct svm_vp *s = S(v);
	struct vmcb_save_area *a = SAVE(s);

	switch (msr) {
	case MSR_EFER: a->efer = (val & ~EFER_LMA) | (a->efer & EFER_LMA) | EFER_SVME; break;
	case MSR_STAR: a->star = val; break;
	case MSR_LSTAR: a->lstar = val; break;
	case MSR_CSTAR: a->cstar = val; break;
	case MSR_SYSCALL_MASK: a->sfmask = val; break;
	case MSR_FS_BASE: a->fs.base = val; break;
	case MSR_GS_BASE: a->gs.base = val; break;
	case MSR_KERNEL_GS_BASE: a->kernel_gs_base = val; break;
	case MSR_IA32_SYSENTER_CS: a->sysenter_cs = val; break;
	case MSR_IA32_SYSENTER_ESP: a->sysenter_esp = val; break;
	case MSR_IA32_SYSENTER_EIP: a->sysenter_eip = val; break;
	case MSR_IA32_CR_PAT: a->g_pat = val; break;
	case MSR_IA32_TSC: break;
	case MSR_TSC_AUX: s->tsc_aux = val; break;
	case MSR_IA32_MISC_ENABLE: s->misc_enable = val; break;
	case MSR_MTRRdefType: s->mtrr_def = val; break;
	case MSR_IA32_APICBASE:
		if (!has_apic(p) || (val & ~0xffffffd00ULL) ||
		    ((val & 0x400) && !(p->flags & HV_PARTITION_CREATION_FLAG_X2APIC_CAPABLE)))
			return false;
		s->apic_base = (val & ~0x100ULL) | (s->apic_base & 0x100);
		if (x2apic(s))
			s->apic[A_LDR] = (v->apic_id >> 4) << 16 | 1 << (v->apic_id & 15);
		break;
	case 0x800 ... 0x83f:
		if (!has_apic(p) || !x2apic(s))
			return false;
		if (msr == 0x830) {
			s->apic[A_ICRL] = val;
			s->apic[A_ICRH] = val >> 32;
			apic_icr(p, v, val, val >> 32);
		} else if (msr == 0x83f) {
			apic_deliver(p, v, 0, val, false); /* self IPI */
		} else {
			la_write(p, v, msr - 0x800, val);
		}
		break;
	case HV_X64_MSR_GUEST_OS_ID:
		p->svm->os_id = val;
		if (!val)
			hc_page(p, 0);
		break;
	case HV_X64_MSR_HYPERCALL:
		if (p->svm->os_id)
			hc_page(p, val);
		break;
	case HV_X64_MSR_EOI: la_eoi(p, v); break;
	case HV_X64_MSR_ICR: apic_icr(p, v, val, val >> (x2apic(s) ? 32 : 56)); break;
	case HV_X64_MSR_TPR: s->apic[A_TPR] = val & 0xff; break;
	case HV_X64_MSR_VP_ASSIST_PAGE: s->assist = val; break;
	case HV_X64_MSR_SCONTROL: s->scontrol = val; break;
	case HV_X64_MSR_SIEFP: svm_msr_simp(p, s, val, false); break;
	case HV_X64_MSR_SIMP: svm_msr_simp(p, s, val, true); break;
	case HV_X64_MSR_EOM: s->chk = true; break;
	case HV_X64_MSR_SINT0 ... HV_X64_MSR_SINT15:
		if (!(val & BIT(16)) && (val & 0xff) < 16 && !(val & BIT(18)))
			return false;
		s->sint[msr - HV_X64_MSR_SINT0] = val;
		break;
	default: return false;
	}
	return true;
}

static void svm_x_msr(struct fhv_pt *p, struct fhv_vp *v)
{
	struct svm_vp *s = S(v);
	u32 msr = s->gpr[1];
	bool wr = CTRL(s)->exit_info_1 & 1;
	struct x64_msr_msg m = {};
	struct kv *k;
	u64 val;

	if (icpt_find(p, 0xc, msr, wr ? 2 : 1))
		goto icpt;
	if (wr) {
		if (svm_wrmsr(p, v, msr, (u32)SAVE(s)->rax | s->gpr[2] << 32)) {
			svm_skip(s, 2);
			return;
		}
	} else if (svm_rdmsr(p, v, msr, &val)) {
		SAVE(s)->rax = (u32)val;
		s->gpr[2] = val >> 32;
		svm_skip(s, 2);
		return;
	}
	if (icpt_find(p, 1, ~0ULL, wr ? 2 : 1))
		goto icpt;
	k = kv_find(&p->props, HV_PARTITION_PROPERTY_UNIMPLEMENTED_MSR_ACTION);
	if (k && k->lo == 1) { /* ignore write, read zero */
		if (!wr)
			SAVE(s)->rax = s->gpr[2] = 0;
		svm_skip(s, 2);
		return;
	}
	fhv_log("MSR_GP pt=%llu vp=%u msr=0x%x write=%d", p->id, v->idx, msr, wr);
	svm_inject(s, 13, true, 0);
	return;
icpt:
	msg_header(v, &m.h, 2, wr);
	m.msr = msr;
	m.rdx = s->gpr[2];
	m.rax = SAVE(s)->rax;
	svm_deliver(p, v, HVMSG_X64_MSR_INTERCEPT, &m, sizeof(m));
}

static void svm_x_io(struct fhv_pt *p, struct fhv_vp *v)
{
	struct svm_vp *s = S(v);
	u64 i1 = CTRL(s)->exit_info_1;
	struct x64_io_msg m = {};

	msg_header(v, &m.h, CTRL(s)->exit_info_2 - SAVE(s)->rip, i1 & 1 ? 0 : 1);
	m.port = i1 >> 16;
	m.access = (i1 >> 4 & 7) | (i1 >> 2 & 1) << 3 | (i1 >> 3 & 1) << 4;
	m.nbytes = svm_fetch(p, s, m.bytes, 16);
	m.rax = SAVE(s)->rax;
	seg_get(s, 3, &m.ds);
	seg_get(s, 0, &m.es);
	m.rcx = s->gpr[1];
	m.rsi = s->gpr[6];
	m.rdi = s->gpr[7];
	svm_deliver(p, v, HVMSG_X64_IO_PORT_INTERCEPT, &m, sizeof(m));
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
		asm volatile("fxsave64 %0" : "=m"(s->fx));
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

static void svm_x_exc(struct fhv_pt *p, struct fhv_vp *v, int vec)
{
	struct svm_vp *s = S(v);
	struct x64_exc_msg m = {};
	int i;

	msg_header(v, &m.h, 0, HV_INTERCEPT_ACCESS_EXECUTE);
	m.vector = vec;
	m.info = vec == 8 || (vec >= 10 && vec <= 14) || vec == 17;
	m.err = CTRL(s)->exit_info_1;
	m.param = vec == 14 ? CTRL(s)->exit_info_2 : 0;
	m.nbytes = svm_fetch(p, s, m.bytes, 16);
	seg_get(s, 3, &m.ds);
	seg_get(s, 2, &m.ss);
	for (i = 0; i < 16; i++)
		m.r[i] = *svm_gpr(s, i);
	svm_deliver(p, v, HVMSG_X64_EXCEPTION_INTERCEPT, &m, sizeof(m));
}

/* fhv_lock held, fpu loaded */
static void svm_exit(struct fhv_pt *p, struct fhv_vp *v)
{
	struct svm_vp *s = S(v);
	u64 code = CTRL(s)->exit_code;
	struct hv_x64_intercept_message_header h;

	switch (code) {
	case SVM_EXIT_INTR:
	case SVM_EXIT_NMI:
	case SVM_EXIT_VINTR: break;
	case SVM_EXIT_EXCP_BASE ... SVM_EXIT_LAST_EXCP:
		svm_x_exc(p, v, code - SVM_EXIT_EXCP_BASE);
		break;
	case SVM_EXIT_CPUID: svm_x_cpuid(p, v); break;
	case SVM_EXIT_MSR: svm_x_msr(p, v); break;
	case SVM_EXIT_IOIO: svm_x_io(p, v); break;
	case SVM_EXIT_VMMCALL: svm_x_vmmcall(p, v); break;
	case SVM_EXIT_NPF: svm_x_npf(p, v); break;
	case SVM_EXIT_HLT:
		if (has_apic(p)) {
			svm_skip(s, 1);
			s->halted = true;
			break;
		}
		msg_header(v, &h, 1, HV_INTERCEPT_ACCESS_EXECUTE);
		svm_deliver(p, v, HVMSG_X64_HALT, &h, sizeof(h));
		break;
	case SVM_EXIT_XSETBV:
		s->xfem = (u32)SAVE(s)->rax | s->gpr[2] << 32;
		svm_skip(s, 3);
		break;
	case SVM_EXIT_SHUTDOWN:
		fhv_log("SHUTDOWN pt=%llu vp=%u rip=%llx rsp=%llx cr2=%llx intinfo=%x/%x inj=%x "
			"err=%x idt=%llx",
			p->id, v->idx, SAVE(s)->rip, SAVE(s)->rsp, SAVE(s)->cr2,
			CTRL(s)->exit_int_info, CTRL(s)->exit_int_info_err, CTRL(s)->event_inj,
			CTRL(s)->event_inj_err, SAVE(s)->idtr.base);
		s->reinj = 0;
		msg_header(v, &h, 0, 0);
		svm_deliver(p, v, HVMSG_UNRECOVERABLE_EXCEPTION, &h, sizeof(h));
		break;
	case 0xffffffff: /* QEMU stores 32 bits */
	case (u64)-1: {
		u32 m[2] = { v->idx, 0 };

		fhv_log("INVALID_VMCB pt=%llu vp=%u cr0=%llx cr4=%llx efer=%llx cs=%x", p->id,
			v->idx, SAVE(s)->cr0, SAVE(s)->cr4, SAVE(s)->efer, SAVE(s)->cs.attrib);
		svm_deliver(p, v, HVMSG_INVALID_VP_REGISTER_VALUE, m, sizeof(m));
		break;
	}
	case SVM_EXIT_VMRUN:
	case SVM_EXIT_VMLOAD:
	case SVM_EXIT_VMSAVE:
	case SVM_EXIT_STGI:
	case SVM_EXIT_CLGI:
	case SVM_EXIT_SKINIT:
	case SVM_EXIT_INVLPGA:
	case SVM_EXIT_MONITOR:
	case SVM_EXIT_MWAIT: svm_inject(s, 6, false, 0); break;
	default:
		fhv_log("EXIT pt=%llu vp=%u unknown code=0x%llx info=%llx,%llx rip=%llx rsp=%llx "
			"cs=%x cr3=%llx intinfo=%x inj=%x vector=%x",
			p->id, v->idx, code, CTRL(s)->exit_info_1, CTRL(s)->exit_info_2,
			SAVE(s)->rip, SAVE(s)->rsp, SAVE(s)->cs.selector, SAVE(s)->cr3,
			CTRL(s)->exit_int_info, CTRL(s)->event_inj, s->last_inj);
		msg_header(v, &h, 0, 0);
		svm_deliver(p, v, HVMSG_UNRECOVERABLE_EXCEPTION, &h, sizeof(h));
	}
}

/* --------------------------------------------------------------- VM entry -- */
static void svm_ack(struct svm_vp *s, int vec)
{
	vclr(s->apic + A_IRR, vec);
	if (!vget(s->autoeoi, vec))
		vset(s->apic + A_ISR, vec);
}

/* choose the event to inject, open an interrupt window if one more waits */
static void svm_prepare(struct fhv_pt *p, struct fhv_vp *v)
{
	struct svm_vp *s = S(v);
	struct vmcb_control_area *c = CTRL(s);
	bool can = (SAVE(s)->rflags & X86_EFLAGS_IF) && !(c->int_state & 1), want;
	int vec;

	c->event_inj = 0;
	if (s->reinj) {
		c->event_inj = s->reinj;
		c->event_inj_err = s->reinj_err;
		s->reinj = 0;
	} else if (s->exc) {
		c->event_inj = s->exc;
		c->event_inj_err = s->exc_err;
		s->exc = 0;
	} else if (s->nmi && !(c->int_state & 1)) {
		c->event_inj = SVM_EVTINJ_VALID | SVM_EVTINJ_TYPE_NMI | 2;
		s->nmi = false;
	} else if (s->extint >= 0 && can) {
		c->event_inj = SVM_EVTINJ_VALID | SVM_EVTINJ_TYPE_INTR | s->extint;
		s->extint = -1;
	} else if (can && (vec = apic_deliverable(s)) >= 0) {
		svm_ack(s, vec);
		/*
		 * Type "soft" where that is possible (CPL 0, no gate DPL check to fail):
		 * QEMU's helper_vmrun leaves a stale exception_index behind an injected
		 * INTR, and a CPU kick at that moment delivers the vector a second time.
		 */
		c->event_inj = SVM_EVTINJ_VALID | vec |
			       (SAVE(s)->cpl ? SVM_EVTINJ_TYPE_INTR : SVM_EVTINJ_TYPE_SOFT);
		s->n_inj++;
	}
	s->last_inj = c->event_inj;
	want = apic_deliverable(s) >= 0 || s->extint >= 0;
	c->int_ctl = V_INTR_MASKING_MASK | (s->apic[A_TPR] >> 4 & 15);
	if (want) {
		c->int_ctl |= V_IRQ_MASK | V_IGN_TPR_MASK | (0xf << V_INTR_PRIO_SHIFT);
		c->intercepts[INTERCEPT_WORD3] |= BIT(INTERCEPT_VINTR & 31);
	} else {
		c->intercepts[INTERCEPT_WORD3] &= ~BIT(INTERCEPT_VINTR & 31);
	}
	c->intercepts[INTERCEPT_EXCEPTION] = p->svm->exc_mask;
	c->tlb_ctl = s->flush ? TLB_CONTROL_FLUSH_ALL_ASID : 0;
	s->flush = false;
	c->clean = 0;
	c->exit_int_info = 0;
	SAVE(s)->efer |= EFER_SVME;
}

static bool svm_event_pending(struct svm_vp *s)
{
	return s->reinj || s->exc || s->nmi ||
	       ((SAVE(s)->rflags & X86_EFLAGS_IF) && (s->extint >= 0 || apic_deliverable(s) >= 0));
}

/* pending SINT deliverability notification: true when a message was delivered */
static bool svm_notify(struct fhv_pt *p, struct fhv_vp *v)
{
	struct svm_vp *s = S(v);
	struct x64_sint_msg m = {};
	u32 want = s->notify >> 48, free = 0, i;

	s->chk = false;
	if (!want || !s->simp_ov.on || !(s->scontrol & 1))
		return false;
	for (i = 0; i < 16; i++)
		if (!*(u32 *)(page_address(s->simp_ov.pg) + 256 * i))
			free |= BIT(i);
	if (!(want & free))
		return false;
	s->notify &= ~((u64)(want & free) << 48);
	msg_header(v, &m.h, 0, 0);
	m.sints = want & free;
	svm_deliver(p, v, HVMSG_SYNIC_SINT_DELIVERABLE, &m, sizeof(m));
	return true;
}

/*
 * Run until the VP is suspended (returns INTERCEPT/SUSPEND), idle (BLOCKED) or
 * the CPU is wanted by the host (READY, no event). Preemption disabled, irqs on.
 */
static bool svm_run(struct fhv_pt *p, struct fhv_vp *v, u32 *state, u32 *event)
{
	struct svm_vp *s = S(v);
	int cpu = smp_processor_id();
	bool intr = false, alive = true;

	*state = HV_VP_DISPATCH_STATE_READY;
	*event = HV_VP_DISPATCH_EVENT_INVALID;
	kernel_fpu_begin();
	spin_lock_irq(&fhv_lock);
	if (!s->dead && !v->intercept && !v->explicit && !v->dispatch)
		regpage_invalidate(v);
	asm volatile("fxrstor64 %0" : : "m"(s->fx));
	for (;;) {
		struct qmsg *q;

		if (s->dead) {
			alive = false;
			break;
		}
		if (s->exit_valid) {
			s->exit_valid = false;
			if (!v->explicit && !s->stale)
				svm_exit(p, v);
		}
		s->stale = false;
		if (v->intercept) {
			*event = HV_VP_DISPATCH_EVENT_INTERCEPT;
			break;
		}
		if (v->explicit || v->dispatch) {
			*state = HV_VP_DISPATCH_STATE_BLOCKED;
			*event = HV_VP_DISPATCH_EVENT_SUSPEND;
			break;
		}
		if (s->chk && svm_notify(p, v))
			continue;
		q = list_first_entry_or_null(&v->msgs, struct qmsg, l);
		if (q) { /* scripted message (/dev/fakehv "msg") */
			list_del(&q->l);
			svm_deliver(p, v, q->m.header.message_type, q->m.u.payload, 240);
			memcpy(page_address(v->state[HV_VP_STATE_PAGE_INTERCEPT_MESSAGE]), &q->m,
			       sizeof(q->m));
			kfree(q);
			continue;
		}
		if (s->halted && svm_event_pending(s))
			s->halted = false;
		if (s->halted || s->wait_sipi) {
			v->blocked = true;
			*state = HV_VP_DISPATCH_STATE_BLOCKED;
			break;
		}
		if (intr)
			break;
		svm_prepare(p, v);
		s->cpu = cpu;
		s->in_guest = 1;
		s->exit_valid = true;
		spin_unlock(&fhv_lock);
		fhv_svm_enter(s->gpr, __pa(s->vmcb), __pa(per_cpu(svm_host_vmcb, cpu)));
		/* GIF=0 here */
		s->n_exit++;
		s->exits[CTRL(s)->exit_code < 0x80            ? CTRL(s)->exit_code
			 : CTRL(s)->exit_code == SVM_EXIT_NPF ? 0xff
			 : CTRL(s)->exit_code < 0xa0          ? CTRL(s)->exit_code
							      : 0xfe]++;
		if ((CTRL(s)->int_ctl & 15) != (s->apic[A_TPR] >> 4 & 15))
			s->apic[A_TPR] = (CTRL(s)->int_ctl & 15) << 4;
		/* an INT n of the guest is simply executed again, what we injected is not */
		if ((CTRL(s)->exit_int_info & SVM_EXITINTINFO_VALID) &&
		    ((CTRL(s)->exit_int_info & SVM_EXITINTINFO_TYPE_MASK) !=
			     SVM_EXITINTINFO_TYPE_SOFT ||
		     CTRL(s)->exit_int_info == s->last_inj)) {
			s->reinj = CTRL(s)->exit_int_info;
			s->reinj_err = CTRL(s)->exit_int_info_err;
		}
		intr = CTRL(s)->exit_code == SVM_EXIT_INTR || CTRL(s)->exit_code == SVM_EXIT_NMI;
		smp_store_release(&s->in_guest, 0);
		asm volatile("stgi" : : : "memory");
		local_irq_enable();
		/* pending host interrupts are taken here */
		spin_lock_irq(&fhv_lock);
	}
	if (alive)
		asm volatile("fxsave64 %0" : "=m"(s->fx));
	if (!alive || sched != HV_SCHEDULER_TYPE_ROOT) {
		/* hypervisor scheduler: the work item ends unless it just yields */
		if (!alive || *event != HV_VP_DISPATCH_EVENT_INVALID ||
		    *state == HV_VP_DISPATCH_STATE_BLOCKED)
			s->work_active = false;
	}
	spin_unlock_irq(&fhv_lock);
	kernel_fpu_end();
	return alive;
}

static void svm_vp_destroy(struct fhv_vp *v);

static void svm_work(struct work_struct *w)
{
	struct svm_vp *s = container_of(w, struct svm_vp, work);
	struct fhv_vp *v = s->v;
	u32 state, event;

	for (;;) {
		bool alive;

		preempt_disable();
		alive = svm_run(s->p, v, &state, &event);
		preempt_enable();
		if (!alive) {
			svm_vp_destroy(v);
			kfree(v);
			return;
		}
		if (state != HV_VP_DISPATCH_STATE_READY || event != HV_VP_DISPATCH_EVENT_INVALID)
			return;
		cond_resched();
	}
}

/* --------------------------------------------------------------- lifetime -- */
static void svm_vp_reset(struct fhv_vp *v)
{
	struct svm_vp *s = S(v);
	struct vmcb_save_area *a = SAVE(s);
	struct vmcb_control_area *c = CTRL(s);
	int i;

	memset(s->vmcb, 0, PAGE_SIZE);
	memset(s->gpr, 0, sizeof(s->gpr));
	memset(s->fx, 0, sizeof(s->fx));
	*(u16 *)s->fx = 0x37f;
	*(u32 *)(s->fx + 24) = 0x1f80;
	c->intercepts[INTERCEPT_WORD3] =
		BIT(INTERCEPT_INTR & 31) | BIT(INTERCEPT_NMI & 31) | BIT(INTERCEPT_CPUID & 31) |
		BIT(INTERCEPT_HLT & 31) | BIT(INTERCEPT_INVLPGA & 31) |
		BIT(INTERCEPT_IOIO_PROT & 31) | BIT(INTERCEPT_MSR_PROT & 31) |
		BIT(INTERCEPT_SHUTDOWN & 31);
	c->intercepts[INTERCEPT_WORD4] = BIT(INTERCEPT_VMRUN & 31) | BIT(INTERCEPT_VMMCALL & 31) |
					 BIT(INTERCEPT_VMLOAD & 31) | BIT(INTERCEPT_VMSAVE & 31) |
					 BIT(INTERCEPT_STGI & 31) | BIT(INTERCEPT_CLGI & 31) |
					 BIT(INTERCEPT_SKINIT & 31) | BIT(INTERCEPT_MONITOR & 31) |
					 BIT(INTERCEPT_MWAIT & 31) | BIT(INTERCEPT_XSETBV & 31);
	c->iopm_base_pa = svm_iopm_pa;
	c->msrpm_base_pa = svm_msrpm_pa;
	c->asid = 1;
	c->misc_ctl = SVM_MISC_ENABLE_NP;
	c->nested_cr3 = __pa(s->p->svm->npt);
	for (i = 0; i < 6; i++) {
		struct vmcb_seg *g = svm_seg(s, i);

		g->attrib = i == 1 ? 0x9b : 0x93;
		g->limit = 0xffff;
	}
	a->cs.selector = 0xf000;
	a->cs.base = 0xffff0000;
	a->ldtr.attrib = 0x82;
	a->ldtr.limit = a->gdtr.limit = a->idtr.limit = a->tr.limit = 0xffff;
	a->tr.attrib = 0x8b;
	a->rip = 0xfff0;
	a->rflags = 2;
	a->cr0 = 0x60000010;
	a->efer = EFER_SVME;
	a->dr6 = 0xffff0ff0;
	a->dr7 = 0x400;
	a->g_pat = 0x0007040600070406ULL;
	s->xfem = 1;
	s->flush = true;
	s->halted = s->wait_sipi = s->nmi = false;
	s->reinj = s->exc = 0;
	s->extint = -1;
	memset(s->apic, 0, sizeof(s->apic));
	s->apic[A_ID] = v->apic_id << 24;
	s->apic[A_VER] = 0x50014;
	s->apic[A_DFR] = 0xffffffff;
	s->apic[A_SVR] = 0xff;
	for (i = 0x32; i <= 0x37; i++)
		s->apic[i] = 0x10000;
	s->apic_base = 0xfee00000 | 0x800 | (v->idx ? 0 : 0x100);
}

static int svm_vp_create(struct fhv_pt *p, struct fhv_vp *v)
{
	struct svm_vp *s = kzalloc(sizeof(*s), GFP_ATOMIC);
	int i;

	if (!s)
		return -ENOMEM;
	s->vmcb = (void *)get_zeroed_page(GFP_ATOMIC);
	if (!s->vmcb) {
		kfree(s);
		return -ENOMEM;
	}
	s->p = p;
	s->v = v;
	v->svm = s;
	INIT_WORK(&s->work, svm_work);
	for (i = 0; i < 16; i++)
		s->sint[i] = 0x10000;
	s->scontrol = 0;
	svm_vp_reset(v);
	return 0;
}

/* no longer running, not on any list */
static void svm_vp_destroy(struct fhv_vp *v)
{
	free_page((unsigned long)v->svm->vmcb);
	kfree(v->svm);
	v->svm = NULL;
}

/* fhv_lock held. true: the caller frees the VP, false: the work item will */
static bool svm_vp_free(struct fhv_pt *p, struct fhv_vp *v)
{
	struct svm_vp *s = S(v);
	struct svm_ov *o[] = { &s->simp_ov, &s->siefp_ov };
	int i;

	svm_stop(s);
	for (i = 0; i < 2; i++)
		if (o[i]->pg) {
			ov_set(p, o[i], false, 0, false);
			list_del(&o[i]->l);
			__free_page(o[i]->pg);
		}
	fhv_log("SVM_STATS pt=%llu vp=%u exits=%llu intr=%llu hlt=%llu io=%llu msr=%llu "
		"vmmcall=%llu npf=%llu vintr=%llu cpuid=%llu injected=%llu kicks=%llu",
		p->id, v->idx, s->n_exit, s->exits[SVM_EXIT_INTR], s->exits[SVM_EXIT_HLT],
		s->exits[SVM_EXIT_IOIO], s->exits[SVM_EXIT_MSR], s->exits[SVM_EXIT_VMMCALL],
		s->exits[0xff], s->exits[SVM_EXIT_VINTR], s->exits[SVM_EXIT_CPUID], s->n_inj,
		s->n_kick);
	s->dead = true;
	if (s->work_active)
		return false;
	svm_vp_destroy(v);
	return true;
}

static int svm_pt_create(struct fhv_pt *p)
{
	struct svm_pt *sp = kzalloc(sizeof(*sp), GFP_ATOMIC);

	if (!sp)
		return -ENOMEM;
	sp->npt = (u64 *)get_zeroed_page(GFP_ATOMIC);
	if (!sp->npt) {
		kfree(sp);
		return -ENOMEM;
	}
	INIT_LIST_HEAD(&sp->tables);
	INIT_LIST_HEAD(&sp->ovs);
	INIT_LIST_HEAD(&sp->icpts);
	INIT_LIST_HEAD(&sp->cpuids);
	p->svm = sp;
	return 0;
}

/* all VPs are gone */
static void svm_pt_free(struct fhv_pt *p)
{
	struct svm_pt *sp = p->svm;
	struct svm_icpt *i, *in;
	struct svm_cpuid *c, *cn;
	struct page *pg, *pn;

	list_for_each_entry_safe(i, in, &sp->icpts, l)
		kfree(i);
	list_for_each_entry_safe(c, cn, &sp->cpuids, l)
		kfree(c);
	list_for_each_entry_safe(pg, pn, &sp->tables, lru)
		__free_page(pg);
	if (sp->hc.pg)
		__free_page(sp->hc.pg);
	free_page((unsigned long)sp->npt);
	kfree(sp);
	p->svm = NULL;
}

/* LAPIC state blob of GET/SET_VP_STATE (hv_local_interrupt_controller_state) */
static const u8 lapic_map[] = { 0x02, 0x03, 0x0d, 0x0e, 0x0f, 0x10, 0x11, 0x12, 0x13, 0x14, 0x15,
				0x16, 0x17, 0x18, 0x19, 0x1a, 0x1b, 0x1c, 0x1d, 0x1e, 0x1f, 0x20,
				0x21, 0x22, 0x23, 0x24, 0x25, 0x26, 0x27, 0x28, 0x31, 0x30, 0x32,
				0x33, 0x34, 0x35, 0x36, 0x37, 0x2f, 0x28, 0x38, 0x39, 0x3e };

static void svm_lapic_state(struct fhv_vp *v, u32 *buf, bool set)
{
	struct svm_vp *s = S(v);
	int i;

	svm_stop(s);
	if (!set)
		memset(buf, 0, PAGE_SIZE);
	for (i = 0; i < ARRAY_SIZE(lapic_map); i++) {
		if (!set)
			buf[i] = s->apic[lapic_map[i]];
		else if (lapic_map[i] != A_ID && lapic_map[i] != A_VER)
			s->apic[lapic_map[i]] = buf[i];
	}
}

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

/* HVCALL_DISPATCH_VP with SVM; called without fhv_lock */
static u64 svm_dispatch(struct hv_input_dispatch_vp *a, struct hv_output_dispatch_vp *o)
{
	struct fhv_pt *p;
	struct fhv_vp *v;
	unsigned long fl;

	spin_lock_irqsave(&fhv_lock, fl);
	p = pt_find(a->partition_id);
	v = p ? vp_find(p, a->vp_index) : NULL;
	if (!v) {
		spin_unlock_irqrestore(&fhv_lock, fl);
		return p ? HV_STATUS_INVALID_VP_INDEX : HV_STATUS_INVALID_PARTITION_ID;
	}
	if (a->flags & HV_DISPATCH_VP_FLAG_CLEAR_INTERCEPT_SUSPEND)
		v->intercept = 0;
	if (a->flags & HV_DISPATCH_VP_FLAG_SCAN_INTERRUPT_INJECTION)
		take_page_vectors(p, v);
	v->blocked = false;
	spin_unlock_irqrestore(&fhv_lock, fl);
	svm_run(p, v, &o->dispatch_state, &o->dispatch_event);
	return 0;
}
