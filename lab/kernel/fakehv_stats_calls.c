// SPDX-License-Identifier: GPL-2.0-only
/* hypercalls for statistics pages */

HYPERCALL(stats_call)
{
	switch (code) {
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
	}
	return HV_STATUS_INVALID_HYPERCALL_CODE;
}
