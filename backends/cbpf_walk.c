/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * ipv6_find_hdr as classic instructions: from header to header, unrolled. A program has room for few steps; a packet
 * that has more extension headers than that is dropped, since what stands behind them has not been judged. What is
 * found lies at most 64 KiB into the packet, so nftables' limit on that is never met.
 */
#include "cbpf.h"

#define NEXT_HOP	0
#define NEXT_ROUTING	43
#define NEXT_FRAGMENT	44
#define NEXT_AUTH	51
#define NEXT_DEST	60
#define IP6_HLEN	40

/* Words of memory that are given to packet bytes only behind the walk */
#define M_NEXT		(CB_MEM - 3)
#define M_AT		(CB_MEM - 2)
#define M_FRAG		(CB_MEM - 1)

struct walk {
	struct cb *cb;
	struct cb_emit *e;
	bool th, tx;
	uint32_t parsed, end, later, auth;
};

static void load_x(const struct walk *w, uint32_t word)
{
	cb_op(w->e, BPF_LDX | BPF_MEM, word);
}

/* A way for each kind of header, by its number in A; `other`: it is no extension header. */
static void fork_header(const struct walk *w, uint32_t opts, uint32_t routing, uint32_t fragment, uint32_t auth,
			uint32_t other)
{
	const struct { uint32_t next, to; } way[] = {
		{ NEXT_DEST, opts }, { NEXT_HOP, opts }, { NEXT_ROUTING, routing }, { NEXT_FRAGMENT, fragment },
		{ NEXT_AUTH, auth },
	};

	for (unsigned int i = 0; i < 5; i++) {
		uint32_t on = cb_label(w->e);

		cb_jump(w->e, BPF_JEQ, way[i].next, way[i].to, on);
		cb_here(w->e, on);
	}
	cb_ja(w->e, other);
}

/* To parsed unless `bytes` of the header are there; X: where it is. */
static void room(const struct walk *w, uint32_t bytes)
{
	uint32_t ok = cb_label(w->e);

	cb_op(w->e, BPF_LDX | BPF_W | BPF_LEN, 0);
	cb_mem(w->cb, M_AT);
	cb_op(w->e, BPF_ALU | BPF_ADD, bytes);
	cb_jump(w->e, BPF_JGT | BPF_X, 0, w->parsed, ok);
	cb_here(w->e, ok);
	load_x(w, M_AT);
}

/* Bytes from the header at M_AT on, which may lie behind the packet's end */
static void set_avail(const struct walk *w, int word)
{
	uint32_t there = cb_label(w->e), none = cb_label(w->e);

	if (word < 0)
		return;
	load_x(w, M_AT);
	cb_len(w->cb);
	cb_jump(w->e, BPF_JGE | BPF_X, 0, there, none);
	cb_here(w->e, there);
	cb_op(w->e, BPF_ALU | BPF_SUB | BPF_X, 0);
	cb_set(w->cb, word);
	cb_here(w->e, none);
}

static void set_word(const struct walk *w, int word, uint32_t from)
{
	if (word < 0)
		return;
	cb_mem(w->cb, from);
	cb_set(w->cb, word);
}

/* The header is found: its number in M_NEXT, its place in M_AT. */
static void found(const struct walk *w, enum imr_base b)
{
	const int8_t *fact = cb_facts(w->cb, b);

	set_word(w, fact[CB_PROTO], M_NEXT);
	set_word(w, fact[CB_OFF], M_AT);
	if (fact[CB_OK] >= 0) {
		cb_op(w->e, BPF_LD | BPF_IMM, 1);
		cb_set(w->cb, fact[CB_OK]);
	}
	set_avail(w, fact[CB_AVAIL]);
}

/* TH, unless the walk was there before */
static void found_th(const struct walk *w)
{
	uint32_t first = cb_label(w->e), known = cb_label(w->e);

	if (!w->th)
		return;
	if (w->tx) {
		cb_mem(w->cb, cb_facts(w->cb, B_TH)[CB_OK]);
		cb_jump(w->e, BPF_JEQ, 0, first, known);
		cb_here(w->e, first);
	}
	found(w, B_TH);
	cb_here(w->e, known);
}

/* A = the length of an option header, a fragment header or AH at X; the number of the next one goes to M_NEXT. */
static void next_header(const struct walk *w)
{
	cb_op(w->e, BPF_LD | BPF_B | BPF_IND, 0);
	cb_set(w->cb, M_NEXT);
}

static void length(const struct walk *w, uint32_t more, uint32_t shift)
{
	cb_op(w->e, BPF_LD | BPF_B | BPF_IND, 1);
	cb_op(w->e, BPF_ALU | BPF_ADD, more);
	cb_op(w->e, BPF_ALU | BPF_LSH, shift);
}

static void fragment(const struct walk *w, uint32_t add)
{
	uint32_t first = cb_label(w->e);

	room(w, 4);
	cb_op(w->e, BPF_LD | BPF_H | BPF_IND, 2);
	cb_op(w->e, BPF_ALU | BPF_AND, 0xfff8);
	cb_jump(w->e, BPF_JEQ, 0, first, w->later);
	cb_here(w->e, first);
	next_header(w);
	cb_op(w->e, BPF_LD | BPF_IMM, 8);
	cb_ja(w->e, add);
}

/* nftables stops at AH, if two bytes of it are there; xtables goes on. */
static void auth(const struct walk *w, uint32_t add)
{
	if (w->th) {
		cb_set(w->cb, M_NEXT);
		room(w, 2);
		found_th(w);
	}
	room(w, 2);
	next_header(w);
	length(w, 2, 2);
	cb_ja(w->e, add);
}

/* The same for all steps, where the walk ends here: A is AH's number again. */
static void stop_at_auth(const struct walk *w)
{
	cb_here(w->e, w->auth);
	room(w, 2);
	cb_op(w->e, BPF_LD | BPF_IMM, NEXT_AUTH);
}

/* A: the number of the header at M_AT, and of the next one behind it */
static void step(const struct walk *w)
{
	struct cb_emit *e = w->e;
	uint32_t opts = cb_label(e), routing = cb_label(e), frag = cb_label(e), ah = cb_label(e), plain = cb_label(e);
	uint32_t add = cb_label(e), ok = cb_label(e);

	fork_header(w, opts, routing, frag, w->tx ? ah : w->auth, w->end);
	cb_here(e, frag);
	fragment(w, add);
	cb_here(e, ah);
	auth(w, add);
	cb_here(e, routing);
	room(w, 4);
	cb_ja(e, plain);
	cb_here(e, opts);
	room(w, 2);
	cb_here(e, plain);
	next_header(w);
	length(w, 1, 3);
	cb_here(e, add);
	cb_op(e, BPF_ALU | BPF_ADD | BPF_X, 0);
	cb_set(w->cb, M_AT);
	if (w->cb->imr->profile.v6_exthdr_bound) {
		cb_op(e, BPF_LDX | BPF_W | BPF_LEN, 0);
		cb_jump(e, BPF_JGT | BPF_X, 0, w->parsed, ok);
		cb_here(e, ok);
	}
	cb_mem(w->cb, M_NEXT);
}

/* A later fragment, A: its offset. The kernel leaves the header's place at 0, which is skb->data. */
static void later(const struct walk *w)
{
	struct cb_emit *e = w->e;
	uint32_t known = cb_label(e);

	cb_set(w->cb, M_FRAG);
	next_header(w);
	fork_header(w, w->parsed, w->parsed, w->parsed, w->parsed, known);
	cb_here(e, known);
	cb_op(e, BPF_LD | BPF_IMM, w->cb->data);
	cb_set(w->cb, M_AT);
	for (enum imr_base b = B_TH; b <= B_TX; b++) {
		uint32_t first = cb_label(e), done = cb_label(e);

		if (!(b == B_TH ? w->th : w->tx))
			continue;
		if (b == B_TH && w->tx) {
			cb_mem(w->cb, cb_facts(w->cb, B_TH)[CB_OK]);
			cb_jump(e, BPF_JEQ, 0, first, done);
			cb_here(e, first);
		}
		set_word(w, cb_facts(w->cb, b)[CB_FRAGOFF], M_FRAG);
		found(w, b);
		cb_here(e, done);
	}
	cb_ja(e, w->parsed);
}

void cb_walk6(struct cb *cb, uint32_t parsed)
{
	struct cb_emit *e = &cb->e;
	struct walk w = { cb, e, cb_uses(cb, B_TH), cb_uses(cb, B_TX), parsed, cb_label(e), cb_label(e), cb_label(e) };

	cb_op(e, BPF_LD | BPF_IMM, cb->nh + IP6_HLEN);
	cb_set(cb, M_AT);
	cb_op(e, BPF_LD | BPF_B | BPF_ABS, cb->nh + 6);
	for (uint32_t i = 0; i < cb->steps; i++)
		step(&w);
	fork_header(&w, cb->drop, cb->drop, cb->drop, w.tx ? cb->drop : w.auth, w.end);
	cb_here(e, w.later);
	later(&w);
	stop_at_auth(&w);
	cb_here(e, w.end);
	cb_set(cb, M_NEXT);
	if (w.tx)
		found(&w, B_TX);
	found_th(&w);
	cb_ja(e, parsed);
}
