// SPDX-License-Identifier: GPL-2.0-only
/* the event log that /dev/fakehv gives out */

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
