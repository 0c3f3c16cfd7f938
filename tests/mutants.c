/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The tests are tested: a list of deliberately wrong translations, at least one for each trap, each of which the packets
 * of its golden file must catch. A mutant is a change to the IMR as it was read (or to the kernel profile it was read
 * with): what a naive translator would have made of the rule.
 */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "goldenfile.h"
#include "subject.h"
#include "reader.h"

/* Each returns whether it changed anything: a mutant that is no change is a mistake in this list. */
typedef bool mutation(struct imr *imr, struct imr_chain *ch, struct imr_rule *r, struct imr_insn *in);

static bool is_test(const struct imr_insn *in)
{
	return imr_ops[in->op].class == CLASS_TEST;
}

/* A test that always holds. */
static bool vanish(struct imr_insn *in)
{
	*in = (struct imr_insn){ .op = OP_NEED, .base = B_LL, .len = 1, .dst = IMR_NOVAL, .a = IMR_NOVAL, .b = IMR_NOVAL };
	return true;
}

static enum imr_field field_of(const struct imr_rule *r, uint32_t v)
{
	for (uint32_t i = 0; i < r->n; i++)
		if (r->insn[i].dst == v && r->insn[i].op == OP_LD)
			return r->insn[i].field;
	return F_NONE;
}

static bool no_presence(struct imr *imr, struct imr_chain *ch, struct imr_rule *r, struct imr_insn *in)
{
	return in->op == OP_NEED && vanish(in);
}

static bool short_presence(struct imr *imr, struct imr_chain *ch, struct imr_rule *r, struct imr_insn *in)
{
	if (in->op != OP_NEED || in->len < 2)
		return false;
	in->len--;
	return true;
}

static bool long_presence(struct imr *imr, struct imr_chain *ch, struct imr_rule *r, struct imr_insn *in)
{
	if (in->op != OP_NEED)
		return false;
	in->len = 20;
	return true;
}

static bool no_hotdrop(struct imr *imr, struct imr_chain *ch, struct imr_rule *r, struct imr_insn *in)
{
	if (!is_test(in) || in->els != ELSE_DROP)
		return false;
	in->els = ELSE_NEXT;
	return true;
}

static bool hotdrop_all(struct imr *imr, struct imr_chain *ch, struct imr_rule *r, struct imr_insn *in)
{
	if (in->op != OP_NEED || in->els != ELSE_NEXT)
		return false;
	in->els = ELSE_DROP;
	return true;
}

static bool is_frag(enum imr_field f)
{
	return f == F_IP_FRAG || f == F_IP_FRAGOFF || f == F_TH_FRAGOFF || f == F_TX_FRAGOFF;
}

static bool no_fragment(struct imr *imr, struct imr_chain *ch, struct imr_rule *r, struct imr_insn *in)
{
	return is_test(in) && in->a != IMR_NOVAL && is_frag(field_of(r, in->a)) && vanish(in);
}

static bool fragment_flags(struct imr *imr, struct imr_chain *ch, struct imr_rule *r, struct imr_insn *in)
{
	if (in->op != OP_LD || (in->field != F_IP_FRAGOFF && in->field != F_TH_FRAGOFF))
		return false;
	in->field = F_IP_FRAG;
	in->type = T_BE16;
	return true;
}

static bool fragment_offset(struct imr *imr, struct imr_chain *ch, struct imr_rule *r, struct imr_insn *in)
{
	if (in->op != OP_LD || in->field != F_RAW || in->off != 6 || in->len != 2)
		return false;
	in->field = F_IP_FRAGOFF;
	return true;
}

static bool swap_equal(struct imr *imr, struct imr_chain *ch, struct imr_rule *r, struct imr_insn *in)
{
	static const uint8_t other[OP_MAX] = { [OP_EQ] = OP_NE, [OP_NE] = OP_EQ, [OP_IN] = OP_NI, [OP_NI] = OP_IN,
					       [OP_GT] = OP_GE, [OP_GE] = OP_GT, [OP_LT] = OP_LE, [OP_LE] = OP_LT };

	if (!other[in->op])
		return false;
	in->op = other[in->op];
	return true;
}

static bool off_by_one(struct imr *imr, struct imr_chain *ch, struct imr_rule *r, struct imr_insn *in)
{
	enum imr_field f = in->a != IMR_NOVAL ? field_of(r, in->a) : F_NONE;

	if (!is_test(in) || !(imr_ops[in->op].args & ARG_IMM) || f == F_NONE || f == F_META_NFPROTO || f == F_TH_OK || f == F_TX_OK)
		return false;
	in->imm = in->imm ? in->imm - 1 : 1;
	return true;
}

static bool walk_as_nft(struct imr *imr, struct imr_chain *ch, struct imr_rule *r, struct imr_insn *in)
{
	switch (in->field) {
	case F_TX_OK: in->field = F_TH_OK; return true;
	case F_TX_PROTO: in->field = F_TH_PROTO; return true;
	case F_TX_FRAGOFF: in->field = F_TH_FRAGOFF; return true;
	default: break;
	}
	if (in->base != B_TX)
		return false;
	in->base = B_TH;
	return true;
}

static bool next_header(struct imr *imr, struct imr_chain *ch, struct imr_rule *r, struct imr_insn *in)
{
	if (in->op != OP_LD || in->field != F_TH_PROTO)
		return false;
	in->field = F_IP6_NEXTHDR;
	return true;
}

static bool any_header(struct imr *imr, struct imr_chain *ch, struct imr_rule *r, struct imr_insn *in)
{
	if (in->op != OP_LD || (in->field != F_IP6_NEXTHDR && !(in->field == F_RAW && in->base == B_NH && in->off == 6 && in->len == 1)))
		return false;
	in->field = F_TH_PROTO;
	return true;
}

static bool header_byte(struct imr *imr, struct imr_chain *ch, struct imr_rule *r, struct imr_insn *in)
{
	if (in->op != OP_LD || in->field != F_TH_PROTO)
		return false;
	*in = (struct imr_insn){ .op = OP_LD, .type = T_U8, .field = F_RAW, .base = B_NH, .off = 9, .len = 1, .dst = in->dst,
				 .a = IMR_NOVAL, .b = IMR_NOVAL };
	return true;
}

static bool checked_header(struct imr *imr, struct imr_chain *ch, struct imr_rule *r, struct imr_insn *in)
{
	if (in->op != OP_LD || in->field != F_RAW || in->base != B_NH || in->off != 9)
		return false;
	in->field = F_TH_PROTO;
	return true;
}

static bool no_walk(struct imr *imr, struct imr_chain *ch, struct imr_rule *r, struct imr_insn *in)
{
	enum imr_field f = in->a != IMR_NOVAL ? field_of(r, in->a) : F_NONE;

	return is_test(in) && (f == F_TH_OK || f == F_TX_OK) && vanish(in);
}

static bool wire_type(struct imr *imr, struct imr_chain *ch, struct imr_rule *r, struct imr_insn *in)
{
	if (in->op != OP_LD || in->field != F_META_PROTOCOL)
		return false;
	in->field = F_ETH_TYPE;
	return true;
}

static bool skb_type(struct imr *imr, struct imr_chain *ch, struct imr_rule *r, struct imr_insn *in)
{
	if (in->op != OP_LD || (in->field != F_ETH_TYPE && !(in->field == F_RAW && in->base == B_LL && in->off == 12)))
		return false;
	in->field = F_META_PROTOCOL;
	return true;
}

static bool ip_length(struct imr *imr, struct imr_chain *ch, struct imr_rule *r, struct imr_insn *in)
{
	if (in->op != OP_LD || in->field != F_META_LEN)
		return false;
	*in = (struct imr_insn){ .op = OP_LD, .type = T_BE16, .field = F_RAW, .base = B_NH, .off = 2, .len = 2, .dst = in->dst,
				 .a = IMR_NOVAL, .b = IMR_NOVAL };
	return true;
}

/* The bounds as they lie in a little-endian register. */
static bool swapped_number(struct imr *imr, struct imr_chain *ch, struct imr_rule *r, struct imr_insn *in)
{
	const struct imr_range *range;

	if ((in->op != OP_IN && in->op != OP_NI) || field_of(r, in->a) != F_META_LEN)
		return false;
	range = &in->set->r[0];
	in->set = imr_set_one(imr, __builtin_bswap32((uint32_t)range->lo), __builtin_bswap32((uint32_t)range->hi));
	return true;
}

/* As it lies in a little-endian register. */
static bool swapped_type(struct imr *imr, struct imr_chain *ch, struct imr_rule *r, struct imr_insn *in)
{
	if ((in->op != OP_EQ && in->op != OP_NE) || !in->imm || field_of(r, in->a) != F_META_IIFTYPE)
		return false;
	in->imm = __builtin_bswap16((uint16_t)in->imm);
	return true;
}

static bool no_device(struct imr *imr, struct imr_chain *ch, struct imr_rule *r, struct imr_insn *in)
{
	if (in->op != OP_NE || in->imm || field_of(r, in->a) != F_META_IIFTYPE)
		return false;
	in->op = OP_EQ;
	return true;
}

static bool exact_name(struct imr *imr, struct imr_chain *ch, struct imr_rule *r, struct imr_insn *in)
{
	if ((in->op != OP_IN && in->op != OP_NI) || in->type != T_NAME)
		return false;
	in->imm = in->set->r[0].lo;
	in->op = in->op == OP_IN ? OP_EQ : OP_NE;
	in->set = NULL;
	return true;
}

static bool prefix_name(struct imr *imr, struct imr_chain *ch, struct imr_rule *r, struct imr_insn *in)
{
	if ((in->op != OP_EQ && in->op != OP_NE) || in->type != T_NAME)
		return false;
	in->set = imr_set_one(imr, in->imm, in->imm | (((u128)1 << 112) - 1));
	in->op = in->op == OP_EQ ? OP_IN : OP_NI;
	return true;
}

/* A missing device breaks the rule, as other missing things do. */
static bool missing_breaks(struct imr *imr, struct imr_chain *ch, struct imr_rule *r, struct imr_insn *in)
{
	if (!is_test(in) || in->a == IMR_NOVAL || field_of(r, in->a) != F_META_OIFNAME)
		return false;
	in->op = OP_LT;
	in->set = NULL;
	in->imm = 0;
	return true;
}

static bool jump_for_goto(struct imr *imr, struct imr_chain *ch, struct imr_rule *r, struct imr_insn *in)
{
	if (in->op != OP_GOTO)
		return false;
	in->op = OP_JUMP;
	return true;
}

static bool return_accepts(struct imr *imr, struct imr_chain *ch, struct imr_rule *r, struct imr_insn *in)
{
	if (in->op != OP_RETURN)
		return false;
	in->op = OP_ACCEPT;
	return true;
}

static bool return_goes_on(struct imr *imr, struct imr_chain *ch, struct imr_rule *r, struct imr_insn *in)
{
	if (in->op != OP_RETURN)
		return false;
	in->op = OP_NEXT;
	return true;
}

static bool policy_accepts(struct imr *imr, struct imr_chain *ch, struct imr_rule *r, struct imr_insn *in)
{
	if (ch->policy != OP_DROP)
		return false;
	ch->policy = OP_ACCEPT;
	return true;
}

static bool first_bit_mask(struct imr *imr, struct imr_chain *ch, struct imr_rule *r, struct imr_insn *in)
{
	if (in->op != OP_AND || in->imm == 0xffffffff)
		return false;
	in->imm = 0xff000000;
	return true;
}

static bool accept_ends_all(struct imr *imr, struct imr_chain *ch, struct imr_rule *r, struct imr_insn *in)
{
	if (in->op != OP_ACCEPT)
		return false;
	for (uint32_t c = 0; c < imr->n; c++)
		if (&imr->chain[c] > ch || imr->chain[c].prio > ch->prio)
			for (uint32_t k = 0; k < imr->chain[c].n; k++)
				imr->chain[c].rule[k].insn[imr->chain[c].rule[k].n - 1].op = OP_ACCEPT;
	return true;
}

static bool option_anywhere(struct imr *imr, struct imr_chain *ch, struct imr_rule *r, struct imr_insn *in)
{
	if (in->op != OP_TCPOPT)
		return false;
	in->imm ^= 1;
	return true;
}

static bool one_port(struct imr *imr, struct imr_chain *ch, struct imr_rule *r, struct imr_insn *in)
{
	if (in->op != OP_OR)
		return false;
	in->b = in->a;
	return true;
}

static const struct mutant {
	const char *trap, *file, *what;
	mutation *change;
	enum { PROFILE_AS_IS, PROFILE_NO_FAST_FRAG } profile;
} mutants[] = {
	{ "F1", "F1.t", "ports are never read from later fragments", NULL, PROFILE_NO_FAST_FRAG },
	{ "F1b", "F1b.t", "nor from IPv6 ones", NULL, PROFILE_NO_FAST_FRAG },
	{ "F2", "F2.t", "a slow load ignores fragments", no_fragment, 0 },
	{ "F3", "F3.t", "flags need a whole TCP header", long_presence, 0 },
	{ "F4", "F4.t", "negation is dropped", swap_equal, 0 },
	{ "F6", "F6.t", "xtables reads later fragments", no_fragment, 0 },
	{ "F7", "F7.t", "inversion is dropped", swap_equal, 0 },
	{ "F8", "F8.t", "no hotdrop at offset 1", no_hotdrop, 0 },
	{ "F9", "F9.t", "iptables-nft does not read later fragments", NULL, PROFILE_NO_FAST_FRAG },
	{ "F10", "F10.t", "iptables-nft hotdrops", hotdrop_all, 0 },
	{ "F11", "F11.t", "the fragment flag is the whole field", fragment_flags, 0 },
	{ "F13", "F13.t", "frag-off is the offset alone", fragment_offset, 0 },
	{ "S1", "S1.t", "a port needs a whole header", long_presence, 0 },
	{ "S1", "S1.t", "no presence test", off_by_one, 0 },
	{ "S2", "F4.t", "a missing port matches a negation", no_presence, 0 },
	{ "S3", "S3.t", "no hotdrop for a short header", no_hotdrop, 0 },
	{ "S3", "S3.t", "19 bytes are a TCP header", short_presence, 0 },
	{ "S4", "F10.t", "a short header drops", hotdrop_all, 0 },
	{ "S5", "S5.t", "no hotdrop for cut options", no_hotdrop, 0 },
	{ "S5", "S5.t", "another option", option_anywhere, 0 },
	{ "S6", "S6.t", "another port", off_by_one, 0 },
	{ "S7", "S7.t", "a header's byte only of a valid header", checked_header, 0 },
	{ "S7", "S7b.t", "a protocol of an invalid header", header_byte, 0 },
	{ "S9", "S9.t", "a prefix needs the whole address", long_presence, 0 },
	{ "X1", "X1.t", "nexthdr walks the extension headers", any_header, 0 },
	{ "X2", "S1.t", "l4proto is the next header field", next_header, 0 },
	{ "X3", "X3.t", "ip6tables stops at AH", walk_as_nft, 0 },
	{ "X4", "X4.t", "no hotdrop where the walk fails", no_hotdrop, 0 },
	{ "X4b", "X4b.t", "no transport header, and still a protocol", no_walk, 0 },
	{ "X6", "X6.t", "l4proto is the next header field", next_header, 0 },
	{ "V1", "V1.t", "another port", off_by_one, 0 },
	{ "V2", "V2.t", "meta protocol is the type on the wire", wire_type, 0 },
	{ "V3", "V3.t", "ether type is the skb's protocol", skb_type, 0 },
	{ "V5", "V5.t", "meta length is the IP length", ip_length, 0 },
	{ "V6", "V6.t", "meta protocol is the type on the wire", wire_type, 0 },
	{ "V8", "V8.t", "another value", off_by_one, 0 },
	{ "M1", "M1.t", "a missing device breaks the rule", missing_breaks, 0 },
	{ "M5", "M5.t", "a length is compared in the wrong byte order", swapped_number, 0 },
	{ "M5", "M5.t", "greater means greater or equal", swap_equal, 0 },
	{ "M6", "M6.t", "a link type in the wrong byte order", swapped_type, 0 },
	{ "M6", "M6b.t", "ingress has no device", no_device, 0 },
	{ "J1", "J1.t", "accept ends every base chain", accept_ends_all, 0 },
	{ "J2", "J2.t", "goto returns like jump", jump_for_goto, 0 },
	{ "J3", "J3.t", "return in a base chain accepts", return_accepts, 0 },
	{ "J3", "J3.t", "return in a base chain goes on", return_goes_on, 0 },
	{ "J4", "J4.t", "goto from a base chain returns", jump_for_goto, 0 },
	{ "J4", "J4.t", "a chain's end is accept", policy_accepts, 0 },
	{ "I2", "I2.t", "inversion is dropped", swap_equal, 0 },
	{ "I4", "I4.t", "multiport does not hotdrop", no_hotdrop, 0 },
	{ "I4", "multiport.t", "either port is the source port", one_port, 0 },
	{ "I5", "I5.t", "a wildcard is a name", exact_name, 0 },
	{ "I5", "I5.t", "a name is a wildcard", prefix_name, 0 },
	{ "I6", "I6.t", "RETURN accepts", return_accepts, 0 },
	{ "I7", "I7.t", "masks are contiguous", first_bit_mask, 0 },
};

static const char *dir;

static bool mutate(struct imr *imr, mutation *change)
{
	bool changed = false;

	for (uint32_t c = 0; c < imr->n; c++)
		for (uint32_t k = 0; k < imr->chain[c].n; k++) {
			struct imr_rule *r = &imr->chain[c].rule[k];

			for (uint32_t i = 0; i < r->n; i++)
				changed |= change(imr, &imr->chain[c], r, &r->insn[i]);
		}
	return changed;
}

static const enum fe_text_kind kinds[] = {
	[JUDGE_NFT] = FE_TEXT_NFT, [JUDGE_IPT] = FE_TEXT_IPT, [JUDGE_IP6T] = FE_TEXT_IP6T,
	[JUDGE_IPT_NFT] = FE_TEXT_IPT_NFT, [JUDGE_IP6T_NFT] = FE_TEXT_IP6T_NFT,
};

/* How many run lines the program, mutated or not, gets wrong. */
static unsigned int wrong_lines(struct subject *s, struct golden_run *run, unsigned int n)
{
	unsigned int wrong = 0;

	for (unsigned int i = 0; i < n; i++) {
		struct imr_pkt pkt;

		subject_pkt(s, run[i].packet.frame, run[i].packet.len, &pkt);
		wrong += !subject_agrees(run[i].want, subject_verdict(s, 0, &pkt, NULL));
	}
	return wrong;
}

START_TEST(caught)
{
	const struct mutant *m = &mutants[_i];
	struct arena *a = arena_new();
	struct diags ds = { .arena = a };
	struct imr_profile as_is = { .th_fast_frag = true }, mutated = { .th_fast_frag = m->profile == PROFILE_AS_IS };
	struct golden_file g;
	struct golden_run *run;
	unsigned int n;
	struct golden_section *rules;
	enum judge_tool tool;
	struct fe_capture cap;
	struct subject s;

	ck_assert(golden_read(a, arena_printf(a, "%s/%s", dir, m->file), &g));
	rules = golden_rules(&g, &tool);
	ck_assert(rules && golden_runs(&g, &ds, &run, &n));
	ck_assert(!fe_text_get(a, &ds, kinds[tool], g.path, rules->body, strlen(rules->body), &cap));
	ck_assert(!subject_from_capture(&s, &cap, &as_is));
	subject_at(&s, golden_hook(&g));
	ck_assert_msg(!wrong_lines(&s, run, n), "%s is wrong before it is mutated", m->file);
	subject_free(&s);
	ck_assert(!subject_from_capture(&s, &cap, &mutated));
	subject_at(&s, golden_hook(&g));
	if (m->change)
		ck_assert_msg(mutate(s.form[0].imr, m->change), "%s, %s: the mutation changes nothing", m->trap, m->what);
	ck_assert_msg(wrong_lines(&s, run, n), "%s, \"%s\": not caught by %s", m->trap, m->what, m->file);
	subject_free(&s);
	arena_free(a);
}
END_TEST

/* mutants DIR */
int main(int argc, char **argv)
{
	Suite *s = suite_create("mutants");
	TCase *t = tcase_create("wrong translations");
	SRunner *r = srunner_create(s);
	const char *skip = subject_no_text();
	int failed;

	dir = argc > 1 ? argv[1] : "tests/golden";
	tcase_set_timeout(t, 60);
	if (skip)
		printf("skip: mutants: %s\n", skip);
	else
		tcase_add_loop_test(t, caught, 0, sizeof(mutants) / sizeof(*mutants));
	suite_add_tcase(s, t);
	srunner_run_all(r, CK_NORMAL);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	printf("%zu wrong translations\n", sizeof(mutants) / sizeof(*mutants));
	return failed != 0;
}
