/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Loads shared, and taken apart again. hoist: each load that a chain's rules make is made once, in the chain's entry,
 * and so is what two rules or more compute from it; entries are in the order of the header, whatever rule came first.
 * sink is its inverse, so that every pass between them sees rules that stand alone. Loads are total: neither changes a
 * meaning.
 */
#include <stdlib.h>
#include <string.h>

#include "pass.h"
#include "text.h"

/* ------------------------------------------------------------------ sink */

struct place {			/* of a value number */
	uint32_t gen, num;	/* in the rule that is being written */
	const struct imr_insn *entry;
};

struct sink {
	struct imr *imr;
	struct place *at;
	uint32_t n_at, gen, next;
	struct imr_insn *out;
	uint32_t n_out, cap_out;
	uint32_t *stack, n_stack;
};

static struct place *place_of(struct sink *s, uint32_t v)
{
	s->at = pass_room(s->imr, s->at, &s->n_at, v + 1, sizeof(*s->at));
	return &s->at[v];
}

static void sink_out(struct sink *s, const struct imr_insn *i)
{
	const unsigned int args = imr_ops[i->op].args;
	struct imr_insn *o;

	s->out = pass_room(s->imr, s->out, &s->cap_out, s->n_out + 1, sizeof(*s->out));
	o = &s->out[s->n_out++];
	*o = *i;
	if (args & ARG_A)
		o->a = place_of(s, i->a)->num;
	if (args & ARG_B)
		o->b = place_of(s, i->b)->num;
	if (pass_is_value(i->op)) {
		struct place *p = place_of(s, i->dst);

		p->gen = s->gen;
		p->num = o->dst = s->next++;
	}
}

static bool is_missing(struct sink *s, const struct imr_insn *i, unsigned int arg, uint32_t v)
{
	return imr_ops[i->op].args & arg && place_of(s, v)->gen != s->gen;
}

/* The entry's value v, after what it is made of. */
static void sink_value(struct sink *s, uint32_t v)
{
	uint32_t depth = 0;

	for (;;) {
		const struct imr_insn *i = place_of(s, v)->entry;

		s->stack = pass_room(s->imr, s->stack, &s->n_stack, depth + 1, sizeof(*s->stack));
		if (is_missing(s, i, ARG_A, i->a)) {
			s->stack[depth++] = v;
			v = i->a;
		} else if (is_missing(s, i, ARG_B, i->b)) {
			s->stack[depth++] = v;
			v = i->b;
		} else {
			sink_out(s, i);
			if (!depth)
				return;
			v = s->stack[--depth];
		}
	}
}

static void sink_rule(struct sink *s, struct imr_rule *r)
{
	s->gen++;
	s->next = s->n_out = 0;
	for (uint32_t k = 0; k < r->n; k++) {
		const struct imr_insn *i = &r->insn[k];

		if (is_missing(s, i, ARG_A, i->a))
			sink_value(s, i->a);
		if (is_missing(s, i, ARG_B, i->b))
			sink_value(s, i->b);
		sink_out(s, i);
	}
	r->insn = arena_alloc(s->imr->arena, s->n_out * sizeof(*r->insn));
	memcpy(r->insn, s->out, s->n_out * sizeof(*r->insn));
	r->n = s->n_out;
}

void pass_sink(struct imr *imr)
{
	for (uint32_t c = 0; c < imr->n; c++) {
		struct imr_chain *chain = &imr->chain[c];
		struct sink s = { .imr = imr };
		struct imr_rule *rule = arena_alloc(imr->arena, chain->n * sizeof(*rule));

		for (uint32_t k = 0; k < chain->n_entry; k++)
			place_of(&s, chain->entry[k].dst)->entry = &chain->entry[k];
		for (uint32_t r = 0; r < chain->n; r++) {
			rule[r] = chain->rule[r];
			sink_rule(&s, &rule[r]);
		}
		chain->rule = rule;
		chain->n_entry = 0;
		chain->entry = NULL;
	}
}

/* ------------------------------------------------------------------ hoist */

struct use {			/* of a node */
	uint32_t rules, last;	/* how many use it, and the last one plus 1 */
	uint32_t gen, num;	/* its number in the rule at hand */
	bool entry;
};

struct hoist {
	struct work w;
	struct use *use;
	uint32_t n_use, n_order;
	uint32_t *order;	/* nodes of the entry */
	uint32_t most;		/* instructions of the longest rule: there are only so many numbers */
};

static uint32_t node_of(struct hoist *h, const struct imr_insn *i)
{
	struct work *w = &h->w;
	struct imr_insn x = work_operands(w, i);

	w->map[i->dst] = val_add(&w->vals, &x);
	h->use = pass_room(w->imr, h->use, &h->n_use, w->vals.n, sizeof(*h->use));
	return w->map[i->dst];
}

static void count_uses(struct hoist *h, uint32_t rule)
{
	const struct imr_rule *r = &h->w.c->rule[rule];

	if (r->n > h->most)
		h->most = r->n;
	for (uint32_t k = 0; k < r->n; k++) {
		uint32_t v;

		if (!pass_is_value(r->insn[k].op))
			continue;
		v = node_of(h, &r->insn[k]);	/* may move h->use */
		if (h->use[v].last != rule + 1) {
			h->use[v].rules++;
			h->use[v].last = rule + 1;
		}
	}
}

/* Loads always, so that the text says what a chain looks at; what is made of them where two rules want it. */
static bool is_shared(const struct hoist *h, uint32_t v)
{
	const struct imr_insn *i = &h->w.vals.v[v].i;
	const unsigned int args = imr_ops[i->op].args;

	if (!pass_may(i->op, LAW_HOIST) || (i->op != OP_LD && h->use[v].rules < 2))
		return false;
	return (!(args & ARG_A) || h->use[i->a].entry) && (!(args & ARG_B) || h->use[i->b].entry);
}

/* Operands first, then in the order of the header. */
static int cmp_entry(const void *pa, const void *pb, void *ctx)
{
	const struct vals *vs = ctx;
	const struct val *a = &vs->v[*(const uint32_t *)pa], *b = &vs->v[*(const uint32_t *)pb];

	if (a->depth != b->depth)
		return a->depth < b->depth ? -1 : 1;
	return val_cmp(a, b, vs);
}

static void make_entry(struct hoist *h)
{
	struct work *w = &h->w;
	struct imr_chain *c = w->c;

	h->order = arena_alloc(w->imr->arena, w->vals.n * sizeof(*h->order));
	for (uint32_t v = 0; v < w->vals.n; v++) {
		h->use[v].entry = is_shared(h, v);
		if (h->use[v].entry)
			h->order[h->n_order++] = v;
	}
	qsort_r(h->order, h->n_order, sizeof(*h->order), cmp_entry, &w->vals);
	for (; h->n_order && h->n_order + h->most > IMR_MAX_VALUE; h->n_order--)
		h->use[h->order[h->n_order - 1]].entry = false;
	c->entry = arena_alloc(w->imr->arena, h->n_order * sizeof(*c->entry));
	c->n_entry = h->n_order;
	for (uint32_t k = 0; k < h->n_order; k++) {
		struct imr_insn *i = &c->entry[k];

		*i = w->vals.v[h->order[k]].i;
		if (imr_ops[i->op].args & ARG_A)
			i->a = h->use[i->a].num;
		if (imr_ops[i->op].args & ARG_B)
			i->b = h->use[i->b].num;
		i->dst = h->use[h->order[k]].num = k;
	}
}

static void rewrite_rule(struct hoist *h, struct imr_rule *r, uint32_t gen)
{
	uint32_t n = 0, next = h->w.c->n_entry;

	for (uint32_t k = 0; k < r->n; k++) {
		struct imr_insn i = r->insn[k];
		const unsigned int args = imr_ops[i.op].args;
		uint32_t v = pass_is_value(i.op) ? node_of(h, &i) : IMR_NOVAL;

		if (args & ARG_A)
			i.a = h->use[h->w.map[i.a]].num;
		if (args & ARG_B)
			i.b = h->use[h->w.map[i.b]].num;
		if (v != IMR_NOVAL) {
			if (h->use[v].entry || h->use[v].gen == gen)
				continue;
			h->use[v].gen = gen;
			i.dst = h->use[v].num = next++;
		}
		r->insn[n++] = i;
	}
	r->n = n;
}

void pass_hoist(struct imr *imr)
{
	for (uint32_t c = 0; c < imr->n; c++) {
		struct hoist h = { 0 };

		work_init(&h.w, imr, &imr->chain[c], false);
		vals_reset(&h.w.vals);
		for (uint32_t r = 0; r < imr->chain[c].n; r++)
			count_uses(&h, r);
		make_entry(&h);
		for (uint32_t r = 0; r < imr->chain[c].n; r++)
			rewrite_rule(&h, &imr->chain[c].rule[r], r + 1);
	}
}
