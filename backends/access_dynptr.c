/* SPDX-License-Identifier: GPL-2.0-only */
/* Access by a dynptr over the skb: a slice is a pointer into the packet, or into a copy on the stack of bytes that do not
 * lie in one piece. For program types that have neither packet pointers nor the skb helpers. */
#include <stddef.h>

#include "select.h"

/* R1 = the skb of the context, a struct bpf_nf_ctx */
static void skb(struct be_cc *cc)
{
	be_load(&cc->e, 8, BPF_REG_1, R_CTX, BE_NF_CTX_SKB);
}

static void start(struct be_cc *cc)
{
	struct be_emit *e = &cc->e;

	skb(cc);
	be_mov(e, BPF_REG_2, 0);
	be_frame(e, BPF_REG_3, FP_ARG);
	be_kfunc(e, "bpf_dynptr_from_skb");
}

static void length(struct be_cc *cc)
{
	be_frame(&cc->e, BPF_REG_1, FP_ARG);
	be_kfunc(&cc->e, "bpf_dynptr_size");
	be_mov_reg(&cc->e, BPF_REG_1, BPF_REG_0);
}

static struct be_window open(struct be_cc *cc, uint16_t word, unsigned int off, unsigned int len, uint32_t no)
{
	struct be_emit *e = &cc->e;

	be_position(cc, word, off, no);
	be_frame(e, BPF_REG_1, FP_ARG);
	be_frame(e, BPF_REG_3, FP_BYTES);
	be_mov(e, BPF_REG_4, len);
	be_kfunc(e, "bpf_dynptr_slice");
	be_jmp64(e, BPF_JEQ, BPF_REG_0, 0, no);
	be_mov_reg(e, BPF_REG_5, BPF_REG_0);
	return (struct be_window){ BPF_REG_5, 0 };
}

const struct be_access be_dynptr = { "dynptr", false, start, length, open };
