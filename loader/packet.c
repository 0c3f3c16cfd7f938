/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The packet language: a line of words becomes a frame.
 *
 * Tests and the command line need packets that a person can read and that may be wrong in one exact place. A packet is
 * written from the outside in, each word adding bytes at the end or changing the header that it follows; lengths, next
 * headers and checksums are filled in afterwards, unless a word says otherwise. docs/PACKETS.md is the grammar: each
 * row of it is a row of one of the tables below.
 */
#include <arpa/inet.h>
#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "packet.h"
#include "layout.h"

#define FRAME_MAX (256u << 10)
#define CAP_MIN 128

struct build {
	struct arena *arena;
	struct diags *ds;
	const char *text, *at;	/* at: behind the current word */
	const char *word;
	uint8_t *frame;
	uint32_t len, cap;
	struct layout l;
	uint32_t type;		/* where the last type field is */
	uint32_t next, ext;	/* where the last next-header field is, and the last extension header */
	bool set_type;
	uint32_t cut, pad;
	bool failed;
	struct packet *ret;
};

/* A word that follows a header and changes it: `bits` wide, `shift` from the right of the `len` bytes at `off`. */
struct setter {
	const char *word;
	uint8_t off, len, shift, bits;
};

static const struct setter ip4_setters[] = {
	{ "ttl", 8, 1, 0, 8 }, { "tos", 1, 1, 0, 8 }, { "id", 4, 2, 0, 16 }, { "ver", 0, 1, 4, 4 },
	{ "ihl", 0, 1, 0, 4 }, { "tot", 2, 2, 0, 16 }, { "flags", 6, 1, 5, 3 }, { NULL, 0, 0, 0, 0 }
};
static const struct setter ip6_setters[] = {
	{ "ttl", 7, 1, 0, 8 }, { "tos", 0, 2, 4, 8 }, { "flow", 1, 3, 0, 20 }, { "ver", 0, 1, 4, 4 },
	{ "tot", 4, 2, 0, 16 }, { NULL, 0, 0, 0, 0 }
};
static const struct setter ext_setters[] = { { "xlen", 1, 1, 0, 8 }, { NULL, 0, 0, 0, 0 } };
static const struct setter tcp_setters[] = {
	{ "seq", 4, 4, 0, 32 }, { "ack", 8, 4, 0, 32 }, { "doff", 12, 1, 4, 4 }, { "win", 14, 2, 0, 16 },
	{ "urg", 18, 2, 0, 16 }, { NULL, 0, 0, 0, 0 }
};
static const struct setter icmp_setters[] = { { "id", 4, 2, 0, 16 }, { "seq", 6, 2, 0, 16 }, { NULL, 0, 0, 0, 0 } };
static const struct setter no_setters[] = { { NULL, 0, 0, 0, 0 } };
static const struct setter udp_setters[] = { { "ulen", 4, 2, 0, 16 }, { NULL, 0, 0, 0, 0 } };

static void fail(struct build *b, const char *what)
{
	struct imr_at at = { .text = b->text };
	struct diag *d;

	if (b->failed)
		return;
	b->failed = true;
	d = diag_add(b->ds, DIAG_ERROR, &at, "packet: %s \"%s\"", what, b->word);
	if (*b->word)
		d->mark = b->word;
	d->hint = "the packet language is described in docs/PACKETS.md";
}

/* The next word, "" at the end. */
static const char *next_word(struct build *b)
{
	const char *start;

	while (isspace((unsigned char)*b->at))
		b->at++;
	start = b->at;
	while (*b->at && !isspace((unsigned char)*b->at))
		b->at++;
	b->word = arena_strndup(b->arena, start, b->at - start);
	return b->word;
}

static bool next_is(struct build *b, const char *word)
{
	const char *at = b->at, *was = b->word;

	if (strcmp(next_word(b), word) == 0)
		return true;
	b->at = at;
	b->word = was;
	return false;
}

static uint64_t number(struct build *b, uint64_t max)
{
	const char *w = next_word(b);
	unsigned long long v;
	char *end;

	errno = 0;
	v = strtoull(w, &end, 0);
	if (!isdigit((unsigned char)*w) || *end || errno || v > max) {
		fail(b, "not a number that fits here:");
		return 0;
	}
	return v;
}

static bool next_is_number(const struct build *b)
{
	const char *s = b->at;

	while (isspace((unsigned char)*s))
		s++;
	return isdigit((unsigned char)*s);
}

static void arrow(struct build *b)
{
	if (!next_is(b, ">")) {
		next_word(b);
		fail(b, "\">\" is missing before");
	}
}

static uint8_t *add(struct build *b, uint32_t n)
{
	uint32_t cap = b->cap;

	if (n > FRAME_MAX - b->len) {
		fail(b, "the packet becomes too long at");
		return b->frame;	/* there is room for any header behind its first byte */
	}
	while (cap - b->len < n)
		cap *= 2;
	if (cap > b->cap)
		b->frame = arena_grow(b->arena, b->frame, b->cap, cap);
	b->cap = cap;
	b->len += n;
	return b->frame + b->len - n;
}

static int digit(char c)
{
	return isdigit((unsigned char)c) ? c - '0' : isxdigit((unsigned char)c) ? (c | 0x20) - 'a' + 10 : -1;
}

static void add_hex(struct build *b)
{
	const char *w = next_word(b);

	if (!*w || strlen(w) % 2) {
		fail(b, "not an even number of hex digits:");
		return;
	}
	for (; *w && !b->failed; w += 2) {
		if (digit(w[0]) < 0 || digit(w[1]) < 0)
			fail(b, "not hex digits:");
		else
			*add(b, 1) = digit(w[0]) << 4 | digit(w[1]);
	}
}

static void mac(struct build *b, uint8_t *to)
{
	const char *w = next_word(b);

	for (int i = 0; i < 6; i++, w += 3) {
		if (digit(w[0]) < 0 || digit(w[1]) < 0 || w[2] != (i < 5 ? ':' : 0)) {
			fail(b, "not a link layer address:");
			return;
		}
		to[i] = digit(w[0]) << 4 | digit(w[1]);
	}
}

static void address(struct build *b, int family, uint8_t *to)
{
	if (inet_pton(family, next_word(b), to) != 1)
		fail(b, "not an address:");
}

static void device(struct build *b, char *to)
{
	const char *w = next_word(b);
	size_t n = strlen(w);

	if (n == 0 || n > 15)
		fail(b, "not the name of a device:");
	else
		memcpy(to, w, n + 1);
}

/* ------------------------------------------------------------------ headers */

static void word_in(struct build *b)
{
	device(b, b->ret->iif);
}

static void word_out(struct build *b)
{
	device(b, b->ret->oif);
}

static void word_eth(struct build *b)
{
	mac(b, b->frame + 6);
	arrow(b);
	mac(b, b->frame);
}

static void word_type(struct build *b)
{
	layout_put(b->frame + b->type, number(b, 0xffff), 2);
	b->set_type = true;
}

static void tag(struct build *b, unsigned int type)
{
	uint8_t *p;

	layout_put(b->frame + b->type, type, 2);
	p = add(b, 4);
	layout_put(p, number(b, 0xffff), 2);
	b->type = b->len - 2;
}

static void word_vlan(struct build *b)
{
	tag(b, 0x8100);
}

static void word_qinq(struct build *b)
{
	tag(b, 0x88a8);
}

static void start_network(struct build *b, unsigned int type, uint8_t family)
{
	if (!b->set_type)
		layout_put(b->frame + b->type, type, 2);
	b->l.nh = b->len;
	b->l.family = family;
}

static void word_ip(struct build *b)
{
	uint8_t *h;

	start_network(b, 0x0800, 4);
	h = add(b, 20);
	h[0] = 0x45;
	h[8] = 64;
	b->next = b->l.nh + 9;
	address(b, AF_INET, h + 12);
	arrow(b);
	address(b, AF_INET, h + 16);
}

static void word_ip6(struct build *b)
{
	uint8_t *h;

	start_network(b, 0x86dd, 6);
	h = add(b, 40);
	h[0] = 0x60;
	h[6] = 59;
	h[7] = 64;
	b->next = b->l.nh + 6;
	address(b, AF_INET6, h + 8);
	arrow(b);
	address(b, AF_INET6, h + 24);
}

/* IPv4 options: n bytes, filled with no-operation and counted in the header's length. */
static void word_opt(struct build *b)
{
	uint32_t n = number(b, 40);

	if (n % 4)
		fail(b, "not a multiple of 4:");
	else
		memset(add(b, n), 1, n);
	b->frame[b->l.nh] += n / 4;
}

static uint8_t *extension(struct build *b, uint8_t proto, uint32_t n)
{
	uint8_t *h;

	b->frame[b->next] = proto;
	b->ext = b->next = b->len;
	h = add(b, n);
	h[0] = 59;
	return h;
}

/* Filled with one skippable option after another, or padding where there is no room for one. */
static void options(struct build *b, uint8_t proto)
{
	uint32_t n = next_is_number(b) ? number(b, 2048) : 8;
	uint8_t *h;

	if (n < 8 || n % 8) {
		fail(b, "not a multiple of 8:");
		return;
	}
	h = extension(b, proto, n);
	if (b->failed)
		return;
	h[1] = n / 8 - 1;
	for (uint32_t i = 2; i + 2 <= n; i += 2 + h[i + 1]) {
		h[i] = n == 8 ? 1 : 0x1e;
		h[i + 1] = n - i - 2 < 255 ? n - i - 2 : n - i - 2 < 257 ? 128 : 255;
	}
}

static void word_hbh(struct build *b)
{
	options(b, 0);
}

static void word_dst(struct build *b)
{
	options(b, 60);
}

static void word_rt(struct build *b)
{
	extension(b, 43, 8);
}

static void word_ah(struct build *b)
{
	extension(b, 51, 24)[1] = 4;
}

static void word_frag(struct build *b)
{
	const char *w = next_word(b);
	char *end;
	unsigned long off = strtoul(w, &end, 0);
	bool more = *end == '+';
	uint8_t *h;

	if (!isdigit((unsigned char)*w) || off > 0x1fff || strcmp(end, more ? "+" : "") != 0) {
		fail(b, "not a fragment's offset in units of 8 bytes:");
		return;
	}
	if (b->l.family == 4) {
		h = b->frame + b->l.nh + 6;
		layout_put(h, (h[0] & 0xc0) << 8 | more << 13 | off, 2);
	} else {
		h = extension(b, 44, 8);
		layout_put(h + 2, off << 3 | more, 2);
		layout_put(h + 4, 1, 4);
	}
}

static void start_transport(struct build *b, uint8_t proto)
{
	b->frame[b->next] = proto;
	b->l.th = b->len;
	b->l.proto = proto;
}

static void ports(struct build *b, uint8_t *h)
{
	layout_put(h, number(b, 0xffff), 2);
	arrow(b);
	layout_put(h + 2, number(b, 0xffff), 2);
}

static void word_tcp(struct build *b)
{
	static const char letters[] = "FSRPAUEC";
	uint8_t *h, flags = 0;
	const char *at;

	start_transport(b, IPPROTO_TCP);
	h = add(b, 20);
	ports(b, h);
	h[12] = 5 << 4;
	layout_put(h + 14, 8192, 2);
	at = b->at;
	for (const char *w = next_word(b), *s; *w; w++) {
		s = strchr(letters, *w);
		flags |= s ? 1 << (s - letters) : 0;
		if (!s) {
			flags = 0;
			b->at = at;
			break;
		}
	}
	h[13] = flags;
}

/* TCP options as they are, at most 40 bytes, counted in the header's length. */
static void word_topt(struct build *b)
{
	uint32_t was = b->len;

	add_hex(b);
	if ((b->len - was) % 4 || b->len - was > 40)
		fail(b, "not a multiple of 4 bytes up to 40:");
	else
		b->frame[b->l.th + 12] += (b->len - was) / 4 << 4;
}

static void word_udp(struct build *b)
{
	start_transport(b, IPPROTO_UDP);
	ports(b, add(b, 8));
}

static void word_icmp(struct build *b)
{
	uint8_t *h;

	start_transport(b, b->l.family == 4 ? IPPROTO_ICMP : IPPROTO_ICMPV6);
	h = add(b, 8);
	h[0] = number(b, 255);
	h[1] = next_is_number(b) ? number(b, 255) : 0;
}

static void word_proto(struct build *b)
{
	start_transport(b, number(b, 255));
	b->l.proto = 0;
}

static void word_badsum(struct build *b)
{
	if (b->l.th == NONE)
		b->l.bad_ip = true;
	else
		b->l.bad_l4 = true;
}

static void word_len(struct build *b)
{
	add(b, number(b, FRAME_MAX));
}

static void word_cut(struct build *b)
{
	b->cut = number(b, FRAME_MAX);
}

static void word_pad(struct build *b)
{
	b->pad = number(b, FRAME_MAX);
}

/* ------------------------------------------------------------------ the language */

enum place { ANY, LINK, L3, IP4, IP6, TCP };	/* where a word may stand */

static const struct {
	const char *word;
	enum place place;
	void (*run)(struct build *b);
} words[] = {
	{ "in", LINK, word_in }, { "out", LINK, word_out }, { "eth", LINK, word_eth }, { "type", LINK, word_type },
	{ "vlan", LINK, word_vlan }, { "qinq", LINK, word_qinq }, { "ip", LINK, word_ip }, { "ip6", LINK, word_ip6 },
	{ "opt", IP4, word_opt }, { "hbh", IP6, word_hbh }, { "dst", IP6, word_dst }, { "rt", IP6, word_rt },
	{ "ah", IP6, word_ah }, { "frag", L3, word_frag }, { "tcp", L3, word_tcp }, { "udp", L3, word_udp },
	{ "icmp", L3, word_icmp }, { "proto", L3, word_proto }, { "topt", TCP, word_topt },
	{ "badsum", ANY, word_badsum }, { "payload", ANY, add_hex }, { "raw", ANY, add_hex }, { "len", ANY, word_len },
	{ "cut", ANY, word_cut }, { "pad", ANY, word_pad },
};

static bool stands_right(const struct build *b, enum place p)
{
	switch (p) {
	case LINK:	return b->l.nh == NONE;
	case L3:	return b->l.nh != NONE && b->l.th == NONE;
	case IP4:	return b->l.nh != NONE && b->l.th == NONE && b->l.family == 4;
	case IP6:	return b->l.nh != NONE && b->l.th == NONE && b->l.family == 6;
	case TCP:	return b->l.th != NONE && b->l.proto == IPPROTO_TCP;
	default:	return true;
	}
}

static bool set_field(struct build *b, const struct setter *s, uint32_t at)
{
	uint32_t mask, v;

	if (at == NONE)
		return false;
	while (s->word && strcmp(s->word, b->word) != 0)
		s++;
	if (!s->word)
		return false;
	b->l.set_tot |= strcmp(s->word, "tot") == 0;
	b->l.set_ulen |= strcmp(s->word, "ulen") == 0;
	mask = (s->bits == 32 ? UINT32_MAX : (1u << s->bits) - 1);
	v = number(b, mask);
	at += s->off;
	layout_put(b->frame + at, (layout_get(b->frame + at, s->len) & ~(mask << s->shift)) | v << s->shift, s->len);
	return true;
}

static const struct setter *transport_setters(uint8_t proto)
{
	switch (proto) {
	case IPPROTO_TCP:	return tcp_setters;
	case IPPROTO_UDP:	return udp_setters;
	case IPPROTO_ICMP:
	case IPPROTO_ICMPV6:	return icmp_setters;
	default:		return no_setters;
	}
}

static bool set_any(struct build *b)
{
	if (b->l.th != NONE)
		return set_field(b, transport_setters(b->l.proto), b->l.th);
	return set_field(b, ext_setters, b->ext) ||
	       set_field(b, b->l.family == 4 ? ip4_setters : ip6_setters, b->l.nh);
}

static void one_word(struct build *b)
{
	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
		if (strcmp(words[i].word, b->word) != 0)
			continue;
		if (stands_right(b, words[i].place))
			words[i].run(b);
		else
			fail(b, "out of place:");
		return;
	}
	if (!set_any(b))
		fail(b, "unknown word");
}

/* ------------------------------------------------------------------ a whole packet */

/* `frame`: the bytes themselves, with nothing filled in. */
static void whole_frame(struct build *b)
{
	b->len = 0;
	add_hex(b);
	while (!b->failed && *next_word(b))
		fail(b, "nothing may follow a whole frame:");
}

static void build(struct build *b)
{
	while (!b->failed && *next_word(b)) {
		if (strcmp(b->word, "frame") == 0) {
			whole_frame(b);
			return;
		}
		one_word(b);
	}
	if (b->failed)
		return;
	layout_finish(&b->l, b->frame, b->len);
	add(b, b->pad);
	if (b->cut < b->len)
		b->len = b->cut;
}

bool packet_parse(struct arena *a, struct diags *ds, const char *text, struct packet *ret)
{
	struct build b = { .arena = a, .ds = ds, .text = text, .at = text, .word = "", .ret = ret, .len = 14,
			   .cap = CAP_MIN, .l = { .nh = NONE, .th = NONE }, .type = 12, .next = NONE, .ext = NONE,
			   .cut = UINT32_MAX };

	memset(ret, 0, sizeof(*ret));
	b.frame = arena_alloc(a, CAP_MIN);
	memcpy(b.frame, PACKET_MAC, 6);
	memcpy(b.frame + 6, PACKET_PEER, 6);
	build(&b);
	ret->len = b.len;
	ret->frame = b.frame;
	return !b.failed;
}
