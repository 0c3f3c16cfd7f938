/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * One table of ip_tables or ip6_tables, as its getsockopts give it, into IMR. ipt_do_table is what it means: a rule's
 * own part, then its matches, then its counter, then its target; a jump is by offset to the first entry of a chain,
 * RETURN in a base chain leads to the policy, and the policy is an entry with a counter like any other.
 */
#include <string.h>

#include <linux/netfilter.h>
#include <linux/netfilter/x_tables.h>

#include "ipt.h"

/* The tables of the kernel: their hooks, priorities (NF_IP_PRI_…) and, for OUTPUT, what is done after it. */
static const struct ipt_table {
	const char *name;
	uint32_t hooks;
	int32_t prio[IPT_HOOKS];
	enum imr_kind kind, kind_output;
} ipt_tables[] = {
	{ "raw",      0x09, { -300, 0, 0, -300, 0 },             KIND_FILTER, KIND_FILTER },
	{ "mangle",   0x1f, { -150, -150, -150, -150, -150 },    KIND_FILTER, KIND_ROUTE },
	{ "nat",      0x1b, { -100, 100, 0, -100, 100 },         KIND_NAT,    KIND_NAT },
	{ "filter",   0x0e, { 0, 0, 0, 0, 0 },                   KIND_FILTER, KIND_FILTER },
	{ "security", 0x0e, { 0, 50, 50, 50, 0 },                KIND_FILTER, KIND_FILTER },
};

_Static_assert(HOOK_IP_POSTROUTING - HOOK_IP_PREROUTING == NF_INET_POST_ROUTING, "ORDER HOOK");
_Static_assert(HOOK_IP6_POSTROUTING - HOOK_IP6_PREROUTING == NF_INET_POST_ROUTING, "ORDER HOOK");

static const struct ipt_table *find_table(const struct ipt_blob *b)
{
	for (size_t i = 0; i < sizeof(ipt_tables) / sizeof(ipt_tables[0]); i++)
		if (!strcmp(ipt_tables[i].name, b->table))
			return ipt_tables[i].hooks == b->valid_hooks ? &ipt_tables[i] : NULL;
	return NULL;
}

static void make_chain(struct ipt_blob *b, const struct ipt_table *t, struct ipt_chain *c)
{
	struct arena *a = b->imr->arena;
	struct imr_chain *m = imr_chain_add(b->imr, arena_printf(a, "%s/%s/%s", b->tool, b->table, c->name));
	struct ipt_entry_view policy;

	c->imr = (uint32_t)(m - b->imr->chain);
	m->at.tool = b->tool;
	m->at.where = arena_printf(a, "%s %s %s", b->tool, b->table, c->name);
	if (c->hook < 0)
		return;
	ipt_entry_at(b, c->tail, &policy);
	m->hook = (b->family == FAM_IP ? HOOK_IP_PREROUTING : HOOK_IP6_PREROUTING) + c->hook;
	m->prio = t->prio[c->hook];
	m->kind = c->hook == NF_INET_LOCAL_OUT ? t->kind_output : t->kind;
	m->policy = ipt_verdict(&policy) == -NF_ACCEPT - 1 ? OP_ACCEPT : OP_DROP;
	m->policy_count = true;
}

static void add_matches(struct ipt_blob *b, struct imr_rule *r, const struct fe_xt_ctx *ctx,
			const struct ipt_entry_view *e)
{
	for (uint32_t at = 0; at < e->match_len; ) {
		struct xt_entry_match m;

		memcpy(&m, e->match + at, sizeof(m));
		fe_xt_match(b->imr, r, ctx, m.u.user.name, m.u.user.revision, e->match + at + sizeof(m),
			    m.u.match_size - sizeof(m));
		at += m.u.match_size;
	}
}

static void unknown_verdict(struct ipt_blob *b, struct imr_rule *r, const char *mark, const char *what)
{
	struct diag *d = diag_add(b->imr->diags, DIAG_UNSUPPORTED, &r->at, "%s", what);

	d->mark = mark;
	d->hint = "without -f the rule stays with the kernel, and fwjit drops only what is sure without it";
	imr_stmt(b->imr, r, OP_EFFECT, mark);
	imr_end(b->imr, r, OP_NEXT, 0);
}

/* A verdict above 0 is the offset of the entry to go on with; that of the next one is what a rule without -j has. */
static void add_jump(struct ipt_blob *b, struct imr_rule *r, const struct ipt_entry_view *e)
{
	uint32_t to = (uint32_t)ipt_verdict(e);
	const struct ipt_chain *c = ipt_chain_at(b, to);

	if (to == e->next)
		imr_end(b->imr, r, OP_NEXT, 0);
	else if (c && c->hook < 0)
		imr_end(b->imr, r, ipt_is_goto(b, e) ? OP_GOTO : OP_JUMP, c->imr);
	else
		unknown_verdict(b, r, "-j", "the jump does not lead to the head of a user chain");
}

static void add_verdict(struct ipt_blob *b, struct imr_rule *r, const struct ipt_entry_view *e)
{
	switch (ipt_verdict(e)) {
	case -NF_ACCEPT - 1:
		imr_end(b->imr, r, OP_ACCEPT, 0);
		break;
	case -NF_DROP - 1:
		imr_end(b->imr, r, OP_DROP, 0);
		break;
	case XT_RETURN:
		imr_end(b->imr, r, OP_RETURN, 0);
		break;
	case -NF_QUEUE - 1:
		unknown_verdict(b, r, "-j QUEUE", "target \"QUEUE\" is not understood");
		break;
	default:
		add_jump(b, r, e);
	}
}

static void add_target(struct ipt_blob *b, struct imr_rule *r, const struct fe_xt_ctx *ctx,
		       const struct ipt_entry_view *e)
{
	struct xt_entry_target t;

	memcpy(&t, e->target, sizeof(t));
	fe_xt_target(b->imr, r, ctx, t.u.user.name, t.u.user.revision, e->target + sizeof(t),
		     e->target_len - sizeof(t));
	imr_end(b->imr, r, OP_NEXT, 0);
}

static void add_rule(struct ipt_blob *b, const struct ipt_chain *c, const struct ipt_entry_view *e,
		     const struct fe_texts *texts)
{
	struct imr_chain *m = &b->imr->chain[c->imr];
	struct imr_at at = m->at;
	struct fe_xt_ctx ctx;
	struct imr_rule *r;

	at.number = m->n + 1;		/* as iptables -L --line-numbers counts */
	if (texts)
		at.text = fe_texts_ipt(texts, b->family, b->table, c->name, at.number);
	r = imr_rule_add(b->imr, m, &at);
	ipt_match_ip(b, r, e, &ctx);
	add_matches(b, r, &ctx, e);
	imr_stmt(b->imr, r, OP_COUNT, NULL);
	if (ipt_is_standard(e))
		add_verdict(b, r, e);
	else
		add_target(b, r, &ctx, e);
}

bool fe_ipt_read(struct imr *imr, const struct fe_rec *rec, const struct fe_texts *texts)
{
	struct ipt_blob b = { .imr = imr };
	const struct ipt_table *t;
	struct ipt_entry_view e;

	if (!ipt_blob_open(&b, rec))
		return false;
	t = find_table(&b);
	if (!t) {
		diag_add(imr->diags, DIAG_ERROR, NULL, "%s table \"%s\": not a table of the kernel, or its hooks are "
			 "not that table's", b.tool, b.table);
		return false;
	}
	for (uint32_t i = 0; i < b.n_chain; i++)
		make_chain(&b, t, &b.chain[i]);
	for (uint32_t i = 0; i < b.n_chain; i++) {
		for (uint32_t off = b.chain[i].head; off != b.chain[i].tail; off = e.next) {
			ipt_entry_at(&b, off, &e);
			add_rule(&b, &b.chain[i], &e, texts);
		}
	}
	return true;
}
