/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Whether two programs are one in form: what their rules say, in the order they say it, by the same value numbers.
 * Where they came from and what their chains are called is no part of it. Passes make equal meanings equal in form.
 */
#include <string.h>

#include "imr.h"

static bool same_text(const char *a, const char *b)
{
	return !strcmp(a ? a : "", b ? b : "");
}

static bool same_set(const struct imr_set *a, const struct imr_set *b)
{
	if (a == b)
		return true;
	if (!a || !b || a->n != b->n)
		return false;
	for (uint32_t i = 0; i < a->n; i++)
		if (a->r[i].lo != b->r[i].lo || a->r[i].hi != b->r[i].hi)
			return false;
	return true;
}

static bool same_field(const struct imr_insn *a, const struct imr_insn *b)
{
	return a->field == b->field &&
	       (a->field != F_RAW || (a->base == b->base && a->off == b->off && a->len == b->len));
}

static bool same_args(const struct imr_insn *a, const struct imr_insn *b)
{
	unsigned int args = imr_ops[a->op].args;

	return (!(args & ARG_FIELD) || same_field(a, b)) &&
	       (!(args & ARG_A) || a->a == b->a) &&
	       (!(args & ARG_B) || a->b == b->b) &&
	       (!(args & ARG_IMM) || a->imm == b->imm) &&
	       (!(args & ARG_SET) || same_set(a->set, b->set)) &&
	       (!(args & ARG_BASE) || (a->base == b->base && (args & ARG_IMM || a->len == b->len))) &&
	       (!(args & ARG_CHAIN) || a->chain == b->chain) &&
	       (!(args & ARG_TO) || a->to == b->to) &&
	       (!(args & ARG_WHY) || same_text(a->text, b->text));
}

static bool same_insn(const struct imr_insn *a, const struct imr_insn *b)
{
	if (a->op != b->op || a->op >= OP_MAX)
		return false;
	if (imr_ops[a->op].class == CLASS_VALUE && (a->dst != b->dst || a->type != b->type))
		return false;
	if (imr_ops[a->op].class == CLASS_TEST && (a->els != b->els || (a->els == ELSE_RULE && a->to != b->to)))
		return false;
	return same_args(a, b);
}

static bool same_code(const struct imr_insn *a, uint32_t n_a, const struct imr_insn *b, uint32_t n_b)
{
	if (n_a != n_b)
		return false;
	for (uint32_t i = 0; i < n_a; i++)
		if (!same_insn(&a[i], &b[i]))
			return false;
	return true;
}

static bool same_base(const struct imr_chain *a, const struct imr_chain *b)
{
	if (a->kind != b->kind || a->prio != b->prio || a->policy != b->policy || a->policy_count != b->policy_count ||
	    a->n_dev != b->n_dev)
		return false;
	for (uint32_t i = 0; i < a->n_dev; i++)
		if (strcmp(a->dev[i], b->dev[i]))
			return false;
	return true;
}

static bool same_chain(const struct imr_chain *a, const struct imr_chain *b)
{
	if (a->hook != b->hook || a->n != b->n || !same_code(a->entry, a->n_entry, b->entry, b->n_entry))
		return false;
	if (a->hook != HOOK_NONE && !same_base(a, b))
		return false;
	for (uint32_t i = 0; i < a->n; i++)
		if (!same_code(a->rule[i].insn, a->rule[i].n, b->rule[i].insn, b->rule[i].n))
			return false;
	return true;
}

/* A base chain of a filter that has no rule and accepts says nothing. */
static bool is_silent(const struct imr_chain *c)
{
	return c->hook != HOOK_NONE && !c->n && c->policy == OP_ACCEPT && c->kind == KIND_FILTER;
}

/* The next chain that says something, from i on. */
static uint32_t next_spoken(const struct imr *imr, uint32_t i)
{
	while (i < imr->n && is_silent(&imr->chain[i]))
		i++;
	return i;
}

bool imr_same(const struct imr *a, const struct imr *b)
{
	uint32_t i = next_spoken(a, 0), k = next_spoken(b, 0);

	if (memcmp(&a->profile, &b->profile, sizeof(a->profile)))
		return false;
	for (; i < a->n && k < b->n; i = next_spoken(a, i + 1), k = next_spoken(b, k + 1))
		if (!same_chain(&a->chain[i], &b->chain[k]))
			return false;
	return i == a->n && k == b->n;
}
