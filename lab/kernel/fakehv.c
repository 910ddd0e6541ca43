// SPDX-License-Identifier: GPL-2.0-only
/*
 * fakehv - a fake Microsoft hypervisor living inside the kernel under test.
 *
 * TEST ONLY. It lets the unmodified mshv root driver (drivers/hv/mshv_*.c) run
 * on a machine without any Hyper-V:
 *
 *   - boot with "fakehv=root" or "fakehv=l1vh" on the kernel command line;
 *   - the hv_hypercall static call (what hv_do_hypercall() ends in) is pointed
 *     at fakehv_hypercall();
 *   - SynIC MSRs of mshv_synic.c are served from memory (compile-time rename);
 *   - messages are put in the per-CPU SIM page and the real vector 0xf3 is
 *     raised with a real APIC IPI, so sysvec_hyperv_callback() -> mshv_isr()
 *     run exactly as on Hyper-V;
 *   - userspace scripts the "guest" through /dev/fakehv (text in, text out).
 *
 * Parameters: fakehv.sched=1..4 (hv_scheduler_type), fakehv.version=,
 * fakehv.ext_features=, fakehv.vmm_caps=, fakehv.strict=0|1, fakehv.async=0|1
 */
#define pr_fmt(fmt) "fakehv: " fmt

#include <linux/bitfield.h>
#include <linux/kernel.h>
#include <linux/module.h>
#include <linux/init.h>
#include <linux/slab.h>
#include <linux/mm.h>
#include <linux/vmalloc.h>
#include <linux/percpu.h>
#include <linux/cpu.h>
#include <linux/delay.h>
#include <linux/fs.h>
#include <linux/uaccess.h>
#include <linux/miscdevice.h>
#include <linux/spinlock.h>
#include <linux/list.h>
#include <linux/xarray.h>
#include <linux/hex.h>
#include <linux/string.h>
#include <linux/ktime.h>
#include <linux/static_call.h>
#include <asm/apic.h>
#include <asm/desc.h>
#include <asm/idtentry.h>
#include <asm/cpuid/api.h>
#include <asm/mshyperv.h>
#include <asm/svm.h>
#include <asm/fpu/api.h>
#include <asm/msr.h>
#include <linux/workqueue.h>

u64 fakehv_get_msr(unsigned int reg);
void fakehv_set_msr(unsigned int reg, u64 v);
int fakehv_get_hypervisor_version(union hv_hypervisor_version_info *info);
extern u8 *__percpu *hv_synic_eventring_tail;

static int sched = HV_SCHEDULER_TYPE_CORE_SMT;
module_param(sched, int, 0444);
static uint version = 27748;
module_param(version, uint, 0444);
static uint ext_features;
module_param(ext_features, uint, 0444);
static ullong vmm_caps;
module_param(vmm_caps, ullong, 0444);
static int strict; /* reject fixed vectors < 16 as TLFS does */
module_param(strict, int, 0644);
static int async_props; /* SET_PARTITION_PROPERTY => CALL_PENDING */
module_param_named(async, async_props, int, 0644);

static int svm; /* VPs execute code, see fakehv_svm.c */
module_param(svm, int, 0444);

static int fhv_mode; /* 0 off, 1 root, 2 l1vh */

/* ------------------------------------------------------------------ log -- */
#define LOG_N  8192
#define LOG_SZ 256
struct log_ent {
	u64 seq;
	u32 len;
	char s[LOG_SZ - 12];
};
static struct log_ent *log_ring;
static u64 log_head = 1, log_tail = 1; /* [tail, head) are valid */
static DEFINE_RAW_SPINLOCK(log_lock);

static __printf(1, 2) void fhv_log(const char *fmt, ...)
{
	struct log_ent *e;
	unsigned long fl;
	va_list ap;

	if (!log_ring)
		return;
	raw_spin_lock_irqsave(&log_lock, fl);
	e = &log_ring[log_head % LOG_N];
	e->seq = log_head;
	e->len = scnprintf(e->s, sizeof(e->s), "%llu ", log_head);
	va_start(ap, fmt);
	e->len += vscnprintf(e->s + e->len, sizeof(e->s) - e->len - 1, fmt, ap);
	va_end(ap);
	e->s[e->len++] = '\n';
	log_head++;
	if (log_head - log_tail > LOG_N)
		log_tail = log_head - LOG_N;
	raw_spin_unlock_irqrestore(&log_lock, fl);
}

/* --------------------------------------------------------------- objects -- */
struct kv {
	struct list_head l;
	u32 key;
	u64 lo, hi;
};
struct qmsg {
	struct list_head l;
	struct hv_message m;
};

struct blob {
	struct list_head l;
	u32 type;
	u32 pages;
	struct page *pg[8];
	u8 data[512];
};

struct fhv_vp {
	struct list_head l;
	u32 idx;
	u32 apic_id; /* INITIAL_APIC_ID and APIC_ID; at first the index */
	struct page *state[HV_VP_STATE_PAGE_COUNT];
	bool owned[HV_VP_STATE_PAGE_COUNT];
	struct list_head regs, msgs, blobs;
	u64 explicit, intercept, dispatch; /* suspend bits */
	u64 signals;
	bool blocked; /* root scheduler; svm: idle in HLT */
	struct svm_vp *svm;
};

struct fhv_pt {
	struct list_head l;
	u64 id, flags;
	bool initialized;
	struct list_head vps, props, deposit; /* deposit: page->lru */
	u64 n_deposit, n_gpa;
	struct xarray gpa;
	struct svm_pt *svm;
};

struct fhv_port {
	struct list_head l;
	u32 id;
	u64 owner, conn_pt;
	u32 type, sint, vp;
	bool connected;
	u64 gpa, val, flags;
};

struct fhv_stat {
	struct list_head l;
	u32 type;
	union hv_stats_object_identity id;
	struct page *pg;
	bool owned;
};

struct fhv_cpu {
	u64 simp, siefp, sirbp, scontrol, sint[16];
	u32 ring_head[16];
	struct list_head pending;      /* SIM slot 0 is busy */
	struct list_head ring_pending; /* doorbell ring full */
	u64 n_isr, n_eom;
};

static DEFINE_SPINLOCK(fhv_lock);
static LIST_HEAD(partitions);
static LIST_HEAD(ports);
static LIST_HEAD(stats);
static u64 next_pt_id = 2;
static u64 n_stats_pages, self_deposit;
static LIST_HEAD(self_pages);
static DEFINE_PER_CPU(struct fhv_cpu, fhv_cpus);

static struct {
	u16 code, status;
	u32 count;
} inject[16];

static bool svm_vp_free(struct fhv_pt *p, struct fhv_vp *v);
static void svm_pt_free(struct fhv_pt *p);
static bool svm_reg_get(struct fhv_pt *p, struct fhv_vp *v, u32 name, u64 *lo, u64 *hi);
static bool svm_reg_set(struct fhv_pt *p, struct fhv_vp *v, u32 name, u64 lo, u64 hi);
static void svm_apic_id(struct fhv_vp *v);
static void svm_stop(struct svm_vp *s);
static void svm_resume(struct fhv_pt *p, struct fhv_vp *v);
static void svm_wake(struct fhv_pt *p, struct fhv_vp *v);

static struct fhv_pt *pt_find(u64 id)
{
	struct fhv_pt *p;

	list_for_each_entry(p, &partitions, l)
		if (p->id == id)
			return p;
	return NULL;
}

static struct fhv_vp *vp_find(struct fhv_pt *p, u32 idx)
{
	struct fhv_vp *v;

	list_for_each_entry(v, &p->vps, l)
		if (v->idx == idx)
			return v;
	return NULL;
}

/* the one VP that a physical destination names; NULL where there is none, or several */
static struct fhv_vp *vp_of_apic(struct fhv_pt *p, u64 id)
{
	struct fhv_vp *v, *found = NULL;

	list_for_each_entry(v, &p->vps, l)
		if (v->apic_id == id) {
			if (found)
				return NULL;
			found = v;
		}
	return found;
}

static struct kv *kv_find(struct list_head *h, u32 key)
{
	struct kv *k;

	list_for_each_entry(k, h, l)
		if (k->key == key)
			return k;
	return NULL;
}

static int kv_set(struct list_head *h, u32 key, u64 lo, u64 hi)
{
	struct kv *k = kv_find(h, key);

	if (!k) {
		k = kzalloc(sizeof(*k), GFP_ATOMIC);
		if (!k)
			return -ENOMEM;
		k->key = key;
		list_add_tail(&k->l, h);
	}
	k->lo = lo;
	k->hi = hi;
	return 0;
}

static void kv_free(struct list_head *h)
{
	struct kv *k, *n;

	list_for_each_entry_safe(k, n, h, l) {
		list_del(&k->l);
		kfree(k);
	}
}

static void vp_free(struct fhv_pt *p, struct fhv_vp *v)
{
	struct qmsg *q, *qn;
	struct blob *b, *bn;
	int i;

	list_for_each_entry_safe(q, qn, &v->msgs, l) {
		list_del(&q->l);
		kfree(q);
	}
	list_for_each_entry_safe(b, bn, &v->blobs, l) {
		for (i = 0; i < b->pages; i++)
			__free_page(b->pg[i]);
		list_del(&b->l);
		kfree(b);
	}
	kv_free(&v->regs);
	for (i = 0; i < HV_VP_STATE_PAGE_COUNT; i++)
		if (v->state[i] && v->owned[i])
			__free_page(v->state[i]);
	list_del(&v->l);
	if (v->svm && !svm_vp_free(p, v))
		return;
	kfree(v);
}

static void pt_finalize(struct fhv_pt *p)
{
	struct fhv_vp *v, *n;

	list_for_each_entry_safe(v, n, &p->vps, l)
		vp_free(p, v);
	xa_destroy(&p->gpa);
	p->n_gpa = 0;
	p->initialized = false;
}

/* ----------------------------------------------------------------- synic -- */
static void fhv_kick_cpu(int cpu)
{
	if (cpu == smp_processor_id())
		__apic_send_IPI_self(HYPERVISOR_CALLBACK_VECTOR);
	else
		__apic_send_IPI(cpu, HYPERVISOR_CALLBACK_VECTOR);
}

static struct hv_message *sim_slot(int cpu)
{
	union hv_synic_simp s = { .as_uint64 = per_cpu(fhv_cpus, cpu).simp };
	struct hv_message_page *pg = phys_to_virt(s.base_simp_gpa << HV_HYP_PAGE_SHIFT);

	return &pg->sint_message[HV_SYNIC_INTERCEPTION_SINT_INDEX];
}

/* lock held, irqs off: move one pending message into the free slot */
static void sim_pump(int cpu)
{
	struct fhv_cpu *c = &per_cpu(fhv_cpus, cpu);
	struct hv_message *slot = sim_slot(cpu);
	struct qmsg *q;

	if (list_empty(&c->pending))
		return;
	if (READ_ONCE(slot->header.message_type) != HVMSG_NONE) {
		slot->header.message_flags.msg_pending = 1;
		mb();
		if (READ_ONCE(slot->header.message_type) != HVMSG_NONE)
			return; /* the ISR will write EOM */
	}
	q = list_first_entry(&c->pending, struct qmsg, l);
	list_del(&q->l);
	q->m.header.message_flags.msg_pending = !list_empty(&c->pending);
	memcpy((u8 *)slot + 4, (u8 *)&q->m + 4, sizeof(*slot) - 4);
	smp_wmb();
	WRITE_ONCE(slot->header.message_type, q->m.header.message_type);
	kfree(q);
	fhv_kick_cpu(cpu);
}

static int sim_post(int cpu, const struct hv_message *m)
{
	struct qmsg *q = kmalloc(sizeof(*q), GFP_ATOMIC);

	if (!q)
		return -ENOMEM;
	q->m = *m;
	list_add_tail(&q->l, &per_cpu(fhv_cpus, cpu).pending);
	sim_pump(cpu);
	return 0;
}

u64 fakehv_get_msr(unsigned int reg)
{
	struct fhv_cpu *c = this_cpu_ptr(&fhv_cpus);

	switch (reg) {
	case HV_X64_MSR_SIMP: return c->simp;
	case HV_X64_MSR_SIEFP: return c->siefp;
	case HV_X64_MSR_SIRBP: return c->sirbp;
	case HV_X64_MSR_SCONTROL: return c->scontrol;
	case HV_X64_MSR_SINT0 ... HV_X64_MSR_SINT15: return c->sint[reg - HV_X64_MSR_SINT0];
	}
	pr_warn_once("read of unknown msr %#x\n", reg);
	return 0;
}

void fakehv_set_msr(unsigned int reg, u64 v)
{
	struct fhv_cpu *c;
	unsigned long fl;
	int cpu;

	spin_lock_irqsave(&fhv_lock, fl);
	cpu = smp_processor_id();
	c = &per_cpu(fhv_cpus, cpu);
	switch (reg) {
	case HV_X64_MSR_SIMP: c->simp = v; break;
	case HV_X64_MSR_SIEFP: c->siefp = v; break;
	case HV_X64_MSR_SIRBP: c->sirbp = v; break;
	case HV_X64_MSR_SCONTROL: c->scontrol = v; break;
	case HV_X64_MSR_SINT0 ... HV_X64_MSR_SINT15: c->sint[reg - HV_X64_MSR_SINT0] = v; break;
	case HV_X64_MSR_EOM:
		c->n_eom++;
		sim_pump(cpu);
		break;
	default: pr_warn_once("write of unknown msr %#x\n", reg);
	}
	spin_unlock_irqrestore(&fhv_lock, fl);
}

int fakehv_get_hypervisor_version(union hv_hypervisor_version_info *info)
{
	if (!fhv_mode)
		return hv_get_hypervisor_version(info);
	memset(info, 0, sizeof(*info));
	info->build_number = version;
	info->major_version = 10;
	return 0;
}

/* doorbell: push port id in the SINT5 event ring of the cpu, as the TLFS says */
static void ring_push(int cpu, u32 sint, u32 port)
{
	struct fhv_cpu *c = &per_cpu(fhv_cpus, cpu);
	union hv_synic_sirbp s = { .as_uint64 = c->sirbp };
	struct hv_synic_event_ring_page *pg = phys_to_virt(s.base_sirbp_gpa << HV_HYP_PAGE_SHIFT);
	struct hv_synic_event_ring *r = &pg->sint_event_ring[sint];
	struct hv_message m = {};
	struct kv *k;

	if (READ_ONCE(r->data[c->ring_head[sint]])) {
		r->ring_full = 1;
		k = kzalloc(sizeof(*k), GFP_ATOMIC);
		if (k) {
			k->key = port;
			k->lo = sint;
			list_add_tail(&k->l, &c->ring_pending);
		}
		return;
	}
	WRITE_ONCE(r->data[c->ring_head[sint]], port);
	c->ring_head[sint] = (c->ring_head[sint] + 1) % HV_SYNIC_EVENT_RING_MESSAGE_COUNT;
	mb();
	if (READ_ONCE(r->signal_masked))
		return;
	m.header.message_type = HVMSG_SYNIC_SINT_INTERCEPT;
	m.header.payload_size = sizeof(struct hv_notification_message_payload);
	((struct hv_notification_message_payload *)m.u.payload)->sint_index = sint;
	sim_post(cpu, &m);
}

/* ---------------------------------------------------------------- VP run -- */
static void vp_signal(struct fhv_pt *p, struct fhv_vp *v)
{
	struct hv_vp_signal_pair_scheduler_message *s;
	struct hv_message m = {};

	v->signals++;
	v->blocked = false;
	m.header.message_type = HVMSG_SCHEDULER_VP_SIGNAL_PAIR;
	m.header.payload_size = sizeof(*s);
	s = (void *)m.u.payload;
	s->vp_count = 1;
	s->partition_ids[0] = p->id;
	s->vp_indexes[0] = v->idx;
	sim_post(smp_processor_id(), &m);
}

static bool vp_take_msg(struct fhv_pt *p, struct fhv_vp *v)
{
	struct qmsg *q;

	if (list_empty(&v->msgs) || !v->state[HV_VP_STATE_PAGE_INTERCEPT_MESSAGE])
		return false;
	q = list_first_entry(&v->msgs, struct qmsg, l);
	list_del(&q->l);
	memcpy(page_address(v->state[HV_VP_STATE_PAGE_INTERCEPT_MESSAGE]), &q->m, sizeof(q->m));
	v->intercept = 1;
	fhv_log("INTERCEPT pt=%llu vp=%u type=0x%x", p->id, v->idx, q->m.header.message_type);
	kfree(q);
	return true;
}

static void vp_try(struct fhv_pt *p, struct fhv_vp *v)
{
	struct hv_message m = {};

	if (v->explicit || v->intercept || v->dispatch)
		return;
	if (v->svm) {
		svm_resume(p, v);
		svm_wake(p, v);
		return;
	}
	if (sched == HV_SCHEDULER_TYPE_ROOT) {
		if (v->blocked && !list_empty(&v->msgs))
			vp_signal(p, v);
		return;
	}
	if (!vp_take_msg(p, v))
		return;
	m.header.message_type = HVMSG_OPAQUE_INTERCEPT;
	m.header.payload_size = sizeof(struct hv_opaque_intercept_message);
	m.header.sender = p->id;
	((struct hv_opaque_intercept_message *)m.u.payload)->vp_index = v->idx;
	sim_post(smp_processor_id(), &m);
}

/* the kernel has no names for them */
#define REGISTER_INITIAL_APIC_ID 0x0008000c
#define REGISTER_APIC_ID         0x00084802

static u64 reg_get(struct fhv_pt *p, struct fhv_vp *v, u32 name, u64 *hi)
{
	struct kv *k;

	*hi = 0;
	switch (name) {
	case HV_REGISTER_EXPLICIT_SUSPEND: return v->explicit;
	case HV_REGISTER_INTERCEPT_SUSPEND: return v->intercept;
	case HV_REGISTER_DISPATCH_SUSPEND: return v->dispatch;
	case HV_REGISTER_VP_ROOT_SIGNAL_COUNT: return v->signals;
	case REGISTER_INITIAL_APIC_ID:
	case REGISTER_APIC_ID: return v->apic_id;
	}
	if (v->svm) {
		u64 lo;

		if (svm_reg_get(p, v, name, &lo, hi))
			return lo;
	}
	k = kv_find(&v->regs, name);
	if (!k)
		return 0;
	*hi = k->hi;
	return k->lo;
}

#define REG_NOTIFICATIONS 0x00010006

/*
 * HvRegisterDeliverabilityNotifications: a bit for each SINT from 48 on, and bit 1 for an
 * interrupt. NMIs (0) and an interrupt's priority (2 to 5) are for a VMM that has the local APICs
 * itself.
 */
static bool notifications_valid(struct fhv_pt *p, u64 lo)
{
	bool apics = p->flags & HV_PARTITION_CREATION_FLAG_LAPIC_ENABLED;

	return !(lo & ~(0xffffULL << 48 | (apics ? 0x2 : 0x3f)));
}

static u64 reg_set(struct fhv_pt *p, struct fhv_vp *v, u32 name, u64 lo, u64 hi)
{
	u64 was = v->explicit;

	if (name == REG_NOTIFICATIONS && !notifications_valid(p, lo))
		return HV_STATUS_INVALID_PARAMETER;
	switch (name) {
	case HV_REGISTER_EXPLICIT_SUSPEND:
		if (v->svm)
			svm_stop(v->svm);
		v->explicit = lo & 1;
		if (was && !v->explicit && sched == HV_SCHEDULER_TYPE_ROOT)
			vp_signal(p, v);
		break;
	case HV_REGISTER_INTERCEPT_SUSPEND: v->intercept = lo & 1; break;
	case HV_REGISTER_DISPATCH_SUSPEND: v->dispatch = lo & 1; break;
	case REGISTER_INITIAL_APIC_ID:
	case REGISTER_APIC_ID:
		v->apic_id = lo;
		if (v->svm)
			svm_apic_id(v);
		return 0;
	default:
		if (v->svm && svm_reg_set(p, v, name, lo, hi))
			return 0;
		if (name == HV_REGISTER_SVERSION || name == HV_REGISTER_EOM)
			return 0;
		if (kv_set(&v->regs, name, lo, hi))
			return HV_STATUS_INSUFFICIENT_MEMORY;
		return 0;
	}
	vp_try(p, v);
	return 0;
}

/* gpa xarray value: pfn<<8 | large<<7 | dirty<<5 | accessed<<4 | perms */
#define G_LARGE 0x80
#define G_D     0x20
#define G_A     0x10

#include "fakehv_svm.c"

/* ------------------------------------------------------------ hypercalls -- */
static const struct {
	u16 code;
	const char *name;
} names[] = {
#define N(x)                   \
	{                      \
		HVCALL_##x, #x \
	}
	N(CREATE_PARTITION),
	N(INITIALIZE_PARTITION),
	N(FINALIZE_PARTITION),
	N(DELETE_PARTITION),
	N(GET_PARTITION_PROPERTY),
	N(SET_PARTITION_PROPERTY),
	N(GET_PARTITION_ID),
	N(DEPOSIT_MEMORY),
	N(WITHDRAW_MEMORY),
	N(MAP_GPA_PAGES),
	N(UNMAP_GPA_PAGES),
	N(INSTALL_INTERCEPT),
	N(CREATE_VP),
	N(DELETE_VP),
	N(GET_VP_REGISTERS),
	N(SET_VP_REGISTERS),
	N(TRANSLATE_VIRTUAL_ADDRESS),
	N(CLEAR_VIRTUAL_INTERRUPT),
	N(DELETE_PORT),
	N(DISCONNECT_PORT),
	N(MAP_STATS_PAGE),
	N(UNMAP_STATS_PAGE),
	N(MAP_STATS_PAGE2),
	N(GET_SYSTEM_PROPERTY),
	N(SET_SYSTEM_PROPERTY),
	N(NOTIFY_PORT_RING_EMPTY),
	N(REGISTER_INTERCEPT_RESULT),
	N(ASSERT_VIRTUAL_INTERRUPT),
	N(CREATE_PORT),
	N(CONNECT_PORT),
	N(SIGNAL_EVENT_DIRECT),
	N(POST_MESSAGE_DIRECT),
	N(DISPATCH_VP),
	N(GET_GPA_PAGES_ACCESS_STATES),
	N(MAP_VP_STATE_PAGE),
	N(UNMAP_VP_STATE_PAGE),
	N(GET_VP_STATE),
	N(SET_VP_STATE),
	N(GET_VP_CPUID_VALUES),
	N(GET_PARTITION_PROPERTY_EX),
#undef N
};

static const char *hc_name(u16 code)
{
	int i;

	for (i = 0; i < ARRAY_SIZE(names); i++)
		if (names[i].code == code)
			return names[i].name;
	return "?";
}

static bool hc_is_rep(u16 code)
{
	switch (code) {
	case HVCALL_DEPOSIT_MEMORY:
	case HVCALL_WITHDRAW_MEMORY:
	case HVCALL_MAP_GPA_PAGES:
	case HVCALL_UNMAP_GPA_PAGES:
	case HVCALL_GET_VP_REGISTERS:
	case HVCALL_SET_VP_REGISTERS:
	case HVCALL_GET_GPA_PAGES_ACCESS_STATES:
	case HVCALL_GET_VP_CPUID_VALUES: return true;
	}
	return false;
}

#define FITS(hdr, n, elem) ((size_t)(hdr) + (size_t)(n) * (elem) <= HV_HYP_PAGE_SIZE)
#define NEED_PT(expr)                                          \
	do {                                                   \
		p = pt_find(expr);                             \
		if (!p)                                        \
			return HV_STATUS_INVALID_PARTITION_ID; \
	} while (0)
#define NEED_VP(idx)                                       \
	do {                                               \
		v = vp_find(p, idx);                       \
		if (!v)                                    \
			return HV_STATUS_INVALID_VP_INDEX; \
	} while (0)

static u64 prop_default(u32 code, u64 *val)
{
	switch (code) {
	case HV_PARTITION_PROPERTY_XSAVE_STATES: *val = 0x7; return 0;
	case HV_PARTITION_PROPERTY_MAX_XSAVE_DATA_SIZE: *val = 832; return 0;
	case HV_PARTITION_PROPERTY_PROCESSOR_CLOCK_FREQUENCY: *val = 2400000000ULL; return 0;
	}
	if (code >= 0x00010000 && code < 0x000a0000) {
		*val = 0;
		return 0;
	}
	return HV_STATUS_UNKNOWN_PROPERTY;
}

/* what a partition is made with: see native/sim/properties.cc */
static bool prop_of_creation(u32 code)
{
	switch (code) {
	case HV_PARTITION_PROPERTY_PRIVILEGE_FLAGS:
	case HV_PARTITION_PROPERTY_SYNTHETIC_PROC_FEATURES:
	case 0x0005002a ... 0x0005002e: /* lines of the GIC */
	case 0x00060000 ... 0x0006000b: /* the processor */ return true;
	}
	return false;
}

#define PROP_TIME_FREEZE    0x00030003
#define PROP_REFERENCE_TIME 0x00030005

static u64 prop_set(struct fhv_pt *p, u32 code, u64 value)
{
	struct kv *frozen = kv_find(&p->props, PROP_TIME_FREEZE);
	u64 val, st = prop_default(code, &val);

	if (st)
		return st;
	if (p->initialized && prop_of_creation(code))
		return HV_STATUS_INVALID_PARTITION_STATE;
	if (code == PROP_REFERENCE_TIME && !(frozen && frozen->lo))
		return HV_STATUS_INVALID_PARTITION_STATE;
	return kv_set(&p->props, code, value, 0) ? HV_STATUS_INSUFFICIENT_MEMORY : 0;
}

static struct blob *blob_get(struct fhv_vp *v, u32 type, bool create)
{
	struct blob *b;

	list_for_each_entry(b, &v->blobs, l)
		if (b->type == type)
			return b;
	if (!create)
		return NULL;
	b = kzalloc(sizeof(*b), GFP_ATOMIC);
	if (b) {
		b->type = type;
		list_add_tail(&b->l, &v->blobs);
	}
	return b;
}

static u64 do_call(u16 code, u32 var, u32 reps, u32 start, bool fast, u64 in1, u64 in2, void *in,
		   void *out, u32 *done)
{
	struct fhv_pt *p;
	struct fhv_vp *v;
	u32 i;

	switch (code) {
	case HVCALL_GET_PARTITION_ID: *(u64 *)out = 1; return 0;

	case HVCALL_CREATE_PARTITION: {
		struct hv_input_create_partition *a = in;

		p = kzalloc(sizeof(*p), GFP_ATOMIC);
		if (!p)
			return HV_STATUS_INSUFFICIENT_MEMORY;
		p->id = next_pt_id++;
		p->flags = a->flags;
		INIT_LIST_HEAD(&p->vps);
		INIT_LIST_HEAD(&p->props);
		INIT_LIST_HEAD(&p->deposit);
		xa_init(&p->gpa);
		if (svm && svm_pt_create(p)) {
			kfree(p);
			return HV_STATUS_INSUFFICIENT_MEMORY;
		}
		list_add_tail(&p->l, &partitions);
		((struct hv_output_create_partition *)out)->partition_id = p->id;
		fhv_log("CREATE_PARTITION pt=%llu flags=0x%llx compat=0x%x disabled=%llx,%llx "
			"xsave=%llx isol=%llx",
			p->id, a->flags, a->compatibility_version,
			a->partition_creation_properties.disabled_processor_features.as_uint64[0],
			a->partition_creation_properties.disabled_processor_features.as_uint64[1],
			a->partition_creation_properties.disabled_processor_xsave_features
				.as_uint64,
			a->isolation_properties.as_uint64);
		return 0;
	}
	case HVCALL_INITIALIZE_PARTITION:
		NEED_PT(in1);
		if (p->initialized)
			return HV_STATUS_INVALID_PARTITION_STATE;
		p->initialized = true;
		return 0;
	case HVCALL_FINALIZE_PARTITION:
		NEED_PT(in1);
		pt_finalize(p);
		return 0;
	case HVCALL_DELETE_PARTITION:
		NEED_PT(in1);
		fhv_log("DELETE_PARTITION pt=%llu leaked_deposit=%llu", p->id, p->n_deposit);
		pt_finalize(p);
		kv_free(&p->props);
		list_del(&p->l);
		if (p->svm)
			svm_pt_free(p);
		kfree(p);
		return 0;

	case HVCALL_DEPOSIT_MEMORY: {
		struct hv_deposit_memory *a = in;
		struct list_head *h = &self_pages;
		u64 *n = &self_deposit;

		if (!FITS(8, reps, 8))
			return HV_STATUS_INVALID_HYPERCALL_INPUT;
		if (a->partition_id != HV_PARTITION_ID_SELF &&
		    a->partition_id != hv_current_partition_id) {
			NEED_PT(a->partition_id);
			h = &p->deposit;
			n = &p->n_deposit;
		}
		for (i = start; i < reps; i++, (*n)++)
			list_add_tail(&pfn_to_page(a->gpa_page_list[i])->lru, h);
		*done = reps;
		return 0;
	}
	case HVCALL_WITHDRAW_MEMORY: {
		struct hv_input_withdraw_memory *a = in;
		struct hv_output_withdraw_memory *o = out;
		struct page *pg;

		NEED_PT(a->partition_id);
		for (i = start; i < reps && !list_empty(&p->deposit); i++) {
			pg = list_first_entry(&p->deposit, struct page, lru);
			list_del(&pg->lru);
			p->n_deposit--;
			o->gpa_page_list[i] = page_to_pfn(pg);
		}
		*done = i;
		return i < reps ? HV_STATUS_NO_RESOURCES : 0;
	}

	case HVCALL_CREATE_VP: {
		struct hv_create_vp *a = in;

		NEED_PT(a->partition_id);
		if (!p->initialized)
			return HV_STATUS_INVALID_PARTITION_STATE;
		if (vp_find(p, a->vp_index))
			return HV_STATUS_INVALID_VP_INDEX;
		v = kzalloc(sizeof(*v), GFP_ATOMIC);
		if (!v)
			return HV_STATUS_INSUFFICIENT_MEMORY;
		v->idx = a->vp_index;
		v->apic_id = a->vp_index;
		v->explicit = 1;
		INIT_LIST_HEAD(&v->regs);
		INIT_LIST_HEAD(&v->msgs);
		INIT_LIST_HEAD(&v->blobs);
		if (svm && svm_vp_create(p, v)) {
			kfree(v);
			return HV_STATUS_INSUFFICIENT_MEMORY;
		}
		list_add_tail(&v->l, &p->vps);
		/* a few architectural reset values */
		kv_set(&v->regs, 0x00020011 /* RFLAGS */, 2, 0);
		kv_set(&v->regs, 0x00020010 /* RIP */, 0xfff0, 0);
		kv_set(&v->regs, 0x00040000 /* CR0 */, 0x60000010, 0);
		kv_set(&v->regs, 0x00080003 /* APIC_BASE */, v->idx ? 0xfee00800 : 0xfee00900, 0);
		kv_set(&v->regs, HV_REGISTER_SVERSION, 1, 0);
		for (i = 0; i < HV_SYNIC_SINT_COUNT; i++)
			kv_set(&v->regs, HV_REGISTER_SINT0 + i, HV_SYNIC_SINT_MASKED, 0);
		fhv_log("CREATE_VP pt=%llu vp=%u flags=%llx", p->id, v->idx, a->flags);
		return 0;
	}
	case HVCALL_DELETE_VP:
		NEED_PT(in1);
		NEED_VP((u32)in2);
		vp_free(p, v);
		return 0;

	case HVCALL_MAP_VP_STATE_PAGE: {
		struct hv_input_map_vp_state_page *a = in;
		struct hv_output_map_vp_state_page *o = out;

		NEED_PT(a->partition_id);
		NEED_VP(a->vp_index);
		if (a->type >= HV_VP_STATE_PAGE_COUNT)
			return HV_STATUS_INVALID_PARAMETER;
		if (!v->state[a->type]) {
			v->owned[a->type] = !a->flags.map_location_provided;
			v->state[a->type] = a->flags.map_location_provided
						    ? pfn_to_page(a->requested_map_location)
						    : alloc_page(GFP_ATOMIC | __GFP_ZERO);
			if (!v->state[a->type])
				return HV_STATUS_INSUFFICIENT_MEMORY;
		}
		o->map_location = page_to_pfn(v->state[a->type]);
		return 0;
	}
	case HVCALL_UNMAP_VP_STATE_PAGE: {
		struct hv_input_unmap_vp_state_page *a = in;

		NEED_PT(a->partition_id);
		NEED_VP(a->vp_index);
		if (a->type >= HV_VP_STATE_PAGE_COUNT || !v->state[a->type])
			return HV_STATUS_INVALID_PARAMETER;
		if (v->owned[a->type])
			__free_page(v->state[a->type]);
		v->state[a->type] = NULL;
		return 0;
	}

	case HVCALL_MAP_STATS_PAGE:
	case HVCALL_MAP_STATS_PAGE2: {
		struct hv_input_map_stats_page *a = in;
		struct fhv_stat *s = kzalloc(sizeof(*s), GFP_ATOMIC);

		if (!s)
			return HV_STATUS_INSUFFICIENT_MEMORY;
		s->type = a->type;
		s->id = a->identity;
		s->owned = code == HVCALL_MAP_STATS_PAGE;
		s->pg = s->owned ? alloc_page(GFP_ATOMIC | __GFP_ZERO)
				 : pfn_to_page(
					   ((struct hv_input_map_stats_page2 *)in)->map_location);
		if (!s->pg) {
			kfree(s);
			return HV_STATUS_INSUFFICIENT_MEMORY;
		}
		list_add_tail(&s->l, &stats);
		n_stats_pages++;
		if (s->type == HV_STATS_OBJECT_HYPERVISOR)
			((u64 *)page_address(s->pg))[1] = num_possible_cpus();
		if (s->owned)
			((struct hv_output_map_stats_page *)out)->map_location = page_to_pfn(s->pg);
		return 0;
	}
	case HVCALL_UNMAP_STATS_PAGE: {
		struct hv_input_unmap_stats_page *a = in;
		struct fhv_stat *s;

		list_for_each_entry(s, &stats, l)
			if (s->type == a->type && !memcmp(&s->id, &a->identity, sizeof(s->id))) {
				list_del(&s->l);
				n_stats_pages--;
				if (s->owned)
					__free_page(s->pg);
				kfree(s);
				return 0;
			}
		return HV_STATUS_INVALID_PARAMETER;
	}

	case HVCALL_MAP_GPA_PAGES: {
		struct hv_input_map_gpa_pages *a = in;
		bool large = a->map_flags & HV_MAP_GPA_LARGE_PAGE;

		NEED_PT(a->target_partition_id);
		if (!FITS(24, reps, 8))
			return HV_STATUS_INVALID_HYPERCALL_INPUT;
		for (i = start; i < reps; i++) {
			u64 gfn = a->target_gpa_base + (large ? (u64)i << 9 : i);
			u64 val = (a->map_flags & HV_MAP_GPA_NO_ACCESS)
					  ? 0
					  : a->source_gpa_page_list[i] << 8 | (a->map_flags & 0xf);
			void *old;

			if (large)
				val |= G_LARGE;
			if (p->svm)
				svm_zap_range(p, gfn, large ? 512 : 1);
			old = xa_store(&p->gpa, gfn, xa_mk_value(val), GFP_ATOMIC);
			if (xa_is_err(old))
				break;
			if (!old)
				p->n_gpa++;
		}
		*done = i;
		fhv_log("MAP_GPA pt=%llu gfn=0x%llx n=%u done=%u flags=0x%x first_pfn=0x%llx",
			p->id, a->target_gpa_base, reps, i, a->map_flags,
			a->source_gpa_page_list[0]);
		return i < reps ? HV_STATUS_INSUFFICIENT_MEMORY : 0;
	}
	case HVCALL_UNMAP_GPA_PAGES: {
		struct {
			u64 pt, base;
			u32 flags;
		} *a = in;

		NEED_PT(a->pt);
		for (i = start; p->svm && i < reps; i++)
			svm_zap_range(
				p,
				a->base + ((a->flags & HV_UNMAP_GPA_LARGE_PAGE) ? (u64)i << 9 : i),
				(a->flags & HV_UNMAP_GPA_LARGE_PAGE) ? 512 : 1);
		for (i = start; i < reps; i++)
			if (xa_erase(&p->gpa,
				     a->base + ((a->flags & HV_UNMAP_GPA_LARGE_PAGE) ? (u64)i << 9
										     : i)))
				p->n_gpa--;
		*done = reps;
		fhv_log("UNMAP_GPA pt=%llu gfn=0x%llx n=%u flags=0x%x", p->id, a->base, reps,
			a->flags);
		return 0;
	}
	case HVCALL_GET_GPA_PAGES_ACCESS_STATES: {
		struct hv_input_get_gpa_pages_access_state *a = in;
		u8 *o = out;

		NEED_PT(a->partition_id);
		if (!out || reps > HV_HYP_PAGE_SIZE)
			return HV_STATUS_INVALID_HYPERCALL_INPUT;
		for (i = start; i < reps; i++) {
			void *e = xa_load(&p->gpa, a->hv_gpa_page_number + i);
			u64 val;

			if (!e)
				return HV_STATUS_INVALID_PARAMETER;
			val = xa_to_value(e);
			o[i] = (val & G_A ? 1 : 0) | (val & G_D ? 2 : 0);
			if (p->svm && (a->flags.clear_accessed || a->flags.clear_dirty))
				svm_zap_range(p, a->hv_gpa_page_number + i, 1);
			if (a->flags.clear_accessed)
				val &= ~G_A;
			if (a->flags.clear_dirty)
				val &= ~G_D;
			if (a->flags.set_accessed)
				val |= G_A;
			if (a->flags.set_dirty)
				val |= G_D;
			xa_store(&p->gpa, a->hv_gpa_page_number + i, xa_mk_value(val), GFP_ATOMIC);
		}
		*done = reps;
		return 0;
	}

	case HVCALL_GET_VP_REGISTERS: {
		struct hv_input_get_vp_registers *a = in;
		union hv_register_value *o = out;

		NEED_PT(a->partition_id);
		if (!out || !FITS(16, reps, 4) || !FITS(0, reps, 16))
			return HV_STATUS_INVALID_HYPERCALL_INPUT;
		NEED_VP(a->vp_index);
		for (i = start; i < reps; i++)
			o[i].reg128.low_part = reg_get(p, v, a->names[i], &o[i].reg128.high_part);
		*done = reps;
		return 0;
	}
	case HVCALL_SET_VP_REGISTERS: {
		struct hv_input_set_vp_registers *a = in;

		NEED_PT(a->partition_id);
		if (!FITS(16, reps, sizeof(a->elements[0])))
			return HV_STATUS_INVALID_HYPERCALL_INPUT;
		NEED_VP(a->vp_index);
		for (i = start; i < reps; i++) {
			struct hv_register_assoc *e = &a->elements[i];
			u64 st = reg_set(p, v, e->name, e->value.reg128.low_part,
					 e->value.reg128.high_part);

			if (!svm || svm_trace)
				fhv_log("SET_REG pt=%llu vp=%u name=0x%x lo=0x%llx hi=0x%llx",
					p->id, v->idx, e->name, e->value.reg128.low_part,
					e->value.reg128.high_part);
			if (st)
				return st;
			*done = i + 1;
		}
		return 0;
	}
	case HVCALL_GET_VP_CPUID_VALUES: {
		struct {
			u64 pt;
			u32 vp, flags, r0, r1;
			struct {
				u32 eax, ecx;
				u64 xfem, xss;
			} leaf[];
		} *a = in;
		u32 *o = out;

		NEED_PT(a->pt);
		if (!out || !FITS(24, reps, 24) || !FITS(0, reps, 16))
			return HV_STATUS_INVALID_HYPERCALL_INPUT;
		NEED_VP(a->vp);
		for (i = start; i < reps; i++) {
			cpuid_count(a->leaf[i].eax, a->leaf[i].ecx, &o[4 * i], &o[4 * i + 1],
				    &o[4 * i + 2], &o[4 * i + 3]);
			fhv_log("CPUID pt=%llu vp=%u eax=0x%x ecx=0x%x", p->id, v->idx,
				a->leaf[i].eax, a->leaf[i].ecx);
		}
		*done = reps;
		return 0;
	}

	case HVCALL_GET_VP_STATE: {
		struct hv_input_get_vp_state *a = in;
		struct blob *b;

		NEED_PT(a->partition_id);
		NEED_VP(a->vp_index);
		b = blob_get(v, a->state_data.type, false);
		fhv_log("GET_VP_STATE pt=%llu vp=%u type=0x%x pages=%u", p->id, v->idx,
			a->state_data.type, var);
		if (v->svm && a->state_data.type == HV_GET_SET_VP_STATE_LAPIC_STATE && var) {
			svm_lapic_state(v, page_address(pfn_to_page(a->output_data_pfns[0])),
					false);
			return 0;
		}
		if (!(a->state_data.type & HV_GET_SET_VP_STATE_TYPE_PFN)) {
			if (b)
				memcpy(out, b->data, sizeof(union hv_output_get_vp_state));
			return 0;
		}
		for (i = 0; i < var; i++) {
			void *dst = page_address(pfn_to_page(a->output_data_pfns[i]));

			if (b && i < b->pages)
				memcpy(dst, page_address(b->pg[i]), PAGE_SIZE);
			else
				memset(dst, 0, PAGE_SIZE);
		}
		return 0;
	}
	case HVCALL_SET_VP_STATE: {
		struct hv_input_set_vp_state *a = in;
		struct blob *b;

		NEED_PT(a->partition_id);
		NEED_VP(a->vp_index);
		b = blob_get(v, a->state_data.type, true);
		if (!b)
			return HV_STATUS_INSUFFICIENT_MEMORY;
		fhv_log("SET_VP_STATE pt=%llu vp=%u type=0x%x var=%u", p->id, v->idx,
			a->state_data.type, var);
		if (v->svm && a->state_data.type == HV_GET_SET_VP_STATE_LAPIC_STATE && var)
			svm_lapic_state(v, page_address(pfn_to_page(a->data[0].pfns)), true);
		if (!(a->state_data.type & HV_GET_SET_VP_STATE_TYPE_PFN)) {
			memcpy(b->data, a->data, min_t(u32, var * 8, sizeof(b->data)));
			return 0;
		}
		for (i = 0; i < var && i < ARRAY_SIZE(b->pg); i++) {
			if (i >= b->pages) {
				b->pg[i] = alloc_page(GFP_ATOMIC);
				if (!b->pg[i])
					return HV_STATUS_INSUFFICIENT_MEMORY;
				b->pages = i + 1;
			}
			memcpy(page_address(b->pg[i]), page_address(pfn_to_page(a->data[i].pfns)),
			       PAGE_SIZE);
		}
		return 0;
	}

	case HVCALL_ASSERT_VIRTUAL_INTERRUPT: {
		struct hv_input_assert_virtual_interrupt *a = in;
		u64 st = 0;

		NEED_PT(a->partition_id);
		if (strict && a->control.interrupt_type == HV_X64_INTERRUPT_TYPE_FIXED &&
		    a->vector < 16)
			st = HV_STATUS_INVALID_PARAMETER;
		v = a->control.logical_dest_mode ? NULL : vp_of_apic(p, a->dest_addr);
		if (!svm || svm_trace)
			fhv_log("ASSERT pt=%llu vector=0x%x dest=0x%llx type=%u level=%u "
				"logical=%u vtl=%u rsvd=0x%x vp=%d status=0x%llx",
				p->id, a->vector, a->dest_addr, a->control.interrupt_type,
				a->control.level_triggered, a->control.logical_dest_mode,
				a->target_vtl, a->control.rsvd, v ? (int)v->idx : -1, st);
		if (!st && p->svm)
			svm_assert(p, a->control.interrupt_type, a->vector, a->dest_addr,
				   a->control.level_triggered, a->control.logical_dest_mode);
		return st;
	}
	case HVCALL_CLEAR_VIRTUAL_INTERRUPT: {
		u64 id = fast ? in1 : *(u64 *)in;

		NEED_PT(id);
		fhv_log("CLEAR pt=%llu", p->id);
		return 0;
	}

	case HVCALL_CREATE_PORT: {
		struct hv_input_create_port *a = in;
		struct fhv_port *q = kzalloc(sizeof(*q), GFP_ATOMIC);

		if (!q)
			return HV_STATUS_INSUFFICIENT_MEMORY;
		q->id = a->port_id.u.id;
		q->owner = a->port_partition_id;
		q->conn_pt = a->connection_partition_id;
		q->type = a->port_info.port_type;
		q->sint = a->port_info.doorbell_port_info.target_sint;
		q->vp = a->port_info.doorbell_port_info.target_vp;
		list_add_tail(&q->l, &ports);
		fhv_log("CREATE_PORT id=%u conn_pt=%llu type=%u sint=%u vp=0x%x", q->id, q->conn_pt,
			q->type, q->sint, q->vp);
		return 0;
	}
	case HVCALL_CONNECT_PORT: {
		struct hv_input_connect_port *a = in;
		struct fhv_port *q;

		list_for_each_entry(q, &ports, l)
			if (q->id == a->port_id.u.id) {
				q->connected = true;
				q->gpa = a->connection_info.doorbell_connection_info.gpa;
				q->val = a->connection_info.doorbell_connection_info.trigger_value;
				q->flags = a->connection_info.doorbell_connection_info.flags;
				fhv_log("CONNECT_PORT id=%u pt=%llu gpa=0x%llx value=0x%llx "
					"flags=0x%llx",
					q->id, a->connection_partition_id, q->gpa, q->val,
					q->flags);
				return 0;
			}
		return HV_STATUS_INVALID_PORT_ID;
	}
	case HVCALL_DISCONNECT_PORT: {
		union hv_input_disconnect_port a = { .as_uint64 = { in1, in2 } };
		struct fhv_port *q;

		list_for_each_entry(q, &ports, l)
			if (q->id == a.connection_id.u.id) {
				q->connected = false;
				fhv_log("DISCONNECT_PORT id=%u", q->id);
				return 0;
			}
		return HV_STATUS_INVALID_CONNECTION_ID;
	}
	case HVCALL_DELETE_PORT: {
		union hv_input_delete_port a = { .as_uint64 = { in1, in2 } };
		struct fhv_port *q;

		list_for_each_entry(q, &ports, l)
			if (q->id == a.port_id.u.id) {
				list_del(&q->l);
				fhv_log("DELETE_PORT id=%u", q->id);
				kfree(q);
				return 0;
			}
		return HV_STATUS_INVALID_PORT_ID;
	}
	case HVCALL_NOTIFY_PORT_RING_EMPTY: {
		struct fhv_cpu *c = this_cpu_ptr(&fhv_cpus);
		struct kv *k, *n;
		LIST_HEAD(h);

		list_splice_init(&c->ring_pending, &h);
		list_for_each_entry_safe(k, n, &h, l) {
			list_del(&k->l);
			ring_push(smp_processor_id(), k->lo, k->key);
			kfree(k);
		}
		return 0;
	}

	case HVCALL_GET_SYSTEM_PROPERTY: {
		struct hv_input_get_system_property *a = in;

		if (a->property_id != HV_SYSTEM_PROPERTY_SCHEDULER_TYPE)
			return HV_STATUS_INVALID_PARAMETER;
		((struct hv_output_get_system_property *)out)->scheduler_type = sched;
		return 0;
	}
	case HVCALL_SET_SYSTEM_PROPERTY: return 0;

	case HVCALL_GET_PARTITION_PROPERTY:
	case HVCALL_GET_PARTITION_PROPERTY_EX: {
		struct hv_input_get_partition_property *a = in;
		struct kv *k = NULL;
		u64 val, st;

		if (!out)
			return HV_STATUS_INVALID_HYPERCALL_INPUT;
		if (a->property_code == HV_PARTITION_PROPERTY_VMM_CAPABILITIES) {
			struct hv_partition_property_vmm_capabilities *c = out;

			memset(c, 0, sizeof(*c));
			c->bank_count = 1;
			c->as_uint64[0] = vmm_caps;
			return 0;
		}
		if (a->partition_id == HV_PARTITION_ID_SELF) {
			if (a->property_code ==
			    HV_PARTITION_PROPERTY_INTEGRATED_SCHEDULER_ENABLED) {
				*(u64 *)out = sched == HV_SCHEDULER_TYPE_ROOT;
				return 0;
			}
		} else {
			NEED_PT(a->partition_id);
			k = kv_find(&p->props, a->property_code);
		}
		st = k ? 0 : prop_default(a->property_code, &val);
		if (st)
			return st;
		*(u64 *)out = k ? k->lo : val;
		return 0;
	}
	case HVCALL_SET_PARTITION_PROPERTY: {
		struct hv_input_set_partition_property *a = in;
		u64 st;

		NEED_PT(a->partition_id);
		st = prop_set(p, a->property_code, a->property_value);
		fhv_log("SET_PROP pt=%llu code=0x%x value=0x%llx status=0x%llx async=%d", p->id,
			a->property_code, a->property_value, st, async_props);
		if (async_props) {
			struct hv_async_completion_message_payload *m;
			struct hv_message msg = {};

			msg.header.message_type = HVMSG_ASYNC_CALL_COMPLETION;
			msg.header.payload_size = sizeof(*m);
			m = (void *)msg.u.payload;
			m->partition_id = p->id;
			m->status = st;
			m->completion_count = 1;
			sim_post(smp_processor_id(), &msg);
			return HV_STATUS_CALL_PENDING;
		}
		return st;
	}

	case HVCALL_INSTALL_INTERCEPT: {
		struct {
			u64 pt;
			u32 access, type;
			u64 param;
		} *a = in;

		NEED_PT(a->pt);
		fhv_log("INSTALL_INTERCEPT pt=%llu access=%u type=%u param=0x%llx", p->id,
			a->access, a->type, a->param);
		if (p->svm && svm_install(p, a->type, a->access, a->param))
			return HV_STATUS_INSUFFICIENT_MEMORY;
		return 0;
	}
	case HVCALL_REGISTER_INTERCEPT_RESULT: {
		struct {
			u64 pt;
			u32 vp, type;
			u64 d[6];
		} *a = in;

		NEED_PT(a->pt);
		NEED_VP(a->vp);
		fhv_log("REGISTER_INTERCEPT_RESULT pt=%llu vp=%u type=%u data=%*phN", p->id, a->vp,
			a->type, (int)sizeof(a->d), a->d);
		if (p->svm && a->type == 2 && svm_cpuid_result(p, a->d))
			return HV_STATUS_INSUFFICIENT_MEMORY;
		return 0;
	}
	case HVCALL_TRANSLATE_VIRTUAL_ADDRESS: {
		struct {
			u64 pt;
			u32 vp, pad;
			u64 flags, gva_page;
		} *a = in;
		struct {
			u32 code, info;
			u64 gpa_page;
		} *o = out;
		u64 gfn;

		NEED_PT(a->pt);
		if (!out)
			return HV_STATUS_INVALID_HYPERCALL_INPUT;
		NEED_VP(a->vp);
		gfn = a->gva_page; /* identity: no guest page tables here */
		if (v->svm) {
			u64 gpa = 0;

			svm_stop(v->svm);
			o->code = svm_walk(p, v->svm, a->gva_page << 12, &gpa);
			if (!o->code && !xa_load(&p->gpa, gpa >> 12))
				o->code = 4;
			o->info = 0;
			o->gpa_page = o->code ? 0 : gpa >> 12;
			fhv_log("TRANSLATE pt=%llu vp=%u flags=0x%llx gva=0x%llx -> code=%u "
				"gpa=0x%llx",
				p->id, a->vp, a->flags, a->gva_page << 12, o->code, gpa);
			return 0;
		}
		o->code = xa_load(&p->gpa, gfn) ? 0 : 4; /* GPA unmapped */
		o->info = 0;
		o->gpa_page = gfn;
		fhv_log("TRANSLATE pt=%llu vp=%u flags=0x%llx gva=0x%llx -> code=%u gpa=0x%llx",
			p->id, a->vp, a->flags, a->gva_page << 12, o->code, gfn << 12);
		return 0;
	}
	case HVCALL_SIGNAL_EVENT_DIRECT: {
		struct {
			u64 pt;
			u32 vp;
			u8 vtl, sint;
			u16 flag;
		} *a = in;

		NEED_PT(a->pt);
		NEED_VP(a->vp);
		if (!svm || svm_trace)
			fhv_log("SIGNAL_EVENT_DIRECT pt=%llu vp=%u vtl=%u sint=%u flag=%u", p->id,
				a->vp, a->vtl, a->sint, a->flag);
		if (v->svm) {
			bool newly;
			u64 st = svm_signal_event(p, v, a->sint, a->flag, &newly);

			if (out)
				*(u64 *)out = newly;
			return st;
		}
		if (out)
			*(u64 *)out = 1;
		return 0;
	}
	case HVCALL_POST_MESSAGE_DIRECT: {
		struct {
			u64 pt;
			u32 vp;
			u8 vtl, p0[3];
			u8 sint, p1[3];
			u8 msg[256];
		} *a = in;

		NEED_PT(a->pt);
		NEED_VP(a->vp);
		if (!svm || svm_trace)
			fhv_log("POST_MESSAGE_DIRECT pt=%llu vp=%u vtl=%u sint=%u head=%*phN",
				p->id, a->vp, a->vtl, a->sint, 48, a->msg);
		return v->svm ? svm_post_message(p, v, a->sint, a->msg) : 0;
	}

	case HVCALL_DISPATCH_VP: {
		struct hv_input_dispatch_vp *a = in;
		struct hv_output_dispatch_vp *o = out;

		NEED_PT(a->partition_id);
		NEED_VP(a->vp_index);
		if (a->flags & HV_DISPATCH_VP_FLAG_CLEAR_INTERCEPT_SUSPEND)
			v->intercept = 0;
		if (a->flags & HV_DISPATCH_VP_FLAG_SCAN_INTERRUPT_INJECTION)
			take_page_vectors(p, v);
		v->blocked = false;
		if (v->explicit || v->dispatch) {
			o->dispatch_state = HV_VP_DISPATCH_STATE_BLOCKED;
			o->dispatch_event = HV_VP_DISPATCH_EVENT_SUSPEND;
		} else if (vp_take_msg(p, v)) {
			o->dispatch_state = HV_VP_DISPATCH_STATE_READY;
			o->dispatch_event = HV_VP_DISPATCH_EVENT_INTERCEPT;
		} else {
			v->blocked = true;
			o->dispatch_state = HV_VP_DISPATCH_STATE_BLOCKED;
			o->dispatch_event = HV_VP_DISPATCH_EVENT_INVALID;
		}
		return 0;
	}
	}
	pr_warn("unimplemented hypercall 0x%x\n", code);
	return HV_STATUS_INVALID_HYPERCALL_CODE;
}

static u64 fakehv_hypercall(u64 control, u64 p1, u64 p2)
{
	u16 code = control & 0xffff;
	bool fast = control & HV_HYPERCALL_FAST_BIT;
	u32 var = FIELD_GET(HV_HYPERCALL_VARHEAD_MASK, control);
	u32 reps = FIELD_GET(HV_HYPERCALL_REP_COMP_MASK, control);
	u32 start = FIELD_GET(HV_HYPERCALL_REP_START_MASK, control);
	void *in = NULL, *out = NULL;
	unsigned long fl;
	u32 done = 0;
	u64 st = 0;
	int i;

	if (!fast) {
		in = p1 ? phys_to_virt(p1) : NULL;
		out = p2 ? phys_to_virt(p2) : NULL;
	}

	if (svm && code == HVCALL_DISPATCH_VP)
		return svm_dispatch(in, out);

	spin_lock_irqsave(&fhv_lock, fl);
	for (i = 0; i < ARRAY_SIZE(inject); i++)
		if (inject[i].count && inject[i].code == code) {
			inject[i].count--;
			st = inject[i].status;
			break;
		}
	if (st)
		fhv_log("INJECTED code=0x%x %s status=0x%llx", code, hc_name(code), st);
	else if ((control & HV_HYPERCALL_RSVD_MASK) ||
		 (hc_is_rep(code) ? (!reps || start >= reps) : !!reps))
		st = HV_STATUS_INVALID_HYPERCALL_INPUT;
	else
		st = do_call(code, var, reps, start, fast, p1, p2, in, out, &done);
	if (!svm || svm_trace || (st && st != HV_STATUS_INSUFFICIENT_MEMORY))
		fhv_log("HC code=0x%x %s pt=%lld reps=%u start=%u done=%u fast=%d status=0x%llx",
			code, hc_name(code),
			fast ? (s64)p1
			: in ? (s64) * (u64 *)in
			     : 0,
			reps, start, done, fast, st);
	spin_unlock_irqrestore(&fhv_lock, fl);

	return st | (u64)done << HV_HYPERCALL_REP_COMP_OFFSET;
}

/* --------------------------------------------------------- /dev/fakehv --- */
static int fhv_gmem(struct fhv_pt *p, u64 gpa, u8 *buf, u32 len, bool wr)
{
	while (len) {
		u32 off = gpa & (PAGE_SIZE - 1), n = min_t(u32, len, PAGE_SIZE - off);
		u64 gfn = gpa >> PAGE_SHIFT, val;
		void *e = xa_load(&p->gpa, gfn), *e2;
		u8 *k;

		if (!e) { /* maybe inside a 2M mapping */
			e2 = xa_load(&p->gpa, gfn & ~511ULL);
			if (!e2 || !(xa_to_value(e2) & G_LARGE))
				return -ENXIO;
			val = xa_to_value(e2) + ((gfn & 511) << 8);
		} else {
			val = xa_to_value(e);
		}
		if (!(val & (wr ? HV_MAP_GPA_WRITABLE : HV_MAP_GPA_READABLE)))
			return -EACCES;
		k = phys_to_virt((val >> 8) << PAGE_SHIFT) + off;
		if (wr)
			memcpy(k, buf, n);
		else
			memcpy(buf, k, n);
		if (e)
			xa_store(&p->gpa, gfn, xa_mk_value(val | G_A | (wr ? G_D : 0)), GFP_ATOMIC);
		buf += n;
		gpa += n;
		len -= n;
	}
	return 0;
}

static void fhv_dump(void)
{
	struct fhv_pt *p;
	struct fhv_vp *v;
	struct fhv_port *q;
	int cpu;

	list_for_each_entry(p, &partitions, l) {
		fhv_log("DUMP pt=%llu init=%d flags=0x%llx deposit=%llu gpa=%llu", p->id,
			p->initialized, p->flags, p->n_deposit, p->n_gpa);
		list_for_each_entry(v, &p->vps, l)
			fhv_log("DUMP pt=%llu vp=%u explicit=%llu intercept=%llu dispatch=%llu "
				"signals=%llu queued=%zu",
				p->id, v->idx, v->explicit, v->intercept, v->dispatch, v->signals,
				list_count_nodes(&v->msgs));
	}
	list_for_each_entry(q, &ports, l)
		fhv_log("DUMP port=%u pt=%llu gpa=0x%llx value=0x%llx flags=0x%llx connected=%d",
			q->id, q->conn_pt, q->gpa, q->val, q->flags, q->connected);
	for_each_online_cpu(cpu)
		fhv_log("DUMP cpu=%d slot=0x%x pending=%zu eom=%llu", cpu,
			sim_slot(cpu)->header.message_type,
			list_count_nodes(&per_cpu(fhv_cpus, cpu).pending),
			per_cpu(fhv_cpus, cpu).n_eom);
	fhv_log("DUMP stats_pages=%llu self_deposit=%llu sched=%d mode=%d", n_stats_pages,
		self_deposit, sched, fhv_mode);
}

/* wait until the SIM slots drained: makes write() synchronous for tests */
static void fhv_settle(void)
{
	int t, cpu;

	for (t = 0; t < 100; t++) {
		bool busy = false;

		for_each_online_cpu(cpu)
			busy |= READ_ONCE(sim_slot(cpu)->header.message_type) ||
				!list_empty(&per_cpu(fhv_cpus, cpu).pending);
		if (!busy)
			return;
		usleep_range(200, 400);
	}
	fhv_log("STUCK: a SIM slot was not released by the driver");
}

static int fhv_cmd(char *s)
{
	unsigned long long a = 0, b = 0, c = 0, d = 0, e = 0;
	struct fhv_pt *p;
	struct fhv_vp *v;
	struct fhv_port *q;
	struct hv_message m = {};
	unsigned long fl;
	bool settle = false;
	int ret = -EINVAL, n = 0, i;
	static u8 hexbuf[4096]; /* serialized by cmd_mutex */
	char *sp;

	sp = strchr(s, ' ');
	if (sp)
		*sp++ = 0;
	else
		sp = s + strlen(s);

	spin_lock_irqsave(&fhv_lock, fl);
/* partition 0 means the newest one that still exists */
#define PT(x)                                                                                   \
	do {                                                                                    \
		p = (x)                       ? pt_find(x)                                      \
		    : list_empty(&partitions) ? NULL                                            \
					      : list_last_entry(&partitions, struct fhv_pt, l); \
		if (!p) {                                                                       \
			ret = -ESRCH;                                                           \
			goto out;                                                               \
		}                                                                               \
	} while (0)
#define VP(x)                          \
	do {                           \
		v = vp_find(p, x);     \
		if (!v) {              \
			ret = -ENODEV; \
			goto out;      \
		}                      \
	} while (0)
	if (!strcmp(s, "mmio")) { /* mmio PT GPA LEN VALUE [COUNT] (burst, irqs off) */
		static const u8 sz[] = { 0, 1, 2, 4, 8 };

		e = 1;
		if (sscanf(sp, "%lli %lli %lli %lli %lli", &a, &b, &c, &d, &e) < 4)
			goto out;
		PT(a);
		list_for_each_entry(q, &ports, l) {
			u32 fs = q->flags & HV_DOORBELL_FLAG_TRIGGER_SIZE_MASK;

			if (!q->connected || q->conn_pt != p->id || q->gpa != b)
				continue;
			if (fs && (fs > 4 || sz[fs] != c))
				continue;
			if (!(q->flags & HV_DOORBELL_FLAG_TRIGGER_ANY_VALUE) && q->val != d)
				continue;
			fhv_log("DOORBELL pt=%llu port=%u gpa=0x%llx len=%llu value=0x%llx", p->id,
				q->id, b, c, d);
			for (i = 0; i < e; i++)
				ring_push(smp_processor_id(), q->sint, q->id);
			n++;
		}
		ret = n ? 0 : -ENOENT;
		settle = true;
	} else if (!strcmp(s, "msg")) { /* msg PT VP HEX */
		struct qmsg *qm;

		if (sscanf(sp, "%lli %lli %n", &a, &b, &n) != 2 || !n)
			goto out;
		PT(a);
		VP(b);
		i = strlen(sp + n) / 2;
		if (i < 4 || i > sizeof(m) || hex2bin((u8 *)&m, sp + n, i))
			goto out;
		qm = kmalloc(sizeof(*qm), GFP_ATOMIC);
		qm->m = m;
		list_add_tail(&qm->l, &v->msgs);
		fhv_log("QUEUE pt=%llu vp=%u type=0x%x", p->id, v->idx, m.header.message_type);
		vp_try(p, v);
		ret = 0;
		settle = true;
	} else if (!strcmp(s, "eoi")) { /* eoi PT VP VECTOR */
		struct hv_x64_apic_eoi_message *eoi = (void *)m.u.payload;

		if (sscanf(sp, "%lli %lli %lli", &a, &b, &c) != 3)
			goto out;
		PT(a);
		m.header.message_type = HVMSG_X64_APIC_EOI;
		m.header.payload_size = sizeof(*eoi);
		m.header.sender = p->id;
		eoi->vp_index = b;
		eoi->interrupt_vector = c;
		ret = sim_post(smp_processor_id(), &m);
		settle = true;
	} else if (!strcmp(s, "raw")) { /* raw CPU HEX: any SIM message */
		if (sscanf(sp, "%lli %n", &a, &n) != 1 || !n || a >= nr_cpu_ids || !cpu_online(a))
			goto out;
		i = strlen(sp + n) / 2;
		if (i < 4 || i > sizeof(m) || hex2bin((u8 *)&m, sp + n, i))
			goto out;
		ret = sim_post(a, &m);
		settle = true;
	} else if (!strcmp(s, "slotreset")) { /* drop messages the driver refused; "force": any */
		for_each_online_cpu(i) {
			switch (READ_ONCE(sim_slot(i)->header.message_type)) {
			case HVMSG_OPAQUE_INTERCEPT:
			case HVMSG_SYNIC_SINT_INTERCEPT:
			case HVMSG_ASYNC_CALL_COMPLETION:
			case HVMSG_SCHEDULER_VP_SIGNAL_BITSET:
			case HVMSG_SCHEDULER_VP_SIGNAL_PAIR:
				if (strcmp(sp, "force"))
					break; /* the ISR is about to handle it */
				fallthrough;
			default: WRITE_ONCE(sim_slot(i)->header.message_type, HVMSG_NONE);
			}
			sim_pump(i);
		}
		ret = 0;
		settle = true;
	} else if (!strcmp(s, "kick")) { /* kick PT VP (root scheduler signal) */
		if (sscanf(sp, "%lli %lli", &a, &b) != 2)
			goto out;
		PT(a);
		VP(b);
		vp_signal(p, v);
		ret = 0;
		settle = true;
	} else if (!strcmp(s, "reg")) { /* reg PT VP NAME LO HI */
		if (sscanf(sp, "%lli %lli %lli %lli %lli", &a, &b, &c, &d, &e) != 5)
			goto out;
		PT(a);
		VP(b);
		ret = reg_set(p, v, c, d, e) ? -ENOMEM : 0;
	} else if (!strcmp(s, "getreg")) { /* getreg PT VP NAME -> log */
		if (sscanf(sp, "%lli %lli %lli", &a, &b, &c) != 3)
			goto out;
		PT(a);
		VP(b);
		d = reg_get(p, v, c, (u64 *)&e);
		fhv_log("REG pt=%llu vp=%u name=0x%llx lo=0x%llx hi=0x%llx", p->id, v->idx, c, d,
			e);
		ret = 0;
	} else if (!strcmp(s, "prop")) { /* prop PT CODE VALUE */
		if (sscanf(sp, "%lli %lli %lli", &a, &b, &c) != 3)
			goto out;
		PT(a);
		ret = kv_set(&p->props, b, c, 0);
	} else if (!strcmp(s, "inject")) { /* inject CODE STATUS COUNT */
		if (sscanf(sp, "%lli %lli %lli", &a, &b, &c) != 3)
			goto out;
		for (i = 0; i < ARRAY_SIZE(inject); i++)
			if (!inject[i].count) {
				inject[i].code = a;
				inject[i].status = b;
				inject[i].count = c;
				ret = 0;
				break;
			}
	} else if (!strcmp(s, "gread")) { /* gread PT GPA LEN -> log */
		if (sscanf(sp, "%lli %lli %lli", &a, &b, &c) != 3 || c > 64)
			goto out;
		PT(a);
		ret = fhv_gmem(p, b, hexbuf, c, false);
		if (!ret)
			fhv_log("GREAD pt=%llu gpa=0x%llx data=%*phN", p->id, b, (int)c, hexbuf);
	} else if (!strcmp(s, "gwrite")) { /* gwrite PT GPA HEX */
		if (sscanf(sp, "%lli %lli %n", &a, &b, &n) != 2 || !n)
			goto out;
		PT(a);
		i = strlen(sp + n) / 2;
		if (!i || i > sizeof(hexbuf) || hex2bin(hexbuf, sp + n, i))
			goto out;
		ret = fhv_gmem(p, b, hexbuf, i, true);
	} else if (!strcmp(s, "ext_features")) {
		if (sscanf(sp, "%lli", &a) != 1)
			goto out;
		ms_hyperv.ext_features = a;
		ret = 0;
	} else if (!strcmp(s, "async")) {
		if (sscanf(sp, "%lli", &a) != 1)
			goto out;
		async_props = a;
		ret = 0;
	} else if (!strcmp(s, "strict")) {
		if (sscanf(sp, "%lli", &a) != 1)
			goto out;
		strict = a;
		ret = 0;
	} else if (!strcmp(s, "scan")) { /* as a dispatch of every VP does */
		list_for_each_entry(p, &partitions, l)
			list_for_each_entry(v, &p->vps, l)
				take_page_vectors(p, v);
		ret = 0;
	} else if (!strcmp(s, "dump")) {
		fhv_dump();
		ret = 0;
	} else if (!strcmp(s, "mark")) { /* mark TEXT */
		fhv_log("MARK %s", sp);
		ret = 0;
	} else if (!strcmp(s, "clear")) {
		raw_spin_lock(&log_lock);
		log_tail = log_head;
		raw_spin_unlock(&log_lock);
		ret = 0;
	}
out:
	spin_unlock_irqrestore(&fhv_lock, fl);
	if (settle && !ret)
		fhv_settle();
	return ret;
}

static DEFINE_MUTEX(cmd_mutex);

static ssize_t fhv_write(struct file *f, const char __user *u, size_t n, loff_t *pos)
{
	char *s;
	int ret;

	if (!n || n > 16384)
		return -EINVAL;
	s = memdup_user_nul(u, n);
	if (IS_ERR(s))
		return PTR_ERR(s);
	mutex_lock(&cmd_mutex);
	ret = fhv_cmd(strim(s));
	mutex_unlock(&cmd_mutex);
	kfree(s);
	return ret ? ret : n;
}

/* each open file has its own cursor (private_data); 0 bytes = nothing new */
static ssize_t fhv_read(struct file *f, char __user *u, size_t n, loff_t *pos)
{
	u64 cur = (u64)f->private_data;
	size_t got = 0;
	struct log_ent *e = kmalloc(sizeof(*e), GFP_KERNEL);

	if (!e)
		return -ENOMEM;
	for (;;) {
		unsigned long fl;

		raw_spin_lock_irqsave(&log_lock, fl);
		if (cur < log_tail)
			cur = log_tail;
		if (cur >= log_head) {
			raw_spin_unlock_irqrestore(&log_lock, fl);
			break;
		}
		*e = log_ring[cur % LOG_N];
		raw_spin_unlock_irqrestore(&log_lock, fl);
		if (got + e->len > n)
			break;
		if (copy_to_user(u + got, e->s, e->len)) {
			kfree(e);
			return -EFAULT;
		}
		got += e->len;
		cur++;
	}
	f->private_data = (void *)cur;
	kfree(e);
	return got;
}

static int fhv_open(struct inode *i, struct file *f)
{
	unsigned long fl;

	raw_spin_lock_irqsave(&log_lock, fl);
	f->private_data = (void *)log_tail;
	raw_spin_unlock_irqrestore(&log_lock, fl);
	return 0;
}

static const struct file_operations fhv_fops = {
	.owner = THIS_MODULE,
	.open = fhv_open,
	.read = fhv_read,
	.write = fhv_write,
	.llseek = noop_llseek,
};

static struct miscdevice fhv_dev = {
	.minor = MISC_DYNAMIC_MINOR,
	.name = "fakehv",
	.fops = &fhv_fops,
	.mode = 0600,
};

/* ------------------------------------------------------------------ init -- */
static int __init fhv_early(char *s)
{
	if (!s)
		return -EINVAL;
	if (!strncmp(s, "root", 4))
		fhv_mode = 1;
	else if (!strncmp(s, "l1vh", 4))
		fhv_mode = 2;
	else
		return 0;
	/* what ms_hyperv_init_platform() does; must precede idt_setup_done */
	sysvec_install(HYPERVISOR_CALLBACK_VECTOR, sysvec_hyperv_callback);
	ms_hyperv.hints |= HV_DEPRECATING_AEOI_RECOMMENDED; /* explicit EOI */
	return 0;
}
early_param("fakehv", fhv_early);

/* stands in for hyperv_init(), hv_common_init(), hv_common_cpu_init() */
static int __init fhv_init(void)
{
	int cpu;

	if (!fhv_mode)
		return 0;

	log_ring = vzalloc(array_size(LOG_N, sizeof(*log_ring)));
	hyperv_pcpu_input_arg = alloc_percpu(void *);
	hyperv_pcpu_output_arg = alloc_percpu(void *);
	hv_synic_eventring_tail = alloc_percpu(u8 *);
	hv_vp_index = kcalloc(nr_cpu_ids, sizeof(*hv_vp_index), GFP_KERNEL);
	if (!log_ring || !hyperv_pcpu_input_arg || !hyperv_pcpu_output_arg ||
	    !hv_synic_eventring_tail || !hv_vp_index)
		return -ENOMEM;

	for_each_possible_cpu(cpu) {
		struct fhv_cpu *c = &per_cpu(fhv_cpus, cpu);
		u8 *mem = (u8 *)__get_free_pages(GFP_KERNEL | __GFP_ZERO, 1);
		struct page *pg[3];
		int i;

		*per_cpu_ptr(hyperv_pcpu_input_arg, cpu) = mem;
		*per_cpu_ptr(hyperv_pcpu_output_arg, cpu) = mem + HV_HYP_PAGE_SIZE;
		*per_cpu_ptr(hv_synic_eventring_tail, cpu) =
			kcalloc(HV_SYNIC_SINT_COUNT, 1, GFP_KERNEL);
		hv_vp_index[cpu] = cpu;
		hv_max_vp_index = cpu;
		INIT_LIST_HEAD(&c->pending);
		INIT_LIST_HEAD(&c->ring_pending);
		for (i = 0; i < 3; i++)
			pg[i] = alloc_page(GFP_KERNEL | __GFP_ZERO);
		/* the hypervisor pre-provisions these GPAs for a root/L1VH VP */
		c->simp = (u64)page_to_pfn(pg[0]) << 12;
		c->siefp = (u64)page_to_pfn(pg[1]) << 12;
		c->sirbp = fhv_mode == 1 ? (u64)page_to_pfn(pg[2]) << 12 : 0;
	}

	if (svm && svm_init())
		svm = 0;
	ms_hyperv.ext_features = ext_features;
	if (fhv_mode == 1)
		hv_current_partition_id = 1;
	hv_curr_partition_type = fhv_mode == 1 ? HV_PARTITION_TYPE_ROOT : HV_PARTITION_TYPE_L1VH;
	static_call_update(hv_hypercall, fakehv_hypercall);
	pr_info("%s partition, scheduler %d, build %u\n", fhv_mode == 1 ? "root" : "L1VH", sched,
		version);
	return 0;
}
subsys_initcall(fhv_init);

static int __init fhv_dev_init(void)
{
	return fhv_mode ? misc_register(&fhv_dev) : 0;
}
device_initcall(fhv_dev_init);
