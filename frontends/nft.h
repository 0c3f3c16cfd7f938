/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * nftables' netlink bytes, inside the frontend. Everything is read through spans that know their length, so that no
 * attribute is believed beyond its bytes; and every message and expression names the attributes it knows, so that one
 * which a newer kernel adds is noticed instead of dropped.
 */
#ifndef FWJIT_NFT_H
#define FWJIT_NFT_H

#include "frontend.h"

struct nft_span {
	const uint8_t *p;	/* NULL: absent */
	size_t n;
};

/* nft_attr.c */
#define NFT_ATTR_MAX 32
struct nft_attrs {
	struct nft_span tb[NFT_ATTR_MAX];	/* by attribute number */
	bool odd;				/* an attribute above `known`, or one twice */
};
/* The attributes of a span; false where their lengths do not add up. */
bool nft_attrs_get(struct nft_span s, unsigned int known, struct nft_attrs *ret);
/* The next attribute of a list. At the end *ret_type is 0; false where the lengths do not add up. */
bool nft_attr_next(struct nft_span *s, unsigned int *ret_type, struct nft_span *ret);
bool nft_be32(struct nft_span s, uint32_t *ret);	/* exactly four bytes */
bool nft_be64(struct nft_span s, uint64_t *ret);
/* A string, with or without its NUL, without one inside, at most max bytes; NULL where it is none. */
char *nft_string(struct arena *a, struct nft_span s, size_t max);

/* nft_reg.c: the registers, symbolically: where each of their 64 bytes comes from. */
#define NFT_REG_BYTES 64
enum nft_byte_kind { BYTE_UNKNOWN, BYTE_CONST, BYTE_VALUE };
struct nft_byte {
	uint8_t kind;
	uint8_t at;		/* which byte of the value, 0 the least significant; the constant itself */
	uint32_t v;		/* value number */
	const char *why;	/* what an unknown byte is */
};
struct nft_regs {
	struct nft_byte b[NFT_REG_BYTES];
};

struct nft_chain {
	const struct nft_table *table;
	const char *name;
	uint32_t index;		/* in the program */
	uint32_t number;	/* rules seen */
	bool base;
};
struct nft_table {
	uint8_t family;		/* NFPROTO_* */
	const char *name;
	bool skip;		/* bridge, arp: not IP; dormant: not hooked */
	bool odd;		/* flags or attributes that are not understood */
};

/* One rule being read. */
struct nft_ctx {
	struct imr *imr;
	const struct fe_texts *texts;
	uint32_t n_table, n_chain;
	struct nft_table *table;
	struct nft_chain *chain, *last;
	uint32_t n_slot, *slot;	/* chains by hash: index + 1, 0 for none; at most half are taken */
	uint32_t n_before;	/* chains of the program before this record */
	bool generation_set;
	uint16_t generation;
	bool bad;		/* a DIAG_ERROR was given */
	uint32_t n_kept;
	struct nft_kept *kept;	/* nft_sets.c */

	const struct nft_chain *in;
	struct imr_rule *rule;
	struct nft_regs regs;
	bool ended;		/* the rule has its last instruction */
};

/* Byte offset of a register for n bytes, -1 where there is no such place. */
int nft_reg_at(uint32_t reg, size_t n);
void nft_regs_unknown(struct nft_regs *r, unsigned int from, unsigned int to, const char *why);
void nft_reg_const(struct nft_regs *r, unsigned int at, const uint8_t *data, unsigned int n);
/* A value of n bytes as the kernel stores it; the rest of its last 4 bytes becomes 0. */
void nft_reg_net(struct nft_regs *r, unsigned int at, uint32_t v, unsigned int n);
void nft_reg_host(struct nft_regs *r, unsigned int at, uint32_t v, unsigned int n);
void nft_reg_mask(struct nft_ctx *x, unsigned int from, unsigned int to, const uint8_t *mask, const uint8_t *xor,
		  unsigned int n);
void nft_reg_swap(struct nft_regs *r, unsigned int from, unsigned int to, unsigned int size, unsigned int n);
/* memcmp of register bytes with data, in the sense of op (OP_EQ … OP_GE), else next. */
void nft_reg_cmp(struct nft_ctx *x, enum imr_op op, unsigned int at, const uint8_t *data, unsigned int n);
void nft_reg_range(struct nft_ctx *x, bool outside, unsigned int at, const uint8_t *lo, const uint8_t *hi,
		   unsigned int n);

/* nft_expr.c, nft_load.c, nft_odd.c: expressions. False: not understood, and nothing was added. */
typedef bool nft_expr_fn(struct nft_ctx *x, const struct nft_attrs *at);
nft_expr_fn nft_payload, nft_meta, nft_cmp, nft_range, nft_bitwise, nft_byteorder, nft_immediate, nft_counter;
nft_expr_fn nft_match, nft_target, nft_lookup, nft_ct;
/* Adds an expression of a rule; false, with a DIAG_ERROR, where it is malformed. */
bool nft_expr(struct nft_ctx *x, struct nft_span elem);
/* A DIAG_UNSUPPORTED for the rule at hand. `mark` is put under the rule's text where it stands there. */
void nft_unsupported(struct nft_ctx *x, const char *mark, const char *what);
/* What a load that is not understood means: a test where it may break, and unknown bytes from its register on. */
bool nft_unknown_load(struct nft_ctx *x, struct nft_span dreg, bool breaks, const char *why);
bool nft_effect(struct nft_ctx *x, const char *why);
bool nft_opaque(struct nft_ctx *x, const char *why);
bool nft_malformed(struct nft_ctx *x, const char *what);

/* nft_chain.c: the messages of tables, chains and flowtables. */
void nft_table_add(struct nft_ctx *x, uint8_t family, struct nft_span s);
void nft_chain_add(struct nft_ctx *x, uint8_t family, struct nft_span s);
void nft_flowtable_add(struct nft_ctx *x, uint8_t family, struct nft_span s);
/* nft_sets.c: sets that keep state, from the messages of sets, elements and rules. */
void nft_set_add(struct nft_ctx *x, struct nft_span s);
void nft_elements_add(struct nft_ctx *x, struct nft_span s);
void nft_rule_adds(struct nft_ctx *x, struct nft_span s);
bool nft_set_keeps(const struct nft_ctx *x, const char *table, const char *set);
struct nft_chain *nft_chain_find(struct nft_ctx *x, uint8_t family, const char *table, const char *chain);
struct nft_table *nft_table_find(struct nft_ctx *x, uint8_t family, const char *table);
const char *nft_family_name(uint8_t family);

#endif
