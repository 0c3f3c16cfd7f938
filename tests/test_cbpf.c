/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The classic BPF backend against the reference: random programs meet packets made to lie on boundaries, and every
 * verdict must be what imr_run says. No program may load past a packet's end, which would accept the packet. A failure
 * prints its seed, which FWJIT_SEED repeats.
 */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cbpf_gen.h"
#include "cbpf_live.h"
#include "cbpf_run.h"

#define N_PACKETS	220
#define N_PROGRAMS	500
#define N_LIVE		40

static struct arena *arena;
static struct diags diags;
static struct xdp_gen gen;
static struct cbpf_live live;
static const struct be_opts opts = { .dev = "v0", .ifindex = XDP_IFINDEX, .mac = XDP_MAC };

static const char *text_of(const struct imr *imr)
{
	struct strbuf out = { .arena = arena };

	imr_print(&out, imr);
	return out.s;
}

static const char *asm_of(const struct be_prog *p)
{
	struct strbuf out = { .arena = arena };

	be_cbpf_print(&out, p);
	return out.len > 2500 ? "" : out.s;
}

static const char *hex_of(const struct xdp_packet *p)
{
	struct strbuf out = { .arena = arena };

	for (uint32_t i = 0; i < p->len; i++)
		strbuf_add(&out, "%02x", p->frame[i]);
	return out.s;
}

/* ------------------------------------------------------------------ one packet */

static struct imr_pkt pkt_of(const struct xdp_packet *p, enum imr_hook hook)
{
	struct imr_pkt pkt = { .frame = p->frame, .len = p->len, .mark = p->len & 1 };

	memcpy(pkt.mac, opts.mac, 6);
	if (hook == HOOK_NETDEV_EGRESS) {
		pkt.oif = opts.ifindex;
		memcpy(pkt.oifname, opts.dev, sizeof(opts.dev));
	} else if (hook == HOOK_NETDEV_INGRESS) {
		pkt.iif = opts.ifindex;
		memcpy(pkt.iifname, opts.dev, sizeof(opts.dev));
	}
	return pkt;
}

/* Extension headers of an IPv6 packet: with more than a program follows it may drop what the rules would not. */
static uint32_t n_headers(const struct imr_view *v, const struct imr_pkt *p)
{
	uint32_t at = v->nh + 40, n = 0;
	uint8_t next;

	if (v->protocol != 0x86dd || v->nh + 40 > v->end)
		return 0;
	next = p->frame[v->nh + 6];
	for (; next == 0 || next == 43 || next == 44 || next == 51 || next == 60; n++) {
		if (at + 2 > v->end)
			break;
		at += next == 44 ? 8 : next == 51 ? (p->frame[at + 1] + 2) * 4 : (p->frame[at + 1] + 1) * 8;
		next = at < v->end ? p->frame[at] : 59;
	}
	return n;
}

static bool drops(const struct be_prog *prog, struct cbpf_skb *skb, bool xt)
{
	uint32_t ret = 0;

	for (uint32_t n = 0; n < prog->n_filter; n++) {
		ret = cbpf_run(&prog->filter[n], skb);
		if (xt)
			return ret != 0;
		if (ret != UINT32_MAX)
			break;
	}
	return ret == 2;
}

/* True: the packet reached the hook. */
static bool one_packet(const struct imr *imr, const struct be_prog *prog, const struct xdp_packet *p)
{
	static uint8_t buf[XDP_FRAME_MAX];
	enum imr_hook hook = imr->chain[0].hook;
	struct imr_pkt pkt = pkt_of(p, hook);
	struct imr_result res;
	struct imr_view view;
	struct cbpf_skb skb;
	bool want, got;

	imr_view(&view, &pkt, hook, &imr->profile);
	if (!cbpf_skb_make(&skb, buf, &view, &pkt, hook))
		return false;
	imr_run(&res, imr, 0, &pkt, NULL);
	want = res.verdict == V_DROP;
	got = drops(prog, &skb, imr_hooks[hook].facts & HF_L3);
	ck_assert_msg(!skb.wild, "a load past the end\n%s\n%s\n%s", hex_of(p), text_of(imr), asm_of(prog));
	if (got && !want && n_headers(&view, &pkt) > CB_STEPS)
		return true;
	ck_assert_msg(got == want, "rule %u: reference says %s, program %s\n%s\n%s\n%s", res.at.number,
		      want ? "drop" : "accept", got ? "drop" : "accept", hex_of(p), text_of(imr), asm_of(prog));
	return true;
}

static void check_program(const struct be_prog *p)
{
	for (uint32_t n = 0; n < p->n_filter; n++)
		ck_assert_msg(!cbpf_check(&p->filter[n]), "filter %u: %s\n%s", n, cbpf_check(&p->filter[n]), asm_of(p));
}

static struct be_prog compile(const struct imr *imr)
{
	struct caps caps = { 0 };
	struct be_prog p;
	bool ok = be_cbpf_compile(imr, &caps, &opts, &p);

	ck_assert_msg(ok, "%s\n%s", diags.n ? diags.d[diags.n - 1].message : "?", text_of(imr));
	check_program(&p);
	return p;
}

/* False where a rule does not fit into a filter, or a program has no room for all of CB_STEPS. */
static bool compile_max(const struct imr *imr, uint32_t max, struct be_prog *ret)
{
	bool l3 = imr_hooks[imr->chain[0].hook].facts & HF_L3;
	bool ok = cb_compile(imr, &opts, l3 ? "xt_bpf" : "cbpf", max, ret);

	if (ok)
		check_program(ret);
	else
		ck_assert_ptr_nonnull(strstr(diags.d[diags.n - 1].message, " of more than "));
	return ok && !(l3 && ret->filter[0].n > max - 300);
}

/* ------------------------------------------------------------------ random programs */

static void tame_load(struct imr_insn *i, bool l3)
{
	const struct imr_field_info *f = &imr_fields[i->field];

	if (i->field == F_META_OIF || (l3 && i->field == F_META_IIF))
		i->field = F_META_MARK;
	if (l3 && i->field == F_META_IIFTYPE)
		i->field = F_TX_FRAGOFF;
	if (l3 && (f->base == B_LL || i->field == F_META_IIFNAME || i->field == F_META_OIFNAME)) {
		i->off = f->off;
		i->len = imr_types[f->type].bits / 8;
		i->base = B_NH;
		i->field = F_RAW;
	}
	if (l3 && i->field == F_RAW && i->base == B_LL)
		i->base = B_NH;
}

/* What a classic program refuses becomes something else, and what the IMR does not have, too. */
static void tame(struct imr_insn *i, uint32_t n, bool l3)
{
	for (; n--; i++) {
		if (i->op == OP_NEED && !i->len)
			i->len = 1;
		if (i->op == OP_NEED && l3 && i->base == B_LL)
			i->base = B_NH;
		if (i->op == OP_TCPOPT) {
			i->op = OP_LD;
			i->field = i->imm % 2 ? F_TX_PROTO : F_TH_PROTO;
			i->imm = 0;
			i->base = 0;
		} else if (i->op == OP_LD) {
			tame_load(i, l3);
		}
	}
}

/* In front of the rule: IPv4 or IPv6, since a frame with a tag in it has no network header that a program could see. */
static void guard(struct imr *imr, struct imr_rule *r)
{
	static struct imr_range ip[] = { { 0x0800, 0x0800 }, { 0x86dd, 0x86dd } };
	static const struct imr_set both = { .n = 2, .r = ip };
	struct imr_rule first = { 0 };
	uint32_t dst = imr->chain[0].n_entry + r->n + 1, at = 0;

	for (uint32_t i = 0; i < r->n; i++)
		if (r->insn[i].dst != IMR_NOVAL && r->insn[i].dst >= dst)
			dst = r->insn[i].dst + 1;
	at = imr_ld(imr, &first, F_META_PROTOCOL);
	imr_in(imr, &first, false, at, &both, ELSE_NEXT);
	first.insn[0].dst = first.insn[1].a = dst;
	for (uint32_t i = 0; i < r->n; i++) {
		struct imr_insn *to = imr_insn_add(imr, &first, r->insn[i].op);

		*to = r->insn[i];
	}
	r->insn = first.insn;
	r->n = first.n;
}

static struct imr *any_program(enum imr_hook hook, const struct xdp_packet *p, uint32_t n)
{
	bool l3 = imr_hooks[hook].facts & HF_L3, any = xdp_below(&gen, 2);
	struct imr *imr = any ? xdp_program_any(&gen, hook, p, n) : cbpf_usual(&gen, hook, p, n);

	tame(imr->chain[0].entry, imr->chain[0].n_entry, l3);
	for (uint32_t r = 0; r < imr->chain[0].n; r++)
		tame(imr->chain[0].rule[r].insn, imr->chain[0].rule[r].n, l3);
	for (uint32_t r = 0; hook == HOOK_NETDEV_EGRESS && r < imr->chain[0].n; r++)
		guard(imr, &imr->chain[0].rule[r]);
	return imr;
}

enum { PLAIN, OPTIMISED, SMALL };

static void random_hook(enum imr_hook hook, int how)
{
	static const char *const hows[] = { "", " optimised", " in small filters" };
	static struct xdp_packet p[N_PACKETS];
	const char *given = getenv("FWJIT_SEED"), *count = getenv("FWJIT_PROGRAMS");
	uint64_t seed = given ? strtoull(given, NULL, 0) : 0x9e3779b97f4a7c15ull;
	int n = count ? atoi(count) : N_PROGRAMS, pairs = 0, seen = 0, filters = 0;

	for (int i = 0; i < n; i++, seed += 0x9e3779b9) {
		struct arena *a = arena;
		struct be_prog prog;
		struct imr *imr;

		arena = arena_new();
		diags = (struct diags){ .arena = arena };
		gen = (struct xdp_gen){ .arena = arena, .diags = &diags, .rng = seed | 1 };
		for (uint32_t k = 0; k < N_PACKETS; k++)
			xdp_packet_any(&gen, &p[k], hook == HOOK_NETDEV_INGRESS);
		imr = any_program(hook, p, N_PACKETS);
		if (how == OPTIMISED && !imr_check(imr, "the generator"))
			ck_assert_msg(imr_optimise(imr, NULL), "%s\n%s", diags.d[diags.n - 1].message, text_of(imr));
		if (getenv("FWJIT_SEED"))
			printf("%s seed %#llx\n", imr_hooks[hook].name, (unsigned long long)seed);
		if (!compile_max(imr, how == SMALL ? 520 + xdp_below(&gen, 300) : BPF_MAXINSNS, &prog))
			goto next;
		filters += prog.n_filter;
		for (uint32_t k = 0; k < N_PACKETS; k++, pairs++)
			seen += one_packet(imr, &prog, &p[k]);
next:
		arena_free(arena);
		arena = gen.arena = a;
	}
	printf("%s%s: %d programs, %d filters, %d pairs, %d of them seen there, seeds up to %#llx\n",
	       imr_hooks[hook].name, hows[how], n, filters, pairs, seen, (unsigned long long)seed);
}

START_TEST(test_random)
{
	for (int how = PLAIN; how <= SMALL; how++) {
		random_hook(HOOK_NETDEV_INGRESS, how);
		random_hook(HOOK_NETDEV_EGRESS, how);
	}
}
END_TEST

/* As xt_bpf's, but larger than that takes */
START_TEST(test_random_l3)
{
	static const enum imr_hook hooks[] = { HOOK_IP_PREROUTING, HOOK_IP_INPUT, HOOK_IP_OUTPUT, HOOK_IP6_INPUT,
					       HOOK_IP6_OUTPUT, HOOK_INET_PREROUTING, HOOK_INET_OUTPUT };

	for (unsigned int i = 0; i < sizeof(hooks) / sizeof(hooks[0]); i++) {
		random_hook(hooks[i], PLAIN);
		random_hook(hooks[i], OPTIMISED);
	}
}
END_TEST

/* Jumps from one filter into others: the filters between find out what the first decided. */
START_TEST(test_jumps_between_filters)
{
	for (uint32_t n = 0; n < 20; n++) {
		uint32_t drops = 0, max = 250 + 25 * n;
		struct imr_result res;
		struct xdp_packet p;
		struct be_prog prog;
		struct imr *imr;

		gen.rng = 5 + n;
		imr = cbpf_jumpy(&gen, 1000);
		ck_assert(cb_compile(imr, &opts, "cbpf", max, &prog));
		check_program(&prog);
		for (int i = 0; i < 400; i++) {
			struct imr_pkt pkt = pkt_of(&p, HOOK_NETDEV_INGRESS);

			xdp_packet_udp(&p, xdp_below(&gen, 1 << 14), 1);
			pkt.len = p.len;
			one_packet(imr, &prog, &p);
			imr_run(&res, imr, 0, &pkt, NULL);
			drops += res.verdict == V_DROP;
		}
		printf("jumps: %u filters of at most %u instructions, %u of 400 packets dropped\n", prog.n_filter, max,
		       drops);
	}
}
END_TEST

/* ------------------------------------------------------------------ access lists */

START_TEST(test_wide_sets)
{
	struct xdp_packet p;

	for (uint32_t n = 1; n < 60; n++) {
		struct imr *imr = cbpf_wide(&gen, n);
		struct be_prog prog = compile(imr);

		for (int i = 0; i < 300; i++) {
			cbpf_wide_packet(&gen, &p);
			one_packet(imr, &prog, &p);
		}
	}
}
END_TEST

START_TEST(test_cut_headers)
{
	static const enum imr_field field[] = { F_TH_OK, F_TX_OK, F_TH_PROTO, F_TX_PROTO, F_TH_FRAGOFF, F_TX_FRAGOFF };
	struct xdp_packet p;

	for (uint32_t k = 0; k < 36; k++) {
		struct imr_profile profile = { .v6_exthdr_bound = k % 2 };
		struct imr *imr = imr_new(arena, &diags, &profile);
		struct imr_chain *c = imr_chain_add(imr, "cut");
		struct imr_rule *r;
		struct be_prog prog;

		c->hook = k / 2 % 3 ? HOOK_NETDEV_INGRESS : HOOK_NETDEV_EGRESS;
		c->policy = OP_ACCEPT;
		r = imr_rule_add(imr, c, &(struct imr_at){ .tool = "imr", .where = "cut", .number = 1 });
		imr_cmp(imr, r, OP_EQ, imr_ld(imr, r, field[k / 6]), k / 6 < 2 ? 1 : k / 6 < 4 ? 17 : 8, ELSE_NEXT);
		if (k % 3 == 0)
			imr_need(imr, r, k % 2 ? B_TH : B_TX, 2 + k % 4, ELSE_NEXT);
		imr_end(imr, r, OP_DROP, 0);
		prog = compile(imr);
		for (uint32_t n = 0; n < 6; n++)
			for (uint32_t len = 54; len < 54 + 8 * n + 12; len++) {
				cbpf_cut_packet(&gen, &p, n, len);
				one_packet(imr, &prog, &p);
			}
	}
}
END_TEST

/* ------------------------------------------------------------------ what is small, refused, printed */

START_TEST(test_xt_bpf)
{
	struct imr *imr = cbpf_ssh(&gen, HOOK_IP_INPUT);
	struct caps caps = { 0 };
	struct xdp_packet p;
	struct be_prog prog;

	ck_assert(be_xt_bpf_compile(imr, &caps, &opts, &prog));
	check_program(&prog);
	ck_assert_uint_eq(prog.n_filter, 1);
	ck_assert_uint_le(prog.filter[0].n, 64);
	ck_assert_uint_eq(diags.n, 1);
	ck_assert_uint_eq(diags.d[0].level, DIAG_NOTE);
	for (int i = 0; i < 500; i++) {
		xdp_packet_options(&gen, &p);
		one_packet(imr, &prog, &p);
	}
	ck_assert(!be_xt_bpf_compile(cbpf_ssh(&gen, HOOK_IP6_INPUT), &caps, &opts, &prog));
	ck_assert(!be_xt_bpf_compile(cbpf_ssh(&gen, HOOK_NETDEV_INGRESS), &caps, &opts, &prog));
}
END_TEST

static void refused(const struct imr *imr, const struct be_opts *o, uint32_t rule)
{
	struct caps caps = { 0 };
	struct be_prog prog;

	ck_assert(!be_cbpf_compile(imr, &caps, o, &prog));
	ck_assert_uint_eq(diags.d[diags.n - 1].level, DIAG_UNSUPPORTED);
	ck_assert_uint_eq(diags.d[diags.n - 1].at.number, rule);
}

START_TEST(test_refusals)
{
	static const enum imr_op op[] = { OP_OPAQUE, OP_EFFECT, OP_NOFLOW };
	struct be_opts gate = opts;
	struct imr *imr;

	gate.gate = true;
	refused(cbpf_ssh(&gen, HOOK_NETDEV_INGRESS), &gate, 0);
	refused(cbpf_ssh(&gen, HOOK_IP_INPUT), &opts, 0);
	for (int i = 0; i < 3; i++) {
		imr = cbpf_ssh(&gen, HOOK_NETDEV_INGRESS);
		imr->chain[0].rule[0].insn[5].op = op[i];
		refused(imr, &opts, 1);
	}
	imr = cbpf_ssh(&gen, HOOK_NETDEV_INGRESS);
	imr->chain[0].rule[0].insn[6].op = OP_RETURN;
	refused(imr, &opts, 1);
	imr = cbpf_ssh(&gen, HOOK_NETDEV_INGRESS);
	imr->chain[0].rule[0].insn[0] = (struct imr_insn){ .op = OP_TCPOPT, .type = T_U8, .base = B_TH, .imm = 3,
							    .a = IMR_NOVAL, .b = IMR_NOVAL };
	refused(imr, &opts, 1);
}
END_TEST

START_TEST(test_print)
{
	static const char *const want[] = { "; filter 1 of 1, ", "; ssh rule 1: tcp dport 22 drop\n", "; ssh policy\n",
					    "ldxb 4*([14]&0xf)\n", "jeq #0x16, L", "ret #2\n", "ret #0\n" };
	struct be_prog p = compile(cbpf_ssh(&gen, HOOK_NETDEV_INGRESS));
	struct be_prog q = compile(cbpf_ssh(&gen, HOOK_NETDEV_EGRESS));
	struct strbuf out = { .arena = arena };
	uint32_t lines = 0;

	ck_assert(be_prog_same(&p, &p));
	ck_assert(!be_prog_same(&p, &q));
	be_cbpf_print(&out, &p);
	for (unsigned int i = 0; i < sizeof(want) / sizeof(want[0]); i++)
		ck_assert_msg(strstr(out.s, want[i]), "no %s", want[i]);
	for (const char *s = out.s; *s; s++)
		lines += *s == 'L' && (s == out.s || s[-1] == '\n');
	ck_assert_uint_eq(lines, p.filter[0].n);
}
END_TEST

START_TEST(test_large_sets)
{
	static const uint32_t sizes[] = { 100, 700, 800, 3000, 20000 };
	struct xdp_packet p;

	for (int six = 0; six < 2; six++)
		for (unsigned int k = 0; k < sizeof(sizes) / sizeof(sizes[0]); k++) {
			struct imr *imr = cbpf_large_set(&gen, sizes[k], six);
			struct be_prog prog = compile(imr);

			printf("a set of %u ranges%s: %u filters\n", sizes[k], six ? " of IPv6" : "", prog.n_filter);
			for (uint32_t i = 0; i < 3000; i++) {
				cbpf_large_set_packet(&gen, &p, sizes[k], six);
				one_packet(imr, &prog, &p);
			}
		}
}
END_TEST

static uint32_t insns(const struct be_prog *p)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < p->n_filter; i++)
		n += p->filter[i].n;
	return n;
}

START_TEST(test_access_lists)
{
	static const uint32_t sizes[] = { 1, 10, 100, 600, 1000, 10000 };
	struct xdp_packet p;

	for (int six = 0; six < 2; six++)
		for (unsigned int k = 0; k < sizeof(sizes) / sizeof(sizes[0]); k++) {
			struct imr *imr = cbpf_acl(&gen, sizes[k], six);
			struct be_prog prog = compile(imr);

			printf("access list of %u rules%s: %u instructions, %u filters\n", sizes[k],
			       six ? ", every fourth of IPv6" : "", insns(&prog), prog.n_filter);
			for (int i = 0; i < 300; i++) {
				cbpf_acl_packet(&gen, imr, &p);
				one_packet(imr, &prog, &p);
			}
		}
}
END_TEST

/* ------------------------------------------------------------------ in the kernel */

/* Where a packet leaves, skb->protocol is the sender's; a raw socket gives the field as it is. */
static bool is_fit(const struct xdp_packet *p, enum imr_hook hook)
{
	return hook == HOOK_NETDEV_INGRESS || p->frame[12] << 8 >= 0x600;
}

static void one_live(const struct imr *imr, const struct xdp_packet *p, int *seen)
{
	enum imr_hook hook = imr->chain[0].hook;
	struct imr_pkt pkt = pkt_of(p, hook);
	struct imr_result res;
	struct imr_view view;
	int got;

	pkt.mark = 0;
	imr_view(&view, &pkt, hook, &imr->profile);
	if (!view.domain || !is_fit(p, hook))
		return;
	imr_run(&res, imr, 0, &pkt, NULL);
	got = cbpf_live_drops(&live, p->frame, p->len);
	ck_assert_msg(got >= 0, "%s", strerror(-got));
	++*seen;
	if (got && n_headers(&view, &pkt) > CB_STEPS)
		return;
	ck_assert_msg(got == (res.verdict == V_DROP), "rule %u: reference says %s, the kernel %s\n%s\n%s",
		      res.at.number, res.verdict == V_DROP ? "drop" : "accept", got ? "drop" : "accept", hex_of(p),
		      text_of(imr));
}

static void live_hook(enum imr_hook hook, bool small)
{
	static struct xdp_packet p[N_PACKETS];
	int seen = 0, filters = 0;

	for (int i = 0; i < N_LIVE; i++) {
		struct be_prog prog;
		struct imr *imr;
		int r;

		gen.rng = 0x5851f42d4c957f2d + i;
		for (uint32_t k = 0; k < N_PACKETS; k++)
			xdp_packet_any(&gen, &p[k], hook == HOOK_NETDEV_INGRESS);
		imr = any_program(hook, p, N_PACKETS);
		if (!compile_max(imr, small ? 520 + xdp_below(&gen, 300) : BPF_MAXINSNS, &prog))
			continue;
		r = cbpf_live_install(&live, &prog, hook == HOOK_NETDEV_EGRESS);
		ck_assert_msg(r == 0, "%s: %u filters, the first of %u", strerror(-r), prog.n_filter, prog.filter[0].n);
		filters += prog.n_filter;
		for (uint32_t k = 0; k < N_PACKETS; k++)
			one_live(imr, &p[k], &seen);
	}
	printf("%s in the kernel: %d filters, %d packets\n", imr_hooks[hook].name, filters, seen);
}

START_TEST(test_live)
{
	live_hook(HOOK_NETDEV_INGRESS, false);
	live_hook(HOOK_NETDEV_INGRESS, true);
	live_hook(HOOK_NETDEV_EGRESS, false);
}
END_TEST

START_TEST(test_live_access_list)
{
	struct imr *imr = cbpf_acl(&gen, 10000, true);
	struct be_prog prog = compile(imr);
	struct xdp_packet p;
	int seen = 0, r = cbpf_live_install(&live, &prog, false);

	ck_assert_msg(r == 0, "%s", strerror(-r));
	for (int i = 0; i < 500; i++) {
		cbpf_acl_packet(&gen, imr, &p);
		one_live(imr, &p, &seen);
	}
	printf("access list of 10,000 rules in the kernel: %d packets\n", seen);
}
END_TEST

static void setup(void)
{
	arena = arena_new();
	diags = (struct diags){ .arena = arena };
	gen = (struct xdp_gen){ .arena = arena, .diags = &diags, .rng = 1 };
}

static void teardown(void)
{
	arena_free(arena);
}

int main(void)
{
	Suite *s = suite_create("cbpf");
	TCase *tc = tcase_create("cbpf");
	SRunner *sr = srunner_create(s);
	int failed, r = cbpf_live_open(&live);

	setvbuf(stdout, NULL, _IOLBF, 0);
	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_set_timeout(tc, 240);
	suite_add_tcase(s, tc);
	tcase_add_test(tc, test_jumps_between_filters);
	tcase_add_test(tc, test_xt_bpf);
	tcase_add_test(tc, test_refusals);
	tcase_add_test(tc, test_print);
	tcase_add_test(tc, test_cut_headers);
	tcase_add_test(tc, test_access_lists);
	tcase_add_test(tc, test_wide_sets);
	tcase_add_test(tc, test_large_sets);
	tcase_add_test(tc, test_random);
	tcase_add_test(tc, test_random_l3);
	if (r == 0) {
		tcase_add_test(tc, test_live);
		tcase_add_test(tc, test_live_access_list);
	} else {
		printf("skip: cbpf: no classic filters in a network namespace of its own: %s\n", strerror(-r));
	}
	srunner_run_all(sr, CK_ENV);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
