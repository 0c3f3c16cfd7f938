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
#include "kernel.h"

/*
 * The record's fixed part: a u32 each, every second word. The record lies at 4 modulo 8, on the stack too, where the
 * verifier follows numbers only through slots that are written at 0 modulo 8: so it forgets them, as it does those of a
 * map value. ZERO is never written; SLOT is written before it is read.
 */
enum be_rec {
	REC_ZERO = 0,		/* 0, but the verifier does not know it */
	REC_SLOT = 8,		/* the counter of the verdict */
	REC_LEN = 16,		/* meta.len */
	REC_NHLEN = 24,		/* bytes from the network header on */
	REC_END = 32,		/* bytes from the program's view's start to the end of what is visible */
	REC_NH = 40,		/* offset of the network header */
	REC_PROTOCOL = 48,
	REC_NFPROTO = 56,
	REC_LLTYPE = 64,	/* bytes 16 and 17 of the link header as the hook sees them */
	REC_TH = 72,		/* five words of REC_TH_… */
	REC_TX = 112,
	REC_NEXT = 152,		/* the walk over extension headers: header, where, fragment offset */
	REC_AT = 160,
	REC_FRAG = 168,
	REC_TMP = 176,
	REC_TALLY = 184,	/* two words of bits */
	REC_LLLEN = 200,	/* bytes from the link header on, as the hook sees them */
	REC_TAGGED = 208,	/* a tag was popped off the frame, apart: its four bytes */
	REC_TPID = 216,		/* of it */
	REC_TCI = 224,
	REC_CELLS = 232,
};
#define REC_BASE	4	/* where the record begins, modulo 8 */
#define REC_OK		0	/* words of REC_TH and REC_TX */
#define REC_PROTO	8
#define REC_FRAGOFF	16
#define REC_WHERE	24	/* offset from the view's start */
#define REC_AVAIL	32

/* The stack, from its top down: a map's key, the context, what a call reads or writes, bytes of the packet, the record. */
#define FP_KEY		(-4)
#define FP_CTX		(-16)
#define FP_ARG		(-32)
#define FP_BYTES	(-80)
#define FP_BYTES_SIZE	48
#define FP_RECORD	(-84)	/* its end */

#define BE_TALLY_MAX	64
#define BE_SET_SMALL	16	/* ranges that are compared one by one */
#define BE_FRAME_MAX	0x7000	/* bytes: what is longer is not parsed */

/* One thing that rules ask of the packet beyond the fixed part, and its place in the record. */
struct be_cell {
	uint8_t op;		/* OP_LD or OP_TCPOPT */
	uint8_t field, base;	/* B_META: what the view's meta gives */
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
	const struct caps *caps;
	const struct target *target;
	struct be_emit e;
	const struct be_view *view;
	enum imr_hooknum num;	/* of the chain's hook */
	bool early;		/* it is early.l3 */
	uint32_t n_cell, cap_cell;
	struct be_cell *cell;
	bool use_ll, use_th, use_tx, use_sets, use_flow;
	bool th4, th6;			/* be_asks_transport */
	uint32_t map_record, map_counters, map_gate, map_sets;	/* map_record: on the stack, a word of zeroes */
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
	uint32_t n_fused, fused_end;	/* fuse.c; the end of the record if there are any */
	struct be_fused *fused;
	bool compact;			/* instructions are few: a rule's body stands in line */
	uint32_t n_val;
	const struct imr_insn **def;	/* by value number: who made it */
	const struct imr_at *at;	/* of the rule at hand */
	bool bad;			/* something was refused */
};

/* Where bytes of the packet can be read, until the next call. */
struct be_window {
	uint8_t reg;
	int16_t off;
};

/* access_*.c: how a kind of program gets at the packet. Positions are offsets from the start of its view. */
struct be_access {
	const char *name;
	bool aligned;				/* windows may be copies on the stack: 8-byte aligned, read by aligned loads */
	void (*start)(struct be_cc *cc);	/* R_CTX holds the context; all registers but R_REC and it are lost */
	void (*length)(struct be_cc *cc);	/* R1: bytes of the packet in the view */
	/* Bytes [p + off, p + off + len), p in that word of the record (REC_ZERO: 0); to `no` where they are not all there.
	 * len is at most FP_BYTES_SIZE. R0 to R5 are lost but for the window's. */
	struct be_window (*open)(struct be_cc *cc, uint16_t word, unsigned int off, unsigned int len, uint32_t no);
};
extern const struct be_access be_direct;	/* packet pointers: XDP */
extern const struct be_access be_skb_direct;	/* packet pointers, a helper for what is not linear */
extern const struct be_access be_skb_load;	/* bpf_skb_load_bytes only */
extern const struct be_access be_xdp_const;	/* packet pointers at fixed places, a helper for all others */
extern const struct be_access be_dynptr;	/* bpf_dynptr_slice */

/* A kind of program: what it is to the kernel and how it sees packets. */
struct be_view {
	uint32_t type, attach_type;		/* enum bpf_prog_type, enum bpf_attach_type */
	const struct be_access *access;
	bool l3;				/* the view starts at the network header */
	bool socket;				/* a socket's filter, called by xt_bpf */
	bool stack;				/* may be preempted or interrupted by itself: the record is on the stack */
	/* The value of a field that is not of the packet's bytes into R1 (and R2, its upper half). False: not to be had. */
	bool (*meta)(struct be_cc *cc, enum imr_field f);
	/* Of a view that starts at the network header; NULL: the link header is out of reach. R1: its length, 0 where there is
	 * none. A window into it, which is there; R0 to R5 are lost. */
	void (*link_length)(struct be_cc *cc);
	struct be_window (*link)(struct be_cc *cc, unsigned int off, unsigned int len, uint32_t no);
};

/* R9 holds the record everywhere, R8 the searched sets in the classifier (if there are any), the context before it. */
#define R_REC	BPF_REG_9
#define R_SETS	BPF_REG_8
#define R_CTX	BPF_REG_8
#define R_DATA	BPF_REG_6	/* direct access: the packet and its end */
#define R_END	BPF_REG_7

/* program.c: before and after a target's own work. False with a diagnostic. */
bool be_start(struct be_cc *ret, const struct imr *imr, const struct target *t, const struct be_view *v,
	      const struct caps *caps, const struct be_opts *opts);
bool be_finish(struct be_cc *cc, const struct caps *caps, struct be_prog *ret);

/* One a target: xdp.c, skb.c, netfilter.c */
typedef bool be_compile_fn(const struct imr *imr, const struct caps *caps, const struct be_opts *opts, struct be_prog *ret);
be_compile_fn be_xdp_compile, be_tc_compile, be_netfilter_compile, be_cgroup_compile, be_socket_compile;	/* cbpf.c: backend.h */

/* access_copy.c: R2 = where a window begins, for a call. */
void be_position(struct be_cc *cc, uint16_t word, unsigned int off, uint32_t no);
/* access_direct.c: a window that is not checked yet: R0 is its end. */
struct be_window be_direct_at(struct be_cc *cc, uint16_t word, unsigned int off, unsigned int len, uint32_t no);

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

/* fuse.c: rules that begin alike compare a cell that says it all; cc->chain is rewritten. A load of field F_NONE is of the
 * fused cell `off`. be_fill_fused: behind the parse. */
void be_fuse(struct be_cc *cc);
uint16_t be_fused_at(const struct be_cc *cc, uint32_t index);
void be_fill_fused(struct be_cc *cc);
bool be_rec_fits(const struct be_cc *cc, uint32_t end);

/* family.c: may the rules drop or count a packet of this nfproto (2, 10)? */
bool be_acts_on(struct be_cc *cc, uint8_t nfproto);
/* Does what becomes of such a packet depend on its transport header? */
bool be_asks_transport(struct be_cc *cc, uint8_t nfproto);

/* select.c: values of the rule into def; the classifier, which falls into nothing. */
void be_define(struct be_cc *cc, uint32_t rule);
void be_classify(struct be_cc *cc);
/* A test of a record's word outside of the rules: ld is its operand. `yes` is placed right behind. */
void be_test_parsed(struct be_cc *cc, const struct imr_insn *i, const struct imr_insn *ld, uint32_t yes, uint32_t no);

/* counters.c */
void be_lookup(struct be_cc *cc, uint32_t map, uint32_t null);	/* R0: key 0's value; `null` where there is none */
void be_count(struct be_cc *cc, uint32_t slot);			/* bumps here */
void be_ends(struct be_cc *cc);					/* the shared ends of the program */

/* flow.c: to `known` if conntrack knows the packet's flow or cannot say, on if it has none. */
void be_ask_flow(struct be_cc *cc, uint32_t known);

/* parse.c: the packet into the record. be_program is a whole program but for what its target does in front. */
bool be_program(const struct imr *imr, const struct target *t, const struct be_view *v, const struct caps *caps,
		const struct be_opts *opts, struct be_prog *ret);
/* A window at the network header. */
struct be_window be_nh(struct be_cc *cc, unsigned int off, unsigned int len, uint32_t no);
void be_early4(struct be_cc *cc, uint32_t bad);		/* early.c: what ip_rcv asks of a header, checksum included */
void be_early6(struct be_cc *cc);			/* what ip6_rcv asks of addresses */
void be_early_frame(struct be_cc *cc);			/* to pass unless the frame is for this host */

/* cells.c: packet bytes into the record's cells; the fixed part of the record is filled in. */
void be_fill(struct be_cc *cc);

/* walk6.c: from REC_NEXT and REC_AT on over IPv6 extension headers to REC_TH and REC_TX; ends at `parsed`. */
void be_walk6(struct be_cc *cc, uint32_t parsed);

#endif
