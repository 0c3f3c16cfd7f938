/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Whole firewalls at random: several tables of several tools, hooks and priorities in one network namespace, with
 * matches and statements in them that fwjit does not understand; and what traffic goes through.
 */
#ifndef FWJIT_SLICES_H
#define FWJIT_SLICES_H

#include "frontend.h"
#include "gen.h"
#include "loader.h"

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
/* slices_rules.c: parts in the order in which they shall be loaded, none of which replaces another. */
void wall_make(struct arena *a, struct rng *r, const struct wall_kind *k, struct wall *ret);

/* Rules as people have them; ends with name NULL. */
extern const struct wall_common { const char *name; bool forward; struct wall wall; } wall_common[];
/* Each drop of these is counted once, and nothing else is. */
extern const struct wall wall_counting;

/* slices_pair.c: one of two network namespaces with the same devices, addresses and rules. */
struct side {
	struct judge j;
	int ns;
};
/* The caller is in the second then. The parts that the tool and the kernel took, the same in both. */
bool sides_open(struct side side[2], const struct wall *w, bool forward, bool verbose, struct wall *ret_taken);
void sides_close(struct side side[2]);
bool side_enter(const struct side *s);	/* the calling thread */

/* The slice of the rules in the caller's network namespace, loaded for the judge's device. */
struct slice {
	struct arena *arena;
	struct diags diags;
	struct fe_capture capture;
	struct imr *source, *optimised, *placed;
	struct imr_env env;
	struct be_prog prog;
	struct ld_prog loaded;
};
/* False with diagnostics; to be freed in any case. */
bool slice_make(struct slice *s, const struct imr_profile *p, const struct caps *caps);
int slice_attach(struct slice *s);
uint64_t slice_counted(struct slice *s);	/* all its counters' packets */
void slice_say(const struct slice *s);
void slice_free(struct slice *s);

#endif
