/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * nftables expressions that load a register: payload, meta, ct. What a load needs is tested at its place, in program
 * order, because a load that fails ends the rule (NFT_BREAK) before anything that stands behind it.
 */
#include <linux/netfilter/nf_tables.h>

#include "nft.h"

bool nft_unknown_load(struct nft_ctx *x, struct nft_span dreg, bool breaks, const char *why)
{
	uint32_t reg;
	int at;

	if (!nft_be32(dreg, &reg) || (at = nft_reg_at(reg, 1)) < 0)
		return false;
	nft_unsupported(x, why, why);
	if (breaks)
		imr_stmt(x->imr, x->rule, OP_OPAQUE, why);
	nft_regs_unknown(&x->regs, at, NFT_REG_BYTES, why);
	return true;
}

/* ------------------------------------------------------------------ payload */

static const enum imr_base payload_bases[] = {
	[NFT_PAYLOAD_LL_HEADER] = B_LL, [NFT_PAYLOAD_NETWORK_HEADER] = B_NH, [NFT_PAYLOAD_TRANSPORT_HEADER] = B_TH,
};

/* nft_payload_select_ops: aligned loads of 1, 2 and 4 bytes go through nft_payload_fast_eval, which in today's kernels
 * does not ask whether the packet is a later fragment. */
static bool checks_fragoff(const struct nft_ctx *x, uint32_t off, uint32_t len)
{
	bool fast = (len == 1 || len == 2 || len == 4) && off % len == 0;

	return !fast || !x->imr->profile.th_fast_frag;
}

static void need_payload(struct nft_ctx *x, enum imr_base base, uint32_t off, uint32_t len)
{
	uint32_t v;

	imr_need(x->imr, x->rule, base, off + len, ELSE_NEXT);
	if (base != B_TH || !checks_fragoff(x, off, len))
		return;
	v = imr_ld(x->imr, x->rule, F_TH_FRAGOFF);
	imr_cmp(x->imr, x->rule, OP_EQ, v, 0, ELSE_NEXT);
}

/* nft_payload_eval, nft_payload_fast_eval. More than 16 bytes are several values. */
bool nft_payload(struct nft_ctx *x, const struct nft_attrs *at)
{
	uint32_t reg, base, off, len;
	int to;

	if (at->tb[NFTA_PAYLOAD_SREG].p)
		return nft_effect(x, "payload set");
	if (!nft_be32(at->tb[NFTA_PAYLOAD_DREG], &reg) || !nft_be32(at->tb[NFTA_PAYLOAD_BASE], &base) ||
	    !nft_be32(at->tb[NFTA_PAYLOAD_OFFSET], &off) || !nft_be32(at->tb[NFTA_PAYLOAD_LEN], &len))
		return false;
	to = nft_reg_at(reg, len);
	if (to < 0 || off > 255)
		return false;
	if (base > NFT_PAYLOAD_TRANSPORT_HEADER)
		return nft_unknown_load(x, at->tb[NFTA_PAYLOAD_DREG], true, "a load from an inner header");
	need_payload(x, payload_bases[base], off, len);
	for (uint32_t i = 0, n; i < len; i += n) {
		n = len - i < 16 ? len - i : 16;
		nft_reg_net(&x->regs, to + i, imr_ld_raw(x->imr, x->rule, payload_bases[base], off + i, n), n);
	}
	return true;
}

/* ------------------------------------------------------------------ meta */

/* nft_meta_get_eval: keys that are fields, and for the others whether they may break. */
static const struct meta_key {
	enum imr_field field;
	uint8_t bytes;
	bool host;		/* in the host's byte order */
	bool breaks;
	const char *what;
} meta_keys[] = {
	[NFT_META_LEN] = { F_META_LEN, 4, true, false, "meta length" },
	[NFT_META_PROTOCOL] = { F_META_PROTOCOL, 2, false, false, "meta protocol" },
	[NFT_META_PRIORITY] = { .what = "meta priority" },
	[NFT_META_MARK] = { F_META_MARK, 4, true, false, "meta mark" },
	[NFT_META_IIF] = { F_META_IIF, 4, true, false, "iif" },
	[NFT_META_OIF] = { F_META_OIF, 4, true, false, "oif" },
	[NFT_META_IIFNAME] = { F_META_IIFNAME, 16, false, false, "iifname" },
	[NFT_META_OIFNAME] = { F_META_OIFNAME, 16, false, false, "oifname" },
	[NFT_META_IIFTYPE] = { F_META_IIFTYPE, 2, true, true, "iiftype" },
	[NFT_META_OIFTYPE] = { .breaks = true, .what = "oiftype" },
	[NFT_META_SKUID] = { .breaks = true, .what = "meta skuid" },
	[NFT_META_SKGID] = { .breaks = true, .what = "meta skgid" },
	[NFT_META_RTCLASSID] = { .breaks = true, .what = "meta rtclassid" },
	[NFT_META_SECMARK] = { .what = "meta secmark" },
	[NFT_META_NFPROTO] = { F_META_NFPROTO, 1, false, false, "meta nfproto" },
	[NFT_META_L4PROTO] = { F_TH_PROTO, 1, false, true, "meta l4proto" },
	[NFT_META_PKTTYPE] = { .breaks = true, .what = "meta pkttype" },
	[NFT_META_CPU] = { .what = "meta cpu" },
	[NFT_META_IIFGROUP] = { .breaks = true, .what = "iifgroup" },
	[NFT_META_OIFGROUP] = { .breaks = true, .what = "oifgroup" },
	[NFT_META_CGROUP] = { .breaks = true, .what = "meta cgroup" },
	[NFT_META_PRANDOM] = { .what = "meta random" },
	[NFT_META_SECPATH] = { .what = "meta ipsec" },
	[NFT_META_IIFKIND] = { .breaks = true, .what = "meta iifkind" },
	[NFT_META_OIFKIND] = { .breaks = true, .what = "meta oifkind" },
	[NFT_META_TIME_NS] = { .what = "meta time" },
	[NFT_META_TIME_DAY] = { .what = "meta day" },
	[NFT_META_TIME_HOUR] = { .what = "meta hour" },
};

bool nft_meta(struct nft_ctx *x, const struct nft_attrs *at)
{
	const struct meta_key *k = NULL;
	uint32_t reg, key, v;
	int to;

	if (at->tb[NFTA_META_SREG].p)
		return nft_effect(x, "meta set");
	if (!nft_be32(at->tb[NFTA_META_KEY], &key) || !nft_be32(at->tb[NFTA_META_DREG], &reg))
		return false;
	if (key < sizeof(meta_keys) / sizeof(meta_keys[0]) && meta_keys[key].what)
		k = &meta_keys[key];
	if (!k || k->field == F_NONE)
		return nft_unknown_load(x, at->tb[NFTA_META_DREG], !k || k->breaks, k ? k->what : "a meta key");
	to = nft_reg_at(reg, k->bytes);
	if (to < 0)
		return false;
	if (k->field == F_TH_PROTO) {
		v = imr_ld(x->imr, x->rule, F_TH_OK);
		imr_cmp(x->imr, x->rule, OP_EQ, v, 1, ELSE_NEXT);
	}
	v = imr_ld(x->imr, x->rule, k->field);
	if (k->field == F_META_IIFTYPE)	/* nft_meta_store_iftype: no device, no match */
		imr_cmp(x->imr, x->rule, OP_NE, v, 0, ELSE_NEXT);
	if (k->host)
		nft_reg_host(&x->regs, to, v, k->bytes);
	else
		nft_reg_net(&x->regs, to, v, k->bytes);
	return true;
}

/* ------------------------------------------------------------------ ct */

static const char *const ct_keys[] = {
	[NFT_CT_STATE] = "ct state", [NFT_CT_DIRECTION] = "ct direction", [NFT_CT_STATUS] = "ct status",
	[NFT_CT_MARK] = "ct mark", [NFT_CT_SECMARK] = "ct secmark", [NFT_CT_EXPIRATION] = "ct expiration",
	[NFT_CT_HELPER] = "ct helper", [NFT_CT_L3PROTOCOL] = "ct l3proto", [NFT_CT_SRC] = "ct saddr",
	[NFT_CT_DST] = "ct daddr", [NFT_CT_PROTOCOL] = "ct protocol", [NFT_CT_PROTO_SRC] = "ct proto-src",
	[NFT_CT_PROTO_DST] = "ct proto-dst", [NFT_CT_LABELS] = "ct label", [NFT_CT_PKTS] = "ct packets",
	[NFT_CT_BYTES] = "ct bytes", [NFT_CT_AVGPKT] = "ct avgpkt", [NFT_CT_ZONE] = "ct zone",
	[NFT_CT_SRC_IP] = "ct ip saddr", [NFT_CT_DST_IP] = "ct ip daddr", [NFT_CT_SRC_IP6] = "ct ip6 saddr",
	[NFT_CT_DST_IP6] = "ct ip6 daddr", [NFT_CT_ID] = "ct id",
};

/* nft_ct_get_eval: only the state is there without a connection. */
bool nft_ct(struct nft_ctx *x, const struct nft_attrs *at)
{
	const char *what = "a ct key";
	uint32_t key;

	if (at->tb[NFTA_CT_SREG].p)
		return nft_effect(x, "ct set");
	if (!nft_be32(at->tb[NFTA_CT_KEY], &key))
		return false;
	if (key < sizeof(ct_keys) / sizeof(ct_keys[0]) && ct_keys[key])
		what = ct_keys[key];
	return nft_unknown_load(x, at->tb[NFTA_CT_DREG], key != NFT_CT_STATE, what);
}
