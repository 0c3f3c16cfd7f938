/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * ipv6_find_hdr as instructions: from header to header, unrolled, since a loop would ask more of the verifier than
 * every kernel gives. 183 steps reach the end of any frame of 1,514 bytes; a longer chain of headers is odd: a slice
 * passes it, an exact program drops it. Each step starts from the record, so that the verifier reads it once, whatever
 * came before.
 */
#include "select.h"

#define STEPS		183	/* 1,460 bytes of payload, 8 bytes each, and one that is cut off */
#define STEPS_COMPACT	10	/* where instructions are few */
#define NEXT_ROUTING	43
#define NEXT_FRAGMENT	44
#define NEXT_AUTH	51
#define NEXT_MAX	60	/* the largest extension header's number */
#define NEXT_BITS	(1ull << 0 | 1ull << 43 | 1ull << 44 | 1ull << 51 | 1ull << 60)

struct walk {
	struct be_cc *cc;
	struct be_emit *e;
	uint32_t parsed, end, later;
};

/* R1: the header's number; to `no` unless it is an extension header. */
static void extension(const struct walk *w, uint32_t no)
{
	be_load(w->e, 4, BPF_REG_1, R_REC, REC_NEXT);
	be_jmp32(w->e, BPF_JGT, BPF_REG_1, NEXT_MAX, no);
	be_const(w->e, BPF_REG_4, NEXT_BITS);
	be_alu64_reg(w->e, BPF_RSH, BPF_REG_4, BPF_REG_1);
	be_alu64(w->e, BPF_AND, BPF_REG_4, 1);
	be_jmp64(w->e, BPF_JEQ, BPF_REG_4, 0, no);
	if (w->cc->early)
		be_jmp32(w->e, BPF_JEQ, BPF_REG_1, NEXT_FRAGMENT, w->cc->pass);
}

/* R2: where it starts, R3: bytes from there on; to parsed where it is cut off. */
static void room(const struct walk *w)
{
	uint32_t ok = be_label_new(w->e);

	be_load(w->e, 4, BPF_REG_2, R_REC, REC_AT);
	be_load(w->e, 4, BPF_REG_3, R_REC, REC_END);
	be_alu64_reg(w->e, BPF_SUB, BPF_REG_3, BPF_REG_2);
	be_jmp64(w->e, BPF_JSGE, BPF_REG_3, 4, ok);
	be_jmp64(w->e, BPF_JSLT, BPF_REG_3, 2, w->parsed);
	be_jmp32(w->e, BPF_JEQ, BPF_REG_1, NEXT_ROUTING, w->parsed);
	be_jmp32(w->e, BPF_JEQ, BPF_REG_1, NEXT_FRAGMENT, w->parsed);
	be_label_here(w->e, ok);
}

static void found(const struct walk *w, uint16_t words, uint8_t proto, uint8_t at)
{
	be_store_imm(w->e, 4, R_REC, words + REC_OK, 1);
	be_store(w->e, 4, R_REC, words + REC_PROTO, proto);
	be_store(w->e, 4, R_REC, words + REC_WHERE, at);
}

/* To `later`, with the header behind as NEXT, if it is a later fragment's. */
static void fragment(const struct walk *w)
{
	struct be_window at = w->cc->view->access->open(w->cc, REC_AT, 0, 4, w->parsed);

	be_load(w->e, 2, BPF_REG_0, at.reg, at.off + 2);
	be_to_host(w->e, 2, BPF_REG_0);
	be_alu64(w->e, BPF_AND, BPF_REG_0, 0xfff8);
	be_store(w->e, 4, R_REC, REC_FRAG, BPF_REG_0);
	be_load(w->e, 1, BPF_REG_4, at.reg, at.off);
	be_store(w->e, 4, R_REC, REC_TMP, BPF_REG_4);
	be_jmp32(w->e, BPF_JNE, BPF_REG_0, 0, w->later);
}

/* nftables stops here, xtables goes on. */
static void auth(const struct walk *w, uint32_t add)
{
	uint32_t known = be_label_new(w->e);

	if (w->cc->use_th) {
		be_load(w->e, 4, BPF_REG_4, R_REC, REC_TH + REC_OK);
		be_jmp32(w->e, BPF_JNE, BPF_REG_4, 0, known);
		found(w, REC_TH, BPF_REG_1, BPF_REG_2);
		be_label_here(w->e, known);
	}
	if (!w->cc->early && !w->cc->use_tx) {
		be_ja(w->e, w->parsed);
		return;
	}
	be_alu64(w->e, BPF_ADD, BPF_REG_0, 2);
	be_alu64(w->e, BPF_LSH, BPF_REG_0, 2);
	be_ja(w->e, add);
}

/* R1, R2, R3 as extension and room left them. */
static void again(const struct walk *w)
{
	be_load(w->e, 4, BPF_REG_1, R_REC, REC_NEXT);
	be_load(w->e, 4, BPF_REG_2, R_REC, REC_AT);
	be_load(w->e, 4, BPF_REG_3, R_REC, REC_END);
	be_alu64_reg(w->e, BPF_SUB, BPF_REG_3, BPF_REG_2);
}

static void step(const struct walk *w)
{
	struct be_emit *e = w->e;
	uint32_t add = be_label_new(e), no_frag = be_label_new(e), no_auth = be_label_new(e);
	struct be_window at;

	extension(w, w->end);
	room(w);
	if (!w->cc->early) {
		be_jmp32(e, BPF_JNE, BPF_REG_1, NEXT_FRAGMENT, no_frag);
		fragment(w);
		be_label_here(e, no_frag);
	}
	at = w->cc->view->access->open(w->cc, REC_AT, 0, 2, w->parsed);
	be_load(e, 1, BPF_REG_0, at.reg, at.off);
	be_load(e, 1, BPF_REG_4, at.reg, at.off + 1);
	again(w);
	be_store(e, 4, R_REC, REC_NEXT, BPF_REG_0);
	be_mov_reg(e, BPF_REG_0, BPF_REG_4);
	if (!w->cc->early) {
		uint32_t whole = be_label_new(e);

		be_jmp32(e, BPF_JNE, BPF_REG_1, NEXT_FRAGMENT, whole);
		be_mov(e, BPF_REG_0, 8);
		be_ja(e, add);
		be_label_here(e, whole);
	}
	be_jmp32(e, BPF_JNE, BPF_REG_1, NEXT_AUTH, no_auth);
	auth(w, add);
	be_label_here(e, no_auth);
	be_alu64(e, BPF_ADD, BPF_REG_0, 1);
	be_alu64(e, BPF_LSH, BPF_REG_0, 3);
	be_label_here(e, add);
	if (w->cc->imr->profile.v6_exthdr_bound)
		be_jmp64_reg(e, BPF_JLT, BPF_REG_3, BPF_REG_0, w->parsed);
	be_alu64_reg(e, BPF_ADD, BPF_REG_2, BPF_REG_0);
	be_store(e, 4, R_REC, REC_AT, BPF_REG_2);
}

static void set_words(const struct walk *w, uint16_t words)
{
	found(w, words, BPF_REG_1, BPF_REG_2);
	be_store(w->e, 4, R_REC, words + REC_FRAGOFF, BPF_REG_3);
}

static void set_both(const struct walk *w)
{
	be_load(w->e, 4, BPF_REG_1, R_REC, REC_NEXT);
	be_load(w->e, 4, BPF_REG_2, R_REC, REC_AT);
	be_load(w->e, 4, BPF_REG_3, R_REC, REC_FRAG);
	set_words(w, REC_TX);
	be_load(w->e, 4, BPF_REG_4, R_REC, REC_TH + REC_OK);
	be_jmp32(w->e, BPF_JNE, BPF_REG_4, 0, w->parsed);
	set_words(w, REC_TH);
	be_ja(w->e, w->parsed);
}

void be_walk6(struct be_cc *cc, uint32_t parsed)
{
	struct walk w = { cc, &cc->e, parsed, be_label_new(&cc->e), be_label_new(&cc->e) };

	cc->view->access->start(cc);
	for (int i = 0; i < (cc->compact ? STEPS_COMPACT : STEPS); i++)
		step(&w);
	extension(&w, w.end);
	room(&w);
	be_ja(&cc->e, cc->odd);
	if (!cc->early) {
		/* ipv6_find_hdr leaves the offset at 0 in a later fragment: where skb->data is */
		be_label_here(&cc->e, w.later);
		be_load(&cc->e, 4, BPF_REG_1, R_REC, REC_TMP);
		be_store(&cc->e, 4, R_REC, REC_NEXT, BPF_REG_1);
		be_load(&cc->e, 4, BPF_REG_1, R_REC, cc->num == HN_EGRESS ? REC_ZERO : REC_NH);
		be_store(&cc->e, 4, R_REC, REC_AT, BPF_REG_1);
		extension(&w, w.end);
		be_ja(&cc->e, parsed);
	}
	be_label_here(&cc->e, w.end);
	set_both(&w);
}
