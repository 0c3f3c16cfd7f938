/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Diagnostics: what is said to the one who wrote the rule. They are collected as values while a compilation goes on,
 * and printed by whoever called it. Names and texts may come from another namespace's kernel: control characters never
 * reach the terminal.
 */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "imr.h"

struct diag *diag_add(struct diags *ds, enum diag_level level, const struct imr_at *at, const char *fmt, ...)
{
	struct diag *d;
	char *message;
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(NULL, 0, fmt, ap);
	va_end(ap);
	message = arena_alloc(ds->arena, n < 0 ? 1 : (size_t)n + 1);
	va_start(ap, fmt);
	if (n > 0)
		vsnprintf(message, (size_t)n + 1, fmt, ap);
	va_end(ap);

	if (ds->n == ds->cap) {
		uint32_t cap = ds->cap ? ds->cap * 2 : 8;

		ds->d = arena_grow(ds->arena, ds->d, ds->n * sizeof(*d), cap * sizeof(*d));
		ds->cap = cap;
	}
	d = &ds->d[ds->n++];
	*d = (struct diag){ .level = level, .message = message };
	if (at)
		d->at = *at;
	return d;
}

bool diags_have(const struct diags *ds, enum diag_level at_least)
{
	for (uint32_t i = 0; i < ds->n; i++)
		if (ds->d[i].level >= at_least)
			return true;
	return false;
}

/* Columns of the first n bytes of a text. */
static int columns(const char *s, size_t n)
{
	const char *end = s + n;
	uint32_t c;
	int w = 0;

	for (; s < end; s += plain_next(s, &c))
		w++;
	return w;
}

static void print_caret(struct strbuf *out, const char *text, const char *mark)
{
	const char *found = mark && *mark ? strstr(text, mark) : NULL;
	int indent, width;

	if (!found)
		return;
	indent = columns(text, (size_t)(found - text));
	width = columns(found, strlen(mark));
	strbuf_add(out, "%*s", indent, "");
	for (int i = 0; i < width; i++)
		strbuf_add_bytes(out, "^", 1);
	strbuf_add_bytes(out, "\n", 1);
}

/* A note without a rule is of a table. */
static void print_place(struct strbuf *out, const struct imr_at *at, bool note)
{
	strbuf_add_plain(out, at->where, "");
	if (at->number)
		strbuf_add(out, " rule %u", at->number);
	else if (!note)
		strbuf_add(out, " policy");
	if (at->handle)
		strbuf_add(out, " (handle %llu)", (unsigned long long)at->handle);
	strbuf_add(out, ": ");
}

void diag_print(struct strbuf *out, const struct diag *d)
{
	if (d->at.where)
		print_place(out, &d->at, d->level == DIAG_NOTE);
	strbuf_add(out, "%s: ", d->level == DIAG_NOTE ? "note" : "error");
	strbuf_add_plain(out, d->message, "");
	strbuf_add(out, "\n");
	if (d->at.text) {
		strbuf_add_plain(out, d->at.text, "");
		strbuf_add(out, "\n");
		print_caret(out, d->at.text, d->mark);
	}
	if (d->hint) {
		strbuf_add(out, "hint: ");
		strbuf_add_plain(out, d->hint, "");
		strbuf_add(out, "\n");
	}
}
