/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The XDP backend against the reference: programs are loaded, and every packet's verdict and every counter must be what
 * imr_run says. Random programs of both hooks meet packets made to lie on boundaries; a failure prints its seed, which
 * FWJIT_SEED repeats. The verifier's work is measured with linear rules. Without the right to load, all is skipped.
 */
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <check.h>
#include <errno.h>
#include <linux/if_link.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "backend.h"

#define FRAME_MAX	1600
#define N_PACKETS	220
#define N_PROGRAMS	60
#define SLOTS_MAX	256

static struct arena *arena;
static struct diags diags;
static uint64_t rng;
static const uint8_t mac[6] = { 2, 0, 0, 0, 0, 1 };
static const struct be_opts opts = { .dev = "v0", .ifindex = 7, .mac = { 2, 0, 0, 0, 0, 1 } };

struct packet {
	uint32_t len;
	uint8_t frame[FRAME_MAX];
};

/* ------------------------------------------------------------------ chance */

static uint64_t next(void)
{
	rng ^= rng << 13;
	rng ^= rng >> 7;
	rng ^= rng << 17;
	return rng * 0x2545f4914f6cdd1dull >> 16;
}

static uint32_t below(uint32_t n)
{
	return next() % n;
}

static bool chance(unsigned int percent)
{
	return below(100) < percent;
}

static u128 any128(void)
{
	u128 v = 0;

	for (int i = 0; i < 4; i++)
		v = v << 32 | (uint32_t)next();
	return v >> below(128);
}

/* ------------------------------------------------------------------ packets */

static void put16(uint8_t *p, unsigned int v)
{
	p[0] = v >> 8;
	p[1] = v;
}

static void fill(uint8_t *p, uint32_t n)
{
	while (n--)
		*p++ = chance(50) ? below(4) : next();
}

static uint32_t put_l4(uint8_t *p, uint8_t proto)
{
	static const uint16_t ports[] = { 22, 53, 80, 443, 1000 };
	uint32_t len = proto == 6 ? 20 + below(11) * 4 : 8;

	fill(p, 64);
	put16(p, ports[below(5)]);
	put16(p + 2, ports[below(5)]);
	if (proto == 6 && chance(90))
		p[12] = len / 4 << 4;
	return chance(80) ? len + below(20) : below(24);
}

static uint32_t put_ip4(uint8_t *p)
{
	static const uint8_t protos[] = { 6, 6, 17, 1, 51, 58 };
	uint32_t hlen = chance(70) ? 20 : 20 + below(11) * 4, len, sum = 0;

	fill(p, hlen);
	p[0] = 0x40 | hlen / 4;
	put16(p + 6, chance(85) ? 0x4000 : chance(50) ? 0x2000 : below(4));
	p[9] = protos[below(6)];
	len = hlen + put_l4(p + hlen, p[9]);
	put16(p + 2, chance(90) ? len : len + below(5) - 2);
	if (chance(3))
		p[0] = next();
	put16(p + 10, 0);
	for (uint32_t i = 0; i < hlen; i += 2)
		sum += p[i] << 8 | p[i + 1];
	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	put16(p + 10, chance(95) ? ~sum : next());
	return len;
}

static void put_address(uint8_t *p, bool dst)
{
	fill(p, 16);
	p[0] = 0x20;
	switch (below(20)) {
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
		p[1] = below(3);
		break;
	case 3:
		p[0] = dst ? 0xff : 0x20;
		p[1] = 2;
		break;
	}
}

static uint32_t put_ext(uint8_t *p, uint8_t type, uint8_t next_type, bool small)
{
	uint32_t len = small ? 0 : below(4) ? 0 : below(3);

	if (chance(1) && !small)
		len = 60;
	fill(p, len * 8 + 16);
	p[0] = next_type;
	p[1] = len;
	if (type == 44) {
		put16(p + 2, chance(60) ? below(2) : 8 * below(3));
		return 8;
	}
	return type == 51 ? (len + 2) * 4 : (len + 1) * 8;
}

static uint32_t put_ip6(uint8_t *p)
{
	static const uint8_t ext[] = { 60, 43, 51, 60, 51, 0, 44 }, last[] = { 6, 17, 58, 59, 6 };
	bool deep = chance(4);
	uint32_t n = deep ? 170 + below(16) : chance(50) ? 0 : below(5), at = 40;
	uint8_t type = n ? ext[below(chance(60) ? 4 : 7)] : last[below(5)];

	fill(p, 40);
	p[0] = 0x60 | (p[0] & 15);
	p[6] = type;
	put_address(p + 8, false);
	put_address(p + 24, true);
	for (uint32_t i = 0; i < n && at < 1500; i++) {
		uint8_t then = i + 1 < n ? ext[below(deep || chance(70) ? 4 : 7)] : last[below(5)];

		at += put_ext(p + at, type, then, deep);
		type = then;
	}
	if (at < 1460)
		at += put_l4(p + at, type);
	put16(p + 4, chance(92) ? at - 40 : at - 40 + below(5) - 2);
	if (chance(2))
		p[0] = next();
	return at;
}

static void make_packet(struct packet *p, bool tags)
{
	static const uint16_t types[] = { 0x0806, 0x0100, 0x05ff, 0x0600, 0x8847, 0x8100, 0x88a8 };
	uint8_t *f = p->frame;
	uint32_t at = 12, kind = below(100), len;

	memset(p, 0, sizeof(*p));
	memcpy(f, mac, 6);
	if (chance(10))
		f[chance(50) ? 0 : below(6)] ^= 1 << below(8);
	fill(f + 6, 6);
	for (int i = 0; i < 2 && chance(tags ? 25 : 3); i++, at += 4) {
		put16(f + at, chance(70) ? 0x8100 : 0x88a8);
		put16(f + at + 2, below(3));
	}
	if (kind < 45) {
		put16(f + at, 0x0800);
		len = put_ip4(f + at + 2);
	} else if (kind < 90) {
		put16(f + at, 0x86dd);
		len = put_ip6(f + at + 2);
	} else {
		len = below(60);
		fill(f + at, len + 2);
		put16(f + at, types[below(7)]);
		if (chance(30))
			put16(f + at + 2, 0xffff);
	}
	len += at + 2 + (chance(20) ? below(20) : 0);
	if (chance(15))
		len = 14 + below(len);
	p->len = len < 14 ? 14 : len > 1518 ? 1518 : len;
	if (chance(6))
		f[12 + below(p->len - 12)] ^= 1 << below(8);
}

/* ------------------------------------------------------------------ programs */

struct gen {
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
	case F_META_IIF:	return opts.ifindex;
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

static enum imr_field any_field(const struct gen *g)
{
	enum imr_field f;

	do
		f = 1 + below(F_MAX - 1);
	while (f == F_META_MARK || ((f == F_META_OIF || f == F_META_OIFNAME) && g->chain->hook == HOOK_EARLY_L3));
	return f;
}

static void add_load(struct gen *g)
{
	enum imr_field f = chance(75) ? any_field(g) : F_RAW;
	const struct imr_field_info *info = &imr_fields[f];
	struct imr_insn *i;
	u128 now;

	if (f == F_RAW) {
		unsigned int len = chance(70) ? 1 + below(4) : 1 + below(16);

		i = add_value(g, OP_LD, imr_type_be(len));
		i->base = B_LL + below(4);
		i->off = below(chance(80) ? 24 : 80);
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
	uint32_t n = chance(60) ? 1 + below(4) : chance(50) ? 10 + below(20) : 30 + below(200);
	struct imr_range *r = arena_alloc(arena, n * sizeof(*r));
	u128 max = imr_type_max(t);

	for (uint32_t i = 0; i < n; i++) {
		u128 v = i == 0 && chance(60) ? now : chance(50) ? (now + below(64) - 32) & max : any128() & max;
		u128 w = v + (chance(50) ? 0 : any128() >> 100);

		if (chance(20))
			w = v | (((u128)1 << below(imr_types[t].bits)) - 1);
		r[i] = (struct imr_range){ v, w > max || w < v ? max : w };
	}
	return imr_set_new(g->imr, r, n);
}

static void add_computed(struct gen *g)
{
	uint32_t a = below(g->n);
	enum imr_type t = g->v[a].type;
	u128 now = g->v[a].now, max = imr_type_max(t);
	static const enum imr_op ops[] = { OP_AND, OP_XOR, OP_SHR, OP_SWAP, OP_ISIN, OP_OR, OP_AND, OP_TCPOPT, OP_TCPOPT };
	enum imr_op op = ops[below(9)];
	struct imr_insn *i;

	if (op == OP_SWAP && imr_types[t].bits < 8)
		op = OP_AND;
	i = add_value(g, op, op == OP_ISIN ? T_U1 : op == OP_TCPOPT ? T_U8 : t);
	i->a = op == OP_TCPOPT ? IMR_NOVAL : g->v[a].val;
	switch (op) {
	case OP_AND:
		i->imm = any128() & max;
		now &= i->imm;
		break;
	case OP_XOR:
		i->imm = any128() & max;
		now ^= i->imm;
		break;
	case OP_SHR:
		i->imm = below(imr_types[t].bits);
		now >>= i->imm;
		break;
	case OP_ISIN:
		i->set = any_set(g, t, now);
		now = imr_set_has(i->set, now);
		break;
	case OP_OR:
		i->b = g->v[below(g->n - 1)].val;
		for (uint32_t n = 0; n < g->n - 1; n++)
			if (g->v[n].val == i->b)
				now |= g->v[n].now & max;
		break;
	case OP_TCPOPT:
		i->base = chance(50) ? B_TH : B_TX;
		i->imm = below(6);
		now = below(3);
		break;
	default:
		now = any128() & max;
		break;
	}
	g->v[g->n - 1].now = now;
}

static void add_test(struct gen *g, uint32_t n_rules)
{
	static const enum imr_op ops[] = { OP_EQ, OP_NE, OP_LT, OP_LE, OP_GT, OP_GE, OP_IN, OP_NI, OP_IN, OP_EQ };
	uint32_t a = below(g->n);
	enum imr_type t = g->v[a].type;
	struct imr_insn *i;

	if (chance(15)) {
		i = imr_insn_add(g->imr, g->rule, OP_NEED);
		i->base = B_LL + below(4);
		i->len = below(40);
	} else {
		i = imr_insn_add(g->imr, g->rule, ops[below(10)]);
		i->type = t;
		i->a = g->v[a].val;
		i->imm = (chance(75) ? g->v[a].now + below(3) - 1 : any128()) & imr_type_max(t);
		if (chance(50))
			i->imm = g->v[a].now;
		if (i->op == OP_IN || i->op == OP_NI)
			i->set = any_set(g, t, g->v[a].now);
	}
	if (chance(12)) {
		i->els = ELSE_DROP + below(3);
		i->to = g->chain->n + below(n_rules + 2 - g->chain->n);
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
	uint32_t end = below(10);

	g->rule = imr_rule_add(g->imr, g->chain, &at);
	g->n = n_entry;
	g->n_val = n_entry;
	if (family) {
		struct imr_insn *i = add_value(g, OP_LD, T_U8);

		i->field = F_META_NFPROTO;
		imr_cmp(g->imr, g->rule, OP_EQ, i->dst, family, ELSE_NEXT);
	}
	for (uint32_t i = below(3) + !g->n; i; i--)
		add_load(g);
	for (uint32_t i = below(3); i; i--)
		add_computed(g);
	for (uint32_t i = 1 + below(3); i; i--) {
		add_test(g, n_rules);
		if (chance(10))
			imr_stmt(g->imr, g->rule, early ? OP_TALLY : OP_COUNT, NULL);
	}
	if (chance(60))
		imr_stmt(g->imr, g->rule, OP_COUNT, NULL);
	imr_end(g->imr, g->rule, end < 5 ? OP_DROP : end < 7 ? OP_NEXT : early ? OP_PASS : OP_ACCEPT, 0);
	if (end == 6 && g->chain->n + 1 < n_rules)
		g->rule->insn[g->rule->n - 1].to = g->chain->n + below(n_rules - g->chain->n);
}

static struct imr *make_program(enum imr_hook hook, const struct packet *p, uint32_t n_packets)
{
	struct imr_profile profile = { .v6_exthdr_bound = chance(50), .th_fast_frag = true };
	struct gen *g = arena_alloc(arena, sizeof(*g));
	uint32_t n_rules = 1 + below(12), n_entry = below(4);
	struct imr_rule entry = { 0 };
	bool one_family = hook == HOOK_EARLY_L3 && chance(25);
	uint8_t family = chance(50) ? FAM_IP : FAM_IP6;

	g->imr = imr_new(arena, &diags, &profile);
	g->chain = imr_chain_add(g->imr, "test");
	g->chain->hook = hook;
	g->chain->policy = chance(50) ? OP_DROP : hook == HOOK_EARLY_L3 ? OP_PASS : OP_ACCEPT;
	g->chain->policy_count = chance(50);
	if (one_family) {
		g->chain->policy = OP_PASS;
		g->chain->policy_count = false;
	}
	for (uint32_t r = 0; r <= n_rules; r++) {
		const struct packet *seed = &p[below(n_packets)];

		g->pkt = (struct imr_pkt){ .frame = seed->frame, .len = seed->len };
		memcpy(g->pkt.mac, mac, 6);
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

/* ------------------------------------------------------------------ the kernel */

struct loaded {
	int fd, counters;
	uint32_t processed;
	int map[4];
	uint32_t n_map;
};

static struct caps all_caps(void)
{
	struct caps caps = { 0 };

	for (const struct be_cap_info *k = be_caps_info; k->key; k++)
		be_caps_set(&caps, k->key, true);
	return caps;
}

static void make_map(struct loaded *l, const struct be_prog *p, uint32_t n)
{
	const struct be_map *m = &p->map[n];
	uint32_t key = 0;
	int fd = bpf_map_create(m->type, m->name, m->key_size, m->value_size, m->max_entries, NULL);

	ck_assert_msg(fd >= 0, "map %s: %s", m->name, strerror(errno));
	for (; key < m->n_value; key++)
		ck_assert_int_eq(bpf_map_update_elem(fd, &key, m->value + (size_t)key * m->value_size, 0), 0);
	l->map[l->n_map++] = fd;
	if (p->role[n] == BE_MAP_COUNTERS)
		l->counters = fd;
}

static void load(struct loaded *l, const struct be_prog *p)
{
	static char log[1 << 20];
	LIBBPF_OPTS(bpf_prog_load_opts, o, .log_level = 4, .log_buf = log, .log_size = sizeof(log));
	const char *s;

	*l = (struct loaded){ .counters = -1 };
	for (uint32_t n = 0; n < p->n_map; n++)
		make_map(l, p, n);
	for (uint32_t n = 0; n < p->n; n++)
		if (p->insn[n].code == (BPF_LD | BPF_DW | BPF_IMM) && p->insn[n].src_reg == BPF_PSEUDO_MAP_FD)
			p->insn[n].imm = l->map[p->insn[n].imm];
	log[0] = 0;
	l->fd = bpf_prog_load(p->type, p->name, "GPL", p->insn, p->n, &o);
	if (l->fd < 0) {
		int err = errno;

		o.log_level = 1;
		bpf_prog_load(p->type, p->name, "GPL", p->insn, p->n, &o);
		ck_abort_msg("load of %u instructions: %s\n%.200s\n...%s", p->n, strerror(err), log,
			     strlen(log) > 3000 ? log + strlen(log) - 3000 : log);
	}
	s = strstr(log, "processed ");
	l->processed = s ? strtoul(s + 10, NULL, 10) : 0;
}

static void unload(struct loaded *l)
{
	close(l->fd);
	for (uint32_t n = 0; n < l->n_map; n++)
		close(l->map[n]);
}

static void read_counter(const struct loaded *l, uint32_t slot, struct be_counter *ret)
{
	static struct be_counter cpu[1024];

	memset(cpu, 0, sizeof(cpu));
	*ret = (struct be_counter){ 0, 0 };
	ck_assert_int_eq(bpf_map_lookup_elem(l->counters, &slot, cpu), 0);
	for (int i = 0; i < 1024; i++) {
		ret->packets += cpu[i].packets;
		ret->bytes += cpu[i].bytes;
	}
}

static uint32_t run(const struct loaded *l, const struct packet *p)
{
	LIBBPF_OPTS(bpf_test_run_opts, o, .data_in = p->frame, .data_size_in = p->len);

	ck_assert_int_eq(bpf_prog_test_run_opts(l->fd, &o), 0);
	return o.retval;
}

/* A program attached anywhere runs at once; one that is not waits for a grace period before each run. */
static void attach(const struct loaded *l, bool on)
{
	bpf_xdp_attach(1, on ? l->fd : -1, XDP_FLAGS_SKB_MODE, NULL);
}

/* ------------------------------------------------------------------ against the reference */

static const char *text_of(const struct imr *imr)
{
	struct strbuf out = { .arena = arena };

	imr_print(&out, imr);
	return out.s;
}

static const char *hex_of(const struct packet *p)
{
	struct strbuf out = { .arena = arena };

	for (uint32_t i = 0; i < p->len; i++)
		strbuf_add(&out, "%02x", p->frame[i]);
	return out.s;
}

static struct be_prog compile(const struct imr *imr, const struct be_opts *o)
{
	struct caps caps = all_caps();
	struct be_prog p;
	bool ok = be_compile(imr, be_target_find("xdp"), &caps, o, &p);

	ck_assert_msg(ok, "%s\n%s", diags.n ? diags.d[diags.n - 1].message : "?", text_of(imr));
	return p;
}

static void one_packet(const struct imr *imr, const struct loaded *l, const struct packet *p, struct be_counter *sum)
{
	struct imr_pkt pkt = { .frame = p->frame, .len = p->len, .iif = opts.ifindex };
	struct imr_result res;
	struct imr_view view;
	uint32_t want, got = run(l, p);

	memcpy(pkt.mac, mac, 6);
	memcpy(pkt.iifname, opts.dev, sizeof(opts.dev));
	imr_run(&res, imr, 0, &pkt, NULL);
	imr_view(&view, &pkt, imr->chain[0].hook, &imr->profile);
	want = res.verdict == V_DROP ? XDP_DROP : XDP_PASS;
	ck_assert_msg(got == want, "rule %u: reference says %u, program %u\n%s\n%s", res.at.number, want, got,
		      hex_of(p), text_of(imr));
	for (uint32_t i = 0; i < res.n_slot; i++) {
		sum[res.slot[i]].packets++;
		sum[res.slot[i]].bytes += view.len;
	}
}

static void one_program(enum imr_hook hook, const struct packet *p, uint32_t n)
{
	struct imr *imr = make_program(hook, p, n);
	struct be_prog prog = compile(imr, &opts);
	struct be_counter sum[SLOTS_MAX] = { { 0 } }, got;
	struct loaded l;

	ck_assert_uint_le(imr->n_slot, SLOTS_MAX);
	load(&l, &prog);
	attach(&l, true);
	for (uint32_t i = 0; i < n; i++)
		one_packet(imr, &l, &p[i], sum);
	for (uint32_t s = 0; s < imr->n_slot; s++) {
		read_counter(&l, s, &got);
		ck_assert_msg(got.packets == sum[s].packets && got.bytes == sum[s].bytes,
			      "counter %u: reference %lu/%lu, program %lu/%lu\n%s", s, sum[s].packets, sum[s].bytes,
			      got.packets, got.bytes, text_of(imr));
	}
	attach(&l, false);
	unload(&l);
}

static void random_hook(enum imr_hook hook)
{
	static struct packet p[N_PACKETS];
	const char *given = getenv("FWJIT_SEED"), *count = getenv("FWJIT_PROGRAMS");
	uint64_t seed = given ? strtoull(given, NULL, 0) : 0x9e3779b97f4a7c15ull;
	int n = count ? atoi(count) : N_PROGRAMS;

	for (int i = 0; i < n; i++, seed += 0x9e3779b9) {
		struct arena *a = arena;

		arena = arena_new();
		diags = (struct diags){ .arena = arena };
		rng = seed | 1;
		printf("%s seed %#llx\n", imr_hooks[hook].name, (unsigned long long)seed);
		fflush(stdout);
		for (uint32_t k = 0; k < N_PACKETS; k++)
			make_packet(&p[k], hook == HOOK_NETDEV_INGRESS);
		one_program(hook, p, N_PACKETS);
		arena_free(arena);
		arena = a;
	}
}

START_TEST(test_random_early)
{
	random_hook(HOOK_EARLY_L3);
}
END_TEST

START_TEST(test_random_ingress)
{
	random_hook(HOOK_NETDEV_INGRESS);
}
END_TEST

/* ------------------------------------------------------------------ the verifier's work */

static struct imr *linear(uint32_t n, bool ports)
{
	struct imr_profile profile = { 0 };
	struct imr *imr = imr_new(arena, &diags, &profile);
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

static uint32_t verify(uint32_t n, bool ports)
{
	struct be_prog p = compile(linear(n, ports), &opts);
	struct loaded l;

	load(&l, &p);
	unload(&l);
	printf("%u rules%s: %u instructions, the verifier processed %u\n", n, ports ? " with ports" : "", p.n, l.processed);
	return l.processed;
}

START_TEST(test_verifier_is_linear)
{
	uint32_t thousand, five;

	verify(1, true);
	verify(100, true);
	thousand = verify(1000, true);
	five = verify(5000, true);
	ck_assert_msg(five <= 6 * thousand, "%u for 1,000 rules, %u for 5,000", thousand, five);
	verify(20000, true);
	verify(30000, false);
}
END_TEST

/* Jumps over a large part of a large program: they go by islands, in and out of chunks. */
static struct imr *far(uint32_t n)
{
	struct imr_profile profile = { 0 };
	struct imr *imr = imr_new(arena, &diags, &profile);
	struct imr_chain *c = imr_chain_add(imr, "far");

	c->hook = HOOK_EARLY_L3;
	c->policy = OP_PASS;
	for (uint32_t i = 0; i < n; i++) {
		struct imr_at at = { .tool = "imr", .where = "far", .number = i + 1 };
		struct imr_rule *r = imr_rule_add(imr, c, &at);
		uint32_t port, to = i + 1 + below(n - i);

		imr_cmp(imr, r, i % 3 ? OP_EQ : OP_GE, imr_ld(imr, r, F_IP_SADDR), 0x0a000000 + i, ELSE_NEXT);
		port = imr_ld(imr, r, F_TH_DPORT);
		imr_cmp(imr, r, OP_NE, port, i % 100, ELSE_RULE);
		r->insn[r->n - 1].to = to < n ? to : n - 1;
		if (i + 1 >= n)
			r->insn[r->n - 1].els = ELSE_DROP;
		if (i % 500 == 0)
			imr_stmt(imr, r, OP_COUNT, NULL);
		imr_end(imr, r, chance(2) ? OP_DROP : OP_NEXT, 0);
		if (r->insn[r->n - 1].op == OP_NEXT && to < n && chance(50))
			r->insn[r->n - 1].to = to;
	}
	imr_number(imr);
	return imr;
}

/* IPv4 and UDP, whole */
static void simple_packet(struct packet *p, uint32_t saddr, uint16_t dport)
{
	uint32_t sum = 0;
	uint8_t *h = p->frame + 14;

	memset(p, 0, sizeof(*p));
	p->len = 14 + 28;
	memcpy(p->frame, mac, 6);
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

START_TEST(test_far_jumps)
{
	struct be_counter sum[SLOTS_MAX] = { { 0 } }, got;
	struct imr *imr;
	struct be_prog prog;
	struct packet p;
	struct loaded l;

	rng = 5;
	imr = far(12000);
	prog = compile(imr, &opts);
	load(&l, &prog);
	printf("far jumps: %u instructions, the verifier processed %u\n", prog.n, l.processed);
	attach(&l, true);
	for (int i = 0; i < 1500; i++) {
		simple_packet(&p, 0x0a000000 + below(13000), chance(50) ? below(120) : 300);
		one_packet(imr, &l, &p, sum);
	}
	attach(&l, false);
	for (uint32_t s = 0; s < imr->n_slot; s++) {
		read_counter(&l, s, &got);
		ck_assert_uint_eq(got.packets, sum[s].packets);
		ck_assert_uint_eq(got.bytes, sum[s].bytes);
	}
	unload(&l);
}
END_TEST

/* n extension headers of eight bytes before UDP, the frame cut or filled up to len */
static void deep_packet(struct packet *p, uint32_t n, uint32_t len)
{
	uint8_t *h = p->frame + 14;

	memset(p, 0, sizeof(*p));
	memcpy(p->frame, mac, 6);
	put16(p->frame + 12, 0x86dd);
	h[0] = 0x60;
	h[6] = n ? 60 : 17;
	h[8] = h[24] = 0x20;
	for (uint32_t i = 0; i < n && 14 + 40 + i * 8 < FRAME_MAX; i++)
		h[40 + i * 8] = i + 1 < n ? 60 : 17;
	put16(h + 4, len - 54);
	p->len = len;
}

/* The longest ways to the transport header in frames of 1,514 bytes. */
START_TEST(test_deep_headers)
{
	static const enum imr_hook hooks[] = { HOOK_EARLY_L3, HOOK_NETDEV_INGRESS };
	struct be_counter sum[SLOTS_MAX] = { { 0 } };
	struct imr_profile profile = { 0 };
	struct packet p;
	struct loaded l;

	for (int k = 0; k < 4; k++) {
		struct imr *imr;
		struct imr_chain *c;
		struct imr_rule *r;
		struct be_prog prog;

		profile.v6_exthdr_bound = k & 1;
		imr = imr_new(arena, &diags, &profile);
		c = imr_chain_add(imr, "deep");
		c->hook = hooks[k / 2];
		c->policy = OP_DROP;
		r = imr_rule_add(imr, c, &(struct imr_at){ .tool = "imr", .where = "deep", .number = 1 });
		imr_cmp(imr, r, OP_EQ, imr_ld(imr, r, F_TH_PROTO), 17, ELSE_NEXT);
		imr_end(imr, r, OP_PASS, 0);
		prog = compile(imr, &opts);
		load(&l, &prog);
		attach(&l, true);
		for (uint32_t n = 0; n < 190; n += n < 170 ? 10 : 1)
			for (uint32_t len = 1504; len <= 1514; len++) {
				deep_packet(&p, n, len);
				one_packet(imr, &l, &p, sum);
			}
		attach(&l, false);
		unload(&l);
	}
}
END_TEST

START_TEST(test_gate)
{
	struct be_opts o = opts;
	struct imr *imr = linear(1, false);
	struct packet p = { 0 };
	struct be_prog prog;
	struct loaded l;
	uint32_t key = 0, one = 1;

	imr->chain[0].policy = OP_DROP;
	o.gate = true;
	prog = compile(imr, &o);
	load(&l, &prog);
	rng = 77;
	do {
		make_packet(&p, false);
	} while (run(&l, &p) == XDP_DROP);
	for (uint32_t n = 0; n < prog.n_map; n++)
		if (prog.role[n] == BE_MAP_GATE)
			ck_assert_int_eq(bpf_map_update_elem(l.map[n], &key, &one, 0), 0);
	for (int i = 0; i < 50 && run(&l, &p) != XDP_DROP; i++)
		make_packet(&p, false);
	ck_assert_uint_eq(run(&l, &p), XDP_DROP);
	unload(&l);
}
END_TEST

START_TEST(test_refusals)
{
	struct imr *imr = linear(2, false);
	struct caps none = { 0 }, caps = all_caps();
	struct be_prog p;
	const struct target *t = be_target_find("xdp");

	ck_assert(!be_compile(imr, t, &none, &opts, &p));
	imr->chain[0].rule[1].insn[imr->chain[0].rule[1].n - 1].op = OP_RETURN;
	ck_assert(!be_compile(imr, t, &caps, &opts, &p));
	ck_assert_uint_eq(diags.d[diags.n - 1].at.number, 2);
	ck_assert_uint_eq(diags.d[diags.n - 1].level, DIAG_UNSUPPORTED);
}
END_TEST

/* Beyond 64 tallies a packet passes: nothing is dropped that is not counted. */
START_TEST(test_many_tallies)
{
	struct imr_profile profile = { 0 };
	struct imr *imr = imr_new(arena, &diags, &profile);
	struct imr_chain *c = imr_chain_add(imr, "tallies");
	struct be_counter got;
	struct be_prog prog;
	struct packet p;
	struct loaded l;

	c->hook = HOOK_EARLY_L3;
	c->policy = OP_DROP;
	for (uint32_t i = 0; i < 70; i++) {
		struct imr_rule *r = imr_rule_add(imr, c, &(struct imr_at){ .tool = "imr", .where = "tallies", .number = i + 1 });

		imr_cmp(imr, r, OP_EQ, imr_ld(imr, r, F_IP_SADDR), i < 64 ? 7 : 8, ELSE_NEXT);
		imr_stmt(imr, r, OP_TALLY, NULL);
		imr_end(imr, r, OP_NEXT, 0);
	}
	imr_number(imr);
	prog = compile(imr, &opts);
	load(&l, &prog);
	simple_packet(&p, 8, 1);
	ck_assert_uint_eq(run(&l, &p), XDP_PASS);
	simple_packet(&p, 7, 1);
	ck_assert_uint_eq(run(&l, &p), XDP_DROP);
	for (uint32_t s = 0; s < imr->n_slot; s++) {
		read_counter(&l, s, &got);
		ck_assert_uint_eq(got.packets, s < 64);
	}
	unload(&l);
}
END_TEST

/* The text assembles to the program's own words, map descriptors aside. */
static void compare_words(const struct be_prog *p, const char *object)
{
	const char *cmd = arena_printf(arena, "llvm-objcopy-14 -O binary --only-section=.text %s %s.bin", object, object);
	FILE *f;
	struct bpf_insn i;

	if (system(cmd) != 0)
		return;
	f = fopen(arena_printf(arena, "%s.bin", object), "r");
	ck_assert_ptr_nonnull(f);
	for (uint32_t n = 0; n < p->n; n++) {
		ck_assert_uint_eq(fread(&i, sizeof(i), 1, f), 1);
		if (p->insn[n].src_reg == BPF_PSEUDO_MAP_FD && i.code == (BPF_LD | BPF_DW | BPF_IMM))
			i.src_reg = BPF_PSEUDO_MAP_FD;
		ck_assert_msg(memcmp(&i, &p->insn[n], sizeof(i)) == 0, "instruction %u", n);
	}
	fclose(f);
}

START_TEST(test_asm)
{
	char dir[] = "/tmp/fwjit-asm-XXXXXX";
	struct be_opts other = opts;
	struct be_prog p = compile(linear(100, true), &opts), q = compile(linear(100, true), &opts);
	struct strbuf out = { .arena = arena };
	const char *src, *obj;
	FILE *f;

	ck_assert(be_prog_same(&p, &q));
	other.mac[5]++;
	q = compile(linear(100, true), &other);
	ck_assert(!be_prog_same(&p, &q));
	if (system("command -v llvm-mc >/dev/null") != 0) {
		printf("skipped: no llvm-mc\n");
		return;
	}
	be_asm_print(&out, &p);
	ck_assert_ptr_nonnull(mkdtemp(dir));
	src = arena_printf(arena, "%s/p.s", dir);
	obj = arena_printf(arena, "%s/p.o", dir);
	f = fopen(src, "w");
	ck_assert_ptr_nonnull(f);
	fwrite(out.s, 1, out.len, f);
	fclose(f);
	ck_assert_int_eq(system(arena_printf(arena, "llvm-mc -arch=bpf -filetype=obj -o %s %s", obj, src)), 0);
	compare_words(&p, obj);
	ck_assert_int_eq(system(arena_printf(arena, "rm -r %s", dir)), 0);
}
END_TEST

static void setup(void)
{
	arena = arena_new();
	diags = (struct diags){ .arena = arena };
}

static void teardown(void)
{
	arena_free(arena);
}

static bool may_load(void)
{
	const struct bpf_insn insn[] = { { .code = BPF_ALU64 | BPF_MOV | BPF_K, .imm = XDP_PASS },
					 { .code = BPF_JMP | BPF_EXIT } };
	int fd = bpf_prog_load(BPF_PROG_TYPE_XDP, "probe", "GPL", insn, 2, NULL);

	if (fd >= 0)
		close(fd);
	return fd >= 0 && unshare(CLONE_NEWNET) == 0;
}

int main(void)
{
	Suite *s = suite_create("xdp");
	TCase *tc = tcase_create("xdp");
	SRunner *sr = srunner_create(s);
	int failed;

	setvbuf(stdout, NULL, _IOLBF, 0);
	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_set_timeout(tc, 240);
	suite_add_tcase(s, tc);
	tcase_add_test(tc, test_refusals);
	tcase_add_test(tc, test_asm);
	if (may_load()) {
		tcase_add_test(tc, test_verifier_is_linear);
		tcase_add_test(tc, test_far_jumps);
		tcase_add_test(tc, test_deep_headers);
		tcase_add_test(tc, test_gate);
		tcase_add_test(tc, test_many_tallies);
		tcase_add_test(tc, test_random_early);
		tcase_add_test(tc, test_random_ingress);
	} else {
		printf("skipped: may not load an XDP program in a network namespace of its own: %s\n", strerror(errno));
	}
	srunner_run_all(sr, CK_ENV);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
