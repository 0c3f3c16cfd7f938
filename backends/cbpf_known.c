/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What is known of a packet at each rule, so that a test whose outcome is known costs nothing: of rules that all ask
 * for one protocol the first asks, and a packet that is not of it goes past them all. A state may only err by knowing
 * less.
 */
#include <string.h>

#include "cbpf.h"

#define THREAD_MAX	256	/* rules that a packet is sent past at once */

/* ------------------------------------------------------------------ what a value may be */

void cb_any(struct cb_poss *p, uint32_t lo, uint32_t hi)
{
	p->n = 1;
	p->r[0].lo = lo;
	p->r[0].hi = hi;
}

/* In ascending order; beyond the last range the last one grows. */
static void add(struct cb_poss *p, uint32_t lo, uint32_t hi)
{
	if (p->n && (p->n == CB_RANGES || lo <= p->r[p->n - 1].hi || lo == p->r[p->n - 1].hi + 1)) {
		if (hi > p->r[p->n - 1].hi)
			p->r[p->n - 1].hi = hi;
		return;
	}
	p->r[p->n].lo = lo;
	p->r[p->n].hi = hi;
	p->n++;
}

/* The first range of the set that ends at v or behind it */
static uint32_t first_at(const struct imr_set *s, u128 v)
{
	uint32_t lo = 0, hi = s->n;

	while (lo < hi) {
		uint32_t mid = lo + (hi - lo) / 2;

		if (s->r[mid].hi < v)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

enum cb_truth cb_decide(const struct cb_poss *p, const struct imr_set *s, bool neg)
{
	bool some = false, all = true;

	for (uint32_t i = 0; i < p->n; i++) {
		uint32_t at = first_at(s, p->r[i].lo);

		some |= at < s->n && s->r[at].lo <= p->r[i].hi;
		all &= at < s->n && s->r[at].lo <= p->r[i].lo && s->r[at].hi >= p->r[i].hi;
	}
	if (some && !all)
		return CB_MAYBE;
	return some != neg ? CB_ALWAYS : CB_NEVER;
}

static void limit_range(struct cb_poss *ret, uint64_t lo, uint64_t hi, const struct imr_set *s, bool neg)
{
	uint32_t i = first_at(s, lo);

	for (; i < s->n && s->r[i].lo <= hi; i++) {
		uint64_t from = s->r[i].lo < lo ? lo : (uint64_t)s->r[i].lo;
		uint64_t to = s->r[i].hi > hi ? hi : (uint64_t)s->r[i].hi;

		if (!neg)
			add(ret, from, to);
		else if (from > lo)
			add(ret, lo, from - 1);
		lo = to + 1;
	}
	if (neg && lo <= hi)
		add(ret, lo, hi);
}

void cb_limit(struct cb_poss *p, const struct imr_set *s, bool neg)
{
	struct cb_poss ret = { 0 };

	for (uint32_t i = 0; i < p->n; i++)
		limit_range(&ret, p->r[i].lo, p->r[i].hi, s, neg);
	*p = ret;
}

static void join(struct cb_poss *p, const struct cb_poss *q)
{
	struct cb_poss ret = { 0 };
	uint32_t i = 0, k = 0;

	if (p->n == q->n && memcmp(p->r, q->r, p->n * sizeof(p->r[0])) == 0)
		return;
	while (i < p->n || k < q->n) {
		if (k == q->n || (i < p->n && p->r[i].lo <= q->r[k].lo)) {
			add(&ret, p->r[i].lo, p->r[i].hi);
			i++;
		} else {
			add(&ret, q->r[k].lo, q->r[k].hi);
			k++;
		}
	}
	*p = ret;
}

static bool may_be_zero(const struct cb_poss *p)
{
	return p->n && p->r[0].lo == 0;
}

static uint32_t most(const struct cb_poss *p)
{
	return p->n ? p->r[p->n - 1].hi : 0;
}

static void at_least(struct cb_poss *p, uint32_t v)
{
	struct imr_range r = { v, UINT32_MAX };

	cb_limit(p, &(struct imr_set){ 1, &r }, false);
}

/* ------------------------------------------------------------------ states */

struct cb_poss *cb_known(const struct cb *cb, struct cb_state *s, const struct imr_insn *i, const struct cb_test *t)
{
	if (i->op == OP_NEED)
		return &s->avail[i->base];
	return t->key >= 0 ? &s->key[t->key] : NULL;
}

enum cb_truth cb_truth(const struct cb *cb, struct cb_state *s, const struct imr_insn *i, const struct cb_test *t)
{
	const struct cb_poss *p = cb_known(cb, s, i, t);

	return p ? cb_decide(p, t->set, t->neg) : CB_MAYBE;
}

/* What holds of the transport header as a whole: there is none, or there is one. */
static void follow_walk(const struct cb *cb, struct cb_state *s, enum imr_base b)
{
	enum imr_field ok = b == B_TH ? F_TH_OK : F_TX_OK;
	bool yes = s->avail[b].n && !may_be_zero(&s->avail[b]), no = false;

	for (uint32_t k = 0; k < cb->n_key; k++) {
		enum imr_field f = cb->key[k].field;

		if (f == ok)
			no |= most(&s->key[k]) == 0;
		if (f > ok && f <= ok + 2)
			yes |= !may_be_zero(&s->key[k]);
	}
	for (uint32_t k = 0; k < cb->n_key; k++) {
		enum imr_field f = cb->key[k].field;

		if (f == ok && yes)
			cb_any(&s->key[k], 1, 1);
		if (no && f > ok && f <= ok + 2)
			cb_any(&s->key[k], 0, 0);
	}
	if (no)
		cb_any(&s->avail[b], 0, 0);
}

/* A load that is not 0 has its bytes; one whose bytes are not there is 0. */
static void follow(const struct cb *cb, struct cb_state *s)
{
	for (uint32_t k = 0; k < cb->n_key; k++)
		if (cb->key[k].end && !may_be_zero(&s->key[k]))
			at_least(&s->avail[cb->key[k].base], cb->key[k].end);
	follow_walk(cb, s, B_TH);
	follow_walk(cb, s, B_TX);
	for (uint32_t k = 0; k < cb->n_key; k++)
		if (cb->key[k].end && most(&s->avail[cb->key[k].base]) < cb->key[k].end)
			cb_any(&s->key[k], 0, 0);
}

void cb_learn(const struct cb *cb, struct cb_state *s, const struct imr_insn *i, const struct cb_test *t, bool fails)
{
	struct cb_poss *p = cb_known(cb, s, i, t);

	if (!p)
		return;
	cb_limit(p, t->set, t->neg != fails);
	follow(cb, s);
}

void cb_meet(struct cb *cb, uint32_t label, const struct cb_state *s)
{
	struct cb_label *l = &cb->e.label[label];

	if (!cb->e.reach)
		return;
	if (!l->state) {
		l->state = cb->spare;
		if (l->state)
			cb->spare = l->state->next;
		else
			l->state = arena_alloc(cb->imr->arena, sizeof(*l->state));
		*l->state = *s;
		return;
	}
	for (int b = 0; b < B_MAX; b++)
		join(&l->state->avail[b], &s->avail[b]);
	for (uint32_t k = 0; k < cb->n_key; k++)
		join(&l->state->key[k], &s->key[k]);
}

/* ------------------------------------------------------------------ past rules whose outcome is known */

enum where { HERE, ON, ENDS };

static enum where end_of(const struct cb *cb, uint32_t rule, const struct imr_insn *i, bool open, uint32_t *ret_to)
{
	if (i->op != OP_NEXT) {
		*ret_to = i->op == OP_DROP ? cb->drop : cb->pass;
		return open ? HERE : ENDS;
	}
	if (i->to)
		*ret_to = i->to;
	return open && *ret_to != rule + 1 ? HERE : ON;
}

/* What the rule does with such a packet, as far as that is known: nothing is (HERE), it leads to *ret_to (ON), or to
 * the label *ret_to (ENDS). A test that may fail is no obstacle if one behind it surely does and leads as far. */
static enum where outcome(const struct cb *cb, uint32_t rule, struct cb_state *s, uint32_t *ret_to)
{
	const struct imr_rule *r = &cb->chain->rule[rule];
	bool open = false;

	for (uint32_t n = 0; n < r->n; n++) {
		const struct imr_insn *i = &r->insn[n];
		enum cb_truth t;

		*ret_to = rule + 1;
		if (imr_ops[i->op].class == CLASS_END)
			return end_of(cb, rule, i, open, ret_to);
		if (imr_ops[i->op].class != CLASS_TEST)
			continue;
		t = cb_truth(cb, s, i, &cb->test[cb->first[rule] + n]);
		if (i->els != ELSE_NEXT && (open || t != CB_ALWAYS))
			return HERE;
		if (t == CB_NEVER)
			return ON;
		open |= t == CB_MAYBE;
	}
	return HERE;
}

uint32_t cb_thread(struct cb *cb, uint32_t rule, struct cb_state *s)
{
	uint32_t to;

	for (int n = 0; n < THREAD_MAX && rule >= cb->from && rule < cb->to; n++) {
		enum where w = outcome(cb, rule, s, &to);

		if (w == HERE)
			break;
		if (w == ENDS)
			return to;
		rule = to;
	}
	if (rule >= cb->to)
		return cb->out;
	for (uint32_t k = 0; rule < cb->from && k < cb->n_resume; k++)
		if (cb->resume[k] >= rule)
			return cb->rule[cb->resume[k]];
	return cb->rule[rule < cb->from ? cb->from : rule];
}
