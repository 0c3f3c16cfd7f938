/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The parse: of every packet, whether the chain's hook would see it, and what the hook would see. It follows imr/view.c
 * line by line, through the windows that the kind of program has (select.h), and leaves all it finds in the record.
 * Packets that the hook does not see pass untouched.
 */
#include <linux/if_ether.h>
#include <stddef.h>
#include <string.h>

#include "select.h"

#define IP4_HLEN	20
#define IP6_HLEN	40
#define TAG_HLEN	4

static bool is_netdev(const struct be_cc *cc)
{
	return cc->num == HN_INGRESS || cc->num == HN_EGRESS;
}

/* The network header stands where it always does, unless a tag lies in the frame itself. */
static bool nh_moves(const struct be_cc *cc)
{
	return cc->num == HN_INGRESS && cc->view->type == BPF_PROG_TYPE_XDP;
}

struct be_window be_nh(struct be_cc *cc, unsigned int off, unsigned int len, uint32_t no)
{
	if (nh_moves(cc))
		return cc->view->access->open(cc, REC_NH, off, len, no);
	return cc->view->access->open(cc, REC_ZERO, (cc->view->l3 ? 0 : ETH_HLEN) + off, len, no);
}

static void set(struct be_cc *cc, uint16_t word, uint8_t reg)
{
	be_store(&cc->e, 4, R_REC, word, reg);
}

static void get(struct be_cc *cc, uint8_t reg, uint16_t word)
{
	be_load(&cc->e, 4, reg, R_REC, word);
}

/* A field of the header at w as a number */
static void field(struct be_cc *cc, unsigned int size, uint8_t reg, struct be_window w, unsigned int off)
{
	be_load(&cc->e, size, reg, w.reg, w.off + off);
	be_to_host(&cc->e, size, reg);
}

/* The version in the header's first byte, which R1 then holds */
static void version(struct be_cc *cc, struct be_window w, int v, uint32_t bad)
{
	field(cc, 1, BPF_REG_1, w, 0);
	be_mov_reg(&cc->e, BPF_REG_2, BPF_REG_1);
	be_alu64(&cc->e, BPF_RSH, BPF_REG_2, 4);
	be_jmp32(&cc->e, BPF_JNE, BPF_REG_2, v, bad);
}

/* ------------------------------------------------------------------ IPv4 */

static void transport4(struct be_cc *cc)
{
	static const uint16_t words[] = { REC_TH, REC_TX };

	for (int i = 0; i < 2; i++) {
		be_store_imm(&cc->e, 4, R_REC, words[i] + REC_OK, 1);
		set(cc, words[i] + REC_WHERE, BPF_REG_4);
		set(cc, words[i] + REC_PROTO, BPF_REG_0);
		set(cc, words[i] + REC_FRAGOFF, BPF_REG_3);
	}
}

/* The lengths against each other, R1 being that of the header: __nft_set_pktinfo_ipv4_validate. R2: the packet's
 * length. */
static void lengths4(struct be_cc *cc, struct be_window w, uint32_t bad)
{
	struct be_emit *e = &cc->e;
	bool link = cc->num == HN_EGRESS && cc->imr->profile.egress_len4;

	be_jmp32(e, BPF_JLT, BPF_REG_1, IP4_HLEN, bad);
	field(cc, 2, BPF_REG_2, w, 2);
	get(cc, BPF_REG_3, REC_END);
	get(cc, BPF_REG_4, REC_NH);
	be_mov_reg(e, BPF_REG_0, BPF_REG_1);
	if (link)
		be_alu64_reg(e, BPF_ADD, BPF_REG_0, BPF_REG_4);
	else
		be_alu64_reg(e, BPF_SUB, BPF_REG_3, BPF_REG_4);
	be_jmp64_reg(e, BPF_JLT, BPF_REG_2, BPF_REG_0, bad);
	be_jmp64_reg(e, BPF_JGT, BPF_REG_2, BPF_REG_3, bad);
}

/* To `bad` where the header is not good; the L3 hooks see only good ones. */
static void parse4(struct be_cc *cc, uint32_t bad)
{
	struct be_emit *e = &cc->e;
	struct be_window w = be_nh(cc, 0, IP4_HLEN, bad);

	if (cc->view->l3)
		field(cc, 1, BPF_REG_1, w, 0);
	else
		version(cc, w, 4, bad);
	be_alu64(e, BPF_AND, BPF_REG_1, 15);
	be_alu64(e, BPF_LSH, BPF_REG_1, 2);
	if (!cc->view->l3)
		lengths4(cc, w, bad);
	get(cc, BPF_REG_4, REC_NH);
	field(cc, 2, BPF_REG_3, w, 6);
	if (cc->early) {
		be_alu64(e, BPF_AND, BPF_REG_3, 0x3fff);
		be_jmp32(e, BPF_JNE, BPF_REG_3, 0, bad);
		be_alu64_reg(e, BPF_ADD, BPF_REG_2, BPF_REG_4);
		set(cc, REC_END, BPF_REG_2);
	} else {
		be_alu64(e, BPF_AND, BPF_REG_3, 0x1fff);
	}
	field(cc, 1, BPF_REG_0, w, 9);
	be_alu64_reg(e, BPF_ADD, BPF_REG_4, BPF_REG_1);
	transport4(cc);
	if (cc->early)
		be_early4(cc, bad);
}

/* ------------------------------------------------------------------ IPv6 */

/* ip6_rcv_core (early.l3), __nft_set_pktinfo_ipv6_validate; then the walk, which ends at `parsed`. */
static void parse6(struct be_cc *cc, uint32_t bad, uint32_t parsed)
{
	struct be_emit *e = &cc->e;
	struct be_window w = be_nh(cc, 0, IP6_HLEN, bad);

	if (!cc->view->l3) {
		version(cc, w, 6, bad);
		field(cc, 2, BPF_REG_2, w, 4);
		be_alu64(e, BPF_ADD, BPF_REG_2, IP6_HLEN);
		get(cc, BPF_REG_3, cc->num == HN_EGRESS && cc->imr->profile.egress_len6 ? REC_END : REC_NHLEN);
		be_jmp64_reg(e, BPF_JGT, BPF_REG_2, BPF_REG_3, bad);
	}
	get(cc, BPF_REG_4, REC_NH);
	field(cc, 1, BPF_REG_1, w, 6);
	set(cc, REC_NEXT, BPF_REG_1);
	if (cc->early) {
		be_jmp32(e, BPF_JEQ, BPF_REG_1, 0, bad);
		be_alu64_reg(e, BPF_ADD, BPF_REG_2, BPF_REG_4);
		set(cc, REC_END, BPF_REG_2);
	}
	be_alu64(e, BPF_ADD, BPF_REG_4, IP6_HLEN);
	set(cc, REC_AT, BPF_REG_4);
	if (cc->early)
		be_early6(cc);
	be_walk6(cc, parsed);
}

/* ------------------------------------------------------------------ frames */

static void set_protocol(struct be_cc *cc, uint32_t proto, uint32_t nfproto)
{
	be_store_imm(&cc->e, 4, R_REC, REC_PROTOCOL, proto);
	be_store_imm(&cc->e, 4, R_REC, REC_NFPROTO, nfproto);
}

/* R1 = eth_type_trans' and vlan_set_encap_proto's idea of the type field at `at`, or to `no` if it is not there. */
static void type_field(struct be_cc *cc, unsigned int at, uint32_t no)
{
	struct be_emit *e = &cc->e;
	uint32_t known = be_label_new(e), llc = be_label_new(e);
	struct be_window w = cc->view->access->open(cc, REC_ZERO, at, 2, no);

	field(cc, 2, BPF_REG_1, w, 0);
	be_jmp32(e, BPF_JGE, BPF_REG_1, ETH_P_802_3_MIN, known);
	w = cc->view->access->open(cc, REC_ZERO, at + 2, 2, llc);
	field(cc, 2, BPF_REG_2, w, 0);
	be_mov(e, BPF_REG_1, ETH_P_802_3);
	be_jmp32(e, BPF_JEQ, BPF_REG_2, 0xffff, known);
	be_label_here(e, llc);
	be_mov(e, BPF_REG_1, ETH_P_802_2);
	be_label_here(e, known);
}

/* early.l3: an untagged packet for this host, IPv4 or IPv6. What is not reached is taken out in the end. */
static void parse_early(struct be_cc *cc, uint32_t parsed)
{
	struct be_emit *e = &cc->e;
	uint32_t six = be_label_new(e);
	struct be_window w;

	be_early_frame(cc);
	w = cc->view->access->open(cc, REC_ZERO, 12, 2, cc->pass);
	field(cc, 2, BPF_REG_1, w, 0);
	be_jmp32(e, BPF_JEQ, BPF_REG_1, ETH_P_IPV6, be_acts_on(cc, FAM_IP6) ? six : cc->pass);
	be_jmp32(e, BPF_JNE, BPF_REG_1, ETH_P_IP, cc->pass);
	if (!be_acts_on(cc, FAM_IP))
		be_ja(e, cc->pass);
	set_protocol(cc, ETH_P_IP, FAM_IP);
	parse4(cc, cc->pass);
	be_ja(e, parsed);
	be_label_here(e, six);
	set_protocol(cc, ETH_P_IPV6, FAM_IP6);
	parse6(cc, cc->pass, parsed);
}

/* XDP has the tag in the frame: the hook sees it popped (skb_vlan_untag). */
static void frame_type(struct be_cc *cc)
{
	struct be_emit *e = &cc->e;
	uint32_t tag = be_label_new(e), typed = be_label_new(e);

	type_field(cc, 12, cc->pass);
	be_jmp32(e, BPF_JEQ, BPF_REG_1, ETH_P_8021Q, tag);
	be_jmp32(e, BPF_JNE, BPF_REG_1, ETH_P_8021AD, typed);
	be_label_here(e, tag);
	cc->view->access->open(cc, REC_ZERO, ETH_HLEN, TAG_HLEN + 2, cc->pass);	/* or skb_vlan_untag drops it */
	type_field(cc, ETH_HLEN + 2, cc->pass);
	be_store_imm(e, 4, R_REC, REC_NH, ETH_HLEN + TAG_HLEN);
	set(cc, REC_LLTYPE, BPF_REG_1);
	be_label_here(e, typed);
	set(cc, REC_PROTOCOL, BPF_REG_1);
}

/* An skb has it apart, where it was popped. */
static void skb_type(struct be_cc *cc)
{
	struct be_emit *e = &cc->e;
	uint32_t plain = be_label_new(e);

	be_load(e, 4, BPF_REG_1, R_CTX, offsetof(struct __sk_buff, protocol));
	be_to_host(e, 2, BPF_REG_1);
	set(cc, REC_PROTOCOL, BPF_REG_1);
	set(cc, REC_LLTYPE, BPF_REG_1);
	be_load(e, 4, BPF_REG_1, R_CTX, offsetof(struct __sk_buff, vlan_present));
	be_jmp32(e, BPF_JEQ, BPF_REG_1, 0, plain);
	be_store_imm(e, 4, R_REC, REC_TAGGED, TAG_HLEN);
	be_load(e, 4, BPF_REG_1, R_CTX, offsetof(struct __sk_buff, vlan_tci));
	set(cc, REC_TCI, BPF_REG_1);
	be_load(e, 4, BPF_REG_1, R_CTX, offsetof(struct __sk_buff, vlan_proto));
	be_to_host(e, 2, BPF_REG_1);
	set(cc, REC_TPID, BPF_REG_1);
	be_label_here(e, plain);
}

/* netdev.ingress and netdev.egress: any frame */
static void parse_netdev(struct be_cc *cc, uint32_t parsed)
{
	struct be_emit *e = &cc->e;
	uint32_t six = be_label_new(e);

	be_store_imm(e, 4, R_REC, REC_NFPROTO, FAM_NETDEV);
	if (cc->view->type == BPF_PROG_TYPE_XDP)
		frame_type(cc);
	else
		skb_type(cc);
	if (!cc->th4 && !cc->th6)
		return;
	get(cc, BPF_REG_1, REC_END);
	get(cc, BPF_REG_2, REC_NH);
	be_alu64_reg(e, BPF_SUB, BPF_REG_1, BPF_REG_2);
	set(cc, REC_NHLEN, BPF_REG_1);
	cc->view->access->start(cc);
	get(cc, BPF_REG_1, REC_PROTOCOL);
	be_jmp32(e, BPF_JEQ, BPF_REG_1, ETH_P_IPV6, cc->th6 ? six : parsed);
	be_jmp32(e, BPF_JNE, BPF_REG_1, ETH_P_IP, parsed);
	if (cc->th4)
		parse4(cc, parsed);
	be_ja(e, parsed);
	be_label_here(e, six);
	parse6(cc, parsed, parsed);
}

/* One family's packets, their headers checked. */
static void parse_family(struct be_cc *cc, bool v6, uint32_t parsed)
{
	set_protocol(cc, v6 ? ETH_P_IPV6 : ETH_P_IP, v6 ? FAM_IP6 : FAM_IP);
	if (v6 && cc->th6)
		parse6(cc, cc->odd, parsed);
	else if (!v6 && cc->th4)
		parse4(cc, cc->odd);
}

/* A hook of inet: a cgroup's program sees both families. */
static void parse_l3(struct be_cc *cc, uint32_t parsed)
{
	struct be_emit *e = &cc->e;
	uint32_t six = be_label_new(e);

	if (imr_hooks[cc->chain->hook].family != FAM_INET) {
		parse_family(cc, imr_hooks[cc->chain->hook].family == FAM_IP6, parsed);
		return;
	}
	be_load(e, 4, BPF_REG_1, R_CTX, offsetof(struct __sk_buff, protocol));
	be_to_host(e, 2, BPF_REG_1);
	be_jmp32(e, BPF_JEQ, BPF_REG_1, ETH_P_IPV6, six);
	be_jmp32(e, BPF_JNE, BPF_REG_1, ETH_P_IP, cc->pass);
	parse_family(cc, false, parsed);
	be_ja(e, parsed);
	be_label_here(e, six);
	parse_family(cc, true, parsed);
}

/* ------------------------------------------------------------------ the program */

/* Open until a time in jiffies: who keeps the rules in step renews it, and if that one dies everything passes. The helper
 * is one load after the verifier's inlining. */
static void check_gate(struct be_cc *cc)
{
	be_call(&cc->e, BPF_FUNC_jiffies64);
	be_mov_reg(&cc->e, R_DATA, BPF_REG_0);
	be_lookup(cc, cc->map_gate, cc->pass);
	be_load(&cc->e, 8, BPF_REG_1, BPF_REG_0, 0);
	be_jmp64_reg(&cc->e, BPF_JGT, R_DATA, BPF_REG_1, cc->pass);
}

/* R_REC, all of it zero but ZERO, which is so already and not known to be. */
static void record(struct be_cc *cc)
{
	struct be_emit *e = &cc->e;
	uint32_t size = be_rec_size(cc);

	be_lookup(cc, cc->map_record, cc->odd);
	if (cc->view->stack) {
		be_mov_reg(e, R_REC, BPF_REG_10);
		be_alu64(e, BPF_ADD, R_REC, -(int32_t)(size - FP_RECORD));
		be_load(e, 4, BPF_REG_1, BPF_REG_0, 0);
		set(cc, REC_ZERO, BPF_REG_1);
		for (int at = FP_BYTES; at < FP_BYTES + FP_BYTES_SIZE; at += 8)	/* or some callers may not lend it to a call */
			be_store_imm(e, 8, BPF_REG_10, at, 0);
	} else {
		be_mov_reg(e, R_REC, BPF_REG_0);
		be_alu64(e, BPF_ADD, R_REC, REC_BASE);
	}
	for (uint32_t at = REC_SLOT; at < size; at += at < REC_CELLS ? 8 : 4)
		be_store_imm(e, 4, R_REC, at, 0);
}

static void prologue(struct be_cc *cc)
{
	struct be_emit *e = &cc->e;

	be_mov_reg(e, R_CTX, BPF_REG_1);
	if (cc->use_flow)
		be_store(e, 8, BPF_REG_10, FP_CTX, BPF_REG_1);
	if (cc->opts->gate)
		check_gate(cc);
	record(cc);
	cc->view->access->start(cc);
	cc->view->access->length(cc);
	if (cc->view->type == BPF_PROG_TYPE_XDP)	/* an skb may be of many segments, merged: only what is parsed has a bound */
		be_jmp64(e, BPF_JGT, BPF_REG_1, BE_FRAME_MAX, cc->odd);
	set(cc, REC_END, BPF_REG_1);
	if (cc->view->l3)
		return;
	be_jmp32(e, BPF_JLT, BPF_REG_1, ETH_HLEN, cc->pass);
	be_store_imm(e, 4, R_REC, REC_NH, ETH_HLEN);
	if (cc->early) {
		be_alu64(e, BPF_SUB, BPF_REG_1, ETH_HLEN);
		set(cc, REC_NHLEN, BPF_REG_1);
	}
}

/* Bytes from a link header on that lies before the view; REC_LLLEN stays 0 where there is none. */
static void link_length(struct be_cc *cc)
{
	uint32_t none = be_label_new(&cc->e);

	if (cc->use_ll) {
		cc->view->link_length(cc);
		be_jmp32(&cc->e, BPF_JEQ, BPF_REG_1, 0, none);
		get(cc, BPF_REG_2, REC_END);
		be_alu64_reg(&cc->e, BPF_ADD, BPF_REG_1, BPF_REG_2);
		set(cc, REC_LLLEN, BPF_REG_1);
	}
	be_label_here(&cc->e, none);
}

/* Lengths as the hook has them. */
static void lengths(struct be_cc *cc)
{
	struct be_emit *e = &cc->e;

	get(cc, BPF_REG_1, REC_END);
	get(cc, BPF_REG_2, REC_NH);
	if (cc->num == HN_EGRESS)
		set(cc, REC_LEN, BPF_REG_1);
	be_mov_reg(e, BPF_REG_3, BPF_REG_1);
	be_alu64_reg(e, BPF_SUB, BPF_REG_1, BPF_REG_2);
	set(cc, REC_NHLEN, BPF_REG_1);
	if (cc->num != HN_EGRESS)
		set(cc, REC_LEN, BPF_REG_1);
	if (cc->view->l3) {
		link_length(cc);
		return;
	}
	get(cc, BPF_REG_2, REC_TAGGED);
	be_alu64_reg(e, BPF_ADD, BPF_REG_3, BPF_REG_2);
	set(cc, REC_LLLEN, BPF_REG_3);
}

static void parse(struct be_cc *cc, uint32_t parsed)
{
	if (cc->early)
		parse_early(cc, parsed);
	else if (is_netdev(cc))
		parse_netdev(cc, parsed);
	else
		parse_l3(cc, parsed);
}

bool be_program(const struct imr *imr, const struct target *t, const struct be_view *v, const struct caps *caps,
		const struct be_opts *opts, struct be_prog *ret)
{
	struct be_cc cc;
	uint32_t parsed, rules;

	if (!be_start(&cc, imr, t, v, caps, opts))
		return false;
	parsed = be_label_new(&cc.e);
	rules = be_label_new(&cc.e);
	prologue(&cc);
	parse(&cc, parsed);
	be_label_here(&cc.e, parsed);
	lengths(&cc);
	be_fill(&cc);
	be_fill_fused(&cc);
	if (cc.use_sets) {
		be_lookup(&cc, cc.map_sets, cc.odd);
		be_mov_reg(&cc.e, R_SETS, BPF_REG_0);
	}
	be_ja(&cc.e, rules);
	be_pool(&cc.e);
	be_label_here(&cc.e, rules);
	be_classify(&cc);
	if (cc.bad)
		return false;
	be_ends(&cc);
	*ret = (struct be_prog){ .name = arena_printf(imr->arena, "fwjit_%.9s", t->name), .type = v->type,
				 .attach_type = v->attach_type, .access = v->access->name };
	return be_finish(&cc, caps, ret);
}
