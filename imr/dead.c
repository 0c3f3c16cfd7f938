/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What has no consequence goes: values that nothing uses, tests behind which both ways are one, rules that only go on,
 * rules that no packet reaches, calls of empty chains. Exits that led to a rule that is gone lead to where it went on.
 */
#include "pass.h"

#define TO_DROP (UINT32_MAX - 1)	/* ways out that are no rule */
#define TO_PASS (UINT32_MAX - 2)
#define TO_ELSEWHERE (UINT32_MAX - 3)

struct dead {
	struct work w;
	uint32_t *at;		/* rule -> the rule that does what it does, n for behind the last */
	uint32_t *new_at;
	bool *reached;
	bool jumps;		/* a call comes back to the rule behind it, so that one may not lead elsewhere */
};

static uint32_t else_way(const struct dead *d, const struct imr_insn *i)
{
	switch (i->els) {
	case ELSE_DROP:
		return TO_DROP;
	case ELSE_PASS:
		return TO_PASS;
	case ELSE_RULE:
		return d->at[i->to];
	default:
		return d->at[d->w.rule + 1];
	}
}

static uint32_t end_way(const struct dead *d, const struct imr_insn *i)
{
	switch (i->op) {
	case OP_DROP:
		return TO_DROP;
	case OP_PASS:
		return TO_PASS;
	case OP_NEXT:
		return d->at[i->to ? i->to : d->w.rule + 1];
	default:
		return TO_ELSEWHERE;
	}
}

static void empty_call(const struct dead *d, struct imr_insn *i)
{
	const struct imr_chain *c = d->w.c;
	bool empty = (i->op == OP_JUMP || i->op == OP_GOTO) && !d->w.imr->chain[i->chain].n;

	if (empty)
		*i = (struct imr_insn){ .op = i->op == OP_JUMP ? OP_NEXT : OP_RETURN, .dst = IMR_NOVAL,
					.a = IMR_NOVAL, .b = IMR_NOVAL };
	if (i->op == OP_RETURN && d->w.rule == c->n - 1)
		i->op = OP_NEXT;
}

/* Tests whose failure leads where the rule ends anyway, with nothing in between. */
static void trim(const struct dead *d, struct steps *l)
{
	struct imr_insn end = l->s[l->n - 1].i;
	const uint32_t way = end_way(d, &end);

	while (l->n > 1 && pass_may(l->s[l->n - 2].i.op, LAW_COMMUTE | LAW_DROP) &&
	       else_way(d, &l->s[l->n - 2].i) == way)
		l->n--;
	l->s[l->n - 1].i = end;
}

/* Every way to a rule is written out; compact shortens it again. */
static void lead(const struct dead *d, struct imr_insn *i)
{
	if (pass_is_test(i->op) && (i->els == ELSE_NEXT || i->els == ELSE_RULE)) {
		i->to = else_way(d, i);
		i->els = ELSE_RULE;
	} else if (i->op == OP_NEXT) {
		i->to = end_way(d, i);
	}
}

static void dead_rule(struct dead *d, uint32_t rule)
{
	struct work *w = &d->w;
	struct imr_insn *end;

	work_load(w, rule, &w->in);
	end = &w->in.s[w->in.n - 1].i;
	empty_call(d, end);
	trim(d, &w->in);
	d->at[rule] = rule;
	end = &w->in.s[w->in.n - 1].i;
	if (w->in.n == 1 && end->op == OP_NEXT && !(d->jumps && end->to))
		d->at[rule] = end_way(d, end);
	for (uint32_t k = 0; k < w->in.n; k++)
		lead(d, &w->in.s[k].i);
	work_store(w, &w->in);
}

static void reach(struct dead *d)
{
	const struct imr_chain *c = d->w.c;

	d->reached[d->at[0]] = true;
	for (uint32_t r = 0; r < c->n; r++)
		for (uint32_t k = 0; d->reached[r] && k < c->rule[r].n; k++) {
			const struct imr_insn *i = &c->rule[r].insn[k];

			if (i->els == ELSE_RULE || i->op == OP_NEXT)
				d->reached[i->to] = true;
			else if (i->op == OP_JUMP)
				d->reached[d->at[r + 1]] = true;
		}
}

static void compact(struct dead *d)
{
	struct imr_chain *c = d->w.c;
	uint32_t n = 0;

	for (uint32_t r = 0; r < c->n; r++) {
		d->new_at[r] = n;
		n += d->reached[r];
	}
	d->new_at[c->n] = n;
	for (uint32_t r = 0; r < c->n; r++) {
		const uint32_t here = d->new_at[r];

		for (uint32_t k = 0; d->reached[r] && k < c->rule[r].n; k++) {
			struct imr_insn *i = &c->rule[r].insn[k];

			if (i->els != ELSE_RULE && i->op != OP_NEXT)
				continue;
			i->to = d->new_at[i->to];
			if (i->to == here + 1) {
				i->els = ELSE_NEXT;
				i->to = 0;
			}
		}
		if (d->reached[r])
			c->rule[here] = c->rule[r];
	}
	c->n = n;
}

void pass_dead(struct imr *imr)
{
	for (uint32_t c = imr->n; c-- > 0;) {
		struct imr_chain *chain = &imr->chain[c];
		struct dead d = { 0 };

		work_init(&d.w, imr, chain, false);
		d.at = arena_alloc(imr->arena, (chain->n + 1) * sizeof(*d.at));
		d.new_at = arena_alloc(imr->arena, (chain->n + 1) * sizeof(*d.new_at));
		d.reached = arena_alloc(imr->arena, (chain->n + 1) * sizeof(*d.reached));
		for (uint32_t r = 0; r < chain->n; r++)
			d.jumps |= chain->rule[r].insn[chain->rule[r].n - 1].op == OP_JUMP;
		d.at[chain->n] = chain->n;
		for (uint32_t r = chain->n; r-- > 0;)
			dead_rule(&d, r);
		reach(&d);
		compact(&d);
		pass_land(imr, chain);
	}
}
