/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A frame as text of the packet language.
 *
 * What a person wants to read first is who sends what to whom; what a test wants is the same bytes again. So the frame
 * is described by its headers, the description is parsed, and only if that does not give the same packet the bytes
 * themselves are written. A describer that misses something is therefore never wrong, only less readable.
 */
#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>

#include "layout.h"
#include "packet.h"

struct text {
	struct strbuf out;
	const struct packet *p;
	uint32_t at, end;	/* the part that is not described yet */
};

static void hex(struct strbuf *out, const uint8_t *p, uint32_t len)
{
	for (uint32_t i = 0; i < len; i++)
		strbuf_add(out, "%02x", p[i]);
}

static bool is_zero(const uint8_t *p, uint32_t len)
{
	for (uint32_t i = 0; i < len; i++)
		if (p[i])
			return false;
	return true;
}

static void mac(struct strbuf *out, const uint8_t *p)
{
	strbuf_add(out, "%02x:%02x:%02x:%02x:%02x:%02x", p[0], p[1], p[2], p[3], p[4], p[5]);
}

/* " word n", unless it is what the language gives anyway. */
static void field(struct text *t, const char *word, uint32_t v, uint32_t usual)
{
	if (v != usual)
		strbuf_add(&t->out, " %s %u", word, v);
}

static void devices(struct text *t)
{
	if (t->p->iif[0])
		strbuf_add(&t->out, " in %s", t->p->iif);
	if (t->p->oif[0])
		strbuf_add(&t->out, " out %s", t->p->oif);
}

static void rest(struct text *t)
{
	const uint8_t *p = t->p->frame + t->at;
	uint32_t n = t->end - t->at, pad = t->p->len - t->end;

	if (n && is_zero(p, n)) {
		strbuf_add(&t->out, " len %u", n);
	} else if (n) {
		strbuf_add(&t->out, " payload ");
		hex(&t->out, p, n);
	}
	if (pad)
		strbuf_add(&t->out, " pad %u", pad);
}

static void tcp(struct text *t)
{
	static const char letters[] = "FSRPAUEC";
	const uint8_t *h = t->p->frame + t->at;
	uint32_t opt = (h[12] >> 4) * 4;

	strbuf_add(&t->out, " tcp %u > %u", layout_get(h, 2), layout_get(h + 2, 2));
	if (h[13])
		strbuf_add(&t->out, " ");
	for (int i = 0; i < 8; i++)
		if (h[13] & 1 << i)
			strbuf_add(&t->out, "%c", letters[i]);
	field(t, "seq", layout_get(h + 4, 4), 0);
	field(t, "ack", layout_get(h + 8, 4), 0);
	field(t, "win", layout_get(h + 14, 2), 8192);
	field(t, "urg", layout_get(h + 18, 2), 0);
	if (opt > 20 && opt <= t->end - t->at) {
		strbuf_add(&t->out, " topt ");
		hex(&t->out, h + 20, opt - 20);
		t->at += opt - 20;
	} else {
		field(t, "doff", opt / 4, 5);
	}
	t->at += 20;
}

static void udp(struct text *t)
{
	const uint8_t *h = t->p->frame + t->at;

	strbuf_add(&t->out, " udp %u > %u", layout_get(h, 2), layout_get(h + 2, 2));
	field(t, "ulen", layout_get(h + 4, 2), t->end - t->at);
	t->at += 8;
}

static void icmp(struct text *t)
{
	const uint8_t *h = t->p->frame + t->at;

	strbuf_add(&t->out, " icmp %u %u", h[0], h[1]);
	field(t, "id", layout_get(h + 4, 2), 0);
	field(t, "seq", layout_get(h + 6, 2), 0);
	t->at += 8;
}

static void transport(struct text *t, uint8_t proto, bool v6, bool whole)
{
	uint32_t n = t->end - t->at;

	if (whole && proto == IPPROTO_TCP && n >= 20)
		tcp(t);
	else if (whole && proto == IPPROTO_UDP && n >= 8)
		udp(t);
	else if (whole && proto == (v6 ? IPPROTO_ICMPV6 : IPPROTO_ICMP) && n >= 8)
		icmp(t);
	else
		strbuf_add(&t->out, " proto %u", proto);
}

static void fragment(struct text *t, uint32_t units, bool more)
{
	strbuf_add(&t->out, " frag %u%s", units, more ? "+" : "");
}

/* The end of the packet by its own header's length, which counts from behind `head` bytes. */
static void set_end(struct text *t, uint32_t head, uint32_t len)
{
	if (head + len <= t->p->len - t->at && head + len >= 20)
		t->end = t->at + head + len;
	else
		strbuf_add(&t->out, " tot %u", len);
}

static void ip4(struct text *t)
{
	const uint8_t *h = t->p->frame + t->at;
	char src[INET_ADDRSTRLEN], dst[INET_ADDRSTRLEN];
	uint32_t hlen = (h[0] & 15) * 4, frag = layout_get(h + 6, 2);

	strbuf_add(&t->out, " ip %s > %s", inet_ntop(AF_INET, h + 12, src, sizeof(src)),
		   inet_ntop(AF_INET, h + 16, dst, sizeof(dst)));
	field(t, "ttl", h[8], 64);
	field(t, "tos", h[1], 0);
	field(t, "id", layout_get(h + 4, 2), 0);
	field(t, "ver", h[0] >> 4, 4);
	field(t, "flags", (frag & 0xc000) >> 13, 0);
	if (frag & 0x3fff)
		fragment(t, frag & 0x1fff, frag & 0x2000);
	set_end(t, 0, layout_get(h + 2, 2));
	if (hlen > 20 && hlen <= t->end - t->at) {
		strbuf_add(&t->out, " opt %u", hlen - 20);
		t->at += hlen;
	} else {
		t->at += 20;
	}
	transport(t, h[9], false, !(frag & 0x1fff));
}

static bool extension(struct text *t, uint8_t *next)
{
	static const struct { uint8_t proto, usual; const char *word; } known[] = {
		{ 0, 0, "hbh" }, { 60, 0, "dst" }, { 43, 0, "rt" }, { 51, 24, "ah" }
	};
	const uint8_t *h = t->p->frame + t->at;
	uint32_t n = t->end - t->at, len;

	if (n < 8)
		return false;
	len = *next == 51 ? (h[1] + 2) * 4 : *next == 44 ? 8 : (h[1] + 1) * 8;
	if (len > n)
		return false;
	if (*next == 44)
		fragment(t, layout_get(h + 2, 2) >> 3, h[3] & 1);
	for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
		if (known[i].proto != *next)
			continue;
		strbuf_add(&t->out, " %s", known[i].word);
		if (len != 8 && len != known[i].usual)
			strbuf_add(&t->out, " %u", len);
	}
	*next = h[0];
	t->at += len;
	return true;
}

static bool is_extension(uint8_t next)
{
	return next == 0 || next == 43 || next == 44 || next == 51 || next == 60;
}

static void ip6(struct text *t)
{
	const uint8_t *h = t->p->frame + t->at;
	char src[INET6_ADDRSTRLEN], dst[INET6_ADDRSTRLEN];
	bool whole = true;
	uint8_t next = h[6];

	strbuf_add(&t->out, " ip6 %s > %s", inet_ntop(AF_INET6, h + 8, src, sizeof(src)),
		   inet_ntop(AF_INET6, h + 24, dst, sizeof(dst)));
	field(t, "ttl", h[7], 64);
	field(t, "tos", layout_get(h, 2) >> 4 & 0xff, 0);
	field(t, "flow", layout_get(h + 1, 3) & 0xfffff, 0);
	field(t, "ver", h[0] >> 4, 6);
	set_end(t, 40, layout_get(h + 4, 2));
	t->at += 40;
	while (is_extension(next) && whole) {
		bool later = next == 44 && t->end - t->at >= 8 && layout_get(t->p->frame + t->at + 2, 2) >> 3;

		if (!extension(t, &next))
			break;
		whole = !later;
	}
	if (next != 59 || t->at < t->end)
		transport(t, next, true, whole);
}

static void headers(struct text *t)
{
	const uint8_t *f = t->p->frame;
	uint32_t type = layout_get(f + 12, 2);

	if (memcmp(f, PACKET_MAC, 6) || memcmp(f + 6, PACKET_PEER, 6)) {
		strbuf_add(&t->out, " eth ");
		mac(&t->out, f + 6);
		strbuf_add(&t->out, " > ");
		mac(&t->out, f);
	}
	t->at = 14;
	while ((type == 0x8100 || type == 0x88a8) && t->end - t->at >= 4) {
		strbuf_add(&t->out, " %s %u", type == 0x8100 ? "vlan" : "qinq", layout_get(f + t->at, 2));
		type = layout_get(f + t->at + 2, 2);
		t->at += 4;
	}
	if (type == 0x0800 && t->end - t->at >= 20)
		ip4(t);
	else if (type == 0x86dd && t->end - t->at >= 40)
		ip6(t);
	else
		strbuf_add(&t->out, " type 0x%04x", type);
}

static bool gives_same(struct arena *a, const char *text, const struct packet *p)
{
	struct diags ds = { .arena = a };
	struct packet q;

	return packet_parse(a, &ds, text, &q) && q.len == p->len && memcmp(q.frame, p->frame, p->len) == 0;
}

const char *packet_describe(struct arena *a, const struct packet *p)
{
	struct text t = { .out = { .arena = a }, .p = p, .end = p->len };

	devices(&t);
	if (p->len >= 14) {
		headers(&t);
		rest(&t);
		if (gives_same(a, t.out.s, p))
			return t.out.s + 1;
	}
	t.out = (struct strbuf){ .arena = a };
	devices(&t);
	strbuf_add(&t.out, p->len ? " frame " : " cut 0");
	hex(&t.out, p->frame, p->len);
	return t.out.s + 1;
}
