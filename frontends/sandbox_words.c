/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The words of a rule tool made into diagnostics. nft prints a place, a message, the line and carets under it; that is
 * kept as it is, only with the file's own name. Other tools print lines. Pure.
 */
#include <stdlib.h>
#include <string.h>

#include "sandbox.h"

#define MAX_DIAGS	16

struct line {
	const char *s;
	size_t n;
};

static struct line line_at(const char *s)
{
	struct line l = { s, strcspn(s, "\n") };

	return l;
}

static const char *after(struct line l)
{
	return l.s[l.n] ? l.s + l.n + 1 : l.s + l.n;
}

/* nft's third line: nothing but blanks, ^ and ~. */
static bool is_carets(struct line l)
{
	return memchr(l.s, '^', l.n) && strspn(l.s, " \t^~") >= l.n;
}

/* What the carets of a line stand under. */
static struct line marked(struct line text, struct line carets, size_t *at)
{
	size_t from = *at, to;

	while (from < carets.n && carets.s[from] != '^')
		from++;
	for (to = from; to < carets.n && carets.s[to] == '^'; to++)
		;
	*at = to;
	if (to > text.n)
		to = text.n;
	return from < to ? (struct line){ text.s + from, to - from } : (struct line){ text.s, 0 };
}

static void add_marked(struct sb_names *ret, struct line text, struct line carets)
{
	for (size_t at = 0; at < carets.n; ) {
		struct line m = marked(text, carets, &at);

		while (m.n && strchr("\"$ ", m.s[0]))
			m.s++, m.n--;
		while (m.n && strchr("\" ;", m.s[m.n - 1]))
			m.n--;
		if (m.n)
			sb_name_add(ret, m.s, m.n);
	}
}

/* The line with `path` for /dev/stdin, and without the word Error, which a diagnostic has itself. */
static const char *with_path(struct arena *a, struct line l, const char *path)
{
	static const char *const stands[] = { "/dev/stdin", "-", "stdin" };
	struct strbuf b = { .arena = a };
	const char *error = memmem(l.s, l.n, " Error:", 7);

	for (size_t i = 0; i < sizeof(stands) / sizeof(stands[0]); i++) {
		size_t n = strlen(stands[i]);

		if (l.n > n && !memcmp(l.s, stands[i], n) && l.s[n] == ':') {
			strbuf_add(&b, "%s", path ? path : "standard input");
			l.s += n;
			l.n -= n;
			break;
		}
	}
	if (error && error >= l.s) {
		strbuf_add_bytes(&b, l.s, (size_t)(error - l.s));
		l.n -= (size_t)(error + 7 - l.s);
		l.s = error + 7;
	}
	strbuf_add_bytes(&b, l.s, l.n);
	return b.s ? b.s : "";
}

static bool begins(struct line l, const char *with)
{
	return l.n >= strlen(with) && !memcmp(l.s, with, strlen(with));
}

/* "iptables-nft-restore v1.8.9 (nf_tables): " and nothing behind it: the lines below are the message. */
static bool is_heading(struct line l)
{
	while (l.n && l.s[l.n - 1] == ' ')
		l.n--;
	return l.n > 2 && !memcmp(l.s + l.n - 2, "):", 2) && memmem(l.s, l.n, "tables", 6);
}

/* Lines that say nothing of the rules: how to get help, who includes whom. */
static bool is_idle(struct line l)
{
	return !l.n || begins(l, "Try `") || begins(l, "In file included from") || begins(l, "Error occurred at line:") ||
	       is_heading(l);
}

/* iptables-nft-restore, of each rule that the kernel refuses: "line 3: RULE_APPEND failed (…): rule in chain INPUT". */
static unsigned long take_number(struct line *l)
{
	unsigned long at;
	char *end;

	if (!begins(*l, "line "))
		return 0;
	at = strtoul(l->s + 5, &end, 10);
	if (!at || end[0] != ':' || end[1] != ' ')
		return 0;
	l->n -= (size_t)(end + 2 - l->s);
	l->s = end + 2;
	return at;
}

/* nft's own form: where it is, then the word. */
static bool has_place(struct line l)
{
	return l.s && memmem(l.s, l.n, ": Error:", 8);
}

/* The line number that iptables-restore gives in a line of its own, 0 where it gives none. */
static unsigned long line_number(const char *words)
{
	static const char *const says[] = { "Error occurred at line: ", "restore: line " };

	for (size_t i = 0; i < sizeof(says) / sizeof(says[0]); i++) {
		const char *p = strstr(words, says[i]);

		if (p)
			return strtoul(p + strlen(says[i]), NULL, 10);
	}
	return 0;
}

/* A tab is one column, as in the tool's own places. */
static const char *without_tabs(struct arena *a, struct line l)
{
	char *s = arena_strndup(a, l.s, l.n);

	for (char *p = s; (p = strchr(p, '\t')); p++)
		*p = ' ';
	return s;
}

/* What is marked, with as many bytes behind and then before it as it takes to be found there and not earlier. */
static const char *mark_in(struct arena *a, const char *text, size_t at, size_t n)
{
	size_t len = strlen(text);

	for (;;) {
		const char *mark = arena_strndup(a, text + at, n);

		if (strstr(text, mark) == text + at)
			return mark;
		if (at + n == len)
			at--;
		n++;
	}
}

static void add_diag(struct arena *a, struct diags *ds, const char *place, const char *path, struct line message,
		     struct line text, struct line carets)
{
	bool placed = has_place(message);
	struct diag *d = diag_add(ds, DIAG_ERROR, NULL, "%s%s%s", placed ? "" : place, placed ? "" : ": ",
				  with_path(a, message, path));
	struct line m;
	size_t at = 0;

	if (!carets.n)
		return;
	m = marked(text, carets, &at);
	d->at.text = without_tabs(a, text);
	d->mark = m.n ? mark_in(a, d->at.text, (size_t)(m.s - text.s), m.n) : NULL;
}

void sb_words(struct arena *a, struct diags *ds, const char *tool, const char *path, const char *words,
	      struct sb_names *ret_marked)
{
	unsigned long at = line_number(words), own;
	uint32_t n = 0;

	for (const char *p = words; *p && n < MAX_DIAGS; ) {
		struct line l = line_at(p), text, carets = { p, 0 };
		const char *place = tool;

		p = after(l);
		if (is_idle(l))
			continue;
		own = take_number(&l);
		if (own || at)
			place = arena_printf(a, "%s:%lu", path ? path : "standard input", own ? own : at);
		text = line_at(p);
		if (*after(text))
			carets = line_at(after(text));
		if (carets.n && is_carets(carets))
			p = after(carets);
		else
			carets.n = 0;
		if (carets.n && ret_marked)
			add_marked(ret_marked, text, carets);
		if (ds)
			add_diag(a, ds, place, path, l, text, carets);
		n++;
	}
}
