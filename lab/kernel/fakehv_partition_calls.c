// SPDX-License-Identifier: GPL-2.0-only
/* hypercalls on partitions and the system */

HYPERCALL(partition_call)
{
	struct fhv_pt *p;
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
		clock_set(p, 0, 0);
		p->no_xsave = a->partition_creation_properties.disabled_processor_xsave_features
				      .as_uint64;
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
			if (a->property_code == PROP_REFERENCE_TIME) {
				*(u64 *)out = ref_time(p);
				return 0;
			}
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
	}
	return HV_STATUS_INVALID_HYPERCALL_CODE;
}
