/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A target more, in one file and one row: what adding one asks for. The made-up machine has one instruction a rule: the
 * list of source addresses that it drops. Whatever else a rule says it refuses, by name.
 */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "backend.h"

static struct arena *arena;
static struct diags diags;

/* A rule of the toy: `in ip.saddr, …; drop`. */
static bool is_sayable(const struct imr_chain *c, const struct imr_rule *r)
{
	const struct imr_insn *ld = NULL;

	for (uint32_t i = 0; i < c->n_entry; i++)
		if (r->n && c->entry[i].dst == r->insn[0].a)
			ld = &c->entry[i];
	return r->n == 2 && r->insn[0].op == OP_EQ && ld && ld->op == OP_LD && ld->field == F_IP_SADDR && r->insn[1].op == OP_DROP;
}

static bool toy_compile(const struct imr *imr, const struct caps *caps, const struct be_opts *opts, struct be_prog *ret)
{
	const struct imr_chain *c = &imr->chain[0];

	*ret = (struct be_prog){ .name = "toy" };
	ret->insn = arena_alloc(imr->arena, (c->n + 1) * sizeof(*ret->insn));
	for (uint32_t r = 0; r < c->n; r++) {
		if (!is_sayable(c, &c->rule[r])) {
			diag_add(imr->diags, DIAG_UNSUPPORTED, &c->rule[r].at, "toy: only source addresses");
			return false;
		}
		ret->insn[ret->n++].imm = (int32_t)c->rule[r].insn[0].imm;
	}
	return true;
}

/* The row. */
static const char *const toy_needs[] = { "map.array", NULL };
static const struct target toy = { .name = "toy", .what = "a list of addresses", .needs = toy_needs,
				   .hooks = 1u << HN_INPUT, .compile = toy_compile, .verdict_drop = 1, .verdict_pass = 0 };

static struct imr *program(const char *rules)
{
	char *text = arena_printf(arena, "imr 1\nchain @\"c\" from imr \"c\" hook ip.input kind filter prio 0 policy accept {\n%s}\n", rules);
	struct imr *imr = imr_parse(arena, &diags, text, strlen(text));

	ck_assert(imr && imr_optimise(imr, NULL));
	return imr;
}

START_TEST(says_what_it_can)
{
	struct imr *imr = program("rule imr \"c\" 1\n\t%0 =ip4 ld ip.saddr\n\teq %0, 10.0.0.1\n\tdrop\n"
				  "rule imr \"c\" 2\n\t%0 =ip4 ld ip.saddr\n\teq %0, 10.0.0.9\n\tdrop\n");
	struct caps caps = { .array = true }, none = { 0 };
	struct be_opts o = { 0 };
	const char *what;
	struct be_prog p;

	ck_assert(be_compile(imr, &toy, &caps, &o, &p));
	ck_assert_uint_eq(p.n, 2);
	ck_assert_int_eq(p.insn[1].imm, 0x0a000009);
	ck_assert_str_eq(be_target_missing(&toy, &none, &what), "map.array");
}
END_TEST

START_TEST(refuses_by_name)
{
	struct imr *imr = program("rule imr \"c\" 1\n\t%0 =ip4 ld ip.saddr\n\teq %0, 10.0.0.1\n\tdrop\n"
				  "rule imr \"c\" 2\n\t%0 =ip4 ld ip.daddr\n\teq %0, 10.0.0.9\n\tdrop\n");
	struct caps caps = { .array = true };
	struct be_opts o = { 0 };
	struct be_prog p;

	ck_assert(!be_compile(imr, &toy, &caps, &o, &p));
	ck_assert_uint_eq(diags.d[diags.n - 1].at.number, 2);
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

int main(void)
{
	Suite *s = suite_create("toy target");
	TCase *c = tcase_create("toy");
	SRunner *run = srunner_create(s);
	int failed;

	tcase_add_checked_fixture(c, setup, teardown);
	tcase_add_test(c, says_what_it_can);
	tcase_add_test(c, refuses_by_name);
	suite_add_tcase(s, c);
	srunner_run_all(run, CK_NORMAL);
	failed = srunner_ntests_failed(run);
	srunner_free(run);
	return failed ? 1 : 0;
}
