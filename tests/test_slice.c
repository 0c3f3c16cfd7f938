/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Slices and placed ingress chains: each rule of the transformation as text in and text out, and the law over random
 * programs. A mutation of what the slice is made from must make the law fail: that is the test of the test.
 */
#include <check.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "slice_law.h"

#define SEED 20240229
#define PROGRAMS 3000
#define PACKETS 40

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

/* ------------------------------------------------------------------ the law */

/* What an unsound slice would be made from. Each takes away one thing that a slice must heed. */
enum mutation {
	M_NONE, M_OPAQUE, M_EFFECT, M_NAT, M_NATLESS, M_FORWARD, M_ROUTE, M_STACK, M_HOTDROP, M_PASS, M_PRIO, M_SAME, M_MAX
};

static const char *const mutation_names[M_MAX] = {
	"none", "unknown tests taken as true", "effects left out", "nat chains left out", "nat left out",
	"forwarding left out", "routing taken as known", "the stack left out", "a drop of one path taken for all",
	"pass taken as drop", "hooks in the wrong order", "a known order of equal priorities",
};

static void take_out(struct imr_rule *r, enum imr_op op)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < r->n; i++)
		if (r->insn[i].op != op)
			r->insn[n++] = r->insn[i];
	r->n = n;
}

static void mutate_program(struct law *l, enum mutation m)
{
	for (uint32_t c = 0; c < l->imr->n; c++) {
		struct imr_chain *chain = &l->imr->chain[c];

		for (uint32_t r = 0; r < chain->n; r++) {
			if (m == M_OPAQUE)
				take_out(&chain->rule[r], OP_OPAQUE);
			if (m == M_EFFECT)
				take_out(&chain->rule[r], OP_EFFECT);
		}
		if ((m == M_NAT || m == M_NATLESS) && chain->kind == KIND_NAT)
			chain->hook = HOOK_IP_OUTPUT;
		if (m == M_NATLESS)
			chain->kind = KIND_FILTER;
		if (m == M_SAME)
			chain->prio = 100 * chain->prio + c;
		if (m == M_PRIO)
			chain->prio = -chain->prio;
	}
}

static void mutate_env(struct imr_env *env, enum mutation m)
{
	if (m == M_FORWARD)
		env->fwd4 = env->fwd6 = false;
	if (m == M_ROUTE)
		env->plain_rules = true;
}

/* The slice's own rules for what happens between the hooks. */
static bool is_stack(const struct imr_rule *r)
{
	return !strcmp(r->at.where, "ip options") || !strcmp(r->at.where, "ip forward");
}

static void mutate_slice(struct imr *s, enum mutation m)
{
	for (uint32_t r = 0; r < s->chain[0].n; r++)
		for (uint32_t i = 0; i < s->chain[0].rule[r].n; i++) {
			struct imr_insn *in = &s->chain[0].rule[r].insn[i];

			if (m == M_STACK && in->op == OP_PASS && is_stack(&s->chain[0].rule[r]))
				in->op = OP_NEXT;
			if (m == M_PASS && in->op == OP_PASS)
				in->op = OP_DROP;
			if (m == M_HOTDROP && in->els == ELSE_RULE)
				in->els = ELSE_DROP;
		}
}

/* The program twice from one seed: one to judge by, one that became a slice. */
static struct imr *law_make(struct law *l, uint64_t seed, enum mutation m)
{
	struct imr_env env;
	struct imr *s;

	l->rnd = seed * 0x9e3779b97f4a7c15ull | 1;
	law_env(l);
	law_program(l);
	env = l->env;
	mutate_program(l, m);
	mutate_env(&env, m);
	if (!imr_optimise(l->imr, NULL))
		return NULL;
	s = imr_place_slice(l->imr, &env);
	if (s)
		mutate_slice(s, m);
	l->rnd = seed * 0x9e3779b97f4a7c15ull | 1;
	law_env(l);
	law_program(l);
	return s;
}

static void law_blame(const struct law *l, const struct imr *s, uint64_t seed)
{
	struct strbuf b = { .arena = l->arena };

	imr_print(&b, l->imr);
	strbuf_add(&b, "# slice, seed %" PRIu64 ", forward %d %d, plain %d\n", seed, l->env.fwd4, l->env.fwd6,
		   l->env.plain_rules);
	imr_print(&b, s);
	for (uint32_t i = 0; i < l->pkt.len; i++)
		strbuf_add(&b, "%02x", l->frame[i]);
	fprintf(stderr, "%s\n", b.s);
}

/* Packets that the slice drops and some completion of the rules does not. */
static uint32_t law_run(struct law *l, const struct imr *s, struct law_count *n)
{
	uint32_t bad = 0;

	for (int k = 0; k < PACKETS; k++) {
		struct imr_result res;
		uint32_t spared;

		law_packet(l);
		imr_run(&res, s, 0, &l->pkt, NULL);
		ck_assert_int_ne(res.verdict, V_UNKNOWN);
		if (res.verdict == V_NONE)
			continue;
		spared = law_completions(l, n);
		n->packets++;
		n->certain += !spared;
		n->sliced += res.verdict == V_DROP;
		if (res.verdict == V_DROP && spared)
			bad++;
	}
	return bad;
}

static uint32_t law_seeds(enum mutation m, uint32_t programs, uint32_t max_users, struct law_count *n)
{
	uint32_t bad = 0;

	for (uint64_t seed = SEED; seed < SEED + programs; seed++) {
		struct arena *a = arena_new();
		struct diags ds = { .arena = a };
		struct law l = { .arena = a, .diags = &ds, .max_users = max_users };
		struct imr *s = law_make(&l, seed, m);
		uint32_t wrong;

		ck_assert_msg(s, "seed %" PRIu64 ": %s", seed, ds.n ? ds.d[0].message : "no slice");
		ck_assert_msg(!imr_check(s, "slice"), "seed %" PRIu64 ": %s", seed, imr_check(s, "slice"));
		wrong = law_run(&l, s, n);
		if (wrong && m == M_NONE)
			law_blame(&l, s, seed);
		bad += wrong;
		arena_free(a);
		if (bad && m != M_NONE)
			break;
	}
	return bad;
}

START_TEST(test_law)
{
	struct law_count n = { 0 };
	uint32_t bad = law_seeds(M_NONE, PROGRAMS, 2, &n);

	printf("slice: seeds %d to %d: %" PRIu64 " packets, %" PRIu64 " completions; %" PRIu64 " surely dropped, %" PRIu64
	       " of them early (%.1f %%)\n",
	       SEED, SEED + PROGRAMS - 1, n.packets, n.completions, n.certain, n.sliced, 100.0 * n.sliced / n.certain);
	ck_assert_uint_eq(bad, 0);
	ck_assert_uint_gt(n.sliced * 2, n.certain);
}
END_TEST

START_TEST(test_law_catches)
{
	struct law_count n = { 0 };

	ck_assert_msg(law_seeds(_i, PROGRAMS, 2, &n), "not seen: %s", mutation_names[_i]);
}
END_TEST

/* ------------------------------------------------------------------ counters, and ingress */

/* How often the counter of a rule, or of a policy, was bumped. */
static uint32_t hits_of(const struct imr *imr, const uint32_t *hits, const char *where, uint32_t number)
{
	uint32_t n = 0;

	for (uint32_t c = 0; c < imr->n; c++) {
		const struct imr_chain *ch = &imr->chain[c];

		if (!number && ch->policy_count && !strcmp(ch->at.where, where))
			n += hits[ch->policy_slot];
		for (uint32_t r = 0; r < ch->n; r++) {
			const struct imr_rule *rule = &ch->rule[r];

			if (strcmp(rule->at.where, where) || rule->at.number != number)
				continue;
			for (uint32_t i = 0; i < rule->n; i++)
				if (rule->insn[i].op == OP_COUNT || rule->insn[i].op == OP_TALLY)
					n += hits[rule->insn[i].slot];
		}
	}
	return n;
}

/* The place counted what the chains count (which law_pipeline left in l->hits); a counter of the program that the place
 * does not know is 0. */
static bool law_same_counts(const struct law *l, const struct imr *placed, const struct imr_result *res)
{
	uint32_t hits[256] = { 0 };

	for (uint32_t i = 0; i < res->n_slot; i++)
		hits[res->slot[i]]++;
	for (uint32_t c = 0; c < l->imr->n; c++) {
		const struct imr_chain *ch = &l->imr->chain[c];
		bool policy = ch->hook != HOOK_NONE && ch->policy_count &&
			      (ch->policy == OP_DROP || strcmp(ch->at.tool, "nft"));

		for (uint32_t n = policy ? 0 : 1; n <= ch->n; n++)
			if (hits_of(l->imr, l->hits, ch->at.where, n) != hits_of(placed, hits, ch->at.where, n))
				return false;
	}
	return true;
}

/* Where nothing is unknown, every packet that is dropped early is counted by the rules that would have counted it. */
START_TEST(test_counts)
{
	uint32_t dropped = 0;

	for (uint64_t seed = SEED; seed < SEED + PROGRAMS; seed++) {
		static const uint64_t choice[64];
		struct arena *a = arena_new();
		struct diags ds = { .arena = a };
		struct law l = { .arena = a, .diags = &ds, .plain = true, .max_users = 2 };
		struct imr *s = law_make(&l, seed, M_NONE);

		ck_assert(s);
		for (int k = 0; k < PACKETS; k++) {
			struct imr_result res;

			law_packet(&l);
			imr_run(&res, s, 0, &l.pkt, NULL);
			if (res.verdict != V_DROP || !l.env.plain_rules || res.n_slot > 64)
				continue;
			memset(l.hits, 0, sizeof(l.hits));
			ck_assert(law_pipeline(&l, choice));
			dropped++;
			if (law_is_special(&l) || law_same_counts(&l, s, &res))
				continue;
			law_blame(&l, s, seed);
			ck_abort_msg("seed %" PRIu64 ": counters differ", seed);
		}
		arena_free(a);
	}
	ck_assert_uint_gt(dropped, PROGRAMS);
}
END_TEST

/* An ingress row is exact: verdict and counters of every frame. */
START_TEST(test_ingress_exact)
{
	for (uint64_t seed = SEED; seed < SEED + PROGRAMS; seed++) {
		static const uint64_t choice[64];
		struct arena *a = arena_new();
		struct diags ds = { .arena = a };
		struct law l = { .arena = a, .diags = &ds, .plain = true, .ingress = true, .max_users = 2 };
		struct imr *s;

		l.rnd = seed * 0x9e3779b97f4a7c15ull | 1;
		law_env(&l);
		law_program(&l);
		ck_assert(imr_optimise(l.imr, NULL));
		s = imr_place_ingress(l.imr, &l.env);
		ck_assert(s);
		for (int k = 0; k < PACKETS; k++) {
			struct imr_result res;
			bool drop;

			law_packet(&l);
			imr_run(&res, s, 0, &l.pkt, NULL);
			memset(l.hits, 0, sizeof(l.hits));
			drop = law_pipeline(&l, choice);
			if (res.verdict == (drop ? V_DROP : V_ACCEPT) && law_same_counts(&l, s, &res))
				continue;
			law_blame(&l, s, seed);
			ck_abort_msg("seed %" PRIu64 ": verdict %d, chains drop %d", seed, res.verdict, drop);
		}
		arena_free(a);
	}
}
END_TEST

#include "slice_cases.h"

int main(void)
{
	Suite *s = suite_create("slice");
	TCase *c = tcase_create("cases"), *law = tcase_create("law");
	SRunner *r;
	int failed;

	tcase_add_checked_fixture(c, setup, teardown);
	add_cases(c);
	suite_add_tcase(s, c);
	tcase_set_timeout(law, 300);
	tcase_add_test(law, test_law);
	tcase_add_test(law, test_counts);
	tcase_add_test(law, test_ingress_exact);
	tcase_add_loop_test(law, test_law_catches, M_NONE + 1, M_MAX);
	suite_add_tcase(s, law);
	r = srunner_create(s);
	srunner_run_all(r, CK_ENV);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
