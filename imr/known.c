/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What is known of a value before the packet reaches the chain that asks: device facts are constants, bytes that the
 * stack or NAT may change on the way there are not known, what is made of them neither, and the rest can be read now.
 * Each row of blurred[] was read in the kernel function that docs/SLICE.md names beside it.
 */
#include <string.h>

#include "place.h"

enum kind { K_NOT_ASKED, K_RUN, K_CONST, K_UNKNOWN };

struct known_val {
	uint32_t gen;
	enum kind kind;
	u128 imm;		/* K_CONST */
	uint32_t out;		/* its number in the rule that comes out */
	const struct imr_insn *def;
};

/* Bytes that the chain's hook may see otherwise than the place of the slice does. 0: of any family, transport. */
static const struct blurred {
	uint8_t why, nfproto, l4, base;
	uint16_t lo, hi;
} blurred[] = {
	{ BLUR_MERGE,   2,  0, B_NH, 2, 3 },	/* total length */
	{ BLUR_MERGE,   10, 0, B_NH, 4, 5 },	/* payload length */
	{ BLUR_MERGE,   0, 17, B_TH, 4, 5 },	/* UDP's length */
	{ BLUR_FORWARD, 2,  0, B_NH, 8, 8 },	/* time to live, and the checksum over it */
	{ BLUR_FORWARD, 2,  0, B_NH, 10, 11 },
	{ BLUR_FORWARD, 10, 0, B_NH, 7, 7 },
	{ BLUR_NAT,     2,  0, B_NH, 10, 11 },
	{ BLUR_NAT,     2,  0, B_NH, 16, UINT16_MAX },	/* destination; behind it what the transport rows say */
	{ BLUR_NAT,     10, 0, B_NH, 24, UINT16_MAX },
	{ BLUR_NAT,     0,  0, B_TH, 2, 11 },	/* not the source port, not TCP's flags and window */
	{ BLUR_NAT,     0,  0, B_TH, 16, UINT16_MAX },
	{ BLUR_INGRESS, 2,  0, B_NH, 20, UINT16_MAX },	/* bytes that may be padding */
	{ BLUR_INGRESS, 10, 0, B_NH, 40, UINT16_MAX },
	{ BLUR_INGRESS, 0,  0, B_TH, 0, UINT16_MAX },
};

/* Frames of any family meet chains of netdev: there the field's name says which it is, if it does. */
static bool is_of_family(const struct known_ctx *k, const struct blurred *b, const struct imr_field_info *f)
{
	uint8_t nfproto = k->seg->nfproto == FAM_NETDEV ? f->l3 : k->seg->nfproto;

	return !b->nfproto || b->nfproto == nfproto || (!nfproto && k->seg->nfproto == FAM_NETDEV);
}

static bool is_blurred(const struct known_ctx *k, const struct imr_insn *ld)
{
	const struct imr_field_info *f = &imr_fields[ld->field];
	uint8_t why = k->seg->blur, base = ld->field == F_RAW ? ld->base : f->base;
	unsigned int off = ld->field == F_RAW ? ld->off : f->off, len = ld->field == F_RAW ? ld->len : f->len;

	if (off + len <= k->need[base])
		why &= ~BLUR_INGRESS;	/* no padding: it is there without */
	if (base == B_TX)
		base = B_TH;
	if (base == B_LL && off + len <= 14)
		return false;
	if (base == B_LL) {
		base = B_NH;
		len = off < 14 ? len - (14 - off) : len;
		off = off < 14 ? 0 : off - 14;
	}
	for (size_t i = 0; i < sizeof(blurred) / sizeof(*blurred); i++) {
		const struct blurred *b = &blurred[i];

		if ((why & b->why) && b->base == base && is_of_family(k, b, f) && off <= b->hi && off + len > b->lo &&
		    (!b->l4 || !f->l4 || b->l4 == f->l4))
			return true;
	}
	return false;
}

static u128 name_number(const char name[16])
{
	u128 v = 0;

	for (int i = 0; i < 16; i++)
		v = v << 8 | (uint8_t)name[i];
	return v;
}

static enum kind known(struct known_val *v, u128 imm)
{
	v->imm = imm;
	return K_CONST;
}

/* What the parse says of the transport header; at ingress the walk over IPv6's headers may run into padding. */
static enum kind parse_kind(const struct place_seg *seg)
{
	return (seg->blur & BLUR_INGRESS) && seg->nfproto == 10 ? K_UNKNOWN : K_RUN;
}

/* A fact of the device that the place is of; an L3 hook is of all of them. */
static enum kind device_kind(const struct known_ctx *k, uint8_t field, struct known_val *v)
{
	const struct imr_env *env = k->p->env;

	if (!env)
		return K_RUN;
	if (field == F_META_IIFTYPE)
		return known(v, imr_iiftype(env->dev));
	return known(v, field == F_META_IIF || field == F_META_OIF ? env->ifindex : name_number(env->dev));
}

static enum kind ld_kind(const struct known_ctx *k, const struct imr_insn *i, struct known_val *v)
{
	const struct imr_field_info *f = &imr_fields[i->field];
	unsigned int facts = imr_hooks[k->seg->chain->hook].facts;

	switch (i->field) {
	case F_META_IIFTYPE:	/* the kernel reads skb->dev's, which is set for some packets of its own */
		if (imr_hooks[k->seg->chain->hook].num == HN_OUTPUT || imr_hooks[k->seg->chain->hook].num == HN_POSTROUTING)
			return K_UNKNOWN;
		return device_kind(k, i->field, v);
	case F_META_IIF:
	case F_META_IIFNAME:
		return facts & HF_NO_IIF ? known(v, 0) : device_kind(k, i->field, v);
	case F_META_OIF:
	case F_META_OIFNAME:
		if (facts & HF_NO_OIF)
			return known(v, 0);
		return k->p->exact ? device_kind(k, i->field, v) : K_UNKNOWN;
	case F_META_NFPROTO:
		if (imr_hooks[k->seg->chain->hook].family == FAM_NETDEV)
			return known(v, FAM_NETDEV);	/* the hook's own, whatever the packet is */
		if (k->p->exact && k->p->env)
			return K_RUN;
		if (k->seg->blur & BLUR_INGRESS)
			return K_UNKNOWN;
		return k->seg->nfproto ? known(v, k->seg->nfproto) : K_RUN;
	case F_META_PROTOCOL:
		if ((k->p->exact && k->p->env) || !k->seg->nfproto)
			return K_RUN;
		return known(v, k->seg->nfproto == 2 ? 0x0800 : 0x86dd);
	case F_META_MARK:
		return k->p->exact ? K_RUN : K_UNKNOWN;
	case F_META_LEN:
		return k->seg->blur & (BLUR_MERGE | BLUR_INGRESS) ? K_UNKNOWN : K_RUN;
	case F_RAW:
		return is_blurred(k, i) ? K_UNKNOWN : K_RUN;
	default:
		if (!f->len)
			return parse_kind(k->seg);
		return is_blurred(k, i) ? K_UNKNOWN : K_RUN;
	}
}

static u128 swapped(u128 v, enum imr_type t)
{
	u128 r = 0;

	for (unsigned int i = 0; i < imr_types[t].bits / 8u; i++, v >>= 8)
		r = r << 8 | (v & 0xff);
	return r;
}

static u128 value_of(const struct imr_insn *i, u128 a, u128 b)
{
	switch (i->op) {
	case OP_AND:
		return a & i->imm;
	case OP_OR:
		return a | b;
	case OP_XOR:
		return a ^ i->imm;
	case OP_SHR:
		return i->imm < 128 ? a >> (unsigned int)i->imm : 0;
	case OP_SWAP:
		return swapped(a, i->type);
	default:		/* OP_ISIN */
		return imr_set_has(i->set, a);
	}
}

static struct known_val *value(struct known_ctx *k, uint32_t number);

static enum kind op_kind(struct known_ctx *k, const struct imr_insn *i, struct known_val *v)
{
	unsigned int args = imr_ops[i->op].args;
	const struct known_val *a, *b;

	if (!(args & ARG_A))
		return k->seg->blur & BLUR_INGRESS ? K_UNKNOWN : K_RUN;		/* tcpopt */
	a = value(k, i->a);
	b = args & ARG_B ? value(k, i->b) : a;
	if (a->kind == K_CONST && b->kind == K_CONST)
		return known(v, value_of(i, a->imm, b->imm) & imr_type_max(i->type));
	return a->kind == K_RUN && b->kind == K_RUN ? K_RUN : K_UNKNOWN;
}

void known_define(struct known_ctx *k, const struct imr_insn *i)
{
	k->val[i->dst] = (struct known_val){ .gen = k->gen, .out = IMR_NOVAL, .def = i };
}

/* A value by its number; one that the rule has not defined is of the chain's entry. Judged when it is first asked for,
 * behind the presence tests that come before that. */
static struct known_val *value(struct known_ctx *k, uint32_t number)
{
	struct known_val *v = &k->val[number];

	if (v->gen != k->gen)
		known_define(k, k->entry[number]);
	if (v->kind != K_NOT_ASKED)
		return v;
	if (v->def->op == OP_UNKNOWN)
		v->kind = K_UNKNOWN;
	else if (v->def->op == OP_LD)
		v->kind = ld_kind(k, v->def, v);
	else
		v->kind = op_kind(k, v->def, v);
	return v;
}

static bool test_holds(const struct imr_insn *i, u128 v)
{
	switch (i->op) {
	case OP_EQ:
		return v == i->imm;
	case OP_NE:
		return v != i->imm;
	case OP_LT:
		return v < i->imm;
	case OP_LE:
		return v <= i->imm;
	case OP_GT:
		return v > i->imm;
	case OP_GE:
		return v >= i->imm;
	case OP_IN:
		return imr_set_has(i->set, v);
	default:		/* OP_NI */
		return !imr_set_has(i->set, v);
	}
}

enum known known_test(struct known_ctx *k, const struct imr_insn *i)
{
	const struct known_val *v;

	if (i->op == OP_OPAQUE)
		return IS_UNKNOWN;
	if (i->op == OP_NEED) {
		if (k->need[i->base] < i->len)
			k->need[i->base] = i->len;
		return IS_TESTED;
	}
	v = value(k, i->a);
	if (v->kind == K_CONST)
		return test_holds(i, v->imm) ? IS_TRUE : IS_FALSE;
	return v->kind == K_RUN ? IS_TESTED : IS_UNKNOWN;
}

/* What the unknown of an IS_UNKNOWN test comes from. */
static const struct imr_insn *unknown_of(struct known_ctx *k, const struct imr_insn *i)
{
	while (!i->text && imr_ops[i->op].args & ARG_A) {
		bool b = imr_ops[i->op].args & ARG_B && value(k, i->a)->kind != K_UNKNOWN;

		i = value(k, b ? i->b : i->a)->def;
	}
	return i;
}

bool known_is_merged(struct known_ctx *k, const struct imr_insn *i)
{
	i = unknown_of(k, i);
	return k->seg->blur == BLUR_MERGE && i->op == OP_LD && (i->field == F_META_LEN || is_blurred(k, i));
}

const char *known_why(struct known_ctx *k, const struct imr_insn *i)
{
	i = unknown_of(k, i);
	return i->text ? i->text : i->op == OP_LD ? imr_fields[i->field].name : imr_ops[i->op].name;
}

uint32_t known_emit(struct known_ctx *k, struct imr *out, struct imr_rule *r, uint32_t number)
{
	struct known_val *v = value(k, number);
	unsigned int args = imr_ops[v->def->op].args;
	uint32_t a = IMR_NOVAL, b = IMR_NOVAL;
	struct imr_insn *i;

	if (v->out != IMR_NOVAL)
		return v->out;
	if (args & ARG_A)
		a = known_emit(k, out, r, v->def->a);
	if (args & ARG_B)
		b = known_emit(k, out, r, v->def->b);
	i = imr_insn_add(out, r, v->def->op);
	*i = *v->def;
	i->a = a;
	i->b = b;
	i->dst = v->out = k->n_out++;
	return v->out;
}

static uint32_t max_value(const struct imr_insn *insn, uint32_t n, uint32_t max)
{
	for (uint32_t i = 0; i < n; i++)
		if (insn[i].dst != IMR_NOVAL && insn[i].dst >= max)
			max = insn[i].dst + 1;
	return max;
}

void known_init(struct known_ctx *k, const struct place *p)
{
	uint32_t n = 0;

	for (uint32_t s = 0; s < p->n; s++) {
		const struct imr_chain *c = p->seg[s].chain;

		n = max_value(c->entry, c->n_entry, n);
		for (uint32_t r = 0; r < c->n; r++)
			n = max_value(c->rule[r].insn, c->rule[r].n, n);
	}
	*k = (struct known_ctx){ .p = p };
	k->val = arena_alloc(p->src->arena, n * sizeof(*k->val));
	k->entry = arena_alloc(p->src->arena, n * sizeof(*k->entry));
}

void known_rule(struct known_ctx *k, const struct place_seg *seg)
{
	k->gen++;
	k->n_out = 0;
	memset(k->need, 0, sizeof(k->need));
	if (k->seg == seg)
		return;
	k->seg = seg;
	for (uint32_t i = 0; i < seg->chain->n_entry; i++)
		k->entry[seg->chain->entry[i].dst] = &seg->chain->entry[i];
}

/* The destination address, or what lies behind the fixed header. */
static bool is_option(const struct imr_insn *i)
{
	const struct imr_field_info *f = &imr_fields[i->field];
	uint8_t base = i->field == F_RAW ? i->base : f->base;
	unsigned int off = i->field == F_RAW ? i->off : f->off, len = i->field == F_RAW ? i->len : f->len;

	if (i->op != OP_LD || !len || f->l3 == 10)
		return false;
	return (base == B_NH && off + len > 16) || (base == B_LL && off + len > 30);
}

bool known_reads_options(const struct imr_chain *c)
{
	for (uint32_t i = 0; i < c->n_entry; i++)
		if (is_option(&c->entry[i]))
			return true;
	for (uint32_t r = 0; r < c->n; r++)
		for (uint32_t i = 0; i < c->rule[r].n; i++)
			if (is_option(&c->rule[r].insn[i]))
				return true;
	return false;
}
