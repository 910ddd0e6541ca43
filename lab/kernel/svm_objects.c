// SPDX-License-Identifier: GPL-2.0-only
/* what a VP that executes code is made of */

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
	u32 vp;
	u32 eax, ecx;
	u8 sub, always;
	u16 pad;
	u32 r[8];
};

struct svm_pt {
	u64 *npt;
	struct list_head tables; /* page->lru */
	struct list_head ovs, icpts, cpuids;
	struct svm_ov hc, tsc_page;
	u64 os_id, hypercall, reference_tsc;
	u32 tsc_sequence;
	u32 exc_mask;
	u64 n_npf;
};

struct svm_timer {
	struct hrtimer t;
	struct svm_vp *s;
	void (*fire)(struct svm_timer *t);
	bool on;
	u64 due, period; /* ticks of the partition; period 0: once */
};

struct svm_stimer {
	struct svm_timer t;
	u64 config, count;
	u64 expired;  /* what its message says */
	bool pending; /* which waits for the slot */
};

struct svm_vp {
	struct vmcb *vmcb;
	u64 gpr[16];              /* rax and rsp live in the VMCB */
	u8 xs[832] __aligned(64); /* XSAVE area, standard format */
	bool xs_changed;          /* since the CPU was given it */
	u64 dr[4], guest_dr7, xfem, apic_base, tsc_aux, misc_enable, mtrr_def;
	int in_guest, cpu;
	bool exit_valid, stale, halted, idle, wait_sipi, flush, work_active, dead, nmi, kick;
	u32 reinj, reinj_err;
	u32 exc, exc_err; /* exception to inject */
	u32 last_inj;
	/* local APIC: register file indexed by offset >> 4 */
	u32 apic[64];
	u32 autoeoi[8];
	int extint;
	struct svm_timer timer;
	u64 deadline; /* of that timer, by the VP's TSC; 0: none */
	u64 tsc;      /* what its TSC is ahead of the partition's ticks */
	u64 ran;      /* ticks */
	struct svm_stimer st[HV_SYNIC_STIMER_COUNT];
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

#define A_ID    0x02
#define A_VER   0x03
#define A_TPR   0x08
#define A_PPR   0x0a
#define A_EOI   0x0b
#define A_LDR   0x0d
#define A_DFR   0x0e
#define A_SVR   0x0f
#define A_ISR   0x10
#define A_TMR   0x18
#define A_IRR   0x20
#define A_ESR   0x28
#define A_ICRL  0x30
#define A_ICRH  0x31
#define A_LVTT  0x32
#define A_TMICT 0x38
#define A_TMCCT 0x39
#define A_TDCR  0x3e

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
