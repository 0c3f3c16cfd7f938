/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Values in registers. A value is made anew wherever it is tested: a loaded field is one instruction, and a register
 * that lived on from rule to rule would make verification quadratic. Up to 64 bits lie in one register, wider values
 * in two, the lower half first. R0 is free for constants.
 */
#include "select.h"

#define LO(reg) (reg)
#define HI(reg) ((reg) + 1)
#define REG_LAST BPF_REG_6	/* the last pair: R6, R7 */

static unsigned int bits(enum imr_type t)
{
	return imr_types[t].bits;
}

static void constant(struct be_cc *cc, enum imr_type t, u128 v, uint8_t reg)
{
	be_const(&cc->e, LO(reg), v);
	if (bits(t) > 64)
		be_const(&cc->e, HI(reg), v >> 64);
}

static void from_record(struct be_cc *cc, const struct imr_insn *i, uint8_t reg)
{
	u128 v;
	uint16_t at = be_rec_at(cc, i, &v);
	unsigned int n = bits(i->type);

	if (!at) {
		constant(cc, i->type, v, reg);
		return;
	}
	be_load(&cc->e, n <= 32 ? 4 : 8, LO(reg), R_REC, at);
	if (n > 64)
		be_load(&cc->e, 8, HI(reg), R_REC, at + 8);
}

static void mask_word(struct be_cc *cc, uint8_t reg, uint64_t mask)
{
	if (mask == UINT64_MAX)
		return;
	if (mask <= INT32_MAX) {
		be_alu64(&cc->e, BPF_AND, reg, mask);
	} else if (mask <= UINT32_MAX) {
		be_alu32(&cc->e, BPF_AND, reg, mask);
	} else {
		be_const(&cc->e, BPF_REG_0, mask);
		be_alu64_reg(&cc->e, BPF_AND, reg, BPF_REG_0);
	}
}

static void convert(struct be_cc *cc, uint8_t reg, enum imr_type from, enum imr_type to)
{
	u128 max = imr_type_max(to);

	if (bits(to) > 64 && bits(from) <= 64)
		be_mov(&cc->e, HI(reg), 0);
	if (bits(to) >= bits(from))
		return;
	mask_word(cc, LO(reg), max);
	if (bits(to) > 64)
		mask_word(cc, HI(reg), max >> 64);
}

static void xor_word(struct be_cc *cc, uint8_t reg, uint64_t v)
{
	if (!v)
		return;
	be_const(&cc->e, BPF_REG_0, v);
	be_alu64_reg(&cc->e, BPF_XOR, reg, BPF_REG_0);
}

static void shift(struct be_cc *cc, enum imr_type t, uint8_t reg, u128 by)
{
	struct be_emit *e = &cc->e;

	if (by >= bits(t)) {
		constant(cc, t, 0, reg);
	} else if (bits(t) <= 64) {
		be_alu64(e, BPF_RSH, LO(reg), by);
	} else if (by >= 64) {
		be_mov_reg(e, LO(reg), HI(reg));
		be_alu64(e, BPF_RSH, LO(reg), by - 64);
		be_mov(e, HI(reg), 0);
	} else if (by) {
		be_mov_reg(e, BPF_REG_0, HI(reg));
		be_alu64(e, BPF_LSH, BPF_REG_0, 64 - by);
		be_alu64(e, BPF_RSH, LO(reg), by);
		be_alu64_reg(e, BPF_OR, LO(reg), BPF_REG_0);
		be_alu64(e, BPF_RSH, HI(reg), by);
	}
}

/* The bytes of a value of type t, reversed: of the whole register, then what stands above comes down. */
static void swap(struct be_cc *cc, enum imr_type t, uint8_t reg)
{
	struct be_emit *e = &cc->e;

	be_swap64(e, LO(reg));
	if (bits(t) <= 64) {
		if (bits(t) < 8)
			be_mov(e, LO(reg), 0);
		else if (bits(t) < 64)
			be_alu64(e, BPF_RSH, LO(reg), 64 - bits(t));
		return;
	}
	be_swap64(e, HI(reg));
	be_mov_reg(e, BPF_REG_0, LO(reg));
	be_mov_reg(e, LO(reg), HI(reg));
	be_mov_reg(e, HI(reg), BPF_REG_0);
	shift(cc, T_BE128, reg, 128 - bits(t));
}

/* By way of the record, so that the verifier does not follow both outcomes onwards. */
static void is_in(struct be_cc *cc, const struct imr_insn *i, enum imr_type t, uint8_t reg)
{
	uint32_t in = be_label_new(&cc->e), out = be_label_new(&cc->e);

	be_store_imm(&cc->e, 4, R_REC, REC_TMP, 0);
	be_in(cc, t, reg, i->set, in, out, true);
	be_label_here(&cc->e, in);
	be_store_imm(&cc->e, 4, R_REC, REC_TMP, 1);
	be_label_here(&cc->e, out);
	be_load(&cc->e, 4, reg, R_REC, REC_TMP);
}

static void either(struct be_cc *cc, const struct imr_insn *i, uint8_t reg)
{
	enum imr_type b;

	if (reg + 2 > REG_LAST) {
		be_refuse(cc, cc->at, "a value is put together from too many others", NULL);
		return;
	}
	b = be_value(cc, i->b, reg + 2);
	convert(cc, reg + 2, b, i->type);
	be_alu64_reg(&cc->e, BPF_OR, LO(reg), LO(reg + 2));
	if (bits(i->type) > 64)
		be_alu64_reg(&cc->e, BPF_OR, HI(reg), HI(reg + 2));
}

enum imr_type be_value(struct be_cc *cc, uint32_t val, uint8_t reg)
{
	const struct imr_insn *i = cc->def[val];
	enum imr_type t;

	if (i->op == OP_LD || i->op == OP_TCPOPT) {
		from_record(cc, i, reg);
		return i->type;
	}
	t = be_value(cc, i->a, reg);
	switch (i->op) {
	case OP_AND:
		mask_word(cc, LO(reg), bits(t) < 64 ? (uint64_t)(i->imm & imr_type_max(t)) : (uint64_t)i->imm);
		if (bits(t) > 64)
			mask_word(cc, HI(reg), i->imm >> 64);
		break;
	case OP_XOR:
		if (bits(i->type) > bits(t)) {
			convert(cc, reg, t, i->type);
			t = i->type;
		}
		xor_word(cc, LO(reg), i->imm & imr_type_max(t));
		if (bits(t) > 64)
			xor_word(cc, HI(reg), (i->imm & imr_type_max(t)) >> 64);
		break;
	case OP_SHR:
		shift(cc, t, reg, i->imm);
		break;
	case OP_SWAP:
		if (bits(i->type) > 64)
			convert(cc, reg, t, T_BE128);
		swap(cc, i->type, reg);
		return i->type;
	case OP_ISIN:
		is_in(cc, i, t, reg);
		return i->type;
	case OP_OR:
		convert(cc, reg, t, i->type);
		either(cc, i, reg);
		return i->type;
	}
	convert(cc, reg, t, i->type);
	return i->type;
}

const struct imr_set *be_test_set(const struct be_cc *cc, const struct imr_insn *i, enum imr_type t, bool *ret_not)
{
	u128 max = imr_type_max(t), lo = 0, hi = max;
	struct imr_set *s = arena_alloc(cc->imr->arena, sizeof(*s));

	*ret_not = i->op == OP_NE || i->op == OP_NI || i->op == OP_LT || i->op == OP_GT;
	if (i->op == OP_IN || i->op == OP_NI)
		return i->set;
	if (i->op == OP_EQ || i->op == OP_NE || i->op == OP_GE || i->op == OP_LT)
		lo = i->imm;
	if (i->op == OP_EQ || i->op == OP_NE || i->op == OP_LE || i->op == OP_GT)
		hi = i->imm;
	s->r = arena_alloc(cc->imr->arena, sizeof(*s->r));
	s->r[0] = (struct imr_range){ lo, hi };
	s->n = 1;
	return s;
}
