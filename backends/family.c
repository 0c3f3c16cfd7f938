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

/* ------------------------------------------------------------------ transport headers */

static enum truth truth_of_type(const struct be_cc *cc, const struct imr_insn *i, uint8_t nfproto)
{
	const struct imr_insn *def = i->a != IMR_NOVAL ? cc->def[i->a] : NULL;
	u128 type = nfproto == FAM_IP6 ? 0x86dd : 0x0800;

	if (!def || def->op != OP_LD || def->field != F_META_PROTOCOL)
		return truth(cc, i, nfproto);
	if (i->op == OP_EQ)
		return i->imm == type ? ALWAYS : NEVER;
	if (i->op == OP_IN)
		return imr_set_has(i->set, type) ? ALWAYS : NEVER;
	return MAYBE;
}

static bool is_transport(const struct imr_insn *i)
{
	const struct imr_field_info *f = &imr_fields[i->field];
	uint8_t base = i->op == OP_NEED || i->op == OP_TCPOPT || i->field == F_RAW ? i->base : f->base;

	if (i->op == OP_LD && i->field >= F_TH_OK && i->field <= F_TX_FRAGOFF)
		return true;
	return (i->op == OP_LD || i->op == OP_NEED || i->op == OP_TCPOPT) && (base == B_TH || base == B_TX);
}

static bool asks(const struct be_cc *cc, const struct imr_insn *i)
{
	if (i->op == OP_NOFLOW || is_transport(i))
		return true;
	return (i->a != IMR_NOVAL && asks(cc, cc->def[i->a])) || (i->b != IMR_NOVAL && asks(cc, cc->def[i->b]));
}

/* Does the outcome for such a packet depend on a transport header? Not if the rule tests for another protocol, and all its
 * tests before that lead where this one leads. */
static bool rule_asks(const struct be_cc *cc, uint32_t rule, uint8_t nfproto)
{
	const struct imr_rule *r = &cc->chain->rule[rule];
	bool asked = false;

	for (uint32_t n = 0; n < r->n; n++) {
		const struct imr_insn *i = &r->insn[n];

		if (imr_ops[i->op].class == CLASS_VALUE)
			continue;
		if (imr_ops[i->op].class != CLASS_TEST || i->els != ELSE_NEXT)
			break;
		if (truth_of_type(cc, i, nfproto) == NEVER)
			return false;
		asked |= asks(cc, i);
	}
	for (uint32_t n = 0; n < r->n && !asked; n++)
		asked = imr_ops[r->insn[n].op].class == CLASS_TEST && asks(cc, &r->insn[n]);
	return asked;
}

bool be_asks_transport(struct be_cc *cc, uint8_t nfproto)
{
	for (uint32_t r = 0; r < cc->chain->n; r++) {
		be_define(cc, r);
		if (rule_asks(cc, r, nfproto))
			return true;
	}
	return false;
}
