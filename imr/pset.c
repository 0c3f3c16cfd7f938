/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The values that a test lets pass. Every test of the language is one of these, so two tests of one value become one,
 * and each has one spelling: eq, ne, in or ni, whichever says it with the fewest ranges. Ranges are never copied unless
 * they change: a set of 100,000 elements may stand in a thousand rules.
 */
#include "pass.h"

#define AND_MAX 4096	/* ranges; two sets larger than this together stay two tests */

struct pset pset_range(u128 lo, u128 hi)
{
	return (struct pset){ .n = 1, .one = { lo, hi } };
}

struct pset pset_of(const struct imr_insn *test)
{
	struct pset s = pset_range(test->imm, test->imm);

	switch (test->op) {
	case OP_NE:
		s.inv = true;
		break;
	case OP_LT:
	case OP_GE:
		s.inv = test->op == OP_GE;
		s.n = test->imm != 0;
		s.one = (struct imr_range){ 0, test->imm - 1 };
		break;
	case OP_LE:
	case OP_GT:
		s.inv = test->op == OP_GT;
		s.one.lo = 0;
		break;
	case OP_IN:
	case OP_NI:
		s = (struct pset){ .inv = test->op == OP_NI, .n = test->set->n, .r = test->set->r, .orig = test->set };
		break;
	}
	return s;
}

const struct imr_range *pset_ranges(const struct pset *s)
{
	return s->r ? s->r : &s->one;
}

bool pset_has(const struct pset *s, u128 v)
{
	const struct imr_set set = { .n = s->n, .r = (struct imr_range *)pset_ranges(s) };

	return imr_set_has(&set, v) != s->inv;
}

/* ------------------------------------------------------------------ ranges that pass, or those that do not */

static uint32_t gaps(const struct pset *s, u128 max)
{
	const struct imr_range *r = pset_ranges(s);

	return s->n ? s->n + 1 - (r[0].lo == 0) - (r[s->n - 1].hi == max) : 1;
}

static struct imr_range gap(const struct pset *s, u128 max, uint32_t i)
{
	const struct imr_range *r = pset_ranges(s);
	uint32_t k = i + (s->n && r[0].lo == 0);

	return (struct imr_range){ k == 0 ? 0 : r[k - 1].hi + 1, k == s->n ? max : r[k].lo - 1 };
}

static uint32_t count(const struct pset *s, u128 max, bool pass)
{
	return s->inv == pass ? gaps(s, max) : s->n;
}

static struct imr_range range(const struct pset *s, u128 max, bool pass, uint32_t i)
{
	return s->inv == pass ? gap(s, max, i) : pset_ranges(s)[i];
}

static bool is_one_value(const struct pset *s, u128 max, bool pass)
{
	struct imr_range r;

	if (count(s, max, pass) != 1)
		return false;
	r = range(s, max, pass, 0);
	return r.lo == r.hi;
}

/* ------------------------------------------------------------------ what exists */

static void take(struct pset *s, struct imr_range *r, uint32_t n)
{
	s->n = n;
	s->orig = NULL;
	s->r = r;
	if (n <= 1) {
		s->one = n ? r[0] : (struct imr_range){ 0, 0 };
		s->r = NULL;
	}
}

static bool is_one_bit(u128 bits)
{
	return bits && !(bits & (bits - 1));
}

static bool fits(struct imr_range r, u128 bits)
{
	return r.hi <= bits && !(r.lo == r.hi && r.lo & ~bits);
}

void pset_fit(struct imr *imr, struct pset *s, u128 bits)
{
	const struct imr_range *r = pset_ranges(s);
	struct imr_range *out;
	uint32_t n = 0, k = 0;

	if (is_one_bit(bits) && pset_has(s, 0) != pset_has(s, bits)) {
		*s = pset_has(s, 0) ? pset_range(0, 0) : pset_range(bits, bits);
		return;
	}
	while (k < s->n && fits(r[k], bits))
		k++;
	if (k == s->n)
		return;
	out = arena_alloc(imr->arena, s->n * sizeof(*out));
	for (k = 0; k < s->n; k++) {
		struct imr_range x = r[k];

		if (x.hi > bits)
			x.hi = bits;
		if (x.lo <= bits && fits(x, bits))
			out[n++] = x;
	}
	take(s, out, n);
}

enum pset_truth pset_truth(const struct pset *s, u128 bits)
{
	if (!bits)
		return pset_has(s, 0) ? PSET_ALWAYS : PSET_NEVER;
	if (is_one_bit(bits) && pset_has(s, 0) == pset_has(s, bits))
		return pset_has(s, 0) ? PSET_ALWAYS : PSET_NEVER;
	if (!count(s, bits, true))
		return PSET_NEVER;
	return count(s, bits, false) ? PSET_MAYBE : PSET_ALWAYS;
}

/* ------------------------------------------------------------------ both */

static uint32_t both_pass(const struct pset *a, const struct pset *b, u128 max, struct imr_range *out)
{
	uint32_t na = count(a, max, true), nb = count(b, max, true), n = 0;

	for (uint32_t i = 0, k = 0; i < na && k < nb;) {
		struct imr_range x = range(a, max, true, i), y = range(b, max, true, k);
		u128 lo = x.lo > y.lo ? x.lo : y.lo, hi = x.hi < y.hi ? x.hi : y.hi;

		if (lo <= hi)
			out[n++] = (struct imr_range){ lo, hi };
		if (x.hi < y.hi)
			i++;
		else
			k++;
	}
	return n;
}

bool pset_and(struct imr *imr, struct pset *s, const struct pset *other, u128 bits)
{
	uint64_t room = (uint64_t)count(s, bits, true) + count(other, bits, true);
	struct imr_range *out;

	if (room > AND_MAX)
		return false;
	out = arena_alloc(imr->arena, room * sizeof(*out));
	take(s, out, both_pass(s, other, bits, out));
	s->inv = false;
	return true;
}

bool pset_same(const struct pset *a, const struct pset *b, u128 bits)
{
	uint32_t n = count(a, bits, true);

	if (n != count(b, bits, true))
		return false;
	if (a->r && a->r == b->r && a->inv == b->inv)
		return true;
	for (uint32_t i = 0; i < n; i++) {
		struct imr_range x = range(a, bits, true, i), y = range(b, bits, true, i);

		if (x.lo != y.lo || x.hi != y.hi)
			return false;
	}
	return true;
}

bool pset_single(const struct pset *s, u128 bits, struct imr_range *ret)
{
	if (count(s, bits, true) != 1)
		return false;
	*ret = range(s, bits, true, 0);
	return true;
}

/* ------------------------------------------------------------------ the one spelling */

static void put_value(struct imr_insn *test, enum imr_op op, u128 v)
{
	test->op = op;
	test->imm = v;
	test->set = NULL;
}

void pset_put(struct imr *imr, const struct pset *s, u128 bits, struct imr_insn *test)
{
	bool in = count(s, bits, true) <= count(s, bits, false);
	struct imr_range *r;

	if (is_one_bit(bits)) {
		put_value(test, OP_EQ, pset_has(s, bits) ? bits : 0);
		return;
	}
	if (is_one_value(s, bits, true)) {
		put_value(test, OP_EQ, range(s, bits, true, 0).lo);
		return;
	}
	if (is_one_value(s, bits, false)) {
		put_value(test, OP_NE, range(s, bits, false, 0).lo);
		return;
	}
	test->op = in ? OP_IN : OP_NI;
	test->imm = 0;
	if (s->inv != in && s->orig) {
		test->set = s->orig;
		return;
	}
	r = arena_alloc(imr->arena, count(s, bits, in) * sizeof(*r));
	for (uint32_t i = 0; i < count(s, bits, in); i++)
		r[i] = range(s, bits, in, i);
	test->set = imr_set_new(imr, r, count(s, bits, in));
}

/* ------------------------------------------------------------------ through an operation */

/* Ranges through a map that keeps their order; empty ones go, neighbours join. */
static void map_ranges(struct imr *imr, struct pset *s, struct imr_range (*map)(struct imr_range, unsigned int),
		       unsigned int arg)
{
	struct imr_range *out = arena_alloc(imr->arena, (s->n ? s->n : 1) * sizeof(*out));
	const struct imr_range *r = pset_ranges(s);
	uint32_t n = 0;

	for (uint32_t i = 0; i < s->n; i++) {
		struct imr_range x = map(r[i], arg);

		if (x.lo > x.hi)
			continue;
		if (n && x.lo <= out[n - 1].hi + 1)
			out[n - 1].hi = x.hi;
		else
			out[n++] = x;
	}
	take(s, out, n);
}

static struct imr_range before_shr(struct imr_range r, unsigned int shift)
{
	return (struct imr_range){ r.lo << shift, r.hi << shift | low_bits(shift) };
}

void pset_of_shr(struct imr *imr, struct pset *s, unsigned int shift)
{
	pset_fit(imr, s, low_bits(128 - shift));
	map_ranges(imr, s, before_shr, shift);
}

static struct imr_range shifted(struct imr_range r, unsigned int shift)
{
	u128 lo = (r.lo >> shift) + ((r.lo & low_bits(shift)) != 0);

	return (struct imr_range){ lo, r.hi >> shift };
}

void pset_shifted(struct imr *imr, struct pset *s, unsigned int shift)
{
	map_ranges(imr, s, shifted, shift);
}

static struct imr_range before_high_mask(struct imr_range r, unsigned int low)
{
	u128 lo = r.lo & ~low_bits(low);
	bool up = lo != r.lo;

	if (up && lo + low_bits(low) + 1 == 0)	/* nothing above it */
		return (struct imr_range){ 1, 0 };
	return (struct imr_range){ up ? lo + low_bits(low) + 1 : lo, r.hi | low_bits(low) };
}

void pset_of_high_mask(struct imr *imr, struct pset *s, unsigned int low)
{
	map_ranges(imr, s, before_high_mask, low);
}

static bool is_block(struct imr_range r)
{
	u128 size1 = r.hi - r.lo;

	return is_low_bits(size1) && !(r.lo & size1);
}

bool pset_of_xor(struct imr *imr, struct pset *s, u128 with)
{
	const struct imr_range *r = pset_ranges(s);
	struct imr_range *out;
	const struct imr_set *set;

	for (uint32_t i = 0; i < s->n; i++)
		if (!is_block(r[i]))
			return false;
	out = arena_alloc(imr->arena, (s->n ? s->n : 1) * sizeof(*out));
	for (uint32_t i = 0; i < s->n; i++) {
		u128 size1 = r[i].hi - r[i].lo, lo = (r[i].lo ^ with) & ~size1;

		out[i] = (struct imr_range){ lo, lo | size1 };
	}
	set = imr_set_new(imr, out, s->n);
	take(s, set->r, set->n);
	return true;
}

u128 swap_bytes(u128 v, unsigned int bytes)
{
	u128 out = 0;

	for (unsigned int i = 0; i < bytes; i++)
		out = out << 8 | ((v >> (8 * i)) & 0xff);
	return out;
}

bool pset_of_swap(struct imr *imr, struct pset *s, unsigned int bytes)
{
	const struct imr_range *r = pset_ranges(s);
	struct imr_range *out;
	const struct imr_set *set;

	for (uint32_t i = 0; i < s->n; i++)
		if (r[i].lo != r[i].hi)
			return false;
	out = arena_alloc(imr->arena, (s->n ? s->n : 1) * sizeof(*out));
	for (uint32_t i = 0; i < s->n; i++)
		out[i].lo = out[i].hi = swap_bytes(r[i].lo, bytes);
	set = imr_set_new(imr, out, s->n);
	take(s, set->r, set->n);
	return true;
}

static struct imr_range name_range(struct imr_range r, unsigned int unused)
{
	u128 size1 = r.hi - r.lo;
	unsigned int k = 0;

	while (k < 128 && low_bits(k) < size1)
		k += 8;
	if (!size1 || low_bits(k) != size1 || !is_block(r) || k > 120)
		return r;
	if (k == 8 || !((r.lo >> k) & 0xff))
		r.hi = r.lo;
	return r;
}

void pset_of_name(struct imr *imr, struct pset *s)
{
	const struct imr_range *r = pset_ranges(s);

	for (uint32_t i = 0; i < s->n; i++) {
		if (name_range(r[i], 0).hi != r[i].hi) {
			map_ranges(imr, s, name_range, 0);
			return;
		}
	}
}
