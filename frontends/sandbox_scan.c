/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What is read out of rule texts without understanding them: which tool a text is for, and which devices it wants to be
 * there when it is loaded. A guess that is wrong costs an idle device or the tool's own error message, never a meaning.
 * Pure.
 */
#include <arpa/inet.h>
#include <ctype.h>
#include <string.h>

#include "sandbox.h"

struct tok {
	const char *s;
	size_t n;
	char kind;		/* 'w' a word or quoted string, '$' a variable's name, '\n', 0 the end, else itself */
};
struct lex {
	const char *p, *end;
};

static bool is_word(char c)
{
	return isalnum((unsigned char)c) || strchr("_.-@+/:*~\\", c);
}

static struct tok lex_string(struct lex *l)
{
	struct tok t = { ++l->p, 0, 'w' };

	while (l->p < l->end && *l->p != '"' && *l->p != '\n')
		l->p++;
	t.n = (size_t)(l->p - t.s);
	l->p += l->p < l->end && *l->p == '"';
	return t;
}

static struct tok lex_next(struct lex *l)
{
	struct tok t = { .kind = 0 };

	while (l->p < l->end && (*l->p == ' ' || *l->p == '\t' || *l->p == '\r' || !*l->p))
		l->p++;
	if (l->p < l->end && *l->p == '#')
		while (l->p < l->end && *l->p != '\n')
			l->p++;
	if (l->p >= l->end)
		return t;
	if (*l->p == '"')
		return lex_string(l);
	t = (struct tok){ l->p, 1, *l->p };
	if (*l->p == '$')
		t.s = ++l->p;
	if (l->p < l->end && is_word(*l->p)) {
		while (l->p < l->end && *l->p && is_word(*l->p))
			l->p++;
		t.n = (size_t)(l->p - t.s);
		t.kind = t.kind == '$' ? '$' : 'w';
	} else if (t.kind != '$') {
		l->p++;
	}
	return t;
}

static bool tok_is(const struct tok *t, const char *word)
{
	return t->kind == 'w' && t->n == strlen(word) && !memcmp(t->s, word, t->n);
}

static bool tok_in(const struct tok *t, const char *const *words)
{
	for (; *words; words++)
		if (tok_is(t, *words))
			return true;
	return false;
}

/* ------------------------------------------------------------------ devices */

void sb_name_add(struct sb_names *n, const char *name, size_t len)
{
	if (!len || len > 15 || (len == 1 && *name == '.'))
		return;
	if (memchr(name, '/', len) || memchr(name, ':', len) || memchr(name, '*', len))
		return;
	for (uint32_t i = 0; i < n->n; i++)
		if (strlen(n->name[i]) == len && !memcmp(n->name[i], name, len))
			return;
	n->name = arena_grow(n->arena, n->name, n->n * sizeof(*n->name), (n->n + 1) * sizeof(*n->name));
	n->name[n->n++] = arena_strndup(n->arena, name, len);
}

static void take_braces(struct lex *l, struct sb_names *ret, bool *ret_vars)
{
	for (struct tok t = lex_next(l); t.kind && t.kind != '}'; t = lex_next(l)) {
		if (t.kind == 'w')
			sb_name_add(ret, t.s, t.n);
		*ret_vars |= t.kind == '$';
	}
}

/* A value as it stands after iif, device or define X: a word, a list, a variable; of a concatenation, every word. */
static void take_value(struct lex *l, struct sb_names *ret, bool *ret_vars)
{
	static const char *const between[] = { "vmap", "map", "eq", "ne", NULL };
	bool more = false;

	for (;;) {
		struct tok t = lex_next(l);

		if (t.kind == '{') {
			take_braces(l, ret, ret_vars);
			return;
		}
		if (t.kind == '$')
			*ret_vars = true;
		else if (tok_is(&t, "."))
			more = true;
		else if (tok_in(&t, between) || (t.kind && strchr("=!<>,", t.kind)))
			continue;
		else if (t.kind == 'w')
			sb_name_add(ret, t.s, t.n);
		else
			return;
		if (!more && !tok_is(&t, "."))
			return;
	}
}

static void scan(const char *text, size_t len, const char *const *after, struct sb_names *ret, bool *ret_vars)
{
	struct lex l = { text, text + len };

	for (struct tok t = lex_next(&l); t.kind; t = lex_next(&l)) {
		if (!tok_in(&t, after))
			continue;
		if (tok_is(&t, "define") || tok_is(&t, "redefine"))
			lex_next(&l);
		take_value(&l, ret, ret_vars);
	}
}

void sb_scan_devices(const char *text, size_t len, struct sb_names *ret)
{
	static const char *const keys[] = { "iif", "oif", "device", "devices", NULL };
	static const char *const defines[] = { "define", "redefine", NULL };
	static const char *const elements[] = { "elements", NULL };
	bool vars = false;

	scan(text, len, keys, ret, &vars);
	if (memmem(text, len, "iface_index", 11) || memmem(text, len, "typeof", 6))
		scan(text, len, elements, ret, &vars);
	if (vars)
		scan(text, len, defines, ret, &vars);
}

/* ------------------------------------------------------------------ recognition */

static bool is_address(const struct tok *t, int family)
{
	char buf[INET6_ADDRSTRLEN + 1], addr[16];
	size_t n = 0;

	while (n < t->n && t->s[n] != '/' && t->s[n] != '-')
		n++;
	if (!n || n >= sizeof(buf))
		return false;
	memcpy(buf, t->s, n);
	buf[n] = 0;
	return inet_pton(family, buf, addr) == 1;
}

/* Words that only ip6tables knows. */
static bool is_v6_word(const struct tok *t)
{
	static const char *const words[] = {
		"icmpv6", "ipv6-icmp", "icmp6", "--icmpv6-type", "icmp6-port-unreachable", "icmp6-adm-prohibited",
		"icmp6-addr-unreachable", "icmp6-no-route", "eui64", "ipv6header", "hbh", "--hl-eq", "--hl-lt", "--hl-gt", NULL
	};

	return tok_in(t, words);
}

static bool is_v4_word(const struct tok *t)
{
	static const char *const words[] = {
		"--icmp-type", "icmp-port-unreachable", "icmp-host-prohibited", "icmp-admin-prohibited",
		"icmp-host-unreachable", "icmp-net-unreachable", "--ttl-eq", "--ttl-lt", "--ttl-gt", NULL
	};

	return tok_in(t, words);
}

/* What tells the families apart: who wrote the text, else its first address, else words that one of them has. */
static enum fe_text_kind ipt_family(const char *text, size_t len)
{
	struct lex l = { text, text + len };
	enum fe_text_kind hint = FE_TEXT_IPT;
	bool option = false;

	if (memmem(text, len, "# Generated by ip6tables", 24))
		return FE_TEXT_IP6T;
	if (memmem(text, len, "# Generated by iptables", 23))
		return FE_TEXT_IPT;
	for (struct tok t = lex_next(&l); t.kind; t = lex_next(&l)) {
		if (option && t.kind == 'w' && is_address(&t, AF_INET6))
			return FE_TEXT_IP6T;
		if (option && t.kind == 'w' && is_address(&t, AF_INET))
			return FE_TEXT_IPT;
		if (is_v4_word(&t) || is_v6_word(&t))
			hint = is_v6_word(&t) ? FE_TEXT_IP6T : FE_TEXT_IPT;
		option = t.kind == 'w' && t.s[0] == '-' && !tok_is(&t, "--comment");
	}
	return hint;
}

/* The first word of the first line that says something decides; a line of iptables-save is "*table". */
enum fe_text_kind fe_text_recognise(const char *text, size_t len)
{
	static const char *const nft[] = {
		"table", "add", "create", "insert", "delete", "destroy", "flush", "replace", "rename", "reset", "list",
		"include", "define", "redefine", "undefine", "chain", "rule", "set", "map", "element", "flowtable", NULL
	};
	struct lex l = { text, text + len };
	struct tok t = lex_next(&l);

	while (t.kind == '\n' || t.kind == ';')
		t = lex_next(&l);
	if (t.kind == 'w' && t.n > 1 && t.s[0] == '*' && (t.s == text || t.s[-1] == '\n' || t.s[-1] == '\r'))
		return ipt_family(text, len);
	return tok_in(&t, nft) ? FE_TEXT_NFT : FE_TEXT_NONE;
}
