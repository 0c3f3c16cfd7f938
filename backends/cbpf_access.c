/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Bytes of the packet in the accumulator. A load past the packet's end would end the program with 0, which accepts:
 * every one of them stands behind a check of the length. A frame's outer VLAN tag may be beside its bytes; the link
 * header of such a frame is read as if it were in its place (nft_payload_copy_vlan).
 */
#include "cbpf.h"

#define TAG_AT		12	/* where the tag was: its type, its number, then the type of what follows */
#define TAG_HLEN	4

uint32_t cb_temp(const struct cb *cb)
{
	return CB_MEM - 1 - cb->held;
}

void cb_mem(struct cb *cb, uint32_t word)
{
	cb_load(&cb->e, BPF_LD | BPF_MEM, word, word);
}

void cb_set(struct cb *cb, int word)
{
	if (word >= 0)
		cb_op(&cb->e, BPF_ST, word);
}

void cb_len(struct cb *cb)
{
	cb_load(&cb->e, BPF_LD | BPF_W | BPF_LEN, 0, CB_A_LEN);
}

void cb_ad(struct cb *cb, uint32_t what)
{
	cb_load(&cb->e, BPF_LD | BPF_W | BPF_ABS, SKF_AD_OFF + what, CB_A_AD + what);
}

/* ------------------------------------------------------------------ lengths */

/* The link header of a tagged frame has four bytes more than there are. */
static void need_link(struct cb *cb, uint32_t bytes, uint32_t yes, uint32_t no)
{
	struct cb_emit *e = &cb->e;
	uint32_t tagged = cb_label(e), plain = cb_label(e);

	if (bytes <= cb->hook->ll_min) {
		cb_len(cb);
		cb_jump(e, BPF_JGE, bytes, yes, no);
		return;
	}
	cb_ad(cb, SKF_AD_VLAN_TAG_PRESENT);
	cb_jump(e, BPF_JEQ, 0, plain, tagged);
	cb_here(e, tagged);
	cb_len(cb);
	cb_jump(e, BPF_JGE, bytes - TAG_HLEN, yes, no);
	cb_here(e, plain);
	cb_len(cb);
	cb_jump(e, BPF_JGE, bytes, yes, no);
}

void cb_need(struct cb *cb, enum imr_base b, uint32_t bytes, uint32_t yes, uint32_t no)
{
	switch (b) {
	case B_LL:
		need_link(cb, bytes, yes, no);
		return;
	case B_NH:
		cb_len(cb);
		cb_jump(&cb->e, BPF_JGE, cb->nh + bytes, yes, no);
		return;
	default:
		cb_mem(cb, cb_facts(cb, b)[CB_AVAIL]);
		cb_jump(&cb->e, BPF_JGE, bytes, yes, no);
	}
}

/* ------------------------------------------------------------------ bytes */

static uint16_t size_code(unsigned int len)
{
	return len == 4 ? BPF_W : len == 2 ? BPF_H : BPF_B;
}

/* mode: BPF_ABS, or BPF_IND behind the index register, which is `word` of memory */
static void bytes(struct cb *cb, uint16_t mode, uint32_t off, unsigned int len)
{
	struct cb_emit *e = &cb->e;

	if (len != 3) {
		cb_op(e, BPF_LD | size_code(len) | mode, off);
		return;
	}
	cb_op(e, BPF_LD | BPF_B | mode, off + 2);
	cb_set(cb, cb_temp(cb));
	cb_op(e, BPF_LD | BPF_H | mode, off);
	cb_op(e, BPF_ALU | BPF_LSH, 8);
	cb_op(e, BPF_LDX | BPF_MEM, cb_temp(cb));
	cb_op(e, BPF_ALU | BPF_OR | BPF_X, 0);
}

static void tagged_byte(struct cb *cb, uint32_t off)
{
	static const uint32_t from[] = { SKF_AD_VLAN_TPID, SKF_AD_VLAN_TAG, SKF_AD_PROTOCOL };
	struct cb_emit *e = &cb->e;

	if (off < TAG_AT || off >= TAG_AT + 6) {
		bytes(cb, BPF_ABS, off < TAG_AT ? off : off - TAG_HLEN, 1);
		return;
	}
	cb_ad(cb, from[(off - TAG_AT) / 2]);
	cb_op(e, BPF_ALU | (off % 2 ? BPF_AND : BPF_RSH), off % 2 ? 0xff : 8);
}

/* The link header with its tag, byte by byte */
static void tagged(struct cb *cb, uint32_t off, unsigned int len)
{
	struct cb_emit *e = &cb->e;

	if (off >= TAG_AT + 6) {
		bytes(cb, BPF_ABS, off - TAG_HLEN, len);
		return;
	}
	for (unsigned int n = 0; n < len; n++) {
		if (n) {
			cb_op(e, BPF_ALU | BPF_LSH, 8);
			cb_set(cb, cb_temp(cb));
		}
		tagged_byte(cb, off + n);
		if (n) {
			cb_op(e, BPF_LDX | BPF_MEM, cb_temp(cb));
			cb_op(e, BPF_ALU | BPF_OR | BPF_X, 0);
		}
	}
}

static void link_bytes(struct cb *cb, uint32_t off, unsigned int len)
{
	struct cb_emit *e = &cb->e;
	uint32_t with, plain, done;

	if (off + len <= TAG_AT) {
		bytes(cb, BPF_ABS, off, len);
		return;
	}
	with = cb_label(e);
	plain = cb_label(e);
	done = cb_label(e);
	cb_ad(cb, SKF_AD_VLAN_TAG_PRESENT);
	cb_jump(e, BPF_JEQ, 0, plain, with);
	cb_here(e, with);
	tagged(cb, off, len);
	cb_ja(e, done);
	cb_here(e, plain);
	bytes(cb, BPF_ABS, off, len);
	cb_here(e, done);
}

void cb_read(struct cb *cb, const struct cb_cell *c)
{
	struct cb_emit *e = &cb->e;

	if (c->base == B_LL) {
		link_bytes(cb, c->off, c->len);
	} else if (c->base == B_NH) {
		bytes(cb, BPF_ABS, cb->nh + c->off, c->len);
	} else {
		cb_op(e, BPF_LDX | BPF_MEM, cb_facts(cb, c->base)[CB_OFF]);
		bytes(cb, BPF_IND, c->off, c->len);
	}
	if (c->shift)
		cb_op(e, BPF_ALU | BPF_RSH, c->shift);
	if (c->mask)
		cb_op(e, BPF_ALU | BPF_AND, c->mask);
}
