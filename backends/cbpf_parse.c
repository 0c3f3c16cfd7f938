/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The start of every filter: where the transport header is, as imr/view.c finds it, and the packet's bytes that many
 * rules ask for. What is not there is 0.
 */
#include <linux/if_ether.h>

#include "cbpf.h"

#define IP4_HLEN	20
#define IP6_HLEN	40

static void continue_if(struct cb *cb, uint16_t op, uint32_t k, bool holds, uint32_t otherwise)
{
	uint32_t on = cb_label(&cb->e);

	cb_jump(&cb->e, op, k, holds ? on : otherwise, holds ? otherwise : on);
	cb_here(&cb->e, on);
}

/* ------------------------------------------------------------------ IPv4 */

/* X = the header's length */
static void header_length(struct cb *cb)
{
	cb_op(&cb->e, BPF_LDX | BPF_B | BPF_MSH, cb->nh);
}

/* __nft_set_pktinfo_ipv4_validate */
static void validate4(struct cb *cb, uint32_t bad)
{
	struct cb_emit *e = &cb->e;
	bool link = cb->egress && cb->imr->profile.egress_len4;

	cb_len(cb);
	continue_if(cb, BPF_JGE, cb->nh + IP4_HLEN, true, bad);
	cb_op(e, BPF_LD | BPF_B | BPF_ABS, cb->nh);
	continue_if(cb, BPF_JGE, 0x45, true, bad);
	continue_if(cb, BPF_JGT, 0x4f, false, bad);
	header_length(cb);
	if (link) {
		cb_op(e, BPF_MISC | BPF_TXA, 0);
		cb_op(e, BPF_ALU | BPF_ADD, cb->nh);
		cb_op(e, BPF_MISC | BPF_TAX, 0);
	}
	cb_op(e, BPF_LD | BPF_H | BPF_ABS, cb->nh + 2);
	continue_if(cb, BPF_JGE | BPF_X, 0, true, bad);
	if (!link)
		cb_op(e, BPF_ALU | BPF_ADD, cb->nh);
	cb_op(e, BPF_MISC | BPF_TAX, 0);
	cb_len(cb);
	continue_if(cb, BPF_JGE | BPF_X, 0, true, bad);
}

/* A is the same for both headers, which in IPv4 are one. */
static void set_both(struct cb *cb, enum cb_fact f)
{
	cb_set(cb, cb_facts(cb, B_TH)[f]);
	cb_set(cb, cb_facts(cb, B_TX)[f]);
}

static bool either(struct cb *cb, enum cb_fact f)
{
	return cb_facts(cb, B_TH)[f] >= 0 || cb_facts(cb, B_TX)[f] >= 0;
}

static void parse4(struct cb *cb, uint32_t parsed)
{
	struct cb_emit *e = &cb->e;

	if (cb->l2)
		validate4(cb, parsed);
	if (either(cb, CB_OFF) || either(cb, CB_AVAIL)) {
		header_length(cb);
		cb_op(e, BPF_MISC | BPF_TXA, 0);
		if (cb->nh)
			cb_op(e, BPF_ALU | BPF_ADD, cb->nh);
		set_both(cb, CB_OFF);
	}
	if (either(cb, CB_AVAIL)) {
		cb_op(e, BPF_MISC | BPF_TAX, 0);
		cb_len(cb);
		cb_op(e, BPF_ALU | BPF_SUB | BPF_X, 0);
		set_both(cb, CB_AVAIL);
	}
	if (either(cb, CB_PROTO)) {
		cb_op(e, BPF_LD | BPF_B | BPF_ABS, cb->nh + 9);
		set_both(cb, CB_PROTO);
	}
	if (either(cb, CB_FRAGOFF)) {
		cb_op(e, BPF_LD | BPF_H | BPF_ABS, cb->nh + 6);
		cb_op(e, BPF_ALU | BPF_AND, 0x1fff);
		set_both(cb, CB_FRAGOFF);
	}
	if (either(cb, CB_OK)) {
		cb_op(e, BPF_LD | BPF_IMM, 1);
		set_both(cb, CB_OK);
	}
	cb_ja(e, parsed);
}

/* ------------------------------------------------------------------ IPv6 */

/* __nft_set_pktinfo_ipv6_validate, then the walk */
static void parse6(struct cb *cb, uint32_t parsed)
{
	struct cb_emit *e = &cb->e;

	if (cb->l2) {
		cb_len(cb);
		continue_if(cb, BPF_JGE, cb->nh + IP6_HLEN, true, parsed);
		cb_op(e, BPF_LD | BPF_B | BPF_ABS, cb->nh);
		continue_if(cb, BPF_JGE, 0x60, true, parsed);
		continue_if(cb, BPF_JGT, 0x6f, false, parsed);
		cb_op(e, BPF_LD | BPF_H | BPF_ABS, cb->nh + 4);
		cb_op(e, BPF_ALU | BPF_ADD, (cb->egress && cb->imr->profile.egress_len6 ? 0 : cb->nh) + IP6_HLEN);
		cb_op(e, BPF_MISC | BPF_TAX, 0);
		cb_len(cb);
		continue_if(cb, BPF_JGE | BPF_X, 0, true, parsed);
	}
	cb_walk6(cb, parsed);
}

/* ------------------------------------------------------------------ the whole */

static void clear_facts(struct cb *cb)
{
	bool any = false;

	for (int b = 0; b < 2; b++)
		for (int f = 0; f < CB_FACTS; f++) {
			if (cb->fact[b][f] < 0)
				continue;
			if (!any)
				cb_op(&cb->e, BPF_LD | BPF_IMM, 0);
			any = true;
			cb_set(cb, cb->fact[b][f]);
		}
}

static void transport(struct cb *cb)
{
	struct cb_emit *e = &cb->e;
	uint32_t four = cb_label(e), other = cb_label(e), six = cb_label(e), parsed = cb_label(e);

	if (cb->hook->family == FAM_IP || cb->hook->family == FAM_IP6) {
		cb_ja(e, cb->hook->family == FAM_IP ? four : six);
	} else {
		cb_ad(cb, SKF_AD_PROTOCOL);
		cb_jump(e, BPF_JEQ, ETH_P_IP, cb->use4 ? four : parsed, other);
		cb_here(e, other);
		cb_jump(e, BPF_JEQ, ETH_P_IPV6, cb->use6 ? six : parsed, parsed);
	}
	cb_here(e, four);
	parse4(cb, parsed);
	cb_here(e, six);
	parse6(cb, parsed);
	cb_here(e, parsed);
}

/* Packet bytes of one base: where the length is not enough for some, it is not for those behind them. */
static void fill_base(struct cb *cb, enum imr_base b)
{
	uint32_t sure = b == B_NH && !cb->l2 ? cb->hook->nh_min : b == B_LL ? cb->hook->ll_min : 0;
	uint32_t done = cb_label(&cb->e);

	for (uint32_t n = 0; n < cb->n_cell; n++) {
		const struct cb_cell *c = &cb->cell[n];

		if (c->base != b || c->slot < 0)
			continue;
		if (c->end > sure) {
			uint32_t yes = cb_label(&cb->e);

			cb_need(cb, b, c->end, yes, done);
			cb_here(&cb->e, yes);
			sure = c->end;
		}
		cb_read(cb, c);
		cb_set(cb, c->slot);
	}
	cb_here(&cb->e, done);
}

static void fill(struct cb *cb)
{
	bool any = false;

	for (uint32_t n = 0; n < cb->n_cell; n++) {
		if (cb->cell[n].slot < 0)
			continue;
		if (!any)
			cb_op(&cb->e, BPF_LD | BPF_IMM, 0);
		any = true;
		cb_set(cb, cb->cell[n].slot);
	}
	for (enum imr_base b = B_LL; any && b <= B_TX; b++)
		fill_base(cb, b);
}

void cb_prologue(struct cb *cb)
{
	clear_facts(cb);
	if (cb->use4 || cb->use6)
		transport(cb);
	fill(cb);
}
