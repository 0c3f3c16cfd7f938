/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * nftables expressions: the table of those that there are, and what the exact ones mean. An expression, attribute or
 * value that is not in a table is never skipped: it becomes an opaque test or an effect, and the rule is named.
 */
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nf_tables_compat.h>
#include <string.h>

#include "conntrack.h"
#include "nft.h"

bool nft_effect(struct nft_ctx *x, const char *why)
{
	nft_unsupported(x, why, why);
	imr_stmt(x->imr, x->rule, OP_EFFECT, why);
	return true;
}

bool nft_opaque(struct nft_ctx *x, const char *why)
{
	nft_unsupported(x, why, why);
	imr_stmt(x->imr, x->rule, OP_OPAQUE, why);
	return true;
}

/* ------------------------------------------------------------------ data */

/* NFTA_DATA_VALUE inside a nested attribute: 1 to 16 bytes. */
static bool data_value(struct nft_span s, struct nft_span *ret)
{
	struct nft_attrs d;

	if (!s.p || !nft_attrs_get(s, NFTA_DATA_VERDICT, &d) || d.odd || d.tb[NFTA_DATA_VERDICT].p)
		return false;
	*ret = d.tb[NFTA_DATA_VALUE];
	return ret->p && ret->n >= 1 && ret->n <= 16;
}

static bool reg_of(struct nft_span s, size_t n, int *ret)
{
	uint32_t reg;

	if (!nft_be32(s, &reg))
		return false;
	*ret = nft_reg_at(reg, n);
	return *ret >= 0;
}

bool nft_cmp(struct nft_ctx *x, const struct nft_attrs *at)
{
	static const enum imr_op ops[] = {
		[NFT_CMP_EQ] = OP_EQ, [NFT_CMP_NEQ] = OP_NE, [NFT_CMP_LT] = OP_LT, [NFT_CMP_LTE] = OP_LE,
		[NFT_CMP_GT] = OP_GT, [NFT_CMP_GTE] = OP_GE,
	};
	struct nft_span data;
	uint32_t op;
	int reg;

	if (!data_value(at->tb[NFTA_CMP_DATA], &data) || !reg_of(at->tb[NFTA_CMP_SREG], data.n, &reg) ||
	    !nft_be32(at->tb[NFTA_CMP_OP], &op) || op > NFT_CMP_GTE)
		return false;
	nft_reg_cmp(x, ops[op], reg, data.p, data.n);
	return true;
}

bool nft_range(struct nft_ctx *x, const struct nft_attrs *at)
{
	struct nft_span lo, hi;
	uint32_t op;
	int reg;

	if (!data_value(at->tb[NFTA_RANGE_FROM_DATA], &lo) || !data_value(at->tb[NFTA_RANGE_TO_DATA], &hi) ||
	    lo.n != hi.n || !reg_of(at->tb[NFTA_RANGE_SREG], lo.n, &reg) ||
	    !nft_be32(at->tb[NFTA_RANGE_OP], &op) || op > NFT_RANGE_NEQ)
		return false;
	nft_reg_range(x, op == NFT_RANGE_NEQ, reg, lo.p, hi.p, lo.n);
	return true;
}

/* Word by word, a destination inside the source changes what is still to be read; later kernels do not load such a rule
 * (nft_reg_overlap). */
static bool overlap(int from, int to, uint32_t len)
{
	int n = (int)((len + 3) / 4 * 4);

	return from != to && from < to + n && to < from + n;
}

/* nft_bitwise_eval: mask and xor exactly; shifts leave their register unknown. */
bool nft_bitwise(struct nft_ctx *x, const struct nft_attrs *at)
{
	uint32_t len, op = NFT_BITWISE_BOOL;
	struct nft_span mask, xor;
	int from, to;

	if (!nft_be32(at->tb[NFTA_BITWISE_LEN], &len) || !reg_of(at->tb[NFTA_BITWISE_SREG], len, &from) ||
	    !reg_of(at->tb[NFTA_BITWISE_DREG], len, &to))
		return false;
	if (at->tb[NFTA_BITWISE_OP].p && !nft_be32(at->tb[NFTA_BITWISE_OP], &op))
		return false;
	if (op == NFT_BITWISE_LSHIFT || op == NFT_BITWISE_RSHIFT)
		return nft_unknown_load(x, at->tb[NFTA_BITWISE_DREG], false, "a shift");
	if (overlap(from, to, len))
		return nft_unknown_load(x, at->tb[NFTA_BITWISE_DREG], false, "a bit operation");
	if (op != NFT_BITWISE_BOOL || at->tb[NFTA_BITWISE_DATA].p || len > 16 ||
	    !data_value(at->tb[NFTA_BITWISE_MASK], &mask) || !data_value(at->tb[NFTA_BITWISE_XOR], &xor) ||
	    mask.n != len || xor.n != len)
		return false;
	nft_reg_mask(x, from, to, mask.p, xor.p, len);
	return true;
}

/* nft_byteorder_eval. Kernels differ in where the second and later elements of 2 and 8 bytes go, so only one is said. */
bool nft_byteorder(struct nft_ctx *x, const struct nft_attrs *at)
{
	uint32_t op, len, size;
	int from, to;

	if (!nft_be32(at->tb[NFTA_BYTEORDER_OP], &op) || op > NFT_BYTEORDER_HTON ||
	    !nft_be32(at->tb[NFTA_BYTEORDER_LEN], &len) || !nft_be32(at->tb[NFTA_BYTEORDER_SIZE], &size) ||
	    !reg_of(at->tb[NFTA_BYTEORDER_SREG], len, &from) || !reg_of(at->tb[NFTA_BYTEORDER_DREG], len, &to))
		return false;
	if ((!(size == 4 && len % 4 == 0) && !((size == 2 || size == 8) && len == size)) || overlap(from, to, len))
		return nft_unknown_load(x, at->tb[NFTA_BYTEORDER_DREG], false, "a byte order conversion");
	nft_reg_swap(&x->regs, from, to, size, len);
	return true;
}

/* ------------------------------------------------------------------ verdicts */

static void rule_end(struct nft_ctx *x, enum imr_op op, uint32_t chain)
{
	imr_end(x->imr, x->rule, op, chain);
	x->ended = true;
}

static bool jump(struct nft_ctx *x, enum imr_op op, struct nft_span name)
{
	char *to = nft_string(x->imr->arena, name, NFT_NAME_MAXLEN);
	struct nft_chain *c = to ? nft_chain_find(x, x->in->table->family, x->in->table->name, to) : NULL;

	if (!c || c->base)
		return nft_malformed(x, "a jump to a chain that is not there");
	rule_end(x, op, c->index);
	return true;
}

/* nft_do_chain's switch over the verdict. */
static bool verdict(struct nft_ctx *x, struct nft_span s)
{
	struct nft_attrs v;
	uint32_t code;

	if (!s.p || !nft_attrs_get(s, NFTA_VERDICT_CHAIN_ID, &v) || v.odd || !nft_be32(v.tb[NFTA_VERDICT_CODE], &code))
		return false;
	switch ((int32_t)code) {
	case NF_ACCEPT: rule_end(x, OP_ACCEPT, 0); return true;
	case NF_DROP: rule_end(x, OP_DROP, 0); return true;
	case NFT_CONTINUE: return true;
	case NFT_BREAK: rule_end(x, OP_NEXT, 0); return true;
	case NFT_RETURN: rule_end(x, OP_RETURN, 0); return true;
	case NFT_JUMP: return jump(x, OP_JUMP, v.tb[NFTA_VERDICT_CHAIN]);
	case NFT_GOTO: return jump(x, OP_GOTO, v.tb[NFTA_VERDICT_CHAIN]);
	default: return nft_effect(x, (code & NF_VERDICT_MASK) == NF_QUEUE ? "queue" : "a verdict");
	}
}

bool nft_immediate(struct nft_ctx *x, const struct nft_attrs *at)
{
	struct nft_span data;
	struct nft_attrs d;
	uint32_t reg;
	int to;

	if (!nft_be32(at->tb[NFTA_IMMEDIATE_DREG], &reg))
		return false;
	if (reg == NFT_REG_VERDICT) {
		if (!at->tb[NFTA_IMMEDIATE_DATA].p ||
		    !nft_attrs_get(at->tb[NFTA_IMMEDIATE_DATA], NFTA_DATA_VERDICT, &d) || d.odd || d.tb[NFTA_DATA_VALUE].p)
			return false;
		return verdict(x, d.tb[NFTA_DATA_VERDICT]);
	}
	if (!data_value(at->tb[NFTA_IMMEDIATE_DATA], &data) || (to = nft_reg_at(reg, data.n)) < 0)
		return false;
	nft_reg_const(&x->regs, to, data.p, data.n);
	return true;
}

bool nft_counter(struct nft_ctx *x, const struct nft_attrs *at)
{
	imr_stmt(x->imr, x->rule, OP_COUNT, NULL);
	return true;
}

/* nft_lookup_eval: a test; with a data register it loads, with the verdict's it ends the rule. */
bool nft_lookup(struct nft_ctx *x, const struct nft_attrs *at)
{
	struct nft_span dreg = at->tb[NFTA_LOOKUP_DREG];
	char *set = nft_string(x->imr->arena, at->tb[NFTA_LOOKUP_SET], NFT_NAME_MAXLEN);
	const char *what;
	uint32_t reg;

	if (!set)
		return false;
	what = strncmp(set, "__", 2) ? arena_printf(x->imr->arena, "@%s", set) : "a set";
	if (nft_set_keeps(x, x->in->table->name, set))
		imr_stmt(x->imr, x->rule, OP_EFFECT, what);
	if (!dreg.p)
		return nft_opaque(x, what);
	if (nft_be32(dreg, &reg) && reg == NFT_REG_VERDICT)
		return nft_effect(x, strncmp(set, "__", 2) ? arena_printf(x->imr->arena, "vmap @%s", set) : "vmap");
	return nft_unknown_load(x, dreg, true, what);
}

/* ------------------------------------------------------------------ xtables in nftables */

struct xt_blob {
	char *name;
	uint32_t rev;
	struct nft_span info;
	struct fe_xt_ctx ctx;
};

/* nft_compat_set_par: par->thoff, fragoff are nft's own. In an inet table no match of ip's or ip6's is found.
 * The rule's -p (NFTA_RULE_COMPAT) is asked for when the rule is loaded, and not kept. */
static bool xt_blob(struct nft_ctx *x, const struct nft_attrs *at, struct xt_blob *ret)
{
	_Static_assert((int)NFTA_MATCH_NAME == (int)NFTA_TARGET_NAME && (int)NFTA_MATCH_REV == (int)NFTA_TARGET_REV &&
		       (int)NFTA_MATCH_INFO == (int)NFTA_TARGET_INFO, "match and target have the same attributes");
	uint8_t family = x->in->table->family;

	ret->name = nft_string(x->imr->arena, at->tb[NFTA_MATCH_NAME], 32);
	ret->info = at->tb[NFTA_MATCH_INFO];
	if (!ret->name || !ret->info.p || !nft_be32(at->tb[NFTA_MATCH_REV], &ret->rev) ||
	    ret->rev > 255 || (family != NFPROTO_IPV4 && family != NFPROTO_IPV6))
		return false;
	ret->ctx = (struct fe_xt_ctx){ .family = family };
	return true;
}

bool nft_match(struct nft_ctx *x, const struct nft_attrs *at)
{
	struct xt_blob b;

	if (!xt_blob(x, at, &b))
		return false;
	fe_xt_match(x->imr, x->rule, &b.ctx, b.name, b.rev, b.info.p, b.info.n);
	return true;
}

bool nft_target(struct nft_ctx *x, const struct nft_attrs *at)
{
	struct xt_blob b;

	if (!xt_blob(x, at, &b))
		return false;
	if (fe_xt_target(x->imr, x->rule, &b.ctx, b.name, b.rev, b.info.p, b.info.n))
		rule_end(x, OP_NEXT, 0);
	return true;
}

/* ------------------------------------------------------------------ the table */

/* ODD_LOAD_KEEPS: a load that keeps state; a packet that a slice dropped before it would leave its turn to others. */
enum odd { ODD_LOAD, ODD_LOAD_BREAKS, ODD_LOAD_KEEPS, ODD_TEST, ODD_STMT };

/* `fn` is NULL where an expression is only known by what it may do. */
static const struct expr_desc {
	const char *name;
	nft_expr_fn *fn;
	enum odd odd;		/* what it is where it is not understood */
	uint8_t known;		/* the highest attribute */
	uint8_t dreg, sreg;	/* loads: attributes; with sreg (not dreg) it is a statement */
	const char *what;
} exprs[] = {
	{ "bitwise", nft_bitwise, ODD_LOAD, NFTA_BITWISE_DATA, NFTA_BITWISE_DREG, 0, "a bit operation" },
	{ "byteorder", nft_byteorder, ODD_LOAD, NFTA_BYTEORDER_SIZE, NFTA_BYTEORDER_DREG, 0, "a byte order conversion" },
	{ "cmp", nft_cmp, ODD_TEST, NFTA_CMP_DATA, 0, 0, "a comparison" },
	{ "connlimit", NULL, ODD_STMT, 0, 0, 0, "ct count" },
	{ "counter", nft_counter, ODD_STMT, NFTA_COUNTER_PAD, 0, 0, "counter" },
	{ "ct", nft_ct, ODD_STMT, NFTA_CT_SREG, 0, 0, "ct" },
	{ "exthdr", NULL, ODD_LOAD_BREAKS, NFTA_EXTHDR_SREG, NFTA_EXTHDR_DREG, NFTA_EXTHDR_SREG, "an extension header" },
	{ "fib", NULL, ODD_LOAD_BREAKS, NFTA_FIB_FLAGS, NFTA_FIB_DREG, 0, "fib" },
	{ "hash", NULL, ODD_LOAD_BREAKS, NFTA_HASH_SET_ID, NFTA_HASH_DREG, 0, "a hash" },
	{ "immediate", nft_immediate, ODD_STMT, NFTA_IMMEDIATE_DATA, 0, 0, "a verdict" },
	{ "limit", NULL, ODD_STMT, 0, 0, 0, "limit" },
	{ "lookup", nft_lookup, ODD_STMT, NFTA_LOOKUP_FLAGS, 0, 0, "a set" },
	{ "match", nft_match, ODD_STMT, NFTA_MATCH_INFO, 0, 0, "an xtables match" },
	{ "meta", nft_meta, ODD_STMT, NFTA_META_SREG, 0, 0, "meta" },
	{ "numgen", NULL, ODD_LOAD_KEEPS, NFTA_NG_SET_ID, NFTA_NG_DREG, 0, "numgen" },
	{ "osf", NULL, ODD_LOAD_BREAKS, NFTA_OSF_FLAGS, NFTA_OSF_DREG, 0, "osf" },
	{ "payload", nft_payload, ODD_STMT, NFTA_PAYLOAD_CSUM_FLAGS, 0, 0, "a payload load" },
	{ "quota", NULL, ODD_STMT, 0, 0, 0, "quota" },
	{ "range", nft_range, ODD_TEST, NFTA_RANGE_TO_DATA, 0, 0, "a range" },
	{ "rt", NULL, ODD_LOAD_BREAKS, NFTA_RT_KEY, NFTA_RT_DREG, 0, "rt" },
	{ "socket", NULL, ODD_LOAD_BREAKS, NFTA_SOCKET_LEVEL, NFTA_SOCKET_DREG, 0, "socket" },
	{ "target", nft_target, ODD_STMT, NFTA_TARGET_INFO, 0, 0, "an xtables target" },
	{ "tunnel", NULL, ODD_LOAD_BREAKS, NFTA_TUNNEL_MODE, NFTA_TUNNEL_DREG, 0, "tunnel" },
	{ "xfrm", NULL, ODD_LOAD_BREAKS, NFTA_XFRM_SPNUM, NFTA_XFRM_DREG, 0, "ipsec" },
	{ "dup", NULL, ODD_STMT, 0, 0, 0, "dup" },
	{ "dynset", NULL, ODD_STMT, 0, 0, 0, "a set update" },
	{ "flow_offload", NULL, ODD_STMT, 0, 0, 0, "flow add" },
	{ "fwd", NULL, ODD_STMT, 0, 0, 0, "fwd" },
	{ "inner", NULL, ODD_STMT, 0, 0, 0, "an inner header" },
	{ "last", NULL, ODD_STMT, 0, 0, 0, "last" },
	{ "log", NULL, ODD_STMT, 0, 0, 0, "log" },
	{ "masq", NULL, ODD_STMT, 0, 0, 0, "masquerade" },
	{ "nat", NULL, ODD_STMT, 0, 0, 0, "nat" },
	{ "notrack", NULL, ODD_STMT, 0, 0, 0, "notrack" },
	{ "objref", NULL, ODD_STMT, NFTA_OBJREF_SET_ID, 0, 0, "a stateful object" },
	{ "queue", NULL, ODD_STMT, 0, 0, 0, "queue" },
	{ "redir", NULL, ODD_STMT, 0, 0, 0, "redirect" },
	{ "reject", NULL, ODD_STMT, 0, 0, 0, "reject" },
	{ "synproxy", NULL, ODD_STMT, 0, 0, 0, "synproxy" },
	{ "tproxy", NULL, ODD_STMT, 0, 0, 0, "tproxy" },
};

static const struct expr_desc *expr_find(const char *name)
{
	for (size_t i = 0; i < sizeof(exprs) / sizeof(exprs[0]); i++)
		if (!strcmp(exprs[i].name, name))
			return &exprs[i];
	return NULL;
}

/* Where an expression is not understood: as much as its name promises, and no register is sure any more. */
static void expr_odd(struct nft_ctx *x, const struct expr_desc *d, const char *name)
{
	const char *why = d ? d->what : name;

	if (d && d->fn)
		nft_unsupported(x, NULL, arena_printf(x->imr->arena, "%s with an attribute or value that is not known", why));
	else
		nft_unsupported(x, why, why);
	if (d && (d->fn == nft_match || d->fn == nft_target))
		fe_tracks(x->imr, CONNTRACK_EXPECTS);	/* which extension it is was not seen */
	imr_stmt(x->imr, x->rule, d && d->odd != ODD_STMT && d->odd != ODD_LOAD_KEEPS ? OP_OPAQUE : OP_EFFECT, why);
	nft_regs_unknown(&x->regs, 0, NFT_REG_BYTES, why);
}

/* An expression that is known by its name only. */
static bool expr_named(struct nft_ctx *x, const struct expr_desc *d, const struct nft_attrs *at)
{
	bool load = d->odd == ODD_LOAD || d->odd == ODD_LOAD_BREAKS || d->odd == ODD_LOAD_KEEPS;

	if (!load)
		return false;
	if (d->sreg && at->tb[d->sreg].p)
		return !at->tb[d->dreg].p && nft_effect(x, d->what);
	if (d->sreg && !at->tb[d->dreg].p)	/* exthdr without registers: it resets an option */
		return nft_effect(x, d->what);
	if (d->odd == ODD_LOAD_KEEPS)
		imr_stmt(x->imr, x->rule, OP_EFFECT, d->what);
	return nft_unknown_load(x, at->tb[d->dreg], d->odd == ODD_LOAD_BREAKS, d->what);
}

bool nft_expr(struct nft_ctx *x, struct nft_span elem)
{
	struct nft_attrs e, at = { .odd = false };
	const struct expr_desc *d;
	uint32_t object = 0;
	char *name;

	if (!nft_attrs_get(elem, NFTA_EXPR_DATA, &e))
		return nft_malformed(x, "an expression");
	name = nft_string(x->imr->arena, e.tb[NFTA_EXPR_NAME], 64);
	if (!name)
		return nft_malformed(x, "an expression without a name");
	d = expr_find(name);
	if (e.tb[NFTA_EXPR_DATA].p && !nft_attrs_get(e.tb[NFTA_EXPR_DATA], d ? d->known : 0, &at))
		return nft_malformed(x, arena_printf(x->imr->arena, "the attributes of \"%s\"", name));
	nft_be32(at.tb[NFTA_OBJREF_IMM_TYPE], &object);
	fe_tracks_nft(x->imr, name, object);
	if (!d || e.odd || (at.odd && d->known) || !(d->fn ? d->fn(x, &at) : expr_named(x, d, &at)))
		if (!x->bad)
			expr_odd(x, d, name);
	return !x->bad;
}
