/* SPDX-License-Identifier: GPL-2.0-only */
/* Random programs of the IMR around one packet; see gen_imr.c. */
#ifndef FWJIT_GEN_IMR_H
#define FWJIT_GEN_IMR_H

#include "gen.h"

struct imr_gen_value { u128 v; enum imr_type t; };

struct imr_gen {
	struct rng r;
	struct strbuf out;
	enum imr_hook hook;
	uint8_t frame[GEN_FRAME];
	struct imr_pkt pkt;
	struct imr_view view;
	struct imr_gen_value val[64];	/* of the rule at hand, as the packet has them */
	unsigned int n_val;
	unsigned int shared;	/* the entry's */
};

/* A base chain at a random hook and two user chains, as text. */
const char *gen_program(struct imr_gen *g, struct arena *a, uint64_t seed);
/* One rule of tests that may change places, in two orders. */
void gen_twins(struct imr_gen *g, struct arena *a, uint64_t seed, const char *ret[2]);

#endif
