/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The classifier: rules to instructions, over the record alone.
 *
 * A rule's first test is a jump that is usually not taken; what the rule does when it is taken (its body) stands behind
 * the rules. The verifier holds one pending branch for each such jump, and it holds 8,192 at most; jumps reach 32,767
 * instructions. So rules are cut into chunks, each with its bodies behind it, then islands for what leads out of it. A
 * chunk is entered by a jump over a way to the next one that is never taken, which the verifier does not know: it reads
 * the rest of the program first, and has nothing pending from it when it reads the chunk.
 */
#include "select.h"

#define CHUNK_CONDS	3500
#define CHUNK_INSNS	14000
#define RULE_INSNS	14000

struct cost {
	uint32_t insns, conds;
};

struct body {
	uint32_t rule, from, label;	/* from: the first instruction that is not done */
};

struct bodies {
	uint32_t n, cap;
	struct body *b;
};

/* ------------------------------------------------------------------ costs, from above */

static unsigned int bits_of_value(const struct be_cc *cc, uint32_t val)
{
	return imr_types[cc->def[val]->type].bits;
}

static void add_set_cost(struct cost *c, uint32_t n, unsigned int bits)
{
	uint32_t steps = 1;

	if (n <= BE_SET_SMALL) {
		c->insns += n * (bits > 64 ? 20 : bits > 32 ? 8 : 3) + 2;
		c->conds += n * (bits > 64 ? 6 : 1);
		return;
	}
	while (1u << steps < n)
		steps++;
	c->insns += (steps + 2) * 16;
	c->conds += bits > 63 ? (steps + 2) * 3 : 2;
}

static void add_value_cost(const struct be_cc *cc, struct cost *c, uint32_t val)
{
	const struct imr_insn *i = cc->def[val];

	c->insns += i->op == OP_LD ? 4 : 9;
	if (i->op == OP_ISIN)
		add_set_cost(c, i->set->n, bits_of_value(cc, i->a));
	if (i->a != IMR_NOVAL && c->insns < RULE_INSNS)
		add_value_cost(cc, c, i->a);
	if (i->b != IMR_NOVAL && c->insns < RULE_INSNS)
		add_value_cost(cc, c, i->b);
}

void be_define(struct be_cc *cc, uint32_t rule)
{
	const struct imr_rule *r = &cc->chain->rule[rule];

	for (uint32_t i = 0; i < r->n; i++)
		if (r->insn[i].dst != IMR_NOVAL)
			cc->def[r->insn[i].dst] = &r->insn[i];
}

/* A count that is not its verdict's own */
static bool is_bump(const struct imr_insn *i)
{
	return i->op == OP_COUNT && (imr_ops[i[1].op].class != CLASS_END || i[1].op == OP_NEXT);
}

static struct cost rule_cost(struct be_cc *cc, uint32_t rule)
{
	const struct imr_rule *r = &cc->chain->rule[rule];
	struct cost c = { 2, 0 };

	be_define(cc, rule);
	for (uint32_t n = 0; n < r->n; n++) {
		const struct imr_insn *i = &r->insn[n];

		if (imr_ops[i->op].class == CLASS_VALUE)
			continue;
		c.insns += is_bump(i) ? 16 : 4;
		c.conds++;
		if (i->a != IMR_NOVAL) {
			add_value_cost(cc, &c, i->a);
			add_set_cost(&c, i->set ? i->set->n : 1, bits_of_value(cc, i->a));
		}
	}
	return c;
}

/* ------------------------------------------------------------------ rules */

static uint32_t else_label(const struct be_cc *cc, const struct imr_insn *i, uint32_t rule)
{
	switch (i->els) {
	case ELSE_DROP:
		return cc->drop;
	case ELSE_PASS:
		return cc->pass;
	case ELSE_RULE:
		return cc->rule[i->to];
	default:
		return cc->rule[rule + 1];
	}
}

static void need(struct be_cc *cc, const struct imr_insn *i, uint32_t yes, uint32_t no, bool yes_follows)
{
	static const uint16_t where[B_MAX] = {
		[B_LL] = REC_LLLEN, [B_NH] = REC_NHLEN,
		[B_TH] = REC_TH + REC_AVAIL, [B_TX] = REC_TX + REC_AVAIL,
	};

	be_load(&cc->e, 4, BPF_REG_1, R_REC, where[i->base]);
	if (yes_follows)
		be_jmp32(&cc->e, BPF_JLT, BPF_REG_1, i->len, no);
	else
		be_jmp32(&cc->e, BPF_JGE, BPF_REG_1, i->len, yes);
}

/* To `yes` or `no`; one of them is placed right behind. */
static void test(struct be_cc *cc, const struct imr_insn *i, uint32_t yes, uint32_t no, bool yes_follows)
{
	const struct imr_set *s;
	enum imr_type t;
	bool not;

	if (i->op == OP_NEED) {
		need(cc, i, yes, no, yes_follows);
		return;
	}
	t = be_value(cc, i->a, BPF_REG_1);
	s = be_test_set(cc, i, t, &not);
	if (not)
		be_in(cc, t, BPF_REG_1, s, no, yes, !yes_follows);
	else
		be_in(cc, t, BPF_REG_1, s, yes, no, yes_follows);
}

void be_test_parsed(struct be_cc *cc, const struct imr_insn *i, const struct imr_insn *ld, uint32_t yes, uint32_t no)
{
	if (ld)
		cc->def[i->a] = ld;
	test(cc, i, yes, no, true);
}

static void tally(struct be_cc *cc, uint32_t slot)
{
	for (uint32_t n = 0; n < cc->n_tally; n++) {
		uint16_t at = REC_TALLY + n / 32 * 4;

		if (cc->tally[n] != slot)
			continue;
		be_load(&cc->e, 4, BPF_REG_1, R_REC, at);
		be_alu32(&cc->e, BPF_OR, BPF_REG_1, 1u << n % 32);
		be_store(&cc->e, 4, R_REC, at, BPF_REG_1);
		return;
	}
	be_ja(&cc->e, cc->pass);	/* no bit is left: the rules that are still there count it */
}

/* `counted`: by the slot in the record */
static uint32_t end_label(const struct be_cc *cc, const struct imr_insn *i, uint32_t rule, bool counted)
{
	switch (i->op) {
	case OP_DROP:
		return counted ? cc->drop_count : cc->drop;
	case OP_NEXT:
		return cc->rule[i->to ? i->to : rule + 1];
	default:
		return counted ? cc->pass_count : cc->pass;
	}
}

/* "drop if conntrack has no flow": one end, shared, since asking is long. The rule has nothing else behind the test. */
static void drop_new(struct be_cc *cc, const struct imr_insn *i)
{
	bool count = i[1].op == OP_COUNT;

	if (i->els != ELSE_PASS || i[1 + count].op != OP_DROP) {
		be_refuse(cc, cc->at, "noflow stands elsewhere than before a drop", NULL);
		return;
	}
	if (count)
		be_store_imm(&cc->e, 4, R_REC, REC_SLOT, i[1].slot);
	be_ja(&cc->e, count ? cc->drop_new_count : cc->drop_new);
}

/* The last test of a rule whose end leads away, and that leads to the next rule, which stands behind, if it fails. */
static bool ends_here(const struct imr_insn *i, uint32_t rule)
{
	bool next = i->els == ELSE_NEXT || (i->els == ELSE_RULE && i->to == rule + 1);

	return next && imr_ops[i[1].op].class == CLASS_END;
}

/* Instructions `from` on, ending in a jump unless `falls`: then the next rule may stand right behind. */
static void rest(struct be_cc *cc, uint32_t rule, uint32_t from, bool falls)
{
	const struct imr_rule *r = &cc->chain->rule[rule];

	for (uint32_t n = from; n < r->n; n++) {
		const struct imr_insn *i = &r->insn[n];
		bool last_next = i->op == OP_NEXT && (!i->to || i->to == rule + 1);
		uint32_t go;

		switch (imr_ops[i->op].class) {
		case CLASS_VALUE:
			break;
		case CLASS_TEST:
			if (i->op == OP_NOFLOW) {
				drop_new(cc, i);
				return;
			}
			if (falls && ends_here(i, rule)) {
				test(cc, i, end_label(cc, &i[1], rule, false), cc->rule[rule + 1], false);
				return;
			}
			go = be_label_new(&cc->e);
			test(cc, i, go, else_label(cc, i, rule), true);
			be_label_here(&cc->e, go);
			break;
		case CLASS_STMT:
			if (i->op == OP_TALLY) {
				tally(cc, i->slot);
			} else if (!is_bump(i)) {
				be_store_imm(&cc->e, 4, R_REC, REC_SLOT, i->slot);
				be_ja(&cc->e, end_label(cc, &i[1], rule, true));
				return;
			} else {
				be_count(cc, i->slot);
			}
			break;
		case CLASS_END:
			if (!falls || !last_next)
				be_ja(&cc->e, end_label(cc, i, rule, false));
			return;
		}
	}
}

/* A first test that few packets meet, and that leads to the next rule if it fails. */
static bool is_selective(const struct imr_insn *i)
{
	return (i->op == OP_EQ || i->op == OP_IN) && i->els == ELSE_NEXT;
}

static void add_body(struct be_cc *cc, struct bodies *b, struct body x)
{
	if (b->n == b->cap) {
		uint32_t cap = b->cap ? b->cap * 2 : 64;

		b->b = arena_grow(cc->imr->arena, b->b, b->cap * sizeof(*b->b), cap * sizeof(*b->b));
		b->cap = cap;
	}
	b->b[b->n++] = x;
}

static void begin(struct be_cc *cc, uint32_t rule)
{
	cc->at = cc->e.now = &cc->chain->rule[rule].at;
	be_define(cc, rule);
}

/* The last rule of a chunk is followed by its bodies anyway. */
static void head(struct be_cc *cc, uint32_t rule, bool last, struct bodies *b)
{
	const struct imr_rule *r = &cc->chain->rule[rule];
	const struct imr_insn *after;
	uint32_t n = 0, label;

	begin(cc, rule);
	while (imr_ops[r->insn[n].op].class == CLASS_VALUE)
		n++;
	if (last || cc->compact || !is_selective(&r->insn[n])) {
		rest(cc, rule, n, true);
		return;
	}
	for (after = &r->insn[n + 1]; imr_ops[after->op].class == CLASS_VALUE;)
		after++;
	if (imr_ops[after->op].class == CLASS_END) {
		label = end_label(cc, after, rule, false);
	} else {
		label = be_label_new(&cc->e);
		add_body(cc, b, (struct body){ rule, n + 1, label });
	}
	test(cc, &r->insn[n], label, cc->rule[rule + 1], false);
}

/* ------------------------------------------------------------------ chunks */

/* How many rules from `first` on make a chunk. */
static uint32_t chunk_rules(struct be_cc *cc, uint32_t first)
{
	struct cost sum = { 0, 0 };
	uint32_t n = 0;

	for (; first + n < cc->chain->n; n++) {
		struct cost c = rule_cost(cc, first + n);

		if (c.insns >= RULE_INSNS)
			be_refuse(cc, &cc->chain->rule[first + n].at, "the rule is too large", "split it");
		sum.insns += c.insns;
		sum.conds += c.conds;
		if (n && (sum.insns > CHUNK_INSNS || sum.conds > CHUNK_CONDS))
			break;
	}
	return n;
}

/* Never taken; the eight instructions make the verifier remember its state where the next chunk begins. */
static void gate(struct be_cc *cc, uint32_t next)
{
	uint32_t in = be_label_new(&cc->e);

	be_load(&cc->e, 4, BPF_REG_1, R_REC, REC_ZERO);
	be_jmp32(&cc->e, BPF_JEQ, BPF_REG_1, 0, in);
	for (int i = 0; i < 8; i++)
		be_mov(&cc->e, BPF_REG_1, 0);
	be_ja(&cc->e, next);
	be_label_here(&cc->e, in);
}

static uint32_t chunk(struct be_cc *cc, uint32_t first)
{
	uint32_t n = chunk_rules(cc, first), next = cc->rule[first + n];
	struct bodies b = { 0 };

	be_label_here(&cc->e, cc->rule[first]);
	if (first + n < cc->chain->n)
		gate(cc, next);
	for (uint32_t r = first; r < first + n; r++) {
		if (r > first)
			be_label_here(&cc->e, cc->rule[r]);
		head(cc, r, r + 1 == first + n, &b);
	}
	be_ja(&cc->e, next);
	for (uint32_t i = 0; i < b.n; i++) {
		begin(cc, b.b[i].rule);
		be_label_here(&cc->e, b.b[i].label);
		rest(cc, b.b[i].rule, b.b[i].from, false);
	}
	cc->e.now = NULL;
	be_pool(&cc->e);
	return first + n;
}

static void policy(struct be_cc *cc)
{
	const struct imr_chain *c = cc->chain;
	const struct imr_insn end = { .op = c->policy == OP_DROP ? OP_DROP : OP_PASS };

	cc->e.now = &c->at;
	be_label_here(&cc->e, cc->rule[c->n]);
	if (c->policy_count)
		be_store_imm(&cc->e, 4, R_REC, REC_SLOT, c->policy_slot);
	be_ja(&cc->e, end_label(cc, &end, c->n, c->policy_count));
	cc->e.now = NULL;
}

void be_classify(struct be_cc *cc)
{
	const struct imr_chain *c = cc->chain;

	cc->rule = arena_alloc(cc->imr->arena, (c->n + 1) * sizeof(*cc->rule));
	for (uint32_t r = 0; r <= c->n; r++)
		cc->rule[r] = be_label_new(&cc->e);
	for (uint32_t r = 0; r < c->n && !cc->bad;)
		r = chunk(cc, r);
	if (!cc->bad)
		policy(cc);
}
