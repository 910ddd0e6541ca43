// SPDX-License-Identifier: GPL-2.0-only
/* /dev/fakehv: user space scripts the hypervisor and reads its log */

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
