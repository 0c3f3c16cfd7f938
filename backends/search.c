/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Large sets: a binary search in a table that lies in the sets' map, unrolled. The table has the ranges' first values,
 * then their last ones, filled up to a power of two with the last range. Where the subtraction of two values cannot
 * overflow, a step has no branch; wider values take a branch, and the position goes by way of the record. Either way
 * the verifier sees one state a step.
 */
#include <string.h>

#include "select.h"

struct search {
	struct be_cc *cc;
	struct be_emit *e;
	uint8_t reg;		/* the value; the position is in reg + 2, an address in reg + 3 */
	uint8_t pos, ptr;
	unsigned int size;	/* bytes of an entry: 4, 8, 16 */
	bool branch;
	uint32_t n;		/* a power of two */
	uint32_t base;		/* of the table in the map's value */
};

static void put(uint8_t *to, u128 v, unsigned int size)
{
	uint64_t lo = v, hi = v >> 64;
	uint32_t word = v;

	if (size == 4) {
		memcpy(to, &word, 4);
		return;
	}
	memcpy(to, &lo, 8);
	if (size == 16)
		memcpy(to + 8, &hi, 8);
}

static void add_table(struct search *s, const struct imr_set *set)
{
	struct be_tab *t = &s->cc->tab;
	uint32_t need = 2 * s->n * s->size, cap = t->cap;

	while (cap < t->len + need)
		cap *= 2;
	if (cap != t->cap)
		t->bytes = arena_grow(s->cc->imr->arena, t->bytes, t->cap, cap);
	t->cap = cap;
	s->base = t->len;
	t->len += need;
	for (uint32_t i = 0; i < s->n; i++) {
		const struct imr_range *r = &set->r[i < set->n ? i : set->n - 1];

		put(t->bytes + s->base + i * s->size, r->lo, s->size);
		put(t->bytes + s->base + (s->n + i) * s->size, r->hi, s->size);
	}
}

/* ptr = the entry `by` entries behind the position */
static void point(const struct search *s, uint32_t by)
{
	be_mov_reg(s->e, s->ptr, R_SETS);
	be_alu64(s->e, BPF_ADD, s->ptr, s->base + by * s->size);
	be_alu64_reg(s->e, BPF_ADD, s->ptr, s->pos);
}

/* pos += step unless the value is less than the entry there: by the borrow of a subtraction */
static void step_straight(const struct search *s, uint32_t step)
{
	struct be_emit *e = s->e;

	point(s, step);
	be_load(e, s->size, s->ptr, s->ptr, 0);
	be_mov_reg(e, BPF_REG_0, s->reg);
	be_alu64_reg(e, BPF_SUB, BPF_REG_0, s->ptr);
	be_alu64(e, BPF_RSH, BPF_REG_0, 63);
	be_alu64(e, BPF_XOR, BPF_REG_0, 1);
	be_alu64(e, BPF_MUL, BPF_REG_0, step * s->size);
	be_alu64_reg(e, BPF_ADD, s->pos, BPF_REG_0);
}

/* To `to` if the value compares with the entry at ptr as `op` (BPF_JLT or BPF_JGT) says; falls through otherwise. */
static void compare(const struct search *s, uint8_t op, uint32_t to)
{
	struct be_emit *e = s->e;
	uint8_t other = op == BPF_JLT ? BPF_JGT : BPF_JLT;
	uint32_t no = be_label_new(e);

	if (s->size == 16) {
		be_load(e, 8, BPF_REG_0, s->ptr, 8);
		be_jmp64_reg(e, op, s->reg + 1, BPF_REG_0, to);
		be_jmp64_reg(e, other, s->reg + 1, BPF_REG_0, no);
	}
	be_load(e, s->size == 4 ? 4 : 8, BPF_REG_0, s->ptr, 0);
	be_jmp64_reg(e, op, s->reg, BPF_REG_0, to);
	be_label_here(e, no);
}

static void step_branch(const struct search *s, uint32_t step)
{
	uint32_t less = be_label_new(s->e);

	be_load(s->e, 4, s->pos, R_REC, REC_TMP);
	be_alu64(s->e, BPF_AND, s->pos, (s->n - 2 * step) * s->size);
	point(s, step);
	compare(s, BPF_JLT, less);
	be_alu64(s->e, BPF_ADD, s->pos, step * s->size);
	be_store(s->e, 4, R_REC, REC_TMP, s->pos);
	be_label_here(s->e, less);
}

static void find(const struct search *s)
{
	if (s->branch)
		be_store_imm(s->e, 4, R_REC, REC_TMP, 0);
	else
		be_mov(s->e, s->pos, 0);
	for (uint32_t step = s->n / 2; step; step /= 2) {
		if (s->branch)
			step_branch(s, step);
		else
			step_straight(s, step);
	}
	if (s->branch) {
		be_load(s->e, 4, s->pos, R_REC, REC_TMP);
		be_alu64(s->e, BPF_AND, s->pos, (s->n - 1) * s->size);
	}
}

void be_in_search(struct be_cc *cc, enum imr_type t, uint8_t reg, const struct imr_set *set, uint32_t in, uint32_t out,
		  bool in_follows)
{
	unsigned int bits = imr_types[t].bits;
	struct search s = { .cc = cc, .e = &cc->e, .reg = reg, .pos = reg + 2, .ptr = reg + 3, .n = 1 };

	if (s.ptr > BPF_REG_7) {
		be_refuse(cc, cc->at, "a value is put together from too many others", NULL);
		return;
	}
	s.size = bits <= 32 ? 4 : bits <= 64 ? 8 : 16;
	s.branch = bits > 63;
	while (s.n < set->n)
		s.n *= 2;
	add_table(&s, set);
	find(&s);
	point(&s, 0);
	compare(&s, BPF_JLT, out);
	point(&s, s.n);
	compare(&s, BPF_JGT, out);
	if (!in_follows)
		be_ja(&cc->e, in);
}
