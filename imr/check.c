/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The IMR's own verifier: what every program must be, whoever made it. It runs after each frontend and pass, so that
 * the one that broke a program is named, and the parser asks it line by line. What it lets through, no later stage may
 * trip over: operands are there and fit, targets lie ahead, chains are in order. docs/IMR.md says each rule.
 */
#include <string.h>

#include "imr.h"
#include "text.h"

void check_chain_begin(struct check *k, const struct imr_chain *c)
{
	k->chain = c;
	k->entry_stamp = ++k->stamp;
	k->in_entry = true;
	k->ended = false;
}

void check_rule_begin(struct check *k)
{
	k->stamp++;
	k->in_entry = false;
	k->ended = false;
}

enum imr_type check_value_type(const struct check *k, uint32_t v)
{
	const struct check_value *d = v < k->n_value ? &k->value[v] : NULL;

	return d && d->stamp && (d->stamp == k->stamp || d->stamp == k->entry_stamp) ? d->type : T_NONE;
}

static const char *define(struct check *k, const struct imr_insn *i)
{
	if (i->dst >= IMR_MAX_VALUE)
		return "its value's number is too large";
	if (check_value_type(k, i->dst) != T_NONE)
		return "its value is defined twice";
	if (i->dst >= k->n_value) {
		uint32_t n = k->n_value ? k->n_value : 64;

		while (n <= i->dst)
			n *= 2;
		k->value = arena_grow(k->arena, k->value, k->n_value * sizeof(*k->value), n * sizeof(*k->value));
		k->n_value = n;
	}
	k->value[i->dst] = (struct check_value){ .stamp = k->stamp, .type = i->type };
	return NULL;
}

static bool is_packet_base(uint8_t b)
{
	return b == B_LL || b == B_NH || b == B_TH || b == B_TX;
}

static const char *check_field(const struct imr_insn *i)
{
	if (i->field == F_NONE || i->field >= F_MAX)
		return "no such field";
	if (i->field != F_RAW)
		return i->type == imr_fields[i->field].type ? NULL : "the type is not the field's";
	if (!is_packet_base(i->base))
		return "raw bytes are counted from ll, nh, th or tx";
	if (i->len < 1 || i->len > 16)
		return "a raw load is of 1 to 16 bytes";
	return i->type == imr_type_be(i->len) ? NULL : "the type does not fit the number of bytes";
}

static const char *check_set(const struct imr_set *s, enum imr_type t)
{
	if (!s)
		return "no set";
	for (uint32_t i = 0; i < s->n; i++) {
		if (s->r[i].lo > s->r[i].hi)
			return "a range ends before it begins";
		if (s->r[i].hi > imr_type_max(t))
			return "the set is too large for the type";
		if (i && s->r[i].lo <= s->r[i - 1].hi)
			return "the set is not ascending and disjoint";
		if (i && s->r[i].lo == s->r[i - 1].hi + 1)
			return "adjacent ranges must be one range";
	}
	return NULL;
}

static const char *check_result(const struct imr_insn *i, enum imr_type a, enum imr_type b)
{
	switch (i->op) {
	case OP_AND:
	case OP_XOR:
	case OP_SHR:
		return i->type == a ? NULL : "the result has its operand's type";
	case OP_OR:
		return i->type == a && i->type == b ? NULL : "the result has its operands' type";
	case OP_SWAP:
		return imr_types[i->type].bits == imr_types[a].bits && imr_types[a].bits % 8 == 0 ?
			NULL : "swap keeps the number of bytes";
	case OP_ISIN:
		return i->type == T_U1 ? NULL : "isin yields u1";
	case OP_TCPOPT:
		return i->type == T_U8 ? NULL : "tcpopt yields u8";
	}
	return NULL;
}

static const char *check_imm(const struct imr_insn *i)
{
	if (i->op == OP_SHR)
		return i->imm < imr_types[i->type].bits ? NULL : "the shift is too far for the type";
	return i->imm <= imr_type_max(i->type) ? NULL : "the constant is too large for the type";
}

static const char *check_base(const struct imr_insn *i)
{
	if (i->op == OP_TCPOPT)
		return i->base == B_TH || i->base == B_TX ? NULL : "TCP options are behind th or tx";
	if (!is_packet_base(i->base))
		return "bytes are needed from ll, nh, th or tx";
	return i->len ? NULL : "at least one byte is needed";
}

static const char *check_operands(const struct check *k, const struct imr_insn *i)
{
	unsigned int args = imr_ops[i->op].args;
	enum imr_type a = args & ARG_A ? check_value_type(k, i->a) : T_NONE;
	enum imr_type b = args & ARG_B ? check_value_type(k, i->b) : T_NONE;
	const char *bad = NULL;

	if ((args & ARG_A && a == T_NONE) || (args & ARG_B && b == T_NONE))
		return "an operand is not defined before";
	if (imr_ops[i->op].class == CLASS_TEST && args & ARG_A && i->type != a)
		return "the type is not its operand's";
	if (args & ARG_FIELD)
		bad = check_field(i);
	if (!bad)
		bad = check_result(i, a, b);
	if (!bad && args & ARG_IMM)
		bad = check_imm(i);
	if (!bad && args & ARG_SET)
		bad = check_set(i->set, a);
	if (!bad && args & ARG_BASE)
		bad = check_base(i);
	return bad;
}

static const char *check_place(const struct check *k, const struct imr_insn *i)
{
	bool test = imr_ops[i->op].class == CLASS_TEST;

	if (k->ended)
		return "it stands after the end of its rule";
	if (k->in_entry && (imr_ops[i->op].class != CLASS_VALUE || i->op == OP_UNKNOWN))
		return "an entry has known values only";
	if (test ? i->els > ELSE_RULE : i->els != ELSE_NEXT)
		return test ? "no such else" : "only tests have an else";
	if (k->chain->hook != HOOK_EARLY_L3 &&
	    (i->op == OP_TALLY || i->op == OP_NOFLOW || i->op == OP_PASS || i->els == ELSE_PASS))
		return "only chains at early.l3 pass, tally or ask noflow";
	return NULL;
}

const char *check_insn(struct check *k, const struct imr_insn *i)
{
	const char *bad;

	if (i->op == OP_NONE || i->op >= OP_MAX)
		return "no such instruction";
	if (imr_ops[i->op].class == CLASS_VALUE && (i->type == T_NONE || i->type >= T_MAX))
		return "its value has no type";
	bad = check_place(k, i);
	if (!bad)
		bad = check_operands(k, i);
	if (bad)
		return bad;
	k->ended = imr_ops[i->op].class == CLASS_END;
	if (imr_ops[i->op].class == CLASS_VALUE)
		return define(k, i);
	return i->dst == IMR_NOVAL ? NULL : "it yields no value but has a number for one";
}

const char *check_targets(const struct imr *imr, uint32_t chain, uint32_t rule, const struct imr_insn *i)
{
	const struct imr_chain *c = &imr->chain[chain];
	bool leads = i->els == ELSE_RULE || (i->op == OP_NEXT && i->to);

	if (leads && i->to <= rule)
		return "it leads to a rule that is not a later one";
	if (leads && i->to >= c->n)
		return "it leads to a rule that the chain does not have";
	if (!(imr_ops[i->op].args & ARG_CHAIN))
		return NULL;
	if (i->chain >= imr->n)
		return "no such chain";
	if (i->chain <= chain)
		return "jumps lead to later chains only";
	return imr->chain[i->chain].hook == HOOK_NONE ? NULL : "jumps lead to user chains only";
}

const char *check_chain_head(const struct imr_chain *c)
{
	bool pass = c->hook == HOOK_EARLY_L3 && c->policy == OP_PASS;

	if (!c->name)
		return "no name";
	if (c->hook >= HOOK_MAX)
		return "no such hook";
	if (c->hook == HOOK_NONE)
		return c->policy == OP_RETURN ? NULL : "a user chain returns";
	if (c->kind < 0 || c->kind >= N_KIND)
		return "no such kind";
	return c->policy == OP_ACCEPT || c->policy == OP_DROP || pass ?
		NULL : "a base chain's policy is accept or drop";
}

/* ------------------------------------------------------------------ names */

static struct name_slot *names_slot(const struct names *t, const char *name)
{
	uint64_t h = 0xcbf29ce484222325u;

	for (const char *s = name; *s; s++)
		h = (h ^ (unsigned char)*s) * 0x100000001b3u;
	for (h ^= h >> 32;; h++) {
		struct name_slot *s = &t->slot[h & (t->size - 1)];

		if (!s->name || !strcmp(s->name, name))
			return s;
	}
}

uint32_t names_find(struct names *t, const char *name)
{
	const struct name_slot *s = t->size ? names_slot(t, name) : NULL;

	return s && s->name ? s->chain : IMR_NOVAL;
}

void names_add(struct names *t, const char *name, uint32_t chain)
{
	if (t->n * 2 >= t->size) {
		struct names old = *t;

		t->size = old.size ? old.size * 2 : 16;
		t->slot = arena_alloc(t->arena, t->size * sizeof(*t->slot));
		for (uint32_t i = 0; i < old.size; i++)
			if (old.slot[i].name)
				*names_slot(t, old.slot[i].name) = old.slot[i];
	}
	*names_slot(t, name) = (struct name_slot){ .name = name, .chain = chain };
	t->n++;
}

/* ------------------------------------------------------------------ the program */

static const char *op_name(const struct imr_insn *i)
{
	return i->op != OP_NONE && i->op < OP_MAX ? imr_ops[i->op].name : "?";
}

static const char *check_entry(struct check *k, const struct imr_chain *c)
{
	const char *bad;

	check_chain_begin(k, c);
	for (uint32_t i = 0; i < c->n_entry; i++)
		if ((bad = check_insn(k, &c->entry[i])))
			return arena_printf(k->arena, "entry, instruction %u (%s): %s", i + 1,
					    op_name(&c->entry[i]), bad);
	return NULL;
}

static const char *check_rule(struct check *k, const struct imr *imr, uint32_t chain, uint32_t rule)
{
	const struct imr_rule *r = &imr->chain[chain].rule[rule];
	const char *bad;

	check_rule_begin(k);
	for (uint32_t i = 0; i < r->n; i++) {
		bad = check_insn(k, &r->insn[i]);
		if (!bad)
			bad = check_targets(imr, chain, rule, &r->insn[i]);
		if (bad)
			return arena_printf(k->arena, "rule %u, instruction %u (%s): %s", rule + 1, i + 1,
					    op_name(&r->insn[i]), bad);
	}
	return k->ended ? NULL : arena_printf(k->arena, "rule %u: it has no end", rule + 1);
}

static const char *check_chain(struct check *k, const struct imr *imr, uint32_t chain, struct names *names)
{
	const struct imr_chain *c = &imr->chain[chain];
	const char *bad = check_chain_head(c);

	if (!bad && names_find(names, c->name) != IMR_NOVAL)
		bad = "the name is taken";
	if (bad)
		return bad;
	names_add(names, c->name, chain);
	bad = check_entry(k, c);
	for (uint32_t i = 0; !bad && i < c->n; i++)
		bad = check_rule(k, imr, chain, i);
	return bad;
}

const char *imr_check(const struct imr *imr, const char *after)
{
	struct check k = { .arena = imr->arena };
	struct names names = { .arena = imr->arena };

	for (uint32_t i = 0; i < imr->n; i++) {
		const char *bad = check_chain(&k, imr, i, &names);

		if (bad)
			return arena_printf(imr->arena, "after %s: chain \"%s\": %s", after,
					    imr->chain[i].name ? imr->chain[i].name : "", bad);
	}
	return NULL;
}
