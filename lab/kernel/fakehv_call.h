/* SPDX-License-Identifier: GPL-2.0-only */
/* how a hypercall of the host is written; see fakehv_hypercalls.c */

#define HYPERCALL_PARAMETERS                                                                      \
	u16 code, u32 var, u32 reps, u32 start, bool fast, u64 in1, u64 in2, void *in, void *out, \
		u32 *done
#define HYPERCALL(name) static u64 name(HYPERCALL_PARAMETERS)

#define FITS(hdr, n, elem) ((size_t)(hdr) + (size_t)(n) * (elem) <= HV_HYP_PAGE_SIZE)
#define NEED_PT(expr)                                          \
	do {                                                   \
		p = pt_find(expr);                             \
		if (!p)                                        \
			return HV_STATUS_INVALID_PARTITION_ID; \
	} while (0)
#define NEED_VP(idx)                                       \
	do {                                               \
		v = vp_find(p, idx);                       \
		if (!v)                                    \
			return HV_STATUS_INVALID_VP_INDEX; \
	} while (0)
