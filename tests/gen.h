/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Random rulesets as text, and random packets that lie on the boundaries of what a ruleset asks. Both are functions of a
 * seed: a failure is repeated by its seed.
 */
#ifndef FWJIT_GEN_H
#define FWJIT_GEN_H

#include "imr.h"
#include "judge.h"

struct rng { uint64_t s; };
uint64_t rng_next(struct rng *r);
uint32_t rng_below(struct rng *r, uint32_t n);
bool rng_chance(struct rng *r, unsigned int percent);

/* genrules.c: a ruleset for the tool and hook, with n rules in a base chain and up to two user chains. */
char *gen_rules(struct arena *a, struct rng *r, enum judge_tool tool, enum judge_hook hook, unsigned int n);

/* genpkt.c */
#define GEN_POOL 48
struct pool { unsigned int n[F_MAX]; u128 v[F_MAX][GEN_POOL]; bool tags; };
/* The constants that a program compares each field with, and their neighbours; and whether it looks behind a tag. */
void pool_fill(struct pool *p, struct rng *r, const struct imr *imr);
#define GEN_FRAME 2048
/* One frame; its length. tame: only ethertypes and shapes that an L3 hook's judge can see. */
/* Can the judge's ingress sensor tell what became of the frame? */
bool gen_can_tell(const uint8_t *f, uint32_t len);
uint32_t gen_packet(struct rng *r, const struct pool *p, uint8_t frame[GEN_FRAME]);

#endif
