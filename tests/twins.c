/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Twins: pairs of an iptables rule (legacy blob) and an nft rule (netlink) that mean one thing give one optimised IMR and
 * one XDP program; pairs that only look alike differ exactly where their trap says. twins.def has them.
 */
#include <check.h>
#include <regex.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "backend.h"
#include "reader.h"
#include "subject.h"

struct pair { int family; const char *ipt, *nft, *trap, *what; };

static const struct pair same[] = {
#define SAME(family, ipt, nft) { family, ipt, nft, NULL, NULL },
#define DIFFER(family, ipt, nft, trap, what)
#include "twins.def"
};
static const struct pair differ[] = {
#define SAME(family, ipt, nft)
#define DIFFER(family, ipt, nft, trap, what) { family, ipt, nft, trap, what },
#include "twins.def"
};

struct side {
	struct imr *imr, *placed;
	struct be_prog prog;
	bool compiled;
};

static struct arena *arena;
static struct diags diags;
static const struct imr_profile profile = { .th_fast_frag = true };

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

static void compile(struct side *s)
{
	static const struct imr_env env = { .dev = "v0", .ifindex = 7, .mac = { 2, 0, 0, 0, 0, 1 }, .plain_rules = true };
	struct be_opts opts = { .dev = "v0", .ifindex = env.ifindex, .mac = { 2, 0, 0, 0, 0, 1 } };
	struct caps caps = { 0 };

	for (const struct be_cap_info *k = be_caps_info; k->key; k++)
		be_caps_set(&caps, k->key, true);
	s->placed = imr_place_slice(s->imr, &env);
	ck_assert_msg(s->placed, "%s", said());
	s->compiled = be_compile(s->placed, be_target_find("xdp"), &caps, &opts, &s->prog);
	ck_assert_msg(s->compiled, "%s", said());
}

static void read_text(struct side *s, enum fe_text_kind kind, const char *text)
{
	struct fe_capture cap;

	ck_assert_msg(!fe_text_get(arena, &diags, kind, "twins", text, strlen(text), &cap), "%s\n%s", text, said());
	s->imr = fe_read(arena, &diags, &profile, &cap);
	ck_assert_msg(s->imr && imr_optimise(s->imr, NULL), "%s\n%s", text, said());
	ck_assert_msg(!diags_have(&diags, DIAG_UNSUPPORTED), "%s\n%s", text, said());
	compile(s);
}

/* %C is the user chain, which both sides have: it drops one address. */
static void read_pair(const struct pair *p, struct side *ipt, struct side *nft)
{
	const char *drop = p->family == 4 ? "10.9.9.9" : "2001:db8:9::9", *c = strstr(p->ipt, "%C");
	bool user = c != NULL;
	char *rule = user ? arena_printf(arena, "%.*sUSER%s", (int)(c - p->ipt), p->ipt, c + 2) : (char *)p->ipt;

	read_text(ipt, p->family == 4 ? FE_TEXT_IPT : FE_TEXT_IP6T,
		  arena_printf(arena, "*filter\n:INPUT ACCEPT [0:0]\n:FORWARD ACCEPT [0:0]\n:OUTPUT ACCEPT [0:0]\n%s-A INPUT %s\n%s%s%sCOMMIT\n",
			       user ? ":USER - [0:0]\n" : "", rule, user ? "-A USER -d " : "", user ? drop : "",
			       user ? " -j DROP\n" : ""));
	read_text(nft, FE_TEXT_NFT,
		  arena_printf(arena, "table %s t {\n%s%s%s%s%s\tchain in {\n\t\ttype filter hook input priority 0; policy accept;\n\t\t%s\n\t}\n}\n",
			       p->family == 4 ? "ip" : "ip6", user ? "\tchain user {\n\t\t" : "",
			       user ? (p->family == 4 ? "ip daddr " : "ip6 daddr ") : "", user ? drop : "", user ? " counter drop" : "",
			       user ? "\n\t}\n" : "", p->nft));
}

static const char *text_of(const struct imr *imr)
{
	struct strbuf out = { .arena = arena };

	imr_print(&out, imr);
	return out.s;
}

START_TEST(one_program)
{
	struct side ipt = { 0 }, nft = { 0 };

	read_pair(&same[_i], &ipt, &nft);
	ck_assert_msg(imr_same(ipt.imr, nft.imr), "%s | %s\n%s\n%s", same[_i].ipt, same[_i].nft, text_of(ipt.imr), text_of(nft.imr));
	ck_assert_msg(be_prog_same(&ipt.prog, &nft.prog), "%s | %s: the programs differ", same[_i].ipt, same[_i].nft);
}
END_TEST

/* Only the iptables side has the line, or only the nft side: the difference is where the trap says. */
START_TEST(two_meanings)
{
	struct side ipt = { 0 }, nft = { 0 };
	regex_t re;
	bool a, b;

	read_pair(&differ[_i], &ipt, &nft);
	ck_assert_int_eq(regcomp(&re, differ[_i].what, REG_EXTENDED | REG_NOSUB), 0);
	a = !regexec(&re, text_of(ipt.imr), 0, NULL, 0);
	b = !regexec(&re, text_of(nft.imr), 0, NULL, 0);
	regfree(&re);
	ck_assert_msg(!imr_same(ipt.imr, nft.imr), "%s | %s: trap %s", differ[_i].ipt, differ[_i].nft, differ[_i].trap);
	ck_assert_msg(a && !b, "%s | %s: trap %s: \"%s\" not just on one side\n%s\n%s", differ[_i].ipt, differ[_i].nft,
		      differ[_i].trap, differ[_i].what, text_of(ipt.imr), text_of(nft.imr));
}
END_TEST

int main(void)
{
	Suite *s = suite_create("twins");
	TCase *t = tcase_create("pairs");
	SRunner *r = srunner_create(s);
	const char *skip = subject_no_text();
	int failed;

	tcase_add_checked_fixture(t, setup, teardown);
	tcase_set_timeout(t, 60);
	if (skip) {
		printf("skip: twins: %s\n", skip);
	} else {
		tcase_add_loop_test(t, one_program, 0, sizeof(same) / sizeof(*same));
		tcase_add_loop_test(t, two_meanings, 0, sizeof(differ) / sizeof(*differ));
	}
	suite_add_tcase(s, t);
	srunner_run_all(r, CK_NORMAL);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	printf("%zu pairs that are one, %zu that are not\n", sizeof(same) / sizeof(*same), sizeof(differ) / sizeof(*differ));
	return failed != 0;
}
