/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the stack asks of a packet before it lets it reach the L3 hooks, for programs that stand in front of it. Packets
 * that it would not let through pass: it drops them itself, and counts them.
 */
#include <linux/if_ether.h>
#include <stddef.h>
#include <string.h>

#include "select.h"

#define IP4_HLEN	20
#define CSUM_WORDS	15	/* of the longest IPv4 header */

/* R3 to 32 bits, or to 16 */
static void fold(struct be_emit *e, int bits)
{
	for (int i = bits == 32 ? 0 : -1; i < 1; i++) {
		be_mov_reg(e, BPF_REG_0, BPF_REG_3);
		be_alu64(e, BPF_RSH, BPF_REG_0, bits);
		if (bits == 32)
			be_alu32(e, BPF_AND, BPF_REG_3, UINT32_MAX);
		else
			be_alu64(e, BPF_AND, BPF_REG_3, 0xffff);
		be_alu64_reg(e, BPF_ADD, BPF_REG_3, BPF_REG_0);
	}
}

static void add_word(struct be_cc *cc, struct be_window w, int off)
{
	be_load(&cc->e, 4, BPF_REG_0, w.reg, w.off + off);
	be_alu64_reg(&cc->e, BPF_ADD, BPF_REG_3, BPF_REG_0);
}

/* The checksum, in native order: a one's complement sum is the same in either. */
void be_early4(struct be_cc *cc, uint32_t bad)
{
	struct be_emit *e = &cc->e;
	uint32_t done = be_label_new(e);
	struct be_window w = be_nh(cc, 0, IP4_HLEN, bad);

	be_mov(e, BPF_REG_3, 0);
	for (int i = 0; i < IP4_HLEN / 4; i++)
		add_word(cc, w, 4 * i);
	fold(e, 32);
	for (int i = IP4_HLEN / 4; i < CSUM_WORDS; i++) {
		be_load(e, 4, BPF_REG_1, R_REC, REC_TH + REC_WHERE);
		be_jmp32(e, BPF_JLE, BPF_REG_1, ETH_HLEN + i * 4, done);
		be_store(e, 4, R_REC, REC_TMP, BPF_REG_3);
		w = be_nh(cc, i * 4, 4, bad);
		be_load(e, 4, BPF_REG_3, R_REC, REC_TMP);
		add_word(cc, w, 0);
		fold(e, 32);
	}
	be_label_here(e, done);
	fold(e, 16);
	be_jmp32(e, BPF_JNE, BPF_REG_3, 0xffff, bad);
}

/* ::1 at off of w: to pass. R1, R2 are lost. */
static void refuse_loopback(struct be_cc *cc, struct be_window w, unsigned int off)
{
	struct be_emit *e = &cc->e;
	uint32_t other = be_label_new(e);

	be_load(e, 8, BPF_REG_1, w.reg, w.off + off);
	be_jmp64(e, BPF_JNE, BPF_REG_1, 0, other);
	be_load(e, 8, BPF_REG_2, w.reg, w.off + off + 8);
	be_to_host(e, 8, BPF_REG_2);
	be_jmp64(e, BPF_JEQ, BPF_REG_2, 1, cc->pass);
	be_label_here(e, other);
}

/* ip6_rcv_core's checks of addresses */
void be_early6(struct be_cc *cc)
{
	struct be_emit *e = &cc->e;
	bool lo = strcmp(cc->opts->dev, "lo") == 0;
	uint32_t unicast = be_label_new(e);
	struct be_window w = be_nh(cc, 0, 40, cc->pass);

	if (!lo) {
		refuse_loopback(cc, w, 8);
		refuse_loopback(cc, w, 24);
	}
	be_load(e, 1, BPF_REG_1, w.reg, w.off + 8);
	be_jmp32(e, BPF_JEQ, BPF_REG_1, 0xff, cc->pass);
	be_load(e, 1, BPF_REG_1, w.reg, w.off + 24);
	be_jmp32(e, BPF_JNE, BPF_REG_1, 0xff, unicast);
	be_load(e, 1, BPF_REG_1, w.reg, w.off + 25);
	be_alu64(e, BPF_AND, BPF_REG_1, 15);
	be_jmp32(e, BPF_JLT, BPF_REG_1, lo ? 1 : 2, cc->pass);
	be_label_here(e, unicast);
}

/* eth_type_trans: PACKET_OTHERHOST; and a tag that was taken off the frame. */
void be_early_frame(struct be_cc *cc)
{
	struct be_emit *e = &cc->e;
	uint32_t ours = be_label_new(e);
	const uint8_t *mac = cc->opts->mac;
	struct be_window w;
	uint32_t first;
	uint16_t second;

	memcpy(&first, mac, 4);
	memcpy(&second, mac + 4, 2);
	if (cc->view->type != BPF_PROG_TYPE_XDP) {
		be_load(e, 4, BPF_REG_1, R_CTX, offsetof(struct __sk_buff, vlan_present));
		be_jmp32(e, BPF_JNE, BPF_REG_1, 0, cc->pass);
	}
	w = cc->view->access->open(cc, REC_ZERO, 0, 6, cc->pass);
	be_load(e, 1, BPF_REG_1, w.reg, w.off);
	be_alu64(e, BPF_AND, BPF_REG_1, 1);
	be_jmp32(e, BPF_JNE, BPF_REG_1, 0, ours);
	be_load(e, 4, BPF_REG_1, w.reg, w.off);
	be_jmp32(e, BPF_JNE, BPF_REG_1, first, cc->pass);
	be_load(e, 2, BPF_REG_1, w.reg, w.off + 4);
	be_jmp32(e, BPF_JNE, BPF_REG_1, second, cc->pass);
	be_label_here(e, ours);
}
