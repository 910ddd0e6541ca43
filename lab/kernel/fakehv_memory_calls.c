// SPDX-License-Identifier: GPL-2.0-only
/* hypercalls for guest memory */

HYPERCALL(memory_call)
{
	struct fhv_pt *p;
	u32 i;

	switch (code) {
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
	}
	return HV_STATUS_INVALID_HYPERCALL_CODE;
}
