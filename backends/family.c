/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Can the rules do anything to a packet of one protocol at all? Where a slice only ever passes IPv6, its packets need
 * no parse. From the first rule on, tests of the protocol have a known outcome; every other test may have either.
 */
#include "select.h"

enum truth { NEVER, MAYBE, ALWAYS };

static enum truth truth(const struct be_cc *cc, const struct imr_insn *i, uint8_t nfproto)
{
	const struct imr_insn *def = i->a != IMR_NOVAL ? cc->def[i->a] : NULL;

	if (!def || def->op != OP_LD || def->field != F_META_NFPROTO)
		return MAYBE;
	switch (i->op) {
	case OP_EQ:
		return i->imm == nfproto ? ALWAYS : NEVER;
	case OP_NE:
		return i->imm != nfproto ? ALWAYS : NEVER;
	case OP_IN:
		return imr_set_has(i->set, nfproto) ? ALWAYS : NEVER;
	case OP_NI:
		return imr_set_has(i->set, nfproto) ? NEVER : ALWAYS;
	default:
		return MAYBE;
	}
}

/* Where a test leads that fails; true if that is a drop. */
static bool leaves(const struct imr_insn *i, uint32_t rule, bool *reached)
{
	if (i->els == ELSE_NEXT)
		reached[rule + 1] = true;
	if (i->els == ELSE_RULE)
		reached[i->to] = true;
	return i->els == ELSE_DROP;
}

/* One rule that is reached: marks the rules that it leads to; true if it may drop or count. */
static bool rule_acts(const struct be_cc *cc, uint32_t rule, uint8_t nfproto, bool *reached)
{
	const struct imr_rule *r = &cc->chain->rule[rule];

	for (uint32_t n = 0; n < r->n; n++) {
		const struct imr_insn *i = &r->insn[n];
		enum truth t;

		if (i->op == OP_COUNT || i->op == OP_DROP)
			return true;
		if (i->op == OP_NEXT)
			reached[i->to ? i->to : rule + 1] = true;
		if (imr_ops[i->op].class != CLASS_TEST)
			continue;
		t = truth(cc, i, nfproto);
		if (t != ALWAYS && leaves(i, rule, reached))
			return true;
		if (t == NEVER)
			return false;
	}
	return false;
}

bool be_acts_on(struct be_cc *cc, uint8_t nfproto)
{
	const struct imr_chain *c = cc->chain;
	bool *reached = arena_alloc(cc->imr->arena, c->n + 1);

	reached[0] = true;
	for (uint32_t r = 0; r < c->n; r++) {
		if (!reached[r])
			continue;
		be_define(cc, r);
		if (rule_acts(cc, r, nfproto, reached))
			return true;
	}
	return reached[c->n] && (c->policy == OP_DROP || c->policy_count);
}
