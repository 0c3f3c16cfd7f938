/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The ground that the passes stand on: a rule read into steps over nodes and written back with its values in canonical
 * order, and the facts that hold where a rule begins. Chains are lists with forward exits only, so each analysis is one
 * loop, and a pass is linear in the rules.
 */
#include <string.h>

#include "pass.h"

static const unsigned int laws[OP_MAX] = {
#define LAW(id, law) [OP_##id] = law,
#include "merge.def"
};

bool pass_may(uint8_t op, unsigned int law)
{
	return (laws[op] & law) == law;
}

bool pass_is_value(uint8_t op)
{
	return imr_ops[op].class == CLASS_VALUE;
}

bool pass_is_test(uint8_t op)
{
	return imr_ops[op].class == CLASS_TEST;
}

void *pass_room(struct imr *imr, void *old, uint32_t *cap, uint32_t want, size_t size)
{
	uint32_t had = *cap;

	if (want <= had)
		return old;
	*cap = want < 32 ? 32 : want * 2;
	return arena_grow(imr->arena, old, had * size, *cap * size);
}

struct imr_insn pass_else_end(const struct imr_insn *test)
{
	static const uint8_t op[] = { [ELSE_NEXT] = OP_NEXT, [ELSE_DROP] = OP_DROP, [ELSE_PASS] = OP_PASS,
				      [ELSE_RULE] = OP_NEXT };

	return (struct imr_insn){ .op = op[test->els], .to = test->els == ELSE_RULE ? test->to : 0,
				  .dst = IMR_NOVAL, .a = IMR_NOVAL, .b = IMR_NOVAL };
}

static bool leads_to(const struct imr_rule *r, uint32_t to)
{
	for (uint32_t k = 0; k < r->n; k++)
		if ((r->insn[k].els == ELSE_RULE || r->insn[k].op == OP_NEXT) && r->insn[k].to == to)
			return true;
	return false;
}

void pass_land(struct imr *imr, struct imr_chain *c)
{
	struct imr_insn *next;
	bool wanted = false;

	for (uint32_t r = 0; c->n && r < c->n && !wanted; r++)
		wanted = leads_to(&c->rule[r], c->n);
	if (!wanted)
		return;
	next = arena_alloc(imr->arena, sizeof(*next));
	*next = (struct imr_insn){ .op = OP_NEXT, .dst = IMR_NOVAL, .a = IMR_NOVAL, .b = IMR_NOVAL };
	c->rule[c->n] = (struct imr_rule){ .at = c->at, .n = 1, .insn = next };
	c->n++;
}

/* ------------------------------------------------------------------ facts */

static uint32_t hook_facts(const struct imr_chain *c)
{
	return imr_hooks[c->hook].facts;
}

uint8_t facts_l3(const struct imr_chain *c, const struct facts *f)
{
	return hook_facts(c) & HF_L3 ? f->l3 : 0;
}

/* The hooks of one family see whole headers of it. A rule that asks for both has one name for its bytes in any order. */
static void know_l3(struct facts *f, const struct imr_chain *c, uint8_t l3)
{
	const uint16_t least = l3 == FAM_IP6 ? imr_hooks[HOOK_IP6_INPUT].nh_min : imr_hooks[HOOK_IP_INPUT].nh_min;

	if (!f->l3 || l3 < f->l3)
		f->l3 = l3;
	if (hook_facts(c) & HF_L3 && f->avail[B_NH] < least)
		f->avail[B_NH] = least;
}

static struct facts facts_of_hook(const struct imr_chain *c)
{
	const struct imr_hook_info *h = &imr_hooks[c->hook];
	struct facts f = { .reached = true };

	f.avail[B_LL] = h->ll_min;
	f.avail[B_NH] = h->nh_min;
	if (h->family == FAM_IP || h->family == FAM_IP6)
		know_l3(&f, c, h->family);
	return f;
}

enum imr_field field_at(enum imr_base base, unsigned int off, unsigned int len, uint8_t l3, uint8_t l4)
{
	for (enum imr_field k = F_RAW + 1; k < F_MAX; k++) {
		const struct imr_field_info *f = &imr_fields[k];

		if (f->base == base && f->len == len && f->off == off && !f->shift && f->bits == 8 * len &&
		    (!f->l3 || f->l3 == l3) && (!f->l4 || f->l4 == l4))
			return k;
	}
	return F_RAW;
}

static enum imr_field field_of(const struct imr_insn *ld, const struct facts *f)
{
	if (ld->field != F_RAW)
		return ld->field;
	return field_at(ld->base, ld->off, ld->len, f->l3, f->l4);
}

/* The family, where a test of its number leaves one of two, or where it asks for one. */
static void learn_l3(struct facts *f, const struct imr_chain *c, const struct pset *s, u128 ip, u128 ip6)
{
	bool a = pset_has(s, ip), b = pset_has(s, ip6);

	if (a == b || (!(hook_facts(c) & HF_L3) && s->inv))
		return;
	know_l3(f, c, a ? FAM_IP : FAM_IP6);
}

void facts_learn(struct facts *f, const struct imr_chain *c, const struct imr_insn *test, const struct imr_insn *ld,
		 bool passed)
{
	struct imr_range one;
	struct pset s;

	if (test->op == OP_NEED && passed && test->len > f->avail[test->base])
		f->avail[test->base] = test->len;
	if (!ld || ld->op != OP_LD || test->op == OP_NEED || test->op == OP_OPAQUE)
		return;
	s = pset_of(test);
	s.inv ^= !passed;
	switch (field_of(ld, f)) {
	case F_META_NFPROTO:	/* a netdev hook's is its own */
		if (imr_hooks[c->hook].family != FAM_NETDEV)
			learn_l3(f, c, &s, FAM_IP, FAM_IP6);
		break;
	case F_META_PROTOCOL:
		learn_l3(f, c, &s, 0x0800, 0x86dd);
		break;
	case F_ETH_TYPE:	/* behind a tag it is not what the L3 hook goes by */
		if (!(hook_facts(c) & HF_L3))
			learn_l3(f, c, &s, 0x0800, 0x86dd);
		break;
	case F_IP_PROTOCOL:
	case F_IP6_NEXTHDR:
	case F_TH_PROTO:
	case F_TX_PROTO:
		if (pset_single(&s, 0xff, &one) && one.lo == one.hi)
			f->l4 = (uint8_t)one.lo;
		break;
	default:
		break;
	}
}

/* What holds on both ways into a rule. */
static void meet(struct facts *at, const struct facts *f)
{
	if (!at->reached) {
		*at = *f;
		return;
	}
	if (at->l3 != f->l3)
		at->l3 = 0;
	if (at->l4 != f->l4)
		at->l4 = 0;
	for (int b = 0; b < B_MAX; b++)
		if (at->avail[b] > f->avail[b])
			at->avail[b] = f->avail[b];
}

/* What holds where test i fails: earlier tests have passed. */
static void flow_fail(const struct imr_chain *c, struct facts *in, uint32_t rule, const struct imr_insn *i,
		      const struct imr_insn *ld, struct facts f)
{
	uint32_t to = i->els == ELSE_RULE ? i->to : rule + 1;

	if ((i->els != ELSE_NEXT && i->els != ELSE_RULE) || to >= c->n)
		return;
	facts_learn(&f, c, i, ld, false);
	meet(&in[to], &f);
}

struct defs { const struct imr_insn **d; uint32_t cap; };

static void flow_rule(struct imr *imr, const struct imr_chain *c, struct facts *in, uint32_t rule, struct defs *defs)
{
	const struct imr_rule *r = &c->rule[rule];
	struct facts f = in[rule];

	for (uint32_t k = 0; k < r->n; k++) {
		const struct imr_insn *i = &r->insn[k], *ld = NULL;
		uint32_t to = i->op == OP_NEXT && i->to ? i->to : rule + 1;

		if (pass_is_value(i->op)) {
			defs->d = pass_room(imr, defs->d, &defs->cap, i->dst + 1, sizeof(*defs->d));
			defs->d[i->dst] = i;
		} else if (pass_is_test(i->op)) {
			ld = imr_ops[i->op].args & ARG_A ? defs->d[i->a] : NULL;
			flow_fail(c, in, rule, i, ld, f);
			facts_learn(&f, c, i, ld, true);
		} else if ((i->op == OP_NEXT || i->op == OP_JUMP) && to < c->n) {
			meet(&in[to], &f);
		}
	}
}

struct facts *facts_flow(struct imr *imr, const struct imr_chain *c)
{
	struct facts *in = arena_alloc(imr->arena, (c->n + 1) * sizeof(*in));
	struct defs defs = { 0 };

	in[0] = facts_of_hook(c);
	for (uint32_t r = 0; r < c->n; r++)
		if (in[r].reached)
			flow_rule(imr, c, in, r, &defs);
	return in;
}

struct facts work_facts(struct work *w, const struct facts *f, const struct steps *l, uint32_t i, uint32_t end)
{
	struct facts out = *f;

	for (; i < end; i++) {
		const struct imr_insn *t = &l->s[i].i;

		if (pass_is_test(t->op))
			facts_learn(&out, w->c, t, t->a == IMR_NOVAL ? NULL : &w->vals.v[t->a].i, true);
	}
	return out;
}

/* ------------------------------------------------------------------ a rule as steps, and back */

struct step *steps_add(struct imr *imr, struct steps *l)
{
	l->s = pass_room(imr, l->s, &l->cap, l->n + 1, sizeof(*l->s));
	l->s[l->n] = (struct step){ .i = { .dst = IMR_NOVAL, .a = IMR_NOVAL, .b = IMR_NOVAL } };
	return &l->s[l->n++];
}

void work_init(struct work *w, struct imr *imr, struct imr_chain *c, bool facts)
{
	*w = (struct work){ .imr = imr, .c = c, .vals = { .imr = imr } };
	if (facts)
		w->facts = facts_flow(imr, c);
}

struct imr_insn work_operands(struct work *w, const struct imr_insn *i)
{
	struct imr_insn x = *i;

	if (imr_ops[i->op].args & ARG_A)
		x.a = w->map[i->a];
	if (imr_ops[i->op].args & ARG_B)
		x.b = w->map[i->b];
	w->map = pass_room(w->imr, w->map, &w->n_map, i->dst + 1, sizeof(*w->map));
	return x;
}

static void load_value(struct work *w, const struct imr_insn *i)
{
	struct imr_insn x = work_operands(w, i);

	w->map[i->dst] = val_make(&w->vals, &x);
}

void work_load(struct work *w, uint32_t rule, struct steps *to)
{
	const struct imr_rule *r = &w->c->rule[rule];

	w->rule = rule;
	vals_reset(&w->vals);
	to->n = 0;
	for (uint32_t k = 0; k < r->n; k++) {
		const struct imr_insn *i = &r->insn[k];
		struct step *s;

		if (pass_is_value(i->op)) {
			load_value(w, i);
			continue;
		}
		s = steps_add(w->imr, to);
		s->i = *i;
		if (imr_ops[i->op].args & ARG_A) {
			s->i.a = w->map[i->a];
			s->s = pset_of(i);
		}
		if (i->els == ELSE_RULE && i->to == rule + 1)
			s->i.els = ELSE_NEXT;
		if (s->i.els == ELSE_NEXT && (i->op != OP_NEXT || i->to == rule + 1))
			s->i.to = 0;
	}
}

static struct imr_insn *write_insn(struct work *w, const struct imr_insn *i)
{
	w->insn = pass_room(w->imr, w->insn, &w->cap_insn, w->n_insn + 1, sizeof(*w->insn));
	w->insn[w->n_insn] = *i;
	return &w->insn[w->n_insn++];
}

/* v and what it is made of, operands first. */
static uint32_t write_value(struct work *w, uint32_t v, uint32_t *next)
{
	uint32_t depth = 0;

	w->stack = pass_room(w->imr, w->stack, &w->n_stack, 1, sizeof(*w->stack));
	w->stack[depth++] = v;
	while (depth) {
		uint32_t at = w->stack[depth - 1];
		const struct imr_insn *i = &w->vals.v[at].i;
		const unsigned int args = imr_ops[i->op].args;
		struct imr_insn *o;

		w->stack = pass_room(w->imr, w->stack, &w->n_stack, depth + 2, sizeof(*w->stack));
		if (w->num[at] != IMR_NOVAL) {
			depth--;
		} else if (args & ARG_A && w->num[i->a] == IMR_NOVAL) {
			w->stack[depth++] = i->a;
		} else if (args & ARG_B && w->num[i->b] == IMR_NOVAL) {
			w->stack[depth++] = i->b;
		} else {
			o = write_insn(w, i);
			o->a = args & ARG_A ? w->num[i->a] : IMR_NOVAL;
			o->b = args & ARG_B ? w->num[i->b] : IMR_NOVAL;
			o->dst = w->num[at] = (*next)++;
			depth--;
		}
	}
	return w->num[v];
}

void work_store(struct work *w, const struct steps *from)
{
	struct imr_rule *r = &w->c->rule[w->rule];
	uint32_t next = 0;

	w->n_insn = 0;
	w->num = pass_room(w->imr, w->num, &w->n_num, w->vals.n + 1, sizeof(*w->num));
	memset(w->num, 0xff, w->vals.n * sizeof(*w->num));
	for (uint32_t k = 0; k < from->n; k++) {
		struct imr_insn i = from->s[k].i;

		if (i.a != IMR_NOVAL) {
			i.type = w->vals.v[i.a].i.type;
			i.a = write_value(w, i.a, &next);
		}
		write_insn(w, &i);
	}
	if (w->n_insn > r->n)
		r->insn = arena_alloc(w->imr->arena, w->n_insn * sizeof(*r->insn));
	memcpy(r->insn, w->insn, w->n_insn * sizeof(*r->insn));
	r->n = w->n_insn;
}

uint32_t work_run(const struct steps *l, uint32_t i)
{
	const struct imr_insn *first = &l->s[i].i;
	uint32_t end = i + 1;

	if (!pass_may(first->op, LAW_COMMUTE))
		return end;
	while (end < l->n && pass_may(l->s[end].i.op, LAW_COMMUTE) && l->s[end].i.els == first->els &&
	       l->s[end].i.to == first->to)
		end++;
	return end;
}
