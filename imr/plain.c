/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Text that may be shown. Names and comments come from other people's rules: what is no UTF-8, controls a terminal or
 * turns the direction of the line around reaches nobody's screen.
 */
#include "imr.h"

static bool is_more(char c)
{
	return ((unsigned char)c & 0xc0) == 0x80;
}

unsigned int plain_next(const char *s, uint32_t *ret)
{
	static const uint32_t least[] = { 0, 0, 0x80, 0x800, 0x10000 };
	unsigned char c = (unsigned char)*s;
	unsigned int n = c < 0x80 ? 1 : c >> 5 == 6 ? 2 : c >> 4 == 14 ? 3 : c >> 3 == 30 ? 4 : 0;
	uint32_t v = n <= 1 ? c : c & (0xffu >> (n + 1));

	for (unsigned int i = 1; i < n; i++) {
		if (!is_more(s[i]))
			n = 0;
		v = v << 6 | ((unsigned char)s[i] & 0x3f);
	}
	*ret = PLAIN_NO_CHAR;
	if (!n || v < least[n] || v > 0x10ffff || (v >= 0xd800 && v < 0xe000))
		return 1;
	*ret = v;
	return n;
}

/* Unicode's C0 and C1, line and paragraph separators, and all that has Bidi_Control. */
bool plain_shows(uint32_t c)
{
	static const uint32_t not_shown[][2] = {
		{ 0, 0x1f }, { 0x7f, 0x9f }, { 0x61c, 0x61c }, { 0x200e, 0x200f }, { 0x2028, 0x202e }, { 0x2066, 0x2069 },
		{ PLAIN_NO_CHAR, PLAIN_NO_CHAR },
	};

	for (size_t i = 0; i < sizeof(not_shown) / sizeof(not_shown[0]); i++)
		if (c >= not_shown[i][0] && c <= not_shown[i][1])
			return false;
	return true;
}

void strbuf_add_plain(struct strbuf *out, const char *s, const char *keep)
{
	while (*s) {
		uint32_t c;
		unsigned int n = plain_next(s, &c);
		bool shows = plain_shows(c);

		for (const char *k = keep; !shows && *k; k++)
			shows = (unsigned char)*k == c;
		strbuf_add_bytes(out, shows ? s : "?", shows ? n : 1);
		s += n;
	}
}
