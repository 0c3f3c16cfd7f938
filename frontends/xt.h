/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the match decoders share. A decoder is one row of a table: what names it (name, family, revision), the size of
 * its data, the protocol that the kernel demands of the rule around it, and a function that adds its meaning.
 */
#ifndef FWJIT_XT_H
#define FWJIT_XT_H

#include "frontend.h"

struct xt_build {
	struct imr *imr;
	struct imr_rule *rule;
	const struct fe_xt_ctx *ctx;
	enum imr_base th;		/* where par->thoff leads */
	enum imr_field fragoff;		/* par->fragoff */
};

#define XT_PROTO_ANY	0	/* checked by no one */
#define XT_PROTO_PORTS	255	/* xt_multiport.c, check(): a protocol whose header starts with two ports */

struct xt_desc {
	const char *name;
	uint8_t family;		/* FAM_IP, FAM_IP6 or one of these: */
#define XT_FAM_BOTH	0	/* registered for each of the two */
#define XT_FAM_ANY	255	/* NFPROTO_UNSPEC: in inet tables too */
	uint8_t rev;
	uint8_t proto;
	uint16_t size;		/* of the data, before alignment */
	/* False, and nothing added, where the data holds what the kernel would not take or is not understood. `data`
	 * is aligned and has `size` bytes. */
	bool (*add)(const struct xt_build *b, const void *data);
};
extern const struct xt_desc xt_l4_matches[], xt_ip_matches[];	/* end with name NULL */

/* v in [lo, hi], or not: one comparison where that says it, nothing where it is always so. */
void xt_range(const struct xt_build *b, uint32_t v, enum imr_type t, u128 lo, u128 hi, bool inv);
/* (v & mask) == want, or not, as xtables compares addresses, names, marks. */
void xt_masked(const struct xt_build *b, uint32_t v, enum imr_type t, u128 mask, u128 want, bool inv);
/* No packet matches from here on. */
void xt_never(const struct xt_build *b, uint32_t v, enum imr_type t);
u128 xt_be(const void *bytes, unsigned int n);

#endif
