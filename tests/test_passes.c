/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The passes: what each makes of a text, which programs become one, and that none changes a meaning. The last is asked
 * of random programs, whose constants are what a packet really holds, and of packets that lie around that one.
 */
#include <check.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "gen_imr.h"

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

/* ------------------------------------------------------------------ rules that ask for a VLAN tag */

START_TEST(tag_readers)
{
	static const char text[] = HEAD("netdev.ingress")
		"entry\n\t%0 =be16 ld eth.type\n\t%1 =be16 ld meta.protocol\n"
		"rule\n\teq %0, 0x8100\n\tdrop\n"			/* 0 */
		"rule\n\teq %1, 0x0800\n\tdrop\n"
		"rule\n\tin %1, {0x8100, 0x86dd}\n\tdrop\n"		/* 2 */
		"rule\n\tne %1, 0x88a8\n\tdrop\n"			/* 3 */
		"rule\n\tne %1, 0x0800\n\tdrop\n"
		"rule\n\t%2 =be16 ld raw ll+14:2\n\t%3 =be16 and %2, 0x0fff\n\teq %3, 5\n\tdrop\n"	/* 5 */
		"rule\n\t%2 =be64 ld raw ll+6:8\n\teq %2, 5\n\tdrop\n"		/* 6 */
		"rule\n\t%2 =mac ld eth.saddr\n\teq %2, 02:00:00:00:00:01\n\tneed ll, 18\n\tdrop\n"
		"rule\n\t%2 =u8 ld ip.ttl\n\teq %2, 5\n\tdrop\n"
		"}\n";
	static const unsigned int want[] = { 0, 2, 3, 5, 6 };
	struct imr *imr = parse(text);
	const struct imr_rule **got;
	uint32_t n;

	got = imr_tag_readers(imr, &n);
	ck_assert_uint_eq(n, sizeof(want) / sizeof(*want));
	for (uint32_t i = 0; i < n; i++)
		ck_assert_ptr_eq(got[i], &imr->chain[0].rule[want[i]]);
}
END_TEST

/* ------------------------------------------------------------------ no pass changes a meaning */

static void next_packet(struct imr_gen *g, const struct pool *pool, uint8_t *frame, struct imr_pkt *pkt)
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

static void ask(const char *seed, const struct imr *imr, const struct imr *opt, const char *pass,
		const struct imr_pkt *pkt, const uint64_t *choice)
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
	ck_abort_msg("seed %s, after %s: verdict %d, %u counted; was %d, %u\npacket %s\n%s\n%s", seed, pass,
		     after.verdict, after.n_slot, before.verdict, before.n_slot, hex, print(imr), print(opt));
}

static void one_program(uint64_t seed)
{
	struct imr_gen g = { 0 };
	const char *in = gen_program(&g, arena, seed), *name = arena_printf(arena, "%" PRIu64, seed);
	const struct imr *imr = parse(in), *form[16];
	static uint8_t frame[GEN_FRAME];
	static struct pool pool;
	uint64_t *choice = arena_alloc(arena, (imr->n_opaque + 1) * sizeof(*choice));
	unsigned int n = 0;

	for (const struct imr_pass *p = imr_passes; p->name; p++, n++) {
		const char *text;

		form[n] = optimised(in, p->name);
		text = print(form[n]);
		ck_assert_msg(!strcmp(text, print(parse(text))), "seed %s, after %s: not its own text\n%s", name,
			      p->name, text);
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

/* Once is enough for what tools write. Where ranges of one load met in fold and left one value, or where a first part
 * is known only then to be there, a second round says it in fields; it must come to rest. */
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
		struct imr_gen g = { 0 };
		const uint64_t seed = SEED + k * 1000033ull;
		const char *text[2];
		struct imr *a, *b;

		teardown();
		setup();
		gen_twins(&g, arena, seed, text);
		a = optimised(text[0], NULL);
		b = optimised(text[1], NULL);
		ck_assert_msg(imr_same(a, b), "seed %" PRIu64 "\n%s\nbecame\n%s\n%s", seed, text[0], print(a),
			      print(b));
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
	tcase_add_test(t, tag_readers);
	tcase_add_test(t, same_meaning);
	tcase_add_test(t, any_order);
	suite_add_tcase(s, t);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed != 0;
}
