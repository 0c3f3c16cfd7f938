/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A third frontend, for a format that exists only here, added without an edit in imr/: what a frontend needs is in imr.h.
 * A line is `drop|pass [from A.B.C.D/N] [proto N] [port N]`; everything after the last line passes.
 */
#include <arpa/inet.h>
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "imr.h"

static bool word_from(struct imr *imr, struct imr_rule *r, const char *arg)
{
	unsigned int a, b, c, d, n;
	u128 lo;

	if (sscanf(arg, "%u.%u.%u.%u/%u", &a, &b, &c, &d, &n) != 5 || n > 32)
		return false;
	lo = (a << 24 | b << 16 | c << 8 | d) & (n ? ~0u << (32 - n) : 0);
	imr_need(imr, r, B_NH, 20, ELSE_NEXT);
	imr_in(imr, r, false, imr_ld(imr, r, F_IP_SADDR), imr_set_one(imr, lo, lo | (n ? (1ull << (32 - n)) - 1 : 0xffffffff)), ELSE_NEXT);
	return true;
}

static bool word_proto(struct imr *imr, struct imr_rule *r, const char *arg)
{
	imr_cmp(imr, r, OP_EQ, imr_ld(imr, r, F_TH_PROTO), atoi(arg), ELSE_NEXT);
	return true;
}

static bool word_port(struct imr *imr, struct imr_rule *r, const char *arg)
{
	imr_need(imr, r, B_TH, 4, ELSE_NEXT);
	imr_cmp(imr, r, OP_EQ, imr_ld(imr, r, F_TH_DPORT), atoi(arg), ELSE_NEXT);
	return true;
}

static const struct { const char *word; bool (*add)(struct imr *imr, struct imr_rule *r, const char *arg); } words[] = {
	{ "from", word_from }, { "proto", word_proto }, { "port", word_port },
};

static bool toy_line(struct imr *imr, struct imr_chain *c, char *line, uint32_t number)
{
	struct imr_at at = { .tool = "toy", .where = "toy", .number = number, .text = arena_strndup(imr->arena, line, strlen(line)) };
	struct imr_rule *r = imr_rule_add(imr, c, &at);
	char *save, *verdict = strtok_r(line, " ", &save), *word, *arg;

	while ((word = strtok_r(NULL, " ", &save)) && (arg = strtok_r(NULL, " ", &save))) {
		bool known = false;

		for (size_t i = 0; i < sizeof(words) / sizeof(*words); i++)
			if (!strcmp(words[i].word, word))
				known = words[i].add(imr, r, arg);
		if (!known) {
			diag_add(imr->diags, DIAG_UNSUPPORTED, &at, "\"%s\" is not supported", word);
			imr_stmt(imr, r, OP_OPAQUE, word);
		}
	}
	imr_stmt(imr, r, OP_COUNT, NULL);
	imr_end(imr, r, !strcmp(verdict, "drop") ? OP_DROP : OP_ACCEPT, 0);
	return true;
}

static struct imr *toy_read(struct arena *a, struct diags *ds, const char *text)
{
	static const struct imr_profile p = { .th_fast_frag = true };
	struct imr *imr = imr_new(a, ds, &p);
	struct imr_chain *c = imr_chain_add(imr, "toy");
	char *copy = arena_strndup(a, text, strlen(text)), *save, *line;
	uint32_t n = 0;

	c->at = (struct imr_at){ .tool = "toy", .where = "toy" };
	c->hook = HOOK_IP_PREROUTING;
	c->policy = OP_ACCEPT;
	for (line = strtok_r(copy, "\n", &save); line; line = strtok_r(NULL, "\n", &save))
		toy_line(imr, c, line, ++n);
	imr_number(imr);
	return imr;
}

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

static enum imr_verdict verdict(const struct imr *imr, uint8_t first, uint16_t port)
{
	static uint8_t f[42] = { 2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 9, 8, 0, 0x45, 0, 0, 28, 0, 0, 0, 0, 64, 17 };
	struct imr_pkt pkt = { .frame = f, .len = sizeof(f), .iif = 1, .iifname = "v0", .mac = { 2, 0, 0, 0, 0, 1 } };
	struct imr_result r;
	uint32_t sum = 0;

	f[24] = f[25] = 0;
	f[26] = first;
	f[30] = 192;
	f[36] = port >> 8;
	f[37] = port;
	for (int i = 14; i < 34; i += 2)
		sum += f[i] << 8 | f[i + 1];
	sum = ~((sum & 0xffff) + (sum >> 16));
	f[24] = sum >> 8;
	f[25] = sum;
	imr_run(&r, imr, 0, &pkt, NULL);
	return r.verdict;
}

START_TEST(compiles)
{
	struct imr *imr = toy_read(arena, &diags, "pass from 10.0.0.0/8 proto 17 port 53\ndrop from 10.0.0.0/8\ndrop port 7");
	const char *bad = imr_check(imr, "toy");

	ck_assert_msg(!bad, "%s", bad);
	for (int optimised = 0; optimised < 2; optimised++) {
		ck_assert_int_eq(verdict(imr, 10, 53), V_ACCEPT);
		ck_assert_int_eq(verdict(imr, 10, 54), V_DROP);
		ck_assert_int_eq(verdict(imr, 11, 54), V_ACCEPT);
		ck_assert_int_eq(verdict(imr, 11, 7), V_DROP);
		ck_assert(optimised || imr_optimise(imr, NULL));
	}
}
END_TEST

START_TEST(shares_loads)
{
	struct imr *imr = toy_read(arena, &diags, "drop proto 6 port 22\ndrop proto 17 port 53");
	struct strbuf out = { .arena = arena };
	char *first;

	ck_assert(imr_optimise(imr, NULL));
	imr_print(&out, imr);
	first = strstr(out.s, "ld th.dport");
	ck_assert_msg(first && !strstr(first + 1, "ld th.dport"), "%s", out.s);
}
END_TEST

START_TEST(refuses)
{
	toy_read(arena, &diags, "drop moon full");
	ck_assert(diags_have(&diags, DIAG_UNSUPPORTED));
	ck_assert_str_eq(diags.d[0].at.text, "drop moon full");
}
END_TEST

int main(void)
{
	Suite *s = suite_create("toy");
	TCase *t = tcase_create("frontend");
	SRunner *r = srunner_create(s);
	int failed;

	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_test(t, compiles);
	tcase_add_test(t, shares_loads);
	tcase_add_test(t, refuses);
	suite_add_tcase(s, t);
	srunner_run_all(r, CK_NORMAL);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed != 0;
}
