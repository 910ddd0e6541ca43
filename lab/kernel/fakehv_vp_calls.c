// SPDX-License-Identifier: GPL-2.0-only
/* hypercalls on VPs */

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

HYPERCALL(vp_call)
{
	struct fhv_pt *p;
	struct fhv_vp *v;
	u32 i;

	switch (code) {
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
			if (v->svm)
				svm_do_cpuid(p, v, a->leaf[i].eax, a->leaf[i].ecx, &o[4 * i]);
			else
				cpuid_count(a->leaf[i].eax, a->leaf[i].ecx, &o[4 * i],
					    &o[4 * i + 1], &o[4 * i + 2], &o[4 * i + 3]);
			fhv_log("CPUID pt=%llu vp=%u eax=0x%x ecx=0x%x", p->id, v->idx,
				a->leaf[i].eax, a->leaf[i].ecx);
		}
		*done = reps;
		return 0;
	}

	case HVCALL_GET_VP_STATE: {
		struct hv_input_get_vp_state *a = in;
		struct blob *b;
		bool pages;

		NEED_PT(a->partition_id);
		NEED_VP(a->vp_index);
		b = blob_get(v, a->state_data.type, false);
		fhv_log("GET_VP_STATE pt=%llu vp=%u type=0x%x pages=%u", p->id, v->idx,
			a->state_data.type, var);
		pages = a->state_data.type & HV_GET_SET_VP_STATE_TYPE_PFN;
		if (v->svm && (var || !pages) &&
		    svm_state(v, a->state_data.type,
			      pages ? page_address(pfn_to_page(a->output_data_pfns[0])) : out,
			      false))
			return 0;
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
		bool pages;

		NEED_PT(a->partition_id);
		NEED_VP(a->vp_index);
		b = blob_get(v, a->state_data.type, true);
		if (!b)
			return HV_STATUS_INSUFFICIENT_MEMORY;
		fhv_log("SET_VP_STATE pt=%llu vp=%u type=0x%x var=%u", p->id, v->idx,
			a->state_data.type, var);
		pages = a->state_data.type & HV_GET_SET_VP_STATE_TYPE_PFN;
		if (v->svm && var) {
			int done = svm_state(v, a->state_data.type,
					     pages ? page_address(pfn_to_page(a->data[0].pfns))
						   : (void *)a->data,
					     true);

			if (done)
				return done < 0 ? HV_STATUS_INVALID_PARAMETER : 0;
		}
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
		if (p->svm && a->type == 2 && svm_cpuid_result(p, a->vp, a->d))
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
	return HV_STATUS_INVALID_HYPERCALL_CODE;
}
