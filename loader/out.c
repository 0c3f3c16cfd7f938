/* SPDX-License-Identifier: GPL-2.0-only */
/* What the user reads: diagnostics as text or JSON on stderr, and the few JSON pieces that the verbs share. */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli.h"

/* What may not be shown is escaped; bytes that are no UTF-8 are U+FFFD. */
void json_str(struct strbuf *out, const char *s)
{
	strbuf_add(out, "\"");
	for (s = s ? s : ""; *s;) {
		uint32_t c;
		unsigned int n = plain_next(s, &c);

		if (*s == '"' || *s == '\\')
			strbuf_add(out, "\\%c", *s);
		else if (plain_shows(c))
			strbuf_add_bytes(out, s, n);
		else
			strbuf_add(out, "\\u%04x", c == PLAIN_NO_CHAR ? 0xfffd : c);
		s += n;
	}
	strbuf_add(out, "\"");
}

/* Rules' texts are whoever's: what controls a terminal is not printed to one. JSON has escaped it already, and what is
 * the input's own syntax reaches a file or a pipe as it is. */
void cli_put(const struct cli *c, const struct strbuf *text, bool syntax)
{
	struct strbuf plain = { .arena = c->arena };

	if (text->len && !c->json && (!syntax || isatty(STDOUT_FILENO))) {
		strbuf_add_plain(&plain, arena_strndup(c->arena, text->s, text->len), "\n\t");
		text = &plain;
	}
	if (text->len)
		fwrite(text->s, 1, text->len, stdout);
	fflush(stdout);
}

bool cli_colour(void)
{
	return isatty(STDERR_FILENO) && !getenv("NO_COLOR");
}

static int exit_of(enum diag_level level)
{
	switch (level) {
	case DIAG_ERROR: return EXIT_INPUT;
	case DIAG_UNSUPPORTED: return EXIT_INEXACT;
	case DIAG_NOTE: return EXIT_DONE;
	}
	return EXIT_INPUT;
}

static void diag_json(struct strbuf *out, const struct diag *d)
{
	strbuf_add(out, "{\"%s\":{\"code\":%d,\"message\":", d->level == DIAG_NOTE ? "note" : "error", exit_of(d->level));
	json_str(out, d->message);
	if (d->at.where) {
		strbuf_add(out, ",\"at\":{\"tool\":");
		json_str(out, d->at.tool);
		strbuf_add(out, ",\"chain\":");
		json_str(out, d->at.where);
		strbuf_add(out, ",\"rule\":%u", d->at.number);
		if (d->at.handle)
			strbuf_add(out, ",\"handle\":%llu", (unsigned long long)d->at.handle);
		if (d->at.text) {
			strbuf_add(out, ",\"text\":");
			json_str(out, d->at.text);
		}
		strbuf_add(out, "}");
	}
	if (d->hint) {
		strbuf_add(out, ",\"hint\":");
		json_str(out, d->hint);
	}
	strbuf_add(out, "}}\n");
}

int cli_diags(struct cli *c, enum diag_level least)
{
	struct strbuf out = { .arena = c->arena };
	bool colour = cli_colour() && !c->json;
	int r = EXIT_DONE;

	for (uint32_t i = 0; i < c->diags->n; i++) {
		const struct diag *d = &c->diags->d[i];

		if (d->level < least)
			continue;
		if (exit_of(d->level) > r || d->level == DIAG_ERROR)
			r = exit_of(d->level);
		if (colour && d->level != DIAG_NOTE)
			strbuf_add(&out, "\033[31m");
		if (c->json)
			diag_json(&out, d);
		else
			diag_print(&out, d);
		if (colour && d->level != DIAG_NOTE)
			strbuf_add(&out, "\033[0m");
	}
	c->diags->n = 0;
	if (out.len)
		fwrite(out.s, 1, out.len, stderr);
	return r;
}

bool at_same(const struct imr_at *a, const struct imr_at *b)
{
	return a->number == b->number && a->handle == b->handle && a->where && b->where && !strcmp(a->where, b->where) &&
	       a->tool && b->tool && !strcmp(a->tool, b->tool);
}
