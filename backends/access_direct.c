/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Direct packet access: what the rules ask for, copied once from the packet to the record. For each base the cells are
 * taken in the order in which they end, one bounds check for all that end at the same byte: where one fails, so do all
 * behind it, and they stay 0.
 */
#include <stdlib.h>

#include "select.h"

#define TCP_OPT_MAX	40
#define TCP_HLEN	20
#define R_AVAIL		BPF_REG_5

void be_direct_start(struct be_cc *cc)
{
	be_load(&cc->e, 4, R_DATA, R_CTX, 0);
	be_load(&cc->e, 4, R_END, R_CTX, 4);
}

void be_direct_need(struct be_cc *cc, uint8_t reg, unsigned int end, uint32_t no)
{
	be_mov_reg(&cc->e, BPF_REG_0, reg);
	be_alu64(&cc->e, BPF_ADD, BPF_REG_0, end);
	be_jmp64_reg(&cc->e, BPF_JGT, BPF_REG_0, R_END, no);
}

/* ------------------------------------------------------------------ one cell */

/* Bytes 16 and 17 of the link header are not always those of the frame. */
static bool is_rebuilt(const struct be_cc *cc, const struct be_cell *c)
{
	return !cc->early && c->base == B_LL && c->off < 18 && c->off + c->len > 16;
}

static void rebuilt_byte(struct be_cc *cc, uint8_t reg, unsigned int off)
{
	uint32_t raw = be_label_new(&cc->e), done = be_label_new(&cc->e);

	be_load(&cc->e, 4, reg, R_REC, REC_NH);
	be_jmp32(&cc->e, BPF_JEQ, reg, 14, raw);
	be_load(&cc->e, 4, reg, R_REC, REC_LLTYPE);
	be_alu64(&cc->e, off == 16 ? BPF_RSH : BPF_AND, reg, off == 16 ? 8 : 0xff);
	be_ja(&cc->e, done);
	be_label_here(&cc->e, raw);
	be_load(&cc->e, 1, reg, R_DATA, off);
	be_label_here(&cc->e, done);
}

static unsigned int piece(unsigned int left, bool bytewise)
{
	if (bytewise)
		return 1;
	return left >= 8 ? 8 : left >= 4 ? 4 : left >= 2 ? 2 : 1;
}

/* R1 = len bytes (at most 8) at R_DATA + off, as a number */
static void number(struct be_cc *cc, unsigned int off, unsigned int len, bool bytewise)
{
	for (unsigned int n = 0, size; n < len; n += size) {
		uint8_t reg = n ? BPF_REG_2 : BPF_REG_1;

		size = piece(len - n, bytewise);
		if (bytewise && (off + n == 16 || off + n == 17))
			rebuilt_byte(cc, reg, off + n);
		else
			be_load(&cc->e, size, reg, R_DATA, off + n);
		be_to_host(&cc->e, size, reg);
		if (n) {
			be_alu64(&cc->e, BPF_LSH, BPF_REG_1, size * 8);
			be_alu64_reg(&cc->e, BPF_OR, BPF_REG_1, BPF_REG_2);
		}
	}
}

static void fill_cell(struct be_cc *cc, const struct be_cell *c)
{
	bool bytewise = is_rebuilt(cc, c);
	unsigned int low = c->len > 8 ? 8 : c->len;

	number(cc, c->off + c->len - low, low, bytewise);
	if (c->shift)
		be_alu64(&cc->e, BPF_RSH, BPF_REG_1, c->shift);
	if (c->bits < c->len * 8 - c->shift)
		be_alu64(&cc->e, BPF_AND, BPF_REG_1, (1u << c->bits) - 1);
	be_store(&cc->e, c->bits <= 32 ? 4 : 8, R_REC, c->at, BPF_REG_1);
	if (c->len > low) {
		number(cc, c->off, c->len - low, bytewise);
		be_store(&cc->e, 8, R_REC, c->at + 8, BPF_REG_1);
	}
}

/* ------------------------------------------------------------------ the cells of a base */

static unsigned int end_of(const struct be_cell *c)
{
	return c->off + c->len;
}

static int by_end(const void *pa, const void *pb)
{
	const struct be_cell *a = *(const struct be_cell *const *)pa, *b = *(const struct be_cell *const *)pb;

	if (end_of(a) != end_of(b))
		return end_of(a) < end_of(b) ? -1 : 1;
	return a->at < b->at ? -1 : a->at > b->at;
}

static uint16_t words_of(enum imr_base b)
{
	return b == B_TH ? REC_TH : REC_TX;
}

/* R1: where the transport header is; to `no` where there is none. */
static void transport(struct be_cc *cc, enum imr_base b, uint32_t no)
{
	be_load(&cc->e, 4, BPF_REG_1, R_REC, words_of(b) + REC_OK);
	be_jmp32(&cc->e, BPF_JEQ, BPF_REG_1, 0, no);
	be_load(&cc->e, 4, BPF_REG_1, R_REC, words_of(b) + REC_WHERE);
}

/* R_DATA at the base, R_AVAIL: bytes from there on; to `no` where there are none. */
static void base(struct be_cc *cc, enum imr_base b, uint32_t no)
{
	struct be_emit *e = &cc->e;

	be_direct_start(cc);
	be_load(e, 4, R_AVAIL, R_REC, REC_END);
	if (b == B_LL)
		return;
	if (b == B_NH)
		be_load(e, 4, BPF_REG_1, R_REC, REC_NH);
	else
		transport(cc, b, no);
	be_alu64_reg(e, BPF_SUB, R_AVAIL, BPF_REG_1);
	be_jmp64(e, BPF_JSLE, R_AVAIL, 0, no);
	if (b != B_NH)
		be_store(e, 4, R_REC, words_of(b) + REC_AVAIL, R_AVAIL);
	be_jmp32(e, BPF_JGT, BPF_REG_1, BE_FRAME_MAX, no);
	be_alu64_reg(e, BPF_ADD, R_DATA, BPF_REG_1);
}

static void cells(struct be_cc *cc, enum imr_base b, const struct be_cell **list, uint32_t n, uint32_t no)
{
	const struct imr_hook_info *hook = &imr_hooks[cc->chain->hook];
	unsigned int sure = b == B_LL ? hook->ll_min : b == B_NH ? hook->nh_min : 0, checked = 0;

	for (uint32_t i = 0; i < n; i++) {
		unsigned int end = end_of(list[i]) < sure ? sure : end_of(list[i]);

		if (end > BE_FRAME_MAX)
			break;
		if (end > checked) {
			if (cc->early && end > sure)
				be_jmp64(&cc->e, BPF_JLT, R_AVAIL, end, no);
			be_direct_need(cc, R_DATA, end, no);
		}
		checked = end;
		fill_cell(cc, list[i]);
	}
}

static void fill_base(struct be_cc *cc, enum imr_base b, const struct be_cell **list)
{
	uint32_t n = 0, done;

	for (uint32_t i = 0; i < cc->n_cell; i++)
		if (cc->cell[i].op == OP_LD && cc->cell[i].base == b)
			list[n++] = &cc->cell[i];
	if (!n && b != (cc->use_th ? B_TH : B_MAX) && b != (cc->use_tx ? B_TX : B_MAX))
		return;
	done = be_label_new(&cc->e);
	qsort(list, n, sizeof(*list), by_end);
	base(cc, b, done);
	cells(cc, b, list, n, done);
	be_label_here(&cc->e, done);
}

/* ------------------------------------------------------------------ TCP options */

/* One option: R4 is where it starts, R3 where the header ends. */
static void option(struct be_cc *cc, uint8_t kind, uint32_t found, uint32_t done)
{
	struct be_emit *e = &cc->e;
	uint32_t on = be_label_new(e);

	be_load(e, 4, BPF_REG_4, R_REC, REC_AT);
	be_load(e, 4, BPF_REG_3, R_REC, REC_NEXT);
	be_jmp32(e, BPF_JGT, BPF_REG_4, TCP_HLEN + TCP_OPT_MAX - 1, done);
	be_jmp64_reg(e, BPF_JGE, BPF_REG_4, BPF_REG_3, done);
	be_mov_reg(e, BPF_REG_5, R_DATA);
	be_alu64_reg(e, BPF_ADD, BPF_REG_5, BPF_REG_4);
	be_direct_need(cc, BPF_REG_5, 1, done);
	be_load(e, 1, BPF_REG_1, BPF_REG_5, 0);
	be_jmp32(e, BPF_JEQ, BPF_REG_1, kind, found);
	be_mov(e, BPF_REG_2, 1);
	be_jmp32(e, BPF_JLT, BPF_REG_1, 2, on);
	be_mov_reg(e, BPF_REG_1, BPF_REG_4);
	be_alu64(e, BPF_ADD, BPF_REG_1, 1);
	be_jmp64_reg(e, BPF_JEQ, BPF_REG_1, BPF_REG_3, on);
	be_direct_need(cc, BPF_REG_5, 2, on);
	be_load(e, 1, BPF_REG_2, BPF_REG_5, 1);
	be_jmp32(e, BPF_JNE, BPF_REG_2, 0, on);
	be_mov(e, BPF_REG_2, 1);
	be_label_here(e, on);
	be_alu64_reg(e, BPF_ADD, BPF_REG_4, BPF_REG_2);
	be_store(e, 4, R_REC, REC_AT, BPF_REG_4);
}

/* tcp_find_option of xt_tcpudp: 2 where the header is not whole. The walk's words of the record are free by now. */
static void fill_option(struct be_cc *cc, const struct be_cell *c)
{
	struct be_emit *e = &cc->e;
	uint32_t found = be_label_new(e), done = be_label_new(e);

	be_store_imm(e, 4, R_REC, c->at, 2);
	base(cc, c->base, done);
	be_jmp64(e, BPF_JLT, R_AVAIL, TCP_HLEN, done);
	be_direct_need(cc, R_DATA, TCP_HLEN, done);
	be_load(e, 1, BPF_REG_3, R_DATA, 12);
	be_alu64(e, BPF_RSH, BPF_REG_3, 4);
	be_alu64(e, BPF_LSH, BPF_REG_3, 2);
	be_jmp32(e, BPF_JLT, BPF_REG_3, TCP_HLEN, done);
	be_jmp64_reg(e, BPF_JLT, R_AVAIL, BPF_REG_3, done);
	be_store_imm(e, 4, R_REC, c->at, 0);
	be_store(e, 4, R_REC, REC_NEXT, BPF_REG_3);
	be_store_imm(e, 4, R_REC, REC_AT, TCP_HLEN);
	for (int i = 0; i < TCP_OPT_MAX; i++)
		option(cc, c->kind, found, done);
	be_ja(e, done);
	be_label_here(e, found);
	be_store_imm(e, 4, R_REC, c->at, 1);
	be_label_here(e, done);
}

void be_direct_fill(struct be_cc *cc)
{
	static const enum imr_base order[] = { B_LL, B_NH, B_TH, B_TX };
	const struct be_cell **list = arena_alloc(cc->imr->arena, (cc->n_cell + 1) * sizeof(*list));

	for (unsigned int i = 0; i < sizeof(order) / sizeof(order[0]); i++)
		fill_base(cc, order[i], list);
	for (uint32_t i = 0; i < cc->n_cell; i++)
		if (cc->cell[i].op == OP_TCPOPT)
			fill_option(cc, &cc->cell[i]);
}
