/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What many rules ask in the same words is asked once, with the parse. Most rules begin with the same few guards (a header
 * that is there, a protocol) before they come to a field of their own. A fused cell holds that field with one bit more,
 * set where all the guards hold, and is 0 otherwise: one compare then says both. A rule with guards alone compares the bit.
 */
#include <string.h>

#include "select.h"

#define FUSED_MAX	48
#define GUARDS_MAX	8
#define BITS_MAX	24	/* of a field: one bit more is still a small number */
#define RULE_MAX	64	/* instructions of a rule that are looked at */

struct be_fused {
	uint32_t n;
	const struct imr_insn *guard[GUARDS_MAX], *load[GUARDS_MAX];	/* load: of each guard's operand */
	const struct imr_insn *ld;	/* NULL: the guards alone */
	uint8_t bits;
	uint16_t at;			/* in the record */
	uint32_t uses, index;		/* index: among those that are kept */
	bool kept;
};

struct plan {			/* of one rule */
	uint32_t fused;			/* UINT32_MAX: as it stands */
	uint32_t test;			/* the field's test; UINT32_MAX: none */
	uint64_t guards;		/* instructions that go */
};

static const struct imr_insn *load_of(const struct be_cc *cc, const struct imr_insn *test)
{
	const struct imr_insn *d = test->a != IMR_NOVAL ? cc->def[test->a] : NULL;

	return d && d->op == OP_LD ? d : NULL;
}

/* A test of what the parse found out anyway, which leads to the next rule if it fails. */
static bool is_guard(const struct be_cc *cc, const struct imr_insn *test)
{
	const struct imr_insn *ld = load_of(cc, test);

	if (test->op == OP_NEED)
		return true;
	if (!ld || (test->set && test->set->n > 4))
		return false;
	switch (ld->field) {
	case F_META_NFPROTO:
	case F_META_PROTOCOL:
	case F_TH_OK:
	case F_TH_PROTO:
	case F_TH_FRAGOFF:
	case F_TX_OK:
	case F_TX_PROTO:
	case F_TX_FRAGOFF:
	case F_IP_PROTOCOL:
	case F_IP_FRAGOFF:
	case F_IP6_NEXTHDR:
		return true;
	default:
		return false;
	}
}

static bool is_field(const struct be_cc *cc, const struct imr_insn *test)
{
	const struct imr_insn *ld = load_of(cc, test);
	u128 v;

	return ld && be_rec_at(cc, ld, &v) && imr_types[ld->type].bits <= BITS_MAX && (!test->set || test->set->n <= BE_SET_SMALL);
}

static bool same_load(const struct imr_insn *a, const struct imr_insn *b)
{
	if (!a || !b)
		return a == b;
	return a->field == b->field && (a->field != F_RAW || (a->base == b->base && a->off == b->off && a->len == b->len));
}

static bool same_set(const struct imr_set *a, const struct imr_set *b)
{
	if (!a || !b)
		return a == b;
	return a->n == b->n && !memcmp(a->r, b->r, a->n * sizeof(*a->r));
}

/* Loads of one program: their value numbers may differ from rule to rule. */
static bool same_guard(const struct be_cc *cc, const struct imr_insn *a, const struct imr_insn *lda, const struct imr_insn *b)
{
	if (a->op != b->op || a->imm != b->imm || !same_set(a->set, b->set))
		return false;
	return a->op == OP_NEED ? a->base == b->base && a->len == b->len : same_load(lda, load_of(cc, b));
}

struct fuse {
	struct be_cc *cc;
	uint32_t n;
	struct be_fused f[FUSED_MAX];
	struct plan *plan;
};

static uint32_t find_fused(struct fuse *f, const struct imr_rule *r, const struct plan *p)
{
	const struct imr_insn *ld = p->test != UINT32_MAX ? load_of(f->cc, &r->insn[p->test]) : NULL;
	struct be_fused new = { .ld = ld, .bits = ld ? imr_types[ld->type].bits : 0 };

	for (uint32_t k = 0; k < r->n && k < RULE_MAX; k++)
		if (p->guards >> k & 1)
			new.guard[new.n++] = &r->insn[k];
	for (uint32_t i = 0; i < f->n; i++) {
		bool same = f->f[i].n == new.n && same_load(f->f[i].ld, ld);

		for (uint32_t k = 0; same && k < new.n; k++)
			same = same_guard(f->cc, f->f[i].guard[k], f->f[i].load[k], new.guard[k]);
		if (same)
			return i;
	}
	if (f->n == FUSED_MAX)
		return UINT32_MAX;
	for (uint32_t k = 0; k < new.n; k++)
		new.load[k] = load_of(f->cc, new.guard[k]);
	f->f[f->n] = new;
	return f->n++;
}

/* The rule's first tests, as long as all of them lead to the next rule. */
static void look(struct fuse *f, uint32_t rule)
{
	const struct imr_rule *r = &f->cc->chain->rule[rule];
	struct plan p = { .fused = UINT32_MAX, .test = UINT32_MAX };
	uint32_t guards = 0;

	be_define(f->cc, rule);
	for (uint32_t k = 0; k < r->n && k < RULE_MAX; k++) {
		const struct imr_insn *i = &r->insn[k];

		if (imr_ops[i->op].class == CLASS_VALUE)
			continue;
		if (imr_ops[i->op].class != CLASS_TEST || i->els != ELSE_NEXT || i->op == OP_NOFLOW)
			break;
		if (guards < GUARDS_MAX && is_guard(f->cc, i)) {
			p.guards |= 1ull << k;
			guards++;
		} else if (p.test == UINT32_MAX && is_field(f->cc, i)) {
			p.test = k;
		}
	}
	if (guards + (p.test != UINT32_MAX) >= 2 && guards)
		p.fused = find_fused(f, r, &p);
	if (p.fused != UINT32_MAX)
		f->f[p.fused].uses++;
	f->plan[rule] = p;
}

/* ------------------------------------------------------------------ the rules, rewritten */

/* What the field's test lets pass, with the guards' bit set. */
static const struct imr_set *with_bit(const struct be_cc *cc, const struct imr_insn *test, const struct be_fused *b)
{
	u128 bit = (u128)1 << b->bits;
	bool not;
	const struct imr_set *s = be_test_set(cc, test, b->ld->type, &not);
	struct imr_range *r = arena_alloc(cc->imr->arena, (s->n + 1) * sizeof(*r));
	struct imr_set *ret = arena_alloc(cc->imr->arena, sizeof(*ret));
	u128 from = 0;
	uint32_t n = 0;

	for (uint32_t i = 0; i < s->n; i++) {
		if (!not) {
			r[n++] = (struct imr_range){ bit + s->r[i].lo, bit + s->r[i].hi };
			continue;
		}
		if (s->r[i].lo > from)
			r[n++] = (struct imr_range){ bit + from, bit + s->r[i].lo - 1 };
		from = s->r[i].hi + 1;
	}
	if (not && from < bit)
		r[n++] = (struct imr_range){ bit + from, bit + bit - 1 };
	*ret = (struct imr_set){ n, r };
	return ret;
}

static struct imr_insn compare(const struct fuse *f, const struct imr_rule *r, const struct plan *p, uint32_t val)
{
	const struct be_fused *b = &f->f[p->fused];
	struct imr_insn i = { .op = OP_EQ, .type = T_U32, .els = ELSE_NEXT, .dst = IMR_NOVAL, .a = val, .b = IMR_NOVAL, .imm = 1 };

	if (p->test == UINT32_MAX)
		return i;
	i.op = OP_IN;
	i.set = with_bit(f->cc, &r->insn[p->test], b);
	return i;
}

static void rewrite(const struct fuse *f, struct imr_rule *ret, uint32_t rule, uint32_t val)
{
	const struct imr_rule *r = &f->cc->chain->rule[rule];
	const struct plan *p = &f->plan[rule];

	*ret = *r;
	if (p->fused == UINT32_MAX || !f->f[p->fused].kept)
		return;
	be_define(f->cc, rule);
	ret->insn = arena_alloc(f->cc->imr->arena, (r->n + 2) * sizeof(*ret->insn));
	ret->n = 0;
	ret->insn[ret->n++] = (struct imr_insn){ .op = OP_LD, .type = T_U32, .field = F_NONE, .dst = val, .a = IMR_NOVAL,
						 .b = IMR_NOVAL, .off = f->f[p->fused].index };
	ret->insn[ret->n++] = compare(f, r, p, val);
	for (uint32_t k = 0; k < r->n; k++)
		if (k != p->test && (k >= RULE_MAX || !(p->guards >> k & 1)))
			ret->insn[ret->n++] = r->insn[k];
}

/* Room for the cells behind those of the packet; they end at the record's end. */
static void keep(struct fuse *f)
{
	struct be_cc *cc = f->cc;

	cc->fused = arena_alloc(cc->imr->arena, FUSED_MAX * sizeof(*cc->fused));
	for (uint32_t i = 0; i < f->n; i++) {
		uint32_t at = be_rec_size(cc);

		if (f->f[i].uses < 2 || !be_rec_fits(cc, at + 4))
			continue;
		f->f[i].kept = true;
		f->f[i].at = at;
		f->f[i].index = cc->n_fused;
		cc->fused[cc->n_fused++] = f->f[i];
		cc->fused_end = at + 4;
	}
}

void be_fuse(struct be_cc *cc)
{
	const struct imr_chain *c = cc->chain;
	struct fuse *f = arena_alloc(cc->imr->arena, sizeof(*f));
	struct imr_chain *new = arena_alloc(cc->imr->arena, sizeof(*new));

	*f = (struct fuse){ .cc = cc };
	f->plan = arena_alloc(cc->imr->arena, (c->n + 1) * sizeof(*f->plan));
	for (uint32_t r = 0; r < c->n; r++)
		look(f, r);
	keep(f);
	if (!cc->n_fused)
		return;
	*new = *c;
	new->rule = arena_alloc(cc->imr->arena, (c->n + 1) * sizeof(*new->rule));
	for (uint32_t r = 0; r < c->n; r++)
		rewrite(f, &new->rule[r], r, cc->n_val);
	cc->n_val++;
	cc->chain = new;
}

uint16_t be_fused_at(const struct be_cc *cc, uint32_t index)
{
	return cc->fused[index].at;
}

/* ------------------------------------------------------------------ with the parse */

void be_fill_fused(struct be_cc *cc)
{
	struct be_emit *e = &cc->e;

	for (uint32_t i = 0; i < cc->n_fused; i++) {
		const struct be_fused *b = &cc->fused[i];
		uint32_t no = be_label_new(e);
		u128 v;

		for (uint32_t k = 0; k < b->n; k++) {
			uint32_t yes = be_label_new(e);

			be_test_parsed(cc, b->guard[k], b->load[k], yes, no);
			be_label_here(e, yes);
		}
		if (b->ld) {
			be_load(e, 4, BPF_REG_1, R_REC, be_rec_at(cc, b->ld, &v));
			be_alu64(e, BPF_OR, BPF_REG_1, 1 << b->bits);
			be_store(e, 4, R_REC, b->at, BPF_REG_1);
		} else {
			be_store_imm(e, 4, R_REC, b->at, 1);
		}
		be_label_here(e, no);
	}
}
