/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The passes: what each makes of a text, which programs become one, and that none changes a meaning. The last is asked of
 * random programs, whose constants are what a packet really holds, and of packets that lie around that one.
 */
#include <check.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "gen.h"
#include "imr.h"

#define SEED 20250310
#define PROGRAMS 4000
#define PACKETS 24
#define SHUFFLES 4000

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

static const char *said(void)
{
	struct strbuf out = { .arena = arena };

	for (uint32_t i = 0; i < diags.n; i++)
		diag_print(&out, &diags.d[i]);
	return out.s ? out.s : "";
}

static struct imr *parse(const char *text)
{
	struct imr *imr = imr_parse(arena, &diags, text, strlen(text));

	ck_assert_msg(imr != NULL, "%s\n%s", said(), text);
	imr_number(imr);
	return imr;
}

static const char *print(const struct imr *imr)
{
	struct strbuf out = { .arena = arena };

	imr_print(&out, imr);
	return out.s;
}

static struct imr *optimised(const char *text, const char *last)
{
	struct imr *imr = parse(text);

	ck_assert_msg(imr_optimise(imr, last), "%s\n%s", said(), text);
	return imr;
}

/* ------------------------------------------------------------------ text in, text out */

#define HEAD(hook) "imr 1\nchain @\"c\" hook " hook " kind filter prio 0 policy accept count {\n"

static const struct { const char *pass, *hook, *in, *out; } cases[] = {
#define CASE(pass, hook, in, out) { pass, HEAD(hook), in, out },
#define SAME(hook, a, b)
#include "test_passes.def"
};
static const struct { const char *hook, *a, *b; } sames[] = {
#define CASE(pass, hook, in, out)
#define SAME(hook, a, b) { HEAD(hook), a, b },
#include "test_passes.def"
};

static char *whole(const char *head, const char *body)
{
	return arena_printf(arena, "%s%s%s", head, body, strstr(body, "\nchain ") ? "" : "}\n");
}

START_TEST(text)
{
	const char *head = cases[_i].hook, *in = whole(head, cases[_i].in);
	const char *got = print(optimised(in, cases[_i].pass)), *want = print(parse(whole(head, cases[_i].out)));

	ck_assert_msg(!strcmp(got, want), "%s of\n%s\ngave\n%s\nnot\n%s", cases[_i].pass, in, got, want);
}
END_TEST

START_TEST(one_form)
{
	const char *a = whole(sames[_i].hook, sames[_i].a), *b = whole(sames[_i].hook, sames[_i].b);
	const struct imr *x = optimised(a, NULL), *y = optimised(b, NULL);

	ck_assert_msg(imr_same(x, y), "%s\n%s\nbecame\n%s\n%s", a, b, print(x), print(y));
}
END_TEST

/* ------------------------------------------------------------------ random programs */

static const enum imr_hook hooks[] = {
	HOOK_IP_INPUT, HOOK_IP_PREROUTING, HOOK_IP_FORWARD, HOOK_IP6_INPUT, HOOK_IP6_FORWARD, HOOK_INET_INPUT,
	HOOK_INET_PREROUTING, HOOK_INET_FORWARD, HOOK_INET_INGRESS, HOOK_NETDEV_INGRESS, HOOK_EARLY_L3,
};

struct value { u128 v; enum imr_type t; };

struct gen {
	struct rng r;
	struct strbuf out;
	enum imr_hook hook;
	uint8_t frame[GEN_FRAME];
	struct imr_pkt pkt;
	struct imr_view view;
	struct value val[64];	/* of the rule at hand, as the packet has them */
	unsigned int n_val;
	unsigned int shared;	/* the entry's */
	bool shuffle;		/* only tests that may change places: a shuffled twin is made */
	struct rng order;
};

static u128 bytes_at(const struct gen *g, uint32_t at, unsigned int len)
{
	u128 v = 0;

	if (at + len > g->view.end)
		return 0;
	for (unsigned int i = 0; i < len; i++)
		v = v << 8 | g->frame[at + i];
	return v;
}

static uint32_t base_at(const struct gen *g, enum imr_base b)
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

static u128 field_now(const struct gen *g, enum imr_field f)
{
	const struct imr_field_info *i = &imr_fields[f];
	const struct imr_view *v = &g->view;

	if (i->len)
		return bytes_at(g, base_at(g, i->base) + i->off, i->len) >> i->shift & (((u128)1 << (i->bits - 1) << 1) - 1);
	switch (f) {
	case F_META_IIFNAME:	return name_of(g->pkt.iifname);
	case F_META_OIFNAME:	return name_of(g->pkt.oifname);
	case F_META_IIF:	return g->pkt.iif;
	case F_META_OIF:	return g->pkt.oif;
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

static void add_value(struct gen *g, u128 v, enum imr_type t)
{
	g->val[g->n_val++] = (struct value){ v & imr_type_max(t), t };
}

static void gen_raw(struct gen *g)
{
	static const struct { enum imr_base b; uint8_t off, len; } known[] = {
		{ B_NH, 12, 4 }, { B_NH, 12, 8 }, { B_NH, 12, 2 }, { B_NH, 16, 3 }, { B_NH, 12, 6 }, { B_NH, 8, 2 },
		{ B_NH, 9, 1 }, { B_NH, 6, 2 }, { B_NH, 8, 16 }, { B_NH, 24, 15 }, { B_NH, 24, 4 }, { B_NH, 0, 1 },
		{ B_NH, 1, 1 }, { B_TH, 0, 4 }, { B_TH, 0, 2 }, { B_TH, 2, 2 }, { B_TH, 13, 1 }, { B_TH, 12, 1 },
		{ B_TH, 0, 8 }, { B_TH, 0, 1 }, { B_TX, 0, 4 }, { B_TX, 2, 2 }, { B_LL, 0, 12 }, { B_LL, 6, 3 }, { B_LL, 12, 2 },
	};
	unsigned int k = rng_below(&g->r, sizeof(known) / sizeof(*known));
	enum imr_base b = known[k].b;
	unsigned int off = known[k].off, len = known[k].len;

	if (rng_chance(&g->r, 15)) {
		b = B_LL + rng_below(&g->r, 4);
		off = rng_below(&g->r, 44);
		len = 1 + rng_below(&g->r, 16);
	}
	strbuf_add(&g->out, "\t%%%u =%s ld raw %s+%u:%u\n", g->n_val, imr_types[imr_type_be(len)].name, imr_bases[b], off, len);
	add_value(g, bytes_at(g, base_at(g, b) + off, len), imr_type_be(len));
}

static void gen_load(struct gen *g)
{
	enum imr_field f = F_RAW + 1 + rng_below(&g->r, F_MAX - F_RAW - 1);

	if (rng_chance(&g->r, 45)) {
		gen_raw(g);
		return;
	}
	if (rng_chance(&g->r, 3)) {
		strbuf_add(&g->out, "\t%%%u =u8 tcpopt %s, %u\n", g->n_val, rng_chance(&g->r, 50) ? "th" : "tx", 1 + rng_below(&g->r, 4));
		add_value(g, rng_below(&g->r, 3), T_U8);
		return;
	}
	if (rng_chance(&g->r, 15) || (g->hook == HOOK_EARLY_L3 && (f == F_META_OIF || f == F_META_OIFNAME || f == F_META_MARK)))
		f = F_META_NFPROTO;
	strbuf_add(&g->out, "\t%%%u =%s ld %s\n", g->n_val, imr_types[imr_fields[f].type].name, imr_fields[f].name);
	add_value(g, field_now(g, f), imr_fields[f].type);
}

static void put_const(struct gen *g, enum imr_type t, u128 v)
{
	imr_print_value(&g->out, t, v & imr_type_max(t));
}

static u128 random_bits(struct gen *g)
{
	return (u128)rng_next(&g->r) << 64 | rng_next(&g->r);
}

static u128 gen_mask(struct gen *g, enum imr_type t)
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

static void put_set(struct gen *g, enum imr_type t, u128 v)
{
	struct imr_range r[6];
	struct imr tmp = { .arena = arena };
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

static void gen_op(struct gen *g)
{
	unsigned int a = rng_below(&g->r, g->n_val), b;
	const struct value x = g->val[a];
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

static void gen_els(struct gen *g, unsigned int rule, unsigned int rules)
{
	unsigned int k = rng_below(&g->r, 100);

	if (k < 15)
		strbuf_add(&g->out, " else drop");
	else if (k < 30 && rule + 1 < rules)
		strbuf_add(&g->out, " else %u", rule + 2 + rng_below(&g->r, rules - rule - 1));
	strbuf_add(&g->out, "\n");
}

static void gen_compare(struct gen *g, unsigned int a)
{
	static const char *const ops[] = { "eq", "eq", "eq", "ne", "lt", "le", "gt", "ge", "in", "ni" };
	const struct value x = g->val[a];
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

static void gen_need(struct gen *g)
{
	static const uint8_t some[] = { 1, 2, 4, 8, 13, 14, 16, 20, 20, 40, 41 };

	strbuf_add(&g->out, "\tneed %s, %u", imr_bases[B_LL + rng_below(&g->r, 4)], some[rng_below(&g->r, sizeof(some))]);
}

static void gen_guard(struct gen *g)
{
	const bool l4 = rng_chance(&g->r, 50);
	const enum imr_field f = l4 ? F_TH_PROTO : rng_chance(&g->r, 50) ? F_META_NFPROTO : F_META_PROTOCOL;

	strbuf_add(&g->out, "\t%%%u =%s ld %s\n", g->n_val, imr_types[imr_fields[f].type].name, imr_fields[f].name);
	add_value(g, field_now(g, f), imr_fields[f].type);
	strbuf_add(&g->out, "\t%s %%%u, ", rng_chance(&g->r, 90) ? "eq" : "ne", g->n_val - 1);
	put_const(g, imr_fields[f].type, g->val[g->n_val - 1].v);
}

static void gen_step(struct gen *g, unsigned int rule, unsigned int rules)
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
static void gen_end(struct gen *g, unsigned int chain, unsigned int rule, unsigned int rules)
{
	static const char *const ends[] = { "accept", "drop", "drop", "next", "next", "return" };
	unsigned int k = rng_below(&g->r, 10);

	if (k < 6)
		strbuf_add(&g->out, "\t%s\n", ends[k]);
	else if (k == 6 && rule + 1 < rules)
		strbuf_add(&g->out, "\tnext %u\n", rule + 2 + rng_below(&g->r, rules - rule - 1));
	else if (k < 9 && chain < 2)
		strbuf_add(&g->out, "\t%s @\"u%u\"\n", k == 7 ? "goto" : "jump", chain + 1 + rng_below(&g->r, 2 - chain));
	else
		strbuf_add(&g->out, "\tnext\n");
}

static void gen_chain(struct gen *g, unsigned int chain)
{
	unsigned int rules = rng_below(&g->r, chain ? 5 : 8) + !chain;

	if (chain)
		strbuf_add(&g->out, "chain @\"u%u\" {\n", chain);
	else
		strbuf_add(&g->out, "chain @\"c\" hook %s kind filter prio 0 policy %s count {\n", imr_hooks[g->hook].name,
			   rng_chance(&g->r, 50) ? "accept" : "drop");
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

static void gen_base(struct gen *g, uint64_t seed)
{
	const struct imr_profile p = { .th_fast_frag = true };
	static const struct pool none;

	g->r.s = seed;
	g->out = (struct strbuf){ .arena = arena };
	g->hook = hooks[rng_below(&g->r, sizeof(hooks) / sizeof(*hooks))];
	g->pkt = (struct imr_pkt){ .frame = g->frame, .iif = 3, .iifname = "eth0", .oif = 4, .oifname = "wan1", .mac = JUDGE_MAC,
				   .mark = rng_below(&g->r, 3) };
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

static const char *gen_program(struct gen *g, uint64_t seed)
{
	gen_base(g, seed);
	strbuf_add(&g->out, "imr 1\nprofile th_fast_frag\n");
	for (unsigned int c = 0; c < 3; c++)
		gen_chain(g, c);
	return g->out.s;
}

/* ------------------------------------------------------------------ no pass changes a meaning */

static void next_packet(struct gen *g, const struct pool *pool, uint8_t *frame, struct imr_pkt *pkt)
{
	*pkt = g->pkt;
	memset(frame, 0, GEN_FRAME);
	memcpy(frame, g->frame, g->pkt.len);
	pkt->frame = frame;
	if (rng_chance(&g->r, 30)) {
		pkt->len = gen_packet(&g->r, pool, frame);
		return;
	}
	for (unsigned int k = rng_below(&g->r, 3); k-- > 0 && pkt->len > 34;)
		frame[14 + rng_below(&g->r, pkt->len - 14)] ^= 1u << rng_below(&g->r, 8);
	if (rng_chance(&g->r, 20) && pkt->len > 14)
		pkt->len = 14 + rng_below(&g->r, pkt->len - 14);
	if (rng_chance(&g->r, 5))
		memcpy(pkt->iifname, "eth1", 4);
}

static bool agree(const struct imr_result *a, const struct imr_result *b)
{
	return a->verdict == b->verdict && a->n_slot == b->n_slot && !memcmp(a->slot, b->slot, sizeof(a->slot));
}

static void ask(const char *seed, const struct imr *imr, const struct imr *opt, const char *pass, const struct imr_pkt *pkt,
		const uint64_t *choice)
{
	struct imr_result before, after;
	char *hex = arena_alloc(arena, 2 * pkt->len + 1);

	memset(&before, 0, sizeof(before));
	memset(&after, 0, sizeof(after));
	imr_run(&before, imr, 0, pkt, choice);
	imr_run(&after, opt, 0, pkt, choice);
	if (agree(&before, &after))
		return;
	for (uint32_t i = 0; i < pkt->len; i++)
		sprintf(hex + 2 * i, "%02x", pkt->frame[i]);
	ck_abort_msg("seed %s, after %s: verdict %d, %u counted; was %d, %u\npacket %s\n%s\n%s", seed, pass, after.verdict,
		     after.n_slot, before.verdict, before.n_slot, hex, print(imr), print(opt));
}

static void one_program(uint64_t seed)
{
	struct gen g = { 0 };
	const char *in = gen_program(&g, seed), *name = arena_printf(arena, "%" PRIu64, seed);
	const struct imr *imr = parse(in), *form[16];
	static uint8_t frame[GEN_FRAME];
	static struct pool pool;
	uint64_t *choice = arena_alloc(arena, (imr->n_opaque + 1) * sizeof(*choice));
	unsigned int n = 0;

	for (const struct imr_pass *p = imr_passes; p->name; p++, n++) {
		const char *text;

		form[n] = optimised(in, p->name);
		text = print(form[n]);
		ck_assert_msg(!strcmp(text, print(parse(text))), "seed %s, after %s: not its own text\n%s", name, p->name, text);
	}
	pool_fill(&pool, &g.r, imr);
	for (unsigned int k = 0; k < PACKETS; k++) {
		struct imr_pkt pkt = g.pkt;

		if (k)
			next_packet(&g, &pool, frame, &pkt);
		for (uint32_t c = 0; c < imr->n_opaque; c++)
			choice[c] = rng_below(&g.r, 3);
		for (unsigned int f = 0; f < n; f++)
			ask(name, imr, form[f], imr_passes[f].name, &pkt, choice);
	}
}

START_TEST(same_meaning)
{
	for (unsigned int k = 0; k < PROGRAMS; k++) {
		teardown();
		setup();
		one_program(SEED + k * 1000003ull);
	}
	printf("passes: seeds %d + k * 1000003, k < %d\n", SEED, PROGRAMS);
}
END_TEST

/* ------------------------------------------------------------------ equal meanings, one form */

/* A rule of tests that may change places, in two orders. */
static void gen_twins(struct gen *g, const char *ret[2], uint64_t seed)
{
	char *test[12];
	unsigned int n = 2 + rng_below(&g->r, 9);
	struct strbuf loads, body;

	g->n_val = 0;
	for (unsigned int k = 0; k < n; k++)
		gen_load(g);
	for (unsigned int k = rng_below(&g->r, 4); k-- > 0;)
		gen_op(g);
	loads = g->out;
	for (unsigned int k = 0; k < n; k++) {
		g->out = (struct strbuf){ .arena = arena };
		if (rng_chance(&g->r, 20))
			gen_need(g);
		else
			gen_compare(g, rng_below(&g->r, g->n_val));
		test[k] = g->out.s;
	}
	for (unsigned int way = 0; way < 2; way++) {
		body = (struct strbuf){ .arena = arena };
		strbuf_add(&body, "imr 1\nchain @\"c\" hook %s policy accept {\nrule\n", imr_hooks[g->hook].name);
		strbuf_add_bytes(&body, loads.s, loads.len);
		for (unsigned int k = 0; k < n; k++)
			strbuf_add(&body, "%s\n", test[way ? n - 1 - k : k]);
		strbuf_add(&body, "\tcount\n\tdrop\n}\n");
		ret[way] = body.s;
	}
}

/* Once is enough for what tools write. Where ranges of one load met in fold and left one value, or where a first part is
 * known only then to be there, a second round says it in fields; it must come to rest. */
static void settle(struct imr *imr, uint64_t seed)
{
	const char *was = print(imr);

	for (unsigned int round = 0; round < 4; round++) {
		const char *now;

		ck_assert_msg(imr_optimise(imr, NULL), "seed %" PRIu64 "\n%s\n%s", seed, said(), was);
		now = print(imr);
		if (!strcmp(was, now))
			return;
		was = now;
	}
	ck_abort_msg("seed %" PRIu64 ": the passes do not come to rest\n%s", seed, was);
}

START_TEST(any_order)
{
	for (unsigned int k = 0; k < SHUFFLES; k++) {
		struct gen g = { 0 };
		const uint64_t seed = SEED + k * 1000033ull;
		const char *text[2];
		struct imr *a, *b;

		teardown();
		setup();
		gen_base(&g, seed);
		gen_twins(&g, text, seed);
		a = optimised(text[0], NULL);
		b = optimised(text[1], NULL);
		ck_assert_msg(imr_same(a, b), "seed %" PRIu64 "\n%s\nbecame\n%s\n%s", seed, text[0], print(a), print(b));
		settle(b, seed);
	}
}
END_TEST

int main(int argc, char **argv)
{
	Suite *s = suite_create("passes");
	TCase *t = tcase_create("passes");
	SRunner *runner = srunner_create(s);
	int failed;

	tcase_set_timeout(t, 240);
	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_loop_test(t, text, 0, sizeof(cases) / sizeof(*cases));
	tcase_add_loop_test(t, one_form, 0, sizeof(sames) / sizeof(*sames));
	tcase_add_test(t, same_meaning);
	tcase_add_test(t, any_order);
	suite_add_tcase(s, t);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed != 0;
}
