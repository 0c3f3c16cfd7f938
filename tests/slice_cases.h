/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The slice by hand, for test_slice.c: a program, and what becomes of packets. Each case is one row of docs/SLICE.md's
 * tables. The device is v0 with address 10.1.0.1; FORWARDS says that it forwards, with the stock routing rules.
 */
#include "packet.h"

#define HEAD "imr 1\nprofile th_fast_frag\n"
#define CHAIN(name, hook, prio, policy) \
	"chain @\"" name "\" from nft \"" name "\" hook " hook " kind filter prio " #prio " policy " policy " {\n"
#define NAT(name, hook) "chain @\"" name "\" from nft \"" name "\" hook " hook " kind nat prio -100 policy accept {\n"
#define RULE(where, n) "rule nft \"" where "\" " #n "\n"
#define FROM(addr) "\t%0 =ip4 ld ip.saddr\n\teq %0, " addr "\n"
#define PORT(n) "\tneed th, 4\n\t%1 =be16 ld th.dport\n\teq %1, " #n "\n"
#define UNKNOWN "\topaque \"ct state new\"\n"
#define END "}\n"

#define EDGE \
	"chain @\"edge\" from nft \"edge\" hook netdev.ingress kind filter prio 0 policy accept dev \"v0\" {\n"
#define TAG "\t%2 =be16 ld raw ll+12:2\n\teq %2, 0x8100\n"

#define A "in v0 ip 10.0.0.1 > 10.1.0.1 udp 9 > 53"	/* 53, to this host */
#define B "in v0 ip 10.0.0.2 > 10.1.0.1 udp 9 > 80"	/* another source, another port */
#define F "in v0 ip 10.0.0.1 > 10.9.0.1 udp 9 > 53"	/* A, to be forwarded */
#define M "in v0 ip 10.0.0.1 > 224.0.0.1 udp 9 > 53"

#define CONNTRACK "imr 1\nprofile th_fast_frag\nconntrack on\n"
#define EXPECTS "imr 1\nprofile th_fast_frag\nconntrack expects\n"
#define RAW(n) CHAIN("raw", "ip.prerouting", n, "accept") RULE("raw", 1) FROM("10.0.0.1") "\tdrop\n" END

enum { FORWARDS = 1, NOT_PLAIN = 2, NO_GRO = 4, NO_LOOKUP = 8, FLOW = 16, TAGS_BESIDE = 32 };

static const struct slice_case {
	const char *name, *text;
	unsigned int env;
	const char *packet[4];
	bool drop[4];
} slice_cases[] = {
	{ "a tag in the frame: there is none",
	  HEAD EDGE RULE("edge", 1) TAG "\taccept\n" RULE("edge", 2) "\tdrop\n" END, 0, { A }, { true } },
	{ "a tag beside the frame: unknown",
	  HEAD EDGE RULE("edge", 1) TAG "\taccept\n" RULE("edge", 2) "\tdrop\n" END, TAGS_BESIDE, { A }, { false } },
	{ "and unknown only to who asks",
	  HEAD EDGE RULE("edge", 1) TAG FROM("10.0.0.2") "\taccept\n" RULE("edge", 2) "\tdrop\n" END,
	  TAGS_BESIDE, { A, B }, { true, false } },
	{ "a known drop", HEAD CHAIN("in", "ip.input", 0, "accept") RULE("in", 1) FROM("10.0.0.1") "\tdrop\n" END,
	  0, { A, B, F }, { true, false, true } },
	{ "unknown before drop: the rule is skipped",
	  HEAD CHAIN("in", "ip.input", 0, "accept") RULE("in", 1) UNKNOWN "\tdrop\n"
	  RULE("in", 2) FROM("10.0.0.1") "\tdrop\n" END, 0, { A, B }, { true, false } },
	{ "unknown before accept: pass where the rest matches",
	  HEAD CHAIN("in", "ip.input", 0, "drop") RULE("in", 1) UNKNOWN FROM("10.0.0.1") "\taccept\n" END,
	  0, { A, B }, { false, true } },
	{ "an unknown hotdrop is a drop either way",
	  HEAD CHAIN("in", "ip.input", 0, "drop") RULE("in", 1) "\topaque \"match\" else drop\n\taccept\n" END,
	  0, { A, B }, { false, false } },
	{ "an effect passes where it is reached",
	  HEAD CHAIN("in", "ip.input", 0, "drop") RULE("in", 1) FROM("10.0.0.1") "\teffect \"log\"\n\tdrop\n" END,
	  0, { A, B }, { false, true } },
	{ "accept leads to the next chain",
	  HEAD CHAIN("a", "ip.input", 0, "drop") RULE("a", 1) "\taccept\n" END
	  CHAIN("b", "ip.input", 10, "accept") RULE("b", 1) FROM("10.0.0.1") "\tdrop\n" END,
	  0, { A, B }, { true, false } },
	{ "an unknown accept: the chains to come must drop too",
	  HEAD CHAIN("a", "ip.prerouting", 0, "drop") RULE("a", 1) UNKNOWN "\taccept\n" END
	  CHAIN("b", "ip.input", 0, "accept") RULE("b", 1) FROM("10.0.0.1") "\tdrop\n" END,
	  0, { A, B }, { true, false } },
	{ "an unknown jump: the body and what is behind it",
	  HEAD CHAIN("in", "ip.input", 0, "drop") RULE("in", 1) UNKNOWN "\tjump @\"u\"\n"
	  RULE("in", 2) PORT(53) "\tdrop\n" RULE("in", 3) "\taccept\n" END
	  "chain @\"u\" from nft \"u\" {\n" RULE("u", 1) FROM("10.0.0.1") "\tdrop\n" RULE("u", 2) "\treturn\n" END,
	  0, { A, B, "in v0 ip 10.0.0.2 > 10.1.0.1 udp 9 > 53" }, { true, false, true } },
	{ "the same, inlined",
	  HEAD CHAIN("in", "ip.input", 0, "drop") RULE("in", 1) "\topaque \"match\" else 4\n\tnext\n"
	  RULE("u", 1) FROM("10.0.0.1") "\tdrop\n" RULE("u", 2) "\tnext 4\n"
	  RULE("in", 2) PORT(53) "\tdrop\n" RULE("in", 3) "\taccept\n" END,
	  0, { A, B, "in v0 ip 10.0.0.2 > 10.1.0.1 udp 9 > 53" }, { true, false, true } },
	{ "the device is known",
	  HEAD CHAIN("in", "ip.input", 0, "accept") RULE("in", 1) "\t%2 =name ld meta.iifname\n\teq %2, \"v0\"\n"
	  FROM("10.0.0.1") "\tdrop\n" RULE("in", 2) "\t%0 =name ld meta.iifname\n\teq %0, \"v1\"\n\tdrop\n" END,
	  0, { A, B }, { true, false } },
	{ "marks are not",
	  HEAD CHAIN("in", "ip.input", 0, "accept") RULE("in", 1)
	  "\t%0 =u32 ld meta.mark\n\t%1 =u32 and %0, 0xff\n\teq %1, 1\n\tdrop\n" END, 0, { A }, { false } },
	{ "forwarding: own addresses to input, others to forward, multicast to both",
	  HEAD CHAIN("in", "ip.input", 0, "drop") END
	  CHAIN("fwd", "ip.forward", 0, "accept") RULE("fwd", 1) PORT(80) "\tdrop\n" END,
	  FORWARDS, { A, F, M, "in v0 ip 10.0.0.1 > 10.9.0.1 udp 9 > 80" }, { true, false, false, true } },
	{ "routing not known: both must drop",
	  HEAD CHAIN("in", "ip.input", 0, "drop") END
	  CHAIN("fwd", "ip.forward", 0, "accept") RULE("fwd", 1) PORT(80) "\tdrop\n" END,
	  FORWARDS | NOT_PLAIN, { A, B, F }, { false, true, false } },
	{ "no time left: the kernel answers, no rule drops",
	  HEAD CHAIN("fwd", "ip.forward", 0, "drop") END,
	  FORWARDS, { F, "in v0 ip 10.0.0.1 > 10.9.0.1 ttl 1 udp 9 > 53" }, { true, false } },
	{ "the outgoing device is not known",
	  HEAD CHAIN("fwd", "ip.forward", 0, "accept") RULE("fwd", 1)
	  "\t%0 =name ld meta.oifname\n\teq %0, \"w0\"\n\tdrop\n" RULE("fwd", 2) PORT(53) "\tdrop\n" END,
	  FORWARDS, { F, "in v0 ip 10.0.0.1 > 10.9.0.1 udp 9 > 80" }, { true, false } },
	{ "behind NAT the port is not known, the source is",
	  HEAD NAT("nat", "ip.postrouting") END
	  CHAIN("in", "ip.input", 0, "accept") RULE("in", 1) PORT(80) "\tdrop\n"
	  RULE("in", 2) FROM("10.0.0.1") "\tdrop\n" END, 0, { A, B }, { true, false } },
	{ "before NAT it is",
	  HEAD NAT("nat", "ip.postrouting") END
	  CHAIN("raw", "ip.prerouting", -300, "accept") RULE("raw", 1) PORT(80) "\tdrop\n" END,
	  0, { A, B }, { false, true } },
	{ "a nat chain may be missed: its drops are none, its effects pass",
	  HEAD NAT("nat", "ip.prerouting") RULE("nat", 1) PORT(80) "\teffect \"dnat to 10.0.0.9\"\n\taccept\n"
	  RULE("nat", 2) "\tdrop\n" END CHAIN("in", "ip.input", 0, "drop") END, 0, { A, B }, { true, false } },
	{ "lengths are merged, unless the device merges none",
	  HEAD CHAIN("in", "ip.input", 0, "accept") RULE("in", 1) "\t%0 =u32 ld meta.len\n\tle %0, 1000\n\tdrop\n" END,
	  0, { A }, { false } },
	{ "lengths are known where nothing merges",
	  HEAD CHAIN("in", "ip.input", 0, "accept") RULE("in", 1) "\t%0 =u32 ld meta.len\n\tle %0, 1000\n\tdrop\n" END,
	  NO_GRO, { A }, { true } },
	{ "equal priorities: an effect may come first",
	  HEAD CHAIN("a", "ip.input", 0, "accept") RULE("a", 1) FROM("10.0.0.1") "\tdrop\n"
	  RULE("a", 2) PORT(53) "\teffect \"log\"\n\taccept\n" END
	  CHAIN("b", "ip.input", 0, "accept") RULE("b", 1) PORT(53) "\teffect \"queue\"\n\taccept\n" END,
	  0, { A, "in v0 ip 10.0.0.1 > 10.1.0.1 udp 9 > 80" }, { false, true } },
	{ "an unknown counter that goes on passes",
	  HEAD CHAIN("in", "ip.input", 0, "drop") RULE("in", 1) UNKNOWN FROM("10.0.0.1") "\tcount\n\tnext\n" END,
	  0, { A, B }, { false, true } },
	{ "conntrack has no flow: dropped before its rules", CONNTRACK CHAIN("in", "ip.input", 0, "drop") END,
	  0, { A, B }, { true, true } },
	{ "conntrack has the flow: it must see the packet", CONNTRACK CHAIN("in", "ip.input", 0, "drop") END, FLOW, { A }, { false } },
	{ "it does not see what raw rules drop", CONNTRACK RAW(-300), FLOW, { A, B }, { true, false } },
	{ "at its own priority it may", CONNTRACK RAW(-200), FLOW, { A }, { false } },
	{ "a hotdrop is a drop", CONNTRACK CHAIN("in", "ip.input", 0, "accept") RULE("in", 1)
	  "\t%0 =ip4 ld ip.saddr\n\teq %0, 10.0.0.2 else drop\n\taccept\n" END, FLOW, { A, B }, { false, false } },
	{ "of no flow, too", CONNTRACK CHAIN("in", "ip.input", 0, "accept") RULE("in", 1)
	  "\t%0 =ip4 ld ip.saddr\n\teq %0, 10.0.0.2 else drop\n\taccept\n" END, 0, { A, B }, { true, false } },
	{ "where flows are expected nobody knows", EXPECTS RAW(0), 0, { A }, { false } },
	{ "nor where conntrack cannot be asked", CONNTRACK RAW(0), NO_LOOKUP, { A }, { false } },
	{ "but raw rules drop there", CONNTRACK RAW(-300), NO_LOOKUP, { A, B }, { true, false } },
	{ "no conntrack, no flow", HEAD CHAIN("in", "ip.input", 0, "drop") END, FLOW | NO_LOOKUP, { A }, { true } },
	{ "the families have rows of their own",
	  HEAD CHAIN("in", "inet.input", 0, "accept") RULE("in", 1)
	  "\t%0 =u8 ld meta.nfproto\n\teq %0, 10\n\tdrop\n" END,
	  0, { A, "in v0 ip6 2001:db8::1 > 2001:db8::2 udp 9 > 53" }, { false, true } },
};

static void case_env(struct imr_env *env, unsigned int flags)
{
	static const struct imr_range own[] = { { 0x0a010001, 0x0a010001 } };

	*env = (struct imr_env){ .dev = "v0", .ifindex = 7, .mac = PACKET_MAC, .n_local4 = 1, .local4 = own };
	env->fwd4 = flags & FORWARDS;
	env->plain_rules = !(flags & NOT_PLAIN);
	env->no_gro = flags & NO_GRO;
	env->ct_lookup = !(flags & NO_LOOKUP);
}

static struct imr *case_parse(const char *text)
{
	struct imr *imr = imr_parse(arena, &diags, text, strlen(text));

	ck_assert_msg(imr, "%s", diags.n ? diags.d[diags.n - 1].message : "no program");
	ck_assert(imr_optimise(imr, NULL));
	return imr;
}

START_TEST(test_case)
{
	const struct slice_case *c = &slice_cases[_i];
	struct imr_env env;
	struct imr *imr = case_parse(c->text), *s;

	case_env(&env, c->env);
	if (c->env & TAGS_BESIDE)
		imr_tags_unknown(imr);
	s = imr_place_slice(imr, &env);
	ck_assert_msg(s, "%s", c->name);
	ck_assert_ptr_null(imr_check(s, "slice"));
	for (int k = 0; k < 4 && c->packet[k]; k++) {
		struct imr_pkt pkt = { .iif = 7, .iifname = "v0", .mac = PACKET_MAC };
		struct imr_result res;
		struct packet p;

		ck_assert(packet_parse(arena, &diags, c->packet[k], &p));
		pkt.frame = p.frame;
		pkt.len = p.len;
		pkt.flow = c->env & FLOW;
		imr_run(&res, s, 0, &pkt, NULL);
		ck_assert_msg(res.verdict == (c->drop[k] ? V_DROP : V_PASS), "%s: %s: verdict %d", c->name, c->packet[k],
			      res.verdict);
	}
}
END_TEST

/* What is left out must be gone, not merely not reached. */
START_TEST(test_gone)
{
	static const char text[] =
		HEAD CHAIN("in", "ip.input", 0, "accept")
		RULE("in", 1) "\t%2 =name ld meta.iifname\n\teq %2, \"v1\"\n" FROM("10.0.0.1") "\tdrop\n"
		RULE("in", 2) PORT(80) "\taccept\n" END
		CHAIN("fwd", "ip.forward", 0, "drop") END;
	struct imr_env env;
	struct imr *s;

	case_env(&env, 0);
	s = imr_place_slice(case_parse(text), &env);
	ck_assert(s && s->n == 1 && s->chain[0].n == 0);
	ck_assert_int_eq(s->chain[0].policy, OP_PASS);
	ck_assert_int_eq(s->chain[0].hook, HOOK_EARLY_L3);
}
END_TEST

/* A hook's chains as one: each family's in the order of their priorities, an inet chain in both. */
START_TEST(test_place_hook)
{
	static const char text[] =
		HEAD CHAIN("late", "ip.input", 10, "accept") RULE("late", 1) PORT(80) "\tdrop\n" END
		CHAIN("both", "inet.input", 0, "accept") RULE("both", 1)
		"\t%0 =u8 ld meta.nfproto\n\teq %0, 10\n" PORT(53) "\tdrop\n"
		RULE("both", 2) "\t%0 =u8 ld meta.nfproto\n\teq %0, 2\n" PORT(54) "\tdrop\n" END
		CHAIN("fwd", "ip.forward", 0, "drop") END;
	static const struct { const char *packet; bool drop4, drop6; } at[] = {
		{ A, false, false }, { B, true, false }, { "in v0 ip 10.0.0.1 > 10.1.0.1 udp 9 > 54", true, false },
		{ "in v0 ip6 2001:db8::1 > 2001:db8::2 udp 9 > 53", false, true },
		{ "in v0 ip6 2001:db8::1 > 2001:db8::2 udp 9 > 80", false, false },
	};
	static const enum imr_hook hooks[] = { HOOK_IP_INPUT, HOOK_IP6_INPUT, HOOK_INET_INPUT };

	for (int h = 0; h < 3; h++) {
		struct imr *s = imr_place_hook(case_parse(text), NULL, hooks[h], (struct imr_range32){ INT32_MIN, INT32_MAX });

		ck_assert(s && s->n == 1 && !imr_check(s, "place") && s->chain[0].hook == hooks[h]);
		for (size_t k = 0; k < sizeof(at) / sizeof(at[0]); k++) {
			struct imr_pkt pkt = { .iif = 7, .iifname = "v0", .mac = PACKET_MAC };
			bool drop = (h != 1 && at[k].drop4) || (h != 0 && at[k].drop6);
			struct imr_result res;
			struct packet p;

			ck_assert(packet_parse(arena, &diags, at[k].packet, &p));
			pkt.frame = p.frame;
			pkt.len = p.len;
			imr_run(&res, s, 0, &pkt, NULL);
			ck_assert_msg((res.verdict == V_DROP) == drop, "%s: %s: verdict %d", imr_hooks[hooks[h]].name, at[k].packet,
				      res.verdict);
		}
	}
}
END_TEST

#define INGRESS(name, hook) \
	"chain @\"" name "\" from nft \"" name "\" hook " hook " kind filter prio 0 policy accept dev \"v0\" {\n"

/* A rule that cannot be said at ingress is named once; one that cannot be reached there is none. */
START_TEST(test_ingress_refuses)
{
	static const char text[] =
		HEAD INGRESS("ing", "netdev.ingress")
		RULE("ing", 1) "\t%0 =name ld meta.iifname\n\teq %0, \"v1\"\n\teffect \"dup to v2\"\n\taccept\n"
		RULE("ing", 2) UNKNOWN "\tdrop\n"
		RULE("ing", 3) "\t%0 =u32 unknown \"ct mark\"\n\teq %0, 1\n\tdrop\n" END;
	struct imr_env env;
	struct imr *imr = case_parse(text);

	case_env(&env, 0);
	ck_assert_ptr_null(imr_place_ingress(imr, &env));
	ck_assert_uint_eq(diags.n, 2);
	ck_assert_uint_eq(diags.d[0].at.number, 2);
	ck_assert_uint_eq(diags.d[1].at.number, 3);
	ck_assert_int_eq(diags.d[0].level, DIAG_UNSUPPORTED);
	ck_assert(strstr(diags.d[1].message, "ct mark"));
	ck_assert_ptr_null(imr_place_ingress(imr, &env));
	ck_assert_uint_eq(diags.n, 2);
}
END_TEST

/* Each rule asks for one field; those of which merging makes another number are refused where it is still to come. */
START_TEST(test_ingress_before_gro)
{
	static const struct { const char *ld, *merges; } asks[] = {
		{ "u32 ld meta.len", "meta.len" }, { "be16 ld ip.len", "ip.len" }, { "be16 ld ip6.len", "ip6.len" },
		{ "be16 ld udp.len", "udp.len" }, { "be16 ld raw nh+4:2", "raw" }, { "be16 ld raw th+4:2", "raw" },
		{ "be16 ld ip.id", NULL }, { "be32 ld tcp.seq", NULL }, { "be16 ld raw nh+6:2", NULL }, { "be16 ld th.dport", NULL },
	};
	const char *text = arena_printf(arena, HEAD INGRESS("ing", "netdev.ingress") RULE("ing", 1)
					"\t%%0 =%s\n\tgt %%0, 2000\n\tdrop\n" END, asks[_i].ld);
	struct imr_env env;

	case_env(&env, 0);
	ck_assert_ptr_nonnull(imr_place_ingress(case_parse(text), &env));
	env.before_gro = true;
	ck_assert(!imr_place_ingress(case_parse(text), &env) == !!asks[_i].merges);
	ck_assert_uint_eq(diags.n, !!asks[_i].merges);
	if (asks[_i].merges) {
		ck_assert_uint_eq(diags.d[0].at.number, 1);
		ck_assert_msg(!strncmp(diags.d[0].message, asks[_i].merges, strlen(asks[_i].merges)), "%s", diags.d[0].message);
		ck_assert(strstr(diags.d[0].message, "may be merged"));
	}
	env.no_gro = true;
	ck_assert_ptr_nonnull(imr_place_ingress(case_parse(text), &env));
}
END_TEST

START_TEST(test_inet_ingress)
{
	struct imr_env env;

	case_env(&env, 0);
	ck_assert_ptr_null(imr_place_ingress(case_parse(HEAD INGRESS("ing", "inet.ingress") END), &env));
	ck_assert_uint_eq(diags.n, 1);
	ck_assert_int_eq(diags.d[0].level, DIAG_UNSUPPORTED);
}
END_TEST

static void add_cases(TCase *c)
{
	tcase_add_loop_test(c, test_case, 0, sizeof(slice_cases) / sizeof(*slice_cases));
	tcase_add_test(c, test_gone);
	tcase_add_test(c, test_place_hook);
	tcase_add_test(c, test_ingress_refuses);
	tcase_add_loop_test(c, test_ingress_before_gro, 0, 10);
	tcase_add_test(c, test_inet_ingress);
}
