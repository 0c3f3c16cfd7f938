/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Frontends: captured bytes in, IMR out. Pure: nothing here opens, prints, exits or keeps state, so that every reader
 * can be fuzzed. What reads the kernel or a file into a capture is beside it, in reader.h.
 *
 * Bytes are hostile: they may come from another namespace's kernel or from a file. Malformed bytes are a DIAG_ERROR; a
 * rule that cannot be said is a DIAG_UNSUPPORTED that names it, with `opaque` (a match that is not understood) or
 * `effect` (a statement) in its place, so that a slice may still use the rest. Nothing is ever skipped.
 */
#ifndef FWJIT_FRONTEND_H
#define FWJIT_FRONTEND_H

#include "imr.h"

enum fe_kind {
	FE_NFT = 1,	/* netlink messages of nftables: tables, chains, sets, objects, rules, as dumped */
	FE_IPT = 2,	/* struct ipt_getinfo (ip6t_getinfo), then struct ipt_get_entries (ip6t_…) of one table */
	FE_NFT_TEXT = 3,	/* `nft -a list ruleset`: rules' text by handle */
	FE_IPT_TEXT = 4,	/* `iptables-save` (ip6tables-save): rules' text by number in its chain */
	FE_MAX
};

struct fe_rec {
	enum fe_kind kind;
	uint8_t family;		/* FE_IPT, FE_IPT_TEXT: 2 or 10 */
	const uint8_t *data;
	size_t len;
};
struct fe_capture {
	uint32_t n;
	struct fe_rec *rec;
};

/* capture.c: the file form of a capture (`dump --netlink`); decode is the exact inverse. False with a DIAG_ERROR. */
#define FE_CAPTURE_MAGIC "fwjit capture 1\n"
void fe_capture_encode(struct arena *a, const struct fe_capture *c, uint8_t **ret, size_t *ret_len);
bool fe_capture_decode(struct arena *a, struct diags *ds, const void *data, size_t len, struct fe_capture *ret);

/* read.c: every record of a capture into one program: chains sorted topologically, slots numbered, checked.
 * NULL with a DIAG_ERROR where the bytes are malformed. */
struct imr *fe_read(struct arena *a, struct diags *ds, const struct imr_profile *p, const struct fe_capture *c);

/* nft.c, ipt.c: one record each, into imr. False with a DIAG_ERROR. */
struct fe_texts;
bool fe_nft_read(struct imr *imr, const struct fe_rec *rec, const struct fe_texts *texts);
bool fe_ipt_read(struct imr *imr, const struct fe_rec *rec, const struct fe_texts *texts);

/* texts.c: rule texts found by (family, table, chain, handle) or (family, table, chain, number); NULL where none. */
struct fe_texts *fe_texts_new(struct arena *a, const struct fe_capture *c);
const char *fe_texts_nft(const struct fe_texts *t, const char *family, const char *table, const char *chain,
			 uint64_t handle);
const char *fe_texts_ipt(const struct fe_texts *t, uint8_t family, const char *table, const char *chain,
			 uint32_t number);
/* What the rule had counted when its text was printed; false where that is not known. */
bool fe_texts_count(const struct fe_texts *t, const struct imr_at *at, uint64_t *ret_packets, uint64_t *ret_bytes);

/* xt.c: match and target blobs, shared by the legacy blob and nft's compat expressions. */
struct fe_xt_ctx {		/* what the surrounding rule says: ip_tables' own part of the match */
	uint8_t family;		/* 2 or 10 */
	bool legacy;		/* ip_tables; else nft_compat */
	uint8_t proto;		/* legacy: of -p, 0 for any */
	bool proto_inv;
};
/* Adds what a match means to the rule. Unknown (name, revision, size): DIAG_UNSUPPORTED and an opaque. */
void fe_xt_match(struct imr *imr, struct imr_rule *r, const struct fe_xt_ctx *ctx, const char *name, uint8_t rev,
		 const void *data, size_t len);
/* A target other than the standard one: as above with an effect; true if nothing of the rule comes behind it: the
 * caller then adds the end (next, since what the effect does is not known). */
bool fe_xt_target(struct imr *imr, struct imr_rule *r, const struct fe_xt_ctx *ctx, const char *name, uint8_t rev,
		  const void *data, size_t len);

#endif
