/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * nftables' tables, chains and flowtables: where rules hang. What changes that in a way that cannot be said (a flag, a
 * hook, a chain offloaded to a device) becomes an effect before the chain's first rule, so that nothing behind it counts
 * as sure. Tables that judge no IP packet are left out with a note.
 */
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <string.h>

#include "nft.h"

/* NFT_TABLE_F_PERSIST, since Linux 6.9 */
#define TABLE_F_PERSIST 0x4
#define TABLE_F_KNOWN (NFT_TABLE_F_DORMANT | NFT_TABLE_F_OWNER | TABLE_F_PERSIST)
#define CHAIN_F_KNOWN (NFT_CHAIN_BASE | NFT_CHAIN_BINDING)

const char *nft_family_name(uint8_t family)
{
	switch (family) {
	case NFPROTO_INET: return "inet";
	case NFPROTO_IPV4: return "ip";
	case NFPROTO_ARP: return "arp";
	case NFPROTO_NETDEV: return "netdev";
	case NFPROTO_BRIDGE: return "bridge";
	case NFPROTO_IPV6: return "ip6";
	default: return NULL;
	}
}

struct nft_table *nft_table_find(struct nft_ctx *x, uint8_t family, const char *table)
{
	for (uint32_t i = 0; i < x->n_table; i++)
		if (x->table[i].family == family && !strcmp(x->table[i].name, table))
			return &x->table[i];
	return NULL;
}

static bool chain_is(const struct nft_chain *c, uint8_t family, const char *table, const char *chain)
{
	return c->table->family == family && !strcmp(c->name, chain) && !strcmp(c->table->name, table);
}

static uint32_t chain_hash(uint8_t family, const char *table, const char *chain)
{
	uint32_t h = 2166136261u ^ family;

	for (const char *p = table; *p; p++)
		h = (h ^ (uint8_t)*p) * 16777619u;
	for (const char *p = chain; *p; p++)
		h = (h ^ (uint8_t)*p) * 16777619u;
	return h;
}

/* The slot that has the chain, or the free one where it would be. */
static uint32_t *chain_slot(struct nft_ctx *x, uint8_t family, const char *table, const char *chain)
{
	uint32_t i = chain_hash(family, table, chain) & (x->n_slot - 1);

	while (x->slot[i] && !chain_is(&x->chain[x->slot[i] - 1], family, table, chain))
		i = (i + 1) & (x->n_slot - 1);
	return &x->slot[i];
}

static void chain_known(struct nft_ctx *x, const struct nft_chain *c)
{
	x->chain = arena_grow(x->imr->arena, x->chain, x->n_chain * sizeof(*c), (x->n_chain + 1) * sizeof(*c));
	x->chain[x->n_chain++] = *c;
	if (2 * x->n_chain > x->n_slot) {
		x->n_slot = x->n_slot ? 2 * x->n_slot : 64;
		x->slot = arena_alloc(x->imr->arena, x->n_slot * sizeof(*x->slot));
		for (uint32_t i = 0; i + 1 < x->n_chain; i++)
			*chain_slot(x, x->chain[i].table->family, x->chain[i].table->name, x->chain[i].name) = i + 1;
	}
	*chain_slot(x, c->table->family, c->table->name, c->name) = x->n_chain;
}

/* Rules come chain by chain: the one found last is asked first. */
struct nft_chain *nft_chain_find(struct nft_ctx *x, uint8_t family, const char *table, const char *chain)
{
	uint32_t at;

	if (x->last && chain_is(x->last, family, table, chain))
		return x->last;
	at = x->n_slot ? *chain_slot(x, family, table, chain) : 0;
	return at ? &x->chain[at - 1] : NULL;
}

static struct imr_at table_at(struct nft_ctx *x, uint8_t family, const char *table)
{
	return (struct imr_at){ .tool = "nft",
		.where = arena_printf(x->imr->arena, "%s %s", nft_family_name(family), table) };
}

/* A program of ours runs in it (loader/nft.c writes both), or rules that are ours to list. */
static bool is_own(const char *name, struct nft_span userdata)
{
	static const uint8_t comment[] = { 0, sizeof("fwjit"), 'f', 'w', 'j', 'i', 't', 0 };

	return !strncmp(name, "fwjit-", 6) && userdata.n == sizeof(comment) && !memcmp(userdata.p, comment, sizeof(comment));
}

void nft_table_add(struct nft_ctx *x, uint8_t family, struct nft_span s)
{
	struct nft_table t = { .family = family };
	uint32_t flags = 0;
	struct imr_at at;
	struct nft_attrs a;

	if (!nft_attrs_get(s, NFTA_TABLE_OWNER, &a) || !nft_family_name(family) ||
	    !(t.name = nft_string(x->imr->arena, a.tb[NFTA_TABLE_NAME], NFT_NAME_MAXLEN)) ||
	    (a.tb[NFTA_TABLE_FLAGS].p && !nft_be32(a.tb[NFTA_TABLE_FLAGS], &flags)) ||
	    nft_table_find(x, family, t.name)) {
		nft_malformed(x, "a table");
		return;
	}
	at = table_at(x, family, t.name);
	t.odd = a.odd || (flags & ~TABLE_F_KNOWN);
	if (t.odd)
		diag_add(x->imr->diags, DIAG_UNSUPPORTED, &at, "the table has a flag that is not known");
	if (family == NFPROTO_ARP || family == NFPROTO_BRIDGE) {
		diag_add(x->imr->diags, DIAG_NOTE, &at, "the table is left out: it does not judge routed IP packets");
		t.skip = true;
	} else if (is_own(t.name, a.tb[NFTA_TABLE_USERDATA])) {
		diag_add(x->imr->diags, DIAG_NOTE, &at, "the table is left out: it is fwjit's own");
		t.skip = true;
	} else if (flags & NFT_TABLE_F_DORMANT) {
		diag_add(x->imr->diags, DIAG_NOTE, &at, "the table is left out: it is dormant");
		t.skip = true;
	}
	x->table = arena_grow(x->imr->arena, x->table, x->n_table * sizeof(t), (x->n_table + 1) * sizeof(t));
	x->table[x->n_table++] = t;
}

/* ------------------------------------------------------------------ hooks */

/* The program's hook for a chain's; HOOK_NONE where there is none. */
static enum imr_hook hook_find(uint8_t family, uint32_t num)
{
	enum imr_hooknum want = num;

	if (family == NFPROTO_NETDEV)
		want = num == NF_NETDEV_INGRESS ? HN_INGRESS : num == 1 ? HN_EGRESS : HN_EARLY;
	for (int h = HOOK_NONE + 1; h < HOOK_MAX; h++)
		if ((uint8_t)imr_hooks[h].family == family && imr_hooks[h].num == want && want < HN_EARLY)
			return h;
	return HOOK_NONE;
}

/* NFTA_DEVICE_PREFIX, since Linux 6.17; 6.16 has it as a name without its NUL. */
#define DEVICE_PREFIX 2

static void dev_add(struct imr *imr, struct imr_chain *c, const char *name)
{
	c->dev = arena_grow(imr->arena, c->dev, c->n_dev * sizeof(*c->dev), (c->n_dev + 1) * sizeof(*c->dev));
	c->dev[c->n_dev++] = name;
}

/* One device, by its whole name. What is not that may bind the chain to more devices: the program then has all that may
 * be meant, and false says that it is not exact. An asterisk at a name's end is one to the kernel. */
static bool dev_get(struct imr *imr, struct imr_chain *c, unsigned int type, struct nft_span s)
{
	char *name = nft_string(imr->arena, s, 15);
	bool whole = type == NFTA_DEVICE_NAME && name && !s.p[s.n - 1];

	if (!name || type > DEVICE_PREFIX)
		dev_add(imr, c, "*");
	else
		dev_add(imr, c, whole ? name : arena_printf(imr->arena, "%s*", name));
	return whole && name[strlen(name) - 1] != '*';
}

/* False where an entry is not a device's whole name. */
static bool devs_add(struct imr *imr, struct imr_chain *c, struct nft_span list)
{
	struct nft_span s;
	unsigned int type;
	bool whole = true;

	for (;;) {
		if (!nft_attr_next(&list, &type, &s)) {
			dev_add(imr, c, "*");
			return false;
		}
		if (!type)
			return whole;
		whole &= dev_get(imr, c, type, s);
	}
}

/* NFTA_CHAIN_HOOK. *ret_odd: something in it is not understood. False: malformed. */
static bool hook_get(struct nft_ctx *x, uint8_t family, struct nft_span s, struct imr_chain *c, bool *ret_odd)
{
	uint32_t num, prio;
	struct nft_attrs h;

	if (!nft_attrs_get(s, NFTA_HOOK_DEVS, &h) || !nft_be32(h.tb[NFTA_HOOK_HOOKNUM], &num) ||
	    !nft_be32(h.tb[NFTA_HOOK_PRIORITY], &prio))
		return false;
	c->hook = hook_find(family, num);
	c->prio = (int32_t)prio;
	*ret_odd |= h.odd;
	if (h.tb[NFTA_HOOK_DEVS].p)
		*ret_odd |= !devs_add(x->imr, c, h.tb[NFTA_HOOK_DEVS]);
	else if (h.tb[NFTA_HOOK_DEV].p)
		*ret_odd |= !dev_get(x->imr, c, NFTA_DEVICE_NAME, h.tb[NFTA_HOOK_DEV]);
	return c->hook != HOOK_NONE;
}

static bool kind_get(struct nft_ctx *x, struct nft_span s, enum imr_kind *ret)
{
	char *type = nft_string(x->imr->arena, s, 32);

	*ret = KIND_FILTER;
	if (type && !strcmp(type, "nat"))
		*ret = KIND_NAT;
	else if (type && !strcmp(type, "route"))
		*ret = KIND_ROUTE;
	else
		return type && !strcmp(type, "filter");
	return true;
}

/* ------------------------------------------------------------------ chains */

static bool name_taken(const struct imr *imr, uint32_t n, const char *name)
{
	for (uint32_t i = 0; i < n; i++)
		if (!strcmp(imr->chain[i].name, name))
			return true;
	return false;
}

/* Unique in the program: a table "a/b" with a chain "c" is not a table "a" with a chain "b/c". Two slashes say which is
 * which, so that of this record only names with more are asked for. */
static const char *chain_name(struct nft_ctx *x, uint8_t family, const char *table, const char *chain)
{
	bool plain = !strpbrk(table, "/'") && !strpbrk(chain, "/'");
	char *name = arena_printf(x->imr->arena, "%s/%s/%s", nft_family_name(family), table, chain);

	while (name_taken(x->imr, plain ? x->n_before : x->imr->n, name)) {
		name = arena_printf(x->imr->arena, "%s'", name);
		plain = false;
	}
	return name;
}

/* Something in front of the rules that may do anything. */
static void chain_effect(struct nft_ctx *x, struct imr_chain *c, const char *why)
{
	struct imr_rule *r = imr_rule_add(x->imr, c, &c->at);

	diag_add(x->imr->diags, DIAG_UNSUPPORTED, &c->at, "%s: the chain cannot be said exactly", why);
	imr_stmt(x->imr, r, OP_EFFECT, why);
	imr_end(x->imr, r, OP_NEXT, 0);
}

static bool base_get(struct nft_ctx *x, uint8_t family, const struct nft_attrs *a, struct imr_chain *c, bool *ret_odd)
{
	uint32_t policy = NF_ACCEPT;

	if (!hook_get(x, family, a->tb[NFTA_CHAIN_HOOK], c, ret_odd) ||
	    (a->tb[NFTA_CHAIN_POLICY].p && !nft_be32(a->tb[NFTA_CHAIN_POLICY], &policy)) || policy > NF_ACCEPT)
		return false;
	c->policy = policy == NF_DROP ? OP_DROP : OP_ACCEPT;
	c->policy_count = a->tb[NFTA_CHAIN_COUNTERS].p;
	*ret_odd |= !kind_get(x, a->tb[NFTA_CHAIN_TYPE], &c->kind);
	return true;
}

static void chain_make(struct nft_ctx *x, const struct nft_table *t, const char *name, const struct nft_attrs *a)
{
	struct imr_chain *c = imr_chain_add(x->imr, chain_name(x, t->family, t->name, name));
	struct nft_chain n = { .table = t, .name = name, .index = x->imr->n - 1, .base = a->tb[NFTA_CHAIN_HOOK].p };
	bool odd = a->odd || t->odd;
	uint32_t flags = 0;

	c->at = (struct imr_at){ .tool = "nft",
		.where = arena_printf(x->imr->arena, "%s %s %s", nft_family_name(t->family), t->name, name) };
	if ((n.base && !base_get(x, t->family, a, c, &odd)) ||
	    (a->tb[NFTA_CHAIN_FLAGS].p && !nft_be32(a->tb[NFTA_CHAIN_FLAGS], &flags))) {
		nft_malformed(x, "a chain");
		return;
	}
	if (flags & NFT_CHAIN_HW_OFFLOAD)
		chain_effect(x, c, "rules offloaded to the device");
	if (odd || (flags & ~(CHAIN_F_KNOWN | NFT_CHAIN_HW_OFFLOAD)))
		chain_effect(x, c, "an attribute or flag that is not known");
	chain_known(x, &n);
}

void nft_chain_add(struct nft_ctx *x, uint8_t family, struct nft_span s)
{
	char *table, *name;
	struct nft_table *t;
	struct nft_attrs a;

	if (!nft_attrs_get(s, NFTA_CHAIN_USERDATA, &a) ||
	    !(table = nft_string(x->imr->arena, a.tb[NFTA_CHAIN_TABLE], NFT_NAME_MAXLEN)) ||
	    !(name = nft_string(x->imr->arena, a.tb[NFTA_CHAIN_NAME], NFT_NAME_MAXLEN)) ||
	    !(t = nft_table_find(x, family, table)) || (!t->skip && nft_chain_find(x, family, table, name))) {
		nft_malformed(x, "a chain");
		return;
	}
	if (!t->skip)
		chain_make(x, t, name, &a);
}

/* A flowtable forwards the packets of known flows from its devices' ingress, past the chains behind: an effect there.
 * It stays while its table is dormant (nf_tables_table_disable unhooks chains alone). */
void nft_flowtable_add(struct nft_ctx *x, uint8_t family, struct nft_span s)
{
	struct nft_attrs a, h;
	struct imr_chain *c;
	char *table, *name;
	struct nft_table *t;
	uint32_t prio = 0;
	bool odd;

	if (!nft_attrs_get(s, NFTA_FLOWTABLE_FLAGS, &a) ||
	    !(table = nft_string(x->imr->arena, a.tb[NFTA_FLOWTABLE_TABLE], NFT_NAME_MAXLEN)) ||
	    !(name = nft_string(x->imr->arena, a.tb[NFTA_FLOWTABLE_NAME], NFT_NAME_MAXLEN)) ||
	    !(t = nft_table_find(x, family, table)) || !a.tb[NFTA_FLOWTABLE_HOOK].p ||
	    !nft_attrs_get(a.tb[NFTA_FLOWTABLE_HOOK], NFTA_FLOWTABLE_HOOK_DEVS, &h)) {
		nft_malformed(x, "a flowtable");
		return;
	}
	c = imr_chain_add(x->imr, chain_name(x, family, table, arena_printf(x->imr->arena, "flowtable/%s", name)));
	c->at = (struct imr_at){ .tool = "nft",
		.where = arena_printf(x->imr->arena, "%s %s %s", nft_family_name(family), table, name) };
	c->hook = HOOK_NETDEV_INGRESS;
	c->policy = OP_ACCEPT;
	odd = !nft_be32(h.tb[NFTA_FLOWTABLE_HOOK_PRIORITY], &prio);
	c->prio = (int32_t)prio;
	odd |= h.tb[NFTA_FLOWTABLE_HOOK_DEVS].p && !devs_add(x->imr, c, h.tb[NFTA_FLOWTABLE_HOOK_DEVS]);
	chain_effect(x, c, odd || a.odd || h.odd ? "a flowtable with an attribute that is not known" : "a flowtable");
}
