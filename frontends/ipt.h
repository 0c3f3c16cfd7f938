/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The legacy blob of one table, opened and checked: what ipt_blob.c promises of the bytes and ipt.c makes IMR of.
 */
#ifndef FWJIT_IPT_H
#define FWJIT_IPT_H

#include "xt.h"

#define IPT_HOOKS	5

/* Where the members of struct ipt_entry and ip6t_entry lie. */
struct ipt_layout {
	uint16_t ip_size;	/* struct ipt_ip, ip6t_ip6: the start of an entry */
	uint16_t target_offset, next_offset;	/* of the members of these names */
	uint16_t size;
};

struct ipt_chain {
	const char *name;
	int hook;		/* NF_INET_…, -1: a user chain */
	uint32_t head, tail;	/* offsets of the first entry and of the last: the policy, or the final RETURN */
	uint32_t imr;		/* index in the program */
};

struct ipt_blob {
	struct imr *imr;
	uint8_t family;
	const char *tool, *table;
	const struct ipt_layout *lay;
	uint32_t valid_hooks, hook_entry[IPT_HOOKS], underflow[IPT_HOOKS], n_entry, size;
	const uint8_t *e;	/* the entries, aligned to 8 */
	uint32_t n_chain;
	struct ipt_chain *chain;	/* by head, ascending */
};

/* One entry whose every size and offset was checked. */
struct ipt_entry_view {
	uint32_t off, next;		/* next: offset of the following entry */
	const uint8_t *ip;		/* struct ipt_ip, ip6t_ip6 */
	const uint8_t *match;		/* matches, up to the target */
	uint32_t match_len;
	const uint8_t *target;		/* struct xt_entry_target */
	uint32_t target_len;
};

/* ipt_blob.c: false, with a DIAG_ERROR, where anything is not as the kernel would have made it. */
bool ipt_blob_open(struct ipt_blob *b, const struct fe_rec *rec);
void ipt_entry_at(const struct ipt_blob *b, uint32_t off, struct ipt_entry_view *ret);
const struct ipt_chain *ipt_chain_at(const struct ipt_blob *b, uint32_t head);
bool ipt_is_standard(const struct ipt_entry_view *e);
int32_t ipt_verdict(const struct ipt_entry_view *e);

/* ipt_match.c: ip_packet_match, ip6_packet_match. Fills what the matches behind it need to know. */
void ipt_match_ip(struct ipt_blob *b, struct imr_rule *r, const struct ipt_entry_view *e, struct fe_xt_ctx *ret);
bool ipt_is_goto(const struct ipt_blob *b, const struct ipt_entry_view *e);

#endif
