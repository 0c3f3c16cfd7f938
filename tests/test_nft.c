/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The nftables frontend: each expression's meaning as IMR text, what must be refused, and bytes that no kernel sends.
 * Rulesets that tools can write are the golden files' matter.
 */
#include <check.h>
#include <endian.h>
#include <linux/netfilter/nf_tables_compat.h>
#include <net/if_arp.h>
#include <stdio.h>
#include <stdlib.h>

#include "frontend.h"
#include "nft_bytes.h"

static struct arena *arena;
static struct diags diags;
static struct bytes bytes;
static struct imr_profile profile;

static void setup(void)
{
	arena = arena_new();
	diags = (struct diags){ .arena = arena };
	memset(&bytes, 0, sizeof(bytes));
	profile = (struct imr_profile){ .th_fast_frag = true };
}

static void teardown(void)
{
	arena_free(arena);
}

static struct imr *read_bytes(size_t len)
{
	struct fe_rec rec = { .kind = FE_NFT, .data = (const uint8_t *)bytes.data, .len = len };
	struct fe_capture c = { .n = 1, .rec = &rec };

	return fe_read(arena, &diags, &profile, &c);
}

static void begin(void)
{
	table_put(&bytes, NFPROTO_IPV4, "t", 0);
	chain_put(&bytes, NFPROTO_IPV4, "t", "c", NF_INET_LOCAL_IN, 0);
	chain_put(&bytes, NFPROTO_IPV4, "t", "u", -1, 0);
	rule_begin(&bytes, NFPROTO_IPV4, "t", "c", 7);
}

static const char *name(const struct imr *imr, uint32_t chain)
{
	return imr->chain[chain].name;
}

/* The instructions of the one rule, "; " between them. */
static const char *rule_text(void)
{
	struct strbuf b = { .arena = arena };
	struct imr *imr;
	char *s, *nl;

	rule_end(&bytes);
	imr = read_bytes(bytes.len);
	ck_assert_msg(imr != NULL, "refused: %s", diags.n ? diags.d[0].message : "");
	ck_assert_str_eq(name(imr, 0), "ip/t/c");
	ck_assert_uint_eq(imr->chain[0].n, 1);
	imr_print_rule(&b, imr, &imr->chain[0], &imr->chain[0].rule[0]);
	s = strchr(b.s, '\n') + 1;
	while (*s == '\t')
		s++;
	while ((nl = strchr(s, '\n'))) {
		size_t n = strspn(nl + 1, "\t");

		if (!nl[1]) {
			*nl = '\0';
			break;
		}
		memmove(nl + 2, nl + 1 + n, strlen(nl + 1 + n) + 1);
		memcpy(nl, "; ", 2);
	}
	return s;
}

#define RULE_IS(text) ck_assert_str_eq(rule_text(), text)

static unsigned int unsupported(void)
{
	unsigned int n = 0;

	for (uint32_t i = 0; i < diags.n; i++)
		n += diags.d[i].level == DIAG_UNSUPPORTED;
	return n;
}

/* ------------------------------------------------------------------ loads */

START_TEST(test_payload_fast)
{
	begin();
	payload_put(&bytes, NFT_PAYLOAD_TRANSPORT_HEADER, 2, 2, NFT_REG_1);
	cmp_put(&bytes, NFT_CMP_EQ, NFT_REG_1, "\0\x16", 2);
	verdict_put(&bytes, NF_DROP, NULL);
	RULE_IS("need th, 4; %0 =be16 ld raw th+2:2; eq %0, 22; drop");
}
END_TEST

START_TEST(test_payload_slow)
{
	begin();
	payload_put(&bytes, NFT_PAYLOAD_TRANSPORT_HEADER, 1, 2, NFT_REG_1);
	RULE_IS("need th, 3; %0 =u16 ld th.fragoff; eq %0, 0; %1 =be16 ld raw th+1:2; next");
}
END_TEST

START_TEST(test_payload_profile)
{
	profile.th_fast_frag = false;
	begin();
	payload_put(&bytes, NFT_PAYLOAD_TRANSPORT_HEADER, 2, 2, NFT_REG_1);
	RULE_IS("need th, 4; %0 =u16 ld th.fragoff; eq %0, 0; %1 =be16 ld raw th+2:2; next");
}
END_TEST

START_TEST(test_payload_wide)
{
	begin();
	payload_put(&bytes, NFT_PAYLOAD_NETWORK_HEADER, 8, 32, NFT_REG_1);
	cmp_put(&bytes, NFT_CMP_EQ, NFT_REG_2, "\x20\x01", 2);
	RULE_IS("need nh, 40; %0 =be128 ld raw nh+8:16; %1 =be128 ld raw nh+24:16; "
		"in %1, 0x20010000000000000000000000000000-0x2001ffffffffffffffffffffffffffff; next");
}
END_TEST

START_TEST(test_l4proto)
{
	begin();
	meta_put(&bytes, NFT_META_L4PROTO, NFT_REG_1);
	cmp_put(&bytes, NFT_CMP_EQ, NFT_REG_1, "\x06", 1);
	RULE_IS("%0 =u1 ld th.ok; eq %0, 1; %1 =u8 ld th.proto; eq %1, 6; next");
}
END_TEST

/* In the host's order; without a device it breaks. */
START_TEST(test_iiftype)
{
	const uint16_t ether = ARPHRD_ETHER;

	begin();
	meta_put(&bytes, NFT_META_IIFTYPE, NFT_REG_1);
	cmp_put(&bytes, NFT_CMP_EQ, NFT_REG_1, (const char *)&ether, 2);
	RULE_IS("%0 =u16 ld meta.iiftype; ne %0, 0; eq %0, 1; next");
}
END_TEST

/* ------------------------------------------------------------------ comparisons */

START_TEST(test_name_prefix)
{
	begin();
	meta_put(&bytes, NFT_META_IIFNAME, NFT_REG_1);
	cmp_put(&bytes, NFT_CMP_NEQ, NFT_REG_1, "eth", 3);
	RULE_IS("%0 =name ld meta.iifname; ni %0, \"eth*\"; next");
}
END_TEST

START_TEST(test_name_short)
{
	begin();
	meta_put(&bytes, NFT_META_IIFNAME, NFT_REG_1);
	cmp_put(&bytes, NFT_CMP_EQ, NFT_REG_1, "lo\0\0\0\0\0\0\0\0\0\0\0\0\0", 16);
	RULE_IS("%0 =name ld meta.iifname; eq %0, \"lo\"; next");
}
END_TEST

/* Two registers side by side in one comparison; the first value's padding is compared too. */
START_TEST(test_concat)
{
	begin();
	payload_put(&bytes, NFT_PAYLOAD_NETWORK_HEADER, 12, 4, NFT_REG32_00);
	payload_put(&bytes, NFT_PAYLOAD_TRANSPORT_HEADER, 2, 2, NFT_REG32_01);
	cmp_put(&bytes, NFT_CMP_EQ, NFT_REG_1, "\x0a\0\0\x01\0\x16\0\0", 8);
	RULE_IS("need nh, 16; %0 =be32 ld raw nh+12:4; need th, 4; %1 =be16 ld raw th+2:2; "
		"eq %0, 0xa000001; eq %1, 22; next");
}
END_TEST

START_TEST(test_concat_never)
{
	begin();
	payload_put(&bytes, NFT_PAYLOAD_TRANSPORT_HEADER, 2, 2, NFT_REG_1);
	cmp_put(&bytes, NFT_CMP_EQ, NFT_REG_1, "\0\x16\0\x01", 4);
	verdict_put(&bytes, NF_DROP, NULL);
	RULE_IS("need th, 4; %0 =be16 ld raw th+2:2; next");
}
END_TEST

START_TEST(test_concat_ne)
{
	begin();
	payload_put(&bytes, NFT_PAYLOAD_NETWORK_HEADER, 12, 4, NFT_REG32_00);
	payload_put(&bytes, NFT_PAYLOAD_TRANSPORT_HEADER, 2, 2, NFT_REG32_01);
	cmp_put(&bytes, NFT_CMP_NEQ, NFT_REG_1, "\x0a\0\0\x01\0\x16\0\0", 8);
	RULE_IS("need nh, 16; %0 =be32 ld raw nh+12:4; need th, 4; %1 =be16 ld raw th+2:2; "
		"opaque \"an inequality over several fields\"; next");
	ck_assert_uint_eq(unsupported(), 1);
}
END_TEST

START_TEST(test_middle)
{
	begin();
	payload_put(&bytes, NFT_PAYLOAD_NETWORK_HEADER, 12, 8, NFT_REG32_00);
	cmp_put(&bytes, NFT_CMP_EQ, NFT_REG32_01, "\x01\x02", 2);
	RULE_IS("need nh, 20; %0 =be64 ld raw nh+12:8; %1 =be64 shr %0, 16; %2 =be64 and %1, 0xffff; eq %2, 0x102; next");
}
END_TEST

START_TEST(test_overwrite)
{
	begin();
	payload_put(&bytes, NFT_PAYLOAD_NETWORK_HEADER, 12, 4, NFT_REG_1);
	immediate_put(&bytes, NFT_REG_1, "\x07", 1);
	cmp_put(&bytes, NFT_CMP_EQ, NFT_REG_1, "\x07\0\0\0", 4);
	verdict_put(&bytes, NF_ACCEPT, NULL);
	RULE_IS("need nh, 16; %0 =be32 ld raw nh+12:4; accept");
}
END_TEST

/* memcmp of a host-order number without a conversion compares its bytes as they lie. */
START_TEST(test_host_order)
{
	begin();
	meta_put(&bytes, NFT_META_MARK, NFT_REG_1);
	cmp_put(&bytes, NFT_CMP_LT, NFT_REG_1, "\x01\0\0\0", 4);
	RULE_IS("%0 =u32 ld meta.mark; %1 =u32 swap %0; in %1, 0-16777215; next");
}
END_TEST

START_TEST(test_byteorder)
{
	begin();
	meta_put(&bytes, NFT_META_LEN, NFT_REG_1);
	byteorder_put(&bytes, NFT_REG_1, 4, 4);
	cmp_put(&bytes, NFT_CMP_GT, NFT_REG_1, "\0\0\x01\0", 4);
	RULE_IS("%0 =u32 ld meta.len; in %0, 257-4294967295; next");
}
END_TEST

START_TEST(test_byteorder_many)
{
	begin();
	payload_put(&bytes, NFT_PAYLOAD_NETWORK_HEADER, 12, 4, NFT_REG_1);
	byteorder_put(&bytes, NFT_REG_1, 4, 2);
	cmp_put(&bytes, NFT_CMP_EQ, NFT_REG_1, "\0\0\x01\0", 4);
	RULE_IS("need nh, 16; %0 =be32 ld raw nh+12:4; opaque \"a byte order conversion\"; next");
	ck_assert_uint_eq(unsupported(), 1);
}
END_TEST

START_TEST(test_compare_ends)
{
	begin();
	payload_put(&bytes, NFT_PAYLOAD_NETWORK_HEADER, 8, 1, NFT_REG_1);
	cmp_put(&bytes, NFT_CMP_GTE, NFT_REG_1, "\x05", 1);
	cmp_put(&bytes, NFT_CMP_LTE, NFT_REG_1, "\x40", 1);
	cmp_put(&bytes, NFT_CMP_GT, NFT_REG_1, "\xff", 1);
	RULE_IS("need nh, 9; %0 =u8 ld raw nh+8:1; in %0, 5-255; in %0, 0-64; next");
}
END_TEST

START_TEST(test_range)
{
	begin();
	payload_put(&bytes, NFT_PAYLOAD_NETWORK_HEADER, 8, 1, NFT_REG_1);
	range_put(&bytes, NFT_RANGE_EQ, NFT_REG_1, "\x05", "\x40", 1);
	range_put(&bytes, NFT_RANGE_NEQ, NFT_REG_1, "\x06", "\x07", 1);
	range_put(&bytes, NFT_RANGE_NEQ, NFT_REG_1, "\x07", "\x06", 1);
	RULE_IS("need nh, 9; %0 =u8 ld raw nh+8:1; in %0, 5-64; ni %0, 6-7; next");
}
END_TEST

START_TEST(test_bitwise)
{
	begin();
	payload_put(&bytes, NFT_PAYLOAD_NETWORK_HEADER, 12, 4, NFT_REG_1);
	bitwise_put(&bytes, NFT_REG_1, "\xff\xff\0\0", "\0\0\0\0", 4, 0);
	cmp_put(&bytes, NFT_CMP_EQ, NFT_REG_1, "\x0a\x01\0\0", 4);
	payload_put(&bytes, NFT_PAYLOAD_NETWORK_HEADER, 1, 1, NFT_REG_1);
	bitwise_put(&bytes, NFT_REG_1, "\xfc", "\x01", 1, 0);
	cmp_put(&bytes, NFT_CMP_NEQ, NFT_REG_1, "\x0d", 1);
	RULE_IS("need nh, 16; %0 =be32 ld raw nh+12:4; in %0, 0xa010000-0xa01ffff; need nh, 2; %1 =u8 ld raw nh+1:1; "
		"%2 =u8 and %1, 0xfc; %3 =u8 xor %2, 0x1; ne %3, 13; next");
}
END_TEST

/* ------------------------------------------------------------------ what is not understood */

START_TEST(test_odd_attribute)
{
	begin();
	payload_put(&bytes, NFT_PAYLOAD_NETWORK_HEADER, 12, 4, NFT_REG_1);
	bitwise_put(&bytes, NFT_REG_1, "\xff\xff\0\0", "\0\0\0\0", 4, NFTA_BITWISE_DATA + 1);
	cmp_put(&bytes, NFT_CMP_EQ, NFT_REG_1, "\x0a\x01\0\0", 4);
	verdict_put(&bytes, NF_DROP, NULL);
	RULE_IS("need nh, 16; %0 =be32 ld raw nh+12:4; opaque \"a bit operation\"; drop");
	ck_assert_uint_eq(unsupported(), 1);
	ck_assert_uint_eq(diags.d[0].at.number, 1);
	ck_assert_uint_eq(diags.d[0].at.handle, 7);
}
END_TEST

START_TEST(test_odd_names)
{
	begin();
	named_put(&bytes, "frobnicate");
	named_put(&bytes, "limit");
	named_put(&bytes, "reject");
	verdict_put(&bytes, NF_DROP, NULL);
	RULE_IS("effect \"frobnicate\"; effect \"limit\"; effect \"reject\"; drop");
	ck_assert_uint_eq(unsupported(), 3);
}
END_TEST

START_TEST(test_odd_registers)
{
	begin();
	cmp_put(&bytes, NFT_CMP_EQ, NFT_REG_1, "\x01", 1);
	cmp_put(&bytes, NFT_CMP_EQ, 77, "\x01", 1);
	cmp_put(&bytes, NFT_CMP_EQ, NFT_REG32_15, "\1\2\3\4\5", 5);
	RULE_IS("opaque \"a register that the rule did not set\"; opaque \"a comparison\"; opaque \"a comparison\"; next");
	ck_assert_uint_eq(unsupported(), 3);
}
END_TEST

/* Older kernels load it and go word by word, so that the second word read is the first one written. */
START_TEST(test_overlap)
{
	begin();
	payload_put(&bytes, NFT_PAYLOAD_NETWORK_HEADER, 12, 8, NFT_REG32_00);
	expr_begin(&bytes, _i ? "byteorder" : "bitwise");
	put32(&bytes, _i ? NFTA_BYTEORDER_SREG : NFTA_BITWISE_SREG, NFT_REG32_00);
	put32(&bytes, _i ? NFTA_BYTEORDER_DREG : NFTA_BITWISE_DREG, NFT_REG32_01);
	put32(&bytes, _i ? NFTA_BYTEORDER_LEN : NFTA_BITWISE_LEN, 8);
	if (_i) {
		put32(&bytes, NFTA_BYTEORDER_OP, NFT_BYTEORDER_NTOH);
		put32(&bytes, NFTA_BYTEORDER_SIZE, 4);
	} else {
		data_put(&bytes, NFTA_BITWISE_MASK, "\xff\xff\xff\xff\xff\xff\xff\xff", 8);
		data_put(&bytes, NFTA_BITWISE_XOR, "\0\0\0\0\0\0\0\0", 8);
	}
	expr_end(&bytes);
	cmp_put(&bytes, NFT_CMP_EQ, NFT_REG32_02, "\x0a\0\0\x02", 4);
	RULE_IS(_i ? "need nh, 20; %0 =be64 ld raw nh+12:8; opaque \"a byte order conversion\"; next" :
		"need nh, 20; %0 =be64 ld raw nh+12:8; opaque \"a bit operation\"; next");
	ck_assert_uint_eq(unsupported(), 1);
}
END_TEST

/* In a table of inet only matches of no family are found, and some of them keep state. */
START_TEST(test_inet_match)
{
	struct imr *imr;

	table_put(&bytes, NFPROTO_INET, "t", 0);
	chain_put(&bytes, NFPROTO_INET, "t", "c", NF_INET_LOCAL_IN, 0);
	rule_begin(&bytes, NFPROTO_INET, "t", "c", 7);
	expr_begin(&bytes, "match");
	mnl_attr_put_strz(bytes.h, NFTA_MATCH_NAME, "limit");
	put32(&bytes, NFTA_MATCH_REV, 0);
	mnl_attr_put(bytes.h, NFTA_MATCH_INFO, 40, bytes.data);
	expr_end(&bytes);
	rule_end(&bytes);
	imr = read_bytes(bytes.len);
	ck_assert_int_eq(imr->chain[0].rule[0].insn[0].op, OP_EFFECT);
	ck_assert_int_eq(imr->conntrack, CONNTRACK_EXPECTS);
	ck_assert_uint_eq(unsupported(), 1);
}
END_TEST

START_TEST(test_odd_ct)
{
	begin();
	expr_begin(&bytes, "ct");
	put32(&bytes, NFTA_CT_KEY, NFT_CT_STATE);
	put32(&bytes, NFTA_CT_DREG, NFT_REG_1);
	expr_end(&bytes);
	cmp_put(&bytes, NFT_CMP_NEQ, NFT_REG_1, "\0\0\0\0", 4);
	verdict_put(&bytes, NF_ACCEPT, NULL);
	RULE_IS("opaque \"ct state\"; accept");
}
END_TEST

/* ------------------------------------------------------------------ verdicts, chains, tables */

START_TEST(test_verdicts)
{
	static const struct { int32_t code; const char *chain, *text; } v[] = {
		{ NF_ACCEPT, NULL, "accept" }, { NF_DROP, NULL, "drop" }, { NFT_BREAK, NULL, "next" },
		{ NFT_CONTINUE, NULL, "count; next" }, { NFT_RETURN, NULL, "return" },
		{ NFT_JUMP, "u", "jump @\"ip/t/u\"" }, { NFT_GOTO, "u", "goto @\"ip/t/u\"" },
		{ NF_QUEUE | 3 << 16, NULL, "effect \"queue\"; count; next" },
		{ NF_DROP | 1 << 16, NULL, "effect \"a verdict\"; count; next" },
	};

	begin();
	verdict_put(&bytes, v[_i].code, v[_i].chain);
	named_put(&bytes, "counter");
	RULE_IS(v[_i].text);
}
END_TEST

START_TEST(test_jump_nowhere)
{
	begin();
	verdict_put(&bytes, NFT_JUMP, "nowhere");
	rule_end(&bytes);
	ck_assert_ptr_null(read_bytes(bytes.len));
	ck_assert(diags_have(&diags, DIAG_ERROR));
}
END_TEST

/* Found among many, and told apart where their names run together. */
START_TEST(test_many_chains)
{
	char chain[16];
	struct imr *imr;

	table_put(&bytes, NFPROTO_IPV4, "a", 0);
	table_put(&bytes, NFPROTO_IPV4, "a/b", 0);
	chain_put(&bytes, NFPROTO_IPV4, "a", "b/c", -1, 0);
	chain_put(&bytes, NFPROTO_IPV4, "a/b", "c", NF_INET_LOCAL_IN, 0);
	chain_put(&bytes, NFPROTO_IPV4, "a/b", "c'", -1, 0);
	for (int i = 0; i < 200; i++) {
		snprintf(chain, sizeof(chain), "u%d", i);
		chain_put(&bytes, NFPROTO_IPV4, "a/b", chain, -1, 0);
	}
	for (int i = 0; i < 200; i++) {
		snprintf(chain, sizeof(chain), "u%d", i);
		rule_begin(&bytes, NFPROTO_IPV4, "a/b", "c", i + 1);
		verdict_put(&bytes, NFT_JUMP, chain);
		rule_end(&bytes);
	}
	imr = read_bytes(bytes.len);
	ck_assert_uint_eq(imr->n, 203);
	ck_assert_str_eq(name(imr, 0), "ip/a/b/c");
	ck_assert_str_eq(name(imr, 1), "ip/a/b/c'");
	ck_assert_str_eq(name(imr, 2), "ip/a/b/c''");
	for (int i = 0; i < 200; i++) {
		snprintf(chain, sizeof(chain), "ip/a/b/u%d", i);
		ck_assert_str_eq(name(imr, imr->chain[1].rule[i].insn[0].chain), chain);
	}
}
END_TEST

START_TEST(test_dormant)
{
	table_put(&bytes, NFPROTO_IPV4, "t", NFT_TABLE_F_DORMANT);
	chain_put(&bytes, NFPROTO_IPV4, "t", "c", NF_INET_LOCAL_IN, 0);
	table_put(&bytes, NFPROTO_BRIDGE, "t", 0);
	chain_put(&bytes, NFPROTO_BRIDGE, "t", "c", NF_INET_LOCAL_IN, 0);
	ck_assert_uint_eq(read_bytes(bytes.len)->n, 0);
	ck_assert_uint_eq(unsupported(), 0);
	ck_assert_uint_eq(diags.n, 2);
}
END_TEST

START_TEST(test_odd_chain)
{
	static const struct { uint32_t table, chain; } flags[] = {
		{ 0, NFT_CHAIN_HW_OFFLOAD }, { 0, 0x100 }, { 0x100, 0 },
	};
	struct imr *imr;

	table_put(&bytes, NFPROTO_IPV6, "t", flags[_i].table);
	chain_put(&bytes, NFPROTO_IPV6, "t", "c", NF_INET_FORWARD, NFT_CHAIN_BASE | flags[_i].chain);
	imr = read_bytes(bytes.len);
	ck_assert_int_eq(imr->chain[0].rule[0].insn[0].op, OP_EFFECT);
	ck_assert_int_eq(imr->chain[0].hook, HOOK_IP6_FORWARD);
	ck_assert_int_eq(imr->chain[0].prio, -10);
	ck_assert_uint_ge(unsupported(), 1);
}
END_TEST

/* A chain of a netdev table, bound by one entry of NFTA_HOOK_DEVS. */
static void netdev_chain_put(uint16_t type, const char *dev, size_t len)
{
	struct nlattr *hook, *devs;

	table_put(&bytes, NFPROTO_NETDEV, "t", 0);
	msg_begin(&bytes, NFT_MSG_NEWCHAIN, NFPROTO_NETDEV);
	mnl_attr_put_strz(bytes.h, NFTA_CHAIN_TABLE, "t");
	mnl_attr_put_strz(bytes.h, NFTA_CHAIN_NAME, "c");
	hook = mnl_attr_nest_start(bytes.h, NFTA_CHAIN_HOOK);
	put32(&bytes, NFTA_HOOK_HOOKNUM, NF_NETDEV_INGRESS);
	put32(&bytes, NFTA_HOOK_PRIORITY, 0);
	devs = mnl_attr_nest_start(bytes.h, NFTA_HOOK_DEVS);
	mnl_attr_put(bytes.h, type, len, dev);
	mnl_attr_nest_end(bytes.h, devs);
	mnl_attr_nest_end(bytes.h, hook);
	put32(&bytes, NFTA_CHAIN_POLICY, NF_DROP);
	mnl_attr_put_strz(bytes.h, NFTA_CHAIN_TYPE, "filter");
	msg_end(&bytes);
}

/* To the kernel a name is a name; what binds a chain to more devices is looked at on each of them, and is not exact. */
START_TEST(test_devices)
{
	static const struct { uint16_t type; const char *dev; size_t len; const char *bound; bool exact; } devs[] = {
		{ NFTA_DEVICE_NAME, "eth0", 5, "eth0", true },
		{ NFTA_DEVICE_NAME, "eth*", 5, "eth*", false },
		{ NFTA_DEVICE_NAME, "eth", 3, "eth*", false },		/* Linux 6.16 */
		{ NFTA_DEVICE_NAME + 1, "eth", 4, "eth*", false },
		{ NFTA_DEVICE_NAME + 2, "eth", 4, "*", false },
		{ NFTA_DEVICE_NAME, "", 1, "*", false },
	};
	struct imr *imr;

	netdev_chain_put(devs[_i].type, devs[_i].dev, devs[_i].len);
	imr = read_bytes(bytes.len);
	ck_assert_uint_eq(imr->chain[0].n_dev, 1);
	ck_assert_str_eq(imr->chain[0].dev[0], devs[_i].bound);
	ck_assert_uint_eq(imr->chain[0].n, !devs[_i].exact);
	ck_assert_uint_eq(unsupported(), !devs[_i].exact);
}
END_TEST

/* nf_tables_table_disable unhooks chains alone. */
START_TEST(test_dormant_flowtable)
{
	struct nlattr *hook, *devs;
	struct imr *imr;

	table_put(&bytes, NFPROTO_IPV4, "t", NFT_TABLE_F_DORMANT);
	msg_begin(&bytes, NFT_MSG_NEWFLOWTABLE, NFPROTO_IPV4);
	mnl_attr_put_strz(bytes.h, NFTA_FLOWTABLE_TABLE, "t");
	mnl_attr_put_strz(bytes.h, NFTA_FLOWTABLE_NAME, "f");
	hook = mnl_attr_nest_start(bytes.h, NFTA_FLOWTABLE_HOOK);
	put32(&bytes, NFTA_FLOWTABLE_HOOK_PRIORITY, 0);
	devs = mnl_attr_nest_start(bytes.h, NFTA_FLOWTABLE_HOOK_DEVS);
	mnl_attr_put_strz(bytes.h, NFTA_DEVICE_NAME, "eth0");
	mnl_attr_nest_end(bytes.h, devs);
	mnl_attr_nest_end(bytes.h, hook);
	msg_end(&bytes);
	imr = read_bytes(bytes.len);
	ck_assert_uint_eq(imr->n, 1);
	ck_assert_int_eq(imr->chain[0].rule[0].insn[0].op, OP_EFFECT);
}
END_TEST

START_TEST(test_generations)
{
	begin();
	rule_end(&bytes);
	bytes.generation = 1;
	table_put(&bytes, NFPROTO_IPV4, "v", 0);
	ck_assert_ptr_null(read_bytes(bytes.len));
}
END_TEST

/* Cut anywhere: between messages it is a smaller dump, elsewhere an error. */
START_TEST(test_cut)
{
	size_t message = 0;

	begin();
	payload_put(&bytes, NFT_PAYLOAD_NETWORK_HEADER, 12, 4, NFT_REG_1);
	bitwise_put(&bytes, NFT_REG_1, "\xff\xff\0\0", "\0\0\0\0", 4, 0);
	cmp_put(&bytes, NFT_CMP_EQ, NFT_REG_1, "\x0a\x01\0\0", 4);
	verdict_put(&bytes, NFT_JUMP, "u");
	rule_end(&bytes);
	for (size_t n = 0; n <= bytes.len; n++) {
		const struct nlmsghdr *h = (const struct nlmsghdr *)(bytes.data + message);

		if (n > message && n >= message + h->nlmsg_len)
			message += NLMSG_ALIGN(h->nlmsg_len);
		ck_assert_msg(!!read_bytes(n) == (n == message), "cut to %zu bytes", n);
	}
}
END_TEST

/* ------------------------------------------------------------------ captures, texts */

START_TEST(test_capture)
{
	static const uint8_t some[] = "abc";
	struct fe_rec rec[] = {
		{ .kind = FE_NFT, .data = some, .len = 3 }, { .kind = FE_IPT, .family = FAM_IP6 },
		{ .kind = FE_IPT_TEXT, .family = FAM_IP, .data = some, .len = 2 },
	};
	struct fe_capture c = { .n = 3, .rec = rec }, back;
	uint8_t *data, *again;
	size_t len, len2;

	fe_capture_encode(arena, &c, &data, &len);
	ck_assert(fe_capture_decode(arena, &diags, data, len, &back));
	ck_assert_uint_eq(back.n, 3);
	ck_assert_uint_eq(back.rec[2].family, FAM_IP);
	fe_capture_encode(arena, &back, &again, &len2);
	ck_assert_uint_eq(len, len2);
	ck_assert_mem_eq(data, again, len);
	for (size_t n = 0; n < len; n++)
		if (n != 16 && n != 16 + 19 && n != 16 + 19 + 16)
			ck_assert_msg(!fe_capture_decode(arena, &diags, data, n, &back), "cut to %zu", n);
	for (size_t i = 0; i < 24; i++) {
		data[i] ^= 0x80;
		ck_assert_msg(!fe_capture_decode(arena, &diags, data, len, &back), "byte %zu", i);
		data[i] ^= 0x80;
	}
}
END_TEST

static struct fe_texts *texts_of(enum fe_kind kind, uint8_t family, const char *s)
{
	struct fe_rec *rec = arena_alloc(arena, sizeof(*rec));

	*rec = (struct fe_rec){ .kind = kind, .family = family, .data = (const uint8_t *)s, .len = strlen(s) };
	return fe_texts_new(arena, &(struct fe_capture){ .n = 1, .rec = rec });
}

START_TEST(test_nft_texts)
{
	uint64_t packets, bytes;
	struct fe_texts *t = texts_of(FE_NFT_TEXT, 0,
		"table ip filter { # handle 1\n"
		"\tset s { # handle 2\n\t\ttype ipv4_addr\n\t\telements = { 1.1.1.1,\n\t\t\t     2.2.2.2 }\n\t}\n\n"
		"\tchain in { # handle 3\n\t\ttype filter hook input priority filter; policy accept;\n"
		"\t\tip saddr 1.2.3.4 drop comment \"x { # handle 9\" # handle 4\n"
		"\t\ttcp dport { 1, 2,\n\t\t\t    3, 4 } accept # handle 5\n"
		"\t\tjump {\n\t\t\tip daddr 1.1.1.1 drop # handle 6\n\t\t} # handle 7\n"
		"\t\tdrop # handle 8\n"
		"\t\tjump {\n\t\t\tudp dport 1 counter packets 3 bytes 4 drop\n\t\t} comment \"{ counter\" "
		"counter packets 11 bytes 12 # handle 10\n\t}\n}\n"
		"table ip6 filter { # handle 2\n\tchain in { # handle 1\n\t\taccept # handle 4\n\t}\n}\n");

	ck_assert_str_eq(fe_texts_nft(t, "ip", "filter", "in", 4), "ip saddr 1.2.3.4 drop comment \"x { # handle 9\"");
	ck_assert_str_eq(fe_texts_nft(t, "ip", "filter", "in", 5), "tcp dport { 1, 2, 3, 4 } accept");
	ck_assert_str_eq(fe_texts_nft(t, "ip", "filter", "in", 6), "ip daddr 1.1.1.1 drop");
	ck_assert_str_eq(fe_texts_nft(t, "ip", "filter", "in", 8), "drop");
	ck_assert_str_eq(fe_texts_nft(t, "ip6", "filter", "in", 4), "accept");
	ck_assert_str_eq(fe_texts_nft(t, "ip", "filter", "in", 10),
			 "jump { udp dport 1 counter drop } comment \"{ counter\" counter");
	ck_assert(fe_texts_count(t, &(struct imr_at){ .tool = "nft", .where = "ip filter in", .number = 6, .handle = 10 },
				 &packets, &bytes));
	ck_assert_uint_eq(packets, 11);
	ck_assert_uint_eq(bytes, 12);
	ck_assert_ptr_null(fe_texts_nft(t, "ip", "filter", "in", 2));
	ck_assert_ptr_null(fe_texts_nft(t, "inet", "filter", "in", 4));
}
END_TEST

START_TEST(test_ipt_texts)
{
	struct fe_texts *t = texts_of(FE_IPT_TEXT, FAM_IP,
		"# x\n*filter\n:INPUT DROP [0:0]\n:u - [0:0]\n-A INPUT -s 1.1.1.1/32 -j DROP\n"
		"[1:60] -A INPUT -j u\n-A u -j ACCEPT\nCOMMIT\n*raw\n:PREROUTING ACCEPT [0:0]\nCOMMIT\n");

	ck_assert_str_eq(fe_texts_ipt(t, FAM_IP, "filter", "INPUT", 0), "-P INPUT DROP");
	ck_assert_str_eq(fe_texts_ipt(t, FAM_IP, "filter", "INPUT", 2), "-A INPUT -j u");
	ck_assert_str_eq(fe_texts_ipt(t, FAM_IP, "filter", "u", 1), "-A u -j ACCEPT");
	ck_assert_str_eq(fe_texts_ipt(t, FAM_IP, "raw", "PREROUTING", 0), "-P PREROUTING ACCEPT");
	ck_assert_ptr_null(fe_texts_ipt(t, FAM_IP, "filter", "u", 0));
	ck_assert_ptr_null(fe_texts_ipt(t, FAM_IP6, "filter", "u", 1));
}
END_TEST

int main(void)
{
	Suite *s = suite_create("nft");
	TCase *c = tcase_create("nft");
	const TTest *plain[] = {
		test_payload_fast, test_payload_slow, test_payload_profile, test_payload_wide, test_l4proto, test_iiftype,
		test_name_prefix, test_name_short, test_concat, test_concat_never, test_concat_ne, test_middle,
		test_overwrite, test_host_order, test_byteorder, test_byteorder_many, test_compare_ends, test_range,
		test_bitwise, test_odd_attribute, test_odd_names, test_odd_registers, test_odd_ct, test_inet_match, test_jump_nowhere,
		test_many_chains, test_dormant, test_dormant_flowtable, test_generations, test_cut, test_capture, test_nft_texts,
		test_ipt_texts,
	};
	SRunner *r;
	int failed;

	tcase_add_checked_fixture(c, setup, teardown);
	for (size_t i = 0; i < sizeof(plain) / sizeof(plain[0]); i++)
		tcase_add_test(c, plain[i]);
	tcase_add_loop_test(c, test_verdicts, 0, 9);
	tcase_add_loop_test(c, test_odd_chain, 0, 3);
	tcase_add_loop_test(c, test_devices, 0, 6);
	tcase_add_loop_test(c, test_overlap, 0, 2);
	suite_add_tcase(s, c);
	r = srunner_create(s);
	srunner_run_all(r, CK_ENV);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
