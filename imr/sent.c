/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Which rules at egress ask for the network header of a frame whose protocol is a VLAN tag: one with a tag among its
 * bytes. Where that header is depends on who made the frame (behind the tags where a packet socket did, at the first of
 * them where a bridge forwarded it), and a program cannot see it. Rules that ask for IPv4, for IPv6 or for a transport
 * header beside do not match such a frame wherever it is. And where the kernel looks for transport headers in the wrong
 * place (profile bit egress_th_off), which rules ask for one.
 */
#include "pass.h"

#define TYPE_VLAN	0x8100
#define TYPE_QINQ	0x88a8

enum asks { ASKS_OTHER, ASKS_PROTOCOL, ASKS_TRANSPORT, ASKS_NH };	/* of a value */

struct sent {
	const struct imr_chain *c;
	uint8_t *asks;		/* by value number */
	bool transport;		/* some test asks for a transport header */
	bool *reached;		/* rules that such a frame comes to */
};

/* What such a frame does at tests of one els, which commute. */
struct run {
	const struct imr_insn *first;	/* NULL: none yet */
	bool fails, untold;
};

static const char why_tag[] = "where the network header of a frame with a VLAN tag in it is cannot be seen here";
static const char hint_tag[] = "with \"meta protocol ip\", or ip6, the rule is for untagged frames and those of VLAN devices";
static const char why_transport[] = "this kernel does not find the transport header of what leaves";

static enum imr_base base_of(const struct imr_insn *i)
{
	return i->op == OP_NEED || i->op == OP_TCPOPT || i->field == F_RAW ? i->base : imr_fields[i->field].base;
}

/* What the parse finds, and bytes behind it, is 0 where there is no transport header. */
static enum asks load_asks(const struct imr_insn *i)
{
	enum imr_base b = base_of(i);

	if (i->op == OP_TCPOPT)
		return ASKS_OTHER;
	if (b == B_TH || b == B_TX || (i->field >= F_TH_OK && i->field <= F_TX_FRAGOFF))
		return ASKS_TRANSPORT;
	return b == B_NH ? ASKS_NH : i->field == F_META_PROTOCOL ? ASKS_PROTOCOL : ASKS_OTHER;
}

static void define(struct sent *s, const struct imr_insn *i)
{
	const unsigned int args = imr_ops[i->op].args;
	bool nh = (args & ARG_A && s->asks[i->a] == ASKS_NH) || (args & ARG_B && s->asks[i->b] == ASKS_NH);

	s->asks[i->dst] = nh ? ASKS_NH : i->op == OP_LD || i->op == OP_TCPOPT ? load_asks(i) : ASKS_OTHER;
}

static void test(struct sent *s, struct run *run, const struct imr_insn *i)
{
	enum asks asks = ASKS_OTHER;
	struct pset set;

	if (i->op == OP_NEED) {
		run->fails |= (i->base == B_TH || i->base == B_TX) && i->len;
		run->untold |= i->base == B_NH;
		s->transport |= i->base == B_TH || i->base == B_TX;
	} else if (imr_ops[i->op].args & ARG_A) {
		asks = s->asks[i->a];
		run->untold |= asks == ASKS_NH;
		s->transport |= asks == ASKS_TRANSPORT;
	}
	if (asks != ASKS_PROTOCOL && asks != ASKS_TRANSPORT)
		return;
	set = pset_of(i);
	run->fails |= asks == ASKS_TRANSPORT ? !pset_has(&set, 0) : !pset_has(&set, TYPE_VLAN) && !pset_has(&set, TYPE_QINQ);
}

static void reach(struct sent *s, uint32_t rule)
{
	if (rule < s->c->n)
		s->reached[rule] = true;
}

/* The run is over: may the frame be behind it, and is that told? */
static bool run_end(struct sent *s, struct run *run, uint32_t rule, bool *untold)
{
	struct run r = *run;

	*run = (struct run){ 0 };
	if (!r.first)
		return true;
	if (r.first->els == ELSE_NEXT || r.first->els == ELSE_RULE)
		reach(s, r.first->els == ELSE_RULE ? r.first->to : rule + 1);
	*untold |= r.untold && !r.fails;
	return !r.fails;
}

/* Does the rule's verdict on such a frame depend on its network header? */
static bool is_untold(struct sent *s, uint32_t rule)
{
	const struct imr_rule *r = &s->c->rule[rule];
	struct run run = { 0 };
	bool untold = false;

	for (uint32_t k = 0; k < r->n; k++) {
		const struct imr_insn *i = &r->insn[k];

		if (pass_is_value(i->op)) {
			define(s, i);
			continue;
		}
		if (!pass_is_test(i->op) || (run.first && (run.first->els != i->els || run.first->to != i->to)))
			if (!run_end(s, &run, rule, &untold))
				return untold;
		if (pass_is_test(i->op)) {
			run.first = run.first ? run.first : i;
			test(s, &run, i);
		} else if (i->op == OP_NEXT) {
			reach(s, i->to ? i->to : rule + 1);
		}
	}
	return untold;
}

static uint32_t values(const struct imr_insn *insn, uint32_t n, uint32_t so_far)
{
	for (uint32_t k = 0; k < n; k++)
		if (insn[k].dst != IMR_NOVAL && insn[k].dst >= so_far)
			so_far = insn[k].dst + 1;
	return so_far;
}

static struct imr_untold refusal(struct sent *s, const struct imr *imr, uint32_t rule)
{
	struct imr_untold ret = { 0 };

	s->transport = false;
	if (is_untold(s, rule))
		ret = (struct imr_untold){ &s->c->rule[rule], why_tag, hint_tag };
	else if (s->transport && imr->profile.egress_th_off)
		ret = (struct imr_untold){ &s->c->rule[rule], why_transport, NULL };
	return ret;
}

const struct imr_untold *imr_sent_untold(const struct imr *imr, uint32_t chain, uint32_t *ret_n)
{
	const struct imr_chain *c = &imr->chain[chain];
	struct imr_untold *found = arena_alloc(imr->arena, (c->n + 1) * sizeof(*found));
	struct sent s = { .c = c, .reached = arena_alloc(imr->arena, c->n + 1) };
	uint32_t n = values(c->entry, c->n_entry, 1);

	*ret_n = 0;
	for (uint32_t r = 0; r < c->n; r++)
		n = values(c->rule[r].insn, c->rule[r].n, n);
	s.asks = arena_alloc(imr->arena, n);
	for (uint32_t k = 0; k < c->n_entry; k++)
		define(&s, &c->entry[k]);
	reach(&s, 0);
	for (uint32_t r = 0; r < c->n; r++)
		if (s.reached[r]) {
			found[*ret_n] = refusal(&s, imr, r);
			*ret_n += found[*ret_n].rule != NULL;
		}
	return found;
}
