/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Capture files: pcap (either byte order, microseconds or nanoseconds) and pcapng, read from memory without trusting a
 * length in them. A firewall is tested with what was captured where it stands, so the reader takes Ethernet and raw IP
 * and says no to the rest instead of guessing where a packet starts.
 */
#include <errno.h>
#include <string.h>

#include "packet.h"

#define ETH_HLEN	14
#define LINK_ETHERNET	1
#define LINK_RAW_BSD	12
#define LINK_RAW_OBSD	14
#define LINK_RAW	101
#define LINK_IP4	228
#define LINK_IP6	229

#define BLOCK_SECTION	0x0a0d0d0a
#define BLOCK_IFACE	1
#define BLOCK_PACKET	2	/* of the format's first drafts */
#define BLOCK_SIMPLE	3
#define BLOCK_ENHANCED	6
#define OPT_IF_NAME	2

struct iface {
	uint32_t link, snap;
	char name[16];
};

struct reader {
	struct arena *arena;
	struct diags *ds;
	const uint8_t *p;
	size_t len;
	bool big;
	struct iface *iface;
	uint32_t n_iface, iface_cap;
	struct packet *packet;
	uint32_t n, cap;
};

static int bad(struct reader *r, const char *what)
{
	diag_add(r->ds, DIAG_ERROR, NULL, "capture: packet %u: %s", r->n + 1, what);
	return -EINVAL;
}

static uint32_t u16(const struct reader *r, const uint8_t *p)
{
	return r->big ? p[0] << 8 | p[1] : p[1] << 8 | p[0];
}

static uint32_t u32(const struct reader *r, const uint8_t *p)
{
	uint32_t a = u16(r, p), b = u16(r, p + 2);

	return r->big ? a << 16 | b : b << 16 | a;
}

static bool is_raw(uint32_t link)
{
	return link == LINK_RAW || link == LINK_RAW_BSD || link == LINK_RAW_OBSD || link == LINK_IP4 || link == LINK_IP6;
}

/* A raw IP packet gets the Ethernet header that the packet language gives. */
static void add_ethernet(struct packet *p, const uint8_t *data, uint32_t len)
{
	unsigned int version = len ? data[0] >> 4 : 0;

	memcpy(p->frame, PACKET_MAC, 6);
	memcpy(p->frame + 6, PACKET_PEER, 6);
	p->frame[12] = version == 6 ? 0x86 : 0x08;
	p->frame[13] = version == 6 ? 0xdd : 0x00;
}

static int add_packet(struct reader *r, const struct iface *i, const uint8_t *data, uint32_t len, uint32_t whole)
{
	uint32_t head = is_raw(i->link) ? ETH_HLEN : 0;
	struct packet *p;

	if (i->link != LINK_ETHERNET && !head)
		return bad(r, "neither Ethernet nor raw IP");
	if (len < whole)
		diag_add(r->ds, DIAG_NOTE, NULL, "capture: packet %u: only %u of its %u bytes were captured", r->n + 1,
			 len, whole);
	if (r->n == r->cap) {
		uint32_t cap = r->cap ? r->cap * 2 : 16;

		r->packet = arena_grow(r->arena, r->packet, r->cap * sizeof(*p), cap * sizeof(*p));
		r->cap = cap;
	}
	p = &r->packet[r->n++];
	memset(p, 0, sizeof(*p));
	p->len = head + len;
	p->frame = arena_alloc(r->arena, p->len ? p->len : 1);
	if (head)
		add_ethernet(p, data, len);
	if (len)
		memcpy(p->frame + head, data, len);
	memcpy(p->iif, i->name, sizeof(p->iif));
	return 0;
}

/* ------------------------------------------------------------------ pcap */

static int read_classic(struct reader *r)
{
	struct iface i = { 0 };
	size_t at = 24;
	int err;

	if (r->len < at)
		return bad(r, "the file's header is cut");
	i.link = u32(r, r->p + 20) & 0x03ffffff;	/* above: how long a checksum is behind each frame */
	while (at < r->len) {
		uint32_t len, whole;

		if (r->len - at < 16)
			return bad(r, "the file ends in its header");
		len = u32(r, r->p + at + 8);
		whole = u32(r, r->p + at + 12);
		at += 16;
		if (len > r->len - at)
			return bad(r, "the file ends in it");
		err = add_packet(r, &i, r->p + at, len, whole);
		if (err)
			return err;
		at += len;
	}
	return 0;
}

/* ------------------------------------------------------------------ pcapng */

/* A block's body; every reader below has its length checked first. */
struct block {
	const uint8_t *p;
	uint32_t len;
};

static void iface_options(const struct reader *r, struct iface *i, const uint8_t *p, uint32_t len)
{
	while (len >= 4) {
		uint32_t code = u16(r, p), n = u16(r, p + 2), padded = (n + 3) & ~3u;

		if (code == 0 || padded > len - 4)
			return;
		if (code == OPT_IF_NAME && n < sizeof(i->name)) {
			memset(i->name, 0, sizeof(i->name));
			memcpy(i->name, p + 4, n);
		}
		p += 4 + padded;
		len -= 4 + padded;
	}
}

static int read_iface(struct reader *r, struct block b)
{
	struct iface *i;

	if (b.len < 8)
		return bad(r, "an interface description is too short");
	if (r->n_iface == r->iface_cap) {
		uint32_t cap = r->iface_cap ? r->iface_cap * 2 : 4;

		r->iface = arena_grow(r->arena, r->iface, r->iface_cap * sizeof(*i), cap * sizeof(*i));
		r->iface_cap = cap;
	}
	i = &r->iface[r->n_iface++];
	memset(i, 0, sizeof(*i));
	i->link = u16(r, b.p);
	i->snap = u32(r, b.p + 4);
	iface_options(r, i, b.p + 8, b.len - 8);
	return 0;
}

static int read_enhanced(struct reader *r, struct block b, bool draft)
{
	uint32_t iface, len;

	if (b.len < 20)
		return bad(r, "its block is too short");
	iface = draft ? u16(r, b.p) : u32(r, b.p);
	len = u32(r, b.p + 12);
	if (iface >= r->n_iface)
		return bad(r, "its interface was not described");
	if (len > b.len - 20)
		return bad(r, "longer than its block");
	return add_packet(r, &r->iface[iface], b.p + 20, len, u32(r, b.p + 16));
}

static int read_simple(struct reader *r, struct block b)
{
	uint32_t len, whole;

	if (b.len < 4)
		return bad(r, "its block is too short");
	if (r->n_iface == 0)
		return bad(r, "its interface was not described");
	len = whole = u32(r, b.p);
	if (r->iface[0].snap && len > r->iface[0].snap)
		len = r->iface[0].snap;
	if (len > b.len - 4)
		return bad(r, "longer than its block");
	return add_packet(r, &r->iface[0], b.p + 4, len, whole);
}

static int read_block(struct reader *r, uint32_t type, struct block b)
{
	switch (type) {
	case BLOCK_SECTION:
		r->n_iface = 0;
		return 0;
	case BLOCK_IFACE:
		return read_iface(r, b);
	case BLOCK_PACKET:
	case BLOCK_ENHANCED:
		return read_enhanced(r, b, type == BLOCK_PACKET);
	case BLOCK_SIMPLE:
		return read_simple(r, b);
	default:
		return 0;
	}
}

/* A section says in its first block which byte order it is in. */
static bool section_order(struct reader *r, const uint8_t *p)
{
	static const uint8_t big[] = { 0x1a, 0x2b, 0x3c, 0x4d }, little[] = { 0x4d, 0x3c, 0x2b, 0x1a };

	r->big = memcmp(p, big, 4) == 0;
	return r->big || memcmp(p, little, 4) == 0;
}

static int read_ng(struct reader *r)
{
	size_t at = 0;

	while (at < r->len) {
		const uint8_t *p = r->p + at;
		uint32_t type, len;
		int err;

		if (r->len - at < 12)
			return bad(r, "the file ends in a block's header");
		type = u32(r, p);	/* a section's type reads the same in both orders */
		if (type == BLOCK_SECTION && !section_order(r, p + 8))
			return bad(r, "a section has no byte order");
		len = u32(r, p + 4);
		if (len < 12 || len % 4 || len > r->len - at || u32(r, p + len - 4) != len)
			return bad(r, "a block's length is wrong");
		err = read_block(r, type, (struct block){ p + 8, len - 12 });
		if (err)
			return err;
		at += len;
	}
	return 0;
}

/* ------------------------------------------------------------------ */

static const struct {
	uint8_t magic[4];
	bool big;
	int (*read)(struct reader *r);
} formats[] = {
	{ { 0xa1, 0xb2, 0xc3, 0xd4 }, true, read_classic }, { { 0xd4, 0xc3, 0xb2, 0xa1 }, false, read_classic },
	{ { 0xa1, 0xb2, 0x3c, 0x4d }, true, read_classic }, { { 0x4d, 0x3c, 0xb2, 0xa1 }, false, read_classic },
	{ { 0x0a, 0x0d, 0x0d, 0x0a }, false, read_ng },
};

int pcap_read(struct arena *a, struct diags *ds, const uint8_t *data, size_t len, struct packet **ret, uint32_t *ret_n)
{
	struct reader r = { .arena = a, .ds = ds, .p = data, .len = len };
	int err = 1;

	for (size_t i = 0; len >= 4 && i < sizeof(formats) / sizeof(formats[0]) && err == 1; i++) {
		if (memcmp(data, formats[i].magic, 4) == 0) {
			r.big = formats[i].big;
			err = formats[i].read(&r);
		}
	}
	if (err == 1) {
		diag_add(ds, DIAG_ERROR, NULL, "capture: neither pcap nor pcapng");
		err = -EINVAL;
	}
	*ret = r.packet;
	*ret_n = r.n;
	return err;
}
