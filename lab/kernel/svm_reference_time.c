// SPDX-License-Identifier: GPL-2.0-only
/* the reference counter */

static u64 ref_time(void)
{
	return div_u64(ktime_get_ns(), 100);
}
