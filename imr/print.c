/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The text form of a program, canonical: one program has one text, parse.c reads it back into the same program, and
 * what is printed then is the same text byte for byte. docs/IMR.md has the grammar.
 */
#include <arpa/inet.h>
#include <string.h>

#include "imr.h"
#include "text.h"

static void add_hex(struct strbuf *out, u128 v)
{
	if (v >> 64)
		strbuf_add(out, "0x%llx%016llx", (unsigned long long)(v >> 64), (unsigned long long)v);
	else
		strbuf_add(out, "0x%llx", (unsigned long long)v);
}

static void add_decimal(struct strbuf *out, u128 v)
{
	char digits[40], *p = digits + sizeof(digits);

	do
		*--p = '0' + (char)(v % 10);
	while (v /= 10);
	strbuf_add_bytes(out, p, (size_t)(digits + sizeof(digits) - p));
}

static void to_bytes(u128 v, unsigned int n, uint8_t *ret)
{
	while (n-- > 0) {
		ret[n] = (uint8_t)v;
		v >>= 8;
	}
}

static void add_ip(struct strbuf *out, u128 v, unsigned int bytes)
{
	char s[INET6_ADDRSTRLEN];
	uint8_t b[16];

	to_bytes(v, bytes, b);
	if (inet_ntop(bytes == 4 ? AF_INET : AF_INET6, b, s, sizeof(s)))
		strbuf_add(out, "%s", s);
}

static void add_mac(struct strbuf *out, u128 v)
{
	uint8_t b[6];

	to_bytes(v, 6, b);
	strbuf_add(out, "%02x:%02x:%02x:%02x:%02x:%02x", b[0], b[1], b[2], b[3], b[4], b[5]);
}

/* Bytes of a name up to the first zero; -1 where something follows it. */
static int name_length(const uint8_t *b, unsigned int n)
{
	unsigned int len = 0;

	while (len < n && b[len])
		len++;
	for (unsigned int i = len; i < n; i++)
		if (b[i])
			return -1;
	return (int)len;
}

/* A '*' of the name itself is written \x2a, so that a bare one always is the wildcard. */
static void add_name(struct strbuf *out, const uint8_t *b, int len, bool wildcard)
{
	strbuf_add(out, "\"");
	for (int i = 0; i < len; i++) {
		if (b[i] == '"' || b[i] == '\\')
			strbuf_add(out, "\\%c", b[i]);
		else if (b[i] < 0x20 || b[i] >= 0x7f || b[i] == '*')
			strbuf_add(out, "\\x%02x", b[i]);
		else
			strbuf_add(out, "%c", b[i]);
	}
	strbuf_add(out, wildcard ? "*\"" : "\"");
}

void imr_print_value(struct strbuf *out, enum imr_type t, u128 v)
{
	uint8_t b[16];

	switch (imr_types[t].show) {
	case SHOW_NUM:
		add_decimal(out, v);
		break;
	case SHOW_HEX:
		add_hex(out, v);
		break;
	case SHOW_IP4:
		add_ip(out, v, 4);
		break;
	case SHOW_IP6:
		add_ip(out, v, 16);
		break;
	case SHOW_MAC:
		add_mac(out, v);
		break;
	case SHOW_NAME:
		to_bytes(v, 16, b);
		if (name_length(b, 16) < 0)
			add_hex(out, v);
		else
			add_name(out, b, name_length(b, 16), false);
		break;
	}
}

/* Masks are bits, not amounts; those of addresses look like addresses. */
static void add_mask(struct strbuf *out, enum imr_type t, u128 v)
{
	enum imr_show show = imr_types[t].show;

	if (show == SHOW_NUM || show == SHOW_NAME)
		add_hex(out, v);
	else
		imr_print_value(out, t, v);
}

/* The length of the prefix that a range is, -1 where it is none. */
static int range_prefix(const struct imr_range *r, unsigned int bits)
{
	u128 span = r->hi - r->lo;
	unsigned int host = 0;

	if (span & (span + 1) || r->lo & span)
		return -1;
	while (host < 128 && span >> host)
		host++;
	return (int)bits - (int)host;
}

/* "eth*": whole bytes that no zero byte is among. */
static bool add_name_wildcard(struct strbuf *out, const struct imr_range *r)
{
	int prefix = range_prefix(r, 128);
	uint8_t b[16];

	to_bytes(r->lo, 16, b);
	if (prefix < 0 || prefix % 8 || memchr(b, 0, (size_t)prefix / 8))
		return false;
	add_name(out, b, prefix / 8, true);
	return true;
}

static void add_range(struct strbuf *out, enum imr_type t, const struct imr_range *r)
{
	enum imr_show show = imr_types[t].show;
	int prefix = range_prefix(r, imr_types[t].bits);

	if (r->lo == r->hi) {
		imr_print_value(out, t, r->lo);
	} else if (show == SHOW_NAME) {
		if (add_name_wildcard(out, r))
			return;
		add_hex(out, r->lo);
		strbuf_add(out, "-");
		add_hex(out, r->hi);
	} else {
		imr_print_value(out, t, r->lo);
		if ((show == SHOW_IP4 || show == SHOW_IP6) && prefix >= 0) {
			strbuf_add(out, "/%d", prefix);
			return;
		}
		strbuf_add(out, "-");
		imr_print_value(out, t, r->hi);
	}
}

static void add_set(struct strbuf *out, enum imr_type t, const struct imr_set *s)
{
	if (s->n == 1) {
		add_range(out, t, &s->r[0]);
		return;
	}
	strbuf_add(out, "{");
	for (uint32_t i = 0; i < s->n; i++) {
		if (i)
			strbuf_add(out, ", ");
		add_range(out, t, &s->r[i]);
	}
	strbuf_add(out, "}");
}

/* The type that a constant or a set is of: a test's, a value's own, or for isin its operand's. */
static enum imr_type operand_type(const struct imr_chain *c, const struct imr_rule *r, const struct imr_insn *i)
{
	if (i->op != OP_ISIN)
		return i->type;
	if (r && i >= r->insn && i < r->insn + r->n)
		for (uint32_t k = (uint32_t)(i - r->insn); k-- > 0;)
			if (r->insn[k].dst == i->a)
				return r->insn[k].type;
	for (uint32_t k = 0; k < c->n_entry; k++)
		if (c->entry[k].dst == i->a)
			return c->entry[k].type;
	return T_BE128;
}

static void add_imm(struct strbuf *out, const struct imr_insn *i, enum imr_type t)
{
	if (i->op == OP_SHR || i->op == OP_TCPOPT)
		add_decimal(out, i->imm);
	else if (i->op == OP_AND || i->op == OP_XOR)
		add_mask(out, t, i->imm);
	else
		imr_print_value(out, t, i->imm);
}

static void add_field(struct strbuf *out, const struct imr_insn *i)
{
	strbuf_add(out, "%s", imr_fields[i->field].name);
	if (i->field == F_RAW)
		strbuf_add(out, " %s+%u:%u", imr_bases[i->base], i->off, i->len);
}

static void add_else(struct strbuf *out, const struct imr_insn *i)
{
	switch ((enum imr_else)i->els) {
	case ELSE_NEXT:
		break;
	case ELSE_DROP:
		strbuf_add(out, " else drop");
		break;
	case ELSE_PASS:
		strbuf_add(out, " else pass");
		break;
	case ELSE_RULE:
		strbuf_add(out, " else %u", i->to + 1);
		break;
	}
}

/* ORDER ARG_ */
static void add_args(struct strbuf *out, const struct imr *imr, const struct imr_insn *i, enum imr_type t)
{
	unsigned int args = imr_ops[i->op].args;
	const char *sep = " ";

	if (args & ARG_FIELD) {
		strbuf_add(out, " ");
		add_field(out, i);
	}
	if (args & ARG_A) {
		strbuf_add(out, " %%%u", i->a);
		sep = ", ";
	}
	if (args & ARG_B)
		strbuf_add(out, ", %%%u", i->b);
	if (args & ARG_BASE) {
		strbuf_add(out, " %s", imr_bases[i->base]);
		sep = ", ";
		if (!(args & ARG_IMM))
			strbuf_add(out, ", %u", i->len);
	}
	if (args & ARG_IMM) {
		strbuf_add(out, "%s", sep);
		add_imm(out, i, t);
	}
	if (args & ARG_SET) {
		strbuf_add(out, "%s", sep);
		add_set(out, t, i->set);
	}
	if (args & ARG_CHAIN) {
		strbuf_add(out, " @");
		strbuf_add_quoted(out, i->chain < imr->n ? imr->chain[i->chain].name : "");
	}
	if ((args & ARG_TO) && i->to)
		strbuf_add(out, " %u", i->to + 1);
	if (args & ARG_WHY) {
		strbuf_add(out, " ");
		strbuf_add_quoted(out, i->text ? i->text : "");
	}
}

static void add_insn(struct strbuf *out, const struct imr *imr, const struct imr_chain *c, const struct imr_rule *r,
		     const struct imr_insn *i)
{
	const struct imr_op_info *op = &imr_ops[i->op];

	strbuf_add(out, "\t");
	if (op->class == CLASS_VALUE)
		strbuf_add(out, "%%%u =%s ", i->dst, imr_types[i->type].name);
	strbuf_add(out, "%s", op->name);
	add_args(out, imr, i, operand_type(c, r, i));
	if (op->class == CLASS_TEST)
		add_else(out, i);
	strbuf_add(out, "\n");
}

/* ------------------------------------------------------------------ provenance, rules, chains */

static bool is_word(const char *s)
{
	if (!*s)
		return false;
	for (; *s; s++)
		if (!text_is_word(*s))
			return false;
	return true;
}

static void add_word_or_none(struct strbuf *out, const char *s, bool bare)
{
	strbuf_add(out, " ");
	if (!s)
		strbuf_add(out, "-");
	else if (bare && is_word(s))
		strbuf_add(out, "%s", s);
	else
		strbuf_add_quoted(out, s);
}

static void add_at(struct strbuf *out, const char *lead, const struct imr_at *at)
{
	if (!at->tool && !at->where && !at->number && !at->handle && !at->text)
		return;
	strbuf_add(out, "%s", lead);
	add_word_or_none(out, at->tool, true);
	add_word_or_none(out, at->where, false);
	if (at->number)
		strbuf_add(out, " %u", at->number);
	if (at->handle)
		strbuf_add(out, " handle %llu", (unsigned long long)at->handle);
	if (at->text)
		add_word_or_none(out, at->text, false);
}

void imr_print_rule(struct strbuf *out, const struct imr *imr, const struct imr_chain *c, const struct imr_rule *r)
{
	strbuf_add(out, "rule");
	add_at(out, "", &r->at);
	strbuf_add(out, "\n");
	for (uint32_t i = 0; i < r->n; i++)
		add_insn(out, imr, c, r, &r->insn[i]);
}

static void add_base_chain(struct strbuf *out, const struct imr_chain *c)
{
	strbuf_add(out, " hook %s kind %s prio %d policy %s", imr_hooks[c->hook].name, text_kinds[c->kind], c->prio,
		   imr_ops[c->policy].name);
	if (c->policy_count)
		strbuf_add(out, " count");
	if (c->n_dev)
		strbuf_add(out, " dev");
	for (uint32_t i = 0; i < c->n_dev; i++) {
		strbuf_add(out, " ");
		strbuf_add_quoted(out, c->dev[i]);
	}
}

static void add_chain(struct strbuf *out, const struct imr *imr, const struct imr_chain *c)
{
	strbuf_add(out, "chain @");
	strbuf_add_quoted(out, c->name);
	add_at(out, " from", &c->at);
	if (c->hook != HOOK_NONE)
		add_base_chain(out, c);
	strbuf_add(out, " {\n");
	if (c->n_entry)
		strbuf_add(out, "entry\n");
	for (uint32_t i = 0; i < c->n_entry; i++)
		add_insn(out, imr, c, NULL, &c->entry[i]);
	for (uint32_t i = 0; i < c->n; i++)
		imr_print_rule(out, imr, c, &c->rule[i]);
	strbuf_add(out, "}\n");
}

static void add_profile(struct strbuf *out, const struct imr_profile *p)
{
	const struct imr_profile none = { 0 };

	if (!memcmp(p, &none, sizeof(none)))
		return;
	strbuf_add(out, "profile");
#define PROFILE(id, ...)                                                                                               \
	if (p->id)                                                                                                     \
		strbuf_add(out, " %s", #id);
#include "profile.def"
	strbuf_add(out, "\n");
}

void imr_print(struct strbuf *out, const struct imr *imr)
{
	strbuf_add(out, "imr 1\n");
	add_profile(out, &imr->profile);
	if (imr->conntrack)
		strbuf_add(out, "conntrack %s\n", text_conntrack[imr->conntrack]);
	for (uint32_t i = 0; i < imr->n; i++)
		add_chain(out, imr, &imr->chain[i]);
}
