/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * For each filter: what its rules ask most goes into memory, and of what its tests look at most it is remembered what
 * is known. What the walk to the transport header finds must be in memory; packet bytes may be read where they are
 * asked for, which costs a check of the length.
 */
#include <linux/if_ether.h>
#include <stdlib.h>
#include <string.h>

#include "cbpf.h"

#define CANDIDATES	128	/* of which the keys are chosen */

struct asked {
	struct cb *cb;
	struct cb_key key[CANDIDATES];
	uint32_t n;
};

/* ------------------------------------------------------------------ counting */

static void use_cell(struct cb *cb, const struct cb_cell *c)
{
	struct cb_cell *found = cb_cell_find(cb, c);

	if (!found) {
		if (cb->n_cell == cb->cap_cell) {
			uint32_t cap = cb->cap_cell ? cb->cap_cell * 2 : 32;

			cb->cell = arena_grow(cb->imr->arena, cb->cell, cb->cap_cell * sizeof(*c), cap * sizeof(*c));
			cb->cap_cell = cap;
		}
		found = &cb->cell[cb->n_cell++];
		*found = *c;
	}
	found->uses++;
}

/* Any number but -1 until memory is given out */
static void use_fact(struct cb *cb, enum imr_base b, enum cb_fact f)
{
	cb_facts(cb, b)[f] = 0;
}

static void use_load(struct cb *cb, const struct imr_insn *i)
{
	enum imr_base b = cb_base(i);
	enum cb_fact f;

	if (b == B_META) {
		f = cb_fact_of(i->field, &b);
		if (f != CB_FACTS)
			use_fact(cb, b, f);
		return;
	}
	for (unsigned int w = 0; w < cb_words(i); w++) {
		struct cb_cell c = cb_cell_of(i, w);

		use_cell(cb, &c);
	}
	if (b == B_TH || b == B_TX) {
		use_fact(cb, b, CB_AVAIL);
		use_fact(cb, b, CB_OFF);
	}
}

static void use_value(struct cb *cb, uint32_t val)
{
	const struct imr_insn *i = cb->def[val];

	if (i->op == OP_LD)
		use_load(cb, i);
	if (i->a != IMR_NOVAL)
		use_value(cb, i->a);
	if (i->b != IMR_NOVAL)
		use_value(cb, i->b);
}

static bool asks_transport(const struct cb *cb, const struct imr_insn *i)
{
	if (i->op == OP_NEED)
		return i->base == B_TH || i->base == B_TX;
	if (i->op == OP_LD)
		return cb_base(i) == B_TH || cb_base(i) == B_TX ||
		       (i->field >= F_TH_OK && i->field <= F_TX_FRAGOFF);
	return (i->a != IMR_NOVAL && asks_transport(cb, cb->def[i->a])) ||
	       (i->b != IMR_NOVAL && asks_transport(cb, cb->def[i->b]));
}

static bool is_test(const struct imr_insn *i)
{
	return imr_ops[i->op].class == CLASS_TEST;
}

/* Does a packet of this protocol surely fail the test? */
static bool fails_for(const struct cb *cb, const struct imr_insn *i, const struct cb_test *t, uint32_t protocol)
{
	return i->a != IMR_NOVAL && cb->def[i->a]->op == OP_LD && cb->def[i->a]->field == F_META_PROTOCOL &&
	       imr_set_has(t->set, protocol) == t->neg;
}

/* Does a packet of this skb->protocol get to a test of its transport header in the rule at hand? Of tests that may
 * change places the protocol's comes first. */
static bool asks_of(const struct cb *cb, uint32_t rule, uint32_t protocol)
{
	const struct imr_rule *r = &cb->chain->rule[rule];
	const struct cb_test *t = &cb->test[cb->first[rule]];

	for (uint32_t n = 0; n < r->n; n++) {
		uint32_t to = cb_run(r, n);
		bool asks = is_test(&r->insn[to]) && asks_transport(cb, &r->insn[to]), fails = false;

		for (; n < to; n++) {
			asks |= is_test(&r->insn[n]) && asks_transport(cb, &r->insn[n]);
			fails |= is_test(&r->insn[n]) && fails_for(cb, &r->insn[n], &t[n], protocol);
		}
		if (fails)
			return false;
		if (asks)
			return true;
	}
	return false;
}

/* ------------------------------------------------------------------ keys */

static bool is_key(const struct cb_key *k, const struct imr_insn *i)
{
	return k->field == i->field &&
	       (i->field != F_RAW || (k->base == i->base && k->off == i->off && k->len == i->len));
}

static bool may_be_key(const struct cb *cb, const struct imr_insn *i)
{
	return i->a != IMR_NOVAL && cb->def[i->a]->op == OP_LD && cb_bits(cb->def[i->a]) <= 32;
}

static void use_key(struct asked *a, const struct imr_insn *i)
{
	enum imr_base b = cb_base(i);

	for (uint32_t k = 0; k < a->n; k++)
		if (is_key(&a->key[k], i)) {
			a->key[k].uses++;
			return;
		}
	if (a->n < CANDIDATES)
		a->key[a->n++] = (struct cb_key){ .field = i->field, .base = b, .off = i->off, .len = i->len,
						  .end = b == B_META ? 0 : cb_end(i), .uses = 1,
						  .max = cb_bits(i) == 32 ? UINT32_MAX : (1u << cb_bits(i)) - 1 };
}

static int by_key(const void *pa, const void *pb)
{
	const struct cb_key *a = pa, *b = pb;

	if (a->uses != b->uses)
		return a->uses > b->uses ? -1 : 1;
	return memcmp(a, b, sizeof(*a));
}

static void choose_keys(struct cb *cb, struct asked *a)
{
	qsort(a->key, a->n, sizeof(a->key[0]), by_key);
	cb->n_key = a->n < CB_KEYS ? a->n : CB_KEYS;
	memcpy(cb->key, a->key, cb->n_key * sizeof(a->key[0]));
}

static void assign_keys(struct cb *cb, uint32_t rule)
{
	const struct imr_rule *r = &cb->chain->rule[rule];

	cb_define(cb, rule);
	for (uint32_t n = 0; n < r->n; n++) {
		struct cb_test *t = &cb->test[cb->first[rule] + n];

		t->key = -1;
		if (imr_ops[r->insn[n].op].class != CLASS_TEST || !may_be_key(cb, &r->insn[n]))
			continue;
		for (uint32_t k = 0; k < cb->n_key; k++)
			if (is_key(&cb->key[k], cb->def[r->insn[n].a]))
				t->key = k;
	}
}

/* Before the first rule */
static void start_state(struct cb *cb)
{
	struct cb_state *s = &cb->state;
	uint32_t nh_min = cb->l2 ? 0 : cb->hook->nh_min;
	u128 v;

	memset(s, 0, sizeof(*s));
	for (int b = 0; b < B_MAX; b++)
		cb_any(&s->avail[b], b == B_NH ? nh_min : b == B_LL ? cb->hook->ll_min : 0, UINT32_MAX);
	for (uint32_t k = 0; k < cb->n_key; k++) {
		struct imr_insn i = { .op = OP_LD, .field = cb->key[k].field };

		cb_any(&s->key[k], 0, cb->key[k].max);
		if (i.field != F_RAW && cb_const(cb, &i, &v))
			cb_any(&s->key[k], v, v);
	}
}

/* ------------------------------------------------------------------ memory */

static int by_uses(const void *pa, const void *pb)
{
	const struct cb_cell *a = pa, *b = pb;

	if (a->uses != b->uses)
		return a->uses > b->uses ? -1 : 1;
	return memcmp(a, b, sizeof(*a));
}

/* The base's own order is that of their ends: one check of the length for all that end at the same byte. */
static int by_end(const void *pa, const void *pb)
{
	const struct cb_cell *a = pa, *b = pb;

	if (a->base != b->base)
		return a->base < b->base ? -1 : 1;
	if (a->end != b->end)
		return a->end < b->end ? -1 : 1;
	return memcmp(a, b, sizeof(*a));
}

bool cb_uses(struct cb *cb, enum imr_base b)
{
	bool any = false;

	for (int f = 0; f < CB_FACTS; f++)
		any |= cb_facts(cb, b)[f] >= 0;
	return any;
}

static void give_memory(struct cb *cb)
{
	int8_t next = 0;

	if (cb_uses(cb, B_TH) && cb_uses(cb, B_TX))
		use_fact(cb, B_TH, CB_OK);	/* the walk goes on to TX, and must know whether it has been at TH */
	for (int b = 0; b < 2; b++)
		for (int f = 0; f < CB_FACTS; f++)
			if (cb->fact[b][f] >= 0)
				cb->fact[b][f] = next++;
	if (!cb->n_cell)
		return;
	qsort(cb->cell, cb->n_cell, sizeof(*cb->cell), by_uses);
	for (uint32_t n = 0; n < cb->n_cell && next < (int)(CB_MEM - cb->depth); n++)
		if (cb->cell[n].uses > 1)
			cb->cell[n].slot = next++;
	qsort(cb->cell, cb->n_cell, sizeof(*cb->cell), by_end);
}

static void read_rule(struct cb *cb, uint32_t rule, struct asked *a)
{
	const struct imr_rule *r = &cb->chain->rule[rule];

	cb_define(cb, rule);
	for (uint32_t n = 0; n < r->n; n++) {
		const struct imr_insn *i = &r->insn[n];

		if (imr_ops[i->op].class != CLASS_TEST)
			continue;
		if (i->op == OP_NEED && (i->base == B_TH || i->base == B_TX))
			use_fact(cb, i->base, CB_AVAIL);
		if (i->a != IMR_NOVAL)
			use_value(cb, i->a);
		if (may_be_key(cb, i))
			use_key(a, cb->def[i->a]);
	}
	cb->use4 |= cb->hook->family != FAM_IP6 && asks_of(cb, rule, ETH_P_IP);
	cb->use6 |= cb->hook->family != FAM_IP && asks_of(cb, rule, ETH_P_IPV6);
}

void cb_plan(struct cb *cb)
{
	struct asked a;

	memset(&a, 0, sizeof(a));
	memset(cb->fact, -1, sizeof(cb->fact));
	cb->n_cell = 0;
	cb->use4 = cb->use6 = false;
	for (uint32_t k = 0; k < cb->n_resume; k++)
		read_rule(cb, cb->resume[k], &a);
	for (uint32_t r = cb->from; r < cb->to; r++)
		read_rule(cb, r, &a);
	choose_keys(cb, &a);
	for (uint32_t k = 0; k < cb->n_resume; k++)
		assign_keys(cb, cb->resume[k]);
	for (uint32_t r = cb->from; r < cb->to; r++)
		assign_keys(cb, r);
	give_memory(cb);
	start_state(cb);
}
