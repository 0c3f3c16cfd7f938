/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Words, numbers, strings and constants of the text form, private to imr/: what parse.c reads a program with. The first
 * error is kept, with its line and column; every function returns false from then on.
 */
#ifndef FWJIT_LEX_H
#define FWJIT_LEX_H

#include "imr.h"

struct lex {
	struct arena *arena;
	struct diags *diags;
	const char *p, *end;
	const char *line_start;
	uint32_t line;		/* from 1 */
	bool failed;
};

struct lex_pos {
	uint32_t line, column;
};
struct lex_pos lex_here(struct lex *x);		/* of the next word: blanks are skipped */
bool lex_fail_at(struct lex *x, struct lex_pos at, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
bool lex_fail(struct lex *x, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* The next character, blanks aside: 0 at the end of the line or a comment. */
char lex_peek(struct lex *x);
bool lex_take(struct lex *x, char c);		/* takes c if it is next; no error if not */
bool lex_expect(struct lex *x, char c);
bool lex_end_line(struct lex *x);		/* nothing more on this line; goes to the next */
bool lex_skip_lines(struct lex *x);		/* blank lines and comments; false at the end of the text */

/* A word as it lies in the text, at most LEX_WORD long; empty where there is none. */
#define LEX_WORD 63
struct lex_word {
	uint32_t len;
	const char *s;
};
struct lex_word lex_peek_word(struct lex *x);
struct lex_word lex_word(struct lex *x);
bool lex_word_is(struct lex_word w, const char *s);
bool lex_take_word(struct lex *x, const char *s);	/* takes s if it is next */
bool lex_expect_word(struct lex *x, const char *s);

bool lex_number(struct lex *x, uint64_t max, uint64_t *ret);
bool lex_string(struct lex *x, const char **ret);
bool lex_value(struct lex *x, enum imr_type t, u128 *ret);
bool lex_set(struct lex *x, enum imr_type t, const struct imr_set **ret);

#endif
