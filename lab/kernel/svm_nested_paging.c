// SPDX-License-Identifier: GPL-2.0-only
/* nested page tables, overlay pages and guest physical memory */

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
