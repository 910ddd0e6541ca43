// SPDX-License-Identifier: GPL-2.0-only
/* the SynIC of the host: messages and doorbells for the driver */

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
