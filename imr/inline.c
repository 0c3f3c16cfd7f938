/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Base chains without jumps: the body of a called chain stands where it is called, and what returned goes on to a later
 * rule. So every later pass, every slice and every backend sees one list with forward exits. A chain that would grow
 * past the budget keeps its jumps, and the backend names them. Entries are empty here: sink ran before.
 */
#include <string.h>

#include "pass.h"

#define RULES_MAX 100000

/* A chain's rules lie one behind the other, each followed by the body that it calls. */
struct plan {
	uint64_t size;		/* in rules, with all bodies */
	uint32_t *at;		/* of each rule, relative to the chain's first */
	bool calls;
};

struct frame {
	uint32_t chain, rule;	/* the next one to copy */
	uint32_t first;		/* where the chain's first rule lies */
	uint32_t back;		/* where a packet goes on that leaves the chain's end */
};

static const struct imr_insn *end_of(const struct imr_rule *r)
{
	return &r->insn[r->n - 1];
}

static bool is_call(const struct imr_insn *i)
{
	return i->op == OP_JUMP || i->op == OP_GOTO;
}

static void plan_chain(struct imr *imr, struct plan *plans, uint32_t chain)
{
	const struct imr_chain *c = &imr->chain[chain];
	struct plan *p = &plans[chain];

	p->at = arena_alloc(imr->arena, c->n * sizeof(*p->at));
	for (uint32_t r = 0; r < c->n; r++) {
		const struct imr_insn *end = end_of(&c->rule[r]);

		p->at[r] = (uint32_t)p->size;
		p->size++;
		if (is_call(end)) {
			p->calls = true;
			p->size += plans[end->chain].size;
		}
		if (p->size > UINT32_MAX / 2)
			p->size = UINT32_MAX / 2;
	}
}

/* Where the chain of frame f goes on at its own rule `rule`. */
static uint32_t place_of(const struct imr *imr, const struct plan *plans, const struct frame *f, uint32_t rule)
{
	return rule < imr->chain[f->chain].n ? f->first + plans[f->chain].at[rule] : f->back;
}

static void next_at(struct imr_insn *i, uint32_t here, uint32_t to)
{
	i->to = to == here + 1 ? 0 : to;
}

static void copy_test(struct imr_insn *i, uint32_t here, uint32_t to)
{
	i->els = to == here + 1 ? ELSE_NEXT : ELSE_RULE;
	next_at(i, here, to);
}

static void copy_end(const struct imr *imr, const struct plan *plans, const struct frame *f, struct imr_insn *i,
		     uint32_t here)
{
	uint32_t next = place_of(imr, plans, f, f->rule + 1);

	switch (i->op) {
	case OP_NEXT:
		next_at(i, here, i->to ? place_of(imr, plans, f, i->to) : next);
		break;
	case OP_RETURN:
		next_at(i, here, f->back);
		break;
	case OP_JUMP:
	case OP_GOTO:
		next = i->op == OP_GOTO ? f->back : next;
		next_at(i, here, plans[i->chain].size ? here + 1 : next);
		break;
	default:
		return;
	}
	if (i->op != OP_NEXT)
		*i = (struct imr_insn){ .op = OP_NEXT, .to = i->to, .dst = IMR_NOVAL, .a = IMR_NOVAL, .b = IMR_NOVAL };
}

static void copy_rule(struct imr *imr, const struct plan *plans, const struct frame *f, struct imr_rule *out,
		      uint32_t here)
{
	const struct imr_rule *in = &imr->chain[f->chain].rule[f->rule];

	*out = *in;
	out->insn = arena_alloc(imr->arena, in->n * sizeof(*in->insn));
	memcpy(out->insn, in->insn, in->n * sizeof(*in->insn));
	for (uint32_t k = 0; k < out->n; k++) {
		struct imr_insn *i = &out->insn[k];

		if (pass_is_test(i->op) && i->els == ELSE_NEXT)
			copy_test(i, here, place_of(imr, plans, f, f->rule + 1));
		else if (pass_is_test(i->op) && i->els == ELSE_RULE)
			copy_test(i, here, place_of(imr, plans, f, i->to));
	}
	copy_end(imr, plans, f, &out->insn[out->n - 1], here);
}

static void inline_chain(struct imr *imr, const struct plan *plans, struct frame *stack, uint32_t chain)
{
	struct imr_chain *c = &imr->chain[chain];
	uint32_t n = (uint32_t)plans[chain].size, depth = 1, here = 0;
	struct imr_rule *out = arena_alloc(imr->arena, (n + 1) * sizeof(*out));

	stack[0] = (struct frame){ .chain = chain, .back = n };
	while (depth) {
		struct frame *f = &stack[depth - 1];
		const struct imr_insn *end;

		if (f->rule == imr->chain[f->chain].n) {
			depth--;
			continue;
		}
		copy_rule(imr, plans, f, &out[here], here);
		end = end_of(&imr->chain[f->chain].rule[f->rule++]);
		here++;
		if (is_call(end) && plans[end->chain].size)
			stack[depth++] = (struct frame){ .chain = end->chain, .first = here,
				.back = end->op == OP_GOTO ? f->back : place_of(imr, plans, f, f->rule) };
	}
	c->rule = out;
	c->n = n;
	pass_land(imr, c);
}

/* User chains that no chain calls any more go; the others keep their order. */
static void drop_unused(struct imr *imr)
{
	uint32_t *to = arena_alloc(imr->arena, imr->n * sizeof(*to)), n = 0;
	bool *used = arena_alloc(imr->arena, imr->n * sizeof(*used));

	for (uint32_t c = 0; c < imr->n; c++) {
		struct imr_chain *chain = &imr->chain[c];

		if (chain->hook == HOOK_NONE && !used[c])
			continue;
		for (uint32_t r = 0; r < chain->n; r++)
			if (is_call(end_of(&chain->rule[r])))
				used[end_of(&chain->rule[r])->chain] = true;
		to[c] = n;
		imr->chain[n++] = *chain;
	}
	imr->n = n;
	for (uint32_t c = 0; c < n; c++)
		for (uint32_t r = 0; r < imr->chain[c].n; r++) {
			struct imr_rule *rule = &imr->chain[c].rule[r];

			if (is_call(end_of(rule)))
				rule->insn[rule->n - 1].chain = to[end_of(rule)->chain];
		}
}

void pass_inline(struct imr *imr)
{
	struct plan *plans = arena_alloc(imr->arena, imr->n * sizeof(*plans));
	struct frame *stack = arena_alloc(imr->arena, (imr->n + 1) * sizeof(*stack));

	for (uint32_t c = imr->n; c-- > 0;)
		plan_chain(imr, plans, c);
	for (uint32_t c = 0; c < imr->n; c++) {
		struct imr_chain *chain = &imr->chain[c];

		if (chain->hook != HOOK_NONE && (!plans[c].calls || plans[c].size <= RULES_MAX))
			inline_chain(imr, plans, stack, c);
	}
	drop_unused(imr);
}
