/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The text form back into a program: the exact inverse of print.c, and what people write in tests and by hand. It takes
 * hostile text: time and memory are linear in it, nothing recurses, and what check.c would refuse is refused here with
 * its line and column. It stops at the first error. docs/IMR.md has the grammar.
 */
#include <string.h>

#include "imr.h"
#include "lex.h"
#include "text.h"

/* An instruction with targets, to be judged when all chains are known. */
struct target_ref {
	struct lex_pos pos;
	uint32_t chain, rule, insn;
	const char *name;	/* of the chain it jumps to, or NULL */
};

struct parse {
	struct lex x;
	struct imr *imr;
	struct check check;
	struct names names;
	uint32_t chain;			/* the current one; pointers move as chains are added */
	struct lex_pos rule_pos;
	uint32_t n_ref;
	struct target_ref *ref;
};

static struct imr_chain *chain_now(const struct parse *p)
{
	return &p->imr->chain[p->chain];
}

static uint8_t find_word(const char *const *names, size_t stride, uint32_t n, struct lex_word w)
{
	for (uint32_t i = 0; i < n; i++) {
		const char *name = *(const char *const *)((const char *)names + i * stride);

		if (name && w.len && lex_word_is(w, name))
			return (uint8_t)i;
	}
	return UINT8_MAX;
}

/* A word of a table, or an error that says what kind of word should stand there. */
#define LEX_TABLE(x, table, n, what, ret) \
	read_table(x, &(table)[0].name, sizeof((table)[0]), n, what, ret)
static bool read_table(struct lex *x, const char *const *names, size_t stride, uint32_t n, const char *what,
		       uint8_t *ret)
{
	struct lex_pos at = lex_here(x);
	struct lex_word w = lex_word(x);

	if (x->failed)
		return false;
	*ret = find_word(names, stride, n, w);
	if (*ret != UINT8_MAX)
		return true;
	if (!w.len)
		return lex_fail_at(x, at, "%s expected", what);
	return lex_fail_at(x, at, "\"%.*s\" is no %s", (int)w.len, w.s, what);
}

/* ------------------------------------------------------------------ instructions */

static bool read_ref(struct lex *x, uint32_t *ret)
{
	uint64_t n;

	if (!lex_expect(x, '%') || !lex_number(x, IMR_MAX_VALUE - 1, &n))
		return false;
	*ret = (uint32_t)n;
	return true;
}

static bool read_base(struct lex *x, uint8_t *ret)
{
	return read_table(x, imr_bases, sizeof(imr_bases[0]), B_MAX, "base", ret);
}

static bool read_u16(struct lex *x, uint16_t *ret)
{
	uint64_t n;

	if (!lex_number(x, UINT16_MAX, &n))
		return false;
	*ret = (uint16_t)n;
	return true;
}

static bool read_field(struct lex *x, struct imr_insn *i)
{
	if (!LEX_TABLE(x, imr_fields, F_MAX, "field", &i->field))
		return false;
	if (i->field != F_RAW)
		return true;
	return read_base(x, &i->base) && lex_expect(x, '+') && read_u16(x, &i->off) && lex_expect(x, ':') &&
	       read_u16(x, &i->len);
}

/* A rule's number as an index. The first rule is never a later one. */
static bool read_to(struct lex *x, uint32_t *ret)
{
	struct lex_pos at = lex_here(x);
	uint64_t n;

	if (!lex_number(x, UINT32_MAX, &n))
		return false;
	if (n < 2)
		return lex_fail_at(x, at, "it leads to a rule that is not a later one");
	*ret = (uint32_t)n - 1;
	return true;
}

static bool read_imm(struct lex *x, struct imr_insn *i)
{
	uint64_t n;

	if (i->op != OP_SHR && i->op != OP_TCPOPT)
		return lex_value(x, i->type, &i->imm);
	if (!lex_number(x, UINT8_MAX, &n))
		return false;
	i->imm = n;
	return true;
}

/* a, and the type that it gives a test's constant. */
static bool read_a(struct parse *p, struct imr_insn *i, enum imr_type *ret)
{
	struct lex_pos at = lex_here(&p->x);

	if (!read_ref(&p->x, &i->a))
		return false;
	*ret = check_value_type(&p->check, i->a);
	if (*ret == T_NONE)
		return lex_fail_at(&p->x, at, "%%%u is not defined before", i->a);
	if (imr_ops[i->op].class == CLASS_TEST)
		i->type = *ret;
	return true;
}

static bool read_jump(struct parse *p, const char **ret_name)
{
	return lex_expect(&p->x, '@') && lex_string(&p->x, ret_name);
}

static bool comma_after(struct lex *x, unsigned int args, unsigned int before)
{
	return !(args & before) || lex_expect(x, ',');
}

/* ORDER ARG_ */
static bool read_args(struct parse *p, struct imr_insn *i, const char **ret_name)
{
	unsigned int args = imr_ops[i->op].args;
	enum imr_type a = T_NONE;
	struct lex *x = &p->x;

	if (args & ARG_FIELD && !read_field(x, i))
		return false;
	if (args & ARG_A && !read_a(p, i, &a))
		return false;
	if (args & ARG_B && !(lex_expect(x, ',') && read_ref(x, &i->b)))
		return false;
	if (args & ARG_BASE && !read_base(x, &i->base))
		return false;
	if (args & ARG_BASE && !(args & ARG_IMM) && !(lex_expect(x, ',') && read_u16(x, &i->len)))
		return false;
	if (args & ARG_IMM && !(comma_after(x, args, ARG_A | ARG_BASE) && read_imm(x, i)))
		return false;
	if (args & ARG_SET && !(comma_after(x, args, ARG_A) && lex_set(x, a, &i->set)))
		return false;
	if (args & ARG_CHAIN && !read_jump(p, ret_name))
		return false;
	if (args & ARG_TO && lex_peek(x) && !read_to(x, &i->to))
		return false;
	return !(args & ARG_WHY) || lex_string(x, &i->text);
}

static bool read_else(struct lex *x, struct imr_insn *i)
{
	if (!lex_take_word(x, "else"))
		return !x->failed;
	if (lex_take_word(x, "next")) {
		i->els = ELSE_NEXT;
	} else if (lex_take_word(x, "drop")) {
		i->els = ELSE_DROP;
	} else if (lex_take_word(x, "pass")) {
		i->els = ELSE_PASS;
	} else {
		i->els = ELSE_RULE;
		return read_to(x, &i->to);
	}
	return true;
}

static bool read_insn(struct parse *p, struct imr_insn *i, const char **ret_name)
{
	struct lex *x = &p->x;
	struct lex_pos at;
	bool value = lex_peek(x) == '%';

	if (value && !(read_ref(x, &i->dst) && lex_expect(x, '=') &&
		       LEX_TABLE(x, imr_types, T_MAX, "type", &i->type)))
		return false;
	at = lex_here(x);
	if (!LEX_TABLE(x, imr_ops, OP_MAX, "instruction", &i->op))
		return false;
	if (value != (imr_ops[i->op].class == CLASS_VALUE))
		return lex_fail_at(x, at, value ? "%s yields no value" : "%s yields a value: %%N =TYPE goes before",
				   imr_ops[i->op].name);
	if (value && i->type == T_NONE)
		return lex_fail_at(x, at, "its value has no type");
	if (!read_args(p, i, ret_name))
		return false;
	return imr_ops[i->op].class != CLASS_TEST || read_else(x, i);
}

static void entry_add(struct parse *p, const struct imr_insn *i)
{
	struct imr_chain *c = chain_now(p);

	c->entry = arena_grow(p->imr->arena, c->entry, c->n_entry * sizeof(*i), (c->n_entry + 1) * sizeof(*i));
	c->entry[c->n_entry++] = *i;
}

static void ref_add(struct parse *p, const struct target_ref *ref)
{
	p->ref = arena_grow(p->imr->arena, p->ref, p->n_ref * sizeof(*ref), (p->n_ref + 1) * sizeof(*ref));
	p->ref[p->n_ref++] = *ref;
}

static void insn_add(struct parse *p, const struct imr_insn *i, struct lex_pos pos, const char *name)
{
	struct imr_chain *c = chain_now(p);
	struct imr_rule *r = &c->rule[c->n - 1];

	*imr_insn_add(p->imr, r, i->op) = *i;
	if (name || i->to)
		ref_add(p, &(struct target_ref){ pos, p->chain, c->n - 1, r->n - 1, name });
}

static bool parse_insn(struct parse *p)
{
	struct imr_insn i = { .dst = IMR_NOVAL, .a = IMR_NOVAL, .b = IMR_NOVAL };
	struct lex_pos pos = lex_here(&p->x);
	const char *name = NULL, *bad;

	if (!read_insn(p, &i, &name) || !lex_end_line(&p->x))
		return false;
	bad = check_insn(&p->check, &i);
	if (bad)
		return lex_fail_at(&p->x, pos, "%s: %s", imr_ops[i.op].name, bad);
	if (p->check.in_entry)
		entry_add(p, &i);
	else
		insn_add(p, &i, pos, name);
	return true;
}

/* ------------------------------------------------------------------ provenance, rules, chains */

/* A string, or `-` for none; with `bare` also a word. */
static bool read_name(struct lex *x, bool bare, const char **ret)
{
	struct lex_word w;

	*ret = NULL;
	if (lex_take(x, '-'))
		return true;
	if (!bare || lex_peek(x) == '"')
		return lex_string(x, ret);
	w = lex_word(x);
	if (x->failed || !w.len)
		return lex_fail(x, "a tool's name expected");
	*ret = arena_strndup(x->arena, w.s, w.len);
	return true;
}

static bool read_at(struct lex *x, struct imr_at *ret)
{
	uint64_t n = 0;

	if (!read_name(x, true, &ret->tool) || !read_name(x, false, &ret->where))
		return false;
	if (lex_peek(x) >= '0' && lex_peek(x) <= '9' && !lex_number(x, UINT32_MAX, &n))
		return false;
	ret->number = (uint32_t)n;
	if (lex_take_word(x, "handle") && !lex_number(x, UINT64_MAX, &ret->handle))
		return false;
	return lex_peek(x) != '"' || lex_string(x, &ret->text);
}

static bool rule_end(struct parse *p)
{
	if (chain_now(p)->n && !p->check.ended)
		return lex_fail_at(&p->x, p->rule_pos, "the rule has no end: accept, drop, next, return, jump …");
	return true;
}

static bool parse_rule(struct parse *p)
{
	struct imr_at at = { 0 };

	if (!rule_end(p))
		return false;
	p->rule_pos = lex_here(&p->x);
	if (!lex_expect_word(&p->x, "rule"))
		return false;
	if (lex_peek(&p->x) && !read_at(&p->x, &at))
		return false;
	if (chain_now(p)->n == UINT32_MAX / 2)
		return lex_fail_at(&p->x, p->rule_pos, "too many rules");
	imr_rule_add(p->imr, chain_now(p), &at);
	check_rule_begin(&p->check);
	return lex_end_line(&p->x);
}

static bool read_prio(struct lex *x, int32_t *ret)
{
	bool negative = lex_take(x, '-');
	uint64_t n;

	if (!lex_number(x, (uint64_t)INT32_MAX + negative, &n))
		return false;
	*ret = (int32_t)(negative ? -(int64_t)n : (int64_t)n);
	return true;
}

static bool read_kind(struct lex *x, enum imr_kind *ret)
{
	uint8_t kind;

	if (!read_table(x, text_kinds, sizeof(text_kinds[0]), N_KIND, "kind", &kind))
		return false;
	*ret = (enum imr_kind)kind;
	return true;
}

static bool read_devices(struct parse *p, struct imr_chain *c)
{
	do {
		c->dev = arena_grow(p->imr->arena, c->dev, c->n_dev * sizeof(*c->dev),
				    (c->n_dev + 1) * sizeof(*c->dev));
		if (!lex_string(&p->x, &c->dev[c->n_dev++]))
			return false;
	} while (lex_peek(&p->x) == '"');
	return true;
}

static bool read_base_chain(struct parse *p, struct imr_chain *c)
{
	struct lex *x = &p->x;
	uint8_t hook;

	if (!LEX_TABLE(x, imr_hooks, HOOK_MAX, "hook", &hook))
		return false;
	c->hook = (enum imr_hook)hook;
	c->policy = OP_ACCEPT;
	if (lex_take_word(x, "kind") && !read_kind(x, &c->kind))
		return false;
	if (lex_take_word(x, "prio") && !read_prio(x, &c->prio))
		return false;
	if (lex_take_word(x, "policy") && !LEX_TABLE(x, imr_ops, OP_MAX, "policy", &c->policy))
		return false;
	c->policy_count = lex_take_word(x, "count");
	return !lex_take_word(x, "dev") || read_devices(p, c);
}

static bool parse_chain_head(struct parse *p)
{
	struct lex *x = &p->x;
	struct lex_pos pos = lex_here(x);
	struct imr_chain *c;
	const char *name, *bad;

	if (!lex_expect_word(x, "chain") || !read_jump(p, &name))
		return false;
	if (names_find(&p->names, name) != IMR_NOVAL)
		return lex_fail_at(x, pos, "a chain of that name is already there");
	p->chain = p->imr->n;
	c = imr_chain_add(p->imr, name);
	names_add(&p->names, c->name, p->chain);
	if (lex_take_word(x, "from") && !read_at(x, &c->at))
		return false;
	if (lex_take_word(x, "hook") && !read_base_chain(p, c))
		return false;
	bad = check_chain_head(c);
	if (bad && !x->failed)
		return lex_fail_at(x, pos, "%s", bad);
	return lex_expect(x, '{') && lex_end_line(x);
}

static bool parse_entry(struct parse *p)
{
	if (chain_now(p)->n || chain_now(p)->n_entry)
		return lex_fail(&p->x, "a chain has one entry, before its rules");
	return lex_expect_word(&p->x, "entry") && lex_end_line(&p->x);
}

static bool parse_chain(struct parse *p)
{
	bool entry = false;

	if (!parse_chain_head(p))
		return false;
	check_chain_begin(&p->check, chain_now(p));
	while (lex_skip_lines(&p->x)) {
		struct lex_word w = lex_peek_word(&p->x);
		bool ok;

		if (lex_peek(&p->x) == '}')
			return rule_end(p) && lex_take(&p->x, '}') && lex_end_line(&p->x);
		if (lex_word_is(w, "rule"))
			ok = parse_rule(p);
		else if (lex_word_is(w, "entry"))
			ok = parse_entry(p);
		else if (entry || chain_now(p)->n)
			ok = parse_insn(p);
		else
			ok = lex_fail(&p->x, "\"entry\", \"rule\" or '}' expected");
		if (!ok)
			return false;
		entry |= lex_word_is(w, "entry");
	}
	return lex_fail(&p->x, "'}' expected: the chain is not closed");
}

/* ------------------------------------------------------------------ the program */

static bool parse_profile(struct parse *p)
{
	while (lex_peek(&p->x)) {
		struct lex_pos at = lex_here(&p->x);
		struct lex_word w = lex_word(&p->x);
		bool *bit = NULL;

#define PROFILE(id, ...)                                                                                               \
		if (lex_word_is(w, #id))                                                                               \
			bit = &p->imr->profile.id;
#include "profile.def"
		if (!bit)
			return lex_fail_at(&p->x, at, "no such bit of the profile");
		*bit = true;
	}
	return lex_end_line(&p->x);
}

static bool parse_conntrack(struct parse *p)
{
	uint8_t how;

	if (!read_table(&p->x, text_conntrack, sizeof(text_conntrack[0]), N_CONNTRACK, "use of conntrack", &how))
		return false;
	p->imr->conntrack = (enum imr_conntrack)how;
	return lex_end_line(&p->x);
}

static bool parse_head(struct parse *p)
{
	uint64_t version;

	lex_skip_lines(&p->x);
	if (!lex_expect_word(&p->x, "imr") || !lex_number(&p->x, UINT32_MAX, &version))
		return false;
	if (version != 1)
		return lex_fail(&p->x, "version 1 is the only one");
	if (!lex_end_line(&p->x))
		return false;
	lex_skip_lines(&p->x);
	if (lex_take_word(&p->x, "profile") && !parse_profile(p))
		return false;
	lex_skip_lines(&p->x);
	return !lex_take_word(&p->x, "conntrack") || parse_conntrack(p);
}

/* Names are chains now, and every target can be judged. */
static bool resolve(struct parse *p)
{
	for (uint32_t k = 0; k < p->n_ref; k++) {
		const struct target_ref *ref = &p->ref[k];
		struct imr_insn *i = &p->imr->chain[ref->chain].rule[ref->rule].insn[ref->insn];
		const char *bad;

		if (ref->name)
			i->chain = names_find(&p->names, ref->name);
		bad = check_targets(p->imr, ref->chain, ref->rule, i);
		if (bad)
			return lex_fail_at(&p->x, ref->pos, "%s: %s", imr_ops[i->op].name, bad);
	}
	return true;
}

struct imr *imr_parse(struct arena *a, struct diags *ds, const char *text, size_t len)
{
	struct parse p = {
		.x = { .arena = a, .diags = ds, .p = text, .end = text + len, .line_start = text, .line = 1 },
		.imr = imr_new(a, ds, NULL),
		.check = { .arena = a },
		.names = { .arena = a },
	};

	if (len > INT32_MAX) {
		diag_add(ds, DIAG_ERROR, NULL, "the text is larger than 2 GiB");
		return NULL;
	}
	if (!parse_head(&p))
		return NULL;
	while (lex_skip_lines(&p.x))
		if (!parse_chain(&p))
			return NULL;
	if (p.x.failed || !resolve(&p))
		return NULL;
	imr_number(p.imr);
	return p.imr;
}
