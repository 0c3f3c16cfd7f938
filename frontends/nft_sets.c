/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Which sets keep state: those whose elements carry expressions (a quota, a limit, a counter), which a mere lookup runs
 * (nft_lookup_eval, nft_set_elem_update_expr). A slice that dropped a packet before its lookup would leave its share to
 * others. The elements have them from the set, from their own message, or from a rule that adds them.
 */
#include <linux/netfilter/nf_tables.h>
#include <string.h>

#include "conntrack.h"
#include "nft.h"

/* NFTA_SET_COUNT, since Linux 6.16 */
#define SET_ATTRS_KNOWN 20

struct nft_kept {
	const char *table, *set;
};

static void keep(struct nft_ctx *x, const char *table, const char *set)
{
	fe_tracks(x->imr, CONNTRACK_ON);	/* a connlimit perhaps */
	if (!table || !set || nft_set_keeps(x, table, set))
		return;
	x->kept = arena_grow(x->imr->arena, x->kept, x->n_kept * sizeof(*x->kept), (x->n_kept + 1) * sizeof(*x->kept));
	x->kept[x->n_kept++] = (struct nft_kept){ table, set };
}

/* Tables of one name in two families are not told apart. */
bool nft_set_keeps(const struct nft_ctx *x, const char *table, const char *set)
{
	for (uint32_t i = 0; i < x->n_kept; i++)
		if (!strcmp(x->kept[i].table, table) && !strcmp(x->kept[i].set, set))
			return true;
	return false;
}

void nft_set_add(struct nft_ctx *x, struct nft_span s)
{
	struct nft_attrs a;

	if (!nft_attrs_get(s, SET_ATTRS_KNOWN, &a))
		nft_malformed(x, "a set");
	else if (a.tb[NFTA_SET_EXPR].p || a.tb[NFTA_SET_EXPRESSIONS].p || a.odd)
		keep(x, nft_string(x->imr->arena, a.tb[NFTA_SET_TABLE], NFT_NAME_MAXLEN),
		     nft_string(x->imr->arena, a.tb[NFTA_SET_NAME], NFT_NAME_MAXLEN));
}

void nft_elements_add(struct nft_ctx *x, struct nft_span s)
{
	struct nft_attrs a, e;
	struct nft_span list, one;
	bool keeps = false;
	unsigned int type;

	if (!nft_attrs_get(s, NFTA_SET_ELEM_LIST_SET_ID, &a)) {
		nft_malformed(x, "a set's elements");
		return;
	}
	list = a.tb[NFTA_SET_ELEM_LIST_ELEMENTS];
	while (list.p && nft_attr_next(&list, &type, &one) && type) {
		if (!nft_attrs_get(one, NFTA_SET_ELEM_EXPRESSIONS, &e)) {
			nft_malformed(x, "a set's element");
			return;
		}
		keeps |= e.odd || e.tb[NFTA_SET_ELEM_EXPR].p || e.tb[NFTA_SET_ELEM_EXPRESSIONS].p;
	}
	if (keeps)
		keep(x, nft_string(x->imr->arena, a.tb[NFTA_SET_ELEM_LIST_TABLE], NFT_NAME_MAXLEN),
		     nft_string(x->imr->arena, a.tb[NFTA_SET_ELEM_LIST_SET], NFT_NAME_MAXLEN));
}

/* A rule's dynset expressions: what is wrong with the rule is said when it is read. */
void nft_rule_adds(struct nft_ctx *x, struct nft_span s)
{
	struct nft_span list, one;
	struct nft_attrs a, e, d;
	unsigned int type;
	char *name;

	if (!nft_attrs_get(s, NFTA_RULE_CHAIN_ID, &a))
		return;
	list = a.tb[NFTA_RULE_EXPRESSIONS];
	while (list.p && nft_attr_next(&list, &type, &one) && type) {
		if (!nft_attrs_get(one, NFTA_EXPR_DATA, &e) || !(name = nft_string(x->imr->arena, e.tb[NFTA_EXPR_NAME], 64)) ||
		    strcmp(name, "dynset") || !nft_attrs_get(e.tb[NFTA_EXPR_DATA], NFTA_DYNSET_EXPRESSIONS, &d))
			continue;
		if (d.odd || d.tb[NFTA_DYNSET_EXPR].p || d.tb[NFTA_DYNSET_EXPRESSIONS].p)
			keep(x, nft_string(x->imr->arena, a.tb[NFTA_RULE_TABLE], NFT_NAME_MAXLEN),
			     nft_string(x->imr->arena, d.tb[NFTA_DYNSET_SET_NAME], NFT_NAME_MAXLEN));
	}
}
