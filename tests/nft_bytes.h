/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Netlink messages of nftables made by hand, as a kernel would dump them: for tests of what no tool writes, and as the
 * fuzzer's seed.
 */
#ifndef FWJIT_NFT_BYTES_H
#define FWJIT_NFT_BYTES_H

#include <arpa/inet.h>
#include <libmnl/libmnl.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <string.h>

struct bytes {
	char data[65536] __attribute__((aligned(8)));
	size_t len;
	struct nlmsghdr *h;
	struct nlattr *exprs, *elem, *body;
	uint16_t generation;
};

static inline void msg_begin(struct bytes *b, uint16_t type, uint8_t family)
{
	struct nfgenmsg *g;

	b->h = mnl_nlmsg_put_header(b->data + b->len);
	b->h->nlmsg_type = NFNL_SUBSYS_NFTABLES << 8 | type;
	b->h->nlmsg_flags = NLM_F_MULTI;
	g = mnl_nlmsg_put_extra_header(b->h, sizeof(*g));
	g->nfgen_family = family;
	g->res_id = htons(b->generation);
}

static inline void msg_end(struct bytes *b)
{
	b->len += NLMSG_ALIGN(b->h->nlmsg_len);
}

static inline void put32(struct bytes *b, uint16_t type, uint32_t v)
{
	mnl_attr_put_u32(b->h, type, htonl(v));
}

static inline void put64(struct bytes *b, uint16_t type, uint64_t v)
{
	mnl_attr_put_u64(b->h, type, htobe64(v));
}

static inline void table_put(struct bytes *b, uint8_t family, const char *name, uint32_t flags)
{
	msg_begin(b, NFT_MSG_NEWTABLE, family);
	mnl_attr_put_strz(b->h, NFTA_TABLE_NAME, name);
	put32(b, NFTA_TABLE_FLAGS, flags);
	msg_end(b);
}

/* hook < 0: a user chain. */
static inline void chain_put(struct bytes *b, uint8_t family, const char *table, const char *name, int hook,
			     uint32_t flags)
{
	struct nlattr *nest;

	msg_begin(b, NFT_MSG_NEWCHAIN, family);
	mnl_attr_put_strz(b->h, NFTA_CHAIN_TABLE, table);
	mnl_attr_put_strz(b->h, NFTA_CHAIN_NAME, name);
	if (hook >= 0) {
		nest = mnl_attr_nest_start(b->h, NFTA_CHAIN_HOOK);
		put32(b, NFTA_HOOK_HOOKNUM, hook);
		put32(b, NFTA_HOOK_PRIORITY, (uint32_t)-10);
		mnl_attr_nest_end(b->h, nest);
		put32(b, NFTA_CHAIN_POLICY, NF_ACCEPT);
		mnl_attr_put_strz(b->h, NFTA_CHAIN_TYPE, "filter");
	}
	put32(b, NFTA_CHAIN_FLAGS, flags);
	msg_end(b);
}

static inline void rule_begin(struct bytes *b, uint8_t family, const char *table, const char *chain, uint64_t handle)
{
	msg_begin(b, NFT_MSG_NEWRULE, family);
	mnl_attr_put_strz(b->h, NFTA_RULE_TABLE, table);
	mnl_attr_put_strz(b->h, NFTA_RULE_CHAIN, chain);
	put64(b, NFTA_RULE_HANDLE, handle);
	b->exprs = mnl_attr_nest_start(b->h, NFTA_RULE_EXPRESSIONS);
}

static inline void rule_end(struct bytes *b)
{
	mnl_attr_nest_end(b->h, b->exprs);
	msg_end(b);
}

static inline void expr_begin(struct bytes *b, const char *name)
{
	b->elem = mnl_attr_nest_start(b->h, NFTA_LIST_ELEM);
	mnl_attr_put_strz(b->h, NFTA_EXPR_NAME, name);
	b->body = mnl_attr_nest_start(b->h, NFTA_EXPR_DATA);
}

static inline void expr_end(struct bytes *b)
{
	mnl_attr_nest_end(b->h, b->body);
	mnl_attr_nest_end(b->h, b->elem);
}

static inline void data_put(struct bytes *b, uint16_t type, const char *data, size_t n)
{
	struct nlattr *nest = mnl_attr_nest_start(b->h, type);

	mnl_attr_put(b->h, NFTA_DATA_VALUE, n, data);
	mnl_attr_nest_end(b->h, nest);
}

static inline void meta_put(struct bytes *b, uint32_t key, uint32_t reg)
{
	expr_begin(b, "meta");
	put32(b, NFTA_META_KEY, key);
	put32(b, NFTA_META_DREG, reg);
	expr_end(b);
}

static inline void payload_put(struct bytes *b, uint32_t base, uint32_t off, uint32_t len, uint32_t reg)
{
	expr_begin(b, "payload");
	put32(b, NFTA_PAYLOAD_DREG, reg);
	put32(b, NFTA_PAYLOAD_BASE, base);
	put32(b, NFTA_PAYLOAD_OFFSET, off);
	put32(b, NFTA_PAYLOAD_LEN, len);
	expr_end(b);
}

static inline void cmp_put(struct bytes *b, uint32_t op, uint32_t reg, const char *data, size_t n)
{
	expr_begin(b, "cmp");
	put32(b, NFTA_CMP_SREG, reg);
	put32(b, NFTA_CMP_OP, op);
	data_put(b, NFTA_CMP_DATA, data, n);
	expr_end(b);
}

static inline void range_put(struct bytes *b, uint32_t op, uint32_t reg, const char *lo, const char *hi, size_t n)
{
	expr_begin(b, "range");
	put32(b, NFTA_RANGE_SREG, reg);
	put32(b, NFTA_RANGE_OP, op);
	data_put(b, NFTA_RANGE_FROM_DATA, lo, n);
	data_put(b, NFTA_RANGE_TO_DATA, hi, n);
	expr_end(b);
}

/* extra: an attribute that is not known, 0 for none */
static inline void bitwise_put(struct bytes *b, uint32_t reg, const char *mask, const char *xor, size_t n,
			       uint16_t extra)
{
	expr_begin(b, "bitwise");
	put32(b, NFTA_BITWISE_SREG, reg);
	put32(b, NFTA_BITWISE_DREG, reg);
	put32(b, NFTA_BITWISE_LEN, n);
	data_put(b, NFTA_BITWISE_MASK, mask, n);
	data_put(b, NFTA_BITWISE_XOR, xor, n);
	if (extra)
		put32(b, extra, 1);
	expr_end(b);
}

static inline void byteorder_put(struct bytes *b, uint32_t reg, uint32_t len, uint32_t size)
{
	expr_begin(b, "byteorder");
	put32(b, NFTA_BYTEORDER_SREG, reg);
	put32(b, NFTA_BYTEORDER_DREG, reg);
	put32(b, NFTA_BYTEORDER_OP, NFT_BYTEORDER_HTON);
	put32(b, NFTA_BYTEORDER_LEN, len);
	put32(b, NFTA_BYTEORDER_SIZE, size);
	expr_end(b);
}

static inline void immediate_put(struct bytes *b, uint32_t reg, const char *data, size_t n)
{
	expr_begin(b, "immediate");
	put32(b, NFTA_IMMEDIATE_DREG, reg);
	data_put(b, NFTA_IMMEDIATE_DATA, data, n);
	expr_end(b);
}

static inline void verdict_put(struct bytes *b, int32_t code, const char *chain)
{
	struct nlattr *data, *v;

	expr_begin(b, "immediate");
	put32(b, NFTA_IMMEDIATE_DREG, NFT_REG_VERDICT);
	data = mnl_attr_nest_start(b->h, NFTA_IMMEDIATE_DATA);
	v = mnl_attr_nest_start(b->h, NFTA_DATA_VERDICT);
	put32(b, NFTA_VERDICT_CODE, code);
	if (chain)
		mnl_attr_put_strz(b->h, NFTA_VERDICT_CHAIN, chain);
	mnl_attr_nest_end(b->h, v);
	mnl_attr_nest_end(b->h, data);
	expr_end(b);
}

static inline void named_put(struct bytes *b, const char *name)
{
	expr_begin(b, name);
	expr_end(b);
}

#endif
