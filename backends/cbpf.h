/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the files of the classic BPF targets share. A filter is a prologue, which writes what many rules ask of a packet
 * into the sixteen words of memory, and the rules behind it. All jumps lead forward, so that one pass over the rules
 * knows at each of them what every way there has learnt, and what lies in the accumulator.
 */
#ifndef FWJIT_CBPF_H
#define FWJIT_CBPF_H

#include <linux/filter.h>

#include "backend.h"

#define CB_NONE		UINT32_MAX
#define CB_MEM		BPF_MEMWORDS
#define CB_KEYS		24	/* values of which a filter remembers what it learnt */
#define CB_RANGES	4	/* and in how many ranges */
#define CB_WIDE		31	/* the most extension headers a filter follows: none can be longer than 2 KiB */
#define CB_STEPS	8	/* and those that every filter follows */

/* ------------------------------------------------------------------ cbpf_emit.c */

/* What the accumulator holds: a word of memory by its number, or CB_A_…; told apart so as not to load it again. */
#define CB_A_LEN	16
#define CB_A_AD		32	/* + SKF_AD_… */
#define CB_A_OTHER	254
#define CB_A_UNSET	255	/* of a label that nothing leads to yet */

struct cb_state;

struct cb_insn {
	uint16_t code;
	uint32_t k;
	uint32_t t, f;		/* labels: of a jump if it holds (or always), if it does not */
	const struct imr_at *at;
};

struct cb_label {
	uint32_t at;		/* the instruction it stands before */
	uint8_t a;		/* the accumulator on every way there */
	struct cb_state *state;	/* what every way there has learnt; NULL for labels within one test */
};

struct cb_emit {
	struct arena *arena;
	uint32_t n, cap, n_label, cap_label;
	struct cb_insn *insn;
	struct cb_label *label;
	bool reach;		/* what is emitted next can be reached; if not, it is left out */
	uint8_t a;
	const struct imr_at *at;
};

void cb_reset(struct cb_emit *e);
uint32_t cb_label(struct cb_emit *e);
void cb_here(struct cb_emit *e, uint32_t label);
void cb_op(struct cb_emit *e, uint16_t code, uint32_t k);
void cb_load(struct cb_emit *e, uint16_t code, uint32_t k, uint8_t holds);	/* left out where A holds it */
void cb_ret(struct cb_emit *e, uint32_t k);
void cb_ja(struct cb_emit *e, uint32_t to);
/* op: BPF_JEQ, BPF_JGT, BPF_JGE; | BPF_X: with the index register */
void cb_jump(struct cb_emit *e, uint16_t op, uint32_t k, uint32_t t, uint32_t f);
/* The size of what was emitted; written to ret, unless that is NULL. */
uint32_t cb_finish(struct cb_emit *e, struct be_filter *ret);

/* ------------------------------------------------------------------ cbpf_known.c */

/* What a value may be: ascending ranges, never fewer values than it can have. */
struct cb_poss {
	uint8_t n;
	struct { uint32_t lo, hi; } r[CB_RANGES];
};

struct cb_state {
	struct cb_poss avail[B_MAX];
	struct cb_poss key[CB_KEYS];
	struct cb_state *next;	/* in the list of free ones */
};

enum cb_truth { CB_NEVER, CB_MAYBE, CB_ALWAYS };

/* A test as a set: what of a value lets it hold (or not hold, with neg). Bytes from a base: the base's avail. */
struct cb_test {
	int16_t key;		/* in this filter; -1: nothing is remembered */
	bool neg;
	const struct imr_set *set;
};

struct cb;
enum cb_truth cb_decide(const struct cb_poss *p, const struct imr_set *s, bool neg);
/* What is left of p where the test holds. */
void cb_limit(struct cb_poss *p, const struct imr_set *s, bool neg);
void cb_any(struct cb_poss *p, uint32_t lo, uint32_t hi);
struct cb_poss *cb_known(const struct cb *cb, struct cb_state *s, const struct imr_insn *i, const struct cb_test *t);
enum cb_truth cb_truth(const struct cb *cb, struct cb_state *s, const struct imr_insn *i, const struct cb_test *t);
/* s where test i holds, or with fails does not; and what follows from it. */
void cb_learn(const struct cb *cb, struct cb_state *s, const struct imr_insn *i, const struct cb_test *t, bool fails);
/* One more way to a label, with what was learnt on it. */
void cb_meet(struct cb *cb, uint32_t label, const struct cb_state *s);
/* Where a packet goes that is sent to `rule`, given what is known of it: a label. */
uint32_t cb_thread(struct cb *cb, uint32_t rule, struct cb_state *s);

/* ------------------------------------------------------------------ one compilation */

enum cb_fact { CB_OK, CB_PROTO, CB_FRAGOFF, CB_AVAIL, CB_OFF, CB_FACTS };

/* Up to four bytes from a base as a number; 0 unless `end` bytes are there. */
struct cb_cell {
	uint8_t base, len, shift;
	int8_t slot;		/* of memory, -1: read from the packet where it is asked for */
	uint16_t off, end;
	uint32_t mask;		/* behind the shift; 0: none */
	uint32_t uses;
};

/* A value that tests ask for in a filter */
struct cb_key {
	uint8_t field, base;
	uint16_t off, len, end;	/* end: bytes from the base on, without which it is 0 */
	uint32_t uses;
	uint32_t max;
};

struct cb {
	const struct imr *imr;
	const struct imr_chain *chain;
	const struct be_opts *opts;
	const char *name;		/* of the target, for messages */
	const struct imr_hook_info *hook;
	bool l2, egress;		/* the program sees a frame; one that leaves */
	uint32_t nh, data;		/* offsets of the network header and of skb->data at the hook */
	uint32_t ret_drop, ret_pass, ret_next;
	uint32_t max;			/* instructions of a filter */
	uint32_t steps;
	struct cb_emit e;
	struct cb_test *test;		/* by rule and instruction */
	uint32_t *first;		/* of a rule, in test */
	bool *jumps;			/* by rule: it may lead elsewhere than to the next */
	const struct imr_insn **def;	/* by value number, of the rule at hand */
	uint32_t n_val;
	/* the filter at hand: rules from `from` up to `to`, and those that say where to go on */
	uint32_t from, to;
	uint32_t *resume, n_resume;
	uint32_t *rule;			/* labels, by rule */
	uint32_t drop, pass, out;	/* labels */
	int8_t fact[2][CB_FACTS];	/* words of memory by B_TH, B_TX; -1: nobody asks */
	bool use4, use6;		/* somebody asks for a transport header where the packet is IPv4, IPv6 */
	uint32_t n_cell, cap_cell, n_key;
	uint32_t depth, held;		/* words of memory for values that are put together: in all, in use */
	struct cb_cell *cell;
	struct cb_key key[CB_KEYS];
	struct cb_state state, *spare;
	const struct imr_at *at;
	bool bad;
};

static inline int8_t *cb_facts(struct cb *cb, enum imr_base b)
{
	return cb->fact[b == B_TX];
}

void cb_refuse(struct cb *cb, const struct imr_at *at, const char *what, const char *hint);
void cb_define(struct cb *cb, uint32_t rule);

/* cbpf_ask.c: reads the chain, refuses what cannot be said. */
void cb_prepare(struct cb *cb);
/* A load that is a constant at this hook */
bool cb_const(const struct cb *cb, const struct imr_insn *i, u128 *ret);
unsigned int cb_bits(const struct imr_insn *i);		/* of a load */
enum imr_base cb_base(const struct imr_insn *i);	/* of a load; B_META for facts */
uint32_t cb_end(const struct imr_insn *i);		/* of a load: bytes from its base on */
unsigned int cb_words(const struct imr_insn *i);
/* Word w (0: the lowest) of a load of bytes. */
struct cb_cell cb_cell_of(const struct imr_insn *i, unsigned int w);
struct cb_cell *cb_cell_find(struct cb *cb, const struct cb_cell *c);
enum cb_fact cb_fact_of(enum imr_field f, enum imr_base *ret);	/* CB_FACTS: it is none */

/* cbpf_cut.c: rules whose sets are too large for a filter become several; cb->chain is another then. */
void cb_cut(struct cb *cb);

/* cbpf_plan.c: for one filter, what goes into memory and what is remembered. */
void cb_plan(struct cb *cb);
bool cb_uses(struct cb *cb, enum imr_base b);		/* does anybody ask for this transport header? */

/* cbpf_parse.c: from the filter's first instruction to its first rule. */
void cb_prologue(struct cb *cb);
/* cbpf_walk.c: the IPv6 header is good; ends at `parsed`. */
void cb_walk6(struct cb *cb, uint32_t parsed);

/* cbpf_access.c */
void cb_mem(struct cb *cb, uint32_t word);			/* A = memory */
void cb_set(struct cb *cb, int word);				/* memory = A; -1: nobody asks */
void cb_len(struct cb *cb);					/* A = skb->len as the program sees it */
void cb_ad(struct cb *cb, uint32_t what);			/* A = SKF_AD_… */
/* To yes if `bytes` are there from the base on, else to no. */
void cb_need(struct cb *cb, enum imr_base b, uint32_t bytes, uint32_t yes, uint32_t no);
void cb_read(struct cb *cb, const struct cb_cell *c);		/* A = what the cell says of bytes that are there */
uint32_t cb_temp(const struct cb *cb);				/* the word of memory that is free at this depth */

/* cbpf_value.c: A = a word of a value; to `in` if the value is in the set, else to `out`. */
void cb_word(struct cb *cb, uint32_t val, unsigned int w);
void cb_in(struct cb *cb, uint32_t val, const struct imr_set *s, uint32_t in, uint32_t out);

/* cbpf.c: for the target of this name, with at most `max` instructions in a filter. */
bool cb_compile(const struct imr *imr, const struct be_opts *opts, const char *name, uint32_t max, struct be_prog *ret);

/* cbpf_rules.c: emits the filter of these rules. */
void cb_filter(struct cb *cb, uint32_t from, uint32_t to);
uint32_t cb_run(const struct imr_rule *r, uint32_t n);	/* the end of the run of tests that may change places */

#endif
