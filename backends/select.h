/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the eBPF targets share. A program is two halves: a parse, the target's own, that writes down everything the
 * rules ask of a packet in a record (one per CPU, a map value), and a classifier, the same for all targets, that reads
 * nothing but the record. Every number in it lies in host order; what is not there is 0, as `ld` promises. A rule so
 * needs no bounds check of its own, and the verifier learns nothing in one rule that it would carry into the next.
 */
#ifndef FWJIT_SELECT_H
#define FWJIT_SELECT_H

#include "emit.h"

/* The record's fixed part: a u32 each. ZERO is never written; SLOT is written before it is read. */
enum be_rec {
	REC_ZERO = 0,		/* 0, but the verifier does not know it */
	REC_SLOT = 4,		/* the counter of the verdict */
	REC_LEN = 8,		/* meta.len; also the bytes from the network header on */
	REC_END = 12,		/* bytes from the frame's start to the end of what is visible */
	REC_NH = 16,		/* offset of the network header */
	REC_PROTOCOL = 20,
	REC_NFPROTO = 24,
	REC_LLTYPE = 28,	/* bytes 16 and 17 of the link header as the hook sees them */
	REC_TH = 32,		/* five words of REC_TH_… */
	REC_TX = 52,
	REC_NEXT = 72,		/* the walk over extension headers: header, where, fragment offset */
	REC_AT = 76,
	REC_FRAG = 80,
	REC_TMP = 84,
	REC_TALLY = 88,		/* two words of bits */
	REC_CELLS = 96,
};
#define REC_OK		0	/* words of REC_TH and REC_TX */
#define REC_PROTO	4
#define REC_FRAGOFF	8
#define REC_WHERE	12	/* offset from the frame's start */
#define REC_AVAIL	16

#define BE_TALLY_MAX	64
#define BE_SET_SMALL	16	/* ranges that are compared one by one */
#define BE_FRAME_MAX	0x7000	/* bytes: what is longer is not parsed */

/* One thing that rules ask of the packet beyond the fixed part, and its place in the record. */
struct be_cell {
	uint8_t op;		/* OP_LD or OP_TCPOPT */
	uint8_t field, base;
	uint16_t off, len;
	uint8_t kind;		/* OP_TCPOPT */
	uint8_t shift, bits;	/* bits: of the value */
	uint16_t at;
	const struct imr_at *by;	/* the first rule that asks */
};

struct be_tab {			/* the sets that are searched: one map value */
	uint32_t len, cap;
	uint8_t *bytes;
};

struct be_cc {			/* one compilation */
	const struct imr *imr;
	const struct imr_chain *chain;
	const struct be_opts *opts;
	const struct target *target;
	struct be_emit e;
	bool early;		/* hook early.l3, netdev.ingress otherwise */
	uint32_t n_cell, cap_cell;
	struct be_cell *cell;
	bool use_th, use_tx, use_sets, use_flow;
	uint32_t map_record, map_counters, map_gate, map_sets;
	uint32_t n_map;
	struct be_map *map;
	enum be_role *role;
	struct be_tab tab;
	uint32_t n_tally;
	uint32_t tally[BE_TALLY_MAX];	/* their slots */
	uint32_t *rule;			/* labels of the rules; [n]: the policy */
	uint32_t drop, pass, drop_count, pass_count;	/* labels of the ends */
	uint32_t drop_new, drop_new_count;	/* drop unless conntrack knows the flow */
	uint32_t odd;			/* a frame that is not parsed */
	uint32_t n_val;
	const struct imr_insn **def;	/* by value number: who made it */
	const struct imr_at *at;	/* of the rule at hand */
	bool bad;			/* something was refused */
};

/* R9 holds the record everywhere, R8 the searched sets in the classifier (if there are any), the context before it. */
#define R_REC	BPF_REG_9
#define R_SETS	BPF_REG_8
#define R_CTX	BPF_REG_8

/* program.c: before and after a target's own work. False with a diagnostic. */
bool be_start(struct be_cc *ret, const struct imr *imr, const struct target *t, const struct caps *caps,
	      const struct be_opts *opts);
bool be_finish(struct be_cc *cc, const struct caps *caps, struct be_prog *ret);

bool be_xdp_compile(const struct imr *imr, const struct caps *caps, const struct be_opts *opts, struct be_prog *ret);

void be_refuse(struct be_cc *cc, const struct imr_at *at, const char *what, const char *hint);

/* collect.c: refuses what no eBPF target says, and lays out the record. */
void be_collect(struct be_cc *cc);
uint32_t be_rec_size(const struct be_cc *cc);
/* Where the record holds what `i`, a load or tcpopt, asks for; 0: it is a constant, *ret_const. */
uint16_t be_rec_at(const struct be_cc *cc, const struct imr_insn *i, u128 *ret_const);

/* value.c: the value in registers `reg` (and above it `reg` + 1, its upper half) and its type. */
enum imr_type be_value(struct be_cc *cc, uint32_t val, uint8_t reg);
/* What a test lets pass, as ranges within its type. */
const struct imr_set *be_test_set(const struct be_cc *cc, const struct imr_insn *i, enum imr_type t, bool *ret_not);

/* sets.c: to `in` if the value in reg is in the set, to `out` if not; one of them is placed right behind. */
void be_in(struct be_cc *cc, enum imr_type t, uint8_t reg, const struct imr_set *s, uint32_t in, uint32_t out,
	   bool in_follows);
/* search.c: the same for many ranges, by a search in the sets' map. */
void be_in_search(struct be_cc *cc, enum imr_type t, uint8_t reg, const struct imr_set *s, uint32_t in, uint32_t out,
		  bool in_follows);

/* family.c: may the rules drop or count a packet of this nfproto (2, 10)? */
bool be_acts_on(struct be_cc *cc, uint8_t nfproto);

/* select.c: values of the rule into def; the classifier, which falls into nothing. */
void be_define(struct be_cc *cc, uint32_t rule);
void be_classify(struct be_cc *cc);

/* counters.c */
void be_lookup(struct be_cc *cc, uint32_t map, uint32_t null);	/* R0: key 0's value; `null` where there is none */
void be_count(struct be_cc *cc, uint32_t slot);			/* bumps here */
void be_ends(struct be_cc *cc);					/* the shared ends of the program */

/* flow.c: to `known` if conntrack knows the packet's flow or cannot say, on if it has none. The context is at FP_CTX. */
#define FP_CTX	(-16)		/* on the stack, where use_flow */
void be_ask_flow(struct be_cc *cc, uint32_t known);

/* access_direct.c: packet bytes into the record's cells, by direct access. The context is in R_CTX and starts with data
 * and data_end; the fixed part of the record is filled in. */
#define R_DATA	BPF_REG_6
#define R_END	BPF_REG_7
void be_direct_start(struct be_cc *cc);		/* R_DATA and R_END, of which nothing is known yet */
/* To `no` unless `end` bytes are there behind reg; R0 is lost. */
void be_direct_need(struct be_cc *cc, uint8_t reg, unsigned int end, uint32_t no);
void be_direct_fill(struct be_cc *cc);

/* walk6.c: from REC_NEXT and REC_AT on over IPv6 extension headers to REC_TH and REC_TX; ends at `parsed`. */
void be_direct_walk6(struct be_cc *cc, uint32_t parsed);

#endif
