/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Rules' texts as their own tools print them, for messages and listings; no meaning is ever taken from them. nft's are
 * found by handle, which is unique in a table; iptables' by their turn in a chain. What a rule has counted is told apart
 * from its text, which then names it from one reading to the next. What does not look as expected yields no text, never
 * an error.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "frontend.h"

struct text {
	const char *group;	/* "nft ip filter", "ipt 2 filter INPUT" */
	uint64_t key;		/* handle, number */
	const char *s;
	uint64_t packets, bytes;	/* counted when it was printed */
};
struct fe_texts {
	struct arena *arena;
	uint32_t n, cap;
	struct text *t;		/* sorted by group, key */
};

static struct text *text_add(struct fe_texts *t, const char *group, uint64_t key, const char *s)
{
	if (t->n == t->cap) {
		uint32_t cap = t->cap ? t->cap * 2 : 64;

		t->t = arena_grow(t->arena, t->t, t->n * sizeof(*t->t), cap * sizeof(*t->t));
		t->cap = cap;
	}
	t->t[t->n] = (struct text){ .group = group, .key = key, .s = s };
	return &t->t[t->n++];
}

static int text_cmp(const void *pa, const void *pb)
{
	const struct text *a = pa, *b = pb;
	int d = strcmp(a->group, b->group);

	return d ? d : a->key < b->key ? -1 : a->key > b->key;
}

static const struct text *text_find(const struct fe_texts *t, const char *group, uint64_t key)
{
	struct text want = { .group = group, .key = key };

	return t->n ? bsearch(&want, t->t, t->n, sizeof(want), text_cmp) : NULL;
}

static const char *text_of(const struct fe_texts *t, const char *group, uint64_t key)
{
	const struct text *found = text_find(t, group, key);

	return found ? found->s : NULL;
}

/* One line of *s, without its end and without blanks around; false at the end. */
static bool line_next(struct arena *a, const char **s, const char *end, char **ret)
{
	const char *p = *s, *nl;

	if (p == end)
		return false;
	nl = memchr(p, '\n', end - p);
	*s = nl ? nl + 1 : end;
	if (!nl)
		nl = end;
	while (p < nl && (*p == ' ' || *p == '\t'))
		p++;
	while (nl > p && (nl[-1] == ' ' || nl[-1] == '\t' || nl[-1] == '\r'))
		nl--;
	*ret = arena_strndup(a, p, nl - p);
	return true;
}

/* ------------------------------------------------------------------ nft */

/* Takes " # handle N" off the end of a line. */
static bool handle_cut(char *line, uint64_t *ret)
{
	size_t n = strlen(line), i = n;
	static const char sign[] = "# handle ";

	while (i && line[i - 1] >= '0' && line[i - 1] <= '9')
		i--;
	if (i == n || n - i > 19 || i < strlen(sign) || strncmp(line + i - strlen(sign), sign, strlen(sign)))
		return false;
	*ret = strtoull(line + i, NULL, 10);
	i -= strlen(sign);
	while (i && line[i - 1] == ' ')
		i--;
	line[i] = '\0';
	return true;
}

/* Braces opened less closed, outside quotes. */
static int depth_of(const char *line)
{
	bool quoted = false;
	int d = 0;

	for (; *line; line++) {
		if (*line == '"')
			quoted = !quoted;
		else if (!quoted)
			d += (*line == '{') - (*line == '}');
	}
	return d;
}

/* "counter packets P bytes B" is "counter" in the text; the numbers of the first that is not in braces, an element's or a
 * nested rule's, are the rule's. */
static void nft_text_add(struct fe_texts *t, const char *group, uint64_t handle, char *line)
{
	struct text *x = text_add(t, group, handle, line);
	char *from = line, *to = line;
	bool quoted = false, first = true;
	int depth = 0;

	while (*from) {
		unsigned long long packets, bytes;
		int n = 0;

		quoted ^= *from == '"';
		if (!quoted)
			depth += (*from == '{') - (*from == '}');
		if (!quoted && !strncmp(from, "counter packets ", 16) &&
		    sscanf(from, "counter packets %llu bytes %llu%n", &packets, &bytes, &n) == 2 && n) {
			if (first && !depth)
				*x = (struct text){ group, handle, line, packets, bytes };
			first &= depth > 0;
			memmove(to, "counter", 7);
			to += 7;
			from += n;
		} else {
			*to++ = *from++;
		}
	}
	*to = '\0';
}

struct nft_text {
	struct fe_texts *t;
	const char *group;	/* of the table being read, NULL outside */
	int depth;		/* 0 outside, 1 in a table, 2 in a chain or set, 3 in an element list or a nested chain */
	bool chain;		/* the block at depth 2 is a chain */
	struct strbuf open;	/* the lines of a rule that goes on, up to now */
	int open_depth;
};

static void nft_block(struct nft_text *x, char *line)
{
	char family[16], table[300];

	if (x->depth == 0 && sscanf(line, "table %15s %299[^{ \t]", family, table) == 2)
		x->group = arena_printf(x->t->arena, "nft %s %s", family, table);
	else if (x->depth == 1)
		x->chain = !strncmp(line, "chain ", 6);
}

/* A line inside a chain. A rule ends in its handle; before that its braces may stay open over lines, be it a set's or a
 * nested chain's, whose rules end in their own handles. */
static void nft_rule_line(struct nft_text *x, char *line)
{
	uint64_t handle;
	bool ends = handle_cut(line, &handle);
	int d = depth_of(line);

	if (ends && d == 0 && line[0] != '}' && x->group) {	/* whole, be it nested */
		nft_text_add(x->t, x->group, handle, line);
		return;
	}
	if (x->open_depth == 0)
		x->open = (struct strbuf){ .arena = x->t->arena };
	strbuf_add(&x->open, "%s%s", x->open_depth || x->open.len ? " " : "", line);
	x->open_depth += d;
	if (ends && x->open_depth == 0 && x->group)
		nft_text_add(x->t, x->group, handle, x->open.s);
}

static void nft_texts(struct fe_texts *t, const struct fe_rec *r)
{
	const char *s = (const char *)r->data, *end = s + r->len;
	struct nft_text x = { .t = t };
	uint64_t handle;
	char *line;

	while (line_next(t->arena, &s, end, &line)) {
		bool rules = x.chain && x.depth >= 2;

		if (rules && x.open_depth == 0 && !strcmp(line, "}"))
			rules = false;
		if (rules) {
			nft_rule_line(&x, line);
			continue;
		}
		handle_cut(line, &handle);
		nft_block(&x, line);
		x.depth += depth_of(line);
		if (x.depth <= 1)
			x.chain = false;
		if (x.depth <= 0) {
			x.depth = 0;
			x.group = NULL;
		}
	}
}

const char *fe_texts_nft(const struct fe_texts *t, const char *family, const char *table, const char *chain,
			 uint64_t handle)
{
	return text_of(t, arena_printf(t->arena, "nft %s %s", family, table), handle);
}

/* ------------------------------------------------------------------ iptables */

static const char *ipt_group(struct arena *a, uint8_t family, const char *table, const char *chain)
{
	return arena_printf(a, "ipt %u %s %s", family, table, chain);
}

/* "-A CHAIN …", after "[packets:bytes] " where iptables-save printed counters. */
static char *ipt_rule(char *line)
{
	char *p = line;

	if (*p == '[') {
		p = strchr(p, ']');
		if (!p || p[1] != ' ')
			return NULL;
		p += 2;
	}
	return strncmp(p, "-A ", 3) ? NULL : p;
}

struct ipt_text {
	struct fe_texts *t;
	uint8_t family;
	char table[64];
	char chain[64];		/* of the last rule */
	uint32_t number;
};

/* What stands between brackets: iptables-save -c before a rule, always behind a policy. */
static void ipt_count(struct text *t, const char *bracket)
{
	unsigned long long packets, bytes;

	if (bracket && sscanf(bracket, "[%llu:%llu]", &packets, &bytes) == 2) {
		t->packets = packets;
		t->bytes = bytes;
	}
}

static void ipt_line(struct ipt_text *x, char *line)
{
	char name[64], policy[64];
	char *rule = ipt_rule(line);
	struct text *t;

	if (line[0] == '*') {
		snprintf(x->table, sizeof(x->table), "%s", line + 1);
		x->chain[0] = '\0';
	} else if (sscanf(line, ":%63s %63s", name, policy) == 2) {
		if (!strcmp(policy, "-"))
			return;
		t = text_add(x->t, ipt_group(x->t->arena, x->family, x->table, name), 0,
			     arena_printf(x->t->arena, "-P %s %s", name, policy));
		ipt_count(t, strchr(line, '['));
	} else if (rule && sscanf(rule, "-A %63s", name) == 1) {
		if (strcmp(x->chain, name))	/* iptables-save prints a chain's rules together */
			x->number = 0;
		memcpy(x->chain, name, sizeof(name));
		t = text_add(x->t, ipt_group(x->t->arena, x->family, x->table, name), ++x->number, rule);
		ipt_count(t, line);
	}
}

static void ipt_texts(struct fe_texts *t, const struct fe_rec *r)
{
	const char *s = (const char *)r->data, *end = s + r->len;
	struct ipt_text x = { .t = t, .family = r->family };
	char *line;

	while (line_next(t->arena, &s, end, &line))
		ipt_line(&x, line);
}

const char *fe_texts_ipt(const struct fe_texts *t, uint8_t family, const char *table, const char *chain,
			 uint32_t number)
{
	return text_of(t, ipt_group(t->arena, family, table, chain), number);
}

bool fe_texts_count(const struct fe_texts *t, const struct imr_at *at, uint64_t *ret_packets, uint64_t *ret_bytes)
{
	char family[16], table[300], chain[300];
	const struct text *found;

	if (!at->where || !at->tool || sscanf(at->where, "%15s %299s %299s", family, table, chain) != 3)
		return false;
	if (!strcmp(at->tool, "nft"))
		found = at->number ? text_find(t, arena_printf(t->arena, "nft %s %s", family, table), at->handle) : NULL;
	else
		found = text_find(t, ipt_group(t->arena, strcmp(at->tool, "ip6tables") ? 2 : 10, table, chain), at->number);
	if (!found)
		return false;
	*ret_packets = found->packets;
	*ret_bytes = found->bytes;
	return true;
}

struct fe_texts *fe_texts_new(struct arena *a, const struct fe_capture *c)
{
	struct fe_texts *t = arena_alloc(a, sizeof(*t));

	t->arena = a;
	for (uint32_t i = 0; i < c->n; i++) {
		if (c->rec[i].kind == FE_NFT_TEXT)
			nft_texts(t, &c->rec[i]);
		else if (c->rec[i].kind == FE_IPT_TEXT)
			ipt_texts(t, &c->rec[i]);
	}
	if (t->n)
		qsort(t->t, t->n, sizeof(*t->t), text_cmp);
	return t;
}
