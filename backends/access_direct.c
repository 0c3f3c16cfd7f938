/* SPDX-License-Identifier: GPL-2.0-only */
/* Direct packet access: pointers into the packet that the verifier follows, one bounds check a window. */
#include "select.h"

static void start(struct be_cc *cc)
{
	be_load(&cc->e, 4, R_DATA, R_CTX, offsetof(struct xdp_md, data));
	be_load(&cc->e, 4, R_END, R_CTX, offsetof(struct xdp_md, data_end));
}

static void length(struct be_cc *cc)
{
	be_mov_reg(&cc->e, BPF_REG_1, R_END);
	be_alu64_reg(&cc->e, BPF_SUB, BPF_REG_1, R_DATA);
}

struct be_window be_direct_at(struct be_cc *cc, uint16_t word, unsigned int off, unsigned int len, uint32_t no)
{
	struct be_emit *e = &cc->e;
	struct be_window w = { R_DATA, off };

	if (word != REC_ZERO) {
		be_load(e, 4, BPF_REG_0, R_REC, word);
		be_jmp32(e, BPF_JGT, BPF_REG_0, BE_FRAME_MAX, no);
		be_mov_reg(e, BPF_REG_5, R_DATA);
		be_alu64_reg(e, BPF_ADD, BPF_REG_5, BPF_REG_0);
		w.reg = BPF_REG_5;
	}
	be_mov_reg(e, BPF_REG_0, w.reg);
	be_alu64(e, BPF_ADD, BPF_REG_0, off + len);
	return w;
}

static struct be_window open(struct be_cc *cc, uint16_t word, unsigned int off, unsigned int len, uint32_t no)
{
	struct be_window w = be_direct_at(cc, word, off, len, no);

	be_jmp64_reg(&cc->e, BPF_JGT, BPF_REG_0, R_END, no);
	return w;
}

const struct be_access be_direct = { "direct", false, start, length, open };
