/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the rules ask for, copied once from the packet to the record. For each base the cells are taken in the order in
 * which they end, one window for all that end at the same byte: where one is not there, nor are those behind it, and
 * they stay 0.
 */
#include <stdlib.h>

#include "select.h"

#define TCP_OPT_MAX	40
#define TCP_HLEN	20
#define TAG_HLEN	4

/* ------------------------------------------------------------------ one cell */

/* Where a byte of the link header comes from that is not simply the frame's: a word of the record, and which byte of it. */
struct rebuilt {
	uint16_t word;
	bool high;
};

/* nft_payload_copy_vlan: the tag that was popped is shown again. XDP has it in the frame, but for the type behind it. */
static struct rebuilt rebuilt(const struct be_cc *cc, unsigned int off)
{
	static const uint16_t words[] = { REC_TPID, REC_TCI, REC_LLTYPE };
	bool xdp = cc->view->type == BPF_PROG_TYPE_XDP;

	if (off < (xdp ? 16 : 12) || off >= 18)
		return (struct rebuilt){ 0 };
	return (struct rebuilt){ words[(off - 12) / 2], !(off & 1) };
}

/* How many bytes one load takes, `at` bytes into a window: a copy on the stack is read by aligned loads only. */
static unsigned int piece(const struct be_cc *cc, unsigned int at, unsigned int left, bool bytewise)
{
	unsigned int size = 8;

	while (size > left || ((cc->view->access->aligned || cc->view->l3) && at % size))
		size /= 2;
	return bytewise ? 1 : size;
}

static void one_byte(struct be_cc *cc, uint8_t reg, struct be_window w, unsigned int at, unsigned int off)
{
	struct rebuilt r = rebuilt(cc, off);

	if (!r.word) {
		be_load(&cc->e, 1, reg, w.reg, w.off + at);
		return;
	}
	be_load(&cc->e, 4, reg, R_REC, r.word);
	be_alu64(&cc->e, r.high ? BPF_RSH : BPF_AND, reg, r.high ? 8 : 0xff);
}

/* R1 = len bytes (at most 8) of the cell from byte `from` on, as a number. The window begins at byte `start` of the base. */
static void number(struct be_cc *cc, const struct be_cell *c, struct be_window w, unsigned int start, unsigned int from,
		   unsigned int len, bool tagged)
{
	for (unsigned int n = 0, size; n < len; n += size) {
		uint8_t reg = n ? BPF_REG_2 : BPF_REG_1;
		unsigned int off = c->off + from + n;

		size = piece(cc, off - start, len - n, tagged);
		if (tagged)
			one_byte(cc, reg, w, off - start, off);
		else
			be_load(&cc->e, size, reg, w.reg, w.off + off - start);
		be_to_host(&cc->e, size, reg);
		if (n) {
			be_alu64(&cc->e, BPF_LSH, BPF_REG_1, size * 8);
			be_alu64_reg(&cc->e, BPF_OR, BPF_REG_1, BPF_REG_2);
		}
	}
}

/* R1 to the record, in halves where it has eight bytes: the verifier then forgets it on the stack, too. */
static void put(struct be_cc *cc, unsigned int at, bool wide)
{
	be_store(&cc->e, 4, R_REC, at + (wide && BE_BIG_ENDIAN ? 4 : 0), BPF_REG_1);
	if (!wide)
		return;
	be_alu64(&cc->e, BPF_RSH, BPF_REG_1, 32);
	be_store(&cc->e, 4, R_REC, at + (BE_BIG_ENDIAN ? 0 : 4), BPF_REG_1);
}

static void fill_cell(struct be_cc *cc, const struct be_cell *c, struct be_window w, unsigned int start, bool tagged)
{
	unsigned int low = c->len > 8 ? 8 : c->len;

	number(cc, c, w, start, c->len - low, low, tagged);
	if (c->shift)
		be_alu64(&cc->e, BPF_RSH, BPF_REG_1, c->shift);
	if (c->bits < c->len * 8 - c->shift)
		be_alu64(&cc->e, BPF_AND, BPF_REG_1, (1u << c->bits) - 1);
	put(cc, c->at, c->bits > 32);
	if (c->len > low) {
		number(cc, c, w, start, 0, c->len - low, tagged);
		put(cc, c->at + 8, true);
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

/* REC_AVAIL of the transport header; to `no` where there is none. */
static void transport(struct be_cc *cc, enum imr_base b, uint32_t no)
{
	struct be_emit *e = &cc->e;

	be_load(e, 4, BPF_REG_1, R_REC, words_of(b) + REC_OK);
	be_jmp32(e, BPF_JEQ, BPF_REG_1, 0, no);
	be_load(e, 4, BPF_REG_1, R_REC, words_of(b) + REC_WHERE);
	be_load(e, 4, BPF_REG_2, R_REC, REC_END);
	be_alu64_reg(e, BPF_SUB, BPF_REG_2, BPF_REG_1);
	be_jmp64(e, BPF_JSLE, BPF_REG_2, 0, no);
	be_store(e, 4, R_REC, words_of(b) + REC_AVAIL, BPF_REG_2);
}

static uint16_t avail_of(enum imr_base b)
{
	return b == B_LL ? REC_LLLEN : b == B_NH ? REC_NHLEN : words_of(b) + REC_AVAIL;
}

/* Bytes [off, off + len) of the base; to `no` where they are not all there. */
static struct be_window window(struct be_cc *cc, enum imr_base b, unsigned int off, unsigned int len, bool sure, uint32_t no)
{
	/* What is behind the end that the IP header says is there in the frame, but not for the hook. */
	if (cc->early && !sure) {
		be_load(&cc->e, 4, BPF_REG_1, R_REC, avail_of(b));
		be_jmp32(&cc->e, BPF_JLT, BPF_REG_1, off + len, no);
	}
	if (b == B_NH)
		return be_nh(cc, off, len, no);
	if (b == B_LL && cc->view->l3) {
		be_load(&cc->e, 4, BPF_REG_1, R_REC, REC_LLLEN);
		be_jmp32(&cc->e, BPF_JLT, BPF_REG_1, off + len, no);
		return cc->view->link(cc, off, len, no);
	}
	return cc->view->access->open(cc, b == B_LL ? REC_ZERO : words_of(b) + REC_WHERE, off, len, no);
}

static unsigned int sure_bytes(const struct be_cc *cc, enum imr_base b)
{
	const struct imr_hook_info *hook = &imr_hooks[cc->chain->hook];

	return b == B_LL && !cc->view->l3 ? hook->ll_min : b == B_NH ? hook->nh_min : 0;
}

/* How many cells of the list go by one window: those that are sure to be there, or end at the same byte. Its first byte. */
static uint32_t group(const struct be_cell **list, uint32_t n, unsigned int sure, unsigned int *ret_start)
{
	unsigned int end = end_of(list[0]) < sure ? sure : end_of(list[0]), first = list[0]->off;
	uint32_t k = 1;

	for (; k < n && end_of(list[k]) <= end; k++) {
		unsigned int start = list[k]->off < first ? list[k]->off : first;

		if (end_of(list[k]) - start > FP_BYTES_SIZE)
			break;
		first = start;
	}
	*ret_start = first;
	return k;
}

static void cells(struct be_cc *cc, enum imr_base b, const struct be_cell **list, uint32_t n, bool tagged, uint32_t no)
{
	unsigned int sure = sure_bytes(cc, b), start;

	for (uint32_t i = 0, k; i < n; i += k) {
		unsigned int end;
		struct be_window w;

		k = group(list + i, n - i, sure, &start);
		end = end_of(list[i + k - 1]);
		if (end > BE_FRAME_MAX)
			break;
		w = window(cc, b, start, end - start, end <= sure, no);
		for (uint32_t c = 0; c < k; c++)
			fill_cell(cc, list[i + c], w, start, tagged);
	}
}

/* ------------------------------------------------------------------ the link header of a frame whose tag was popped */

/* One cell at a time: the window is what the frame has of it, moved where the tag is not in the frame. */
static void tagged_cell(struct be_cc *cc, const struct be_cell *c, uint32_t no)
{
	bool apart = cc->view->type != BPF_PROG_TYPE_XDP;
	unsigned int end = end_of(c), lo = c->off, hi = end, move = 0;
	struct be_window w = { 0 };

	be_load(&cc->e, 4, BPF_REG_1, R_REC, REC_LLLEN);
	be_jmp32(&cc->e, BPF_JLT, BPF_REG_1, end, no);
	if (apart && c->off >= 18)
		move = TAG_HLEN;
	else if (apart && hi > 12 && lo < 12)
		hi = 12;
	if (apart && c->off < 18 && end > 18) {
		lo = 18;
		hi = end;
		move = TAG_HLEN;
	}
	if (!apart || lo < 12 || lo >= 18)
		w = cc->view->access->open(cc, REC_ZERO, lo - move, hi - lo, no);
	fill_cell(cc, c, w, lo, true);
}

/* A cell of the tag and of both sides of it, or of many bytes, is not one window. */
static bool is_split(const struct be_cc *cc, const struct be_cell *c)
{
	return cc->view->type != BPF_PROG_TYPE_XDP && c->off < 12 && end_of(c) > 18;
}

static void tagged_cells(struct be_cc *cc, const struct be_cell **list, uint32_t n, uint32_t no)
{
	for (uint32_t i = 0; i < n; i++) {
		if (is_split(cc, list[i]))
			be_refuse(cc, list[i]->by, "a load over both sides of a VLAN tag", "load the parts");
		else if (end_of(list[i]) <= BE_FRAME_MAX)
			tagged_cell(cc, list[i], no);
	}
}

static void link_cells(struct be_cc *cc, const struct be_cell **list, uint32_t n, uint32_t done)
{
	struct be_emit *e = &cc->e;
	uint32_t tagged = be_label_new(e);
	bool apart = cc->view->type != BPF_PROG_TYPE_XDP;

	if (cc->early || cc->view->l3 || end_of(list[n - 1]) <= (apart ? 12 : 16)) {
		cells(cc, B_LL, list, n, false, done);
		return;
	}
	be_load(e, 4, BPF_REG_1, R_REC, apart ? REC_TAGGED : REC_NH);
	be_jmp32(e, BPF_JNE, BPF_REG_1, apart ? 0 : 14, tagged);
	cells(cc, B_LL, list, n, false, done);
	be_ja(e, done);
	be_label_here(e, tagged);
	tagged_cells(cc, list, n, done);
}

/* ------------------------------------------------------------------ all bases */

static uint32_t cells_of(const struct be_cc *cc, enum imr_base b, const struct be_cell **list)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < cc->n_cell; i++)
		if (cc->cell[i].op == OP_LD && cc->cell[i].base == b)
			list[n++] = &cc->cell[i];
	qsort(list, n, sizeof(*list), by_end);
	return n;
}

static void fill_base(struct be_cc *cc, enum imr_base b, const struct be_cell **list)
{
	uint32_t n = cells_of(cc, b, list), done = be_label_new(&cc->e);
	bool asked = (b == B_TH && cc->use_th) || (b == B_TX && cc->use_tx);

	if (asked || (n && (b == B_TH || b == B_TX)))
		transport(cc, b, done);
	if (n)
		cc->view->access->start(cc);
	if (n && b == B_LL)
		link_cells(cc, list, n, done);
	else if (n)
		cells(cc, b, list, n, false, done);
	be_label_here(&cc->e, done);
}

/* Fields that are not of the packet's bytes. */
static void fill_meta(struct be_cc *cc, const struct be_cell **list)
{
	uint32_t n = cells_of(cc, B_META, list);

	for (uint32_t i = 0; i < n; i++) {
		if (!cc->view->meta(cc, list[i]->field))
			be_refuse(cc, list[i]->by, arena_printf(cc->imr->arena, "%s is not to be had",
								imr_fields[list[i]->field].name),
				  cc->caps->var_offset ? NULL : "CAP_PERFMON lets a program read it");
		put(cc, list[i]->at, list[i]->bits > 32);
		if (list[i]->bits > 64) {
			be_mov_reg(&cc->e, BPF_REG_1, BPF_REG_2);
			put(cc, list[i]->at + 8, true);
		}
	}
}

/* ------------------------------------------------------------------ TCP options */

/* R3 = where the option starts, R4 = where the header ends; to done where that is behind it. */
static void option_at(struct be_cc *cc, uint32_t done)
{
	be_load(&cc->e, 4, BPF_REG_3, R_REC, REC_AT);
	be_load(&cc->e, 4, BPF_REG_4, R_REC, REC_FRAG);
	be_jmp64_reg(&cc->e, BPF_JGE, BPF_REG_3, BPF_REG_4, done);
}

/* One option. REC_AT: where it starts, REC_FRAG: where the header ends, both from the view's start. */
static void option(struct be_cc *cc, uint8_t kind, uint32_t found, uint32_t done)
{
	struct be_emit *e = &cc->e;
	uint32_t on = be_label_new(e), sized = be_label_new(e);
	struct be_window w;

	option_at(cc, done);
	w = cc->view->access->open(cc, REC_AT, 0, 1, done);
	be_load(e, 1, BPF_REG_1, w.reg, w.off);
	be_jmp32(e, BPF_JEQ, BPF_REG_1, kind, found);
	be_mov(e, BPF_REG_2, 1);
	be_jmp32(e, BPF_JLT, BPF_REG_1, 2, on);
	option_at(cc, done);
	be_alu64(e, BPF_ADD, BPF_REG_3, 1);
	be_jmp64_reg(e, BPF_JEQ, BPF_REG_3, BPF_REG_4, on);
	w = cc->view->access->open(cc, REC_AT, 1, 1, sized);
	be_load(e, 1, BPF_REG_2, w.reg, w.off);
	be_jmp32(e, BPF_JNE, BPF_REG_2, 0, on);
	be_label_here(e, sized);
	be_mov(e, BPF_REG_2, 1);
	be_label_here(e, on);
	be_load(e, 4, BPF_REG_1, R_REC, REC_AT);
	be_alu64_reg(e, BPF_ADD, BPF_REG_1, BPF_REG_2);
	be_store(e, 4, R_REC, REC_AT, BPF_REG_1);
}

/* tcp_find_option of xt_tcpudp: 2 where the header is not whole. The walk's words of the record are free by now. */
static void fill_option(struct be_cc *cc, const struct be_cell *c)
{
	struct be_emit *e = &cc->e;
	uint32_t found = be_label_new(e), done = be_label_new(e);
	struct be_window w;

	be_store_imm(e, 4, R_REC, c->at, 2);
	transport(cc, c->base, done);
	cc->view->access->start(cc);
	w = window(cc, c->base, 0, TCP_HLEN, false, done);
	be_load(e, 1, BPF_REG_3, w.reg, w.off + 12);
	be_alu64(e, BPF_RSH, BPF_REG_3, 4);
	be_alu64(e, BPF_LSH, BPF_REG_3, 2);
	be_jmp32(e, BPF_JLT, BPF_REG_3, TCP_HLEN, done);
	be_load(e, 4, BPF_REG_1, R_REC, words_of(c->base) + REC_AVAIL);
	be_jmp64_reg(e, BPF_JLT, BPF_REG_1, BPF_REG_3, done);
	be_store_imm(e, 4, R_REC, c->at, 0);
	be_load(e, 4, BPF_REG_1, R_REC, words_of(c->base) + REC_WHERE);
	be_alu64_reg(e, BPF_ADD, BPF_REG_3, BPF_REG_1);
	be_store(e, 4, R_REC, REC_FRAG, BPF_REG_3);
	be_alu64(e, BPF_ADD, BPF_REG_1, TCP_HLEN);
	be_store(e, 4, R_REC, REC_AT, BPF_REG_1);
	for (int i = 0; i < TCP_OPT_MAX; i++)
		option(cc, c->kind, found, done);
	be_ja(e, done);
	be_label_here(e, found);
	be_store_imm(e, 4, R_REC, c->at, 1);
	be_label_here(e, done);
}

void be_fill(struct be_cc *cc)
{
	static const enum imr_base order[] = { B_LL, B_NH, B_TH, B_TX };
	const struct be_cell **list = arena_alloc(cc->imr->arena, (cc->n_cell + 1) * sizeof(*list));

	fill_meta(cc, list);
	for (unsigned int i = 0; i < sizeof(order) / sizeof(order[0]); i++)
		fill_base(cc, order[i], list);
	for (uint32_t i = 0; i < cc->n_cell; i++)
		if (cc->cell[i].op == OP_TCPOPT)
			fill_option(cc, &cc->cell[i]);
}
