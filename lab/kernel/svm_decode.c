// SPDX-License-Identifier: GPL-2.0-only
/* a decoder for simple MOVs */

struct svm_insn {
	int len, size, reg; /* reg: destination of a read */
	int dsz;            /* destination size of movzx/movsx */
	bool wr, sx, hi8, rex;
	u64 val, gva;
};

static int seg_idx_default(int rm_base)
{
	return rm_base == 4 || rm_base == 5 ? 2 : 3;
}

static bool svm_decode(struct svm_vp *s, const u8 *b, int n, struct svm_insn *d)
{
	bool l64 = code64(s), o16, a16, a67 = false, o66 = false;
	int i = 0, seg = -1, rex = 0, op, mod, reg, rm, base = -1, imm = 0;
	u64 ea = 0;

	memset(d, 0, sizeof(*d));
	for (; i < n; i++) {
		switch (b[i]) {
		case 0x66: o66 = true; continue;
		case 0x67: a67 = true; continue;
		case 0x26: seg = 0; continue;
		case 0x2e: seg = 1; continue;
		case 0x36: seg = 2; continue;
		case 0x3e: seg = 3; continue;
		case 0x64: seg = 4; continue;
		case 0x65: seg = 5; continue;
		case 0xf0:
		case 0xf2:
		case 0xf3: continue;
		}
		break;
	}
	if (l64 && i < n && (b[i] & 0xf0) == 0x40)
		rex = b[i++];
	d->rex = rex;
	o16 = l64 ? o66 : !!(SAVE(s)->cs.attrib & 0x400) == o66;
	a16 = !l64 && !!(SAVE(s)->cs.attrib & 0x400) == a67;
	if (i >= n)
		return false;
	op = b[i++];
	if (op == 0x0f) {
		if (i >= n)
			return false;
		op = 0x100 | b[i++];
	}
	d->dsz = d->size = rex & 8 ? 8 : o16 ? 2 : 4;
	switch (op) {
	case 0x88: d->size = 1; fallthrough;
	case 0x89: d->wr = true; break;
	case 0x8a: d->dsz = d->size = 1; fallthrough;
	case 0x8b: break;
	case 0xc6:
		d->size = 1;
		d->wr = true;
		imm = 1;
		break;
	case 0xc7:
		d->wr = true;
		imm = d->size == 2 ? 2 : 4;
		break;
	case 0x1be: d->sx = true; fallthrough;
	case 0x1b6: d->size = 1; break;
	case 0x1bf: d->sx = true; fallthrough;
	case 0x1b7: d->size = 2; break;
	case 0xa0:
	case 0xa1:
	case 0xa2:
	case 0xa3: {
		int al = l64 ? (a67 ? 4 : 8) : a16 ? 2 : 4;

		if (i + al > n)
			return false;
		memcpy(&ea, b + i, al);
		i += al;
		if (!(op & 1))
			d->dsz = d->size = 1;
		d->wr = op & 2;
		d->reg = 0;
		d->val = SAVE(s)->rax;
		goto seg;
	}
	default: return false;
	}
	if (i >= n)
		return false;
	mod = b[i] >> 6;
	reg = (b[i] >> 3 & 7) | (rex & 4) << 1;
	rm = b[i++] & 7;
	if (mod == 3)
		return false;
	if (a16) {
		static const s8 r1[] = { 3, 3, 5, 5, 6, 7, 5, 3 },
				r2[] = { 6, 7, 6, 7, -1, -1, -1, -1 };

		if (mod == 0 && rm == 6) {
			if (i + 2 > n)
				return false;
			ea = b[i] | b[i + 1] << 8;
			i += 2;
		} else {
			ea = *svm_gpr(s, r1[rm]) + (r2[rm] >= 0 ? *svm_gpr(s, r2[rm]) : 0);
			base = r1[rm];
			if (mod == 1)
				ea += (s8)b[i++];
			else if (mod == 2) {
				ea += b[i] | b[i + 1] << 8;
				i += 2;
			}
		}
		ea &= 0xffff;
	} else {
		bool rip = false;

		if (rm == 4) {
			u8 sib = b[i++];
			int idx = (sib >> 3 & 7) | (rex & 2) << 2, bs = sib & 7;

			if (idx != 4)
				ea += *svm_gpr(s, idx) << (sib >> 6);
			if (bs == 5 && mod == 0) {
				ea += *(s32 *)(b + i);
				i += 4;
			} else {
				base = bs | (rex & 1) << 3;
				ea += *svm_gpr(s, base);
			}
		} else if (mod == 0 && rm == 5) {
			ea = *(s32 *)(b + i);
			i += 4;
			rip = l64;
		} else {
			base = rm | (rex & 1) << 3;
			ea = *svm_gpr(s, base);
		}
		if (mod == 1)
			ea += (s8)b[i++];
		else if (mod == 2) {
			ea += *(s32 *)(b + i);
			i += 4;
		}
		if (rip)
			ea += SAVE(s)->rip + i + imm;
		if (!l64 || a67)
			ea = (u32)ea;
	}
	if (imm) {
		d->val = imm == 1 ? b[i] : imm == 2 ? *(u16 *)(b + i) : (u64)(s64) * (s32 *)(b + i);
		i += imm;
	} else {
		d->reg = reg;
		if (d->size == 1 && !rex && reg >= 4 && op < 0x100) {
			d->hi8 = true;
			d->reg = reg & 3;
			d->val = *svm_gpr(s, reg & 3) >> 8;
		} else {
			d->val = *svm_gpr(s, reg);
		}
	}
seg:
	if (i > n)
		return false;
	if (seg < 0)
		seg = base >= 0 ? seg_idx_default(base) : 3;
	if (!l64)
		ea = (u32)(ea + svm_seg(s, seg)->base);
	else if (seg >= 4)
		ea += svm_seg(s, seg)->base;
	d->gva = ea;
	if (d->size < 8)
		d->val &= (1ULL << (8 * d->size)) - 1;
	d->len = i;
	return true;
}

static void svm_skip(struct svm_vp *s, int len)
{
	SAVE(s)->rip += len;
	if (!code64(s))
		SAVE(s)->rip = (u32)SAVE(s)->rip;
	CTRL(s)->int_state &= ~1;
}

static void svm_insn_result(struct svm_vp *s, struct svm_insn *d, u64 val)
{
	u64 *r = svm_gpr(s, d->reg);

	if (d->sx)
		val = d->size == 1 ? (u64)(s64)(s8)val : (u64)(s64)(s16)val;
	switch (d->dsz) {
	case 1:
		if (d->hi8)
			*r = (*r & ~0xff00ULL) | (val & 0xff) << 8;
		else
			*r = (*r & ~0xffULL) | (val & 0xff);
		break;
	case 2: *r = (*r & ~0xffffULL) | (val & 0xffff); break;
	case 4: *r = (u32)val; break;
	case 8: *r = val; break;
	}
}
