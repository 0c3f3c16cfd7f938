/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Rules as classic instructions. A test whose outcome is known is left out, and so is one that another test of the rule
 * asks as well: a load is 0 where its bytes are not there, so a test that 0 fails needs no check of the length.
 */
#include "cbpf.h"

/* ------------------------------------------------------------------ tests that others ask, too */

static bool holds_for(const struct cb_test *t, uint32_t v)
{
	return imr_set_has(t->set, v) != t->neg;
}

static bool is_in_memory(struct cb *cb, const struct imr_insn *ld)
{
	for (unsigned int w = 0; w < cb_words(ld); w++) {
		struct cb_cell c = cb_cell_of(ld, w);

		if (cb_cell_find(cb, &c)->slot < 0)
			return false;
	}
	return true;
}

static const struct imr_insn *load_of(const struct cb *cb, const struct imr_insn *i)
{
	const struct imr_insn *def = i->a != IMR_NOVAL ? cb->def[i->a] : NULL;

	return def && def->op == OP_LD ? def : NULL;
}

/* Bytes that are there from the base on where test j holds */
static uint32_t has_bytes(struct cb *cb, const struct imr_insn *j, const struct cb_test *t, enum imr_base b)
{
	const struct imr_insn *ld = load_of(cb, j);

	if (j->op == OP_NEED)
		return j->base == b ? j->len : 0;
	if (!ld || cb_base(ld) != b || holds_for(t, 0) || !is_in_memory(cb, ld))
		return 0;
	return cb_end(ld);
}

/* What the walk finds, which is 0 unless it succeeds */
static bool is_walk_fact(enum imr_field f, enum imr_field ok)
{
	return f > ok && f <= ok + 2;
}

static bool implies(struct cb *cb, const struct imr_insn *j, const struct cb_test *tj, const struct imr_insn *i,
		    const struct cb_test *ti)
{
	const struct imr_insn *what = load_of(cb, i), *by = load_of(cb, j);

	if (i->op == OP_NEED)
		return has_bytes(cb, j, tj, i->base) >= i->len;
	if (!what || (what->field != F_TH_OK && what->field != F_TX_OK) || !holds_for(ti, 1))
		return false;
	if (by && is_walk_fact(by->field, what->field) && !holds_for(tj, 0))
		return true;
	return has_bytes(cb, j, tj, what->field == F_TH_OK ? B_TH : B_TX) > 0;
}

/* Tests that all lead to the next rule may change places: a run of them, from n up to what is returned. */
uint32_t cb_run(const struct imr_rule *r, uint32_t n)
{
	for (; n < r->n; n++)
		if (imr_ops[r->insn[n].op].class == CLASS_END ||
		    (imr_ops[r->insn[n].op].class == CLASS_TEST && r->insn[n].els != ELSE_NEXT))
			break;
	return n;
}

/* Does another test of the run ask what test n asks, and more? Of two equal ones the later one does. */
static bool is_asked_too(struct cb *cb, uint32_t rule, uint32_t n, uint32_t from, uint32_t to)
{
	const struct imr_rule *r = &cb->chain->rule[rule];
	const struct cb_test *t = &cb->test[cb->first[rule]];

	for (uint32_t k = from; k < to; k++) {
		bool same = r->insn[k].op == OP_NEED && r->insn[n].op == OP_NEED && r->insn[k].len == r->insn[n].len;

		if (imr_ops[r->insn[k].op].class != CLASS_TEST || k == n || (same && k < n))
			continue;
		if (implies(cb, &r->insn[k], &t[k], &r->insn[n], &t[n]))
			return true;
	}
	return false;
}

/* ------------------------------------------------------------------ ways */

static uint32_t way(struct cb *cb, uint32_t rule, struct cb_state *s)
{
	uint32_t to = cb_thread(cb, rule, s);

	if (to != cb->drop && to != cb->pass && to != cb->out)
		cb_meet(cb, to, s);
	return to;
}

static uint32_t else_way(struct cb *cb, uint32_t rule, const struct imr_insn *i, struct cb_state *s)
{
	switch (i->els) {
	case ELSE_DROP:
		return cb->drop;
	case ELSE_PASS:
		return cb->pass;
	case ELSE_RULE:
		return way(cb, i->to, s);
	default:
		return way(cb, rule + 1, s);
	}
}

static void ask(struct cb *cb, const struct imr_insn *i, const struct cb_test *t, uint32_t yes, uint32_t no)
{
	if (i->op == OP_NEED)
		cb_need(cb, i->base, i->len, yes, no);
	else
		cb_in(cb, i->a, t->set, t->neg ? no : yes, t->neg ? yes : no);
}

/* What a filter before this one has judged did not come here. */
static bool is_settled(const struct cb *cb, uint32_t rule, const struct imr_insn *i)
{
	return rule < cb->from && (i->els == ELSE_DROP || i->els == ELSE_PASS);
}

static void test(struct cb *cb, uint32_t rule, uint32_t n)
{
	const struct imr_insn *i = &cb->chain->rule[rule].insn[n];
	const struct cb_test *t = &cb->test[cb->first[rule] + n];
	enum cb_truth truth = cb_truth(cb, &cb->state, i, t);
	struct cb_state fails = cb->state;
	uint32_t yes;

	if (truth == CB_NEVER && !is_settled(cb, rule, i)) {
		cb_ja(&cb->e, else_way(cb, rule, i, &cb->state));
		return;
	}
	if (truth == CB_MAYBE && !is_settled(cb, rule, i)) {
		yes = cb_label(&cb->e);
		cb_learn(cb, &fails, i, t, true);
		ask(cb, i, t, yes, else_way(cb, rule, i, &fails));
		cb_here(&cb->e, yes);
	}
	cb_learn(cb, &cb->state, i, t, false);
}

static void end(struct cb *cb, uint32_t rule, const struct imr_insn *i)
{
	if (rule < cb->from || i->op == OP_NEXT)
		cb_ja(&cb->e, way(cb, i->op == OP_NEXT && i->to ? i->to : rule + 1, &cb->state));
	else
		cb_ret(&cb->e, i->op == OP_DROP ? cb->ret_drop : cb->ret_pass);
}

/* What sends most packets on at the least cost comes first: protocols, then lengths: bytes behind them are read
 * without a check. */
enum rank { RANK_FACT, RANK_NEED, RANK_MEMORY, RANK_OTHER, RANKS };

static enum rank rank(struct cb *cb, const struct imr_insn *i)
{
	const struct imr_insn *ld = load_of(cb, i);

	if (i->op == OP_NEED)
		return RANK_NEED;
	if (!ld)
		return RANK_OTHER;
	if (cb_base(ld) == B_META)
		return RANK_FACT;
	return is_in_memory(cb, ld) ? RANK_MEMORY : RANK_OTHER;
}

static bool fails_in(struct cb *cb, uint32_t rule, uint32_t from, uint32_t to)
{
	const struct imr_rule *r = &cb->chain->rule[rule];

	for (uint32_t n = from; n < to; n++)
		if (imr_ops[r->insn[n].op].class == CLASS_TEST &&
		    cb_truth(cb, &cb->state, &r->insn[n], &cb->test[cb->first[rule] + n]) == CB_NEVER)
			return true;
	return false;
}

static void run(struct cb *cb, uint32_t rule, uint32_t from, uint32_t to)
{
	const struct imr_rule *r = &cb->chain->rule[rule];

	if (fails_in(cb, rule, from, to)) {
		cb_ja(&cb->e, way(cb, rule + 1, &cb->state));
		return;
	}
	for (enum rank k = 0; k < RANKS; k++)
		for (uint32_t n = from; n < to && cb->e.reach; n++)
			if (imr_ops[r->insn[n].op].class == CLASS_TEST && rank(cb, &r->insn[n]) == k &&
			    !is_asked_too(cb, rule, n, from, to))
				test(cb, rule, n);
}

static void emit_rule(struct cb *cb, uint32_t rule)
{
	const struct imr_rule *r = &cb->chain->rule[rule];
	struct cb_label *l = &cb->e.label[cb->rule[rule]];

	cb->e.at = &r->at;
	cb_here(&cb->e, cb->rule[rule]);
	if (l->state) {
		cb->state = *l->state;
		l->state->next = cb->spare;
		cb->spare = l->state;
		l->state = NULL;
	}
	cb_define(cb, rule);
	for (uint32_t n = 0; n < r->n && cb->e.reach; n++) {
		uint32_t to = cb_run(r, n);

		run(cb, rule, n, to);
		n = to;
		if (!cb->e.reach)
			return;
		if (imr_ops[r->insn[n].op].class == CLASS_TEST)
			test(cb, rule, n);
		else
			end(cb, rule, &r->insn[n]);
	}
}

/* ------------------------------------------------------------------ a filter */

/* Rules before this filter that may lead into it elsewhere than to its first rule: they are asked again. A rule that
 * only judges need not be: the packet would not be here. */
static bool leads_past(const struct cb *cb, uint32_t rule, uint32_t nearest)
{
	const struct imr_rule *r = &cb->chain->rule[rule];

	for (uint32_t n = 0; n < r->n; n++) {
		const struct imr_insn *i = &r->insn[n];
		uint32_t to = i->op == OP_NEXT || i->els == ELSE_RULE ? i->to : 0;

		if (to > rule + 1 && (to > cb->from || to > nearest))
			return true;
	}
	return false;
}

static void find_resume(struct cb *cb)
{
	uint32_t nearest = CB_NONE;

	cb->n_resume = 0;
	for (uint32_t r = cb->from; r--;)
		if (cb->jumps[r] && leads_past(cb, r, nearest)) {
			cb->resume[cb->n_resume++] = r;
			nearest = r;
		}
	for (uint32_t k = 0; k < cb->n_resume / 2; k++) {
		uint32_t r = cb->resume[k];

		cb->resume[k] = cb->resume[cb->n_resume - 1 - k];
		cb->resume[cb->n_resume - 1 - k] = r;
	}
}

static void make_labels(struct cb *cb)
{
	cb->drop = cb_label(&cb->e);
	cb->pass = cb_label(&cb->e);
	cb->out = cb_label(&cb->e);
	for (uint32_t k = 0; k < cb->n_resume; k++)
		cb->rule[cb->resume[k]] = cb_label(&cb->e);
	for (uint32_t r = cb->from; r < cb->to; r++)
		cb->rule[r] = cb_label(&cb->e);
}

static void ends(struct cb *cb)
{
	const struct imr_chain *c = cb->chain;
	struct cb_emit *e = &cb->e;

	e->at = cb->to == c->n ? &c->at : NULL;
	cb_here(e, cb->out);
	cb_ret(e, cb->to < c->n ? cb->ret_next : c->policy == OP_DROP ? cb->ret_drop : cb->ret_pass);
	e->at = NULL;
	cb_here(e, cb->drop);
	cb_ret(e, cb->ret_drop);
	cb_here(e, cb->pass);
	cb_ret(e, cb->ret_pass);
}

void cb_filter(struct cb *cb, uint32_t from, uint32_t to)
{
	cb->from = from;
	cb->to = to;
	find_resume(cb);
	cb_plan(cb);
	cb_reset(&cb->e);
	make_labels(cb);
	cb_prologue(cb);
	cb_ja(&cb->e, way(cb, cb->n_resume ? cb->resume[0] : from, &cb->state));
	for (uint32_t k = 0; k < cb->n_resume; k++)
		emit_rule(cb, cb->resume[k]);
	for (uint32_t r = from; r < to; r++)
		emit_rule(cb, r);
	ends(cb);
}
