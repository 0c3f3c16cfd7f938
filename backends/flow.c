/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Does conntrack know the packet's flow? bpf_xdp_ct_lookup says so of TCP and UDP in the default zone; it takes a tuple
 * as the packet has it, since both directions of a flow are in the table. Whatever else there is counts as known.
 */
#include <errno.h>
#include <linux/if_ether.h>
#include <netinet/in.h>

#include "select.h"

#define FP_OPTS		FP_ARG	/* struct bpf_ct_opts: netns_id, error, l4proto, dir */
#define OPTS_ERROR	4
#define OPTS_L4PROTO	8
#define OPTS_SIZE	12	/* of the first kernels that have it; newer ones take it too */
#define FP_TUPLE	FP_BYTES	/* struct bpf_sock_tuple */
#define TUPLE4_SIZE	12
#define TUPLE6_SIZE	36
#define PORTS_SIZE	4
#define CURRENT_NETNS	(-1)

/* The ports, from the packet to the stack: behind the addresses, in the packet's order. */
static void ports(struct be_cc *cc, uint32_t known)
{
	struct be_window w = be_direct.open(cc, REC_TH + REC_WHERE, 0, PORTS_SIZE, known);

	be_load(&cc->e, 4, BPF_REG_4, w.reg, w.off);
}

static void addresses(struct be_cc *cc, unsigned int off, unsigned int bytes, uint32_t known)
{
	struct be_emit *e = &cc->e;
	struct be_window w = be_direct.open(cc, REC_ZERO, ETH_HLEN + off, bytes, known);

	for (unsigned int i = 0; i < bytes; i += 4) {
		be_load(e, 4, BPF_REG_1, w.reg, w.off + i);
		be_store(e, 4, BPF_REG_10, FP_TUPLE + i, BPF_REG_1);
	}
	be_store(e, 4, BPF_REG_10, FP_TUPLE + bytes, BPF_REG_4);
}

/* R3 = the size of the tuple on the stack. R4: the ports. */
static void tuple(struct be_cc *cc, uint32_t known)
{
	struct be_emit *e = &cc->e;
	uint32_t six = be_label_new(e), made = be_label_new(e);

	be_load(e, 4, BPF_REG_1, R_REC, REC_NFPROTO);
	be_jmp32(e, BPF_JNE, BPF_REG_1, FAM_IP, six);
	addresses(cc, 12, 8, known);
	be_mov(e, BPF_REG_3, TUPLE4_SIZE);
	be_ja(e, made);
	be_label_here(e, six);
	addresses(cc, 8, 32, known);
	be_mov(e, BPF_REG_3, TUPLE6_SIZE);
	be_label_here(e, made);
}

void be_ask_flow(struct be_cc *cc, uint32_t known)
{
	struct be_emit *e = &cc->e;
	uint32_t has_ports = be_label_new(e), none = be_label_new(e);

	be_load(e, 4, BPF_REG_1, R_REC, REC_TH + REC_PROTO);
	be_jmp32(e, BPF_JEQ, BPF_REG_1, IPPROTO_TCP, has_ports);
	be_jmp32(e, BPF_JNE, BPF_REG_1, IPPROTO_UDP, known);
	be_label_here(e, has_ports);
	be_store_imm(e, 4, BPF_REG_10, FP_OPTS, CURRENT_NETNS);
	be_store_imm(e, 4, BPF_REG_10, FP_OPTS + OPTS_ERROR, 0);
	be_store_imm(e, 4, BPF_REG_10, FP_OPTS + OPTS_L4PROTO, 0);	/* dir and what is reserved, too */
	be_store(e, 1, BPF_REG_10, FP_OPTS + OPTS_L4PROTO, BPF_REG_1);
	be_load(e, 8, R_CTX, BPF_REG_10, FP_CTX);
	be_direct.start(cc);
	ports(cc, known);
	tuple(cc, known);
	be_mov_reg(e, BPF_REG_1, R_CTX);
	be_frame(e, BPF_REG_2, FP_TUPLE);
	be_frame(e, BPF_REG_4, FP_OPTS);
	be_mov(e, BPF_REG_5, OPTS_SIZE);
	be_kfunc(e, "bpf_xdp_ct_lookup");
	be_jmp64(e, BPF_JEQ, BPF_REG_0, 0, none);
	be_mov_reg(e, BPF_REG_1, BPF_REG_0);
	be_kfunc(e, "bpf_ct_release");
	be_ja(e, known);
	be_label_here(e, none);
	be_load(e, 4, BPF_REG_1, BPF_REG_10, FP_OPTS + OPTS_ERROR);
	be_jmp32(e, BPF_JNE, BPF_REG_1, (uint32_t)-ENOENT, known);
}
