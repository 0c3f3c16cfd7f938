/* SPDX-License-Identifier: GPL-2.0-only */
/* Words, numbers, strings and constants of the text form. Linear, bounded by the text, never recursing. */
#include <arpa/inet.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "lex.h"
#include "text.h"

/* ------------------------------------------------------------------ places and errors */

static void skip_blanks(struct lex *x)
{
	while (x->p < x->end && (*x->p == ' ' || *x->p == '\t' || *x->p == '\r'))
		x->p++;
}

static struct lex_pos pos_of(const struct lex *x, const char *p)
{
	return (struct lex_pos){ .line = x->line, .column = (uint32_t)(p - x->line_start) + 1 };
}

struct lex_pos lex_here(struct lex *x)
{
	skip_blanks(x);
	return pos_of(x, x->p);
}

static bool fail_va(struct lex *x, struct lex_pos at, const char *fmt, va_list ap)
{
	char what[256];

	if (x->failed)
		return false;
	x->failed = true;
	vsnprintf(what, sizeof(what), fmt, ap);
	diag_add(x->diags, DIAG_ERROR, NULL, "line %u, column %u: %s", at.line, at.column, what);
	return false;
}

bool lex_fail_at(struct lex *x, struct lex_pos at, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	fail_va(x, at, fmt, ap);
	va_end(ap);
	return false;
}

bool lex_fail(struct lex *x, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	fail_va(x, lex_here(x), fmt, ap);
	va_end(ap);
	return false;
}

/* ------------------------------------------------------------------ characters and lines */

char lex_peek(struct lex *x)
{
	skip_blanks(x);
	return x->p < x->end && *x->p != '\n' && *x->p != '#' ? *x->p : 0;
}

bool lex_take(struct lex *x, char c)
{
	if (x->failed || lex_peek(x) != c)
		return false;
	x->p++;
	return true;
}

bool lex_expect(struct lex *x, char c)
{
	return lex_take(x, c) || lex_fail(x, "'%c' expected", c);
}

static void next_line(struct lex *x)
{
	const char *nl = memchr(x->p, '\n', (size_t)(x->end - x->p));

	x->p = nl ? nl + 1 : x->end;
	if (nl) {
		x->line++;
		x->line_start = x->p;
	}
}

bool lex_end_line(struct lex *x)
{
	if (x->failed)
		return false;
	skip_blanks(x);
	if (x->p < x->end && *x->p != '\n' && *x->p != '#')
		return lex_fail(x, "end of line expected");
	next_line(x);
	return true;
}

bool lex_skip_lines(struct lex *x)
{
	if (x->failed)
		return false;
	for (;;) {
		skip_blanks(x);
		if (x->p == x->end)
			return false;
		if (*x->p != '\n' && *x->p != '#')
			return true;
		next_line(x);
	}
}

/* ------------------------------------------------------------------ words and numbers */

struct lex_word lex_peek_word(struct lex *x)
{
	struct lex_word w = { 0 };

	skip_blanks(x);
	w.s = x->p;
	while (x->p + w.len < x->end && text_is_word(x->p[w.len]) && w.len <= LEX_WORD)
		w.len++;
	return w;
}

struct lex_word lex_word(struct lex *x)
{
	struct lex_word w = lex_peek_word(x);

	if (w.len > LEX_WORD) {
		lex_fail(x, "the word is too long");
		w.len = 0;
	}
	x->p += w.len;
	return w;
}

bool lex_word_is(struct lex_word w, const char *s)
{
	return strlen(s) == w.len && !memcmp(w.s, s, w.len);
}

bool lex_take_word(struct lex *x, const char *s)
{
	struct lex_word w = lex_peek_word(x);

	if (x->failed || !lex_word_is(w, s))
		return false;
	x->p += w.len;
	return true;
}

bool lex_expect_word(struct lex *x, const char *s)
{
	return lex_take_word(x, s) || lex_fail(x, "\"%s\" expected", s);
}

static int digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	return c >= 'A' && c <= 'F' ? c - 'A' + 10 : 99;
}

enum digits { DIGITS_OK, DIGITS_NONE, DIGITS_TOO_LARGE };

/* n characters that are a number, decimal or after 0x hexadecimal. */
static enum digits read_digits(const char *s, size_t n, u128 max, u128 *ret)
{
	unsigned int base = 10;
	u128 v = 0;

	if (n > 2 && s[0] == '0' && s[1] == 'x') {
		base = 16;
		s += 2;
		n -= 2;
	}
	if (!n)
		return DIGITS_NONE;
	for (size_t i = 0; i < n; i++)
		if (digit(s[i]) >= (int)base)
			return DIGITS_NONE;
	for (size_t i = 0; i < n; i++) {
		unsigned int d = (unsigned int)digit(s[i]);

		if (d > max || v > (max - d) / base)
			return DIGITS_TOO_LARGE;
		v = v * base + d;
	}
	*ret = v;
	return DIGITS_OK;
}

bool lex_number(struct lex *x, uint64_t max, uint64_t *ret)
{
	struct lex_pos at = lex_here(x);
	struct lex_word w = lex_word(x);
	u128 v = 0;

	if (x->failed)
		return false;
	switch (read_digits(w.s, w.len, max, &v)) {
	case DIGITS_OK:
		*ret = (uint64_t)v;
		return true;
	case DIGITS_NONE:
		return lex_fail_at(x, at, "a number expected");
	case DIGITS_TOO_LARGE:
		return lex_fail_at(x, at, "the number is larger than %llu", (unsigned long long)max);
	}
	return false;
}

/* ------------------------------------------------------------------ strings */

struct raw {
	char *s;
	size_t len;
	bool star, star_last;	/* an unescaped '*' is among them; it is one, the last */
};

static bool read_escape(struct lex *x, char *ret)
{
	size_t left = (size_t)(x->end - x->p);

	if (left >= 1 && (x->p[0] == '"' || x->p[0] == '\\')) {
		*ret = *x->p++;
		return true;
	}
	if (left < 3 || x->p[0] != 'x' || digit(x->p[1]) > 15 || digit(x->p[2]) > 15)
		return lex_fail_at(x, pos_of(x, x->p - 1), "\\\", \\\\ or \\xNN expected");
	*ret = (char)(digit(x->p[1]) * 16 + digit(x->p[2]));
	if (!*ret)
		return lex_fail_at(x, pos_of(x, x->p - 1), "a string has no zero byte");
	x->p += 3;
	return true;
}

static bool read_raw(struct lex *x, struct raw *ret)
{
	struct lex_pos at = lex_here(x);
	const char *close;

	if (x->failed)
		return false;
	if (!lex_take(x, '"'))
		return lex_fail_at(x, at, "a string in quotes expected");
	for (close = x->p; close < x->end && *close != '"' && *close != '\n'; close++)
		if (*close == '\\' && close + 1 < x->end && close[1] != '\n')
			close++;
	*ret = (struct raw){ .s = arena_alloc(x->arena, (size_t)(close - x->p) + 1) };
	while (x->p < x->end && *x->p != '"' && *x->p != '\n') {
		char c = *x->p++;

		if (!c)
			return lex_fail_at(x, pos_of(x, x->p - 1), "a string has no zero byte");
		ret->star_last = c == '*' && !ret->star;
		ret->star |= c == '*';
		if (c == '\\' && !read_escape(x, &c))
			return false;
		ret->s[ret->len++] = c;
	}
	if (x->p == x->end || *x->p != '"')
		return lex_fail_at(x, at, "the string is not closed on its line");
	x->p++;
	return true;
}

bool lex_string(struct lex *x, const char **ret)
{
	struct raw raw;

	if (!read_raw(x, &raw))
		return false;
	*ret = raw.s;
	return true;
}

static u128 name_value(const char *s, size_t len)
{
	u128 v = 0;

	for (size_t i = 0; i < 16; i++)
		v = v << 8 | (i < len ? (unsigned char)s[i] : 0);
	return v;
}

/* A name, or in a set all names that begin like it. */
static bool read_name(struct lex *x, bool in_set, struct imr_range *ret)
{
	struct lex_pos at = lex_here(x);
	struct raw raw;
	unsigned int rest;

	if (!read_raw(x, &raw))
		return false;
	if (raw.star && (!raw.star_last || !in_set))
		return lex_fail_at(x, at, "'*' stands at the end of a name in a set only; \\x2a is the character");
	raw.len -= raw.star;
	if (raw.len > 16)
		return lex_fail_at(x, at, "a name has at most 16 bytes");
	ret->lo = name_value(raw.s, raw.len);
	ret->hi = ret->lo;
	rest = (unsigned int)(16 - raw.len) * 8;
	if (raw.star && rest)
		ret->hi |= ~(u128)0 >> (128 - rest);
	return true;
}

/* ------------------------------------------------------------------ constants */

static u128 from_bytes(const uint8_t *b, unsigned int n)
{
	u128 v = 0;

	while (n-- > 0)
		v = v << 8 | *b++;
	return v;
}

static bool read_mac(const char *s, size_t n, u128 *ret)
{
	*ret = 0;
	if (n != 17)
		return false;
	for (size_t i = 0; i < n; i++) {
		if (i % 3 == 2 ? s[i] != ':' : digit(s[i]) > 15)
			return false;
		if (i % 3 != 2)
			*ret = *ret << 4 | (unsigned int)digit(s[i]);
	}
	return true;
}

/* s is NUL-terminated. */
static bool read_address(enum imr_show show, const char *s, size_t n, u128 *ret)
{
	uint8_t b[16];

	if (show == SHOW_MAC)
		return read_mac(s, n, ret);
	if (show != SHOW_IP4 && show != SHOW_IP6)
		return false;
	if (inet_pton(show == SHOW_IP4 ? AF_INET : AF_INET6, s, b) != 1)
		return false;
	*ret = from_bytes(b, show == SHOW_IP4 ? 4 : 16);
	return true;
}

static bool read_constant(struct lex *x, enum imr_type t, u128 *ret)
{
	struct lex_pos at = lex_here(x);
	char s[LEX_WORD + 1];
	size_t n = 0;

	if (x->failed)
		return false;
	while (x->p < x->end && (text_is_word(*x->p) || *x->p == ':') && n < LEX_WORD)
		s[n++] = *x->p++;
	s[n] = 0;
	if (n == LEX_WORD)
		return lex_fail_at(x, at, "the constant is too long");
	switch (read_digits(s, n, imr_type_max(t), ret)) {
	case DIGITS_OK:
		return true;
	case DIGITS_TOO_LARGE:
		return lex_fail_at(x, at, "the constant is too large for the type %s", imr_types[t].name);
	case DIGITS_NONE:
		break;
	}
	return read_address(imr_types[t].show, s, n, ret) ||
	       lex_fail_at(x, at, "a constant of type %s expected", imr_types[t].name);
}

bool lex_value(struct lex *x, enum imr_type t, u128 *ret)
{
	struct imr_range r = { 0 };

	if (imr_types[t].show != SHOW_NAME || lex_peek(x) != '"')
		return read_constant(x, t, ret);
	if (!read_name(x, false, &r))
		return false;
	*ret = r.lo;
	return true;
}

/* VALUE, VALUE-VALUE, ADDRESS/BITS, "name*" */
static bool read_range(struct lex *x, enum imr_type t, struct imr_range *ret)
{
	unsigned int bits = imr_types[t].bits;
	uint64_t prefix;
	u128 host;

	if (imr_types[t].show == SHOW_NAME && lex_peek(x) == '"')
		return read_name(x, true, ret);
	if (!read_constant(x, t, &ret->lo))
		return false;
	ret->hi = ret->lo;
	if (lex_take(x, '-'))
		return read_constant(x, t, &ret->hi);
	if (!lex_take(x, '/'))
		return true;
	if (!lex_number(x, bits, &prefix))
		return false;
	host = prefix == bits ? 0 : imr_type_max(t) >> prefix;
	if (ret->lo & host)
		return lex_fail(x, "the prefix has bits beyond its length");
	ret->hi = ret->lo | host;
	return true;
}

static bool add_range(struct lex *x, enum imr_type t, struct imr_set *s)
{
	struct lex_pos at = lex_here(x);
	struct imr_range r;

	if (!read_range(x, t, &r))
		return false;
	s->r = arena_grow(x->arena, s->r, s->n * sizeof(r), (s->n + 1) * sizeof(r));
	s->r[s->n++] = r;
	if (r.lo > r.hi)
		return lex_fail_at(x, at, "the range ends before it begins");
	if (s->n > 1 && (r.lo <= s->r[s->n - 2].hi || r.lo == s->r[s->n - 2].hi + 1))
		return lex_fail_at(x, at, "sets are ascending, their ranges disjoint and not adjacent");
	return true;
}

bool lex_set(struct lex *x, enum imr_type t, const struct imr_set **ret)
{
	struct imr_set *s = arena_alloc(x->arena, sizeof(*s));

	*ret = s;
	if (!lex_take(x, '{'))
		return add_range(x, t, s);
	if (lex_take(x, '}'))
		return true;
	do
		if (!add_range(x, t, s))
			return false;
	while (lex_take(x, ','));
	return lex_expect(x, '}');
}
