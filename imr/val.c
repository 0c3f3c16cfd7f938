/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Values as nodes. Equal values are one node, and a node is in canonical form: xor outside shr outside and, no
 * operation that changes nothing, no operation on a constant. What a test asks of such a value it can often ask of the
 * value underneath (val_peel), which is how a masked load becomes a prefix and a host-order number a field.
 */
#include <assert.h>
#include <string.h>

#include "pass.h"

u128 low_bits(unsigned int n)
{
	return n >= 128 ? ~(u128)0 : ((u128)1 << n) - 1;
}

bool is_low_bits(u128 v)
{
	return !(v & (v + 1));
}

/* ------------------------------------------------------------------ equal values are one */

static uint64_t mix(uint64_t h, u128 v)
{
	h = (h ^ (uint64_t)v) * 0x9e3779b97f4a7c15u;
	h ^= h >> 29;
	h = (h ^ (uint64_t)(v >> 64)) * 0xbf58476d1ce4e5b9u;
	return h ^ h >> 32;
}

static uint64_t hash_insn(const struct vals *vs, const struct imr_insn *i)
{
	uint64_t h = mix(0, i->op | i->type << 8 | i->field << 16 | (u128)i->base << 24);
	const unsigned int args = imr_ops[i->op].args;

	h = mix(h, i->imm);
	h = mix(h, (u128)i->off << 16 | i->len);
	if (args & ARG_A)
		h = mix(h, vs->v[i->a].hash);
	if (args & ARG_B)
		h = mix(h, vs->v[i->b].hash);
	for (uint32_t k = 0; args & ARG_SET && k < i->set->n; k++)
		h = mix(mix(h, i->set->r[k].lo), i->set->r[k].hi);
	for (const char *t = args & ARG_WHY ? i->text : NULL; t && *t; t++)
		h = mix(h, (unsigned char)*t);
	return h;
}

static bool same_set(const struct imr_set *a, const struct imr_set *b)
{
	if (a == b)
		return true;
	if (a->n != b->n)
		return false;
	for (uint32_t k = 0; k < a->n; k++)
		if (a->r[k].lo != b->r[k].lo || a->r[k].hi != b->r[k].hi)
			return false;
	return true;
}

static bool same_insn(const struct imr_insn *a, const struct imr_insn *b)
{
	const unsigned int args = imr_ops[a->op].args;

	if (a->op != b->op || a->type != b->type || a->field != b->field || a->base != b->base ||
	    a->off != b->off || a->len != b->len || a->imm != b->imm)
		return false;
	return (!(args & ARG_A) || a->a == b->a) && (!(args & ARG_B) || a->b == b->b) &&
	       (!(args & ARG_SET) || same_set(a->set, b->set));
}

static struct val_slot *find(struct vals *vs, const struct imr_insn *i, uint64_t hash)
{
	for (uint64_t k = hash;; k++) {
		struct val_slot *s = &vs->slot[k & (vs->n_slot - 1)];

		if (s->gen != vs->gen)
			return s;
		if (vs->v[s->v].hash == hash && same_insn(&vs->v[s->v].i, i))
			return s;
	}
}

static void slots_grow(struct vals *vs)
{
	vs->n_slot = vs->n_slot ? vs->n_slot * 2 : 64;
	vs->slot = arena_alloc(vs->imr->arena, vs->n_slot * sizeof(*vs->slot));
	vs->gen = 1;
	for (uint32_t v = 0; v < vs->n; v++)
		*find(vs, &vs->v[v].i, vs->v[v].hash) = (struct val_slot){ vs->gen, v };
}

void vals_reset(struct vals *vs)
{
	vs->n = 0;
	vs->gen++;
}

static u128 load_bits(const struct imr_insn *i)
{
	const struct imr_field_info *f = &imr_fields[i->field];

	return i->field == F_RAW ? low_bits(8 * i->len) : low_bits(f->bits);
}

static u128 bits_of(const struct vals *vs, const struct imr_insn *i)
{
	u128 a = imr_ops[i->op].args & ARG_A ? vs->v[i->a].bits : 0;

	switch (i->op) {
	case OP_NONE:
		return i->imm;
	case OP_NEED:
		return UINT16_MAX;
	case OP_LD:
		return load_bits(i);
	case OP_AND:
		return a & i->imm;
	case OP_OR:
		return a | vs->v[i->b].bits;
	case OP_XOR:
		return a | i->imm;
	case OP_SHR:
		return i->imm < 128 ? a >> (unsigned int)i->imm : 0;
	case OP_SWAP:
		return swap_bytes(a, imr_types[vs->v[i->a].i.type].bits / 8);
	case OP_ISIN:
		return 1;
	case OP_TCPOPT:
		return 3;	/* 0, 1 or 2 */
	}
	return imr_type_max(i->type);
}

uint32_t val_add(struct vals *vs, const struct imr_insn *i)
{
	uint64_t hash = hash_insn(vs, i);
	bool shared = !imr_ops[i->op].args || i->op == OP_NEED || pass_may(i->op, LAW_SAME);
	struct val_slot *s = NULL;
	struct val *v;

	if ((vs->n + 1) * 2 > vs->n_slot)
		slots_grow(vs);
	if (shared) {
		s = find(vs, i, hash);
		if (s->gen == vs->gen)
			return s->v;
	}
	vs->v = pass_room(vs->imr, vs->v, &vs->cap, vs->n + 1, sizeof(*vs->v));
	v = &vs->v[vs->n];
	*v = (struct val){ .i = *i, .hash = hash, .leaf = vs->n };
	v->i.dst = IMR_NOVAL;
	v->bits = bits_of(vs, i);
	if (imr_ops[i->op].args & ARG_A) {
		v->depth = vs->v[i->a].depth + 1;
		v->leaf = vs->v[i->a].leaf;
	}
	if (imr_ops[i->op].args & ARG_B && vs->v[i->b].depth >= v->depth)
		v->depth = vs->v[i->b].depth + 1;
	if (s)
		*s = (struct val_slot){ vs->gen, vs->n };
	return vs->n++;
}

/* ------------------------------------------------------------------ order */

static int cmp_u128(u128 a, u128 b)
{
	return a < b ? -1 : a > b;
}

/* By base, offset and length, so that a header's fields stand in its own order. */
static int cmp_leaf(const struct imr_insn *a, const struct imr_insn *b)
{
	struct imr_insn x = *a, y = *b;
	int d;

	if (a->op != b->op)
		return a->op < b->op ? -1 : 1;
	if (a->op != OP_LD)
		return cmp_u128(a->imm, b->imm);
	if (a->field != F_RAW)
		x = (struct imr_insn){ .base = imr_fields[a->field].base, .off = imr_fields[a->field].off,
				       .len = imr_fields[a->field].len };
	if (b->field != F_RAW)
		y = (struct imr_insn){ .base = imr_fields[b->field].base, .off = imr_fields[b->field].off,
				       .len = imr_fields[b->field].len };
	d = cmp_u128((u128)x.base << 32 | (uint32_t)x.off << 16 | x.len,
		     (u128)y.base << 32 | (uint32_t)y.off << 16 | y.len);
	return d ? d : cmp_u128(a->field, b->field);
}

int val_cmp(const struct val *a, const struct val *b, const struct vals *vs)
{
	int d = cmp_leaf(&vs->v[a->leaf].i, &vs->v[b->leaf].i);

	if (!d)
		d = cmp_u128(a->depth, b->depth);
	if (!d)
		d = cmp_u128(a->i.op, b->i.op);
	if (!d)
		d = cmp_u128(a->i.imm, b->i.imm);
	if (!d)
		d = cmp_u128(a->hash, b->hash);
	return d ? d : cmp_u128(a - vs->v, b - vs->v);
}

/* ------------------------------------------------------------------ canonical form */

uint32_t val_const(struct vals *vs, enum imr_type t, u128 imm)
{
	return val_add(vs, &(struct imr_insn){ .op = OP_NONE, .type = t, .imm = imm });
}

static uint32_t add_op(struct vals *vs, enum imr_op op, uint32_t a, u128 imm)
{
	return val_add(vs, &(struct imr_insn){ .op = op, .type = vs->v[a].i.type, .a = a, .imm = imm });
}

/* The three below call each other at most once in each layer: xor over shr over and over something else. */
static uint32_t make_xor(struct vals *vs, uint32_t a, u128 imm)
{
	const struct val v = vs->v[a];

	imm &= imr_type_max(v.i.type);
	if (v.i.op == OP_NONE)
		return val_const(vs, v.i.type, v.i.imm ^ imm);
	if (v.i.op == OP_XOR)
		return make_xor(vs, v.i.a, imm ^ v.i.imm);
	return imm ? add_op(vs, OP_XOR, a, imm) : a;
}

static uint32_t make_and(struct vals *vs, uint32_t a, u128 imm);

static uint32_t make_shr(struct vals *vs, uint32_t a, u128 imm)
{
	const struct val v = vs->v[a];
	const unsigned int s = imm < 128 ? (unsigned int)imm : 128;

	if (s >= 128 || !(v.bits >> s))
		return val_const(vs, v.i.type, 0);
	if (!s)
		return a;
	switch (v.i.op) {
	case OP_NONE:
		return val_const(vs, v.i.type, v.i.imm >> s);
	case OP_XOR:
		return make_xor(vs, make_shr(vs, v.i.a, s), v.i.imm >> s);
	case OP_SHR:
		return make_shr(vs, v.i.a, s + v.i.imm);
	case OP_AND:
		if (!(vs->v[v.i.a].bits & ~(v.i.imm | low_bits(s))))
			return make_shr(vs, v.i.a, s);
		if (v.i.imm & low_bits(s))
			return make_shr(vs, make_and(vs, v.i.a, v.i.imm & ~low_bits(s)), s);
		break;
	}
	return add_op(vs, OP_SHR, a, s);
}

static uint32_t make_and(struct vals *vs, uint32_t a, u128 imm)
{
	const struct val v = vs->v[a];

	imm &= v.bits;
	if (v.i.op == OP_NONE || !imm)
		return val_const(vs, v.i.type, v.i.imm & imm);
	if (imm == v.bits)
		return a;
	switch (v.i.op) {
	case OP_AND:
		return make_and(vs, v.i.a, imm & v.i.imm);
	case OP_XOR:
		return make_xor(vs, make_and(vs, v.i.a, imm), v.i.imm & imm);
	case OP_SHR:
		return make_shr(vs, make_and(vs, v.i.a, imm << (unsigned int)v.i.imm), v.i.imm);
	}
	return add_op(vs, OP_AND, a, imm);
}

static uint32_t make_or(struct vals *vs, const struct imr_insn *i)
{
	struct imr_insn x = *i;
	const struct val a = vs->v[i->a], b = vs->v[i->b];

	if (a.i.op == OP_NONE && b.i.op != OP_NONE) {
		x.a = i->b;
		x.b = i->a;
		return make_or(vs, &x);
	}
	if (b.i.op == OP_NONE)
		return make_xor(vs, make_and(vs, i->a, ~b.i.imm), b.i.imm);
	if (i->a == i->b)
		return i->a;
	if (val_cmp(&vs->v[i->a], &vs->v[i->b], vs) > 0) {
		x.a = i->b;
		x.b = i->a;
	}
	x.type = vs->v[x.a].i.type;
	return val_add(vs, &x);
}

static uint32_t make_swap(struct vals *vs, const struct imr_insn *i)
{
	const struct val a = vs->v[i->a];
	const unsigned int bytes = imr_types[a.i.type].bits / 8;

	if (bytes <= 1)
		return i->a;
	if (a.i.op == OP_NONE)
		return val_const(vs, i->type, swap_bytes(a.i.imm, bytes));
	if (a.i.op == OP_SWAP && imr_types[vs->v[a.i.a].i.type].bits == imr_types[i->type].bits)
		return a.i.a;
	return val_add(vs, i);
}

static uint32_t make_isin(struct vals *vs, const struct imr_insn *i)
{
	const struct val a = vs->v[i->a];
	struct pset s = { .n = i->set->n, .r = i->set->r };

	if (a.i.op == OP_NONE)
		return val_const(vs, T_U1, imr_set_has(i->set, a.i.imm));
	pset_fit(vs->imr, &s, a.bits);
	switch (pset_truth(&s, a.bits)) {
	case PSET_NEVER:
		return val_const(vs, T_U1, 0);
	case PSET_ALWAYS:
		return val_const(vs, T_U1, 1);
	case PSET_MAYBE:
		break;
	}
	return val_add(vs, i);
}

uint32_t val_op(struct vals *vs, enum imr_op op, uint32_t a, u128 imm)
{
	switch (op) {
	case OP_AND:
		return make_and(vs, a, imm);
	case OP_XOR:
		return make_xor(vs, a, imm);
	default:
		assert(op == OP_SHR);
		return make_shr(vs, a, imm);
	}
}

uint32_t val_make(struct vals *vs, const struct imr_insn *i)
{
	switch (i->op) {
	case OP_AND:
	case OP_XOR:
	case OP_SHR:
		return val_op(vs, i->op, i->a, i->imm);
	case OP_OR:
		return make_or(vs, i);
	case OP_SWAP:
		return make_swap(vs, i);
	case OP_ISIN:
		return make_isin(vs, i);
	}
	return val_add(vs, i);
}

uint32_t val_field(struct vals *vs, enum imr_field f)
{
	return val_add(vs, &(struct imr_insn){ .op = OP_LD, .type = imr_fields[f].type, .field = f });
}

/* ------------------------------------------------------------------ the test of an operand */

enum pset_truth val_truth(struct vals *vs, uint32_t v, struct pset *s)
{
	const struct val *at = &vs->v[v];

	if (at->i.op == OP_NONE)
		return pset_has(s, at->i.imm) ? PSET_ALWAYS : PSET_NEVER;
	pset_fit(vs->imr, s, at->bits);
	return pset_truth(s, at->bits);
}

static bool peel_and(struct vals *vs, const struct val *v, struct pset *s)
{
	u128 all = vs->v[v->i.a].bits, low = all & ~v->i.imm;
	unsigned int n = 0;

	if (!is_low_bits(low))
		return false;
	while (low_bits(n) < low)
		n++;
	pset_of_high_mask(vs->imr, s, n);
	return true;
}

static void peel_isin(const struct val *v, struct pset *s)
{
	*s = (struct pset){ .inv = pset_has(s, 0), .n = v->i.set->n, .r = v->i.set->r, .orig = v->i.set };
}

bool val_peel(struct vals *vs, uint32_t *v, struct pset *s)
{
	const struct val at = vs->v[*v];
	bool done = false;

	if (val_truth(vs, *v, s) != PSET_MAYBE)
		return false;
	switch (at.i.op) {
	case OP_AND:
		done = peel_and(vs, &at, s);
		break;
	case OP_XOR:
		done = pset_of_xor(vs->imr, s, at.i.imm);
		break;
	case OP_SHR:
		pset_of_shr(vs->imr, s, (unsigned int)at.i.imm);
		done = true;
		break;
	case OP_SWAP:
		done = pset_of_swap(vs->imr, s, imr_types[vs->v[at.i.a].i.type].bits / 8);
		break;
	case OP_ISIN:
		peel_isin(&at, s);
		done = true;
		break;
	}
	if (done)
		*v = at.i.a;
	return done;
}

bool ld_bytes(const struct imr_insn *ld, struct imr_insn *ret)
{
	const struct imr_field_info *f = &imr_fields[ld->field];

	*ret = *ld;
	if (ld->op != OP_LD)
		return false;
	if (ld->field == F_RAW)
		return true;
	ret->base = f->base;
	ret->off = f->off;
	ret->len = f->len;
	return f->len && !f->shift && f->bits == 8 * f->len;
}
