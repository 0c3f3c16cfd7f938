/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the passes share, private to imr/: sets of values that a test lets pass, values as nodes in canonical form, the
 * rule as a list of steps over them, and facts that hold where a rule begins. docs/PASSES.md says what is canonical.
 */
#ifndef FWJIT_PASS_H
#define FWJIT_PASS_H

#include "imr.h"

/* ------------------------------------------------------------------ merge.def */

#define LAW_SAME	0x1
#define LAW_HOIST	0x2
#define LAW_COMMUTE	0x4
#define LAW_DROP	0x8
bool pass_may(uint8_t op, unsigned int law);

/* ------------------------------------------------------------------ pset.c */

/* The values that a test lets pass: those in the ranges, or with `inv` all others. */
struct pset {
	bool inv;
	uint32_t n;
	const struct imr_range *r;	/* NULL: `one` */
	struct imr_range one;
	const struct imr_set *orig;	/* the set that holds exactly these ranges, if there is one */
};
enum pset_truth { PSET_NEVER, PSET_MAYBE, PSET_ALWAYS };

struct pset pset_of(const struct imr_insn *test);
struct pset pset_range(u128 lo, u128 hi);
const struct imr_range *pset_ranges(const struct pset *s);
bool pset_has(const struct pset *s, u128 v);
/* Only values whose bits are among `bits` exist. */
void pset_fit(struct imr *imr, struct pset *s, u128 bits);
enum pset_truth pset_truth(const struct pset *s, u128 bits);
/* Values that pass both. False, and nothing done, where that would cost too much. */
bool pset_and(struct imr *imr, struct pset *s, const struct pset *other, u128 bits);
bool pset_same(const struct pset *a, const struct pset *b, u128 bits);
/* The one closed range that passes, if it is one. */
bool pset_single(const struct pset *s, u128 bits, struct imr_range *ret);
/* op, imm and set of a test in canonical form; the set must be neither empty nor full. */
void pset_put(struct imr *imr, const struct pset *s, u128 bits, struct imr_insn *test);

/* The set of x such that f(x) is in s. */
void pset_of_shr(struct imr *imr, struct pset *s, unsigned int shift);
void pset_of_high_mask(struct imr *imr, struct pset *s, unsigned int low_bits);
bool pset_of_xor(struct imr *imr, struct pset *s, u128 with);
bool pset_of_swap(struct imr *imr, struct pset *s, unsigned int bytes);
/* The set of f(x) such that x is in s: the bits from `shift` on, where x has no others. */
void pset_shifted(struct imr *imr, struct pset *s, unsigned int shift);
/* Names are zero-padded: nothing but zeros follows a zero byte, and the last byte is zero. */
void pset_of_name(struct imr *imr, struct pset *s);

u128 swap_bytes(u128 v, unsigned int bytes);

/* ------------------------------------------------------------------ val.c */

/* A value of a rule (or of a whole chain, in hoist) as a node; equal values are one node. */
struct val {
	struct imr_insn i;	/* a, b: nodes. OP_NONE: the constant imm. OP_NEED: the bytes there from base on */
	u128 bits;		/* those that may be one */
	uint64_t hash;		/* of its structure: the same in every program */
	uint32_t depth;		/* 0: a leaf */
	uint32_t leaf;		/* the leftmost load under it */
};
struct val_slot { uint32_t gen, v; };
struct vals {
	struct imr *imr;
	uint32_t n, cap;
	struct val *v;
	uint32_t gen, n_slot;
	struct val_slot *slot;
};
void vals_reset(struct vals *vs);
/* The node of an instruction whose operands are nodes; val_make brings it into canonical form first. */
uint32_t val_add(struct vals *vs, const struct imr_insn *i);
uint32_t val_make(struct vals *vs, const struct imr_insn *i);
uint32_t val_const(struct vals *vs, enum imr_type t, u128 imm);
uint32_t val_op(struct vals *vs, enum imr_op op, uint32_t a, u128 imm);
uint32_t val_field(struct vals *vs, enum imr_field f);
/* Does v always, never or sometimes lie in s? Brings s into the range of v. */
enum pset_truth val_truth(struct vals *vs, uint32_t v, struct pset *s);
/* An order that depends on structure alone; 0 only for values that are one. */
int val_cmp(const struct val *a, const struct val *b, const struct vals *vs);
/* A test of v for s as a test of an operand of v; false where there is none. */
bool val_peel(struct vals *vs, uint32_t *v, struct pset *s);
/* Where the bytes of a load lie: false for what the view computes and for parts of bytes. */
bool ld_bytes(const struct imr_insn *ld, struct imr_insn *ret);
u128 low_bits(unsigned int n);
bool is_low_bits(u128 v);

/* ------------------------------------------------------------------ pass.c */

/* What is known where a rule begins, or further on in it. */
struct facts {
	bool reached;
	uint8_t l3, l4;			/* 0: not known. Names only, except l3 at hooks with HF_L3 */
	uint16_t avail[B_MAX];		/* at least so many bytes are there */
};
uint8_t facts_l3(const struct imr_chain *c, const struct facts *f);	/* that may be relied on; 0 */
/* The test passed, or failed. `ld` is what it tests, NULL where that is no load. */
void facts_learn(struct facts *f, const struct imr_chain *c, const struct imr_insn *test, const struct imr_insn *ld,
		 bool passed);
struct facts *facts_flow(struct imr *imr, const struct imr_chain *c);	/* of each rule */
enum imr_field field_at(enum imr_base base, unsigned int off, unsigned int len, uint8_t l3, uint8_t l4);

/* One instruction that is no value; `a` of it is a node. */
struct step {
	struct imr_insn i;
	struct pset s;		/* of a test that is not need or opaque */
};
struct steps { uint32_t n, cap; struct step *s; };
struct step *steps_add(struct imr *imr, struct steps *l);

/* One pass at work on one chain. */
struct work {
	struct imr *imr;
	struct imr_chain *c;
	struct facts *facts;
	uint32_t rule;			/* the rule at hand */
	struct vals vals;
	struct steps in, out;
	uint32_t *map, n_map;		/* value number -> node */
	uint32_t *num, n_num;		/* node -> value number */
	uint32_t *stack, n_stack;
	struct imr_insn *insn;		/* being written */
	uint32_t n_insn, cap_insn;
	void *more;			/* the pass's own */
};
void work_init(struct work *w, struct imr *imr, struct imr_chain *c, bool facts);
/* The rule as steps over nodes; entry must be empty. And back: only values that are used, numbered in order of use. */
void work_load(struct work *w, uint32_t rule, struct steps *to);
void work_store(struct work *w, const struct steps *from);
/* A value's instruction over nodes, with room for its own in the map. */
struct imr_insn work_operands(struct work *w, const struct imr_insn *i);
/* The run of tests from step i on that may change places: returns its end, i + 1 for what may not move. */
uint32_t work_run(const struct steps *l, uint32_t i);
/* What holds once the steps from i to end have passed. */
struct facts work_facts(struct work *w, const struct facts *f, const struct steps *l, uint32_t i, uint32_t end);
void *pass_room(struct imr *imr, void *old, uint32_t *cap, uint32_t want, size_t size);
/* Rules that lead to behind the last one get an empty rule there, from which the policy is next. The array has room. */
void pass_land(struct imr *imr, struct imr_chain *c);
/* The end of a rule whose test can only fail. */
struct imr_insn pass_else_end(const struct imr_insn *test);
bool pass_is_value(uint8_t op);
bool pass_is_test(uint8_t op);

/* ------------------------------------------------------------------ the passes, one a file; opt.c has their order */

void pass_sink(struct imr *imr);
void pass_inline(struct imr *imr);
void pass_raise(struct imr *imr);
void pass_need(struct imr *imr);
void pass_fold(struct imr *imr);
void pass_dead(struct imr *imr);
void pass_hoist(struct imr *imr);

#endif
