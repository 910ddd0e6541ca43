// SPDX-License-Identifier: GPL-2.0-only
/* hypercalls for ports: doorbells */

HYPERCALL(port_call)
{
	switch (code) {
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
	}
	return HV_STATUS_INVALID_HYPERCALL_CODE;
}
