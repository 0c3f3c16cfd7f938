/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Whole firewalls at random: several tables of several tools, hooks and priorities in one network namespace, with matches
 * and statements in them that fwjit does not understand.
 */
#ifndef FWJIT_SLICES_H
#define FWJIT_SLICES_H

#include "gen.h"

#define WALL_MAX 24

struct wall_kind {
	const char *name;
	bool forward;			/* the host forwards */
	unsigned int nft;		/* nft tables, at any hook up to forward */
	bool ingress;			/* and at the device's ingress */
	bool legacy, compat;		/* iptables and ip6tables; iptables-nft and ip6tables-nft */
	bool nat;
	unsigned int odd;		/* percent of rules with a match that is not understood */
	unsigned int effects;		/* percent of rules with a statement that is not understood before them */
};
extern const struct wall_kind wall_kinds[];	/* ends with name NULL */

struct wall {
	unsigned int n;
	struct { enum judge_tool tool; char *text; } part[WALL_MAX];
};
/* Parts in the order in which they shall be loaded, none of which replaces another. */
void wall_make(struct arena *a, struct rng *r, const struct wall_kind *k, struct wall *ret);

/* Rules as people have them; ends with name NULL. */
extern const struct wall_common { const char *name; bool forward; struct wall wall; } wall_common[];
/* Each drop of these is counted once, and nothing else is. */
extern const struct wall wall_counting;

#endif
