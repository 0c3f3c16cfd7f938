/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Matches that read the transport header: net/netfilter/xt_tcpudp.c (tcp_mt, udp_mt, icmp_match, icmp6_match) and
 * xt_multiport.c (multiport_mt). All of them never match a later fragment, inverted or not, and drop a packet whose
 * header they were asked to read and is not whole (hotdrop).
 */
#include <arpa/inet.h>
#include <linux/netfilter/xt_multiport.h>
#include <linux/netfilter/xt_tcpudp.h>
#include <linux/netfilter_ipv4/ip_tables.h>
#include <linux/netfilter_ipv6/ip6_tables.h>

#include "xt.h"

#define TCP_HLEN	20
#define UDP_HLEN	8
#define ICMP_HLEN	8
#define PORTS_LEN	4

/* A field of the transport header; xtables' walk through IPv6 has a base of its own, where fields have no names. */
static uint32_t ld_th(const struct xt_build *b, enum imr_field f)
{
	const struct imr_field_info *i = &imr_fields[f];

	if (b->th == B_TH)
		return imr_ld(b->imr, b->rule, f);
	return imr_ld_raw(b->imr, b->rule, b->th, i->off, i->len);
}

static void whole_header(const struct xt_build *b, unsigned int bytes)
{
	uint32_t off = imr_ld(b->imr, b->rule, b->fragoff);

	imr_cmp(b->imr, b->rule, OP_EQ, off, 0, ELSE_NEXT);
	imr_need(b->imr, b->rule, b->th, bytes, ELSE_DROP);
}

static void ports(const struct xt_build *b, enum imr_field f, const uint16_t r[2], bool inv)
{
	if (r[0] != 0 || r[1] != 0xffff || inv)
		xt_range(b, ld_th(b, f), T_BE16, r[0], r[1], inv);
}

static void tcp_flags(const struct xt_build *b, const struct xt_tcp *t)
{
	bool inv = t->invflags & XT_TCP_INV_FLAGS;

	if (t->flg_mask || t->flg_cmp || inv)
		xt_masked(b, ld_th(b, F_TCP_FLAGS), T_U8, t->flg_mask, t->flg_cmp, inv);
}

/* tcp_find_option and the test of doff before it. The scan is numbered like the one-byte load that it resembles. */
static void tcp_option(const struct xt_build *b, uint8_t kind, bool inv)
{
	uint32_t v = imr_ld_raw(b->imr, b->rule, b->th, 0, 1);
	struct imr_insn *scan = &b->rule->insn[b->rule->n - 1];

	scan->op = OP_TCPOPT;
	scan->field = F_NONE;
	scan->len = 0;
	scan->imm = kind;
	imr_cmp(b->imr, b->rule, OP_NE, v, 2, ELSE_DROP);
	imr_cmp(b->imr, b->rule, OP_EQ, v, !inv, ELSE_NEXT);
}

static bool add_tcp(const struct xt_build *b, const void *data)
{
	const struct xt_tcp *t = data;

	if (t->invflags & ~XT_TCP_INV_MASK)
		return false;
	/* "Don't allow a fragment of TCP 8 bytes in": offset 1 is dropped. In IPv6 fragoff is in bytes, never 1. */
	if (b->ctx->family == FAM_IP)
		imr_cmp(b->imr, b->rule, OP_NE, imr_ld(b->imr, b->rule, b->fragoff), 1, ELSE_DROP);
	whole_header(b, TCP_HLEN);
	ports(b, F_TH_SPORT, t->spts, t->invflags & XT_TCP_INV_SRCPT);
	ports(b, F_TH_DPORT, t->dpts, t->invflags & XT_TCP_INV_DSTPT);
	tcp_flags(b, t);
	if (t->option)
		tcp_option(b, t->option, t->invflags & XT_TCP_INV_OPTION);
	return true;
}

static bool add_udp(const struct xt_build *b, const void *data)
{
	const struct xt_udp *u = data;

	if (u->invflags & ~XT_UDP_INV_MASK)
		return false;
	whole_header(b, UDP_HLEN);
	ports(b, F_TH_SPORT, u->spts, u->invflags & XT_UDP_INV_SRCPT);
	ports(b, F_TH_DPORT, u->dpts, u->invflags & XT_UDP_INV_DSTPT);
	return true;
}

/* type is exactly this and code in the range; inverted, either fails. One comparison on both bytes says it. */
static void icmp_type_code(const struct xt_build *b, uint8_t type, const uint8_t code[2], bool inv)
{
	uint32_t v;

	if (code[0] == 0 && code[1] == 0xff && b->th == B_TH) {
		v = imr_ld(b->imr, b->rule, b->ctx->family == FAM_IP ? F_ICMP_TYPE : F_ICMP6_TYPE);
		imr_cmp(b->imr, b->rule, inv ? OP_NE : OP_EQ, v, type, ELSE_NEXT);
		return;
	}
	v = imr_ld_raw(b->imr, b->rule, b->th, 0, 2);
	if (code[0] > code[1]) {
		if (!inv)
			xt_never(b, v, T_BE16);
		return;
	}
	xt_range(b, v, T_BE16, type << 8 | code[0], type << 8 | code[1], inv);
}

static bool add_icmp(const struct xt_build *b, const void *data)
{
	const struct ipt_icmp *i = data;
	bool inv = i->invflags & IPT_ICMP_INV;

	if (i->invflags & ~IPT_ICMP_INV)
		return false;
	whole_header(b, ICMP_HLEN);
	if (i->type != 0xff)
		icmp_type_code(b, i->type, i->code, inv);
	else if (inv)		/* "any", and 255 means it in IPv4 alone */
		xt_never(b, imr_ld(b->imr, b->rule, F_ICMP_TYPE), T_U8);
	return true;
}

static bool add_icmp6(const struct xt_build *b, const void *data)
{
	const struct ip6t_icmp *i = data;

	if (i->invflags & ~IP6T_ICMP_INV)
		return false;
	whole_header(b, ICMP_HLEN);
	icmp_type_code(b, i->type, i->code, i->invflags & IP6T_ICMP_INV);
	return true;
}

/* The ranges of a multiport list. False where a range has no end: the kernel would read past the list. */
static bool port_ranges(const struct xt_multiport_v1 *m, struct imr_range r[XT_MULTI_PORTS], uint32_t *ret_n)
{
	uint32_t n = 0;

	if (m->count > XT_MULTI_PORTS || m->invert > 1)
		return false;
	for (uint32_t i = 0; i < m->count; i++, n++) {
		r[n].lo = r[n].hi = m->ports[i];
		if (!m->pflags[i])
			continue;
		if (++i >= m->count)
			return false;
		r[n].hi = m->ports[i];
	}
	*ret_n = n;
	return true;
}

static uint32_t port_isin(const struct xt_build *b, enum imr_field f, const struct imr_set *set)
{
	uint32_t port = ld_th(b, f);
	uint32_t v = imr_ld_raw(b->imr, b->rule, b->th, 0, 1);
	struct imr_insn *isin = &b->rule->insn[b->rule->n - 1];

	*isin = (struct imr_insn){ .op = OP_ISIN, .type = T_U1, .dst = v, .a = port, .b = IMR_NOVAL, .set = set };
	return v;
}

static bool add_multiport(const struct xt_build *b, const void *data)
{
	const struct xt_multiport_v1 *m = data;
	struct imr_range r[XT_MULTI_PORTS];
	const struct imr_set *set;
	uint32_t n, s, v;

	if (m->flags > XT_MULTIPORT_EITHER || !port_ranges(m, r, &n))
		return false;
	set = imr_set_new(b->imr, r, n);
	whole_header(b, PORTS_LEN);
	if (m->flags != XT_MULTIPORT_EITHER) {
		v = ld_th(b, m->flags == XT_MULTIPORT_SOURCE ? F_TH_SPORT : F_TH_DPORT);
		imr_in(b->imr, b->rule, m->invert, v, set, ELSE_NEXT);
		return true;
	}
	s = port_isin(b, F_TH_SPORT, set);
	v = port_isin(b, F_TH_DPORT, set);
	v = imr_op2(b->imr, b->rule, OP_OR, s, v);
	imr_cmp(b->imr, b->rule, OP_EQ, v, !m->invert, ELSE_NEXT);
	return true;
}

const struct xt_desc xt_l4_matches[] = {
	{ "tcp", XT_FAM_BOTH, 0, IPPROTO_TCP, sizeof(struct xt_tcp), add_tcp },
	{ "udp", XT_FAM_BOTH, 0, IPPROTO_UDP, sizeof(struct xt_udp), add_udp },
	{ "udplite", XT_FAM_BOTH, 0, IPPROTO_UDPLITE, sizeof(struct xt_udp), add_udp },
	{ "icmp", FAM_IP, 0, IPPROTO_ICMP, sizeof(struct ipt_icmp), add_icmp },
	{ "icmp6", FAM_IP6, 0, IPPROTO_ICMPV6, sizeof(struct ip6t_icmp), add_icmp6 },
	{ "multiport", XT_FAM_BOTH, 1, XT_PROTO_PORTS, sizeof(struct xt_multiport_v1), add_multiport },
	{ }
};
