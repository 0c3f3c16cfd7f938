/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Matches that read the network header, or facts beside the packet: xt_hl.c, xt_length.c, xt_dscp.c (dscp and tos),
 * xt_iprange.c, xt_mac.c, xt_mark.c, xt_comment.c of net/netfilter. None of them reads a header that a packet at these
 * hooks may lack, and none drops.
 */
#include <linux/netfilter/xt_comment.h>
#include <linux/netfilter/xt_dscp.h>
#include <linux/netfilter/xt_iprange.h>
#include <linux/netfilter/xt_length.h>
#include <linux/netfilter/xt_mac.h>
#include <linux/netfilter/xt_mark.h>
#include <linux/netfilter_ipv4/ipt_ttl.h>
#include <linux/netfilter_ipv6/ip6t_hl.h>
#include <net/if_arp.h>

#include "xt.h"

static bool add_comment(const struct xt_build *b, const void *data)
{
	return true;
}

/* ttl and hl have the same data and modes. */
static bool add_hl(const struct xt_build *b, const void *data)
{
	static const enum imr_op op[] = {
		[IPT_TTL_EQ] = OP_EQ, [IPT_TTL_NE] = OP_NE, [IPT_TTL_LT] = OP_LT, [IPT_TTL_GT] = OP_GT,
	};
	const struct ipt_ttl_info *i = data;

	_Static_assert((int)IPT_TTL_GT == (int)IP6T_HL_GT && (int)IPT_TTL_EQ == (int)IP6T_HL_EQ, "one layout");
	if (i->mode > IPT_TTL_GT)
		return false;
	imr_cmp(b->imr, b->rule, op[i->mode],
		imr_ld(b->imr, b->rule, b->ctx->family == FAM_IP ? F_IP_TTL : F_IP6_HOPLIMIT), i->ttl, ELSE_NEXT);
	return true;
}

/* length_mt reads tot_len, length_mt6 skb->len. */
static bool add_length(const struct xt_build *b, const void *data)
{
	const struct xt_length_info *i = data;
	bool v4 = b->ctx->family == FAM_IP;

	if (i->invert > 1)
		return false;
	xt_range(b, imr_ld(b->imr, b->rule, v4 ? F_IP_LEN : F_META_LEN), v4 ? T_BE16 : T_U32, i->min, i->max,
		 i->invert);
	return true;
}

static bool add_dscp(const struct xt_build *b, const void *data)
{
	const struct xt_dscp_info *i = data;

	if (i->dscp > XT_DSCP_MAX)
		return false;
	imr_cmp(b->imr, b->rule, i->invert ? OP_NE : OP_EQ,
		imr_ld(b->imr, b->rule, b->ctx->family == FAM_IP ? F_IP_DSCP : F_IP6_DSCP), i->dscp, ELSE_NEXT);
	return true;
}

/* The traffic class lies across the first two bytes of an IPv6 header. */
static bool add_tos(const struct xt_build *b, const void *data)
{
	const struct xt_tos_match_info *i = data;
	uint32_t v;

	if (b->ctx->family == FAM_IP)
		xt_masked(b, imr_ld(b->imr, b->rule, F_IP_TOS), T_U8, i->tos_mask, i->tos_value, i->invert);
	else {
		v = imr_ld_raw(b->imr, b->rule, B_NH, 0, 2);
		v = imr_op2(b->imr, b->rule, OP_AND, v, (u128)i->tos_mask << 4);
		imr_cmp(b->imr, b->rule, i->invert ? OP_NE : OP_EQ, v, (u128)i->tos_value << 4, ELSE_NEXT);
	}
	return true;
}

static void addr_range(const struct xt_build *b, bool src, const union nf_inet_addr *lo,
		       const union nf_inet_addr *hi, bool inv)
{
	bool v4 = b->ctx->family == FAM_IP;
	enum imr_field f = v4 ? (src ? F_IP_SADDR : F_IP_DADDR) : (src ? F_IP6_SADDR : F_IP6_DADDR);
	unsigned int n = v4 ? 4 : 16;

	xt_range(b, imr_ld(b->imr, b->rule, f), imr_fields[f].type, xt_be(lo, n), xt_be(hi, n), inv);
}

static bool add_iprange(const struct xt_build *b, const void *data)
{
	const struct xt_iprange_mtinfo *i = data;

	if (i->flags & ~(IPRANGE_SRC | IPRANGE_DST | IPRANGE_SRC_INV | IPRANGE_DST_INV))
		return false;
	if (i->flags & IPRANGE_SRC)
		addr_range(b, true, &i->src_min, &i->src_max, i->flags & IPRANGE_SRC_INV);
	if (i->flags & IPRANGE_DST)
		addr_range(b, false, &i->dst_min, &i->dst_max, i->flags & IPRANGE_DST_INV);
	return true;
}

/* mac_mt: no match, inverted or not, where the device is not of Ethernet's type. */
static bool add_mac(const struct xt_build *b, const void *data)
{
	const struct xt_mac_info *i = data;

	if (i->invert != 0 && i->invert != 1)
		return false;
	imr_need(b->imr, b->rule, B_LL, 14, ELSE_NEXT);
	imr_cmp(b->imr, b->rule, OP_EQ, imr_ld(b->imr, b->rule, F_META_IIFTYPE), ARPHRD_ETHER, ELSE_NEXT);
	imr_cmp(b->imr, b->rule, i->invert ? OP_NE : OP_EQ, imr_ld(b->imr, b->rule, F_ETH_SADDR),
		xt_be(i->srcaddr, 6), ELSE_NEXT);
	return true;
}

static bool add_mark(const struct xt_build *b, const void *data)
{
	const struct xt_mark_mtinfo1 *i = data;

	if (i->invert > 1)
		return false;
	xt_masked(b, imr_ld(b->imr, b->rule, F_META_MARK), T_U32, i->mask, i->mark, i->invert);
	return true;
}

const struct xt_desc xt_ip_matches[] = {
	{ "comment", XT_FAM_ANY, 0, XT_PROTO_ANY, sizeof(struct xt_comment_info), add_comment },
	{ "ttl", FAM_IP, 0, XT_PROTO_ANY, sizeof(struct ipt_ttl_info), add_hl },
	{ "hl", FAM_IP6, 0, XT_PROTO_ANY, sizeof(struct ip6t_hl_info), add_hl },
	{ "length", XT_FAM_BOTH, 0, XT_PROTO_ANY, sizeof(struct xt_length_info), add_length },
	{ "dscp", XT_FAM_BOTH, 0, XT_PROTO_ANY, sizeof(struct xt_dscp_info), add_dscp },
	{ "tos", XT_FAM_BOTH, 1, XT_PROTO_ANY, sizeof(struct xt_tos_match_info), add_tos },
	{ "iprange", XT_FAM_BOTH, 1, XT_PROTO_ANY, sizeof(struct xt_iprange_mtinfo), add_iprange },
	{ "mac", XT_FAM_BOTH, 0, XT_PROTO_ANY, sizeof(struct xt_mac_info), add_mac },
	{ "mark", XT_FAM_ANY, 1, XT_PROTO_ANY, sizeof(struct xt_mark_mtinfo1), add_mark },
	{ }
};
