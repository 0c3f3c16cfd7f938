/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Access by a helper that copies a window to the stack. For an skb every program type and every caller may, wherever the
 * bytes lie. direct: packet pointers for what lies in the linear part, the helper for what does not, so that a packet of
 * several buffers is judged by all of its bytes. XDP's pointers may not move by a packet's byte where the verifier fears
 * speculation (no CAP_PERFMON): there, what stands at a fixed place goes by pointer, all else by the helper.
 */
#include <stddef.h>

#include "select.h"

static void nothing(struct be_cc *cc)
{
}

static void length(struct be_cc *cc)
{
	be_load(&cc->e, 4, BPF_REG_1, R_CTX, offsetof(struct __sk_buff, len));
}

void be_position(struct be_cc *cc, uint16_t word, unsigned int off, uint32_t no)
{
	struct be_emit *e = &cc->e;

	if (word == REC_ZERO) {
		be_mov(e, BPF_REG_2, off);
		return;
	}
	be_load(e, 4, BPF_REG_2, R_REC, word);
	be_jmp32(e, BPF_JGT, BPF_REG_2, BE_FRAME_MAX, no);
	if (off)
		be_alu64(e, BPF_ADD, BPF_REG_2, off);
}

static struct be_window copy(struct be_cc *cc, uint32_t helper, uint16_t word, unsigned int off, unsigned int len,
			     uint32_t no)
{
	struct be_emit *e = &cc->e;

	be_position(cc, word, off, no);
	be_mov_reg(e, BPF_REG_1, R_CTX);
	be_frame(e, BPF_REG_3, FP_BYTES);
	be_mov(e, BPF_REG_4, len);
	be_call(e, helper);
	be_jmp64(e, BPF_JSLT, BPF_REG_0, 0, no);
	return (struct be_window){ BPF_REG_10, FP_BYTES };
}

static struct be_window load(struct be_cc *cc, uint16_t word, unsigned int off, unsigned int len, uint32_t no)
{
	return copy(cc, BPF_FUNC_skb_load_bytes, word, off, len, no);
}

static struct be_window xdp_open(struct be_cc *cc, uint16_t word, unsigned int off, unsigned int len, uint32_t no)
{
	if (word == REC_ZERO)
		return be_direct.open(cc, word, off, len, no);
	return copy(cc, BPF_FUNC_xdp_load_bytes, word, off, len, no);
}

static void xdp_start(struct be_cc *cc)
{
	be_direct.start(cc);
}

static void xdp_length(struct be_cc *cc)
{
	be_mov_reg(&cc->e, BPF_REG_1, R_CTX);
	be_call(&cc->e, BPF_FUNC_xdp_get_buff_len);
	be_mov_reg(&cc->e, BPF_REG_1, BPF_REG_0);
}

static void start(struct be_cc *cc)
{
	be_load(&cc->e, 4, R_DATA, R_CTX, offsetof(struct __sk_buff, data));
	be_load(&cc->e, 4, R_END, R_CTX, offsetof(struct __sk_buff, data_end));
}

static struct be_window open(struct be_cc *cc, uint16_t word, unsigned int off, unsigned int len, uint32_t no)
{
	struct be_emit *e = &cc->e;
	uint32_t beyond = be_label_new(e), there = be_label_new(e);
	struct be_window w = be_direct_at(cc, word, off, len, no);

	be_jmp64_reg(e, BPF_JGT, BPF_REG_0, R_END, beyond);
	be_mov_reg(e, BPF_REG_5, w.reg);
	be_alu64(e, BPF_ADD, BPF_REG_5, off);
	be_ja(e, there);
	be_label_here(e, beyond);
	load(cc, word, off, len, no);
	be_frame(e, BPF_REG_5, FP_BYTES);
	be_label_here(e, there);
	return (struct be_window){ BPF_REG_5, 0 };
}

const struct be_access be_skb_load = { "load_bytes", true, nothing, length, load };
const struct be_access be_skb_direct = { "direct", true, start, length, open };
const struct be_access be_xdp_const = { "direct, constant offsets", true, xdp_start, xdp_length, xdp_open };
