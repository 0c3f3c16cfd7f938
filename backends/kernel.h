/* SPDX-License-Identifier: GPL-2.0-only */
/* Constants of the kernel's interface that the oldest headers we build with do not have, by names of our own. */
#ifndef FWJIT_KERNEL_H
#define FWJIT_KERNEL_H

#define BE_PROG_TYPE_NETFILTER	32	/* enum bpf_prog_type, Linux 6.4 */
#define BE_ATTACH_NETFILTER	45	/* enum bpf_attach_type */
#define BE_ATTACH_TCX_INGRESS	46	/* Linux 6.6 */
#define BE_ATTACH_TCX_EGRESS	47

#define BE_TC_NEXT	(-1)	/* TC_ACT_UNSPEC, TCX_NEXT: whoever comes behind decides */
#define BE_TC_SHOT	2
#define BE_SF_MATCH	1	/* xt_bpf: the rule matches, and drops */
#define BE_NF_DROP	0
#define BE_NF_ACCEPT	1

#define BE_NF_CTX_STATE	0	/* struct bpf_nf_ctx */
#define BE_NF_CTX_SKB	8

#define BE_BIG_ENDIAN	(__BYTE_ORDER__ == __ORDER_BIG_ENDIAN__)

#endif
