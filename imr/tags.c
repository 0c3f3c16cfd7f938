/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Which rules of a placed program ask for a VLAN tag. The kernel pops the outer tag into metadata and puts it back for
 * loads of the link header, so such rules see it wherever it came from; a program on the frame sees only what is in it.
 */
#include "pass.h"

#define TYPE_VLAN	0x8100
#define TYPE_QINQ	0x88a8
#define TYPE_OTHER	0xfffe	/* nobody's */

enum reads { READS_NONE, READS_PROTOCOL, READS_TAG };	/* of a value */

struct reader {
	struct imr *imr;
	uint8_t *reads;		/* by value number */
	uint32_t n_reads;
};

/* The link header's type and what is behind it is where a tag stands. */
static enum reads load_reads(const struct imr_insn *ld)
{
	struct imr_insn at;

	if (ld->field == F_META_PROTOCOL)
		return READS_PROTOCOL;
	ld_bytes(ld, &at);
	return at.base == B_LL && at.off + at.len > 12 ? READS_TAG : READS_NONE;
}

static void define(struct reader *r, const struct imr_insn *i)
{
	const unsigned int args = imr_ops[i->op].args;
	uint8_t reads = i->op == OP_LD ? load_reads(i) : READS_NONE;

	if ((args & ARG_A && r->reads[i->a]) || (args & ARG_B && r->reads[i->b]))
		reads = READS_TAG;
	r->reads = pass_room(r->imr, r->reads, &r->n_reads, i->dst + 1, 1);
	r->reads[i->dst] = reads;
}

/* A frame with one tag has the inner protocol with or without its tag; one with two has that of the second tag, and that
 * is a matter only to who tells tags from other protocols. */
static bool test_reads(const struct reader *r, const struct imr_insn *i)
{
	struct pset s;

	if (!(imr_ops[i->op].args & ARG_A) || r->reads[i->a] != READS_PROTOCOL)
		return imr_ops[i->op].args & ARG_A && r->reads[i->a];
	s = pset_of(i);
	return pset_has(&s, TYPE_VLAN) != pset_has(&s, TYPE_OTHER) || pset_has(&s, TYPE_QINQ) != pset_has(&s, TYPE_OTHER);
}

static void forget(struct imr_insn *i)
{
	*i = (struct imr_insn){
		.op = OP_OPAQUE, .els = i->els, .to = i->to, .dst = IMR_NOVAL, .a = IMR_NOVAL, .b = IMR_NOVAL,
		.text = "a VLAN tag, which may be beside the frame",
	};
}

/* Does a rule read tags? With unknown, its tests that do become unknown ones. */
static bool rule_reads(struct reader *r, struct imr_rule *rule, bool unknown)
{
	bool reads = false;

	for (uint32_t k = 0; k < rule->n; k++) {
		struct imr_insn *i = &rule->insn[k];

		if (pass_is_value(i->op)) {
			define(r, i);
		} else if (pass_is_test(i->op) && test_reads(r, i)) {
			reads = true;
			if (unknown)
				forget(i);
		}
	}
	return reads;
}

static void chain_define(struct reader *r, const struct imr_chain *chain)
{
	for (uint32_t k = 0; k < chain->n_entry; k++)
		define(r, &chain->entry[k]);
}

void imr_tags_unknown(struct imr *imr)
{
	for (uint32_t c = 0; c < imr->n; c++) {
		struct reader r = { .imr = imr };

		chain_define(&r, &imr->chain[c]);
		for (uint32_t k = 0; k < imr->chain[c].n; k++)
			rule_reads(&r, &imr->chain[c].rule[k], true);
	}
	imr_number(imr);
}

const struct imr_rule **imr_tag_readers(struct imr *imr, uint32_t *ret_n)
{
	const struct imr_rule **found = NULL;
	uint32_t cap = 0, n = 0;

	for (uint32_t c = 0; c < imr->n; c++) {
		const struct imr_chain *chain = &imr->chain[c];
		struct reader r = { .imr = imr };

		chain_define(&r, chain);
		for (uint32_t k = 0; k < chain->n; k++) {
			if (!rule_reads(&r, &chain->rule[k], false))
				continue;
			found = pass_room(imr, found, &cap, n + 1, sizeof(*found));
			found[n++] = &chain->rule[k];
		}
	}
	*ret_n = n;
	return found;
}
