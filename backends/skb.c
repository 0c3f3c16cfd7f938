/* SPDX-License-Identifier: GPL-2.0-only */
/* Programs that are given an skb with its context as struct __sk_buff: tc. */
#include <stddef.h>

#include "select.h"

static bool skb_meta(struct be_cc *cc, enum imr_field f)
{
	if (f != F_META_MARK)
		return false;
	be_load(&cc->e, 4, BPF_REG_1, R_CTX, offsetof(struct __sk_buff, mark));
	return true;
}

static const struct be_view tc_view = { .type = BPF_PROG_TYPE_SCHED_CLS, .access = &be_skb_direct, .meta = skb_meta };
static const struct be_view tc_load_view = { .type = BPF_PROG_TYPE_SCHED_CLS, .access = &be_skb_load, .meta = skb_meta };

bool be_tc_compile(const struct imr *imr, const struct caps *caps, const struct be_opts *opts, struct be_prog *ret)
{
	return be_program(imr, be_target_find("tc"), opts->load_bytes || !caps->var_offset ? &tc_load_view : &tc_view, caps, opts, ret);
}
