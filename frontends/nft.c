/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * nftables: a netlink dump into IMR. The messages are read twice: tables and chains first, so that a jump finds its
 * chain wherever it stands, then the rules in the order of the dump, which is theirs. The bytes are hostile: what does
 * not add up is an error, what is not known is unsupported, nothing is skipped.
 */
#include <arpa/inet.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netlink.h>
#include <string.h>

#include "conntrack.h"
#include "nft.h"


static struct imr_at *rule_at(struct nft_ctx *x)
{
	return x->rule ? &x->rule->at : NULL;
}

void nft_unsupported(struct nft_ctx *x, const char *mark, const char *what)
{
	struct diag *d = diag_add(x->imr->diags, DIAG_UNSUPPORTED, rule_at(x), "%s: cannot be said exactly", what);

	if (mark && d->at.text && strstr(d->at.text, mark))
		d->mark = mark;
}

bool nft_malformed(struct nft_ctx *x, const char *what)
{
	diag_add(x->imr->diags, DIAG_ERROR, rule_at(x), "%s: malformed bytes from nftables", what);
	x->bad = true;
	return false;
}

/* ------------------------------------------------------------------ rules */

/* An expression behind a verdict never runs (nft_do_chain leaves the rule). */
static void rule_body(struct nft_ctx *x, struct nft_span list)
{
	struct nft_span e;
	unsigned int type;

	nft_regs_unknown(&x->regs, 0, NFT_REG_BYTES, NULL);
	x->ended = false;
	while (!x->bad && !x->ended) {
		if (!nft_attr_next(&list, &type, &e) || (type && type != NFTA_LIST_ELEM)) {
			nft_malformed(x, "a rule");
			return;
		}
		if (!type)
			break;
		nft_expr(x, e);
	}
	if (!x->ended)
		imr_end(x->imr, x->rule, OP_NEXT, 0);
}

static void rule_make(struct nft_ctx *x, struct nft_chain *c, const struct nft_attrs *a, uint64_t handle)
{
	struct imr_chain *to = &x->imr->chain[c->index];
	struct imr_at at = to->at;

	at.number = ++c->number;
	at.handle = handle;
	if (x->texts)
		at.text = fe_texts_nft(x->texts, nft_family_name(c->table->family), c->table->name, c->name, handle);
	x->in = c;
	x->rule = imr_rule_add(x->imr, to, &at);
	if (a->odd) {
		nft_unsupported(x, NULL, "a rule's attribute that is not known");
		imr_stmt(x->imr, x->rule, OP_EFFECT, "an attribute that is not known");
	}
	rule_body(x, a->tb[NFTA_RULE_EXPRESSIONS].p ? a->tb[NFTA_RULE_EXPRESSIONS] : (struct nft_span){ NULL, 0 });
	x->rule = NULL;
}

/* A rule that no packet meets may have connections tracked all the same: its expressions ask when they are made. */
static void rule_tracks(struct nft_ctx *x, struct nft_span list)
{
	struct nft_attrs e;
	struct nft_span one;
	unsigned int type;
	char *name;

	while (list.p && nft_attr_next(&list, &type, &one) && type) {
		name = nft_attrs_get(one, NFTA_EXPR_DATA, &e) ? nft_string(x->imr->arena, e.tb[NFTA_EXPR_NAME], 64) : NULL;
		fe_tracks_nft(x->imr, name && strcmp(name, "match") && strcmp(name, "target") ? name : "?", 0);
	}
}

static void rule_add(struct nft_ctx *x, uint8_t family, struct nft_span s)
{
	char *table, *chain;
	struct nft_table *t;
	struct nft_attrs a;
	uint64_t handle;

	if (!nft_attrs_get(s, NFTA_RULE_CHAIN_ID, &a) ||
	    !(table = nft_string(x->imr->arena, a.tb[NFTA_RULE_TABLE], NFT_NAME_MAXLEN)) ||
	    !(chain = nft_string(x->imr->arena, a.tb[NFTA_RULE_CHAIN], NFT_NAME_MAXLEN)) ||
	    !nft_be64(a.tb[NFTA_RULE_HANDLE], &handle) || !(t = nft_table_find(x, family, table)) ||
	    (!t->skip && !(x->last = nft_chain_find(x, family, table, chain)))) {
		nft_malformed(x, "a rule");
		return;
	}
	if (t->skip)
		rule_tracks(x, a.tb[NFTA_RULE_EXPRESSIONS]);
	else
		rule_make(x, x->last, &a, handle);
}

/* ------------------------------------------------------------------ messages */

struct message {
	uint16_t type;		/* NFT_MSG_*, or NLMSG_* below NLMSG_MIN_TYPE */
	uint8_t family;
	uint16_t generation;	/* its low 16 bits: nft_base_seq */
	struct nft_span body;
};

/* The next message; at the end type is NLMSG_NOOP with an empty body. False where the lengths do not add up. */
static bool message_next(struct nft_span *s, struct message *ret)
{
	struct nfgenmsg g;
	struct nlmsghdr h;
	size_t step;

	memset(ret, 0, sizeof(*ret));
	ret->type = NLMSG_NOOP;
	if (!s->n)
		return true;
	if (s->n < sizeof(h))
		return false;
	memcpy(&h, s->p, sizeof(h));
	if (h.nlmsg_len < sizeof(h) || h.nlmsg_len > s->n)
		return false;
	ret->type = h.nlmsg_type;
	ret->body = (struct nft_span){ s->p + sizeof(h), h.nlmsg_len - sizeof(h) };
	step = NLMSG_ALIGN((size_t)h.nlmsg_len);
	s->p += step < s->n ? step : s->n;
	s->n -= step < s->n ? step : s->n;
	if (h.nlmsg_type < NLMSG_MIN_TYPE)
		return h.nlmsg_type == NLMSG_DONE;
	if (h.nlmsg_type >> 8 != NFNL_SUBSYS_NFTABLES || ret->body.n < sizeof(g) || (h.nlmsg_flags & NLM_F_DUMP_INTR))
		return false;
	memcpy(&g, ret->body.p, sizeof(g));
	ret->type = NLMSG_MIN_TYPE + (h.nlmsg_type & 0xff);
	ret->family = g.nfgen_family;
	ret->generation = ntohs(g.res_id);
	ret->body.p += NLMSG_ALIGN(sizeof(g));
	ret->body.n -= NLMSG_ALIGN(sizeof(g));
	return true;
}

/* Rules of two generations are no ruleset. */
static bool same_generation(struct nft_ctx *x, const struct message *m)
{
	if (x->generation_set && x->generation != m->generation)
		return false;
	x->generation_set = true;
	x->generation = m->generation;
	return true;
}

#define MSG(t) (NLMSG_MIN_TYPE + (t))

/* What is not judged is still looked at: its attributes must add up. */
static void message_other(struct nft_ctx *x, const struct message *m)
{
	struct nft_attrs a;

	switch (m->type) {
	case MSG(NFT_MSG_NEWGEN):
	case MSG(NFT_MSG_NEWOBJ):
		if (!nft_attrs_get(m->body, 0, &a))
			nft_malformed(x, "a message");
		return;
	default:
		nft_malformed(x, "a message of an unexpected type");
	}
}

static void message_first(struct nft_ctx *x, const struct message *m)
{
	if (!same_generation(x, m))
		nft_malformed(x, "messages of two generations");
	else if (m->type == MSG(NFT_MSG_NEWTABLE))
		nft_table_add(x, m->family, m->body);
	else if (m->type == MSG(NFT_MSG_NEWCHAIN))
		nft_chain_add(x, m->family, m->body);
	else if (m->type == MSG(NFT_MSG_NEWFLOWTABLE))
		nft_flowtable_add(x, m->family, m->body);
	else if (m->type == MSG(NFT_MSG_NEWSET))
		nft_set_add(x, m->body);
	else if (m->type == MSG(NFT_MSG_NEWSETELEM))
		nft_elements_add(x, m->body);
	else if (m->type == MSG(NFT_MSG_NEWRULE))
		nft_rule_adds(x, m->body);
	else
		message_other(x, m);
}

static void messages(struct nft_ctx *x, struct nft_span s, bool first)
{
	struct message m;

	while (s.n && !x->bad) {
		if (!message_next(&s, &m))
			nft_malformed(x, "a message");
		else if (m.type < NLMSG_MIN_TYPE)
			continue;
		else if (first)
			message_first(x, &m);
		else if (m.type == MSG(NFT_MSG_NEWRULE))
			rule_add(x, m.family, m.body);
	}
}

bool fe_nft_read(struct imr *imr, const struct fe_rec *rec, const struct fe_texts *texts)
{
	struct nft_ctx *x = arena_alloc(imr->arena, sizeof(*x));
	struct nft_span s = { rec->data, rec->len };

	x->imr = imr;
	x->texts = texts;
	x->n_before = imr->n;
	messages(x, s, true);
	messages(x, s, false);
	return !x->bad;
}
