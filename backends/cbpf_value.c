/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Values, a word of 32 bits at a time, and whether they are in a set. Wide values are compared from their highest word
 * down: each word of a range is a place to go on at or an answer, and the places of a word are found by a search tree.
 */
#include "cbpf.h"

#define LINEAR_MAX	4	/* places that are compared one after the other */

static void constant(struct cb *cb, uint32_t v)
{
	cb_op(&cb->e, BPF_LD | BPF_IMM, v);
}

static uint32_t word_of(u128 v, unsigned int w)
{
	return w < 4 ? (uint32_t)(v >> (32 * w)) : 0;
}

static unsigned int bits_of(const struct cb *cb, uint32_t val)
{
	return imr_types[cb->def[val]->type].bits;
}

/* ------------------------------------------------------------------ loads */

static void load_fact(struct cb *cb, const struct imr_insn *i)
{
	enum imr_base b;
	enum cb_fact f = cb_fact_of(i->field, &b);

	if (f != CB_FACTS) {
		cb_mem(cb, cb_facts(cb, b)[f]);
	} else if (i->field == F_META_LEN) {
		cb_len(cb);
		if (cb->data)
			cb_op(&cb->e, BPF_ALU | BPF_SUB, cb->data);
	} else if (i->field == F_META_MARK) {
		cb_ad(cb, SKF_AD_MARK);
	} else if (i->field == F_META_PROTOCOL) {
		cb_ad(cb, SKF_AD_PROTOCOL);
	} else {	/* meta.nfproto where both are seen */
		uint32_t six = cb_label(&cb->e), four = cb_label(&cb->e), done = cb_label(&cb->e);

		cb_op(&cb->e, BPF_LD | BPF_B | BPF_ABS, cb->nh);
		cb_jump(&cb->e, BPF_JGE, 0x60, six, four);
		cb_here(&cb->e, six);
		constant(cb, FAM_IP6);
		cb_ja(&cb->e, done);
		cb_here(&cb->e, four);
		constant(cb, FAM_IP);
		cb_here(&cb->e, done);
	}
}

static void load_bytes(struct cb *cb, const struct imr_insn *i, unsigned int w)
{
	struct cb_cell want = cb_cell_of(i, w);
	const struct cb_cell *c = cb_cell_find(cb, &want);
	uint32_t there, none, done;

	if (c->slot >= 0) {
		cb_mem(cb, c->slot);
		return;
	}
	if (cb->state.avail[c->base].n && cb->state.avail[c->base].r[0].lo >= c->end) {
		cb_read(cb, c);
		return;
	}
	there = cb_label(&cb->e);
	none = cb_label(&cb->e);
	done = cb_label(&cb->e);
	cb_need(cb, c->base, c->end, there, none);
	cb_here(&cb->e, there);
	cb_read(cb, c);
	cb_ja(&cb->e, done);
	cb_here(&cb->e, none);
	constant(cb, 0);
	cb_here(&cb->e, done);
}

static void load(struct cb *cb, const struct imr_insn *i, unsigned int w)
{
	u128 v;

	if (cb_const(cb, i, &v))
		constant(cb, word_of(v, w));
	else if (cb_base(i) == B_META)
		load_fact(cb, i);
	else if (w < cb_words(i))
		load_bytes(cb, i, w);
	else
		constant(cb, 0);
}

/* ------------------------------------------------------------------ computed */

/* A |= the word of memory at this depth, which is free again */
static void or_held(struct cb *cb)
{
	cb->held--;
	cb_op(&cb->e, BPF_LDX | BPF_MEM, cb_temp(cb));
	cb_op(&cb->e, BPF_ALU | BPF_OR | BPF_X, 0);
}

static void hold(struct cb *cb)
{
	cb_set(cb, cb_temp(cb));
	cb->held++;
}

static void shift_right(struct cb *cb, const struct imr_insn *i, unsigned int w)
{
	unsigned int bits = bits_of(cb, i->a), from, by;

	if (i->imm >= bits) {
		constant(cb, 0);
		return;
	}
	from = w + (unsigned int)i->imm / 32;
	by = (unsigned int)i->imm % 32;
	cb_word(cb, i->a, from);
	if (!by)
		return;
	cb_op(&cb->e, BPF_ALU | BPF_RSH, by);
	if ((from + 1) * 32 >= bits)
		return;
	hold(cb);
	cb_word(cb, i->a, from + 1);
	cb_op(&cb->e, BPF_ALU | BPF_LSH, 32 - by);
	or_held(cb);
}

/* A = byte n (0: the lowest) of a value, shifted left */
static void byte(struct cb *cb, uint32_t val, unsigned int n, unsigned int left)
{
	unsigned int right = n % 4 * 8;

	cb_word(cb, val, n / 4);
	if (right)
		cb_op(&cb->e, BPF_ALU | BPF_RSH, right);
	if (right != 24)
		cb_op(&cb->e, BPF_ALU | BPF_AND, 0xff);
	if (left)
		cb_op(&cb->e, BPF_ALU | BPF_LSH, left);
}

static void swap(struct cb *cb, const struct imr_insn *i, unsigned int w)
{
	unsigned int bytes = imr_types[i->type].bits / 8;

	if (4 * w >= bytes) {
		constant(cb, 0);
		return;
	}
	for (unsigned int n = 0; n < 4 && 4 * w + n < bytes; n++) {
		if (n)
			hold(cb);
		byte(cb, i->a, bytes - 1 - (4 * w + n), 8 * n);
		if (n)
			or_held(cb);
	}
}

static void is_in(struct cb *cb, const struct imr_insn *i)
{
	uint32_t in = cb_label(&cb->e), out = cb_label(&cb->e), done = cb_label(&cb->e);

	cb_in(cb, i->a, i->set, in, out);
	cb_here(&cb->e, in);
	constant(cb, 1);
	cb_ja(&cb->e, done);
	cb_here(&cb->e, out);
	constant(cb, 0);
	cb_here(&cb->e, done);
}

static void either(struct cb *cb, const struct imr_insn *i, unsigned int w)
{
	cb_word(cb, i->a, w);
	hold(cb);
	cb_word(cb, i->b, w);
	or_held(cb);
}

/* Cut to the type's width, where an operand may be wider */
static void cut(struct cb *cb, enum imr_type t, unsigned int w)
{
	uint32_t mask = word_of(imr_type_max(t), w);

	if (mask != UINT32_MAX)
		cb_op(&cb->e, BPF_ALU | BPF_AND, mask);
}

void cb_word(struct cb *cb, uint32_t val, unsigned int w)
{
	const struct imr_insn *i = cb->def[val];

	if (32 * w >= imr_types[i->type].bits) {
		constant(cb, 0);
		return;
	}
	switch (i->op) {
	case OP_LD:
		load(cb, i, w);
		return;
	case OP_AND:
		cb_word(cb, i->a, w);
		cb_op(&cb->e, BPF_ALU | BPF_AND, word_of(i->imm & imr_type_max(i->type), w));
		return;
	case OP_ISIN:
		is_in(cb, i);
		return;
	case OP_XOR:
		cb_word(cb, i->a, w);
		cb_op(&cb->e, BPF_ALU | BPF_XOR, word_of(i->imm, w));
		break;
	case OP_SHR:
		shift_right(cb, i, w);
		break;
	case OP_SWAP:
		swap(cb, i, w);
		break;
	case OP_OR:
		either(cb, i, w);
		break;
	}
	cut(cb, i->type, w);
}

/* ------------------------------------------------------------------ sets */

/* Values of one word, and where they lead: to an answer, or to ranges of what stands below. */
struct place {
	uint32_t lo, hi;
	uint32_t first, n;	/* n 0: in the set */
	uint32_t to;		/* label */
};

struct search {
	struct cb *cb;
	struct cb_emit *e;
	uint32_t in, out;
};

static void jump(const struct search *s, uint16_t op, uint32_t k, uint32_t t, uint32_t *ret_f)
{
	*ret_f = cb_label(s->e);
	cb_jump(s->e, op, k, t, *ret_f);
	cb_here(s->e, *ret_f);
}

/* One after the other, ascending; A is at least min and at most max. */
static void linear(const struct search *s, const struct place *p, uint32_t n, uint32_t min, uint32_t max)
{
	uint32_t on;

	for (; n; n--, p++) {
		if (p->lo == min && p->hi == max) {
			cb_ja(s->e, p->to);
			return;
		}
		if (p->lo == p->hi) {
			jump(s, BPF_JEQ, p->lo, p->to, &on);
			if (p->lo == min && min != UINT32_MAX)
				min++;
			continue;
		}
		if (p->lo > min) {
			on = cb_label(s->e);
			cb_jump(s->e, BPF_JGE, p->lo, on, s->out);
			cb_here(s->e, on);
		}
		if (p->hi == max) {
			cb_ja(s->e, p->to);
			return;
		}
		on = cb_label(s->e);
		cb_jump(s->e, BPF_JGT, p->hi, on, p->to);
		cb_here(s->e, on);
		min = p->hi + 1;
	}
	cb_ja(s->e, s->out);
}

static void tree(const struct search *s, const struct place *p, uint32_t n, uint32_t min, uint32_t max)
{
	uint32_t mid = n / 2, up, down;

	if (n <= LINEAR_MAX) {
		linear(s, p, n, min, max);
		return;
	}
	up = cb_label(s->e);
	down = cb_label(s->e);
	cb_jump(s->e, BPF_JGE, p[mid].lo, up, down);
	cb_here(s->e, down);
	tree(s, p, mid, min, p[mid].lo - 1);
	cb_here(s->e, up);
	tree(s, p + mid, n - mid, p[mid].lo, max);
}

static u128 below(u128 v, unsigned int w)
{
	return v & (((u128)1 << (32 * w)) - 1);
}

/* Joins what leads to the same answer. */
static void add_place(struct place *p, uint32_t *n, uint32_t lo, uint32_t hi, uint32_t range, bool whole)
{
	struct place *last = *n ? &p[*n - 1] : NULL;

	if (last && whole && !last->n && last->hi + 1 == lo) {
		last->hi = hi;
	} else if (last && !whole && last->n && last->lo == lo) {
		last->n++;
	} else {
		p[*n] = (struct place){ lo, hi, range, !whole, 0 };
		++*n;
	}
}

/* The ranges' word w as places. All of them agree above it. */
static uint32_t places(const struct imr_range *r, uint32_t n, unsigned int w, struct place *ret)
{
	u128 all = below(~(u128)0, w);
	uint32_t count = 0;

	for (uint32_t i = 0; i < n; i++) {
		uint32_t lo = r[i].lo >> (32 * w), hi = r[i].hi >> (32 * w);
		bool from_start = below(r[i].lo, w) == 0, to_end = below(r[i].hi, w) == all;

		if (lo == hi) {
			add_place(ret, &count, lo, lo, i, from_start && to_end);
			continue;
		}
		if (!from_start)
			add_place(ret, &count, lo, lo, i, false);
		if (lo + !from_start <= hi - !to_end)
			add_place(ret, &count, lo + !from_start, hi - !to_end, i, true);
		if (!to_end)
			add_place(ret, &count, hi, hi, i, false);
	}
	return count;
}

/* A part of a range that begins or ends within word w's value v */
static struct imr_range within(struct imr_range r, uint32_t v, unsigned int w)
{
	if ((uint32_t)(r.lo >> (32 * w)) != v)
		r.lo = 0;
	if ((uint32_t)(r.hi >> (32 * w)) != v)
		r.hi = ~(u128)0;
	return (struct imr_range){ below(r.lo, w), below(r.hi, w) };
}

static void in_words(const struct search *s, uint32_t val, const struct imr_range *r, uint32_t n, unsigned int w)
{
	struct arena *a = s->cb->imr->arena;
	struct place *p = arena_alloc(a, 3 * n * sizeof(*p));
	uint32_t count = places(r, n, w, p);
	struct imr_range *sub = arena_alloc(a, n * sizeof(*sub));

	cb_word(s->cb, val, w);
	for (uint32_t i = 0; i < count; i++)
		p[i].to = p[i].n ? cb_label(s->e) : s->in;
	tree(s, p, count, 0, UINT32_MAX);
	for (uint32_t i = 0; i < count; i++) {
		if (!p[i].n)
			continue;
		for (uint32_t k = 0; k < p[i].n; k++)
			sub[k] = within(r[p[i].first + k], p[i].lo, w);
		cb_here(s->e, p[i].to);
		in_words(s, val, sub, p[i].n, w - 1);
	}
}

void cb_in(struct cb *cb, uint32_t val, const struct imr_set *set, uint32_t in, uint32_t out)
{
	const struct search s = { cb, &cb->e, in, out };
	unsigned int words = (bits_of(cb, val) + 31) / 32;

	if (set->n)
		in_words(&s, val, set->r, set->n, words - 1);
	else
		cb_ja(&cb->e, out);
}
