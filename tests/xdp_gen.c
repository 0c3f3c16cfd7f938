/* SPDX-License-Identifier: GPL-2.0-only */
/* Programs and packets for test_xdp.c. A rule's constants come from one of the packets, so that packets meet them. */
#include <string.h>

#include "xdp_gen.h"

static const uint8_t xdp_mac[6] = XDP_MAC;

/* ------------------------------------------------------------------ chance */

static uint64_t next(struct xdp_gen *x)
{
	x->rng ^= x->rng << 13;
	x->rng ^= x->rng >> 7;
	x->rng ^= x->rng << 17;
	return x->rng * 0x2545f4914f6cdd1dull >> 16;
}

uint32_t xdp_below(struct xdp_gen *x, uint32_t n)
{
	return next(x) % n;
}

static bool chance(struct xdp_gen *x, unsigned int percent)
{
	return xdp_below(x, 100) < percent;
}

static u128 any128(struct xdp_gen *x)
{
	u128 v = 0;

	for (int i = 0; i < 4; i++)
		v = v << 32 | (uint32_t)next(x);
	return v >> xdp_below(x, 128);
}

/* ------------------------------------------------------------------ packets */

static void put16(uint8_t *p, unsigned int v)
{
	p[0] = v >> 8;
	p[1] = v;
}

static void fill(struct xdp_gen *x, uint8_t *p, uint32_t n)
{
	while (n--)
		*p++ = chance(x, 50) ? xdp_below(x, 4) : next(x);
}

static uint32_t put_l4(struct xdp_gen *x, uint8_t *p, uint8_t proto)
{
	static const uint16_t ports[] = { 22, 53, 80, 443, 1000 };
	uint32_t len = proto == 6 ? 20 + xdp_below(x, 11) * 4 : 8;

	fill(x, p, 64);
	put16(p, ports[xdp_below(x, 5)]);
	put16(p + 2, ports[xdp_below(x, 5)]);
	if (proto == 6 && chance(x, 90))
		p[12] = len / 4 << 4;
	return chance(x, 80) ? len + xdp_below(x, 20) : xdp_below(x, 24);
}

static uint32_t put_ip4(struct xdp_gen *x, uint8_t *p)
{
	static const uint8_t protos[] = { 6, 6, 17, 1, 51, 58 };
	uint32_t hlen = chance(x, 70) ? 20 : 20 + xdp_below(x, 11) * 4, len, sum = 0;

	fill(x, p, hlen);
	p[0] = 0x40 | hlen / 4;
	put16(p + 6, chance(x, 85) ? 0x4000 : chance(x, 50) ? 0x2000 : xdp_below(x, 4));
	p[9] = protos[xdp_below(x, 6)];
	len = hlen + put_l4(x, p + hlen, p[9]);
	put16(p + 2, chance(x, 90) ? len : len + xdp_below(x, 5) - 2);
	if (chance(x, 3))
		p[0] = next(x);
	put16(p + 10, 0);
	for (uint32_t i = 0; i < hlen; i += 2)
		sum += p[i] << 8 | p[i + 1];
	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	put16(p + 10, chance(x, 95) ? ~sum : next(x));
	return len;
}

static void put_address(struct xdp_gen *x, uint8_t *p, bool dst)
{
	fill(x, p, 16);
	p[0] = 0x20;
	switch (xdp_below(x, 20)) {
	case 0:
		memset(p, 0, 15);
		p[15] = 1;
		break;
	case 1:
		memset(p, 0, 12);
		p[10] = p[11] = 0xff;
		break;
	case 2:
		p[0] = 0xff;
		p[1] = xdp_below(x, 3);
		break;
	case 3:
		p[0] = dst ? 0xff : 0x20;
		p[1] = 2;
		break;
	}
}

static uint32_t put_ext(struct xdp_gen *x, uint8_t *p, uint8_t type, uint8_t next_type, bool small)
{
	uint32_t len = small ? 0 : xdp_below(x, 4) ? 0 : xdp_below(x, 3);

	if (chance(x, 1) && !small)
		len = 60;
	fill(x, p, len * 8 + 16);
	p[0] = next_type;
	p[1] = len;
	if (type == 44) {
		put16(p + 2, chance(x, 60) ? xdp_below(x, 2) : 8 * xdp_below(x, 3));
		return 8;
	}
	return type == 51 ? (len + 2) * 4 : (len + 1) * 8;
}

static uint32_t put_ip6(struct xdp_gen *x, uint8_t *p)
{
	static const uint8_t ext[] = { 60, 43, 51, 60, 51, 0, 44 }, last[] = { 6, 17, 58, 59, 6 };
	bool deep = chance(x, 4);
	uint32_t n = deep ? 170 + xdp_below(x, 16) : chance(x, 50) ? 0 : xdp_below(x, 5), at = 40;
	uint8_t type = n ? ext[xdp_below(x, chance(x, 60) ? 4 : 7)] : last[xdp_below(x, 5)];

	fill(x, p, 40);
	p[0] = 0x60 | (p[0] & 15);
	p[6] = type;
	put_address(x, p + 8, false);
	put_address(x, p + 24, true);
	for (uint32_t i = 0; i < n && at < 1500; i++) {
		uint8_t then = i + 1 < n ? ext[xdp_below(x, deep || chance(x, 70) ? 4 : 7)] : last[xdp_below(x, 5)];

		at += put_ext(x, p + at, type, then, deep);
		type = then;
	}
	if (at < 1460)
		at += put_l4(x, p + at, type);
	put16(p + 4, chance(x, 92) ? at - 40 : at - 40 + xdp_below(x, 5) - 2);
	if (chance(x, 2))
		p[0] = next(x);
	return at;
}

void xdp_packet_any(struct xdp_gen *x, struct xdp_packet *p, bool tags)
{
	static const uint16_t types[] = { 0x0806, 0x0100, 0x05ff, 0x0600, 0x8847, 0x8100, 0x88a8 };
	uint8_t *f = p->frame;
	uint32_t at = 12, kind = xdp_below(x, 100), len;

	memset(p, 0, sizeof(*p));
	memcpy(f, xdp_mac, 6);
	if (chance(x, 10))
		f[chance(x, 50) ? 0 : xdp_below(x, 6)] ^= 1 << xdp_below(x, 8);
	fill(x, f + 6, 6);
	for (int i = 0; i < 2 && chance(x, tags ? 25 : 3); i++, at += 4) {
		put16(f + at, chance(x, 70) ? 0x8100 : 0x88a8);
		put16(f + at + 2, xdp_below(x, 3));
	}
	if (kind < 45) {
		put16(f + at, 0x0800);
		len = put_ip4(x, f + at + 2);
	} else if (kind < 90) {
		put16(f + at, 0x86dd);
		len = put_ip6(x, f + at + 2);
	} else {
		len = xdp_below(x, 60);
		fill(x, f + at, len + 2);
		put16(f + at, types[xdp_below(x, 7)]);
		if (chance(x, 30))
			put16(f + at + 2, 0xffff);
	}
	len += at + 2 + (chance(x, 20) ? xdp_below(x, 20) : 0);
	if (chance(x, 15))
		len = 14 + xdp_below(x, len);
	p->len = len < 14 ? 14 : len > 1518 ? 1518 : len;
	if (chance(x, 6))
		f[12 + xdp_below(x, p->len - 12)] ^= 1 << xdp_below(x, 8);
}

void xdp_packet_udp(struct xdp_packet *p, uint32_t saddr, uint16_t dport)
{
	uint32_t sum = 0;
	uint8_t *h = p->frame + 14;

	memset(p, 0, sizeof(*p));
	p->len = 14 + 28;
	memcpy(p->frame, xdp_mac, 6);
	put16(p->frame + 12, 0x0800);
	h[0] = 0x45;
	put16(h + 2, 28);
	h[8] = 64;
	h[9] = 17;
	put16(h + 12, saddr >> 16);
	put16(h + 14, saddr);
	put16(h + 22, dport);
	for (int i = 0; i < 20; i += 2)
		sum += h[i] << 8 | h[i + 1];
	put16(h + 10, ~((sum & 0xffff) + (sum >> 16)));
}

void xdp_packet_deep(struct xdp_packet *p, uint32_t n, uint32_t len)
{
	uint8_t *h = p->frame + 14;

	memset(p, 0, sizeof(*p));
	memcpy(p->frame, xdp_mac, 6);
	put16(p->frame + 12, 0x86dd);
	h[0] = 0x60;
	h[6] = n ? 60 : 17;
	h[8] = h[24] = 0x20;
	for (uint32_t i = 0; i < n && 14 + 40 + i * 8 < XDP_FRAME_MAX; i++)
		h[40 + i * 8] = i + 1 < n ? 60 : 17;
	put16(h + 4, len - 54);
	p->len = len;
}

void xdp_packet_options(struct xdp_gen *g, struct xdp_packet *p)
{
	uint32_t opts_len = xdp_below(g, 11) * 4, sum = 0, len = 20 + 20 + opts_len;
	uint8_t *h = p->frame + 14, *t = h + 20;

	if (xdp_below(g, 8) == 0)
		len -= xdp_below(g, 12);
	xdp_packet_udp(p, 1, 2);
	h[9] = 6;
	h[3] = len;
	h[10] = h[11] = 0;
	t[12] = (5 + opts_len / 4) << 4;
	if (xdp_below(g, 20) == 0)
		t[12] = xdp_below(g, 16) << 4;
	for (uint32_t i = 0; i < opts_len; i++)
		t[20 + i] = xdp_below(g, 6);
	for (int i = 0; i < 20; i += 2)
		sum += h[i] << 8 | h[i + 1];
	sum = (sum & 0xffff) + (sum >> 16);
	h[10] = ~sum >> 8;
	h[11] = ~sum;
	p->len = 14 + len;
}

/* ------------------------------------------------------------------ programs */

struct gen {
	struct xdp_gen *x;
	struct imr *imr;
	struct imr_chain *chain;
	struct imr_rule *rule;
	uint32_t n_val;
	struct { uint32_t val; enum imr_type type; u128 now; } v[64];	/* now: its value in the rule's own packet */
	uint32_t n;
	struct imr_pkt pkt;
	struct imr_view view;
};

static u128 load_now(const struct gen *g, enum imr_base b, uint32_t off, uint32_t len)
{
	const struct imr_view *v = &g->view;
	uint32_t at = b == B_NH ? v->nh : b == B_TH ? v->th : b == B_TX ? v->tx : v->ll;
	u128 n = 0;

	for (uint32_t i = 0; i < len && at + off + len <= g->pkt.len; i++)
		n = n << 8 | g->pkt.frame[at + off + i];
	return n;
}

static u128 fact_now(const struct gen *g, enum imr_field f)
{
	switch (f) {
	case F_META_NFPROTO:	return g->view.nfproto;
	case F_META_PROTOCOL:	return g->view.protocol;
	case F_META_LEN:	return g->view.len;
	case F_TH_OK:		return g->view.th_ok;
	case F_TH_PROTO:	return g->view.th_proto;
	case F_TX_OK:		return g->view.tx_ok;
	case F_TX_PROTO:	return g->view.tx_proto;
	case F_META_IIF:	return XDP_IFINDEX;
	case F_META_IIFTYPE:	return imr_iiftype((const char[16]){ "v0" });
	default:		return 0;
	}
}

static struct imr_insn *add_value(struct gen *g, enum imr_op op, enum imr_type t)
{
	struct imr_insn *i = imr_insn_add(g->imr, g->rule, op);

	i->dst = g->n_val++;
	i->type = t;
	g->v[g->n].val = i->dst;
	g->v[g->n].type = t;
	g->n++;
	return i;
}

static enum imr_base any_base(const struct gen *g)
{
	return g->x->l3 ? B_NH + xdp_below(g->x, 3) : B_LL + xdp_below(g->x, 4);
}

static enum imr_field any_field(const struct gen *g)
{
	enum imr_field f;

	do
		f = 1 + xdp_below(g->x, F_MAX - 1);
	while (f == F_META_MARK || (g->x->l3 && imr_fields[f].base == B_LL) ||
	       ((f == F_META_OIF || f == F_META_OIFNAME) && g->chain->hook == HOOK_EARLY_L3));
	return f;
}

static void add_load(struct gen *g)
{
	enum imr_field f = chance(g->x, 75) ? any_field(g) : F_RAW;
	const struct imr_field_info *info = &imr_fields[f];
	struct imr_insn *i;
	u128 now;

	if (f == F_RAW) {
		unsigned int len = chance(g->x, 70) ? 1 + xdp_below(g->x, 4) : 1 + xdp_below(g->x, 16);

		i = add_value(g, OP_LD, imr_type_be(len));
		i->base = any_base(g);
		i->off = xdp_below(g->x, chance(g->x, 80) ? 24 : 80);
		i->len = len;
		now = load_now(g, i->base, i->off, len);
	} else {
		i = add_value(g, OP_LD, info->type);
		now = info->len ? load_now(g, info->base, info->off, info->len) >> info->shift : fact_now(g, f);
		if (info->bits < 128)
			now &= ((u128)1 << info->bits) - 1;
	}
	i->field = f;
	g->v[g->n - 1].now = now;
}

static const struct imr_set *any_set(struct gen *g, enum imr_type t, u128 now)
{
	uint32_t size = xdp_below(g->x, 10), n = 1 + xdp_below(g->x, size < 6 ? 4 : size < 8 ? 30 : 230);
	struct imr_range *r = arena_alloc(g->x->arena, n * sizeof(*r));
	u128 max = imr_type_max(t);

	for (uint32_t i = 0; i < n; i++) {
		u128 v = (chance(g->x, 50) ? now + xdp_below(g->x, 64) - 32 : any128(g->x)) & max;
		u128 w = v + (chance(g->x, 50) ? 0 : any128(g->x) >> 100);

		if (i == 0 && chance(g->x, 60))
			w = v = now;
		if (chance(g->x, 20))
			w = v | (((u128)1 << xdp_below(g->x, imr_types[t].bits)) - 1);
		r[i] = (struct imr_range){ v, w > max || w < v ? max : w };
	}
	return imr_set_new(g->imr, r, n);
}

static void add_computed(struct gen *g)
{
	uint32_t a = xdp_below(g->x, g->n);
	enum imr_type t = g->v[a].type;
	u128 now = g->v[a].now, max = imr_type_max(t);
	static const enum imr_op ops[] = { OP_AND, OP_XOR, OP_SHR, OP_SWAP, OP_ISIN, OP_OR, OP_AND, OP_TCPOPT,
					   OP_TCPOPT };
	enum imr_op op = ops[xdp_below(g->x, 9)];
	struct imr_insn *i;

	if (op == OP_SWAP && imr_types[t].bits < 8)
		op = OP_AND;
	i = add_value(g, op, op == OP_ISIN ? T_U1 : op == OP_TCPOPT ? T_U8 : t);
	i->a = op == OP_TCPOPT ? IMR_NOVAL : g->v[a].val;
	switch (op) {
	case OP_AND:
		i->imm = any128(g->x) & max;
		now &= i->imm;
		break;
	case OP_XOR:
		i->imm = any128(g->x) & max;
		now ^= i->imm;
		break;
	case OP_SHR:
		i->imm = xdp_below(g->x, imr_types[t].bits);
		now >>= i->imm;
		break;
	case OP_ISIN:
		i->set = any_set(g, t, now);
		now = imr_set_has(i->set, now);
		break;
	case OP_OR:
		i->b = g->v[xdp_below(g->x, g->n - 1)].val;
		for (uint32_t n = 0; n < g->n - 1; n++)
			if (g->v[n].val == i->b)
				now |= g->v[n].now & max;
		break;
	case OP_TCPOPT:
		i->base = chance(g->x, 50) ? B_TH : B_TX;
		i->imm = xdp_below(g->x, 6);
		now = xdp_below(g->x, 3);
		break;
	default:
		now = any128(g->x) & max;
		break;
	}
	g->v[g->n - 1].now = now;
}

static void add_test(struct gen *g, uint32_t n_rules)
{
	static const enum imr_op ops[] = { OP_EQ, OP_NE, OP_LT, OP_LE, OP_GT, OP_GE, OP_IN, OP_NI, OP_IN, OP_EQ };
	uint32_t a = xdp_below(g->x, g->n);
	enum imr_type t = g->v[a].type;
	struct imr_insn *i;

	if (chance(g->x, 15)) {
		i = imr_insn_add(g->imr, g->rule, OP_NEED);
		i->base = any_base(g);
		i->len = xdp_below(g->x, 40);
	} else {
		i = imr_insn_add(g->imr, g->rule, ops[xdp_below(g->x, 10)]);
		i->type = t;
		i->a = g->v[a].val;
		i->imm = (chance(g->x, 75) ? g->v[a].now + xdp_below(g->x, 3) - 1 : any128(g->x)) & imr_type_max(t);
		if (chance(g->x, 50))
			i->imm = g->v[a].now;
		if (i->op == OP_IN || i->op == OP_NI)
			i->set = any_set(g, t, g->v[a].now);
	}
	if (chance(g->x, 12)) {
		i->els = ELSE_DROP + xdp_below(g->x, 3);
		i->to = g->chain->n + xdp_below(g->x, n_rules + 2 - g->chain->n);
		if (i->els == ELSE_RULE && i->to >= n_rules)
			i->els = ELSE_NEXT;
		if (i->els == ELSE_PASS && g->chain->hook != HOOK_EARLY_L3)
			i->els = ELSE_DROP;
	}
}

static void add_rule(struct gen *g, uint32_t n_rules, uint32_t n_entry, uint8_t family)
{
	bool early = g->chain->hook == HOOK_EARLY_L3;
	struct imr_at at = { .tool = "imr", .where = "test", .number = g->chain->n + 1 };
	uint32_t end = xdp_below(g->x, 10);

	g->rule = imr_rule_add(g->imr, g->chain, &at);
	g->n = n_entry;
	g->n_val = n_entry;
	if (family) {
		struct imr_insn *i = add_value(g, OP_LD, T_U8);

		i->field = F_META_NFPROTO;
		imr_cmp(g->imr, g->rule, OP_EQ, i->dst, family, ELSE_NEXT);
	}
	for (uint32_t i = xdp_below(g->x, 3) + !g->n; i; i--)
		add_load(g);
	for (uint32_t i = xdp_below(g->x, 3); i; i--)
		add_computed(g);
	for (uint32_t i = 1 + xdp_below(g->x, 3); i; i--) {
		add_test(g, n_rules);
		if (chance(g->x, 10))
			imr_stmt(g->imr, g->rule, early ? OP_TALLY : OP_COUNT, NULL);
	}
	if (chance(g->x, 60))
		imr_stmt(g->imr, g->rule, OP_COUNT, NULL);
	imr_end(g->imr, g->rule, end < 5 ? OP_DROP : end < 7 ? OP_NEXT : early ? OP_PASS : OP_ACCEPT, 0);
	if (end == 6 && g->chain->n + 1 < n_rules)
		g->rule->insn[g->rule->n - 1].to = g->chain->n + xdp_below(g->x, n_rules - g->chain->n);
}

struct imr *xdp_program_any(struct xdp_gen *x, enum imr_hook hook, const struct xdp_packet *p, uint32_t n_packets)
{
	struct imr_profile profile = { .v6_exthdr_bound = chance(x, 50), .th_fast_frag = true };
	struct gen *g = arena_alloc(x->arena, sizeof(*g));
	uint32_t n_rules = 1 + xdp_below(x, 12), n_entry = xdp_below(x, 4);
	struct imr_rule entry = { 0 };
	bool one_family = hook == HOOK_EARLY_L3 && chance(x, 25);
	uint8_t family = chance(x, 50) ? FAM_IP : FAM_IP6;

	g->x = x;
	g->imr = imr_new(x->arena, x->diags, &profile);
	g->chain = imr_chain_add(g->imr, "test");
	g->chain->hook = hook;
	g->chain->policy = chance(x, 50) ? OP_DROP : hook == HOOK_EARLY_L3 ? OP_PASS : OP_ACCEPT;
	g->chain->policy_count = chance(x, 50);
	if (one_family) {
		g->chain->policy = OP_PASS;
		g->chain->policy_count = false;
	}
	for (uint32_t r = 0; r <= n_rules; r++) {
		const struct xdp_packet *seed = &p[xdp_below(x, n_packets)];

		g->pkt = (struct imr_pkt){ .frame = seed->frame, .len = seed->len };
		memcpy(g->pkt.mac, xdp_mac, 6);
		imr_view(&g->view, &g->pkt, hook, &profile);
		if (r) {
			add_rule(g, n_rules, n_entry, one_family ? family : 0);
			continue;
		}
		g->rule = &entry;
		for (uint32_t i = 0; i < n_entry; i++)
			add_load(g);
		g->chain->entry = entry.insn;
		g->chain->n_entry = entry.n;
	}
	imr_number(g->imr);
	return g->imr;
}

/* ------------------------------------------------------------------ of a certain shape */

struct imr *xdp_program_linear(struct xdp_gen *x, uint32_t n, bool ports)
{
	struct imr_profile profile = { 0 };
	struct imr *imr = imr_new(x->arena, x->diags, &profile);
	struct imr_chain *c = imr_chain_add(imr, "linear");

	c->hook = HOOK_EARLY_L3;
	c->policy = OP_PASS;
	c->policy_count = true;
	for (uint32_t i = 0; i < n; i++) {
		struct imr_at at = { .tool = "imr", .where = "linear", .number = i + 1 };
		struct imr_rule *r = imr_rule_add(imr, c, &at);

		imr_cmp(imr, r, OP_EQ, imr_ld(imr, r, F_IP_SADDR), 0x0a000001 + i, ELSE_NEXT);
		if (ports) {
			imr_need(imr, r, B_TH, 4, ELSE_NEXT);
			imr_cmp(imr, r, OP_EQ, imr_ld(imr, r, F_TH_DPORT), i & 0xffff, ELSE_NEXT);
		}
		imr_stmt(imr, r, OP_COUNT, NULL);
		imr_end(imr, r, OP_DROP, 0);
	}
	imr_number(imr);
	return imr;
}

struct imr *xdp_program_far(struct xdp_gen *x, uint32_t n)
{
	struct imr_profile profile = { 0 };
	struct imr *imr = imr_new(x->arena, x->diags, &profile);
	struct imr_chain *c = imr_chain_add(imr, "far");

	c->hook = HOOK_EARLY_L3;
	c->policy = OP_PASS;
	for (uint32_t i = 0; i < n; i++) {
		struct imr_at at = { .tool = "imr", .where = "far", .number = i + 1 };
		struct imr_rule *r = imr_rule_add(imr, c, &at);
		uint32_t port, to = i + 1 + xdp_below(x, n - i);

		imr_cmp(imr, r, i % 3 ? OP_EQ : OP_GE, imr_ld(imr, r, F_IP_SADDR), 0x0a000000 + i, ELSE_NEXT);
		port = imr_ld(imr, r, F_TH_DPORT);
		imr_cmp(imr, r, OP_NE, port, i % 100, ELSE_RULE);
		r->insn[r->n - 1].to = to < n ? to : n - 1;
		if (i + 1 >= n)
			r->insn[r->n - 1].els = ELSE_DROP;
		if (i % 500 == 0)
			imr_stmt(imr, r, OP_COUNT, NULL);
		imr_end(imr, r, chance(x, 2) ? OP_DROP : OP_NEXT, 0);
		if (r->insn[r->n - 1].op == OP_NEXT && to < n && chance(x, 50))
			r->insn[r->n - 1].to = to;
	}
	imr_number(imr);
	return imr;
}
