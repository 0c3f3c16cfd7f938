/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Random programs of the IMR as text, whose constants are what one packet really holds, so that tests pass as often as
 * they fail. Everything is a function of a seed.
 */
#include <stdio.h>
#include <string.h>

#include "gen_imr.h"

static const enum imr_hook hooks[] = {
	HOOK_IP_INPUT, HOOK_IP_PREROUTING, HOOK_IP_FORWARD, HOOK_IP6_INPUT, HOOK_IP6_FORWARD, HOOK_INET_INPUT,
	HOOK_INET_PREROUTING, HOOK_INET_FORWARD, HOOK_INET_INGRESS, HOOK_NETDEV_INGRESS, HOOK_EARLY_L3,
};

static u128 bytes_at(const struct imr_gen *g, uint32_t at, unsigned int len)
{
	u128 v = 0;

	if (at + len > g->view.end)
		return 0;
	for (unsigned int i = 0; i < len; i++)
		v = v << 8 | g->frame[at + i];
	return v;
}

static uint32_t base_at(const struct imr_gen *g, enum imr_base b)
{
	const struct imr_view *v = &g->view;

	switch (b) {
	case B_LL:
		return v->ll;
	case B_NH:
		return v->nh;
	case B_TH:
		return v->th_ok ? v->th : GEN_FRAME;
	default:
		return v->tx_ok ? v->tx : GEN_FRAME;
	}
}

static u128 name_of(const char *s)
{
	u128 v = 0;

	for (int i = 0; i < 16; i++)
		v = v << 8 | (uint8_t)s[i];
	return v;
}

static u128 field_now(const struct imr_gen *g, enum imr_field f)
{
	const struct imr_field_info *i = &imr_fields[f];
	const struct imr_view *v = &g->view;

	if (i->len)
		return bytes_at(g, base_at(g, i->base) + i->off, i->len) >> i->shift &
		       (((u128)1 << (i->bits - 1) << 1) - 1);
	switch (f) {
	case F_META_IIFNAME:	return name_of(g->pkt.iifname);
	case F_META_OIFNAME:	return name_of(g->pkt.oifname);
	case F_META_IIF:	return g->pkt.iif;
	case F_META_OIF:	return g->pkt.oif;
	case F_META_IIFTYPE:	return v->iiftype;
	case F_META_NFPROTO:	return v->nfproto;
	case F_META_PROTOCOL:	return v->protocol;
	case F_META_MARK:	return g->pkt.mark;
	case F_META_LEN:	return v->len;
	case F_TH_OK:		return v->th_ok;
	case F_TH_PROTO:	return v->th_ok ? v->th_proto : 0;
	case F_TH_FRAGOFF:	return v->th_ok ? v->th_fragoff : 0;
	case F_TX_OK:		return v->tx_ok;
	case F_TX_PROTO:	return v->tx_ok ? v->tx_proto : 0;
	case F_TX_FRAGOFF:	return v->tx_ok ? v->tx_fragoff : 0;
	default:		return 0;
	}
}

static void add_value(struct imr_gen *g, u128 v, enum imr_type t)
{
	g->val[g->n_val++] = (struct imr_gen_value){ v & imr_type_max(t), t };
}

static void gen_raw(struct imr_gen *g)
{
	static const struct { enum imr_base b; uint8_t off, len;
	} known[] = {
	    {B_NH, 12, 4}, {B_NH, 12, 8}, {B_NH, 12, 2},  {B_NH, 16, 3}, {B_NH, 12, 6}, {B_NH, 8, 2}, {B_NH, 9, 1},
	    {B_NH, 6, 2},  {B_NH, 8, 16}, {B_NH, 24, 15}, {B_NH, 24, 4}, {B_NH, 0, 1},	{B_NH, 1, 1}, {B_TH, 0, 4},
	    {B_TH, 0, 2},  {B_TH, 2, 2},  {B_TH, 13, 1},  {B_TH, 12, 1}, {B_TH, 0, 8},	{B_TH, 0, 1}, {B_TX, 0, 4},
	    {B_TX, 2, 2},  {B_LL, 0, 12}, {B_LL, 6, 3},	  {B_LL, 12, 2},
	};
	unsigned int k = rng_below(&g->r, sizeof(known) / sizeof(*known));
	enum imr_base b = known[k].b;
	unsigned int off = known[k].off, len = known[k].len;

	if (rng_chance(&g->r, 15)) {
		b = B_LL + rng_below(&g->r, 4);
		off = rng_below(&g->r, 44);
		len = 1 + rng_below(&g->r, 16);
	}
	strbuf_add(&g->out, "\t%%%u =%s ld raw %s+%u:%u\n", g->n_val, imr_types[imr_type_be(len)].name, imr_bases[b],
		   off, len);
	add_value(g, bytes_at(g, base_at(g, b) + off, len), imr_type_be(len));
}

static void gen_load(struct imr_gen *g)
{
	enum imr_field f = F_RAW + 1 + rng_below(&g->r, F_MAX - F_RAW - 1);

	if (rng_chance(&g->r, 45)) {
		gen_raw(g);
		return;
	}
	if (rng_chance(&g->r, 3)) {
		strbuf_add(&g->out, "\t%%%u =u8 tcpopt %s, %u\n", g->n_val, rng_chance(&g->r, 50) ? "th" : "tx",
			   1 + rng_below(&g->r, 4));
		add_value(g, rng_below(&g->r, 3), T_U8);
		return;
	}
	if (rng_chance(&g->r, 15) ||
	    (g->hook == HOOK_EARLY_L3 && (f == F_META_OIF || f == F_META_OIFNAME || f == F_META_MARK)))
		f = F_META_NFPROTO;
	strbuf_add(&g->out, "\t%%%u =%s ld %s\n", g->n_val, imr_types[imr_fields[f].type].name, imr_fields[f].name);
	add_value(g, field_now(g, f), imr_fields[f].type);
}

static void put_const(struct imr_gen *g, enum imr_type t, u128 v)
{
	imr_print_value(&g->out, t, v & imr_type_max(t));
}

static u128 random_bits(struct imr_gen *g)
{
	return (u128)rng_next(&g->r) << 64 | rng_next(&g->r);
}

static u128 gen_mask(struct imr_gen *g, enum imr_type t)
{
	unsigned int bits = imr_types[t].bits, k = rng_below(&g->r, bits);
	u128 all = imr_type_max(t);
	static const uint16_t some[] = { 0x1fff, 0x2000, 0x3fff, 0xf0, 0x0f, 0xfc, 0x17, 0x02, 0x0fc0, 0xff00 };

	switch (rng_below(&g->r, 5)) {
	case 0:
		return all & ~(((u128)1 << k) - 1);
	case 1:
		return all & (((u128)1 << k) - 1);
	case 2:
		return some[rng_below(&g->r, 10)] & all;
	case 3:
		return all & ~((((u128)1 << (k & ~7u)) - 1)) & ~((u128)0xff << (rng_below(&g->r, bits) & ~7u));
	default:
		return random_bits(g) & all;
	}
}

static u128 some_bytes_reversed(u128 v, unsigned int bytes)
{
	u128 out = 0;

	for (unsigned int i = 0; i < bytes; i++)
		out = out << 8 | (v >> (8 * i) & 0xff);
	return out;
}

static void put_set(struct imr_gen *g, enum imr_type t, u128 v)
{
	struct imr_range r[6];
	struct imr tmp = { .arena = g->out.arena };
	unsigned int n = 1 + rng_below(&g->r, 5);
	const struct imr_set *s;

	for (unsigned int i = 0; i < n; i++) {
		u128 c = rng_chance(&g->r, 60) ? v + (u128)rng_below(&g->r, 9) - 4 : random_bits(g);
		u128 wide = rng_chance(&g->r, 40) ? 0 : rng_chance(&g->r, 50) ? rng_below(&g->r, 300) : random_bits(g);

		c &= imr_type_max(t);
		wide &= imr_type_max(t);
		r[i] = (struct imr_range){ c, c + wide > imr_type_max(t) || c + wide < c ? imr_type_max(t) : c + wide };
		if (wide && rng_chance(&g->r, 50)) {
			u128 low = ((u128)1 << rng_below(&g->r, imr_types[t].bits)) - 1;

			r[i] = (struct imr_range){ c & ~low, c | low };
		}
	}
	s = imr_set_new(&tmp, r, n);
	strbuf_add(&g->out, "{");
	for (uint32_t i = 0; i < s->n; i++) {
		strbuf_add(&g->out, i ? ", " : "");
		put_const(g, t, s->r[i].lo);
		if (s->r[i].lo != s->r[i].hi) {
			strbuf_add(&g->out, "-");
			put_const(g, t, s->r[i].hi);
		}
	}
	strbuf_add(&g->out, "}");
}

static bool set_needs_care(enum imr_type t)
{
	return imr_types[t].show == SHOW_NAME || imr_types[t].show == SHOW_IP6 || imr_types[t].show == SHOW_MAC;
}

static void gen_op(struct imr_gen *g)
{
	unsigned int a = rng_below(&g->r, g->n_val), b;
	const struct imr_gen_value x = g->val[a];
	u128 c;

	switch (rng_below(&g->r, 8)) {
	case 0: case 1: case 2:
		c = gen_mask(g, x.t);
		strbuf_add(&g->out, "\t%%%u =%s and %%%u, ", g->n_val, imr_types[x.t].name, a);
		put_const(g, x.t, c);
		add_value(g, x.v & c, x.t);
		break;
	case 3:
		c = random_bits(g);
		strbuf_add(&g->out, "\t%%%u =%s xor %%%u, ", g->n_val, imr_types[x.t].name, a);
		put_const(g, x.t, c);
		add_value(g, x.v ^ c, x.t);
		break;
	case 4:
		c = rng_below(&g->r, imr_types[x.t].bits);
		strbuf_add(&g->out, "\t%%%u =%s shr %%%u, %u", g->n_val, imr_types[x.t].name, a, (unsigned int)c);
		add_value(g, x.v >> (unsigned int)c, x.t);
		break;
	case 5:
		if (imr_types[x.t].bits % 8)
			return;
		strbuf_add(&g->out, "\t%%%u =%s swap %%%u", g->n_val, imr_types[x.t].name, a);
		add_value(g, some_bytes_reversed(x.v, imr_types[x.t].bits / 8), x.t);
		break;
	case 6:
		for (b = 0; b < g->n_val && (b == a || g->val[b].t != x.t); b++)
			;
		if (b == g->n_val)
			return;
		strbuf_add(&g->out, "\t%%%u =%s or %%%u, %%%u", g->n_val, imr_types[x.t].name, a, b);
		add_value(g, x.v | g->val[b].v, x.t);
		break;
	case 7:
		if (set_needs_care(x.t))
			return;
		strbuf_add(&g->out, "\t%%%u =u1 isin %%%u, ", g->n_val, a);
		put_set(g, x.t, x.v);
		add_value(g, rng_below(&g->r, 2), T_U1);
		break;
	}
	strbuf_add(&g->out, "\n");
}

static void gen_els(struct imr_gen *g, unsigned int rule, unsigned int rules)
{
	unsigned int k = rng_below(&g->r, 100);

	if (k < 15)
		strbuf_add(&g->out, " else drop");
	else if (k < 30 && rule + 1 < rules)
		strbuf_add(&g->out, " else %u", rule + 2 + rng_below(&g->r, rules - rule - 1));
	strbuf_add(&g->out, "\n");
}

static void gen_compare(struct imr_gen *g, unsigned int a)
{
	static const char *const ops[] = { "eq", "eq", "eq", "ne", "lt", "le", "gt", "ge", "in", "ni" };
	const struct imr_gen_value x = g->val[a];
	const char *op = ops[rng_below(&g->r, set_needs_care(x.t) ? 8 : 10)];
	u128 c = rng_chance(&g->r, 75) ? x.v : x.v + (u128)rng_below(&g->r, 5) - 2;

	if (rng_chance(&g->r, 8))
		c = rng_chance(&g->r, 50) ? 0 : imr_type_max(x.t);
	strbuf_add(&g->out, "\t%s %%%u, ", op, a);
	if (!strcmp(op, "in") || !strcmp(op, "ni"))
		put_set(g, x.t, c);
	else
		put_const(g, x.t, c);
}

static void gen_need(struct imr_gen *g)
{
	static const uint8_t some[] = { 1, 2, 4, 8, 13, 14, 16, 20, 20, 40, 41 };

	strbuf_add(&g->out, "\tneed %s, %u", imr_bases[B_LL + rng_below(&g->r, 4)],
		   some[rng_below(&g->r, sizeof(some))]);
}

static void gen_guard(struct imr_gen *g)
{
	const bool l4 = rng_chance(&g->r, 50);
	const enum imr_field f = l4 ? F_TH_PROTO : rng_chance(&g->r, 50) ? F_META_NFPROTO : F_META_PROTOCOL;

	strbuf_add(&g->out, "\t%%%u =%s ld %s\n", g->n_val, imr_types[imr_fields[f].type].name, imr_fields[f].name);
	add_value(g, field_now(g, f), imr_fields[f].type);
	strbuf_add(&g->out, "\t%s %%%u, ", rng_chance(&g->r, 90) ? "eq" : "ne", g->n_val - 1);
	put_const(g, imr_fields[f].type, g->val[g->n_val - 1].v);
}

static void gen_step(struct imr_gen *g, unsigned int rule, unsigned int rules)
{
	unsigned int k = rng_below(&g->r, 100);

	if (k < 35 && g->n_val < 40) {
		gen_load(g);
	} else if (k < 50 && g->n_val && g->n_val < 40) {
		gen_op(g);
	} else if (k < 80 && g->n_val) {
		gen_compare(g, rng_chance(&g->r, 60) ? g->n_val - 1 : rng_below(&g->r, g->n_val));
		gen_els(g, rule, rules);
	} else if (k < 86) {
		gen_need(g);
		gen_els(g, rule, rules);
	} else if (k < 93 && g->n_val < 40) {
		gen_guard(g);
		gen_els(g, rule, rules);
	} else if (k < 97) {
		strbuf_add(&g->out, "\tcount\n");
	} else if (k < 98) {
		strbuf_add(&g->out, "\topaque \"?\"\n");
	}
}

/* Chain 0 is the base, 1 and 2 are user chains; each jumps to later ones only. */
static void gen_end(struct imr_gen *g, unsigned int chain, unsigned int rule, unsigned int rules)
{
	static const char *const ends[] = { "accept", "drop", "drop", "next", "next", "return" };
	unsigned int k = rng_below(&g->r, 10);

	if (k < 6)
		strbuf_add(&g->out, "\t%s\n", ends[k]);
	else if (k == 6 && rule + 1 < rules)
		strbuf_add(&g->out, "\tnext %u\n", rule + 2 + rng_below(&g->r, rules - rule - 1));
	else if (k < 9 && chain < 2)
		strbuf_add(&g->out, "\t%s @\"u%u\"\n", k == 7 ? "goto" : "jump",
			   chain + 1 + rng_below(&g->r, 2 - chain));
	else
		strbuf_add(&g->out, "\tnext\n");
}

static void gen_chain(struct imr_gen *g, unsigned int chain)
{
	unsigned int rules = rng_below(&g->r, chain ? 5 : 8) + !chain;

	if (chain)
		strbuf_add(&g->out, "chain @\"u%u\" {\n", chain);
	else
		strbuf_add(&g->out, "chain @\"c\" hook %s kind filter prio 0 policy %s count {\n",
			   imr_hooks[g->hook].name, rng_chance(&g->r, 50) ? "accept" : "drop");
	g->n_val = 0;
	if (rng_chance(&g->r, 30)) {
		strbuf_add(&g->out, "entry\n");
		for (unsigned int k = rng_below(&g->r, 5) + 1; k-- > 0;)
			gen_load(g);
		for (unsigned int k = rng_below(&g->r, 3); k-- > 0;)
			gen_op(g);
	}
	g->shared = g->n_val;
	for (unsigned int rule = 0; rule < rules; rule++) {
		g->n_val = g->shared;
		strbuf_add(&g->out, "rule\n");
		for (unsigned int k = rng_below(&g->r, 14); k-- > 0;)
			gen_step(g, rule, rules);
		gen_end(g, chain, rule, rules);
	}
	strbuf_add(&g->out, "}\n");
}

static void gen_base(struct imr_gen *g, struct arena *a, uint64_t seed)
{
	const struct imr_profile p = { .th_fast_frag = true };
	static const struct pool none;

	g->r.s = seed;
	g->out = (struct strbuf){ .arena = a };
	g->hook = hooks[rng_below(&g->r, sizeof(hooks) / sizeof(*hooks))];
	g->pkt = (struct imr_pkt){.frame = g->frame,
				  .iif = 3,
				  .iifname = "eth0",
				  .oif = 4,
				  .oifname = "wan1",
				  .mac = JUDGE_MAC,
				  .mark = rng_below(&g->r, 3)};
	if (imr_hooks[g->hook].facts & HF_NO_OIF) {
		g->pkt.oif = 0;
		memset(g->pkt.oifname, 0, sizeof(g->pkt.oifname));
	}
	for (unsigned int tries = 0; tries < 200; tries++) {
		memset(g->frame, 0, sizeof(g->frame));
		g->pkt.len = gen_packet(&g->r, &none, g->frame);
		imr_view(&g->view, &g->pkt, g->hook, &p);
		if (g->view.domain)
			break;
	}
}

const char *gen_program(struct imr_gen *g, struct arena *a, uint64_t seed)
{
	gen_base(g, a, seed);
	strbuf_add(&g->out, "imr 1\nprofile th_fast_frag\n");
	for (unsigned int c = 0; c < 3; c++)
		gen_chain(g, c);
	return g->out.s;
}

/* A rule of tests that may change places, in two orders. */
void gen_twins(struct imr_gen *g, struct arena *a, uint64_t seed, const char *ret[2])
{
	char *test[12];
	unsigned int n;
	struct strbuf loads, body;

	gen_base(g, a, seed);
	n = 2 + rng_below(&g->r, 9);
	for (unsigned int k = 0; k < n; k++)
		gen_load(g);
	for (unsigned int k = rng_below(&g->r, 4); k-- > 0;)
		gen_op(g);
	loads = g->out;
	for (unsigned int k = 0; k < n; k++) {
		g->out = (struct strbuf){ .arena = a };
		if (rng_chance(&g->r, 20))
			gen_need(g);
		else
			gen_compare(g, rng_below(&g->r, g->n_val));
		test[k] = g->out.s;
	}
	for (unsigned int way = 0; way < 2; way++) {
		body = (struct strbuf){ .arena = a };
		strbuf_add(&body, "imr 1\nchain @\"c\" hook %s policy accept {\nrule\n", imr_hooks[g->hook].name);
		strbuf_add_bytes(&body, loads.s, loads.len);
		for (unsigned int k = 0; k < n; k++)
			strbuf_add(&body, "%s\n", test[way ? n - 1 - k : k]);
		strbuf_add(&body, "\tcount\n\tdrop\n}\n");
		ret[way] = body.s;
	}
}
