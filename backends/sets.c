/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Is a value in a set: compared with one range after the other, as jumps. The way that is placed right behind costs no
 * jump for the last range. Many ranges go to the search (search.c).
 */
#include "select.h"

struct where {
	struct be_cc *cc;
	struct be_emit *e;
	enum imr_type t;
	uint8_t reg;
	uint32_t in, out;
};

static bool is_wide(enum imr_type t)
{
	return imr_types[t].bits > 64;
}

/* A compare of one register of up to 64 bits with a constant: 32 bits at a time where the value has no more. */
static void compare(const struct where *w, uint8_t op, uint8_t reg, uint64_t v, uint32_t to)
{
	if (imr_types[w->t].bits <= 32) {
		be_jmp32(w->e, op, reg, v, to);
	} else if (v <= INT32_MAX) {
		be_jmp64(w->e, op, reg, v, to);
	} else {
		be_const(w->e, BPF_REG_0, v);
		be_jmp64_reg(w->e, op, reg, BPF_REG_0, to);
	}
}

/* reg + 1 = the value - lo, so that one compare says whether it lies between */
static uint8_t shifted(const struct where *w, uint64_t lo)
{
	uint8_t r = w->reg + 1;

	be_mov_reg(w->e, r, w->reg);
	if (imr_types[w->t].bits <= 32) {
		be_alu32(w->e, BPF_SUB, r, lo);
	} else {
		be_const(w->e, BPF_REG_0, lo);
		be_alu64_reg(w->e, BPF_SUB, r, BPF_REG_0);
	}
	return r;
}

/* In a range, or with inv not in it: to `to`; falls through otherwise. */
static void narrow_range(const struct where *w, struct imr_range r, bool inv, uint32_t to)
{
	uint64_t lo = r.lo, hi = r.hi;

	if (lo == hi) {
		compare(w, inv ? BPF_JNE : BPF_JEQ, w->reg, lo, to);
	} else if (lo == 0 && hi == (uint64_t)imr_type_max(w->t)) {
		if (!inv)
			be_ja(w->e, to);
	} else if (lo == 0) {
		compare(w, inv ? BPF_JGT : BPF_JLE, w->reg, hi, to);
	} else if (hi == (uint64_t)imr_type_max(w->t)) {
		compare(w, inv ? BPF_JLT : BPF_JGE, w->reg, lo, to);
	} else {
		compare(w, inv ? BPF_JGT : BPF_JLE, shifted(w, lo), hi - lo, to);
	}
}

/* The lower half within [lo, hi]: falls through; else to `no`. */
static void low_half(const struct where *w, uint64_t lo, uint64_t hi, uint32_t no)
{
	if (lo == hi) {
		compare(w, BPF_JNE, w->reg, lo, no);
		return;
	}
	if (lo)
		compare(w, BPF_JLT, w->reg, lo, no);
	if (hi != UINT64_MAX)
		compare(w, BPF_JGT, w->reg, hi, no);
}

/* In the range: falls through; else to `no`. `in` may be jumped to as well. */
static void wide_range(const struct where *w, struct imr_range r, uint32_t no)
{
	uint64_t lo_hi = r.lo >> 64, hi_hi = r.hi >> 64, lo_lo = r.lo, hi_lo = r.hi;
	uint8_t hi = w->reg + 1;
	uint32_t above;

	if (lo_hi == hi_hi) {
		compare(w, BPF_JNE, hi, lo_hi, no);
		low_half(w, lo_lo, hi_lo, no);
		return;
	}
	if (lo_hi)
		compare(w, BPF_JLT, hi, lo_hi, no);
	if (lo_lo) {
		above = be_label_new(w->e);
		compare(w, BPF_JNE, hi, lo_hi, above);
		compare(w, BPF_JLT, w->reg, lo_lo, no);
		be_label_here(w->e, above);
	}
	if (hi_hi != UINT64_MAX)
		compare(w, BPF_JGT, hi, hi_hi, no);
	if (hi_lo != UINT64_MAX) {
		compare(w, BPF_JNE, hi, hi_hi, w->in);
		compare(w, BPF_JGT, w->reg, hi_lo, no);
	}
}

static void wide(const struct where *w, const struct imr_set *s, bool in_follows)
{
	for (uint32_t n = 0; n < s->n; n++) {
		bool last = n + 1 == s->n;
		uint32_t no = last ? w->out : be_label_new(w->e);

		wide_range(w, s->r[n], no);
		if (!last || !in_follows)
			be_ja(w->e, w->in);
		if (!last)
			be_label_here(w->e, no);
	}
}

static void narrow(const struct where *w, const struct imr_set *s, bool in_follows)
{
	for (uint32_t n = 0; n + 1 < s->n; n++)
		narrow_range(w, s->r[n], false, w->in);
	narrow_range(w, s->r[s->n - 1], in_follows, in_follows ? w->out : w->in);
}

/* Only what a value of the type can be. */
static const struct imr_set *clipped(struct be_cc *cc, enum imr_type t, const struct imr_set *s)
{
	u128 max = imr_type_max(t);
	struct imr_set *ret;

	if (s->n && s->r[s->n - 1].hi <= max && s->r[0].lo <= s->r[0].hi)
		return s;
	ret = arena_alloc(cc->imr->arena, sizeof(*ret));
	ret->r = arena_alloc(cc->imr->arena, (s->n + 1) * sizeof(*ret->r));
	for (uint32_t n = 0; n < s->n && s->r[n].lo <= max; n++) {
		if (s->r[n].lo > s->r[n].hi)
			continue;
		ret->r[ret->n] = s->r[n];
		if (ret->r[ret->n].hi > max)
			ret->r[ret->n].hi = max;
		ret->n++;
	}
	return ret;
}

void be_in(struct be_cc *cc, enum imr_type t, uint8_t reg, const struct imr_set *set, uint32_t in, uint32_t out,
	   bool in_follows)
{
	const struct where w = { cc, &cc->e, t, reg, in, out };
	const struct imr_set *s = clipped(cc, t, set);

	if (s->n > BE_SET_SMALL)
		be_in_search(cc, t, reg, s, in, out, in_follows);
	else if (s->n && is_wide(t))
		wide(&w, s, in_follows);
	else if (s->n)
		narrow(&w, s, in_follows);
	else if (in_follows)
		be_ja(&cc->e, out);
}
