/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Making a program: chains, rules, instructions, sets, in the shapes that frontends and passes need. Arrays grow by the
 * arena's rules, so an array that a pass made itself may be grown here too. Nothing here judges: check.c does.
 */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "imr.h"

struct imr *imr_new(struct arena *a, struct diags *ds, const struct imr_profile *p)
{
	struct imr *imr = arena_alloc(a, sizeof(*imr));

	imr->arena = a;
	imr->diags = ds;
	if (p)
		imr->profile = *p;
	return imr;
}

struct imr_chain *imr_chain_add(struct imr *imr, const char *name)
{
	struct imr_chain *c;

	imr->chain = arena_grow(imr->arena, imr->chain, imr->n * sizeof(*c), (imr->n + 1) * sizeof(*c));
	c = &imr->chain[imr->n++];
	*c = (struct imr_chain){ .name = arena_strndup(imr->arena, name, strlen(name)), .policy = OP_RETURN };
	return c;
}

struct imr_rule *imr_rule_add(struct imr *imr, struct imr_chain *c, const struct imr_at *at)
{
	struct imr_rule *r;

	c->rule = arena_grow(imr->arena, c->rule, c->n * sizeof(*r), (c->n + 1) * sizeof(*r));
	r = &c->rule[c->n++];
	*r = (struct imr_rule){ .n = 0 };
	if (at)
		r->at = *at;
	return r;
}

struct imr_insn *imr_insn_add(struct imr *imr, struct imr_rule *r, enum imr_op op)
{
	struct imr_insn *i;

	r->insn = arena_grow(imr->arena, r->insn, r->n * sizeof(*i), (r->n + 1) * sizeof(*i));
	i = &r->insn[r->n++];
	*i = (struct imr_insn){ .op = op, .dst = IMR_NOVAL, .a = IMR_NOVAL, .b = IMR_NOVAL };
	return i;
}

/* The chain that a rule lies in; NULL for a rule that is being made apart. */
static const struct imr_chain *chain_of(const struct imr *imr, const struct imr_rule *r)
{
	for (uint32_t i = imr->n; i-- > 0;) {
		const struct imr_chain *c = &imr->chain[i];

		if (c->n && r >= c->rule && r < c->rule + c->n)
			return c;
	}
	return NULL;
}

static const struct imr_insn *value_find(const struct imr_insn *insn, uint32_t n, uint32_t v)
{
	while (n-- > 0)
		if (insn[n].dst == v && v != IMR_NOVAL)
			return &insn[n];
	return NULL;
}

static enum imr_type value_type(const struct imr *imr, const struct imr_rule *r, uint32_t v)
{
	const struct imr_insn *def = value_find(r->insn, r->n, v);
	const struct imr_chain *c = def ? NULL : chain_of(imr, r);

	if (c)
		def = value_find(c->entry, c->n_entry, v);
	assert(def);
	return def->type;
}

static uint32_t next_value(const struct imr_insn *insn, uint32_t n)
{
	uint32_t next = 0;

	for (uint32_t i = 0; i < n; i++)
		if (insn[i].dst != IMR_NOVAL && insn[i].dst >= next)
			next = insn[i].dst + 1;
	return next;
}

/* The first number of a rule is above its chain's entry, and every later one above the first. */
static struct imr_insn *value_add(struct imr *imr, struct imr_rule *r, enum imr_op op, enum imr_type t)
{
	uint32_t v = next_value(r->insn, r->n);
	const struct imr_chain *c = v ? NULL : chain_of(imr, r);
	struct imr_insn *i = imr_insn_add(imr, r, op);

	i->dst = c ? next_value(c->entry, c->n_entry) : v;
	i->type = t;
	return i;
}

uint32_t imr_ld(struct imr *imr, struct imr_rule *r, enum imr_field f)
{
	struct imr_insn *i = value_add(imr, r, OP_LD, imr_fields[f].type);

	i->field = f;
	return i->dst;
}

uint32_t imr_ld_raw(struct imr *imr, struct imr_rule *r, enum imr_base b, unsigned int off, unsigned int len)
{
	struct imr_insn *i = value_add(imr, r, OP_LD, imr_type_be(len));

	i->field = F_RAW;
	i->base = b;
	i->off = off;
	i->len = len;
	return i->dst;
}

/* `imm` is the constant; for `or` the number of the second value. The result has the type of a. */
uint32_t imr_op2(struct imr *imr, struct imr_rule *r, enum imr_op op, uint32_t a, u128 imm)
{
	struct imr_insn *i = value_add(imr, r, op, value_type(imr, r, a));

	i->a = a;
	if (imr_ops[op].args & ARG_B)
		i->b = (uint32_t)imm;
	else
		i->imm = imm;
	return i->dst;
}

uint32_t imr_opaque_value(struct imr *imr, struct imr_rule *r, enum imr_type t, const char *why)
{
	struct imr_insn *i = value_add(imr, r, OP_UNKNOWN, t);

	i->text = why;
	return i->dst;
}

void imr_cmp(struct imr *imr, struct imr_rule *r, enum imr_op op, uint32_t a, u128 imm, enum imr_else els)
{
	enum imr_type t = value_type(imr, r, a);
	struct imr_insn *i = imr_insn_add(imr, r, op);

	i->type = t;
	i->a = a;
	i->imm = imm;
	i->els = els;
}

void imr_in(struct imr *imr, struct imr_rule *r, bool not_in, uint32_t a, const struct imr_set *s, enum imr_else els)
{
	enum imr_type t = value_type(imr, r, a);
	struct imr_insn *i = imr_insn_add(imr, r, not_in ? OP_NI : OP_IN);

	i->type = t;
	i->a = a;
	i->set = s;
	i->els = els;
}

void imr_need(struct imr *imr, struct imr_rule *r, enum imr_base b, unsigned int bytes, enum imr_else els)
{
	struct imr_insn *i = imr_insn_add(imr, r, OP_NEED);

	i->base = b;
	i->len = bytes;
	i->els = els;
}

void imr_stmt(struct imr *imr, struct imr_rule *r, enum imr_op op, const char *why)
{
	imr_insn_add(imr, r, op)->text = why;
}

/* `chain` is the target of jump and goto; of next it is the later rule's index, 0 for the following. */
void imr_end(struct imr *imr, struct imr_rule *r, enum imr_op op, uint32_t chain)
{
	struct imr_insn *i = imr_insn_add(imr, r, op);

	if (op == OP_NEXT)
		i->to = chain;
	else
		i->chain = chain;
}

static int cmp_range(const void *pa, const void *pb)
{
	const struct imr_range *a = pa, *b = pb;

	return a->lo < b->lo ? -1 : a->lo > b->lo;
}

/* The union of closed ranges; those with lo > hi are empty. The caller's array is not touched. */
const struct imr_set *imr_set_new(struct imr *imr, struct imr_range *r, uint32_t n)
{
	struct imr_set *s = arena_alloc(imr->arena, sizeof(*s));
	struct imr_range *out = arena_alloc(imr->arena, n * sizeof(*out));
	uint32_t k = 0, used = 0;

	for (uint32_t i = 0; i < n; i++)
		if (r[i].lo <= r[i].hi)
			out[used++] = r[i];
	qsort(out, used, sizeof(*out), cmp_range);
	for (uint32_t i = 0; i < used; i++) {
		if (k && (out[i].lo <= out[k - 1].hi || out[i].lo == out[k - 1].hi + 1)) {
			if (out[i].hi > out[k - 1].hi)
				out[k - 1].hi = out[i].hi;
		} else {
			out[k++] = out[i];
		}
	}
	s->r = out;
	s->n = k;
	return s;
}

const struct imr_set *imr_set_one(struct imr *imr, u128 lo, u128 hi)
{
	struct imr_range r = { lo, hi };

	return imr_set_new(imr, &r, 1);
}

bool imr_set_has(const struct imr_set *s, u128 v)
{
	uint32_t lo = 0, hi = s->n;

	while (lo < hi) {
		uint32_t mid = lo + (hi - lo) / 2;

		if (s->r[mid].hi < v)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo < s->n && s->r[lo].lo <= v;
}

u128 imr_type_max(enum imr_type t)
{
	return imr_types[t].bits >= 128 ? ~(u128)0 : ((u128)1 << imr_types[t].bits) - 1;
}

enum imr_type imr_type_be(unsigned int bytes)
{
	_Static_assert(T_BE128 - T_BE16 == 14, "ORDER TYPE");
	if (bytes == 0 || bytes > 16)
		return T_NONE;
	return bytes == 1 ? T_U8 : (enum imr_type)(T_BE16 + bytes - 2);
}

static void number_rule(struct imr *imr, struct imr_rule *r)
{
	for (uint32_t k = 0; k < r->n; k++) {
		struct imr_insn *i = &r->insn[k];

		if (i->op == OP_COUNT || i->op == OP_TALLY)
			i->slot = imr->n_slot++;
		else if (imr_ops[i->op].args & ARG_WHY)
			i->slot = imr->n_opaque++;
	}
}

void imr_number(struct imr *imr)
{
	imr->n_slot = 0;
	imr->n_opaque = 0;
	for (uint32_t c = 0; c < imr->n; c++)
		for (uint32_t r = 0; r < imr->chain[c].n; r++)
			number_rule(imr, &imr->chain[c].rule[r]);
	for (uint32_t c = 0; c < imr->n; c++)
		if (imr->chain[c].hook != HOOK_NONE && imr->chain[c].policy_count)
			imr->chain[c].policy_slot = imr->n_slot++;
}

/* ------------------------------------------------------------------ topological order */

/* Chains whose callers are all placed, the smallest index first (a binary heap): the order that was where it may be. */
struct ready {
	uint32_t n, *v;
};

static void ready_push(struct ready *h, uint32_t v)
{
	uint32_t i = h->n++;

	for (; i && h->v[(i - 1) / 2] > v; i = (i - 1) / 2)
		h->v[i] = h->v[(i - 1) / 2];
	h->v[i] = v;
}

static uint32_t ready_pop(struct ready *h)
{
	uint32_t min = h->v[0], last = h->v[--h->n], i = 0, k;

	while ((k = 2 * i + 1) < h->n) {
		if (k + 1 < h->n && h->v[k + 1] < h->v[k])
			k++;
		if (h->v[k] >= last)
			break;
		h->v[i] = h->v[k];
		i = k;
	}
	h->v[i] = last;
	return min;
}

/* The jump or goto that ends a rule, NULL where there is none. */
static struct imr_insn *rule_jump(const struct imr *imr, const struct imr_rule *r)
{
	struct imr_insn *i = r->n ? &r->insn[r->n - 1] : NULL;

	return i && (imr_ops[i->op].args & ARG_CHAIN) && i->chain < imr->n ? i : NULL;
}

/* For each chain, one that is left (not placed) and leads to it, and by which rule. */
struct caller {
	uint32_t chain;
	const struct imr_rule *rule;
};

static struct caller *callers_left(const struct imr *imr, const bool *placed)
{
	struct caller *caller = arena_alloc(imr->arena, imr->n * sizeof(*caller));

	for (uint32_t c = 0; c < imr->n; c++)
		for (uint32_t r = 0; !placed[c] && r < imr->chain[c].n; r++) {
			const struct imr_insn *i = rule_jump(imr, &imr->chain[c].rule[r]);

			if (i && !caller[i->chain].rule)
				caller[i->chain] = (struct caller){ c, &imr->chain[c].rule[r] };
		}
	return caller;
}

/* Every chain that is left has a caller that is left: walking back must come round. */
static void report_loop(const struct imr *imr, const bool *placed)
{
	const struct caller *caller = callers_left(imr, placed);
	bool *seen = arena_alloc(imr->arena, imr->n * sizeof(*seen));
	struct strbuf path = { .arena = imr->arena };
	uint32_t at = 0, c, shown = 1;

	while (placed[at])
		at++;
	for (; !seen[at]; at = caller[at].chain)
		seen[at] = true;
	strbuf_add(&path, "\"%s\"", imr->chain[at].name);
	for (c = caller[at].chain; c != at && shown < 8; c = caller[c].chain, shown++)
		strbuf_add(&path, " from \"%s\"", imr->chain[c].name);
	strbuf_add(&path, "%s", c == at ? " from itself" : " from others");
	diag_add(imr->diags, DIAG_ERROR, &caller[at].rule->at, "jumps form a loop: chain %s", path.s);
}

static void chains_permute(struct imr *imr, const uint32_t *order, const uint32_t *new_of)
{
	struct imr_chain *chain = arena_grow(imr->arena, NULL, 0, imr->n * sizeof(*chain));

	for (uint32_t k = 0; k < imr->n; k++)
		chain[k] = imr->chain[order[k]];
	imr->chain = chain;
	for (uint32_t c = 0; c < imr->n; c++)
		for (uint32_t r = 0; r < chain[c].n; r++) {
			struct imr_insn *i = rule_jump(imr, &chain[c].rule[r]);

			if (i)
				i->chain = new_of[i->chain];
		}
}

bool imr_sort(struct imr *imr)
{
	uint32_t *callers = arena_alloc(imr->arena, imr->n * sizeof(*callers));
	uint32_t *order = arena_alloc(imr->arena, imr->n * sizeof(*order));
	uint32_t *new_of = arena_alloc(imr->arena, imr->n * sizeof(*new_of));
	bool *placed = arena_alloc(imr->arena, imr->n * sizeof(*placed));
	struct ready ready = { .v = arena_alloc(imr->arena, imr->n * sizeof(*ready.v)) };
	const struct imr_insn *i;
	uint32_t done = 0;

	for (uint32_t c = 0; c < imr->n; c++)
		for (uint32_t r = 0; r < imr->chain[c].n; r++)
			if ((i = rule_jump(imr, &imr->chain[c].rule[r])))
				callers[i->chain]++;
	for (uint32_t c = 0; c < imr->n; c++)
		if (!callers[c])
			ready_push(&ready, c);
	while (ready.n) {
		uint32_t c = ready_pop(&ready);

		placed[c] = true;
		new_of[c] = done;
		order[done++] = c;
		for (uint32_t r = 0; r < imr->chain[c].n; r++)
			if ((i = rule_jump(imr, &imr->chain[c].rule[r])) && --callers[i->chain] == 0)
				ready_push(&ready, i->chain);
	}
	if (done < imr->n) {
		report_loop(imr, placed);
		return false;
	}
	chains_permute(imr, order, new_of);
	return true;
}
