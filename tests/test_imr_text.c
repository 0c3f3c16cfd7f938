/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The text form and the verifier: what is printed parses back byte for byte, what is refused is refused at its line and
 * column, broken programs are named, and no bytes whatever make the parser do worse than say no.
 */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "imr.h"

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

/* ------------------------------------------------------------------ helpers */

static const char *printed(const struct imr *imr)
{
	struct strbuf out = { .arena = arena };

	imr_print(&out, imr);
	return out.s;
}

static struct imr *parsed(const char *text)
{
	struct imr *imr = imr_parse(arena, &diags, text, strlen(text));

	ck_assert_msg(imr, "%s\n%s", diags.n ? diags.d[diags.n - 1].message : "?", text);
	ck_assert_ptr_null(imr_check(imr, "parse"));
	return imr;
}

/* Canonical text: it comes back as it is. */
static void exact(const char *text)
{
	struct imr *imr = parsed(text);
	const char *again = printed(imr);

	ck_assert_str_eq(again, text);
	ck_assert(imr_same(imr, parsed(again)));
}

#define HEAD "imr 1\nchain @\"c\" hook ip.input kind filter prio 0 policy accept {\n"
#define EARLY "imr 1\nchain @\"c\" hook early.l3 kind filter prio 0 policy pass {\n"

static const char *in_rule(const char *insns)
{
	return arena_printf(arena, HEAD "rule\n%s\tdrop\n}\n", insns);
}

/* Any text of the same meaning as the canonical one. */
static void reads_as(const char *insns, const char *canonical)
{
	ck_assert_str_eq(printed(parsed(in_rule(insns))), in_rule(canonical));
}

static void refused(const char *text, const char *message)
{
	uint32_t n = diags.n;

	ck_assert_msg(!imr_parse(arena, &diags, text, strlen(text)), "accepted:\n%s", text);
	ck_assert_uint_eq(diags.n, n + 1);
	ck_assert_int_eq(diags.d[n].level, DIAG_ERROR);
	ck_assert_msg(strstr(diags.d[n].message, message), "\"%s\" lacks \"%s\":\n%s", diags.d[n].message, message,
		      text);
}

/* ------------------------------------------------------------------ round trips */

START_TEST(every_field)
{
	for (int f = F_RAW + 1; f < F_MAX; f++)
		exact(in_rule(arena_printf(arena, "\t%%0 =%s ld %s\n", imr_types[imr_fields[f].type].name,
					   imr_fields[f].name)));
	for (unsigned int len = 1; len <= 16; len++)
		for (int b = B_LL; b < B_MAX; b++)
			exact(in_rule(arena_printf(arena, "\t%%0 =%s ld raw %s+65535:%u\n",
						   imr_types[imr_type_be(len)].name, imr_bases[b], len)));
}
END_TEST

static const char *const every_op_text[OP_MAX] = {
	[OP_LD] = "\t%1 =be16 ld th.dport\n",
	[OP_AND] = "\t%1 =u8 and %0, 0x17\n",
	[OP_OR] = "\t%1 =u8 or %0, %0\n",
	[OP_XOR] = "\t%1 =u8 xor %0, 0xff\n",
	[OP_SHR] = "\t%1 =u8 shr %0, 7\n",
	[OP_SWAP] = "\t%1 =u8 swap %0\n",
	[OP_ISIN] = "\t%1 =u1 isin %0, {}\n",
	[OP_TCPOPT] = "\t%1 =u8 tcpopt tx, 255\n",
	[OP_UNKNOWN] = "\t%1 =name unknown \"fib\"\n",
	[OP_EQ] = "\teq %0, 1\n",
	[OP_NE] = "\tne %0, 1 else drop\n",
	[OP_LT] = "\tlt %0, 1 else pass\n",
	[OP_LE] = "\tle %0, 1 else 2\n",
	[OP_GT] = "\tgt %0, 1\n",
	[OP_GE] = "\tge %0, 1\n",
	[OP_IN] = "\tin %0, 1-3\n",
	[OP_NI] = "\tni %0, {1, 3-4, 255}\n",
	[OP_NEED] = "\tneed th, 65535\n",
	[OP_NOFLOW] = "\tnoflow else pass\n",
	[OP_OPAQUE] = "\topaque \"ct state new\" else drop\n",
	[OP_COUNT] = "\tcount\n",
	[OP_TALLY] = "\ttally\n",
	[OP_EFFECT] = "\teffect \"log\"\n",
	[OP_ACCEPT] = "\taccept\n",
	[OP_DROP] = "\tdrop\n",
	[OP_NEXT] = "\tnext 2\n",
	[OP_RETURN] = "\treturn\n",
	[OP_JUMP] = "\tjump @\"u\"\n",
	[OP_GOTO] = "\tgoto @\"u\"\n",
	[OP_PASS] = "\tpass\n",
};

START_TEST(every_op)
{
	for (int op = OP_NONE + 1; op < OP_MAX; op++) {
		const char *insn = every_op_text[op];

		ck_assert_msg(insn, "no text for %s", imr_ops[op].name);
		exact(arena_printf(arena, EARLY "rule\n\t%%0 =u8 ld th.proto\n%s%srule\n\tnext\n}\n"
				   "chain @\"u\" {\n}\n", insn, imr_ops[op].class == CLASS_END ? "" : "\tdrop\n"));
	}
}
END_TEST

START_TEST(every_hook)
{
	for (int h = HOOK_NONE + 1; h < HOOK_MAX; h++)
		for (int drop = 0; drop < 2; drop++)
			exact(arena_printf(arena, "imr 1\nchain @\"c\" hook %s kind nat prio %d policy %s%s {\n}\n",
					   imr_hooks[h].name, drop ? INT32_MIN : INT32_MAX, drop ? "drop" : "accept",
					   drop ? " count dev \"v0\" \"a b\"" : ""));
	exact("imr 1\n");
	exact("imr 1\nprofile th_fast_frag\n");
	exact("imr 1\nprofile th_fast_frag v6_exthdr_bound\n");
}
END_TEST

START_TEST(provenance)
{
	static const char *const at[] = {
		"", " - \"w\"", " nft -", " - - 4294967295", " - - handle 18446744073709551615",
		" nft \"ip filter INPUT\" 3 handle 7 \"ip saddr 1.2.3.4 drop\"", " \"a tool\" \"\" \"\"",
		" \"-\" \"w\\\"\\\\\\x01\\x0a\\xff\\x7f#\" \"\\xc3\\xa4\"",
	};

	for (size_t i = 0; i < sizeof(at) / sizeof(at[0]); i++) {
		const char *lead = *at[i] ? " from" : "";

		exact(arena_printf(arena, "imr 1\nchain @\"a \\\"\\\\\\x80\"%s%s {\nrule%s\n\treturn\n}\n", lead, at[i],
				   at[i]));
	}
}
END_TEST

/* Every byte that a string can hold, as text, as a chain's name and as an interface name. */
START_TEST(every_byte)
{
	for (unsigned int c = 1; c < 256; c++) {
		char s[3] = { (char)c, 'x', 0 };
		struct imr *imr = imr_new(arena, &diags, NULL);
		struct imr_chain *chain = imr_chain_add(imr, s);
		struct imr_rule *r = imr_rule_add(imr, chain, &(struct imr_at){ .tool = s, .where = s, .text = s });
		uint32_t v = imr_ld(imr, r, F_META_IIFNAME);
		u128 name = (u128)c << 120 | (u128)'*' << 112;
		struct imr *back;

		imr_cmp(imr, r, OP_EQ, v, name, ELSE_NEXT);
		imr_in(imr, r, false, v, imr_set_one(imr, name, name | (~(u128)0 >> 16)), ELSE_NEXT);
		imr_stmt(imr, r, OP_EFFECT, s);
		imr_end(imr, r, OP_DROP, 0);
		back = parsed(printed(imr));
		ck_assert(imr_same(imr, back));
		ck_assert_str_eq(printed(back), printed(imr));
		ck_assert_str_eq(back->chain[0].name, s);
		ck_assert_str_eq(back->chain[0].rule[0].at.tool, s);
		ck_assert_str_eq(back->chain[0].rule[0].at.text, s);
	}
}
END_TEST

static u128 random_value(uint64_t *state, enum imr_type t)
{
	u128 v = 0;

	for (int i = 0; i < 4; i++) {
		*state = *state * 6364136223846793005u + 1442695040888963407u;
		v = v << 32 | (uint32_t)(*state >> 32);
	}
	v &= imr_type_max(t);
	return *state >> 60 ? v : v >> (*state >> 50) % 128;
}

/* Constants, single ranges and prefixes of every length, of every type. */
START_TEST(every_type)
{
	uint64_t state = 1;

	for (int t = T_NONE + 1; t < T_MAX; t++) {
		struct imr *imr = imr_new(arena, &diags, NULL);
		struct imr_rule *r = imr_rule_add(imr, imr_chain_add(imr, "c"), NULL);
		uint32_t v = imr_opaque_value(imr, r, t, "any");
		struct imr *back;

		for (int k = 0; k < 200; k++) {
			u128 lo = random_value(&state, t), hi = random_value(&state, t);
			unsigned int host = k % (imr_types[t].bits + 1);
			u128 span = host == 128 ? ~(u128)0 : ((u128)1 << host) - 1;

			imr_cmp(imr, r, OP_LE, v, lo, ELSE_NEXT);
			imr_op2(imr, r, OP_AND, v, hi);
			imr_in(imr, r, k & 1, v, imr_set_one(imr, lo < hi ? lo : hi, lo < hi ? hi : lo), ELSE_DROP);
			imr_in(imr, r, k & 1, v, imr_set_one(imr, lo & ~span, lo | span), ELSE_NEXT);
		}
		imr_end(imr, r, OP_RETURN, 0);
		ck_assert_ptr_null(imr_check(imr, "build"));
		back = parsed(printed(imr));
		ck_assert_msg(imr_same(imr, back), "%s", printed(imr));
		ck_assert_str_eq(printed(back), printed(imr));
	}
}
END_TEST

START_TEST(forms)
{
	reads_as("%0=ip4 ld ip.daddr # comment\n\n  # more\nin %0,{0x0a000000/8 , 192.0.2.1-3221225987}\r\n",
		 "\t%0 =ip4 ld ip.daddr\n\tin %0, {10.0.0.0/8, 192.0.2.1-192.0.2.3}\n");
	reads_as("%0 =ip4 ld ip.daddr\nin %0, {1.2.3.4}\nin %0, 0/0\nin %0, 1.2.3.4/32\n",
		 "\t%0 =ip4 ld ip.daddr\n\tin %0, 1.2.3.4\n\tin %0, 0.0.0.0/0\n\tin %0, 1.2.3.4\n");
	reads_as("%0 =ip6 ld ip6.daddr\neq %0, 0:0::1\nin %0, 1-::5\nin %0, 340282366920938463463374607431768211455\n",
		 "\t%0 =ip6 ld ip6.daddr\n\teq %0, ::1\n\tin %0, ::1-::5\n"
		 "\tin %0, ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff\n");
	reads_as("%0 =name ld meta.iifname\nin %0, {\"eth*\"}\nin %0, \"*\"\neq %0, 0\neq %0, \"0123456789abcdef\"\n"
		 "eq %0, \"\\x2a\"\nin %0, \"0123456789abcdef*\"\n",
		 "\t%0 =name ld meta.iifname\n\tin %0, \"eth*\"\n\tin %0, \"*\"\n\teq %0, \"\"\n"
		 "\teq %0, \"0123456789abcdef\"\n\teq %0, \"\\x2a\"\n\tin %0, \"0123456789abcdef\"\n");
	reads_as("%0 =mac ld eth.saddr\neq %0, 1\neq %0, AA:bb:00:00:00:01 else next\n",
		 "\t%0 =mac ld eth.saddr\n\teq %0, 00:00:00:00:00:01\n\teq %0, aa:bb:00:00:00:01\n");
	ck_assert_str_eq(printed(parsed("\n#\nimr 1\nchain @\"c\" hook ip.input{\n}")),
			 "imr 1\nchain @\"c\" hook ip.input kind filter prio 0 policy accept {\n}\n");
}
END_TEST

/* ------------------------------------------------------------------ refusals */

static const struct {
	const char *text, *message;
} refusals[] = {
#define ROW(text, message) { text, message },
#include "test_imr_text.def"
};

START_TEST(refusal)
{
	refused(refusals[_i].text, refusals[_i].message);
}
END_TEST

START_TEST(refused_zero_byte)
{
	static const char text[] = "imr 1\nchain @\"a\0b\" {\n}\n";

	ck_assert_ptr_null(imr_parse(arena, &diags, text, sizeof(text) - 1));
	ck_assert_ptr_nonnull(strstr(diags.d[0].message, "line 2, column 10"));
}
END_TEST

/* ------------------------------------------------------------------ the verifier */

static struct imr *sample(void)
{
	return parsed("imr 1\n"
		      "chain @\"a\" hook ip.input kind filter prio 0 policy accept {\n"
		      "entry\n"
		      "\t%0 =be16 ld th.dport\n"
		      "rule\n"
		      "\t%1 =be16 and %0, 0xff\n"
		      "\tin %1, {1, 3}\n"
		      "\tjump @\"u\"\n"
		      "rule\n"
		      "\tneed th, 4 else drop\n"
		      "\tnext\n"
		      "rule\n"
		      "\tdrop\n"
		      "}\n"
		      "chain @\"u\" {\n"
		      "rule\n"
		      "\treturn\n"
		      "}\n");
}

static struct imr_insn *insn(struct imr *imr, uint32_t rule, uint32_t i)
{
	return &imr->chain[0].rule[rule].insn[i];
}

#define BROKEN(change, message) do {								\
	struct imr *imr = sample();								\
	const char *bad;									\
												\
	change;											\
	bad = imr_check(imr, "fold");								\
	ck_assert_msg(bad, "not seen: %s", #change);						\
	ck_assert_msg(strstr(bad, "fold") && strstr(bad, message), "\"%s\" for %s", bad, #change);	\
} while (0)

static struct imr_set *bad_set(u128 lo, u128 hi, u128 lo2, u128 hi2)
{
	struct imr_set *s = arena_alloc(arena, sizeof(*s));

	s->n = 2;
	s->r = arena_alloc(arena, 2 * sizeof(*s->r));
	s->r[0] = (struct imr_range){ lo, hi };
	s->r[1] = (struct imr_range){ lo2, hi2 };
	return s;
}

START_TEST(broken_insns)
{
	BROKEN(insn(imr, 0, 0)->op = OP_NONE, "chain \"a\": rule 1, instruction 1 (?): no such");
	BROKEN(insn(imr, 0, 0)->op = OP_MAX, "no such instruction");
	BROKEN(insn(imr, 0, 0)->type = T_MAX, "has no type");
	BROKEN(insn(imr, 0, 0)->type = T_U16, "operand's type");
	BROKEN(insn(imr, 0, 0)->a = 7, "rule 1, instruction 1 (and): an operand");
	BROKEN(insn(imr, 0, 0)->a = IMR_NOVAL, "an operand");
	BROKEN(insn(imr, 0, 0)->imm = 0x10000, "too large");
	BROKEN(insn(imr, 0, 0)->dst = 0, "defined twice");
	BROKEN(insn(imr, 0, 0)->dst = IMR_NOVAL, "too large");
	BROKEN(insn(imr, 0, 0)->els = ELSE_DROP, "only tests");
	BROKEN(insn(imr, 0, 1)->els = 9, "no such else");
	BROKEN(insn(imr, 0, 1)->type = T_U16, "not its operand's");
	BROKEN(insn(imr, 0, 1)->set = NULL, "no set");
	BROKEN(insn(imr, 0, 1)->set = bad_set(3, 3, 1, 1), "ascending");
	BROKEN(insn(imr, 0, 1)->set = bad_set(3, 5, 5, 9), "ascending");
	BROKEN(insn(imr, 0, 1)->set = bad_set(3, 5, 6, 9), "adjacent");
	BROKEN(insn(imr, 0, 1)->set = bad_set(1, 2, 9, 8), "ends before");
	BROKEN(insn(imr, 0, 1)->set = bad_set(1, 2, 9, 65536), "too large");
	BROKEN(insn(imr, 0, 1)->dst = 5, "yields no value");
	BROKEN((insn(imr, 0, 1)->els = ELSE_RULE, insn(imr, 0, 1)->to = 0), "not a later one");
	BROKEN((insn(imr, 0, 1)->els = ELSE_RULE, insn(imr, 0, 1)->to = 3), "does not have");
	BROKEN(insn(imr, 1, 0)->len = 0, "at least one");
	BROKEN(insn(imr, 1, 0)->base = B_META, "are needed from");
	BROKEN(insn(imr, 1, 0)->base = B_MAX, "are needed from");
	BROKEN((insn(imr, 1, 0)->op = OP_PASS, insn(imr, 1, 0)->els = ELSE_NEXT), "early.l3");
	BROKEN(insn(imr, 1, 1)->to = 1, "not a later one");
	BROKEN(insn(imr, 1, 1)->to = 3, "does not have");
	BROKEN(insn(imr, 0, 2)->chain = 0, "later chains");
	BROKEN(insn(imr, 0, 2)->chain = 2, "no such chain");
	BROKEN(insn(imr, 0, 2)->op = OP_TALLY, "early.l3");
}
END_TEST

START_TEST(broken_chains)
{
	BROKEN(imr->chain[0].rule[1].n = 1, "rule 2: it has no end");
	BROKEN(imr->chain[0].rule[1].n = 0, "rule 2: it has no end");
	BROKEN((insn(imr, 1, 0)->op = OP_DROP, insn(imr, 1, 0)->els = ELSE_NEXT), "after the end");
	BROKEN(imr->chain[0].entry[0].op = OP_COUNT, "entry, instruction 1 (count)");
	BROKEN(imr->chain[0].entry[0].field = F_MAX, "no such field");
	BROKEN(imr->chain[0].entry[0].op = OP_UNKNOWN, "entry");
	BROKEN(imr->chain[0].policy = OP_PASS, "policy");
	BROKEN(imr->chain[0].policy = OP_RETURN, "policy");
	BROKEN(imr->chain[0].hook = HOOK_MAX, "no such hook");
	BROKEN(imr->chain[0].kind = 3, "no such kind");
	BROKEN(imr->chain[1].hook = HOOK_IP_INPUT, "user chains only");
	BROKEN(imr->chain[1].policy = OP_DROP, "a user chain returns");
	BROKEN(imr->chain[1].name = "a", "the name is taken");
	BROKEN(imr->chain[1].name = NULL, "no name");
}
END_TEST

START_TEST(same)
{
	struct imr *a = sample(), *b = sample();

	b->chain[1].name = "other";
	b->chain[0].rule[0].at = (struct imr_at){ .tool = "nft", .number = 3 };
	ck_assert(imr_same(a, b));
#define DIFFERS(change) do { b = sample(); change; ck_assert_msg(!imr_same(a, b), "%s", #change); } while (0)
	DIFFERS(b->profile.th_fast_frag = true);
	DIFFERS(b->n = 1);
	DIFFERS(b->chain[0].prio = 1);
	DIFFERS(b->chain[0].policy = OP_DROP);
	DIFFERS(b->chain[0].n_entry = 0);
	DIFFERS(insn(b, 0, 0)->imm = 1);
	DIFFERS(insn(b, 0, 0)->dst = 2);
	DIFFERS(insn(b, 0, 1)->op = OP_NI);
	DIFFERS(insn(b, 0, 1)->els = ELSE_DROP);
	DIFFERS(insn(b, 0, 1)->set = imr_set_one(b, 1, 3));
	DIFFERS(insn(b, 1, 0)->len = 5);
	DIFFERS(insn(b, 1, 1)->to = 2);
}
END_TEST

/* ------------------------------------------------------------------ building */

START_TEST(sets)
{
	struct imr *imr = imr_new(arena, &diags, NULL);
	struct imr_range r[] = { { 9, 9 }, { 5, 7 }, { 1, 2 }, { 6, 8 }, { 4, 3 }, { 20, ~(u128)0 }, { 30, 40 } };
	const struct imr_set *s = imr_set_new(imr, r, 7);

	ck_assert_uint_eq(s->n, 3);
	ck_assert(s->r[0].lo == 1 && s->r[0].hi == 2 && s->r[1].lo == 5 && s->r[1].hi == 9);
	ck_assert(s->r[2].lo == 20 && s->r[2].hi == ~(u128)0);
	for (unsigned int v = 0; v < 50; v++)
		ck_assert_int_eq(imr_set_has(s, v), v == 1 || v == 2 || (v >= 5 && v <= 9) || v >= 20);
	ck_assert_uint_eq(imr_set_new(imr, NULL, 0)->n, 0);
	ck_assert(!imr_set_has(imr_set_new(imr, NULL, 0), 0));
}
END_TEST

static void add_jump(struct imr *imr, uint32_t from, uint32_t to)
{
	imr_end(imr, imr_rule_add(imr, &imr->chain[from], &(struct imr_at){ .where = imr->chain[from].name }),
		OP_JUMP, to);
}

START_TEST(sorting)
{
	static const char *const sorted[] = { "c", "a", "b", "e", "d" };
	struct imr *imr = imr_new(arena, &diags, NULL);

	for (int i = 0; i < 5; i++)
		imr_chain_add(imr, (const char *const[]){ "a", "b", "c", "d", "e" }[i]);
	add_jump(imr, 2, 0);
	add_jump(imr, 0, 1);
	add_jump(imr, 4, 3);
	ck_assert(imr_sort(imr));
	for (int i = 0; i < 5; i++)
		ck_assert_str_eq(imr->chain[i].name, sorted[i]);
	ck_assert_uint_eq(imr->chain[0].rule[0].insn[0].chain, 1);
	ck_assert_ptr_null(imr_check(imr, "sort"));
	ck_assert(imr_sort(imr));
	ck_assert_str_eq(imr->chain[0].name, "c");
	add_jump(imr, 2, 1);
	ck_assert(!imr_sort(imr));
	ck_assert_uint_eq(diags.n, 1);
	ck_assert(strstr(diags.d[0].message, "\"a\"") && strstr(diags.d[0].message, "\"b\""));
}
END_TEST

START_TEST(numbering)
{
	struct imr *imr = parsed("imr 1\nchain @\"a\" hook ip.input policy drop count {\nrule\n\tcount\n"
				 "\topaque \"x\"\n\tcount\n\tdrop\n}\nchain @\"b\" hook ip.input policy drop count {\nrule\n"
				 "\t%0 =u8 unknown \"y\"\n\tcount\n\teffect \"z\"\n\tdrop\n}\n");

	ck_assert_uint_eq(imr->n_slot, 5);
	ck_assert_uint_eq(imr->n_opaque, 3);
	ck_assert_uint_eq(imr->chain[0].rule[0].insn[2].slot, 1);
	ck_assert_uint_eq(imr->chain[1].rule[0].insn[1].slot, 2);
	ck_assert_uint_eq(imr->chain[1].rule[0].insn[2].slot, 2);
	ck_assert_uint_eq(imr->chain[0].policy_slot, 3);
	ck_assert_uint_eq(imr->chain[1].policy_slot, 4);
}
END_TEST

/* Arrays that two rules share, and exact ones that a pass made, may be grown. */
START_TEST(growing)
{
	struct imr *imr = imr_new(arena, &diags, NULL);
	struct imr_chain *c = imr_chain_add(imr, "c");
	struct imr_rule *r = imr_rule_add(imr, c, NULL), copy;

	for (int i = 0; i < 3; i++)
		imr_insn_add(imr, r, OP_COUNT);
	copy = *r;
	imr_insn_add(imr, r, OP_DROP);
	imr_insn_add(imr, &copy, OP_ACCEPT);
	ck_assert_uint_eq(r->insn[3].op, OP_DROP);
	ck_assert_uint_eq(copy.insn[3].op, OP_ACCEPT);
	copy.insn = arena_alloc(arena, sizeof(*copy.insn));
	copy.n = 1;
	for (int i = 0; i < 100; i++)
		imr_insn_add(imr, &copy, OP_COUNT);
	ck_assert_uint_eq((uintptr_t)copy.insn % 16, 0);
	ck_assert_uint_eq(copy.insn[100].op, OP_COUNT);
}
END_TEST

/* ------------------------------------------------------------------ diagnostics */

START_TEST(diagnostics)
{
	struct imr_at at = { "nft", "ip filter \033INPUT", 3, 7, "ä ip daddr 10.0.0.0/8 drop" };
	struct strbuf out = { .arena = arena };
	struct diag *d = diag_add(&diags, DIAG_UNSUPPORTED, &at, "no \"%s\"; write it", "x");

	d->mark = "10.0.0.0/8";
	d->hint = "do that";
	ck_assert(!diags_have(&diags, DIAG_ERROR));
	ck_assert(diags_have(&diags, DIAG_NOTE));
	diag_print(&out, d);
	ck_assert_str_eq(out.s, "ip filter ?INPUT rule 3 (handle 7): error: no \"x\"; write it\n"
				"ä ip daddr 10.0.0.0/8 drop\n"
				"           ^^^^^^^^^^\n"
				"hint: do that\n");
	out = (struct strbuf){ .arena = arena };
	diag_print(&out, diag_add(&diags, DIAG_NOTE, NULL, "so"));
	ck_assert_str_eq(out.s, "note: so\n");
	out = (struct strbuf){ .arena = arena };
	diag_print(&out, diag_add(&diags, DIAG_ERROR, &(struct imr_at){ .where = "w" }, "so"));
	ck_assert_str_eq(out.s, "w policy: error: so\n");
}
END_TEST

/* ------------------------------------------------------------------ hostile text */

static const char seed_text[] =
	"imr 1\nprofile th_fast_frag\n"
	"chain @\"ip/filter/INPUT\" from nft \"ip filter INPUT\" hook early.l3 kind nat prio -5 policy pass count "
	"dev \"v0\" {\n"
	"entry\n\t%0 =ip4 ld ip.daddr\n\t%9 =name ld meta.iifname\n"
	"rule nft \"ip filter INPUT\" 3 handle 7 \"a \\\" \\\\ \\x01\"\n"
	"\tin %0, {10.0.0.0/8, 192.0.2.1-192.0.2.3}\n\tneed tx, 20 else drop\n\t%2 =be24 ld raw nh+16:3\n"
	"\teq %2, 0x1234 else 3\n\tin %9, {\"a*\", \"c\"} else pass\n\t%3 =u1 isin %2, {0x1, 0x3-0x9}\n"
	"\t%4 =u8 tcpopt tx, 3\n\topaque \"x\"\n\tcount\n\tjump @\"u\"\n"
	"rule\n\t%1 =ip6 ld ip6.saddr\n\tni %1, fe80::/10\n\t%2 =mac ld eth.saddr\n\teq %2, 00:11:22:33:44:55\n"
	"\tnext 3\n"
	"rule\n\ttally\n\teffect \"y\"\n\tpass\n}\n"
	"chain @\"u\" {\nrule - - \"t\"\n\treturn\n}\n";

static uint32_t rnd(uint64_t *state)
{
	*state = *state * 6364136223846793005u + 1442695040888963407u;
	return (uint32_t)(*state >> 33);
}

static void mutate(char *s, size_t *len, uint64_t *state)
{
	static const char bytes[] = "%@\"{}-/*#:,+=\n\t 019x\\";
	uint32_t at = rnd(state) % *len, n = rnd(state) % 12;

	switch (rnd(state) % 5) {
	case 0:
		s[at] = (char)rnd(state);
		break;
	case 1:
		s[at] = bytes[rnd(state) % (sizeof(bytes) - 1)];
		break;
	case 2:
		if (at + n < *len) {
			memmove(s + at, s + at + n, *len - at - n);
			*len -= n;
		}
		break;
	case 3:
		memmove(s + at + n, s + at, *len - at);
		memmove(s + at, s + rnd(state) % *len, n);
		*len += n;
		break;
	case 4:
		*len = at + 1;
		break;
	}
}

/* What is accepted passes the verifier and prints canonically; what is not has exactly one error. */
static void try_text(const char *s, size_t len)
{
	struct imr *imr;

	diags = (struct diags){ .arena = arena };
	imr = imr_parse(arena, &diags, s, len);
	ck_assert_uint_eq(diags.n, imr ? 0 : 1);
	if (imr) {
		const char *text = printed(imr);

		ck_assert_ptr_null(imr_check(imr, "parse"));
		ck_assert_str_eq(printed(parsed(text)), text);
	}
}

START_TEST(hostile)
{
	uint64_t state = (uint64_t)_i + 1;

	for (int round = 0; round < 5000; round++) {
		size_t len = sizeof(seed_text) - 1;
		char *s = malloc(len + 64), *exact_size;

		memcpy(s, seed_text, len);
		for (uint32_t k = rnd(&state) % 4; ; k--) {
			mutate(s, &len, &state);
			if (!k)
				break;
		}
		exact_size = malloc(len);
		memcpy(exact_size, s, len);
		try_text(exact_size, len);
		free(exact_size);
		free(s);
		if (round % 256 == 0) {
			arena_free(arena);
			arena = arena_new();
		}
	}
	diags = (struct diags){ .arena = arena };
}
END_TEST

START_TEST(large)
{
	struct strbuf t = { .arena = arena };

	strbuf_add(&t, HEAD);
	for (int i = 0; i < 100000; i++)
		strbuf_add(&t, "rule nft \"w\" %d\n\t%%0 =ip4 ld ip.saddr\n\teq %%0, %d\n\tjump @\"u%d\"\n", i, i,
			   i % 2000);
	strbuf_add(&t, "}\n");
	for (int i = 0; i < 2000; i++)
		strbuf_add(&t, "chain @\"u%d\" {\nrule\n\treturn\n}\n", i);
	parsed(t.s);
	t.len = 0;
	strbuf_add(&t, HEAD "rule\n\t%%0 =ip6 ld ip6.saddr\n\tin %%0, {");
	for (int i = 0; i < 200000; i++)
		strbuf_add(&t, "%s%d", i ? ", " : "", 2 * i);
	strbuf_add(&t, "}\n\tdrop\n}\n");
	parsed(t.s);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("imr text");
	TCase *tc = tcase_create("all");
	SRunner *sr = srunner_create(s);
	int failed;

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_set_timeout(tc, 60);
	tcase_add_test(tc, every_field);
	tcase_add_test(tc, every_op);
	tcase_add_test(tc, every_hook);
	tcase_add_test(tc, every_byte);
	tcase_add_test(tc, every_type);
	tcase_add_test(tc, provenance);
	tcase_add_test(tc, forms);
	tcase_add_loop_test(tc, refusal, 0, sizeof(refusals) / sizeof(refusals[0]));
	tcase_add_test(tc, refused_zero_byte);
	tcase_add_test(tc, broken_insns);
	tcase_add_test(tc, broken_chains);
	tcase_add_test(tc, same);
	tcase_add_test(tc, sets);
	tcase_add_test(tc, sorting);
	tcase_add_test(tc, numbering);
	tcase_add_test(tc, growing);
	tcase_add_test(tc, diagnostics);
	tcase_add_loop_test(tc, hostile, 0, 4);
	tcase_add_test(tc, large);
	suite_add_tcase(s, tc);
	srunner_run_all(sr, CK_NORMAL);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed != 0;
}
