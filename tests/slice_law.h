/* SPDX-License-Identifier: GPL-2.0-only */
/* Random programs, packets and completions for the slice's law. */
#ifndef FWJIT_SLICE_LAW_H
#define FWJIT_SLICE_LAW_H

#include "imr.h"

struct law {
	uint64_t rnd;
	struct arena *arena;
	struct diags *diags;
	struct imr *imr;
	struct imr_env env;
	struct imr_pkt pkt;
	uint8_t frame[256];
	uint32_t n_unknown, users, max_users, counters;
	bool allow_nat;
	bool plain;		/* nothing unknown, no two chains at one place */
	bool ingress;		/* netdev chains only */
	uint32_t hits[256];	/* counters of the program that were bumped */
};
struct law_count {
	uint64_t packets, sliced, certain, completions;
};

void law_program(struct law *l);
void law_env(struct law *l);
void law_packet(struct law *l);
/* One completion, the rest by chance: true if the packet is dropped. */
bool law_pipeline(struct law *l, const uint64_t *choice);
/* How many of the completions do not drop. */
uint32_t law_completions(struct law *l, struct law_count *n);
bool law_is_special(const struct law *l);	/* multicast or broadcast: where it is routed is not known */

#endif
