/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * xtables matches and targets, from the bytes that the kernel holds for them. The legacy blob and nft's compat
 * expressions carry the same structures, so that one table of decoders serves both. A match that no row says exactly is
 * refused and left in the rule as unknown: skipping it would widen the firewall.
 */
#include <string.h>

#include "conntrack.h"
#include "xt.h"

/* XT_ALIGN of x_tables: matches are padded to the strictest alignment of their members. */
#define XT_PAD(n) (((n) + 7u) & ~7u)

static const struct xt_desc *const tables[] = { xt_l4_matches, xt_ip_matches };

u128 xt_be(const void *bytes, unsigned int n)
{
	const uint8_t *p = bytes;
	u128 v = 0;

	while (n-- > 0)
		v = v << 8 | *p++;
	return v;
}

void xt_never(const struct xt_build *b, uint32_t v, enum imr_type t)
{
	imr_in(b->imr, b->rule, true, v, imr_set_one(b->imr, 0, imr_type_max(t)), ELSE_NEXT);
}

void xt_range(const struct xt_build *b, uint32_t v, enum imr_type t, u128 lo, u128 hi, bool inv)
{
	bool full = lo == 0 && hi >= imr_type_max(t), empty = lo > hi;

	if (full || empty) {
		if (inv == full)
			xt_never(b, v, t);
	} else if (lo == hi) {
		imr_cmp(b->imr, b->rule, inv ? OP_NE : OP_EQ, v, lo, ELSE_NEXT);
	} else {
		imr_in(b->imr, b->rule, inv, v, imr_set_one(b->imr, lo, hi), ELSE_NEXT);
	}
}

void xt_masked(const struct xt_build *b, uint32_t v, enum imr_type t, u128 mask, u128 want, bool inv)
{
	u128 host = imr_type_max(t) & ~mask;

	if (want & ~mask) {		/* the packet's side is masked, the rule's is not: never equal */
		if (!inv)
			xt_never(b, v, t);
	} else if ((host & (host + 1)) == 0) {
		xt_range(b, v, t, want, want | host, inv);
	} else {
		v = imr_op2(b->imr, b->rule, OP_AND, v, mask);
		imr_cmp(b->imr, b->rule, inv ? OP_NE : OP_EQ, v, want, ELSE_NEXT);
	}
}

static bool same_name(const struct xt_desc *d, uint8_t family, const char *name)
{
	bool fits = d->family == family || d->family == XT_FAM_ANY ||
		    (d->family == XT_FAM_BOTH && (family == FAM_IP || family == FAM_IP6));

	return fits && !strcmp(d->name, name);
}

/* The row for (name, revision); *ret_known: some revision of the name is there. */
static const struct xt_desc *find(uint8_t family, const char *name, uint8_t rev, bool *ret_known)
{
	*ret_known = false;
	for (size_t t = 0; t < sizeof(tables) / sizeof(tables[0]); t++) {
		for (const struct xt_desc *d = tables[t]; d->name; d++) {
			if (!same_name(d, family, name))
				continue;
			*ret_known = true;
			if (d->rev == rev)
				return d;
		}
	}
	return NULL;
}

/*
 * What xt_check_match and the matches' own checkentry ask of -p: without it the header that is read is another. nft
 * rules do not say what was given to the check; the match reads whatever header is there, which is what is said then.
 */
static bool proto_fits(const struct xt_desc *d, const struct fe_xt_ctx *ctx)
{
	static const uint8_t with_ports[] = { 6, 17, 136, 132, 33 };	/* tcp udp udplite sctp dccp */

	if (d->proto == XT_PROTO_ANY || !ctx->legacy)
		return true;
	if (ctx->proto_inv)
		return false;
	if (d->proto != XT_PROTO_PORTS)
		return ctx->proto == d->proto;
	return ctx->proto && memchr(with_ports, ctx->proto, sizeof(with_ports));
}

static const struct imr_insn *def_of(const struct imr_rule *r, uint32_t v)
{
	for (uint32_t i = 0; i < r->n; i++)
		if (r->insn[i].dst == v && v != IMR_NOVAL)
			return &r->insn[i];
	return NULL;
}

static bool says_th_ok(const struct imr_rule *r, const struct imr_insn *t)
{
	const struct imr_insn *def = def_of(r, t->a);

	if (t->op == OP_NEED)
		return t->base == B_TH && t->len;
	if (!def || def->op != OP_LD || (def->field != F_TH_OK && def->field != F_TH_PROTO))
		return false;
	return (t->op == OP_EQ && t->imm) || (t->op == OP_NE && !t->imm) ||
	       (t->op == OP_IN && !imr_set_has(t->set, 0));
}

/*
 * Is there a transport header whenever control comes here? In IPv4 there always is one at the hooks that have xtables;
 * ip_tables' own -p test says so in IPv6. nft_compat's nft_thoff() is 0 where the walk through IPv6 headers failed, and
 * the match would read the IPv6 header; an earlier test of the rule (`meta l4proto`) must rule that out.
 */
static bool th_is_sure(const struct xt_build *b)
{
	if (b->ctx->family == FAM_IP || b->ctx->legacy)
		return true;
	for (uint32_t i = 0; i < b->rule->n; i++)
		if (imr_ops[b->rule->insn[i].op].class == CLASS_TEST && says_th_ok(b->rule, &b->rule->insn[i]))
			return true;
	return false;
}

/* Matches that are not understood but are known to keep nothing from one packet to the next, so that a packet may be kept
 * from them. Of others even the question has an effect: limit, recent, quota, statistic and set count, connlabel --set
 * labels the connection, bpf runs a program that may have maps. */
static bool keeps_state(const char *name)
{
	static const char *const stateless[] = {
		"addrtype", "ah", "cgroup", "cluster", "connbytes", "connmark", "conntrack", "cpu", "devgroup", "dst", "ecn", "esp",
		"eui64", "frag", "hbh", "helper", "ipv6header", "ipvs", "l2tp", "mark", "mh", "owner", "physdev", "pkttype",
		"policy", "realm", "rpfilter", "rt", "sctp", "socket", "srh", "state", "string", "tcpmss", "time", "u32",
		/* in another revision than the ones above */
		"dccp", "dscp", "hl", "icmp", "icmp6", "iprange", "length", "mac", "multiport", "tcp", "tos", "ttl", "udp", "udplite",
	};

	for (size_t i = 0; i < sizeof(stateless) / sizeof(stateless[0]); i++)
		if (!strcmp(stateless[i], name))
			return false;
	return true;
}

static void refuse(struct imr *imr, struct imr_rule *r, const char *name, const char *why)
{
	struct diag *d = diag_add(imr->diags, DIAG_UNSUPPORTED, &r->at, "match \"%s\" %s", name, why);
	char *mark = arena_printf(imr->arena, "-m %s", name);

	d->mark = r->at.text && strstr(r->at.text, mark) ? mark : arena_strndup(imr->arena, name, strlen(name));
	d->hint = "without -f the rule stays with the kernel, and fwjit drops only what is sure without it";
	mark = arena_printf(imr->arena, "-m %s", name);
	if (keeps_state(name))
		imr_stmt(imr, r, OP_EFFECT, mark);
	imr_stmt(imr, r, OP_OPAQUE, mark);
}

/* Why the row does not say this match, or NULL where its meaning was added. */
static const char *add(const struct xt_build *b, const struct xt_desc *d, const void *data, size_t len)
{
	void *copy;

	if (XT_PAD(len) != XT_PAD(d->size) || len < d->size)
		return arena_printf(b->imr->arena, "has %zu bytes where its revision %u has %u", len, d->rev, d->size);
	if (!proto_fits(d, b->ctx))
		return "stands in a rule whose protocol it cannot read";
	if (d->proto != XT_PROTO_ANY && !th_is_sure(b))
		return "stands in a rule that does not test the protocol before it";
	copy = arena_alloc(b->imr->arena, d->size);	/* zeroed, and aligned as data may not be */
	memcpy(copy, data, d->size);
	return d->add(b, copy) ? NULL : "has an option that is not understood";
}

void fe_xt_match(struct imr *imr, struct imr_rule *r, const struct fe_xt_ctx *ctx, const char *name, uint8_t rev,
		 const void *data, size_t len)
{
	bool v6 = ctx->family == FAM_IP6, known;
	const struct xt_desc *d = find(ctx->family, name, rev, &known);
	struct xt_build b = { .imr = imr, .rule = r, .ctx = ctx, .th = B_TH, .fragoff = F_TH_FRAGOFF };
	const char *why;

	fe_tracks_match(imr, name);
	if (ctx->legacy) {
		b.th = v6 ? B_TX : B_TH;
		b.fragoff = v6 ? F_TX_FRAGOFF : F_IP_FRAGOFF;
	}
	if (d)
		why = add(&b, d, data, len);
	else if (known)
		why = arena_printf(imr->arena, "is not understood in revision %u", rev);
	else
		why = arena_printf(imr->arena, "(revision %u) is not understood", rev);
	if (why)
		refuse(imr, r, name, why);
}

/* Where a target that is not understood leads: those that always end the rule's chain, by name. */
static bool target_ends(const char *name)
{
	static const char *const ends[] = { "REJECT", "QUEUE", "NFQUEUE", "SYNPROXY", "TARPIT", "MIRROR", "STEAL" };

	for (size_t i = 0; i < sizeof(ends) / sizeof(ends[0]); i++)
		if (!strcmp(ends[i], name))
			return true;
	return false;
}

bool fe_xt_target(struct imr *imr, struct imr_rule *r, const struct fe_xt_ctx *ctx, const char *name, uint8_t rev,
		  const void *data, size_t len)
{
	struct diag *d = diag_add(imr->diags, DIAG_UNSUPPORTED, &r->at, "target \"%s\" (revision %u) is not understood",
				  name, rev);
	char *mark = arena_printf(imr->arena, "-j %s", name);

	fe_tracks_target(imr, name, data, len);
	d->mark = r->at.text && strstr(r->at.text, mark) ? mark : arena_strndup(imr->arena, name, strlen(name));
	d->hint = "without -f the rule stays with the kernel, and fwjit drops only what is sure without it";
	imr_stmt(imr, r, OP_EFFECT, mark);
	return target_ends(name);
}
