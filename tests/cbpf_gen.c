/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Programs of certain shapes for test_cbpf.c: rules that lead here and there, access lists, and rules as people write
 * them, which ask for few things again and again, so that much is remembered and left out.
 */
#include <string.h>

#include "cbpf_gen.h"

static struct imr_rule *add_rule(struct imr *imr, const char *where)
{
	struct imr_at at = { .tool = "imr", .where = where, .number = imr->chain[0].n + 1 };

	return imr_rule_add(imr, &imr->chain[0], &at);
}

static struct imr *new_program(struct xdp_gen *g, enum imr_hook hook, uint8_t policy)
{
	struct imr_profile profile = { .th_fast_frag = true, .v6_exthdr_bound = xdp_below(g, 2) };
	struct imr *imr = imr_new(g->arena, g->diags, &profile);
	struct imr_chain *c = imr_chain_add(imr, "shape");

	c->hook = hook;
	c->policy = policy;
	return imr;
}

/* ------------------------------------------------------------------ jumps */

static uint32_t later(struct xdp_gen *g, uint32_t rule, uint32_t n)
{
	uint32_t to = rule + 1 + xdp_below(g, xdp_below(g, 8) ? 12 : 120);

	return to < n ? to : n - 1;
}

static void jumpy_rule(struct xdp_gen *g, struct imr *imr, struct imr_rule *r, uint32_t i, uint32_t n)
{
	uint32_t end = xdp_below(g, 100), v = imr_ld(imr, r, F_IP_SADDR);

	for (uint32_t k = end == 99 ? 0 : xdp_below(g, 2) + 1; k; k--) {
		uint32_t bit = imr_op2(imr, r, OP_AND, v, 3u << xdp_below(g, 12));

		imr_cmp(imr, r, OP_NE, bit, 0, xdp_below(g, 100) < 2 ? ELSE_DROP : ELSE_NEXT);
		if (i + 1 < n && r->insn[r->n - 1].els == ELSE_NEXT && xdp_below(g, 12) == 0) {
			r->insn[r->n - 1].els = ELSE_RULE;
			r->insn[r->n - 1].to = later(g, i, n);
		}
	}
	imr_end(imr, r, end < 2 ? OP_DROP : end < 4 ? OP_ACCEPT : OP_NEXT, 0);
	if (end > 91 && i + 1 < n)
		r->insn[r->n - 1].to = later(g, i, n);
}

struct imr *cbpf_jumpy(struct xdp_gen *g, uint32_t n)
{
	struct imr *imr = new_program(g, HOOK_NETDEV_INGRESS, OP_DROP);

	for (uint32_t i = 0; i < n; i++)
		jumpy_rule(g, imr, add_rule(imr, "jumps"), i, n);
	return imr;
}

/* ------------------------------------------------------------------ access lists */

static uint32_t word(struct xdp_gen *g)
{
	return xdp_below(g, 1 << 16) << 16 | xdp_below(g, 1 << 16);
}

static void acl_ports(struct xdp_gen *g, struct imr *imr, struct imr_rule *r)
{
	uint32_t port = 1 + xdp_below(g, 60000), v;

	imr_need(imr, r, B_TH, 4, ELSE_NEXT);
	imr_cmp(imr, r, OP_EQ, imr_ld(imr, r, F_TH_PROTO), xdp_below(g, 2) ? 6 : 17, ELSE_NEXT);
	v = imr_ld(imr, r, F_TH_DPORT);
	if (xdp_below(g, 2))
		imr_cmp(imr, r, OP_EQ, v, port, ELSE_NEXT);
	else
		imr_in(imr, r, false, v, imr_set_one(imr, port / 8, port), ELSE_NEXT);
}

static void acl_rule4(struct xdp_gen *g, struct imr *imr, struct imr_rule *r)
{
	static const uint8_t prefix[] = { 8, 16, 24, 24, 32, 32 };
	uint32_t host = xdp_below(g, 6), low = UINT32_MAX >> 1 >> (prefix[host] - 1), a = word(g) & ~low;

	imr_cmp(imr, r, OP_EQ, imr_ld(imr, r, F_META_PROTOCOL), 0x0800, ELSE_NEXT);
	imr_need(imr, r, B_NH, 19, ELSE_NEXT);
	imr_in(imr, r, false, imr_ld(imr, r, F_IP_SADDR), imr_set_one(imr, a, a | low), ELSE_NEXT);
	if (xdp_below(g, 10) < 6)
		imr_cmp(imr, r, OP_EQ, imr_ld_raw(imr, r, B_NH, 16, 3), word(g) >> 8, ELSE_NEXT);
}

static void acl_rule6(struct xdp_gen *g, struct imr *imr, struct imr_rule *r)
{
	u128 low = ((u128)1 << (xdp_below(g, 3) ? 64 : 80)) - 1;
	u128 a = (((u128)0x20010db8 << 96) | ((u128)word(g) << 64) | word(g)) & ~low;

	imr_cmp(imr, r, OP_EQ, imr_ld(imr, r, F_META_PROTOCOL), 0x86dd, ELSE_NEXT);
	imr_need(imr, r, B_NH, 40, ELSE_NEXT);
	imr_in(imr, r, false, imr_ld(imr, r, F_IP6_SADDR), imr_set_one(imr, a, a | low), ELSE_NEXT);
}

struct imr *cbpf_acl(struct xdp_gen *g, uint32_t n, bool six)
{
	struct imr *imr = new_program(g, HOOK_NETDEV_INGRESS, OP_ACCEPT);

	for (uint32_t i = 0; i < n; i++) {
		struct imr_rule *r = add_rule(imr, "acl");

		if (six && i % 4 == 3)
			acl_rule6(g, imr, r);
		else
			acl_rule4(g, imr, r);
		if (xdp_below(g, 10) < 8)
			acl_ports(g, imr, r);
		imr_end(imr, r, xdp_below(g, 2) ? OP_DROP : OP_ACCEPT, 0);
	}
	return imr;
}

void cbpf_acl_packet(struct xdp_gen *g, const struct imr *imr, struct xdp_packet *p)
{
	const struct imr_rule *r = &imr->chain[0].rule[xdp_below(g, imr->chain[0].n)];
	uint32_t saddr = word(g), port = word(g);

	for (uint32_t n = 0; n < r->n; n++) {
		const struct imr_insn *i = &r->insn[n], *ld = i->a != IMR_NOVAL && n ? i - 1 : NULL;

		if (ld && ld->field == F_IP_SADDR)
			saddr = i->set->r[0].lo + xdp_below(g, 3);
		if (ld && ld->field == F_TH_DPORT)
			port = (i->set ? i->set->r[0].hi : i->imm) + xdp_below(g, 2);
	}
	xdp_packet_udp(p, saddr, port);
	for (uint32_t n = 0; n < r->n; n++)
		if (r->insn[n].op == OP_EQ && r->insn[n - 1].field == F_RAW)
			for (int b = 0; b < 3; b++)
				p->frame[30 + b] = r->insn[n].imm >> (16 - 8 * b);
}

/* ------------------------------------------------------------------ rules as people write them */

static const enum imr_field usual[] = {
	F_META_PROTOCOL, F_META_LEN, F_TH_OK, F_TH_PROTO, F_TH_FRAGOFF, F_TX_OK, F_TX_PROTO, F_IP_SADDR, F_IP_DADDR,
	F_IP_PROTOCOL, F_IP_FRAGOFF, F_IP6_SADDR, F_IP6_DADDR, F_IP6_NEXTHDR, F_TH_SPORT, F_TH_DPORT, F_TCP_FLAGS,
	F_ICMP_TYPE, F_TCP_DOFF, F_ETH_TYPE, F_ETH_SADDR, F_IP6_FLOWLABEL,
};
#define N_USUAL (sizeof(usual) / sizeof(usual[0]))

struct shape {
	struct xdp_gen *g;
	struct imr *imr;
	struct imr_rule *r;
	enum imr_field field[5];	/* what this program asks for */
	uint32_t n_rules;
	const struct xdp_packet *p;	/* the packet that the rule is about */
};

/* What the reference loads, near enough */
static u128 now(const struct shape *s, enum imr_field f)
{
	const struct imr_field_info *i = &imr_fields[f];
	struct imr_pkt pkt = { .frame = s->p->frame, .len = s->p->len };
	struct imr_view v;
	uint32_t at;
	u128 n = 0;

	imr_view(&v, &pkt, s->imr->chain[0].hook, &s->imr->profile);
	if (!i->len)
		return f == F_META_PROTOCOL ? v.protocol :
		       f == F_META_LEN ? v.len :
		       f == F_TH_OK || f == F_TX_OK ? v.th_ok :
		       f == F_TH_PROTO || f == F_TX_PROTO ? v.th_proto : 0;
	at = (i->base == B_LL ? v.ll : i->base == B_NH ? v.nh : v.th) + i->off;
	for (uint32_t k = 0; k < i->len && at + i->len <= s->p->len; k++)
		n = n << 8 | s->p->frame[at + k];
	n >>= i->shift;
	return i->bits < 128 ? n & (((u128)1 << i->bits) - 1) : n;
}

static void usual_need(const struct shape *s, enum imr_field f, enum imr_else els)
{
	const struct imr_field_info *i = &imr_fields[f];

	if (i->len)
		imr_need(s->imr, s->r, i->base, i->off + i->len + xdp_below(s->g, 3) - xdp_below(s->g, 2), els);
}

static void usual_test(const struct shape *s, enum imr_field f, enum imr_else els)
{
	static const enum imr_op ops[] = { OP_EQ, OP_EQ, OP_EQ, OP_NE, OP_IN, OP_IN, OP_NI, OP_GE, OP_LT };
	enum imr_op op = ops[xdp_below(s->g, 9)];
	u128 v = now(s, f), max = imr_type_max(imr_fields[f].type), hi;
	uint32_t val = imr_ld(s->imr, s->r, f);

	if (op != OP_IN && op != OP_NI) {
		imr_cmp(s->imr, s->r, op, val, v, els);
		return;
	}
	hi = v + ((u128)1 << xdp_below(s->g, imr_types[imr_fields[f].type].bits)) - 1;
	imr_in(s->imr, s->r, op == OP_NI, val, imr_set_one(s->imr, v, hi > max || hi < v ? max : hi), els);
}

static void usual_rule(const struct shape *s)
{
	uint32_t i = s->imr->chain[0].n - 1, end = xdp_below(s->g, 100);

	for (uint32_t k = xdp_below(s->g, 4); k; k--) {
		enum imr_field f = s->field[xdp_below(s->g, 5)];
		enum imr_else els = xdp_below(s->g, 100) < 6 ? ELSE_DROP : ELSE_NEXT;
		uint32_t need = xdp_below(s->g, 10), to = i + 1 + xdp_below(s->g, 9);

		if (need < 6)
			usual_need(s, f, els);
		usual_test(s, f, els);
		if (xdp_below(s->g, 100) < 6 && to < s->n_rules) {
			s->r->insn[s->r->n - 1].els = ELSE_RULE;
			s->r->insn[s->r->n - 1].to = to;
		}
		if (need > 7)
			usual_need(s, f, els);
	}
	imr_end(s->imr, s->r, end < 30 ? OP_DROP : end < 50 ? OP_ACCEPT : OP_NEXT, 0);
	if (end > 80 && i + 2 + end % 7 < s->n_rules)
		s->r->insn[s->r->n - 1].to = i + 2 + end % 7;
}

struct imr *cbpf_usual(struct xdp_gen *g, enum imr_hook hook, const struct xdp_packet *p, uint32_t n)
{
	struct shape s = { .g = g, .imr = new_program(g, hook, xdp_below(g, 2) ? OP_DROP : OP_ACCEPT),
			   .n_rules = 3 + xdp_below(g, 50) };

	for (int i = 0; i < 5; i++)
		s.field[i] = usual[xdp_below(g, N_USUAL)];
	for (uint32_t i = 0; i < s.n_rules; i++) {
		s.p = &p[xdp_below(g, n)];
		s.r = add_rule(s.imr, "usual");
		usual_rule(&s);
	}
	return s.imr;
}

/* Sets of 128-bit values whose ranges begin and end within words, asked for one address each */
struct imr *cbpf_wide(struct xdp_gen *g, uint32_t n)
{
	struct imr *imr = new_program(g, HOOK_NETDEV_INGRESS, OP_ACCEPT);
	struct imr_range *range = arena_alloc(g->arena, n * sizeof(*range));
	struct imr_rule *r = add_rule(imr, "wide");

	for (uint32_t i = 0; i < n; i++) {
		unsigned int word = xdp_below(g, 4) * 32;
		u128 lo = (u128)0x2000 << 112 | (u128)xdp_below(g, 4) << 96 | (u128)xdp_below(g, 4) << 64 |
			  (u128)xdp_below(g, 4) << 32 | xdp_below(g, 4);

		range[i] = (struct imr_range){ lo, lo + ((u128)xdp_below(g, 3) << word) - xdp_below(g, 2) };
		if (range[i].hi < lo)
			range[i].hi = lo;
	}
	imr_in(imr, r, xdp_below(g, 2), imr_ld(imr, r, F_IP6_SADDR), imr_set_new(imr, range, n), ELSE_NEXT);
	imr_end(imr, r, OP_DROP, 0);
	return imr;
}

void cbpf_wide_packet(struct xdp_gen *g, struct xdp_packet *p)
{
	xdp_packet_deep(p, 0, 100);
	for (int w = 0; w < 4; w++) {
		uint32_t v = xdp_below(g, 7) - 1 + (w ? 0 : 0x20000000);

		for (int b = 0; b < 4; b++)
			p->frame[22 + 4 * w + b] = v >> (24 - 8 * b);
	}
}

struct imr *cbpf_large_set(struct xdp_gen *g, uint32_t n, bool six)
{
	struct imr *imr = new_program(g, HOOK_NETDEV_INGRESS, OP_ACCEPT);
	struct imr_range *range = arena_alloc(g->arena, n * sizeof(*range));

	for (uint32_t i = 0; i < n; i++) {
		range[i].lo = ((u128)(six ? 0x20000000 : 0) << 96) + ((u128)(i * 5 + 7) << (six ? 62 : 0));
		range[i].hi = range[i].lo + i % 3;
	}
	for (uint32_t i = 0; i < 4; i++) {
		struct imr_rule *r = add_rule(imr, "large");
		uint32_t v = imr_ld(imr, r, six ? F_IP6_SADDR : F_IP_SADDR);

		if (i == 1)
			imr_in(imr, r, false, v, imr_set_new(imr, range, n), ELSE_NEXT);
		else
			imr_cmp(imr, r, OP_EQ, imr_op2(imr, r, OP_AND, v, 3), i, ELSE_NEXT);
		imr_end(imr, r, i == 0 ? OP_NEXT : i == 2 ? OP_ACCEPT : OP_DROP, 0);
		if (i == 0)
			r->insn[r->n - 1].to = 2;
	}
	return imr;
}

void cbpf_large_set_packet(struct xdp_gen *g, struct xdp_packet *p, uint32_t n, bool six)
{
	u128 v = xdp_below(g, 5 * n + 20);

	if (!six) {
		xdp_packet_udp(p, v, 1);
		return;
	}
	v = ((u128)0x20000000 << 96) + (v << 62) + xdp_below(g, 4);
	xdp_packet_deep(p, 0, 100);
	for (int b = 0; b < 16; b++)
		p->frame[22 + b] = v >> (120 - 8 * b);
}

/* ------------------------------------------------------------------ small ones */

struct imr *cbpf_ssh(struct xdp_gen *g, enum imr_hook hook)
{
	struct imr *imr = new_program(g, hook, OP_ACCEPT);
	struct imr_chain *c = &imr->chain[0];
	struct imr_at at = { .tool = "imr", .where = "ssh", .number = 1, .text = "tcp dport 22 drop" };
	struct imr_rule *r;

	c->at = (struct imr_at){ .tool = "imr", .where = "ssh" };
	r = imr_rule_add(imr, c, &at);
	imr_cmp(imr, r, OP_EQ, imr_ld(imr, r, F_TH_PROTO), 6, ELSE_NEXT);
	imr_need(imr, r, B_TH, 4, ELSE_NEXT);
	imr_cmp(imr, r, OP_EQ, imr_ld(imr, r, F_TH_DPORT), 22, ELSE_NEXT);
	imr_stmt(imr, r, OP_COUNT, NULL);
	imr_end(imr, r, OP_DROP, 0);
	imr_number(imr);
	return imr;
}

void cbpf_cut_packet(struct xdp_gen *g, struct xdp_packet *p, uint32_t n, uint32_t len)
{
	static const uint8_t ext[] = { 0, 43, 44, 51, 60 };
	uint8_t *h = p->frame + 14;

	xdp_packet_deep(p, n, len);
	h[6] = n ? ext[xdp_below(g, 5)] : 17;
	for (uint32_t i = 0; i < n; i++) {
		h[40 + i * 8] = i + 1 < n ? ext[xdp_below(g, 5)] : xdp_below(g, 8) ? 17 : 43;
		h[41 + i * 8] = xdp_below(g, 8) ? 0 : xdp_below(g, 2) ? 1 : 100;
		h[43 + i * 8] = xdp_below(g, 6) ? 0 : 8;
	}
}
