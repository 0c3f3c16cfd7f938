/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The slice's law by enumeration: if the slice drops a packet, then the whole pipeline drops it however the unknown turns
 * out. The pipeline here is a straightforward one: chains in the kernel's order through the reference interpreter, what
 * the stack does between them to a copy of the frame. Programs, packets and completions come from one seed.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "slice_law.h"

static uint64_t rnd64(struct law *l)
{
	l->rnd ^= l->rnd << 13;
	l->rnd ^= l->rnd >> 7;
	l->rnd ^= l->rnd << 17;
	return l->rnd * 0x2545f4914f6cdd1dull;
}

static uint32_t rnd(struct law *l, uint32_t n)
{
	return (rnd64(l) >> 33) % n;
}

static bool chance(struct law *l, uint32_t percent)
{
	return rnd(l, 100) < percent;
}

/* ------------------------------------------------------------------ programs */

static const enum imr_hook law_hooks[] = {
	HOOK_IP_PREROUTING, HOOK_IP_INPUT, HOOK_IP_FORWARD, HOOK_INET_PREROUTING, HOOK_INET_INPUT, HOOK_INET_FORWARD,
	HOOK_IP6_PREROUTING, HOOK_IP6_INPUT, HOOK_IP6_FORWARD, HOOK_IP_INPUT, HOOK_INET_INPUT, HOOK_NETDEV_INGRESS,
};
#define N_HOOK (sizeof(law_hooks) / sizeof(*law_hooks))

#define IP4(a, b, c, d) ((uint32_t)(a) << 24 | (b) << 16 | (c) << 8 | (d))
static const uint32_t addr4[] = {
	IP4(10, 0, 0, 1), IP4(10, 0, 0, 2), IP4(192, 168, 1, 1), IP4(10, 1, 0, 1), IP4(10, 1, 0, 2), IP4(10, 9, 0, 1),
	IP4(224, 0, 0, 1), IP4(255, 255, 255, 255), IP4(10, 1, 0, 255), IP4(172, 16, 0, 1),
};
#define N_ADDR (sizeof(addr4) / sizeof(*addr4))
static const uint16_t ports[] = { 22, 53, 80, 443 };

static u128 addr6(uint32_t v4)
{
	if (v4 >> 28 == 14)
		return (u128)0xff02 << 112 | 1;
	return (u128)0x20010db8 << 96 | v4;
}

static u128 name_number(const char *s)
{
	u128 v = 0;

	for (int i = 0; i < 16; i++, s += *s != 0)
		v = v << 8 | (uint8_t)*s;
	return v;
}

static void gen_els(struct law *l, struct imr_rule *r, uint32_t index, uint32_t n, bool base)
{
	struct imr_insn *t = &r->insn[r->n - 1];

	if (chance(l, 6))
		t->els = ELSE_DROP;
	if (base && index + 2 < n && chance(l, 8)) {
		t->els = ELSE_RULE;
		t->to = index + 2 + rnd(l, n - index - 2);
	}
}

/* A test against an address, of the source or the destination. */
static void gen_addr(struct law *l, struct imr_rule *r, bool v6)
{
	bool daddr = chance(l, 40);
	uint32_t v = imr_ld(l->imr, r, v6 ? daddr ? F_IP6_DADDR : F_IP6_SADDR : daddr ? F_IP_DADDR : F_IP_SADDR);
	uint32_t a = addr4[rnd(l, N_ADDR)];
	u128 lo = v6 ? addr6(a) : a;

	if (chance(l, 50))
		imr_cmp(l->imr, r, chance(l, 80) ? OP_EQ : OP_NE, v, lo, ELSE_NEXT);
	else
		imr_in(l->imr, r, chance(l, 20), v, imr_set_one(l->imr, lo & ~(u128)0xff, lo | 0xff), ELSE_NEXT);
}

static void gen_port(struct law *l, struct imr_rule *r)
{
	struct imr_range set[2] = { { 22, 22 }, { 80, 443 } };
	uint32_t v;

	imr_need(l->imr, r, B_TH, chance(l, 80) ? 4 : 20, ELSE_NEXT);
	if (chance(l, 15))
		r->insn[r->n - 1].els = ELSE_DROP;
	v = imr_ld(l->imr, r, chance(l, 70) ? F_TH_DPORT : F_TH_SPORT);
	if (chance(l, 60))
		imr_cmp(l->imr, r, chance(l, 80) ? OP_EQ : OP_NE, v, ports[rnd(l, 4)], ELSE_NEXT);
	else
		imr_in(l->imr, r, chance(l, 30), v, imr_set_new(l->imr, set, 2), ELSE_NEXT);
}

static void gen_meta(struct law *l, struct imr_rule *r)
{
	uint32_t v;

	switch (l->plain ? 4 * rnd(l, 2) : rnd(l, 6)) {
	case 0:
		v = imr_ld(l->imr, r, F_META_IIFNAME);
		imr_cmp(l->imr, r, chance(l, 70) ? OP_EQ : OP_NE, v, name_number(chance(l, 70) ? "v0" : "v1"), ELSE_NEXT);
		return;
	case 1:
		v = imr_ld(l->imr, r, F_META_OIFNAME);
		imr_cmp(l->imr, r, chance(l, 50) ? OP_EQ : OP_NE, v, name_number(chance(l, 70) ? "w0" : ""), ELSE_NEXT);
		return;
	case 2:
		v = imr_op2(l->imr, r, OP_AND, imr_ld(l->imr, r, F_META_MARK), 3);
		imr_cmp(l->imr, r, chance(l, 50) ? OP_EQ : OP_NE, v, rnd(l, 3), ELSE_NEXT);
		return;
	case 3:
		imr_cmp(l->imr, r, chance(l, 50) ? OP_GT : OP_LE, imr_ld(l->imr, r, F_META_LEN), 44, ELSE_NEXT);
		return;
	case 4:
		imr_cmp(l->imr, r, OP_EQ, imr_ld(l->imr, r, F_META_IIF), chance(l, 70) ? 7 : 8, ELSE_NEXT);
		return;
	default:
		imr_cmp(l->imr, r, OP_EQ, imr_ld(l->imr, r, F_TH_PROTO), chance(l, 50) ? 6 : 17, ELSE_NEXT);
	}
}

static void gen_unknown(struct law *l, struct imr_rule *r)
{
	if (l->plain || l->n_unknown++ >= 4)
		return;
	if (chance(l, 80))
		imr_stmt(l->imr, r, OP_OPAQUE, "ct state new");
	else
		imr_cmp(l->imr, r, OP_EQ, imr_opaque_value(l->imr, r, T_U8, "hash"), 1, ELSE_NEXT);
}

static void gen_raw(struct law *l, struct imr_rule *r, bool v6)
{
	if (chance(l, 50)) {
		imr_cmp(l->imr, r, chance(l, 50) ? OP_EQ : OP_NE, imr_ld(l->imr, r, v6 ? F_IP6_HOPLIMIT : F_IP_TTL),
			chance(l, 50) ? 64 : 63, ELSE_NEXT);
		return;
	}
	imr_need(l->imr, r, B_NH, v6 ? 44 : 24, ELSE_NEXT);
	imr_cmp(l->imr, r, OP_EQ, imr_ld_raw(l->imr, r, B_NH, v6 ? 42 : 22, 2), ports[rnd(l, 4)], ELSE_NEXT);
}

static void gen_test(struct law *l, struct imr_rule *r, bool v6, uint32_t index, uint32_t n, bool base)
{
	uint32_t before = r->n, pick = rnd(l, 100);

	if (pick < 35)
		gen_addr(l, r, v6);
	else if (pick < 60)
		gen_port(l, r);
	else if (pick < 78)
		gen_meta(l, r);
	else if (pick < 92)
		gen_unknown(l, r);
	else if (!l->plain)
		gen_raw(l, r, v6);
	if (r->n > before)
		gen_els(l, r, index, n, base);
}

static void gen_end(struct law *l, struct imr_rule *r, uint32_t index, uint32_t n, bool base)
{
	uint32_t pick = rnd(l, 100);

	if (pick < 40)
		imr_end(l->imr, r, OP_DROP, 0);
	else if (pick < 60)
		imr_end(l->imr, r, OP_ACCEPT, 0);
	else if (pick < 66)
		imr_end(l->imr, r, OP_RETURN, 0);
	else if (base && l->users && pick < 84)
		imr_end(l->imr, r, chance(l, 70) ? OP_JUMP : OP_GOTO, l->imr->n - 1 - rnd(l, l->users));
	else if (base && pick < 92 && index + 2 < n)
		imr_end(l->imr, r, OP_NEXT, index + 2 + rnd(l, n - index - 2));
	else
		imr_end(l->imr, r, OP_NEXT, 0);
}

static void gen_rule(struct law *l, struct imr_chain *c, uint32_t index, uint32_t n)
{
	bool base = c->hook != HOOK_NONE, v6 = chance(l, 35);
	struct imr_at at = { .tool = c->at.tool, .where = c->at.where, .number = index + 1 };
	struct imr_rule *r = imr_rule_add(l->imr, c, &at);
	enum imr_family f = base ? imr_hooks[c->hook].family : FAM_INET;

	if (f == FAM_IP || f == FAM_IP6)
		v6 = f == FAM_IP6;
	else if (f == FAM_INET)
		imr_cmp(l->imr, r, OP_EQ, imr_ld(l->imr, r, F_META_NFPROTO), v6 ? 10 : 2, ELSE_NEXT);
	else
		imr_cmp(l->imr, r, OP_EQ, imr_ld(l->imr, r, F_META_PROTOCOL), v6 ? 0x86dd : 0x0800, ELSE_NEXT);
	for (uint32_t i = rnd(l, 4); i > 0; i--)
		gen_test(l, r, v6, index, n, base);
	if (chance(l, l->counters))
		imr_stmt(l->imr, r, OP_COUNT, NULL);
	if (!l->plain && chance(l, 5) && l->n_unknown++ < 4)
		imr_stmt(l->imr, r, OP_EFFECT, "log");
	gen_end(l, r, index, n, base);
}

static void gen_chain(struct law *l, uint32_t k, bool base)
{
	static const int32_t prios[] = { -300, -150, -100, 0, 0, 10, 100 };
	struct imr_chain *c = imr_chain_add(l->imr, arena_printf(l->arena, "%s%u", base ? "b" : "u", k));
	uint32_t n = 1 + rnd(l, base ? 5 : 3);

	c->at = (struct imr_at){ .tool = chance(l, 50) ? "nft" : "iptables", .where = c->name };
	if (base) {
		c->hook = l->ingress ? HOOK_NETDEV_INGRESS : law_hooks[rnd(l, N_HOOK)];
		c->policy = chance(l, 35) ? OP_DROP : OP_ACCEPT;
		c->policy_count = chance(l, 50);
		c->prio = prios[rnd(l, 7)] + (l->plain ? (int)k : 0);
	}
	if (base && l->allow_nat && imr_hooks[c->hook].num == HN_PREROUTING && chance(l, 15))
		c->kind = KIND_NAT;
	if (c->hook == HOOK_NETDEV_INGRESS) {
		c->n_dev = 1;
		c->dev = arena_alloc(l->arena, sizeof(*c->dev));
		c->dev[0] = "v0";
	}
	for (uint32_t i = 0; i < n; i++)
		gen_rule(l, &l->imr->chain[l->imr->n - 1], i, n);
}

/* User chains come last, so that jumps lead on; they are filled when their number is known. */
void law_program(struct law *l)
{
	static const struct imr_profile profile = { .th_fast_frag = true };
	uint32_t bases = 1 + rnd(l, 4);

	l->imr = imr_new(l->arena, l->diags, &profile);
	l->n_unknown = 0;
	l->users = 0;
	l->counters = l->plain ? 60 : chance(l, 50) ? 30 : 0;
	l->allow_nat = !l->plain && chance(l, 40);
	for (uint32_t i = 0; i < bases; i++)
		gen_chain(l, i, true);
	if (l->max_users) {
		uint32_t users = rnd(l, l->max_users + 1);

		for (uint32_t i = 0; i < users; i++)
			gen_chain(l, i, false);
		l->users = users;
		for (uint32_t i = 0; users && i < bases; i++)
			for (uint32_t r = 0; r < l->imr->chain[i].n; r++) {
				struct imr_rule *rule = &l->imr->chain[i].rule[r];

				if (chance(l, 25)) {
					rule->n--;
					imr_end(l->imr, rule, chance(l, 70) ? OP_JUMP : OP_GOTO, bases + rnd(l, users));
				}
			}
	}
	imr_number(l->imr);
}

void law_env(struct law *l)
{
	static const struct imr_range local4[] = {
		{ IP4(10, 1, 0, 1), IP4(10, 1, 0, 1) }, { IP4(10, 1, 0, 255), IP4(10, 1, 0, 255) },
	};
	static struct imr_range local6[1];

	local6[0].lo = local6[0].hi = addr6(IP4(10, 1, 0, 1));
	l->env = (struct imr_env){ .dev = "v0", .ifindex = 7, .mac = { 2, 0, 0, 0, 0, 1 }, .n_local4 = 2, .n_local6 = 1,
				   .local4 = local4, .local6 = local6 };
	l->env.fwd4 = chance(l, 50);
	l->env.fwd6 = chance(l, 50);
	l->env.plain_rules = chance(l, 80);
	l->env.no_gro = chance(l, 50);
}

/* ------------------------------------------------------------------ packets */

static void put16(uint8_t *p, uint32_t v)
{
	p[0] = v >> 8;
	p[1] = v;
}

static void put32(uint8_t *p, uint32_t v)
{
	put16(p, v >> 16);
	put16(p + 2, v);
}

static void checksum4(uint8_t *ip)
{
	uint32_t sum = 0;

	put16(ip + 10, 0);
	for (int i = 0; i < (ip[0] & 15) * 4; i += 2)
		sum += ip[i] << 8 | ip[i + 1];
	sum = (sum & 0xffff) + (sum >> 16);
	put16(ip + 10, ~(sum + (sum >> 16)));
}

static void put_addr6(uint8_t *p, u128 a)
{
	for (int i = 15; i >= 0; i--, a >>= 8)
		p[i] = (uint8_t)a;
}

static uint32_t put_l4(struct law *l, uint8_t *p, uint8_t *ret_proto)
{
	static const uint8_t protos[] = { 6, 6, 17, 17, 1 };
	uint32_t n;

	*ret_proto = protos[rnd(l, 5)];
	put16(p, ports[rnd(l, 4)]);
	put16(p + 2, ports[rnd(l, 4)]);
	p[12] = 0x50;
	n = *ret_proto == 6 ? 20 : 8;
	return chance(l, 8) ? rnd(l, n + 1) : n;
}

void law_packet(struct law *l)
{
	uint8_t *f = memset(l->frame, 0, sizeof(l->frame)), *nh = f + 14, proto;
	bool v6 = chance(l, 35);
	uint32_t src = addr4[rnd(l, 6)], dst = addr4[3 + rnd(l, N_ADDR - 3)], n, ihl;

	memcpy(f, l->env.mac, 6);
	f[6] = 2;
	put16(f + 12, v6 ? 0x86dd : 0x0800);
	if (v6) {
		n = put_l4(l, nh + 40, &proto);
		nh[0] = 0x60;
		put16(nh + 4, n);
		nh[6] = proto == 1 ? 58 : proto;
		nh[7] = chance(l, 10) ? 1 : 63 + rnd(l, 3);
		put_addr6(nh + 8, addr6(src));
		put_addr6(nh + 24, addr6(dst));
		n += 40;
	} else {
		ihl = chance(l, 8) ? 24 : 20;
		n = ihl + put_l4(l, nh + ihl, &proto);
		memset(nh + 20, 1, ihl - 20);
		nh[0] = 0x40 | ihl / 4;
		put16(nh + 2, n);
		nh[8] = chance(l, 10) ? 1 : 63 + rnd(l, 3);
		nh[9] = proto;
		put32(nh + 12, src);
		put32(nh + 16, dst);
		checksum4(nh);
	}
	l->pkt = (struct imr_pkt){ .frame = f, .len = 14 + n + (chance(l, 30) ? rnd(l, 20) : 0), .iif = 7,
				   .iifname = "v0" };
	memcpy(l->pkt.mac, l->env.mac, 6);
}

/* ------------------------------------------------------------------ the pipeline, one completion */

struct run {			/* a copy of the packet on its way */
	struct law *l;
	struct imr_pkt pkt;
	uint8_t frame[256];
	const uint64_t *choice;
	bool v6, nat;
};

enum fate { GOES_ON, DROPPED, GONE };

/* The rule by which an effect took the packet away: nothing behind it is asked. */
static bool took_away(const struct law *l, const struct imr_result *res, const uint64_t *choice)
{
	for (uint32_t c = 0; c < l->imr->n; c++)
		for (uint32_t r = 0; r < l->imr->chain[c].n; r++) {
			const struct imr_rule *rule = &l->imr->chain[c].rule[r];

			if (strcmp(rule->at.where, res->at.where) || rule->at.number != res->at.number)
				continue;
			for (uint32_t i = 0; i < rule->n; i++)
				if (rule->insn[i].op == OP_EFFECT && choice[rule->insn[i].slot] == 1)
					return true;
		}
	return false;
}

static void bumped(struct law *l, const struct imr_result *res)
{
	for (uint32_t i = 0; i < res->n_slot && i < 64; i++)
		l->hits[res->slot[i]]++;
}

static enum fate run_chain(struct run *r, uint32_t chain)
{
	const struct imr_chain *c = &r->l->imr->chain[chain];
	struct imr_result res;

	if (c->kind == KIND_NAT && chance(r->l, 50))
		return GOES_ON;		/* not the first packet of its flow */
	r->pkt.mark = rnd(r->l, 4);
	imr_run(&res, r->l->imr, chain, &r->pkt, r->choice);
	if (res.verdict == V_NONE)
		return GOES_ON;
	bumped(r->l, &res);
	if (res.verdict == V_ACCEPT && took_away(r->l, &res, r->choice))
		return GONE;
	return res.verdict == V_DROP ? DROPPED : GOES_ON;
}

/* nf_nat_manip_pkt of the destination: any address, any port. */
static void translate(struct run *r)
{
	uint8_t *nh = r->frame + 14;
	uint32_t to = addr4[3 + rnd(r->l, N_ADDR - 3)];

	if (r->v6) {
		put_addr6(nh + 24, addr6(to));
		put16(nh + 42, ports[rnd(r->l, 4)]);
	} else {
		put32(nh + 16, to);
		put16(nh + (nh[0] & 15) * 4 + 2, ports[rnd(r->l, 4)]);
		checksum4(nh);
	}
}

static int32_t prio_of(const struct imr_chain *c)
{
	return c->kind == KIND_NAT ? -100 : c->prio;
}

static bool is_here(const struct run *r, const struct imr_chain *c, enum imr_hooknum num)
{
	enum imr_family f = imr_hooks[c->hook].family;

	if (c->hook == HOOK_NONE || imr_hooks[c->hook].num != num)
		return false;
	return num == HN_INGRESS || f == FAM_INET || (f == FAM_IP6) == r->v6;
}

/* All chains of a hook by priority; those of one priority in an order of chance. */
static enum fate run_hook(struct run *r, enum imr_hooknum num)
{
	bool done[16] = { false }, translated = !r->nat || num != HN_PREROUTING;
	const struct imr *imr = r->l->imr;

	for (;;) {
		uint32_t best = UINT32_MAX;
		enum fate f;

		for (uint32_t i = 0; i < imr->n; i++) {
			if (done[i] || !is_here(r, &imr->chain[i], num))
				continue;
			if (best == UINT32_MAX || prio_of(&imr->chain[i]) < prio_of(&imr->chain[best]) ||
			    (prio_of(&imr->chain[i]) == prio_of(&imr->chain[best]) && chance(r->l, 50)))
				best = i;
		}
		if (!translated && (best == UINT32_MAX || prio_of(&imr->chain[best]) > -100 ||
				    (prio_of(&imr->chain[best]) == -100 && imr->chain[best].kind != KIND_NAT &&
				     chance(r->l, 50)))) {
			translated = true;
			translate(r);
			continue;
		}
		if (best == UINT32_MAX)
			return GOES_ON;
		done[best] = true;
		f = run_chain(r, best);
		if (f != GOES_ON)
			return f;
	}
}

static bool has_nat(const struct law *l, bool v6)
{
	for (uint32_t i = 0; i < l->imr->n; i++) {
		enum imr_family f = imr_hooks[l->imr->chain[i].hook].family;

		if (l->imr->chain[i].kind == KIND_NAT && (f == FAM_INET || (f == FAM_IP6) == v6))
			return true;
	}
	return false;
}

enum way { TO_INPUT, TO_FORWARD };

static enum way route(struct run *r)
{
	const struct law *l = r->l;
	const uint8_t *nh = r->frame + 14, *d = nh + (r->v6 ? 24 : 16);
	bool special = r->v6 ? d[0] == 0xff : d[0] >= 224, local;

	if (!(r->v6 ? l->env.fwd6 : l->env.fwd4))
		return TO_INPUT;
	if (special || !l->env.plain_rules || (!r->v6 && (nh[0] & 15) != 5))
		return chance(r->l, 50);
	d = nh + (r->v6 ? 36 : 16);
	local = d[0] == 10 && d[1] == 1 && d[2] == 0 && (d[3] == 1 || (!r->v6 && d[3] == 255));
	return local ? TO_INPUT : TO_FORWARD;
}

bool law_is_special(const struct law *l)
{
	const uint8_t *nh = l->frame + 14;

	return l->frame[12] == 0x86 ? nh[24] == 0xff : nh[16] >= 224;
}

/* ip_options_rcv_srr: a packet with options may have another destination from here on. */
static void source_route(struct run *r)
{
	uint8_t *nh = r->frame + 14;

	if (r->v6 || (nh[0] & 15) == 5 || chance(r->l, 50))
		return;
	put32(nh + 16, addr4[3 + rnd(r->l, N_ADDR - 3)]);
	checksum4(nh);
}

/* The view itself takes one off the time to live, and keeps out what has none left. */
static enum fate run_forward(struct run *r)
{
	memcpy(r->pkt.oifname, chance(r->l, 50) ? "w0" : "v0", 3);
	r->pkt.oif = 8;
	return run_hook(r, HN_FORWARD);
}

bool law_pipeline(struct law *l, const uint64_t *choice)
{
	struct run r = { .l = l, .pkt = l->pkt, .choice = choice, .v6 = l->frame[12] == 0x86 };
	enum fate f;

	memcpy(r.frame, l->frame, sizeof(r.frame));
	r.pkt.frame = r.frame;
	r.nat = has_nat(l, r.v6) && chance(l, 60);
	f = run_hook(&r, HN_INGRESS);
	if (f == GOES_ON)
		f = run_hook(&r, HN_PREROUTING);
	if (f != GOES_ON)
		return f == DROPPED;
	source_route(&r);
	if (route(&r) == TO_INPUT)
		return run_hook(&r, HN_INPUT) == DROPPED;
	return run_forward(&r) == DROPPED;
}

/* All completions of up to 4 unknowns, each with fresh chances for the rest. */
uint32_t law_completions(struct law *l, struct law_count *n)
{
	uint64_t choice[64] = { 0 };
	uint32_t k = l->imr->n_opaque, total = 1, spared = 0;

	for (uint32_t i = 0; i < k; i++)
		total *= 3;
	if (total < 24)
		total *= 24 / total;
	for (uint32_t t = 0; t < total; t++) {
		for (uint32_t i = 0, rest = t; i < k; i++, rest /= 3)
			choice[i] = rest % 3;
		n->completions++;
		spared += !law_pipeline(l, choice);
	}
	return spared;
}
