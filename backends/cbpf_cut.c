/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Sets too large for one filter. A rule for what is in a set is the same as rules for what is in its parts, one behind
 * the other: tests have no effects, and a value is in one part at most. So the parts may lie in different filters.
 */
#include <string.h>

#include "cbpf.h"

struct cut {
	struct cb *cb;
	struct imr_chain *out;
	uint32_t cap;
	uint32_t *first;	/* by rule of the chain that is cut: its first part */
};

/* Ranges of one value that a filter has room for, whatever they are */
static uint32_t part_size(const struct cut *c, const struct imr_insn *i)
{
	uint32_t words = (imr_types[c->cb->def[i->a]->type].bits + 31) / 32, n = c->cb->max / (5 * words);

	return n ? n : 1;
}

/* The test of a rule that has to be cut, or NULL. What is not in a set cannot be said by parts. */
static const struct imr_insn *too_large(const struct cut *c, const struct imr_rule *r)
{
	for (uint32_t n = 0; n < r->n; n++) {
		const struct imr_insn *i = &r->insn[n];

		if (i->op == OP_IN && i->els == ELSE_NEXT && i->set->n > part_size(c, i))
			return i;
	}
	return NULL;
}

static const struct imr_set *part_of(const struct cut *c, const struct imr_set *s, uint32_t from, uint32_t n)
{
	struct imr_set *ret = arena_alloc(c->cb->imr->arena, sizeof(*ret));

	ret->n = n < s->n - from ? n : s->n - from;
	ret->r = s->r + from;
	return ret;
}

static void add_rule(struct cut *c, const struct imr_rule *r)
{
	struct imr_chain *o = c->out;

	if (o->n == c->cap) {
		uint32_t cap = c->cap ? c->cap * 2 : 256;

		o->rule = arena_grow(c->cb->imr->arena, o->rule, c->cap * sizeof(*r), cap * sizeof(*r));
		c->cap = cap;
	}
	o->rule[o->n++] = *r;
}

static void cut_rule(struct cut *c, const struct imr_rule *r)
{
	const struct imr_insn *i = too_large(c, r);
	struct imr_rule part = *r;

	if (!i) {
		add_rule(c, r);
		return;
	}
	for (uint32_t from = 0; from < i->set->n; from += part_size(c, i)) {
		part.insn = arena_alloc(c->cb->imr->arena, r->n * sizeof(*part.insn));
		memcpy(part.insn, r->insn, r->n * sizeof(*part.insn));
		part.insn[i - r->insn].set = part_of(c, i->set, from, part_size(c, i));
		cut_rule(c, &part);
	}
}

/* Where a rule led to a rule, it leads to that one's first part. */
static void lead(struct cut *c, struct imr_rule *r)
{
	struct imr_insn *insn = arena_alloc(c->cb->imr->arena, r->n * sizeof(*insn));

	for (uint32_t n = 0; n < r->n; n++) {
		insn[n] = r->insn[n];
		if (insn[n].els == ELSE_RULE || (insn[n].op == OP_NEXT && insn[n].to))
			insn[n].to = c->first[insn[n].to];
	}
	r->insn = insn;
}

void cb_cut(struct cb *cb)
{
	const struct imr_chain *in = cb->chain;
	struct cut c = { .cb = cb };
	bool any = false;

	for (uint32_t r = 0; r < in->n; r++) {
		cb_define(cb, r);
		any |= too_large(&c, &in->rule[r]) != NULL;
	}
	if (!any)
		return;
	c.out = arena_alloc(cb->imr->arena, sizeof(*c.out));
	*c.out = *in;
	c.out->n = 0;
	c.out->rule = NULL;
	c.first = arena_alloc(cb->imr->arena, (in->n + 1) * sizeof(*c.first));
	for (uint32_t r = 0; r < in->n; r++) {
		c.first[r] = c.out->n;
		cb_define(cb, r);
		cut_rule(&c, &in->rule[r]);
	}
	c.first[in->n] = c.out->n;
	for (uint32_t r = 0; r < c.out->n; r++)
		lead(&c, &c.out->rule[r]);
	cb->chain = c.out;
}
