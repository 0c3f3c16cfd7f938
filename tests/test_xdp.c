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

#include "xdp_gen.h"

#define N_PACKETS	220
#define N_PROGRAMS	60
#define SLOTS_MAX	256

static struct arena *arena;
static struct diags diags;
static struct xdp_gen gen;
static const struct be_opts opts = { .dev = "v0", .ifindex = XDP_IFINDEX, .mac = XDP_MAC };

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

static uint32_t run(const struct loaded *l, const struct xdp_packet *p)
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

static const char *hex_of(const struct xdp_packet *p)
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

static void one_packet(const struct imr *imr, const struct loaded *l, const struct xdp_packet *p,
		       struct be_counter *sum)
{
	struct imr_pkt pkt = { .frame = p->frame, .len = p->len, .iif = opts.ifindex };
	struct imr_result res;
	struct imr_view view;
	uint32_t want, got = run(l, p);

	memcpy(pkt.mac, opts.mac, 6);
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

static void one_program(enum imr_hook hook, const struct xdp_packet *p, uint32_t n)
{
	struct imr *imr = xdp_program_any(&gen, hook, p, n);
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
	static struct xdp_packet p[N_PACKETS];
	const char *given = getenv("FWJIT_SEED"), *count = getenv("FWJIT_PROGRAMS");
	uint64_t seed = given ? strtoull(given, NULL, 0) : 0x9e3779b97f4a7c15ull;
	int n = count ? atoi(count) : N_PROGRAMS;

	for (int i = 0; i < n; i++, seed += 0x9e3779b9) {
		struct arena *a = arena;

		arena = arena_new();
		diags = (struct diags){ .arena = arena };
		gen.arena = arena;
		gen.rng = seed | 1;
		printf("%s seed %#llx\n", imr_hooks[hook].name, (unsigned long long)seed);
		fflush(stdout);
		for (uint32_t k = 0; k < N_PACKETS; k++)
			xdp_packet_any(&gen, &p[k], hook == HOOK_NETDEV_INGRESS);
		one_program(hook, p, N_PACKETS);
		arena_free(arena);
		arena = gen.arena = a;
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

static uint32_t verify(uint32_t n, bool ports)
{
	struct be_prog p = compile(xdp_program_linear(&gen, n, ports), &opts);
	struct loaded l;

	load(&l, &p);
	unload(&l);
	printf("%u rules%s: %u instructions, the verifier processed %u\n", n, ports ? " with ports" : "", p.n,
	       l.processed);
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

START_TEST(test_far_jumps)
{
	struct be_counter sum[SLOTS_MAX] = { { 0 } }, got;
	struct imr *imr;
	struct be_prog prog;
	struct xdp_packet p;
	struct loaded l;

	gen.rng = 5;
	imr = xdp_program_far(&gen, 12000);
	prog = compile(imr, &opts);
	load(&l, &prog);
	printf("far jumps: %u instructions, the verifier processed %u\n", prog.n, l.processed);
	attach(&l, true);
	for (int i = 0; i < 1500; i++) {
		uint32_t host = xdp_below(&gen, 13000), port = xdp_below(&gen, 2) ? xdp_below(&gen, 120) : 300;

		xdp_packet_udp(&p, 0x0a000000 + host, port);
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

/* The longest ways to the transport header in frames of 1,514 bytes. */
START_TEST(test_deep_headers)
{
	static const enum imr_hook hooks[] = { HOOK_EARLY_L3, HOOK_NETDEV_INGRESS };
	struct be_counter sum[SLOTS_MAX] = { { 0 } };
	struct imr_profile profile = { 0 };
	struct xdp_packet p;
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
				xdp_packet_deep(&p, n, len);
				one_packet(imr, &l, &p, sum);
			}
		attach(&l, false);
		unload(&l);
	}
}
END_TEST

/* Sets of 128-bit values, asked at and beside the ends of their ranges, in either half. */
static void wide_set(uint32_t n, bool not_in)
{
	static const uint64_t low[] = { 0, 4, 5, 6, UINT64_MAX };
	struct be_counter sum[SLOTS_MAX] = { { 0 } };
	struct imr_profile profile = { 0 };
	struct imr *imr = imr_new(arena, &diags, &profile);
	struct imr_chain *c = imr_chain_add(imr, "wide");
	struct imr_range *range = arena_alloc(arena, n * sizeof(*range));
	const u128 start = (u128)0x2000 << 112 | 5, step = (u128)4 << 64;
	struct be_prog prog;
	struct imr_rule *r;
	struct xdp_packet p;
	struct loaded l;

	c->hook = HOOK_EARLY_L3;
	c->policy = OP_PASS;
	for (uint32_t i = 0; i < n; i++)
		range[i] = (struct imr_range){ start + step * i, start + step * i + ((u128)2 << 64) };
	r = imr_rule_add(imr, c, &(struct imr_at){ .tool = "imr", .where = "wide", .number = 1 });
	imr_in(imr, r, not_in, imr_ld(imr, r, F_IP6_SADDR), imr_set_new(imr, range, n), ELSE_NEXT);
	imr_end(imr, r, OP_DROP, 0);
	prog = compile(imr, &opts);
	load(&l, &prog);
	attach(&l, true);
	xdp_packet_deep(&p, 0, 100);
	for (uint64_t high = 0; high < 4 * n + 4; high++)
		for (int k = 0; k < 5; k++) {
			for (int b = 0; b < 8; b++) {
				p.frame[22 + b] = ((0x2000ull << 48) + high - 2) >> (56 - 8 * b);
				p.frame[30 + b] = low[k] >> (56 - 8 * b);
			}
			one_packet(imr, &l, &p, sum);
		}
	attach(&l, false);
	unload(&l);
}

START_TEST(test_wide_sets)
{
	for (int not_in = 0; not_in < 2; not_in++) {
		wide_set(1, not_in);
		wide_set(3, not_in);
		wide_set(16, not_in);
		wide_set(17, not_in);
		wide_set(40, not_in);
	}
}
END_TEST

START_TEST(test_tcp_options)
{
	for (uint32_t k = 0; k < 12; k++) {
		struct be_counter sum[SLOTS_MAX] = { { 0 } };
		struct imr_profile profile = { 0 };
		struct imr *imr = imr_new(arena, &diags, &profile);
		struct imr_chain *c = imr_chain_add(imr, "options");
		struct imr_insn *i;
		struct be_prog prog;
		struct imr_rule *r;
		struct xdp_packet p;
		struct loaded l;

		c->hook = HOOK_EARLY_L3;
		c->policy = OP_PASS;
		r = imr_rule_add(imr, c, &(struct imr_at){ .tool = "imr", .where = "options", .number = 1 });
		i = imr_insn_add(imr, r, OP_TCPOPT);
		i->dst = 0;
		i->type = T_U8;
		i->base = B_TX;
		i->imm = k % 6;
		imr_cmp(imr, r, OP_EQ, 0, k < 6 ? 1 : 2, ELSE_NEXT);
		imr_end(imr, r, OP_DROP, 0);
		prog = compile(imr, &opts);
		load(&l, &prog);
		attach(&l, true);
		for (int n = 0; n < 400; n++) {
			xdp_packet_options(&gen, &p);
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
	struct imr *imr = xdp_program_linear(&gen, 1, false);
	struct xdp_packet p = { 0 };
	struct be_prog prog;
	struct loaded l;
	uint32_t key = 0;
	uint64_t open = UINT64_MAX;

	imr->chain[0].policy = OP_DROP;
	o.gate = true;
	prog = compile(imr, &o);
	load(&l, &prog);
	gen.rng = 77;
	do {
		xdp_packet_any(&gen, &p, false);
	} while (run(&l, &p) == XDP_DROP);
	for (uint32_t n = 0; n < prog.n_map; n++)
		if (prog.role[n] == BE_MAP_GATE)
			ck_assert_int_eq(bpf_map_update_elem(l.map[n], &key, &open, 0), 0);
	for (int i = 0; i < 50 && run(&l, &p) != XDP_DROP; i++)
		xdp_packet_any(&gen, &p, false);
	ck_assert_uint_eq(run(&l, &p), XDP_DROP);
	unload(&l);
}
END_TEST

START_TEST(test_refusals)
{
	struct imr *imr = xdp_program_linear(&gen, 2, false);
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
	struct xdp_packet p;
	struct loaded l;

	c->hook = HOOK_EARLY_L3;
	c->policy = OP_DROP;
	for (uint32_t i = 0; i < 70; i++) {
		struct imr_at at = { .tool = "imr", .where = "tallies", .number = i + 1 };
		struct imr_rule *r = imr_rule_add(imr, c, &at);

		imr_cmp(imr, r, OP_EQ, imr_ld(imr, r, F_IP_SADDR), i >= 64 ? 8 : i % 3 ? 9 : 7, ELSE_NEXT);
		imr_stmt(imr, r, OP_TALLY, NULL);
		imr_end(imr, r, OP_NEXT, 0);
	}
	imr_number(imr);
	prog = compile(imr, &opts);
	load(&l, &prog);
	xdp_packet_udp(&p, 8, 1);
	ck_assert_uint_eq(run(&l, &p), XDP_PASS);
	xdp_packet_udp(&p, 7, 1);
	ck_assert_uint_eq(run(&l, &p), XDP_DROP);
	for (uint32_t s = 0; s < imr->n_slot; s++) {
		read_counter(&l, s, &got);
		ck_assert_uint_eq(got.packets, s < 64 && s % 3 == 0);
	}
	unload(&l);
}
END_TEST

/* The text assembles to the program's own words, map descriptors aside. */
static void compare_words(const struct be_prog *p, const char *object)
{
	const char *cmd = arena_printf(arena, "llvm-objcopy -O binary --only-section=.text %s %s.bin",
				       object, object);
	FILE *f;
	struct bpf_insn i;

	ck_assert_int_eq(system(cmd), 0);
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
	struct be_prog p = compile(xdp_program_linear(&gen, 100, true), &opts);
	struct be_prog q = compile(xdp_program_linear(&gen, 100, true), &opts);
	struct strbuf out = { .arena = arena };
	const char *src, *obj;
	FILE *f;

	ck_assert(be_prog_same(&p, &q));
	other.mac[5]++;
	q = compile(xdp_program_linear(&gen, 100, true), &other);
	ck_assert(!be_prog_same(&p, &q));
	if (system("command -v llvm-mc >/dev/null && command -v llvm-objcopy >/dev/null") != 0) {
		printf("skip: no llvm-mc and llvm-objcopy\n");
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
	gen = (struct xdp_gen){ .arena = arena, .diags = &diags, .rng = 1 };
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
		tcase_add_test(tc, test_wide_sets);
		tcase_add_test(tc, test_tcp_options);
		tcase_add_test(tc, test_gate);
		tcase_add_test(tc, test_many_tallies);
		tcase_add_test(tc, test_random_early);
		tcase_add_test(tc, test_random_ingress);
	} else {
		printf("skip: xdp: may not load an XDP program in a network namespace of its own: %s\n", strerror(errno));
	}
	srunner_run_all(sr, CK_ENV);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
