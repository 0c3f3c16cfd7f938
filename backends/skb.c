/* SPDX-License-Identifier: GPL-2.0-only */
/* Programs that are given an skb with its context as struct __sk_buff: tc, sockets' filters, cgroups. */
#include <stddef.h>

#include "select.h"

static bool mark(struct be_cc *cc)
{
	be_load(&cc->e, 4, BPF_REG_1, R_CTX, offsetof(struct __sk_buff, mark));
	return true;
}

static bool tc_meta(struct be_cc *cc, enum imr_field f)
{
	return f == F_META_MARK && mark(cc);
}

/* At an L3 hook skb->dev is the one that a packet came in by, or goes out by; a name is not to be had. At output it is not set
 * yet. */
static bool l3_meta(struct be_cc *cc, enum imr_field f)
{
	bool in = cc->num == HN_PREROUTING || cc->num == HN_INPUT;

	if (f == F_META_MARK)
		return mark(cc);
	if (f != (in ? F_META_IIF : F_META_OIF) || cc->num == HN_FORWARD || (cc->num == HN_OUTPUT && cc->view->socket))
		return false;
	be_load(&cc->e, 4, BPF_REG_1, R_CTX, offsetof(struct __sk_buff, ifindex));
	return true;
}

static const struct be_view tc_view = { .type = BPF_PROG_TYPE_SCHED_CLS, .access = &be_skb_direct, .meta = tc_meta };
static const struct be_view tc_load_view = { .type = BPF_PROG_TYPE_SCHED_CLS, .access = &be_skb_load, .meta = tc_meta };
static const struct be_view cgroup_in_view = { .type = BPF_PROG_TYPE_CGROUP_SKB, .attach_type = BPF_CGROUP_INET_INGRESS,
					       .access = &be_skb_load, .l3 = true, .stack = true, .meta = l3_meta };
static const struct be_view cgroup_out_view = { .type = BPF_PROG_TYPE_CGROUP_SKB, .attach_type = BPF_CGROUP_INET_EGRESS,
						.access = &be_skb_load, .l3 = true, .stack = true, .meta = l3_meta };
static const struct be_view socket_view = { .type = BPF_PROG_TYPE_SOCKET_FILTER, .access = &be_skb_load, .l3 = true,
					    .stack = true, .socket = true, .meta = l3_meta };

bool be_tc_compile(const struct imr *imr, const struct caps *caps, const struct be_opts *opts, struct be_prog *ret)
{
	return be_program(imr, be_target_find("tc"), opts->load_bytes || !caps->var_offset ? &tc_load_view : &tc_view, caps,
			  opts, ret);
}

bool be_cgroup_compile(const struct imr *imr, const struct caps *caps, const struct be_opts *opts, struct be_prog *ret)
{
	bool out = imr->n && imr_hooks[imr->chain[0].hook].num == HN_OUTPUT;

	return be_program(imr, be_target_find("cgroup"), out ? &cgroup_out_view : &cgroup_in_view, caps, opts, ret);
}

bool be_socket_compile(const struct imr *imr, const struct caps *caps, const struct be_opts *opts, struct be_prog *ret)
{
	return be_program(imr, be_target_find("socket"), &socket_view, caps, opts, ret);
}
