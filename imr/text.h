/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What print, parse and check must agree on, private to imr/: words of the text form, and what makes an instruction
 * well-formed, so that the parser refuses at a line and column exactly what the verifier would refuse afterwards.
 */
#ifndef FWJIT_TEXT_H
#define FWJIT_TEXT_H

#include "imr.h"

/* Values of one entry and rule are numbered below this. */
#define IMR_MAX_VALUE 65536

static const char *const text_kinds[] = { [KIND_FILTER] = "filter", [KIND_NAT] = "nat", [KIND_ROUTE] = "route" };
#define N_KIND 3
static const char *const text_conntrack[] = { [CONNTRACK_OFF] = "off", [CONNTRACK_ON] = "on", [CONNTRACK_EXPECTS] = "expects" };
#define N_CONNTRACK 3

/* Characters of bare words: names of ops, fields, hooks, tools. */
static inline bool text_is_word(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '.';
}

/* check.c: one instruction after another, in the order of the text. A value is visible if it was defined in the rule at
 * hand or in its chain's entry: stamps tell, so that nothing is cleared from rule to rule. */
struct check_value {
	uint32_t stamp;		/* of the entry or rule that defined it last; 0: none */
	enum imr_type type;
};
struct check {
	struct arena *arena;
	const struct imr_chain *chain;
	uint32_t stamp, entry_stamp;
	bool in_entry, ended;
	uint32_t n_value;
	struct check_value *value;
};
void check_chain_begin(struct check *k, const struct imr_chain *c);	/* the entry begins */
void check_rule_begin(struct check *k);
/* NULL, or what is wrong with it, its targets aside. */
const char *check_insn(struct check *k, const struct imr_insn *i);
/* T_NONE where it is not visible. */
enum imr_type check_value_type(const struct check *k, uint32_t v);
/* `else` and `next` against the chain's rules, jump and goto against the program's chains. */
const char *check_targets(const struct imr *imr, uint32_t chain, uint32_t rule, const struct imr_insn *i);
const char *check_chain_head(const struct imr_chain *c);

/* Chains by name. */
struct names {
	struct arena *arena;
	uint32_t n, size;
	struct name_slot { const char *name; uint32_t chain; } *slot;
};
/* The chain of that name, IMR_NOVAL where there is none. */
uint32_t names_find(struct names *t, const char *name);
void names_add(struct names *t, const char *name, uint32_t chain);

#endif
