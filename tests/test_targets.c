/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Every target and way of packet access against the reference: random programs of each hook that a target is exact at,
 * loaded as the loader does, meet packets made to lie on boundaries. A failure prints its seed, which FWJIT_SEED repeats.
 * Without the right to load, a target is skipped.
 */
#include <bpf/bpf.h>
#include <check.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "kernel.h"
#include "loader.h"
#include "xdp_gen.h"

#define N_PACKETS	200
#define N_PROGRAMS	25
#define SLOTS_MAX	256

static struct arena *arena;
static struct diags diags;
static struct xdp_gen gen;
static struct ld_probe probe;

static const struct row {
	const char *target;
	enum imr_hook hook;
	bool load_bytes;
} rows[] = {
	{ "xdp", HOOK_NETDEV_INGRESS, false },
	{ "tc", HOOK_NETDEV_INGRESS, false }, { "tc", HOOK_NETDEV_INGRESS, true },
	{ "tc", HOOK_NETDEV_EGRESS, false }, { "tc", HOOK_NETDEV_EGRESS, true },
	{ "socket", HOOK_IP_INPUT, false }, { "socket", HOOK_IP6_INPUT, false }, { "socket", HOOK_IP_OUTPUT, false },
	{ "cgroup", HOOK_IP_INPUT, false }, { "cgroup", HOOK_INET_INPUT, false }, { "cgroup", HOOK_INET_OUTPUT, false },
	{ "netfilter", HOOK_IP_PREROUTING, false }, { "netfilter", HOOK_IP_INPUT, false },
	{ "netfilter", HOOK_IP_FORWARD, false }, { "netfilter", HOOK_IP_OUTPUT, false },
	{ "netfilter", HOOK_IP_POSTROUTING, false }, { "netfilter", HOOK_IP6_PREROUTING, false },
	{ "netfilter", HOOK_IP6_INPUT, false }, { "netfilter", HOOK_IP6_FORWARD, false },
	{ "netfilter", HOOK_IP6_OUTPUT, false }, { "netfilter", HOOK_IP6_POSTROUTING, false },
};
#define N_ROW ((int)(sizeof(rows) / sizeof(rows[0])))

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

static bool is_netfilter(const struct row *r)
{
	return !strcmp(r->target, "netfilter");
}

static bool is_l3(const struct row *r)
{
	return imr_hooks[r->hook].family != FAM_NETDEV;
}

static struct be_opts opts_of(const struct row *r)
{
	struct be_opts o = { .load_bytes = r->load_bytes };

	if (is_l3(r))
		return o;
	o.ifindex = XDP_IFINDEX;
	snprintf(o.dev, sizeof(o.dev), "v0");
	return o;
}

/* What BPF_PROG_TEST_RUN of this kind makes of a frame: the packet that the reference is asked about. False where the kernel
 * cannot be given it: a frame whose tag would not be popped, one too short for its header. */
static bool fits(const struct row *r, const struct xdp_packet *p, const struct imr_view *v)
{
	unsigned int type = p->len >= 14 ? p->frame[12] << 8 | p->frame[13] : 0;

	if (type == 0x8100 || type == 0x88a8)
		return false;
	if (is_l3(r) && (!v->domain || v->end != p->len))
		return false;
	return is_netfilter(r) || p->len >= (type == 0x0800 ? 34u : type == 0x86dd ? 54u : 15u);
}

struct nf_state { uint8_t hook, pf, pad[6]; uint64_t zero[5]; };	/* struct nf_hook_state, as TEST_RUN takes it */

static int run(const struct row *r, int fd, const struct xdp_packet *p)
{
	const struct imr_hook_info *h = &imr_hooks[r->hook];
	struct nf_state state = { .hook = h->num, .pf = h->family };
	bool raw = is_netfilter(r) && h->num == HN_OUTPUT;
	LIBBPF_OPTS(bpf_test_run_opts, o, .data_in = p->frame + (raw ? 14 : 0), .data_size_in = p->len - (raw ? 14 : 0));

	if (is_netfilter(r)) {
		o.ctx_in = &state;
		o.ctx_size_in = sizeof(state);
	}
	return bpf_prog_test_run_opts(fd, &o) < 0 ? -errno : (int)o.retval;
}

static bool drops(const struct row *r, int code)
{
	ck_assert_int_eq(code == (int)be_target_find(r->target)->verdict_drop ||
			 code == (int)be_target_find(r->target)->verdict_pass, true);
	return code == (int)be_target_find(r->target)->verdict_drop;
}

struct judged {
	uint64_t packets, dropped, left_out, refused;
	struct be_counter sum[SLOTS_MAX];
};

/* The devices as a run has them: the loopback device for a netfilter program (bpf_prog_test_run_nf), and nobody's frame is
 * for another host. */
static void devices(const struct row *r, struct imr_pkt *pkt)
{
	enum imr_hooknum num = imr_hooks[r->hook].num;
	const char *name = is_l3(r) ? "lo" : "v0";
	uint32_t index = is_l3(r) ? 1 : XDP_IFINDEX;

	if (num == HN_PREROUTING || num == HN_INPUT || num == HN_FORWARD || num == HN_INGRESS) {
		pkt->iif = index;
		snprintf(pkt->iifname, sizeof(pkt->iifname), "%s", name);
	}
	if (num == HN_FORWARD || num == HN_OUTPUT || num == HN_POSTROUTING || num == HN_EGRESS) {
		pkt->oif = index;
		snprintf(pkt->oifname, sizeof(pkt->oifname), "%s", name);
	}
	memcpy(pkt->mac, pkt->frame, sizeof(pkt->mac));
}

/* A hop on its way: the program is given what ip_forward or ip6_forward left, the reference counts it down itself. */
static void hop(struct xdp_packet *p, const struct imr_view *v)
{
	uint8_t *h = p->frame + v->nh;
	uint32_t sum;

	if (!v->hop)
		return;
	if (v->nfproto != FAM_IP) {
		h[7]--;
		return;
	}
	h[8]--;
	sum = (h[10] << 8 | h[11]) + 0x100u;
	sum += sum >= 0xffff;
	h[10] = sum >> 8;
	h[11] = sum;
}

static void one_packet(const struct row *r, const struct imr *imr, int fd, const struct xdp_packet *p, struct judged *j)
{
	struct imr_pkt pkt = { .frame = p->frame, .len = p->len };
	struct xdp_packet given = *p;
	struct imr_result res;
	struct imr_view view;
	bool reached;
	int code;

	devices(r, &pkt);
	imr_run(&res, imr, 0, &pkt, NULL);
	imr_view(&view, &pkt, r->hook, &imr->profile);
	reached = p->len >= 14 && fits(r, p, &view);
	hop(&given, &view);
	code = reached ? run(r, fd, &given) : 0;
	if (!reached || code == -EINVAL || code == -EPROTO) {
		j->left_out++;
		return;
	}
	ck_assert_msg(code >= -1, "%s", strerror(-code));
	ck_assert_msg(drops(r, code) == (res.verdict == V_DROP), "%s at %s: rule %u: reference says %s, program %d\n%s\n%s",
		      r->target, imr_hooks[r->hook].name, res.at.number, res.verdict == V_DROP ? "drop" : "pass", code,
		      hex_of(p), text_of(imr));
	j->packets++;
	j->dropped += res.verdict == V_DROP;
	for (uint32_t i = 0; i < res.n_slot; i++) {
		j->sum[res.slot[i]].packets++;
		j->sum[res.slot[i]].bytes += view.len;
	}
}

static void one_program(const struct row *r, const struct xdp_packet *p, struct judged *j)
{
	struct imr *imr = xdp_program_any(&gen, r->hook, p, N_PACKETS);
	struct be_counter got[SLOTS_MAX];
	struct be_opts o = opts_of(r);
	struct be_prog prog;
	struct ld_prog l;
	uint32_t before = diags.n;

	if (!be_compile(imr, be_target_find(r->target), &probe.caps, &o, &prog)) {
		const char *why = diags.d[before].message;

		ck_assert_msg(strstr(why, "too many different parts") || strstr(why, "may load") ||
			      strstr(why, "not to be had") || strstr(why, "VLAN tag in it"), "%s\n%s", why, text_of(imr));
		j->refused++;
		return;
	}
	ck_assert_msg(!ld_load(&prog, &diags, &l), "%s\n%s", diags.d[diags.n - 1].message, text_of(imr));
	memset(j->sum, 0, sizeof(j->sum));
	for (uint32_t i = 0; i < N_PACKETS; i++)
		one_packet(r, imr, l.fd, &p[i], j);
	if (imr->n_slot)
		ck_assert_int_eq(ld_counters_read(ld_role_fd(&l, BE_MAP_COUNTERS), got, imr->n_slot), 0);
	for (uint32_t s = 0; s < imr->n_slot; s++)
		ck_assert_msg(got[s].packets == j->sum[s].packets && got[s].bytes == j->sum[s].bytes,
			      "%s: counter %u: reference %lu/%lu, program %lu/%lu\n%s", r->target, s, j->sum[s].packets,
			      j->sum[s].bytes, got[s].packets, got[s].bytes, text_of(imr));
	ld_prog_close(&l);
}

START_TEST(test_random)
{
	static struct xdp_packet p[N_PACKETS];
	const char *given = getenv("FWJIT_SEED"), *count = getenv("FWJIT_PROGRAMS");
	uint64_t seed = given ? strtoull(given, NULL, 0) : 0x9e3779b97f4a7c15ull;
	const struct row *r = &rows[_i];
	struct judged j = { 0 };
	const char *what;

	if (be_target_missing(be_target_find(r->target), &probe.caps, &what)) {
		printf("skip: %s at %s: the caller may not %s\n", r->target, imr_hooks[r->hook].name, what);
		return;
	}
	for (int i = 0; i < (count ? atoi(count) : N_PROGRAMS); i++, seed += 0x9e3779b9) {
		arena = arena_new();
		diags = (struct diags){ .arena = arena };
		gen = (struct xdp_gen){ .arena = arena, .diags = &diags, .rng = seed, .l3 = is_l3(r) };
		for (int k = 0; k < N_PACKETS; k++)
			xdp_packet_any(&gen, &p[k], false);
		one_program(r, p, &j);
		arena_free(arena);
	}
	printf("%s%s at %s: seed %#lx: %lu packets judged, %lu dropped, %lu left out, %lu programs refused\n", r->target,
	       r->load_bytes ? " (load_bytes)" : "", imr_hooks[r->hook].name, seed, j.packets, j.dropped, j.left_out, j.refused);
	ck_assert_uint_gt(j.packets, 0);
}
END_TEST

static const char *why_not(void)
{
	ld_probe(&probe);
	return probe.caps.array && probe.caps.sched_cls ? NULL : "load programs";
}

int main(void)
{
	const char *why = why_not();
	SRunner *run_all;
	TCase *c;
	Suite *s;
	int failed;

	if (why) {
		printf("skip: targets: the caller may not %s\n", why);
		return 77;
	}
	s = suite_create("targets");
	c = tcase_create("random");
	run_all = srunner_create(s);
	tcase_set_timeout(c, 300);
	tcase_add_loop_test(c, test_random, 0, N_ROW);
	suite_add_tcase(s, c);
	srunner_run_all(run_all, CK_NORMAL);
	failed = srunner_ntests_failed(run_all);
	srunner_free(run_all);
	return failed ? 1 : 0;
}
