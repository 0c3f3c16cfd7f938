/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * XDP. The parse says of every frame whether the hook would see it, and what the hook would see: it follows imr/view.c
 * line by line. Frames that the hook does not see pass untouched. R5 holds the network header in it, R_DATA the frame.
 */
#include <linux/if_ether.h>
#include <string.h>

#include "select.h"

#define IP4_HLEN	20
#define IP6_HLEN	40
#define TAG_HLEN	4
#define R_NH		BPF_REG_5
#define CSUM_WORDS	15	/* of the longest IPv4 header */

/* ------------------------------------------------------------------ IPv4 */

/* Native order: a one's complement sum is the same in either. R1: bytes of the header; R0 and R3 are lost. */
static void checksum(struct be_cc *cc)
{
	struct be_emit *e = &cc->e;
	uint32_t fold = be_label_new(e);

	be_load(e, 4, BPF_REG_3, R_NH, 0);
	for (int i = 1; i < CSUM_WORDS; i++) {
		if (i >= IP4_HLEN / 4) {
			be_jmp32(e, BPF_JLE, BPF_REG_1, i * 4, fold);
			be_direct_need(cc, R_NH, i * 4 + 4, cc->pass);
		}
		be_load(e, 4, BPF_REG_0, R_NH, i * 4);
		be_alu64_reg(e, BPF_ADD, BPF_REG_3, BPF_REG_0);
	}
	be_label_here(e, fold);
	for (int shift = 32, i = 0; i < 4; i++, shift = 16) {
		be_mov_reg(e, BPF_REG_0, BPF_REG_3);
		be_alu64(e, BPF_RSH, BPF_REG_0, shift);
		if (shift == 32)
			be_alu32(e, BPF_AND, BPF_REG_3, UINT32_MAX);
		else
			be_alu64(e, BPF_AND, BPF_REG_3, 0xffff);
		be_alu64_reg(e, BPF_ADD, BPF_REG_3, BPF_REG_0);
	}
	be_jmp32(e, BPF_JNE, BPF_REG_3, 0xffff, cc->pass);
}

/* R3 = bytes from the network header on, R4 = its offset */
static void payload(struct be_cc *cc)
{
	be_load(&cc->e, 4, BPF_REG_3, R_REC, REC_END);
	be_load(&cc->e, 4, BPF_REG_4, R_REC, REC_NH);
	be_alu64_reg(&cc->e, BPF_SUB, BPF_REG_3, BPF_REG_4);
}

/* The version in the header's first byte, which R1 then holds */
static void version(struct be_cc *cc, int v, uint32_t bad)
{
	be_load(&cc->e, 1, BPF_REG_1, R_NH, 0);
	be_mov_reg(&cc->e, BPF_REG_2, BPF_REG_1);
	be_alu64(&cc->e, BPF_RSH, BPF_REG_2, 4);
	be_jmp32(&cc->e, BPF_JNE, BPF_REG_2, v, bad);
}

static void transport4(struct be_cc *cc)
{
	static const uint16_t words[] = { REC_TH, REC_TX };

	for (int i = 0; i < 2; i++) {
		be_store_imm(&cc->e, 4, R_REC, words[i] + REC_OK, 1);
		be_store(&cc->e, 4, R_REC, words[i] + REC_WHERE, BPF_REG_4);
		be_store(&cc->e, 4, R_REC, words[i] + REC_PROTO, BPF_REG_0);
		be_store(&cc->e, 4, R_REC, words[i] + REC_FRAGOFF, BPF_REG_3);
	}
}

/* ip_rcv_core (early.l3), __nft_set_pktinfo_ipv4_validate: to `bad` where the header is not good. */
static void parse4(struct be_cc *cc, uint32_t bad)
{
	struct be_emit *e = &cc->e;

	be_direct_need(cc, R_NH, IP4_HLEN, bad);
	version(cc, 4, bad);
	be_alu64(e, BPF_AND, BPF_REG_1, 15);
	be_alu64(e, BPF_LSH, BPF_REG_1, 2);
	be_jmp32(e, BPF_JLT, BPF_REG_1, IP4_HLEN, bad);
	be_load(e, 2, BPF_REG_2, R_NH, 2);
	be_to_host(e, 2, BPF_REG_2);
	be_jmp64_reg(e, BPF_JLT, BPF_REG_2, BPF_REG_1, bad);
	payload(cc);
	be_jmp64_reg(e, BPF_JGT, BPF_REG_2, BPF_REG_3, bad);
	be_load(e, 2, BPF_REG_3, R_NH, 6);
	be_to_host(e, 2, BPF_REG_3);
	if (cc->early) {
		be_alu64(e, BPF_AND, BPF_REG_3, 0x3fff);
		be_jmp32(e, BPF_JNE, BPF_REG_3, 0, bad);
		be_alu64_reg(e, BPF_ADD, BPF_REG_2, BPF_REG_4);
		be_store(e, 4, R_REC, REC_END, BPF_REG_2);
	} else {
		be_alu64(e, BPF_AND, BPF_REG_3, 0x1fff);
	}
	be_load(e, 1, BPF_REG_0, R_NH, 9);
	be_alu64_reg(e, BPF_ADD, BPF_REG_4, BPF_REG_1);
	transport4(cc);
	if (cc->early)
		checksum(cc);
}

/* ------------------------------------------------------------------ IPv6 */

/* ::1 at off: to pass. R1, R2 are lost. */
static void refuse_loopback(struct be_cc *cc, unsigned int off)
{
	struct be_emit *e = &cc->e;
	uint32_t other = be_label_new(e);

	be_load(e, 8, BPF_REG_1, R_NH, off);
	be_jmp64(e, BPF_JNE, BPF_REG_1, 0, other);
	be_load(e, 8, BPF_REG_2, R_NH, off + 8);
	be_to_host(e, 8, BPF_REG_2);
	be_jmp64(e, BPF_JEQ, BPF_REG_2, 1, cc->pass);
	be_label_here(e, other);
}

/* ip6_rcv_core's checks of addresses */
static void addresses(struct be_cc *cc)
{
	struct be_emit *e = &cc->e;
	bool lo = strcmp(cc->opts->dev, "lo") == 0;
	uint32_t unicast = be_label_new(e);

	if (!lo) {
		refuse_loopback(cc, 8);
		refuse_loopback(cc, 24);
	}
	be_load(e, 1, BPF_REG_1, R_NH, 8);
	be_jmp32(e, BPF_JEQ, BPF_REG_1, 0xff, cc->pass);
	be_load(e, 1, BPF_REG_1, R_NH, 24);
	be_jmp32(e, BPF_JNE, BPF_REG_1, 0xff, unicast);
	be_load(e, 1, BPF_REG_1, R_NH, 25);
	be_alu64(e, BPF_AND, BPF_REG_1, 15);
	be_jmp32(e, BPF_JLT, BPF_REG_1, lo ? 1 : 2, cc->pass);
	be_label_here(e, unicast);
}

/* ip6_rcv_core (early.l3), __nft_set_pktinfo_ipv6_validate; then the walk, which ends at `parsed`. */
static void parse6(struct be_cc *cc, uint32_t bad, uint32_t parsed)
{
	struct be_emit *e = &cc->e;

	be_direct_need(cc, R_NH, IP6_HLEN, bad);
	version(cc, 6, bad);
	be_load(e, 2, BPF_REG_2, R_NH, 4);
	be_to_host(e, 2, BPF_REG_2);
	be_alu64(e, BPF_ADD, BPF_REG_2, IP6_HLEN);
	payload(cc);
	be_jmp64_reg(e, BPF_JGT, BPF_REG_2, BPF_REG_3, bad);
	be_load(e, 1, BPF_REG_1, R_NH, 6);
	be_store(e, 4, R_REC, REC_NEXT, BPF_REG_1);
	if (cc->early) {
		be_jmp32(e, BPF_JEQ, BPF_REG_1, 0, bad);
		be_alu64_reg(e, BPF_ADD, BPF_REG_2, BPF_REG_4);
		be_store(e, 4, R_REC, REC_END, BPF_REG_2);
		addresses(cc);
	}
	be_alu64(e, BPF_ADD, BPF_REG_4, IP6_HLEN);
	be_store(e, 4, R_REC, REC_AT, BPF_REG_4);
	be_direct_walk6(cc, parsed);
}

/* ------------------------------------------------------------------ the frame */

/* R1 = eth_type_trans' and vlan_set_encap_proto's idea of the type field at `at`, which is there. */
static void type_field(struct be_cc *cc, unsigned int at)
{
	struct be_emit *e = &cc->e;
	uint32_t known = be_label_new(e);

	be_load(e, 2, BPF_REG_1, R_DATA, at);
	be_to_host(e, 2, BPF_REG_1);
	be_jmp32(e, BPF_JGE, BPF_REG_1, ETH_P_802_3_MIN, known);
	be_mov(e, BPF_REG_1, ETH_P_802_2);
	be_direct_need(cc, R_DATA, at + 4, known);
	be_load(e, 2, BPF_REG_2, R_DATA, at + 2);
	be_jmp32(e, BPF_JNE, BPF_REG_2, 0xffff, known);
	be_mov(e, BPF_REG_1, ETH_P_802_3);
	be_label_here(e, known);
}

static void for_us(struct be_cc *cc)
{
	struct be_emit *e = &cc->e;
	uint32_t ours = be_label_new(e);
	const uint8_t *mac = cc->opts->mac;
	uint32_t first;
	uint16_t second;

	memcpy(&first, mac, 4);
	memcpy(&second, mac + 4, 2);
	be_load(e, 1, BPF_REG_1, R_DATA, 0);
	be_alu64(e, BPF_AND, BPF_REG_1, 1);
	be_jmp32(e, BPF_JNE, BPF_REG_1, 0, ours);
	be_load(e, 4, BPF_REG_1, R_DATA, 0);
	be_jmp32(e, BPF_JNE, BPF_REG_1, first, cc->pass);
	be_load(e, 2, BPF_REG_1, R_DATA, 4);
	be_jmp32(e, BPF_JNE, BPF_REG_1, second, cc->pass);
	be_label_here(e, ours);
}

static void set_protocol(struct be_cc *cc, uint32_t proto, uint32_t nfproto)
{
	be_store_imm(&cc->e, 4, R_REC, REC_PROTOCOL, proto);
	be_store_imm(&cc->e, 4, R_REC, REC_NFPROTO, nfproto);
}

/* early.l3: an untagged packet for this host, IPv4 or IPv6. What is not reached is taken out in the end. */
static void parse_early(struct be_cc *cc, uint32_t parsed)
{
	struct be_emit *e = &cc->e;
	uint32_t six = be_label_new(e);

	for_us(cc);
	be_store_imm(e, 4, R_REC, REC_NH, ETH_HLEN);
	be_mov_reg(e, R_NH, R_DATA);
	be_alu64(e, BPF_ADD, R_NH, ETH_HLEN);
	be_load(e, 2, BPF_REG_1, R_DATA, 12);
	be_to_host(e, 2, BPF_REG_1);
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

/* netdev.ingress: any frame; its outer VLAN tag is popped (skb_vlan_untag). */
static void parse_ingress(struct be_cc *cc, uint32_t parsed)
{
	struct be_emit *e = &cc->e;
	uint32_t tag = be_label_new(e), typed = be_label_new(e), six = be_label_new(e);

	be_store_imm(e, 4, R_REC, REC_NFPROTO, FAM_NETDEV);
	be_store_imm(e, 4, R_REC, REC_NH, ETH_HLEN);
	type_field(cc, 12);
	be_jmp32(e, BPF_JEQ, BPF_REG_1, ETH_P_8021Q, tag);
	be_jmp32(e, BPF_JNE, BPF_REG_1, ETH_P_8021AD, typed);
	be_label_here(e, tag);
	be_direct_need(cc, R_DATA, ETH_HLEN + TAG_HLEN + 2, cc->pass);
	type_field(cc, ETH_HLEN + 2);
	be_store_imm(e, 4, R_REC, REC_NH, ETH_HLEN + TAG_HLEN);
	be_store(e, 4, R_REC, REC_LLTYPE, BPF_REG_1);
	be_label_here(e, typed);
	be_store(e, 4, R_REC, REC_PROTOCOL, BPF_REG_1);
	if (!cc->use_th && !cc->use_tx)
		return;
	be_direct_start(cc);
	be_load(e, 4, BPF_REG_2, R_REC, REC_NH);
	be_jmp32(e, BPF_JGT, BPF_REG_2, ETH_HLEN + TAG_HLEN, parsed);
	be_mov_reg(e, R_NH, R_DATA);
	be_alu64_reg(e, BPF_ADD, R_NH, BPF_REG_2);
	be_load(e, 4, BPF_REG_1, R_REC, REC_PROTOCOL);
	be_jmp32(e, BPF_JEQ, BPF_REG_1, ETH_P_IPV6, six);
	be_jmp32(e, BPF_JNE, BPF_REG_1, ETH_P_IP, parsed);
	parse4(cc, parsed);
	be_ja(e, parsed);
	be_label_here(e, six);
	parse6(cc, parsed, parsed);
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

static void prologue(struct be_cc *cc)
{
	struct be_emit *e = &cc->e;
	uint32_t parsed = be_label_new(e);

	be_mov_reg(e, R_CTX, BPF_REG_1);
	if (cc->use_flow)
		be_store(e, 8, BPF_REG_10, FP_CTX, BPF_REG_1);
	if (cc->opts->gate)
		check_gate(cc);
	be_lookup(cc, cc->map_record, cc->odd);
	be_mov_reg(e, R_REC, BPF_REG_0);
	for (uint32_t at = REC_LEN; at < be_rec_size(cc); at += 8)
		be_store_imm(e, 8, R_REC, at, 0);
	be_direct_start(cc);
	be_mov_reg(e, BPF_REG_1, R_END);
	be_alu64_reg(e, BPF_SUB, BPF_REG_1, R_DATA);
	be_jmp64(e, BPF_JGT, BPF_REG_1, BE_FRAME_MAX, cc->odd);
	be_store(e, 4, R_REC, REC_END, BPF_REG_1);
	be_direct_need(cc, R_DATA, ETH_HLEN, cc->pass);
	if (cc->early)
		parse_early(cc, parsed);
	else
		parse_ingress(cc, parsed);
	be_label_here(e, parsed);
	be_load(e, 4, BPF_REG_1, R_REC, REC_END);
	be_load(e, 4, BPF_REG_2, R_REC, REC_NH);
	be_alu64_reg(e, BPF_SUB, BPF_REG_1, BPF_REG_2);
	be_store(e, 4, R_REC, REC_LEN, BPF_REG_1);
	be_direct_fill(cc);
	if (cc->use_sets) {
		be_lookup(cc, cc->map_sets, cc->odd);
		be_mov_reg(e, R_SETS, BPF_REG_0);
	}
}

bool be_xdp_compile(const struct imr *imr, const struct caps *caps, const struct be_opts *opts, struct be_prog *ret)
{
	struct be_cc cc;
	uint32_t rules;

	if (!be_start(&cc, imr, be_target_find("xdp"), caps, opts))
		return false;
	rules = be_label_new(&cc.e);
	prologue(&cc);
	be_ja(&cc.e, rules);
	be_pool(&cc.e);
	be_label_here(&cc.e, rules);
	be_classify(&cc);
	if (cc.bad)
		return false;
	be_ends(&cc);
	*ret = (struct be_prog){ .name = "fwjit_xdp", .type = BPF_PROG_TYPE_XDP, .attach_type = BPF_XDP };
	return be_finish(&cc, caps, ret);
}
