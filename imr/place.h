/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Between place.c, which says what a packet meets in what order, and slice.c, which walks it: a pipeline is a row of
 * segments, one for each base chain, and every rule of it has a position. Positions only grow along a packet's way.
 */
#ifndef FWJIT_PLACE_H
#define FWJIT_PLACE_H

#include "imr.h"

/* Why a fact that a chain reads may differ between its hook and the place of the slice. */
#define BLUR_MERGE	0x01	/* receive offload may have merged segments: lengths */
#define BLUR_FORWARD	0x02	/* after ip_forward, ip6_forward: time to live */
#define BLUR_NAT	0x04	/* after nf_nat's destination part: address, ports, payload */
#define BLUR_INGRESS	0x08	/* before ip_rcv, ip6_rcv: padding is still there */

/* What a drop takes from conntrack (enum drop_how): nothing, since the packet would not have got there; something if it
 * knows the flow, so that it is asked; or what nobody can tell, so that such a packet is left to the rules. */
struct place_seg {
	const struct imr_chain *chain;
	uint32_t base;		/* position of its first rule; its policy's is base + chain->n */
	bool may;		/* a packet may also miss it: whoever enters is also behind it */
	bool quiet;		/* its counters are not kept: read for its effects, or of a nat chain */
	uint8_t nfproto;	/* of its packets; 0: not yet told apart */
	uint8_t blur;
	enum drop_how { DROP_UNSEEN, DROP_NEW, DROP_NEVER } drop;
	uint8_t n_accept, n_fall;
	uint32_t accept[2];	/* segments that an accept leads to, and a policy of accept; the number of segments */
	uint32_t fall[2];	/* is the end of all rules. Two: one of them, not known which. */
	struct imr_rule policy;
};

struct place {
	const struct imr *src;
	const struct imr_env *env;
	const char *name;	/* of the chain that comes out */
	enum imr_hook hook;
	bool exact;		/* what is not known is an error, not a pass */
	uint32_t n;
	struct place_seg *seg;
};

/* slice.c: one chain out of a pipeline; NULL where exact could not be kept, each such rule with its diagnostic. */
struct imr *place_walk(const struct place *p);

/* known.c: what of a rule's values is known at the place of the slice. One rule at a time. */
enum known { IS_TRUE, IS_FALSE, IS_TESTED, IS_UNKNOWN };
struct known_val;
struct known_ctx {
	const struct place *p;
	const struct place_seg *seg;
	struct known_val *val;		/* by number in the source */
	const struct imr_insn **entry;	/* values of the segment's entry, by number */
	uint32_t gen, n_out;
	uint16_t need[B_MAX];		/* bytes from each base that the rule has found there */
};
void known_init(struct known_ctx *k, const struct place *p);
void known_rule(struct known_ctx *k, const struct place_seg *seg);	/* a rule of the segment begins */
void known_define(struct known_ctx *k, const struct imr_insn *i);	/* a value instruction of it */
/* The rule goes on behind the test: one of presence holds from then on. */
enum known known_test(struct known_ctx *k, const struct imr_insn *i);
/* Of a test that is IS_TESTED: its operand into rule r of `out`, with what it is made of; the number there. */
uint32_t known_emit(struct known_ctx *k, struct imr *out, struct imr_rule *r, uint32_t number);
const char *known_why(struct known_ctx *k, const struct imr_insn *i);	/* what an IS_UNKNOWN test asks for */
bool known_is_merged(struct known_ctx *k, const struct imr_insn *i);	/* it is unknown only since receive offload may merge */
/* Does the chain read bytes that IPv4 source routing and recorded routes change on the way? */
bool known_reads_options(const struct imr_chain *c);

#endif
