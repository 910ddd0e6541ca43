// SPDX-License-Identifier: GPL-2.0-only
/* partitions, VPs, ports and statistics pages */

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
	u64 no_xsave; /* hv_partition_processor_xsave_features that the guest goes without */
	bool initialized;
	struct list_head vps, props, deposit; /* deposit: page->lru */
	u64 n_deposit, n_gpa;
	struct xarray gpa;
	struct { /* see fakehv_clock.c */
		bool frozen;
		u64 frozen_at, stopped, tsc, ref;
	} clock;
	struct svm_pt *svm;
};

/* gpa xarray value: pfn<<8 | large<<7 | dirty<<5 | accessed<<4 | perms */
#define G_LARGE 0x80
#define G_D     0x20
#define G_A     0x10

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

static void svm_vp_free(struct fhv_pt *p, struct fhv_vp *v);
static void svm_pt_free(struct fhv_pt *p);
static bool svm_reg_get(struct fhv_pt *p, struct fhv_vp *v, u32 name, u64 *lo, u64 *hi);
static bool svm_reg_set(struct fhv_pt *p, struct fhv_vp *v, u32 name, u64 lo, u64 hi);
static bool svm_reg_valid(struct fhv_pt *p, u32 name, u64 lo);
static void svm_freeze(struct fhv_pt *p, bool freeze);
static void svm_set_reference_time(struct fhv_pt *p, u64 ref);
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
	if (v->svm) {
		svm_vp_free(p, v);
		return;
	}
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
