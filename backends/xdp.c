/* SPDX-License-Identifier: GPL-2.0-only */
/* XDP: before the packet has an skb. */
#include "select.h"

static const struct be_view view = { .type = BPF_PROG_TYPE_XDP, .attach_type = BPF_XDP, .access = &be_direct };
static const struct be_view const_view = { .type = BPF_PROG_TYPE_XDP, .attach_type = BPF_XDP, .access = &be_xdp_const };

bool be_xdp_compile(const struct imr *imr, const struct caps *caps, const struct be_opts *opts, struct be_prog *ret)
{
	return be_program(imr, be_target_find("xdp"), caps->var_offset ? &view : &const_view, caps, opts, ret);
}
