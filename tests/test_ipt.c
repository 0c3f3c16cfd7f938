/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The legacy blob and the xtables matches: what is accepted, what is refused, and, for every match, whether a packet is
 * matched, not matched or dropped as the kernel's own netfilter says.
 */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>

#include <netinet/in.h>
#include <linux/netfilter.h>
#include <linux/netfilter/xt_multiport.h>
#include <linux/netfilter_ipv6/ip6_tables.h>

#include "ipt.h"
#include "ipt_seed.h"
#include "judge.h"
#include "loader.h"
#include "packet.h"
#include "reader.h"
#include "subject.h"

static struct arena *arena;
static struct diags diags;
static struct imr *imr;
static struct seed seed;

static void setup(void)
{
	struct imr_profile p = { 0 };

	arena = arena_new();
	diags = (struct diags){ .arena = arena };
	imr = imr_new(arena, &diags, &p);
	seed_make(&seed);
}

static void teardown(void)
{
	arena_free(arena);
}

static bool read_seed(void)
{
	struct fe_rec rec = { .kind = FE_IPT, .family = FAM_IP, .len = seed.len };
	uint8_t *copy = malloc(seed.len);
	bool ok;

	rec.data = memcpy(copy, seed.data, seed.len);
	ok = fe_ipt_read(imr, &rec, NULL) && imr_sort(imr);
	free(copy);
	return ok;
}

static void put(size_t at, const void *bytes, size_t n)
{
	memcpy(seed.data + at, bytes, n);
}

static void put16(uint32_t entry, size_t member, uint16_t v)
{
	put(SEED_HEAD + seed.entry[entry] + member, &v, sizeof(v));
}

/* The verdict of an entry whose target is the standard one. */
static void put_verdict(uint32_t entry, int32_t v)
{
	put(SEED_HEAD + seed.entry[entry + 1] - XT_ALIGN(sizeof(v)), &v, sizeof(v));
}

START_TEST(seed_is_read)
{
	struct strbuf b = { .arena = arena };

	ck_assert(read_seed());
	imr_number(imr);
	ck_assert_ptr_null(imr_check(imr, "ipt"));
	imr_print(&b, imr);
	ck_assert_str_eq(b.s,
		"imr 1\n"
		"chain @\"iptables/filter/INPUT\" from iptables \"iptables filter INPUT\" hook ip.input kind filter prio 0 "
		"policy drop count {\n"
		"rule iptables \"iptables filter INPUT\" 1\n"
		"\t%0 =ip4 ld ip.saddr\n"
		"\tin %0, 10.0.0.0/8\n"
		"\t%1 =u8 ld ip.protocol\n"
		"\teq %1, 6\n"
		"\t%2 =be16 ld ip.fragoff\n"
		"\tne %2, 1 else drop\n"
		"\t%3 =be16 ld ip.fragoff\n"
		"\teq %3, 0\n"
		"\tneed th, 20 else drop\n"
		"\t%4 =be16 ld th.dport\n"
		"\teq %4, 22\n"
		"\tcount\n"
		"\tjump @\"iptables/filter/u\"\n"
		"rule iptables \"iptables filter INPUT\" 2\n"
		"\tcount\n"
		"\tnext\n"
		"}\n"
		"chain @\"iptables/filter/FORWARD\" from iptables \"iptables filter FORWARD\" hook ip.forward kind filter "
		"prio 0 policy accept count {\n"
		"}\n"
		"chain @\"iptables/filter/OUTPUT\" from iptables \"iptables filter OUTPUT\" hook ip.output kind filter "
		"prio 0 policy accept count {\n"
		"}\n"
		"chain @\"iptables/filter/u\" from iptables \"iptables filter u\" {\n"
		"rule iptables \"iptables filter u\" 1\n"
		"\tcount\n"
		"\tdrop\n"
		"}\n");
}
END_TEST

/* Each of these is one word of the blob that the kernel would not have let in, or that leads outside. */
static const struct bend {
	const char *what;
	int entry;		/* -1: `member` is an offset in the record */
	size_t member;
	uint32_t value;
	size_t width;
} bends[] = {
	{ "next_offset 0", SEED_RULE1, offsetof(struct ipt_entry, next_offset), 0, 2 },
	{ "next_offset outside", SEED_RULE1, offsetof(struct ipt_entry, next_offset), 0xfff8, 2 },
	{ "next_offset unaligned", SEED_RULE1, offsetof(struct ipt_entry, next_offset), 203, 2 },
	{ "target_offset 0", SEED_RULE1, offsetof(struct ipt_entry, target_offset), 0, 2 },
	{ "target_offset in the match", SEED_RULE1, offsetof(struct ipt_entry, target_offset), 120, 2 },
	{ "target_offset outside", SEED_RULE1, offsetof(struct ipt_entry, target_offset), 0xfff8, 2 },
	{ "match_size 0", SEED_RULE1, sizeof(struct ipt_entry), 0, 2 },
	{ "match_size outside", SEED_RULE1, sizeof(struct ipt_entry), 0xfff8, 2 },
	{ "target_size 0", SEED_RULE2, sizeof(struct ipt_entry), 0, 2 },
	{ "target_size outside", SEED_RULE2, sizeof(struct ipt_entry), 0xfff8, 2 },
	{ "a flag that is unknown", SEED_RULE1, offsetof(struct ipt_entry, ip.flags), 0x80, 1 },
	{ "an inversion that is unknown", SEED_RULE1, offsetof(struct ipt_entry, ip.invflags), 0x80, 1 },
	{ "a protocol above 255", SEED_RULE1, offsetof(struct ipt_entry, ip.proto), 0x106, 2 },
	{ "a policy with a condition", SEED_IN_POLICY, offsetof(struct ipt_entry, ip.proto), 6, 2 },
	{ "a user chain without end", SEED_U_RETURN, offsetof(struct ipt_entry, ip.proto), 6, 2 },
	{ "an unnamed chain", SEED_U, sizeof(struct ipt_entry) + sizeof(struct xt_entry_target), 0, 1 },
	{ "hooks of another table", -1, offsetof(struct ipt_getinfo, valid_hooks), 0x1f, 4 },
	{ "no hooks", -1, offsetof(struct ipt_getinfo, valid_hooks), 0, 4 },
	{ "a hook's entry outside", -1, offsetof(struct ipt_getinfo, hook_entry[1]), 0xfffffff8, 4 },
	{ "a hook's entry between entries", -1, offsetof(struct ipt_getinfo, hook_entry[1]), 8, 4 },
	{ "an underflow outside", -1, offsetof(struct ipt_getinfo, underflow[1]), 0xfffffff8, 4 },
	{ "an underflow before its chain", -1, offsetof(struct ipt_getinfo, underflow[2]), 0, 4 },
	{ "fewer entries", -1, offsetof(struct ipt_getinfo, num_entries), 3, 4 },
	{ "another size", -1, offsetof(struct ipt_getinfo, size), 8, 4 },
	{ "a table's name", -1, 0, 'x', 1 },
	{ "no table's name", -1, 0, 0, 1 },
	{ "two names", -1, sizeof(struct ipt_getinfo), 'x', 1 },
};

START_TEST(bent_is_refused)
{
	const struct bend *b = &bends[_i];

	if (b->entry < 0)
		put(b->member, &b->value, b->width);
	else
		put(SEED_HEAD + seed.entry[b->entry] + b->member, &b->value, b->width);
	ck_assert_msg(!read_seed(), "accepted: %s", b->what);
	ck_assert_msg(diags_have(&diags, DIAG_ERROR), "no error: %s", b->what);
}
END_TEST

START_TEST(cut_is_refused)
{
	size_t whole = seed.len;

	for (seed.len = 0; seed.len < whole; seed.len++)
		ck_assert(!read_seed());
}
END_TEST

START_TEST(verdicts)
{
	static const int32_t refused[] = { 0, -3, -6, INT32_MIN };

	for (size_t i = 0; i < sizeof(refused) / sizeof(refused[0]); i++) {
		put_verdict(SEED_RULE2, refused[i]);
		ck_assert(!read_seed());
	}
}
END_TEST

/* A jump into a chain's middle, or to a base chain, is legal in the kernel and no rule of ours: unknown, not wrong. */
START_TEST(odd_jump_is_unknown)
{
	put_verdict(SEED_RULE2, _i ? (int32_t)seed.entry[SEED_U_RETURN] : (int32_t)seed.entry[SEED_FW_POLICY]);
	ck_assert(read_seed());
	ck_assert_uint_eq(diags.n, 1);
	ck_assert_int_eq(diags.d[0].level, DIAG_UNSUPPORTED);
	ck_assert_int_eq(imr->chain[0].rule[1].insn[1].op, OP_EFFECT);
}
END_TEST

START_TEST(loop_is_refused)
{
	put_verdict(SEED_U_RULE, (int32_t)seed.entry[SEED_U_RULE]);
	ck_assert(!read_seed());
}
END_TEST

START_TEST(goto_and_revision)
{
	uint8_t flag = IPT_F_GOTO, rev = 1;

	put(SEED_HEAD + seed.entry[SEED_RULE1] + offsetof(struct ipt_entry, ip.flags), &flag, 1);
	put(SEED_HEAD + seed.entry[SEED_U_RULE] + sizeof(struct ipt_entry) + offsetof(struct xt_entry_match, u.user.revision),
	    &rev, 1);
	ck_assert(read_seed());
	ck_assert_int_eq(imr->chain[0].rule[0].insn[imr->chain[0].rule[0].n - 1].op, OP_GOTO);
	ck_assert_uint_eq(diags.n, 1);
	ck_assert_str_eq(diags.d[0].message, "match \"comment\" is not understood in revision 1");
	ck_assert_int_eq(imr->chain[3].rule[0].insn[0].op, OP_EFFECT);
}
END_TEST

/* A match of tcp in a rule that is not of tcp reads another header: the kernel refuses it, and so does the reader. */
START_TEST(protocol_is_asked_for)
{
	put16(SEED_RULE1, offsetof(struct ipt_entry, ip.proto), 17);
	ck_assert(read_seed());
	ck_assert_uint_eq(diags.n, 1);
	ck_assert_int_eq(diags.d[0].level, DIAG_UNSUPPORTED);
}
END_TEST

/* One rule of a chain of its own, its instructions as text. */
static struct imr_rule *rule_begin(void)
{
	return imr_rule_add(imr, imr_chain_add(imr, "c"), &(struct imr_at){ .tool = "iptables", .where = "c", .number = 1 });
}

static const char *rule_end(struct imr_rule *r)
{
	struct strbuf b = { .arena = arena };

	imr_end(imr, r, OP_NEXT, 0);
	ck_assert_ptr_null(imr_check(imr, "ipt"));
	imr_print_rule(&b, imr, &imr->chain[0], r);
	return strchr(b.s, '\n') + 1;
}

/* Bits of an address outside its mask: ip_packet_match compares them, ipv6_masked_addr_cmp does not. */
START_TEST(address_outside_its_mask)
{
	struct ipt_ip ip4 = { .src.s_addr = htonl(0x0a000001), .smsk.s_addr = htonl(0xff000000) };
	struct ip6t_ip6 ip6 = { .src.s6_addr = { 0x20, 0x01, [15] = 1 }, .smsk.s6_addr = { 0xff, 0xff } };
	struct ipt_blob b = { .imr = imr, .family = _i ? FAM_IP6 : FAM_IP };
	struct ipt_entry_view e = { .ip = _i ? (const uint8_t *)&ip6 : (const uint8_t *)&ip4 };
	struct imr_rule *r = rule_begin();
	struct fe_xt_ctx ctx;

	ipt_match_ip(&b, r, &e, &ctx);
	ck_assert_str_eq(rule_end(r), _i ? "\t%0 =ip6 ld ip6.saddr\n\tin %0, 2001::/16\n\tnext\n" :
			 "\t%0 =ip4 ld ip.saddr\n\tni %0, 0.0.0.0/0\n\tnext\n");
}
END_TEST

/* No port is in an empty list; the kernel takes one. */
START_TEST(multiport_of_none)
{
	struct xt_multiport_v1 m = { .flags = XT_MULTIPORT_DESTINATION, .invert = _i };
	struct fe_xt_ctx ctx = { .family = FAM_IP, .proto = 17, .legacy = true };
	struct imr_rule *r = rule_begin();

	fe_xt_match(imr, r, &ctx, "multiport", 1, &m, sizeof(m));
	ck_assert_uint_eq(diags.n, 0);
	ck_assert_str_eq(rule_end(r), arena_printf(arena,
		"\t%%0 =be16 ld ip.fragoff\n\teq %%0, 0\n\tneed th, 4 else drop\n\t%%1 =be16 ld th.dport\n\t%s %%1, {}\n\tnext\n",
		_i ? "ni" : "in"));
}
END_TEST

/* Whom a packet may be kept from, and whom not. */
START_TEST(matches_that_keep_state)
{
	static const struct { const char *name; bool keeps; } m[] = {
		{ "addrtype", false }, { "conntrack", false }, { "connlabel", true }, { "bpf", true }, { "limit", true },
		{ "unheard", true },
	};
	struct fe_xt_ctx ctx = { .family = FAM_IP, .legacy = true };
	struct imr_rule *r = rule_begin();

	fe_xt_match(imr, r, &ctx, m[_i].name, 3, "", 0);
	ck_assert_uint_eq(diags.n, 1);
	ck_assert_uint_eq(r->n, 1u + m[_i].keeps);
	ck_assert_int_eq(r->insn[0].op, m[_i].keeps ? OP_EFFECT : OP_OPAQUE);
	ck_assert_int_eq(r->insn[r->n - 1].op, OP_OPAQUE);
}
END_TEST

/* ------------------------------------------------------------------ the kernel's word */

#define MAX_PACKETS 14

/* M: the rule matches; N: it does not; H: the packet is dropped whatever the target. */
static const struct truth {
	bool v6;
	const char *match;
	const char *packet[MAX_PACKETS];
} truths[] = {
	{ false, "-p tcp -m tcp --dport 22", { "M tcp 1 > 22 S", "N tcp 1 > 23 S", "H proto 6 len 19",
	  "N udp 1 > 22",
	  "M proto 6 payload 0001001600000000000000005002000000000000", "H frag 1 proto 6 len 40",
	  "H proto 6 len 0",
	  "N frag 2 proto 6 payload 0001001600000000000000005002000000000000" } },
	{ false, "-p tcp -m tcp ! --sport 5:9", { "M tcp 4 > 1", "N tcp 5 > 1", "N tcp 9 > 1", "M tcp 10 > 1" } },
	{ false, "-p tcp -m tcp --tcp-flags SYN,ACK,FIN SYN", { "M tcp 1 > 2 S", "N tcp 1 > 2 SA",
	  "M tcp 1 > 2 SP", "N tcp 1 > 2 F" } },
	{ false, "-p tcp -m tcp ! --syn", { "N tcp 1 > 2 S", "M tcp 1 > 2 A", "M tcp 1 > 2 SA",
	  "N tcp 1 > 2 SP" } },
	{ false, "-p tcp -m tcp --tcp-option 3", { "H tcp 1 > 2 S doff 4", "H tcp 1 > 2 S doff 15", "N tcp 1 > 2 S",
	  "M tcp 1 > 2 S topt 03030700", "M tcp 1 > 2 S topt 01010103", "N tcp 1 > 2 S topt 0204050c",
	  "N tcp 1 > 2 S topt 09000101", "M tcp 1 > 2 S topt 00030307" } },
	{ false, "-p tcp -m tcp ! --tcp-option 3 --dport 9", { "H tcp 1 > 9 S doff 4", "N tcp 1 > 2 S doff 4",
	  "M tcp 1 > 9 S",
	  "N tcp 1 > 9 S topt 03030700", "M tcp 1 > 9 S topt 0204050c" } },
	{ false, "-p udp -m udp --dport 53", { "M udp 1 > 53", "N udp 1 > 54", "H proto 17 len 7",
	  "N frag 3 proto 17 payload 00000035",
	  "M proto 17 payload 0000003500080000" } },
	{ false, "-p udp -m udp ! --dport 53 --sport 7", { "N udp 7 > 53", "M udp 7 > 54", "N udp 8 > 54",
	  "H proto 17 len 4" } },
	{ false, "-p icmp -m icmp --icmp-type 8", { "M icmp 8", "N icmp 0", "H proto 1 len 7",
	  "H proto 1 payload 08000000",
	  "M icmp 8 5", "N frag 2 proto 1 payload 0800000000000000" } },
	{ false, "-p icmp -m icmp --icmp-type any", { "M icmp 8", "M icmp 255 3", "H proto 1 len 7",
	  "N udp 1 > 2", "N frag 1 proto 1 len 8" } },
	{ false, "-p icmp -m icmp ! --icmp-type 3/4", { "N icmp 3 4", "M icmp 3 3", "M icmp 4 4", "M icmp 8",
	  "H proto 1 len 5" } },
	{ false, "-p tcp -m multiport --dports 1,5:9,65535", { "M tcp 7 > 1", "N tcp 1 > 2", "M tcp 7 > 5",
	  "M tcp 7 > 9", "N tcp 7 > 10",
	  "M tcp 7 > 65535", "H proto 6 len 3", "M proto 6 payload 00000005",
	  "N frag 2 proto 6 payload 00000005" } },
	{ false, "-p udp -m multiport --sports 1,5:9", { "M udp 1 > 4", "N udp 4 > 1", "M udp 6 > 6" } },
	{ false, "-p udp -m multiport --ports 1,5:9", { "M udp 1 > 4", "M udp 4 > 1", "N udp 4 > 4",
	  "M udp 9 > 5" } },
	{ false, "-p udp -m multiport ! --ports 1,5:9", { "N udp 1 > 4", "N udp 4 > 1", "M udp 4 > 4",
	  "N frag 1 proto 17 len 8" } },
	{ false, "-p tcp -m multiport ! --dports 22", { "N tcp 1 > 22", "M tcp 1 > 23", "H proto 6 len 2" } },
	{ false, "-m ttl --ttl-lt 5", { "M ttl 4 udp 1 > 2", "N ttl 5 udp 1 > 2" } },
	{ false, "-m ttl --ttl-gt 5", { "M ttl 6 udp 1 > 2", "N ttl 5 udp 1 > 2" } },
	{ false, "-m ttl ! --ttl-eq 5", { "M ttl 6 udp 1 > 2", "N ttl 5 udp 1 > 2" } },
	{ false, "-m length --length 28:30", { "M udp 1 > 2", "M udp 1 > 2 len 2", "N udp 1 > 2 len 3",
	  "M udp 1 > 2 pad 20" } },
	{ false, "-m length ! --length 28", { "N udp 1 > 2", "M udp 1 > 2 len 2" } },
	{ false, "-m tos --tos 0x10/0x3f", { "M tos 0x10 udp 1 > 2", "M tos 0xd0 udp 1 > 2",
	  "N tos 0x11 udp 1 > 2" } },
	{ false, "-m tos ! --tos 0x10/0x3f", { "N tos 0x10 udp 1 > 2", "M tos 0x11 udp 1 > 2" } },
	{ false, "-m dscp --dscp 0x2e", { "M tos 0xb8 udp 1 > 2", "M tos 0xbb udp 1 > 2",
	  "N tos 0xbc udp 1 > 2" } },
	{ false, "-m iprange --src-range 10.1.1.0-10.1.1.1 ! --dst-range 10.2.2.3-10.2.2.9", { "M udp 1 > 2" } },
	{ false, "-m iprange ! --src-range 10.1.1.0-10.1.1.1", { "N udp 1 > 2" } },
	{ false, "-m mac --mac-source 02:00:00:00:00:09", { "M udp 1 > 2" } },
	{ false, "-m mac ! --mac-source 02:00:00:00:00:08", { "M udp 1 > 2" } },
	{ false, "-m mark --mark 0/0xff", { "M udp 1 > 2" } },
	{ false, "-m mark ! --mark 1", { "M udp 1 > 2" } },
	{ false, "-m comment --comment hello", { "M udp 1 > 2", "M proto 6 len 0" } },
	{ false, "-f", { "N udp 1 > 2", "N frag 0+ udp 1 > 2", "M frag 1 udp 1 > 2", "M frag 3+ udp 1 > 2",
	  "N flags 2 udp 1 > 2" } },
	{ false, "! -f", { "M udp 1 > 2", "M frag 0+ udp 1 > 2", "N frag 1 udp 1 > 2" } },
	{ false, "-i tap+", { "M udp 1 > 2" } },
	{ false, "-i tap0", { "M udp 1 > 2" } },
	{ false, "-i tap", { "N udp 1 > 2" } },
	{ false, "-i tap01", { "N udp 1 > 2" } },
	{ false, "! -i tap0", { "N udp 1 > 2" } },
	{ false, "-s 10.0.1.0/255.0.255.0", { "M udp 1 > 2" } },
	{ false, "! -s 10.0.1.0/255.0.255.0", { "N udp 1 > 2" } },
	{ false, "-d 10.2.2.2", { "M udp 1 > 2" } },
	{ false, "! -d 10.2.0.0/16", { "N udp 1 > 2" } },
	{ false, "! -p tcp", { "M udp 1 > 2", "N tcp 1 > 2", "M frag 1 proto 17 len 8",
	  "N frag 1 proto 6 len 8" } },
	{ true, "-p tcp -m tcp --dport 22", { "M tcp 1 > 22 S", "N tcp 1 > 23 S", "H proto 6 len 19",
	  "M ah tcp 1 > 22", "M hbh tcp 1 > 22",
	  "N frag 1 tcp 1 > 22", "M frag 0+ tcp 1 > 22", "H frag 1 dst tcp 1 > 22", "N udp 1 > 22",
	  "M rt dst ah tcp 1 > 22", "N proto 59" } },
	{ true, "! -p tcp", { "N tcp 1 > 2", "M udp 1 > 2", "N ah tcp 1 > 2", "M frag 1 udp 1 > 2",
	  "H frag 1 dst tcp 1 > 2", "M proto 59" } },
	{ true, "-p udp -m multiport --ports 1,5:9", { "M udp 1 > 4", "M udp 4 > 1", "N udp 4 > 4",
	  "H dst proto 17 len 3", "N frag 1 udp 1 > 1" } },
	{ true, "-p udp -m udp ! --dport 53", { "N udp 1 > 53", "M udp 1 > 54", "H proto 17 len 7",
	  "N frag 1 udp 1 > 54" } },
	{ true, "-p tcp -m tcp --tcp-option 3", { "H tcp 1 > 2 S doff 4", "M ah tcp 1 > 2 S topt 03030700",
	  "N tcp 1 > 2 S", "H hbh tcp 1 > 2 doff 9" } },
	{ true, "-p tcp -m tcp --tcp-flags SYN,ACK,FIN SYN", { "M ah tcp 1 > 2 S", "N tcp 1 > 2 SA" } },
	{ true, "-p icmpv6 -m icmp6 --icmpv6-type 128", { "M icmp 128", "N icmp 129", "H proto 58 len 7",
	  "M ah icmp 128 3" } },
	{ true, "-p icmpv6 -m icmp6 ! --icmpv6-type 1/4", { "N icmp 1 4", "M icmp 1 3", "M icmp 2 4" } },
	{ true, "-m hl --hl-lt 5", { "M ttl 4 udp 1 > 2", "N ttl 5 udp 1 > 2" } },
	{ true, "-m length --length 48:50", { "M udp 1 > 2", "M udp 1 > 2 len 2", "N udp 1 > 2 len 3",
	  "M udp 1 > 2 pad 20" } },
	{ true, "-m tos --tos 0x10/0x3f", { "M tos 0x10 udp 1 > 2", "M tos 0xd0 udp 1 > 2",
	  "N tos 0x11 udp 1 > 2" } },
	{ true, "-m dscp --dscp 0x2e", { "M tos 0xb8 udp 1 > 2", "M tos 0xbb udp 1 > 2", "N tos 0xbc udp 1 > 2" } },
	{ true, "-m iprange --src-range fd01::-fd01::1", { "M udp 1 > 2" } },
	{ true, "-m iprange ! --dst-range fd02::3-fd02::9", { "M udp 1 > 2" } },
	{ true, "-s fd01::/16 ! -d fd02:0:0:1::/64 -i tap+", { "M udp 1 > 2" } },
	{ true, "-s fd01::1/ffff::ffff", { "M udp 1 > 2" } },
};

static enum imr_verdict expected(char what, bool drop)
{
	if (what == 'N')
		return V_ACCEPT;
	return what == 'H' || drop ? V_DROP : V_ACCEPT;
}

static const char *ruleset(const struct truth *t, bool drop)
{
	return arena_printf(arena, "*raw\n:PREROUTING ACCEPT [0:0]\n:OUTPUT ACCEPT [0:0]\n-A PREROUTING %s -j %s\nCOMMIT\n",
			    t->match, drop ? "DROP" : "ACCEPT");
}

static void read_text(const struct truth *t, const char *text)
{
	struct fe_capture c = { 0 };
	int r = fe_text_get(arena, &diags, t->v6 ? FE_TEXT_IP6T : FE_TEXT_IPT, NULL, text, strlen(text), &c);

	ck_assert_msg(r == 0, "%s: %s", t->match, diags.n ? diags.d[0].message : "?");
	for (uint32_t i = 0; i < c.n; i++)
		if (c.rec[i].kind == FE_IPT)
			ck_assert(fe_ipt_read(imr, &c.rec[i], NULL));
	ck_assert_msg(diags.n == 0 && imr->n == 2, "%s: not understood", t->match);
	imr_number(imr);
	ck_assert_ptr_null(imr_check(imr, "ipt"));
}

static struct packet packet_of(const struct truth *t, const char *words)
{
	const char *from = t->v6 ? "in tap0 ip6 fd01::1 > fd02::2" : "in tap0 ip 10.1.1.1 > 10.2.2.2";
	struct packet p;

	ck_assert_msg(packet_parse(arena, &diags, arena_printf(arena, "%s %s", from, words), &p), "%s: %s", words,
		      diags.n ? diags.d[0].message : "?");
	return p;
}

static enum imr_verdict interpret(const struct packet *p)
{
	struct imr_pkt pkt = { .frame = p->frame, .len = p->len, .iif = 2, .iifname = JUDGE_DEV, .mac = JUDGE_MAC };
	struct imr_result r;

	imr_run(&r, imr, 0, &pkt, NULL);
	return r.verdict;
}

START_TEST(truth_by_interpreter)
{
	const struct truth *t = &truths[_i / 2];

	read_text(t, ruleset(t, _i & 1));
	for (int k = 0; k < MAX_PACKETS && t->packet[k]; k++) {
		struct packet p = packet_of(t, t->packet[k] + 2);
		enum imr_verdict v = interpret(&p), want = expected(t->packet[k][0], _i & 1);

		ck_assert_msg(v == want, "%s -j %s, packet %s: interpreter says %d", t->match, _i & 1 ? "DROP" : "ACCEPT",
			      t->packet[k], v);
	}
}
END_TEST

START_TEST(truth_by_kernel)
{
	const struct truth *t = &truths[_i / 2];
	struct judge j;
	char err[512];

	ck_assert_int_eq(judge_open(&j, JUDGE_PREROUTING, -300, -300), 0);
	ck_assert_msg(!judge_load(&j, t->v6 ? JUDGE_IP6T : JUDGE_IPT, ruleset(t, _i & 1), err, sizeof(err)), "%s", err);
	for (int k = 0; k < MAX_PACKETS && t->packet[k]; k++) {
		struct packet p = packet_of(t, t->packet[k] + 2);
		enum judge_says says = judge_packet(&j, p.frame, p.len);
		enum judge_says want = expected(t->packet[k][0], _i & 1) == V_DROP ? JUDGE_DROP : JUDGE_ACCEPT;

		ck_assert_msg(says == want, "%s -j %s, packet %s: kernel says %d", t->match, _i & 1 ? "DROP" : "ACCEPT",
			      t->packet[k], says);
	}
	judge_close(&j);
}
END_TEST

/* iptables-nft makes native expressions of some of these and compat ones of the others: other meanings, which must be
 * the kernel's all the same. */
START_TEST(compat_by_kernel)
{
	const struct truth *t = &truths[_i / 2];
	const char *text = ruleset(t, _i & 1);
	struct imr_profile p = { 0 };
	struct fe_capture c = { 0 };
	struct judge j;
	char err[512];

	ck_assert_int_eq(ld_profile(&p), 0);
	ck_assert_msg(!fe_text_get(arena, &diags, t->v6 ? FE_TEXT_IP6T_NFT : FE_TEXT_IPT_NFT, NULL, text, strlen(text), &c),
		      "%s", diags.n ? diags.d[0].message : "?");
	imr = fe_read(arena, &diags, &p, &c);
	ck_assert_msg(imr && imr->n, "%s", diags.n ? diags.d[0].message : "?");
	ck_assert_int_eq(judge_open(&j, JUDGE_PREROUTING, -300, -300), 0);
	ck_assert_msg(!judge_load(&j, t->v6 ? JUDGE_IP6T_NFT : JUDGE_IPT_NFT, text, err, sizeof(err)), "%s", err);
	for (int k = 0; k < MAX_PACKETS && t->packet[k]; k++) {
		struct packet pkt = packet_of(t, t->packet[k] + 2);
		enum judge_says says = judge_packet(&j, pkt.frame, pkt.len);
		enum imr_verdict v = interpret(&pkt);

		ck_assert_msg(v == V_UNKNOWN || (says == JUDGE_DROP ? v == V_DROP : v == V_ACCEPT),
			      "%s -j %s, packet %s: kernel says %d, interpreter %d", t->match, _i & 1 ? "DROP" : "ACCEPT",
			      t->packet[k], says, v);
	}
	judge_close(&j);
}
END_TEST

static void add_truth(Suite *s)
{
	const char *no_text = subject_no_text(), *no_judge = judge_missing();
	TCase *truth = tcase_create("truth");

	suite_add_tcase(s, truth);
	tcase_add_checked_fixture(truth, setup, teardown);
	tcase_set_timeout(truth, 60);
	if (no_text)
		printf("skip: xtables truth by the interpreter: %s\n", no_text);
	else
		tcase_add_loop_test(truth, truth_by_interpreter, 0, 2 * sizeof(truths) / sizeof(truths[0]));
	if (no_judge) {
		printf("skip: xtables truth by the kernel: %s\n", no_judge);
		return;
	}
	tcase_add_loop_test(truth, truth_by_kernel, 0, 2 * sizeof(truths) / sizeof(truths[0]));
	tcase_add_loop_test(truth, compat_by_kernel, 0, 2 * sizeof(truths) / sizeof(truths[0]));
}

int main(void)
{
	Suite *s = suite_create("ipt");
	TCase *blob = tcase_create("blob");
	SRunner *r;
	int failed;

	tcase_add_checked_fixture(blob, setup, teardown);
	tcase_add_test(blob, seed_is_read);
	tcase_add_loop_test(blob, bent_is_refused, 0, sizeof(bends) / sizeof(bends[0]));
	tcase_add_test(blob, cut_is_refused);
	tcase_add_test(blob, verdicts);
	tcase_add_loop_test(blob, odd_jump_is_unknown, 0, 2);
	tcase_add_test(blob, loop_is_refused);
	tcase_add_test(blob, goto_and_revision);
	tcase_add_test(blob, protocol_is_asked_for);
	tcase_add_loop_test(blob, address_outside_its_mask, 0, 2);
	tcase_add_loop_test(blob, multiport_of_none, 0, 2);
	tcase_add_loop_test(blob, matches_that_keep_state, 0, 6);
	suite_add_tcase(s, blob);
	add_truth(s);
	r = srunner_create(s);
	srunner_run_all(r, CK_NORMAL);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
