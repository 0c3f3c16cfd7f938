/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The part of a rule that ip_tables matches itself: ip_packet_match of net/ipv4/netfilter/ip_tables.c, ip6_packet_match
 * of net/ipv6/netfilter/ip6_tables.c, in their order. A flag of inversion turns the whole test, also one that asks
 * nothing: such a rule matches no packet.
 */
#include <stddef.h>
#include <string.h>

#include <linux/netfilter_ipv4/ip_tables.h>
#include <linux/netfilter_ipv6/ip6_tables.h>

#include "ipt.h"

/* An empty mask asks nothing, so the packet is not read for it. Where the rule's address has bits outside its mask, the two
 * families differ: ip_packet_match masks the packet's alone, so that they are never equal, ipv6_masked_addr_cmp both. */
static void address(const struct xt_build *b, enum imr_field f, const void *addr, const void *mask, bool inv)
{
	unsigned int n = imr_fields[f].len;
	u128 m = xt_be(mask, n), want = xt_be(addr, n) & (b->ctx->family == FAM_IP6 ? m : ~(u128)0);

	if (want || m || inv)
		xt_masked(b, imr_ld(b->imr, b->rule, f), imr_fields[f].type, m, want, inv);
}

/* The bits of `mask` decide; where they reach a name's end, names being padded with zeros, the whole name is meant. */
static u128 whole_name(u128 mask, u128 want)
{
	u128 rest = ~mask;
	unsigned int bits = 0;

	if (rest & (rest + 1))
		return mask;
	while (bits < 128 && rest >> bits)
		bits++;			/* low bits that are not compared */
	if (bits % 8 || bits == 128 || (want >> bits & 0xff))
		return mask;
	return ~(u128)0;
}

/* ifname_compare_aligned: both sides are masked. */
static void device(const struct xt_build *b, enum imr_field f, const char *name, const unsigned char *mask, bool inv)
{
	u128 m = xt_be(mask, IFNAMSIZ), want = xt_be(name, IFNAMSIZ) & m;

	if (m || inv)
		xt_masked(b, imr_ld(b->imr, b->rule, f), T_NAME, whole_name(m, want), want, inv);
}

static void fragment(const struct xt_build *b, bool asked, bool inv)
{
	uint32_t v;

	if (!asked && !inv)
		return;
	v = imr_ld(b->imr, b->rule, F_IP_FRAGOFF);
	if (asked)
		imr_cmp(b->imr, b->rule, inv ? OP_EQ : OP_NE, v, 0, ELSE_NEXT);
	else
		xt_never(b, v, imr_fields[F_IP_FRAGOFF].type);
}

static void match4(const struct xt_build *b, const struct ipt_ip *ip)
{
	address(b, F_IP_SADDR, &ip->src, &ip->smsk, ip->invflags & IPT_INV_SRCIP);
	address(b, F_IP_DADDR, &ip->dst, &ip->dmsk, ip->invflags & IPT_INV_DSTIP);
	device(b, F_META_IIFNAME, ip->iniface, ip->iniface_mask, ip->invflags & IPT_INV_VIA_IN);
	device(b, F_META_OIFNAME, ip->outiface, ip->outiface_mask, ip->invflags & IPT_INV_VIA_OUT);
	if (ip->proto)
		imr_cmp(b->imr, b->rule, ip->invflags & IPT_INV_PROTO ? OP_NE : OP_EQ,
			imr_ld(b->imr, b->rule, F_IP_PROTOCOL), (uint8_t)ip->proto, ELSE_NEXT);
	fragment(b, ip->flags & IPT_F_FRAG, ip->invflags & IPT_INV_FRAG);
}

/* A walk that fails leaves fragoff 0 (ipv6_find_hdr), and then the packet is dropped. */
static void protocol6(const struct xt_build *b, uint8_t proto, bool inv)
{
	imr_cmp(b->imr, b->rule, OP_EQ, imr_ld(b->imr, b->rule, F_TX_OK), 1, ELSE_DROP);
	if (proto || inv)
		imr_cmp(b->imr, b->rule, inv ? OP_NE : OP_EQ, imr_ld(b->imr, b->rule, F_TX_PROTO), proto, ELSE_NEXT);
}

static void match6(const struct xt_build *b, const struct ip6t_ip6 *ip)
{
	address(b, F_IP6_SADDR, &ip->src, &ip->smsk, ip->invflags & IP6T_INV_SRCIP);
	address(b, F_IP6_DADDR, &ip->dst, &ip->dmsk, ip->invflags & IP6T_INV_DSTIP);
	device(b, F_META_IIFNAME, ip->iniface, ip->iniface_mask, ip->invflags & IP6T_INV_VIA_IN);
	device(b, F_META_OIFNAME, ip->outiface, ip->outiface_mask, ip->invflags & IP6T_INV_VIA_OUT);
	if (ip->flags & IP6T_F_PROTO)
		protocol6(b, (uint8_t)ip->proto, ip->invflags & IP6T_INV_PROTO);
}

void ipt_match_ip(struct ipt_blob *b, struct imr_rule *r, const struct ipt_entry_view *e, struct fe_xt_ctx *ret)
{
	struct xt_build x = { .imr = b->imr, .rule = r, .ctx = ret };
	struct ip6t_ip6 ip6;
	struct ipt_ip ip4;

	*ret = (struct fe_xt_ctx){ .family = b->family, .legacy = true };
	if (b->family == FAM_IP) {
		memcpy(&ip4, e->ip, sizeof(ip4));
		match4(&x, &ip4);
		ret->proto = (uint8_t)ip4.proto;
		ret->proto_inv = ip4.invflags & IPT_INV_PROTO;
	} else {
		memcpy(&ip6, e->ip, sizeof(ip6));
		match6(&x, &ip6);
		ret->proto = ip6.flags & IP6T_F_PROTO ? (uint8_t)ip6.proto : 0;
		ret->proto_inv = ip6.invflags & IP6T_INV_PROTO;
	}
}

bool ipt_is_goto(const struct ipt_blob *b, const struct ipt_entry_view *e)
{
	if (b->family == FAM_IP)
		return e->ip[offsetof(struct ipt_ip, flags)] & IPT_F_GOTO;
	return e->ip[offsetof(struct ip6t_ip6, flags)] & IP6T_F_GOTO;
}
