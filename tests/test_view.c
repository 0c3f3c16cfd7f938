/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What lies under every verdict: the packet language, capture files, the view of a frame from a hook, and the reference
 * interpreter. Each row of the table is a frame and what docs/SEMANTICS.md says a hook sees of it.
 */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "imr.h"
#include "packet.h"

static struct arena *arena;
static struct diags diags;

static void setup(void)
{
	arena = arena_new();
	diags = (struct diags){ .arena = arena };
}

static void teardown(void)
{
	arena_free(arena);
}

/* The frame in a block of its own size, so that a read behind it is seen. */
static struct imr_pkt pkt_of(const char *text)
{
	struct imr_pkt pkt = { .iif = 2, .oif = 3, .iifname = "eth0", .oifname = "eth1", .mac = PACKET_MAC };
	struct packet p;
	uint8_t *frame;

	ck_assert_msg(packet_parse(arena, &diags, text, &p), "%s: %s", text, diags.n ? diags.d[0].message : "");
	frame = malloc(p.len ? p.len : 1);
	memcpy(frame, p.frame, p.len);
	pkt.frame = frame;
	pkt.len = p.len;
	return pkt;
}

/* ------------------------------------------------------------------ view */

#define OUT -1		/* never reaches the hook */
#define NO_TH -2

static const struct {
	const char *text;
	enum imr_hook hook;
	int th_proto;		/* or OUT, NO_TH */
	uint32_t th, fragoff, len;	/* th: from the network header */
} views[] = {
	{ "ip 1.2.3.4 > 10.1.2.3 tcp 99 > 22 S", HOOK_IP_INPUT, 6, 20, 0, 40 },
	{ "ip 1.2.3.4 > 10.1.2.3 opt 4 tcp 99 > 22 S", HOOK_IP_INPUT, 6, 24, 0, 44 },
	{ "ip 1.2.3.4 > 10.1.2.3 tcp 99 > 22 S", HOOK_IP6_INPUT, OUT, 0, 0, 0 },
	{ "ip 1.2.3.4 > 10.1.2.3 tcp 99 > 22 S pad 9", HOOK_IP_INPUT, 6, 20, 0, 40 },
	{ "ip 1.2.3.4 > 10.1.2.3 tcp 99 > 22 S pad 9", HOOK_NETDEV_INGRESS, 6, 20, 0, 49 },
	{ "ip 1.2.3.4 > 10.1.2.3 badsum tcp 99 > 22 S", HOOK_IP_INPUT, OUT, 0, 0, 0 },
	{ "ip 1.2.3.4 > 10.1.2.3 badsum tcp 99 > 22 S", HOOK_NETDEV_INGRESS, 6, 20, 0, 40 },
	{ "ip 1.2.3.4 > 10.1.2.3 ver 7 tcp 99 > 22 S", HOOK_IP_PREROUTING, OUT, 0, 0, 0 },
	{ "ip 1.2.3.4 > 10.1.2.3 ver 7 tcp 99 > 22 S", HOOK_NETDEV_INGRESS, NO_TH, 0, 0, 40 },
	{ "ip 1.2.3.4 > 10.1.2.3 ver 7 tcp 99 > 22 S", HOOK_INET_INGRESS, OUT, 0, 0, 0 },
	{ "ip 1.2.3.4 > 10.1.2.3 ihl 4 tcp 99 > 22 S", HOOK_NETDEV_INGRESS, NO_TH, 0, 0, 40 },
	{ "ip 1.2.3.4 > 10.1.2.3 tot 41 tcp 99 > 22 S", HOOK_IP_FORWARD, OUT, 0, 0, 0 },
	{ "ip 1.2.3.4 > 10.1.2.3 tot 41 tcp 99 > 22 S", HOOK_NETDEV_INGRESS, NO_TH, 0, 0, 40 },
	{ "ip 1.2.3.4 > 10.1.2.3 tot 20 tcp 99 > 22 S", HOOK_IP_FORWARD, 6, 20, 0, 20 },
	{ "ip 1.2.3.4 > 10.1.2.3 frag 0+ udp 1 > 53", HOOK_IP_PREROUTING, 17, 20, 0, 28 },
	{ "ip 1.2.3.4 > 10.1.2.3 frag 0+ udp 1 > 53", HOOK_IP_INPUT, OUT, 0, 0, 0 },
	{ "ip 1.2.3.4 > 10.1.2.3 frag 8 udp 1 > 53", HOOK_IP_FORWARD, 17, 20, 8, 28 },
	{ "ip 1.2.3.4 > 10.1.2.3 frag 8 udp 1 > 53", HOOK_EARLY_L3, OUT, 0, 0, 0 },
	{ "ip 1.2.3.4 > 10.1.2.3 flags 2 udp 1 > 53", HOOK_EARLY_L3, 17, 20, 0, 28 },
	{ "eth 02:00:00:00:00:09 > 02:00:00:00:00:02 ip 1.2.3.4 > 10.1.2.3 udp 1 > 2", HOOK_IP_INPUT, OUT, 0, 0, 0 },
	{ "eth 02:00:00:00:00:09 > 01:00:5e:00:00:02 ip 1.2.3.4 > 10.1.2.3 udp 1 > 2", HOOK_IP_INPUT, 17, 20, 0, 28 },
	{ "vlan 5 ip 1.2.3.4 > 10.1.2.3 udp 1 > 2", HOOK_IP_INPUT, OUT, 0, 0, 0 },
	{ "vlan 0 ip 1.2.3.4 > 10.1.2.3 udp 1 > 2", HOOK_IP_INPUT, 17, 20, 0, 28 },
	{ "vlan 0 vlan 0 ip 1.2.3.4 > 10.1.2.3 udp 1 > 2", HOOK_IP_INPUT, 17, 20, 0, 28 },
	{ "vlan 0 vlan 7 ip 1.2.3.4 > 10.1.2.3 udp 1 > 2", HOOK_IP_INPUT, OUT, 0, 0, 0 },
	{ "vlan 0 ip 1.2.3.4 > 10.1.2.3 udp 1 > 2", HOOK_EARLY_L3, OUT, 0, 0, 0 },
	{ "vlan 5 ip 1.2.3.4 > 10.1.2.3 udp 1 > 2", HOOK_NETDEV_INGRESS, 17, 20, 0, 28 },
	{ "qinq 5 vlan 7 ip 1.2.3.4 > 10.1.2.3 udp 1 > 2", HOOK_NETDEV_INGRESS, NO_TH, 0, 0, 32 },
	{ "vlan 5 type 0x0800 cut 19", HOOK_NETDEV_INGRESS, OUT, 0, 0, 0 },
	{ "type 0x88b5 payload 0102", HOOK_NETDEV_INGRESS, NO_TH, 0, 0, 2 },
	{ "type 0x88b5 payload 0102", HOOK_INET_INGRESS, OUT, 0, 0, 0 },
	{ "cut 13", HOOK_NETDEV_INGRESS, OUT, 0, 0, 0 },
	{ "type 0x0800 cut 14", HOOK_NETDEV_INGRESS, NO_TH, 0, 0, 0 },
	{ "ip6 fd01::1 > fd02::2 tcp 9 > 22 S", HOOK_IP6_INPUT, 6, 40, 0, 60 },
	{ "ip6 fd01::1 > fd02::2 tcp 9 > 22 S pad 3", HOOK_INET_INPUT, 6, 40, 0, 60 },
	{ "ip6 ff02::1 > fd02::2 tcp 9 > 22 S", HOOK_IP6_INPUT, OUT, 0, 0, 0 },
	{ "ip6 fd01::1 > ::1 tcp 9 > 22 S", HOOK_IP6_INPUT, OUT, 0, 0, 0 },
	{ "ip6 ::1 > fd02::2 tcp 9 > 22 S", HOOK_IP6_INPUT, OUT, 0, 0, 0 },
	{ "ip6 fd01::1 > ff01::2 udp 9 > 22", HOOK_IP6_PREROUTING, OUT, 0, 0, 0 },
	{ "ip6 fd01::1 > ff10::2 udp 9 > 22", HOOK_IP6_PREROUTING, OUT, 0, 0, 0 },
	{ "ip6 fd01::1 > ff02::2 udp 9 > 22", HOOK_IP6_PREROUTING, 17, 40, 0, 48 },
	{ "ip6 ::ffff:1.2.3.4 > fd02::2 udp 9 > 22", HOOK_IP6_PREROUTING, 17, 40, 0, 48 },
	{ "ip6 fd01::1 > fd02::2 hbh dst rt dst 16 tcp 9 > 22", HOOK_IP6_INPUT, 6, 80, 0, 100 },
	{ "ip6 fd01::1 > fd02::2 hbh tcp 9 > 22", HOOK_EARLY_L3, OUT, 0, 0, 0 },
	{ "ip6 fd01::1 > fd02::2 dst tcp 9 > 22", HOOK_EARLY_L3, 6, 48, 0, 68 },
	{ "ip6 fd01::1 > fd02::2 ah frag 0 tcp 9 > 22", HOOK_EARLY_L3, OUT, 0, 0, 0 },
	{ "ip6 fd01::1 > fd02::2 ah tcp 9 > 22", HOOK_IP6_INPUT, 51, 40, 0, 84 },
	{ "ip6 fd01::1 > fd02::2 frag 0+ tcp 9 > 22", HOOK_IP6_INPUT, 6, 48, 0, 68 },
	{ "ip6 fd01::1 > fd02::2 frag 3 udp 9 > 22", HOOK_IP6_INPUT, 17, 0, 24, 56 },
	{ "ip6 fd01::1 > fd02::2 frag 3 dst udp 9 > 22", HOOK_IP6_INPUT, NO_TH, 0, 0, 64 },
	{ "ip6 fd01::1 > fd02::2", HOOK_IP6_INPUT, 59, 40, 0, 40 },
	{ "ip6 fd01::1 > fd02::2 proto 60 payload 06", HOOK_IP6_INPUT, NO_TH, 0, 0, 41 },
	{ "ip6 fd01::1 > fd02::2 dst xlen 9 tcp 9 > 22", HOOK_IP6_INPUT, 1, 120, 0, 68 },
	{ "ip6 fd01::1 > fd02::2 proto 0 payload 3a000502000000000100", HOOK_IP6_INPUT, 58, 48, 0, 50 },
	{ "ip6 fd01::1 > fd02::2 proto 0 payload 3a00c20400010000", HOOK_IP6_INPUT, OUT, 0, 0, 0 },
	{ "ip6 fd01::1 > fd02::2 proto 0 payload 3a000105000000000000", HOOK_IP6_INPUT, OUT, 0, 0, 0 },
	{ "ip6 fd01::1 > fd02::2 tot 99 tcp 9 > 22", HOOK_NETDEV_INGRESS, NO_TH, 0, 0, 60 },
	{ "ip6 fd01::1 > fd02::2 tcp 9 > 22 pad 7", HOOK_NETDEV_INGRESS, 6, 40, 0, 67 },
};

START_TEST(view_row)
{
	struct imr_profile profile = { .th_fast_frag = true };
	struct imr_pkt pkt = pkt_of(views[_i].text);
	const char *text = views[_i].text;
	struct imr_view v;

	imr_view(&v, &pkt, views[_i].hook, &profile);
	ck_assert_msg(v.domain == (views[_i].th_proto != OUT), "%s: domain %d", text, v.domain);
	if (v.domain) {
		ck_assert_msg(v.len == views[_i].len, "%s: len %u", text, v.len);
		ck_assert_msg(v.th_ok == (views[_i].th_proto != NO_TH), "%s: th.ok %d", text, v.th_ok);
	}
	/* An over-long header leads behind the packet: only where there is one is the protocol read from it. */
	if (v.domain && v.th_ok && v.th <= v.end) {
		ck_assert_msg(v.th_proto == views[_i].th_proto, "%s: th.proto %u", text, v.th_proto);
		ck_assert_msg(v.th - v.nh == views[_i].th, "%s: th %u", text, v.th - v.nh);
		ck_assert_msg(v.th_fragoff == views[_i].fragoff, "%s: th.fragoff %u", text, v.th_fragoff);
	}
	free((void *)pkt.frame);
}
END_TEST

START_TEST(view_ah)
{
	struct imr_pkt pkt = pkt_of("ip6 fd01::1 > fd02::2 ah tcp 9 > 22");
	struct imr_profile profile = { 0 };
	struct imr_view v;

	imr_view(&v, &pkt, HOOK_IP6_INPUT, &profile);
	ck_assert(v.tx_ok);
	ck_assert_uint_eq(v.tx_proto, 6);
	ck_assert_uint_eq(v.tx - v.nh, 64);
	free((void *)pkt.frame);
}
END_TEST

START_TEST(view_bound)
{
	struct imr_pkt pkt = pkt_of("ip6 fd01::1 > fd02::2 dst xlen 9 tcp 9 > 22");
	struct imr_profile profile = { 0 };
	struct imr_view v;

	imr_view(&v, &pkt, HOOK_IP6_INPUT, &profile);
	ck_assert(v.th_ok && v.th > v.end && v.th_proto == 6);
	profile.v6_exthdr_bound = true;
	imr_view(&v, &pkt, HOOK_IP6_INPUT, &profile);
	ck_assert(v.domain && !v.th_ok && !v.tx_ok);
	free((void *)pkt.frame);
}
END_TEST

/* Any bytes at all: nothing is read that is not there. */
START_TEST(view_noise)
{
	static const uint8_t likely[] = { 0, 6, 17, 43, 44, 51, 58, 59, 60, 0x45, 0x60, 0x08, 0x81, 0x86, 0xdd };
	struct imr_profile profile = { .v6_exthdr_bound = _i & 1 };
	struct imr_view v;

	srandom(_i);
	for (int n = 0; n < 20000; n++) {
		struct imr_pkt pkt = { .len = random() % 90, .mac = PACKET_MAC };
		uint8_t *frame = malloc(pkt.len ? pkt.len : 1);

		for (uint32_t i = 0; i < pkt.len; i++)
			frame[i] = random() % 3 ? likely[random() % sizeof(likely)] : random();
		if (pkt.len >= 14 && random() % 4) {
			memcpy(frame, PACKET_MAC, 6);
			memcpy(frame + 12, random() & 1 ? "\x08\x00" : random() & 1 ? "\x86\xdd" : "\x81\x00", 2);
		}
		pkt.frame = frame;
		for (enum imr_hook h = HOOK_NONE + 1; h < HOOK_MAX; h++) {
			imr_view(&v, &pkt, h, &profile);
			ck_assert(!v.domain || (v.ll <= v.nh && v.nh <= v.end && v.end <= pkt.len));
		}
		free(frame);
	}
}
END_TEST

/* ------------------------------------------------------------------ packets */

static const char *const round_trips[] = {
	"in eth0 ip 1.2.3.4 > 10.1.2.3 tcp 99 > 22 S",
	"in eth0 out eth1 vlan 5 ip 1.2.3.4 > 10.1.2.3 ttl 1 tos 16 id 7 flags 2 udp 1 > 53 payload 0102",
	"eth 02:00:00:00:00:01 > ff:ff:ff:ff:ff:ff type 0x0806 payload 0001",
	"ip 1.2.3.4 > 10.1.2.3 frag 8+ proto 17 payload 0035", "ip 1.2.3.4 > 10.1.2.3 opt 8 icmp 8 0 id 1 seq 2 len 56",
	"ip6 fd01::1 > fd02::2 flow 53 hbh dst 24 rt ah frag 0+ tcp 1 > 2 SA seq 1 ack 2 win 3 topt 020405b4",
	"ip6 fd01::1 > fd02::2 icmp 128 0 len 8 pad 4", "ip6 fd01::1 > fd02::2", "frame 0102", "cut 0",
};

START_TEST(packet_round_trip)
{
	struct packet p, q;
	const char *text = round_trips[_i];

	ck_assert_msg(packet_parse(arena, &diags, text, &p), "%s: %s", text, diags.n ? diags.d[0].message : "");
	ck_assert_str_eq(packet_describe(arena, &p), text);
	ck_assert(packet_parse(arena, &diags, packet_describe(arena, &p), &q));
	ck_assert_uint_eq(p.len, q.len);
	ck_assert_int_eq(memcmp(p.frame, q.frame, p.len), 0);
}
END_TEST

static const char *const bad_texts[] = {
	"ip 1.2.3.4", "ip 1.2.3.4 > 10.1.2", "ip 1.2.3.4 > 10.1.2.3 tcp 99 > 70000", "bogus", "tcp 1 > 2", "vlan",
	"ip 1.2.3.4 > 10.1.2.3 opt 3", "ip6 ::1 > ::2 opt 4", "ip 1.2.3.4 > 10.1.2.3 hbh", "payload 012",
	"payload 01zz", "in averyveryverylongname", "eth 1 > 2", "ip6 ::1 > ::2 dst 12", "len 999999999",
	"frame 0102 ip", "ip 1.2.3.4 > 1.2.3.4 frag 8192", "ip 1.2.3.4 > 1.2.3.4 udp 1 > 2 topt 01010101", "frame",
};

START_TEST(packet_refused)
{
	struct packet p;

	ck_assert_msg(!packet_parse(arena, &diags, bad_texts[_i], &p), "%s", bad_texts[_i]);
	ck_assert_uint_eq(diags.n, 1);
	ck_assert_int_eq(diags.d[0].level, DIAG_ERROR);
}
END_TEST

START_TEST(packet_checksum)
{
	static const uint8_t want[] = { 0x08, 0x00, 0x45, 0x00, 0x00, 0x1c, 0x00, 0x00, 0x00, 0x00, 0x40, 0x11,
					0x64, 0xcd, 0x0a, 0x00, 0x00, 0x01, 0x0a, 0x02, 0x02, 0x02,
					0x00, 0x01, 0x00, 0x35, 0x00, 0x08, 0xe9, 0xa3 };
	struct packet p;

	ck_assert(packet_parse(arena, &diags, "ip 10.0.0.1 > 10.2.2.2 udp 1 > 53", &p));
	ck_assert_uint_eq(p.len, 12 + sizeof(want));
	ck_assert_mem_eq(p.frame + 12, want, sizeof(want));
}
END_TEST

/* ------------------------------------------------------------------ captures */

static const char classic_big[] =
	"\xa1\xb2\xc3\xd4\0\2\0\4\0\0\0\0\0\0\0\0\0\0\xff\xff\0\0\0\x01"
	"\0\0\0\1\0\0\0\2\0\0\0\x0e\0\0\0\x10" "\2\0\0\0\0\1\2\0\0\0\0\x09\x88\xb5";
static const char classic_little_raw[] =
	"\x4d\x3c\xb2\xa1\2\0\4\0\0\0\0\0\0\0\0\0\xff\xff\0\0\x65\0\0\0"
	"\1\0\0\0\2\0\0\0\2\0\0\0\2\0\0\0" "\x60\0";
static const char ng_little[] =
	"\x0a\x0d\x0d\x0a\x1c\0\0\0\x4d\x3c\x2b\x1a\1\0\0\0\xff\xff\xff\xff\xff\xff\xff\xff\x1c\0\0\0"
	"\1\0\0\0\x20\0\0\0\1\0\0\0\0\0\0\0" "\2\0\4\0eth7" "\0\0\0\0" "\x20\0\0\0"
	"\6\0\0\0\x30\0\0\0\0\0\0\0\1\0\0\0\2\0\0\0\x0e\0\0\0\x0e\0\0\0"
	"\2\0\0\0\0\1\2\0\0\0\0\x09\x88\xb5\0\0\x30\0\0\0"
	"\3\0\0\0\x14\0\0\0\2\0\0\0ab\0\0\x14\0\0\0";

#define CAPTURE(c) { c, sizeof(c) - 1 }
static const struct { const char *data; size_t len; } captures[] = {
	CAPTURE(classic_big), CAPTURE(classic_little_raw), CAPTURE(ng_little),
};

START_TEST(pcap_formats)
{
	struct packet *p;
	uint32_t n;

	ck_assert_int_eq(pcap_read(arena, &diags, (const uint8_t *)classic_big, sizeof(classic_big) - 1, &p, &n), 0);
	ck_assert_uint_eq(n, 1);
	ck_assert_uint_eq(p[0].len, 14);
	ck_assert_uint_eq(diags.n, 1);	/* 2 of its bytes were not captured */
	ck_assert_int_eq(diags.d[0].level, DIAG_NOTE);
	ck_assert_int_eq(pcap_read(arena, &diags, (const uint8_t *)classic_little_raw, sizeof(classic_little_raw) - 1,
				   &p, &n), 0);
	ck_assert_uint_eq(n, 1);
	ck_assert_uint_eq(p[0].len, 16);
	ck_assert_mem_eq(p[0].frame + 12, "\x86\xdd\x60\0", 4);
	ck_assert_int_eq(pcap_read(arena, &diags, (const uint8_t *)ng_little, sizeof(ng_little) - 1, &p, &n), 0);
	ck_assert_uint_eq(n, 2);
	ck_assert_str_eq(p[0].iif, "eth7");
	ck_assert_uint_eq(p[0].len, 14);
	ck_assert_mem_eq(p[1].frame, "ab", 2);
}
END_TEST

/* Every capture cut at every length, and with every byte spoilt: an answer, and no read outside. */
START_TEST(pcap_hostile)
{
	size_t len = captures[_i].len;
	struct packet *p;
	uint32_t n;

	for (size_t cut = 0; cut < len; cut++) {
		uint8_t *data = malloc(cut ? cut : 1);

		memcpy(data, captures[_i].data, cut);
		pcap_read(arena, &diags, data, cut, &p, &n);
		free(data);
	}
	for (size_t at = 0; at < len; at++) {
		for (int bit = 0; bit < 8; bit++) {
			uint8_t *data = malloc(len);

			memcpy(data, captures[_i].data, len);
			data[at] ^= 1 << bit;
			pcap_read(arena, &diags, data, len, &p, &n);
			free(data);
		}
	}
}
END_TEST

/* ------------------------------------------------------------------ interpreter */

static const struct imr_at nowhere;

static struct imr *program(uint32_t n_chain, enum imr_hook hook)
{
	struct imr_profile profile = { .th_fast_frag = true };
	struct imr *imr = imr_new(arena, &diags, &profile);

	for (uint32_t i = 0; i < n_chain; i++)
		imr_chain_add(imr, i ? i == 1 ? "a" : "b" : "base");
	for (uint32_t i = 0; i < n_chain; i++)
		imr->chain[i].policy = i ? OP_RETURN : OP_ACCEPT;
	imr->chain[0].hook = hook;
	return imr;
}

static struct imr_rule *rule(struct imr *imr, uint32_t chain)
{
	return imr_rule_add(imr, &imr->chain[chain], &nowhere);
}

static enum imr_verdict verdict(const struct imr *imr, const char *text, const uint64_t *choice)
{
	struct imr_pkt pkt = pkt_of(text);
	struct imr_result r;

	imr_run(&r, imr, 0, &pkt, choice);
	free((void *)pkt.frame);
	return r.verdict;
}

/* A load where not all bytes are there is 0, and need says so. */
START_TEST(run_presence)
{
	struct imr *imr = program(1, HOOK_IP_INPUT);
	struct imr_rule *r = rule(imr, 0);

	imr_cmp(imr, r, OP_EQ, imr_ld(imr, r, F_TH_DPORT), 0, ELSE_NEXT);
	imr_need(imr, r, B_TH, 4, ELSE_DROP);
	imr_end(imr, r, OP_ACCEPT, 0);
	ck_assert_int_eq(verdict(imr, "ip 1.2.3.4 > 5.6.7.8 proto 6 payload 000100", NULL), V_DROP);
	ck_assert_int_eq(verdict(imr, "ip 1.2.3.4 > 5.6.7.8 proto 6 payload 00010000", NULL), V_ACCEPT);
	ck_assert_int_eq(verdict(imr, "vlan 3 ip 1.2.3.4 > 5.6.7.8 proto 6 payload 00010000", NULL), V_NONE);
}
END_TEST

/* A popped tag is seen in the link header, with skb->protocol behind it; a forgotten one is not. */
START_TEST(run_vlan)
{
	struct imr *imr = program(1, HOOK_NETDEV_INGRESS);
	struct imr_rule *r = rule(imr, 0);

	imr_cmp(imr, r, OP_EQ, imr_ld_raw(imr, r, B_LL, 12, 6), 0x810000050004, ELSE_NEXT);
	imr_end(imr, r, OP_DROP, 0);
	ck_assert_int_eq(verdict(imr, "vlan 5 type 0x0033 payload 0001", NULL), V_DROP);
	ck_assert_int_eq(verdict(imr, "vlan 5 type 0x0800 payload 0001", NULL), V_ACCEPT);

	imr = program(1, HOOK_IP_INPUT);
	r = rule(imr, 0);
	imr_cmp(imr, r, OP_EQ, imr_ld_raw(imr, r, B_LL, 6, 10), (u128)0x020000000009 << 32 | 0x08004500, ELSE_NEXT);
	imr_end(imr, r, OP_DROP, 0);
	ck_assert_int_eq(verdict(imr, "vlan 0 ip 1.2.3.4 > 5.6.7.8 udp 1 > 2", NULL), V_DROP);
}
END_TEST

/* At forward the time to live is one less than on the wire, and a packet without any left is not there. */
START_TEST(run_forward)
{
	struct imr *imr = program(1, HOOK_INET_FORWARD);
	struct imr_rule *r = rule(imr, 0);

	imr_cmp(imr, r, OP_EQ, imr_ld(imr, r, F_IP_TTL), 63, ELSE_NEXT);
	imr_cmp(imr, r, OP_EQ, imr_ld(imr, r, F_IP_CHECKSUM), 0x65cd, ELSE_NEXT);
	imr_end(imr, r, OP_DROP, 0);
	ck_assert_int_eq(verdict(imr, "ip 10.0.0.1 > 10.2.2.2 udp 1 > 53", NULL), V_DROP);
	ck_assert_int_eq(verdict(imr, "ip 10.0.0.1 > 10.2.2.2 ttl 1 udp 1 > 53", NULL), V_NONE);
	ck_assert_int_eq(verdict(imr, "ip6 fd01::1 > fd02::2 ttl 1 udp 1 > 53", NULL), V_NONE);

	imr = program(1, HOOK_IP6_POSTROUTING);
	r = rule(imr, 0);
	imr_cmp(imr, r, OP_EQ, imr_ld(imr, r, F_IP6_HOPLIMIT), 1, ELSE_NEXT);
	imr_end(imr, r, OP_DROP, 0);
	ck_assert_int_eq(verdict(imr, "ip6 fd01::1 > fd02::2 ttl 2 udp 1 > 53", NULL), V_DROP);
}
END_TEST

/* The end of a chain reached by goto returns to the caller of the last jump; with none, to the policy. */
START_TEST(run_goto)
{
	struct imr *imr = program(3, HOOK_IP_INPUT);

	imr_end(imr, rule(imr, 0), OP_JUMP, 1);
	imr_end(imr, rule(imr, 0), OP_DROP, 0);
	imr_end(imr, rule(imr, 1), OP_GOTO, 2);
	imr_end(imr, rule(imr, 1), OP_ACCEPT, 0);
	imr_end(imr, rule(imr, 2), OP_RETURN, 0);
	ck_assert_int_eq(verdict(imr, "ip 1.2.3.4 > 5.6.7.8 udp 1 > 2", NULL), V_DROP);
	imr->chain[0].rule[0].insn[0].op = OP_GOTO;
	ck_assert_int_eq(verdict(imr, "ip 1.2.3.4 > 5.6.7.8 udp 1 > 2", NULL), V_ACCEPT);
}
END_TEST

/* A tally counts only if the packet is dropped; the policy's counter comes last. */
START_TEST(run_counters)
{
	struct imr *imr = program(1, HOOK_IP_INPUT);
	struct imr_pkt pkt = pkt_of("ip 1.2.3.4 > 5.6.7.8 udp 1 > 2");
	struct imr_rule *r = rule(imr, 0);
	struct imr_result res;

	imr_stmt(imr, r, OP_TALLY, NULL);
	imr_stmt(imr, r, OP_COUNT, NULL);
	imr_end(imr, r, OP_NEXT, 0);
	imr->chain[0].policy_count = true;
	imr_number(imr);
	imr_run(&res, imr, 0, &pkt, NULL);
	ck_assert_int_eq(res.verdict, V_ACCEPT);
	ck_assert_uint_eq(res.n_slot, 2);
	ck_assert_uint_eq(res.slot[0], 1);
	ck_assert_uint_eq(res.slot[1], 2);
	imr->chain[0].policy = OP_DROP;
	imr_run(&res, imr, 0, &pkt, NULL);
	ck_assert_uint_eq(res.n_slot, 3);
	ck_assert_uint_eq(res.slot[0], 0);
	free((void *)pkt.frame);
}
END_TEST

START_TEST(run_unknown)
{
	struct imr *imr = program(1, HOOK_IP_INPUT);
	struct imr_rule *r = rule(imr, 0);
	uint64_t choice[2] = { 0, 0 };

	imr_stmt(imr, r, OP_OPAQUE, "ct state new");
	imr_stmt(imr, r, OP_EFFECT, "log");
	imr_end(imr, r, OP_DROP, 0);
	imr_number(imr);
	ck_assert_int_eq(verdict(imr, "ip 1.2.3.4 > 5.6.7.8 udp 1 > 2", NULL), V_UNKNOWN);
	ck_assert_int_eq(verdict(imr, "ip 1.2.3.4 > 5.6.7.8 udp 1 > 2", choice), V_ACCEPT);
	choice[0] = 1;
	ck_assert_int_eq(verdict(imr, "ip 1.2.3.4 > 5.6.7.8 udp 1 > 2", choice), V_DROP);
	choice[1] = 1;
	ck_assert_int_eq(verdict(imr, "ip 1.2.3.4 > 5.6.7.8 udp 1 > 2", choice), V_ACCEPT);
	choice[0] = 2;
	ck_assert_int_eq(verdict(imr, "ip 1.2.3.4 > 5.6.7.8 udp 1 > 2", choice), V_DROP);
}
END_TEST

#define N(table) ((int)(sizeof(table) / sizeof(table[0])))

int main(void)
{
	Suite *s = suite_create("view");
	TCase *t = tcase_create("view");
	SRunner *runner;
	int failed;

	tcase_add_checked_fixture(t, setup, teardown);
	tcase_set_timeout(t, 60);
	tcase_add_loop_test(t, view_row, 0, N(views));
	tcase_add_test(t, view_ah);
	tcase_add_test(t, view_bound);
	tcase_add_loop_test(t, view_noise, 0, 2);
	tcase_add_loop_test(t, packet_round_trip, 0, N(round_trips));
	tcase_add_loop_test(t, packet_refused, 0, N(bad_texts));
	tcase_add_test(t, packet_checksum);
	tcase_add_test(t, pcap_formats);
	tcase_add_loop_test(t, pcap_hostile, 0, N(captures));
	tcase_add_test(t, run_presence);
	tcase_add_test(t, run_vlan);
	tcase_add_test(t, run_forward);
	tcase_add_test(t, run_goto);
	tcase_add_test(t, run_counters);
	tcase_add_test(t, run_unknown);
	suite_add_tcase(s, t);
	runner = srunner_create(s);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
