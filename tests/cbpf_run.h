/* SPDX-License-Identifier: GPL-2.0-only */
/* A frame as the programs of tc and xt_bpf see it, and classic BPF run over it as the kernel runs it. */
#ifndef FWJIT_CBPF_RUN_H
#define FWJIT_CBPF_RUN_H

#include "cbpf.h"

struct cbpf_skb {
	const uint8_t *data;
	uint32_t len;
	uint16_t protocol, vlan_tpid, vlan_tci;
	bool tagged;
	uint32_t mark;
	uint32_t wild;		/* loads past the end: each ended a program */
	uint64_t steps;
};

/* The frame at a hook, its outer tag taken out where the hook has it so; buf takes the bytes. False: it is not seen. */
bool cbpf_skb_make(struct cbpf_skb *ret, uint8_t *buf, const struct imr_view *v, const struct imr_pkt *pkt,
		   enum imr_hook hook);
/* What is wrong with a filter in the kernel's eyes (bpf_check_classic), or NULL. */
const char *cbpf_check(const struct be_filter *f);
uint32_t cbpf_run(const struct be_filter *f, struct cbpf_skb *skb);

#endif
