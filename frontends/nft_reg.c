/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The registers of nft_do_chain, byte by byte: each of the 64 is a constant, one byte of a value of the IMR, or unknown.
 * So prefix comparisons, concatenations, zero padding, byte order and overlapping writes need no cases of their own:
 * a comparison walks its bytes in runs, and a run of one value's neighbouring bytes is a comparison of a number.
 * A rule starts with all of them unknown (older kernels leave what an earlier rule wrote).
 */
#include <linux/netfilter/nf_tables.h>
#include <string.h>

#include "nft.h"

#define HOST_LITTLE (__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__)

/* nft_parse_register: 1 to 4 are 16 bytes, NFT_REG32_00 and on are 4. */
int nft_reg_at(uint32_t reg, size_t n)
{
	uint32_t at;

	if (reg >= NFT_REG_1 && reg <= NFT_REG_4)
		at = (reg - NFT_REG_1) * 16;
	else if (reg >= NFT_REG32_00 && reg <= NFT_REG32_15)
		at = (reg - NFT_REG32_00) * 4;
	else
		return -1;
	return n && n <= NFT_REG_BYTES - at ? (int)at : -1;
}

void nft_regs_unknown(struct nft_regs *r, unsigned int from, unsigned int to, const char *why)
{
	for (unsigned int i = from; i < to; i++)
		r->b[i] = (struct nft_byte){ .kind = BYTE_UNKNOWN, .why = why };
}

static void set_const(struct nft_byte *b, uint8_t c)
{
	*b = (struct nft_byte){ .kind = BYTE_CONST, .at = c };
}

static void pad(struct nft_regs *r, unsigned int end)
{
	for (; end % 4; end++)
		set_const(&r->b[end], 0);
}

/* nft_data_copy */
void nft_reg_const(struct nft_regs *r, unsigned int at, const uint8_t *data, unsigned int n)
{
	for (unsigned int i = 0; i < n; i++)
		set_const(&r->b[at + i], data[i]);
	pad(r, at + n);
}

void nft_reg_net(struct nft_regs *r, unsigned int at, uint32_t v, unsigned int n)
{
	for (unsigned int i = 0; i < n; i++)
		r->b[at + i] = (struct nft_byte){ .kind = BYTE_VALUE, .at = n - 1 - i, .v = v };
	pad(r, at + n);
}

void nft_reg_host(struct nft_regs *r, unsigned int at, uint32_t v, unsigned int n)
{
	nft_reg_net(r, at, v, n);
	if (HOST_LITTLE)
		nft_reg_swap(r, at, at, n, n);
}

/* nft_byteorder_eval where the host's order is not the network's: each element's bytes reversed. */
void nft_reg_swap(struct nft_regs *r, unsigned int from, unsigned int to, unsigned int size, unsigned int n)
{
	struct nft_byte tmp[NFT_REG_BYTES];

	memcpy(tmp, &r->b[from], n * sizeof(tmp[0]));
	for (unsigned int i = 0; i < n; i++)
		r->b[to + i] = HOST_LITTLE ? tmp[i - i % size + size - 1 - i % size] : tmp[i];
}

/* ------------------------------------------------------------------ runs */

/* The longest run of one kind from byte i on; of a value, its neighbouring bytes in one direction. */
struct run {
	unsigned int n;
	bool up;		/* the first byte in memory is the least significant */
	unsigned int lo;	/* the least significant byte of the value that it has */
};

static bool follows(const struct nft_byte *a, const struct nft_byte *b, bool up)
{
	return b->kind == BYTE_VALUE && b->v == a->v && (up ? b->at == a->at + 1 : b->at + 1 == a->at);
}

static struct run run_at(const struct nft_byte *b, unsigned int n)
{
	struct run r = { .n = 1 };

	if (b[0].kind != BYTE_VALUE) {
		while (r.n < n && b[r.n].kind == b[0].kind)
			r.n++;
		return r;
	}
	r.up = n > 1 && follows(&b[0], &b[1], true);
	while (r.n < n && r.n < 16 && follows(&b[r.n - 1], &b[r.n], r.up))
		r.n++;
	r.lo = r.up ? b[0].at : b[r.n - 1].at;
	return r;
}

static const struct imr_insn *value_def(const struct nft_ctx *x, uint32_t v)
{
	for (uint32_t i = x->rule->n; i-- > 0;)
		if (x->rule->insn[i].dst == v)
			return &x->rule->insn[i];
	return NULL;
}

static unsigned int value_bytes(const struct nft_ctx *x, uint32_t v)
{
	return (imr_types[value_def(x, v)->type].bits + 7) / 8;
}

/* Data bytes in memory order as the number that the run's bytes are, in their own value's order. */
static u128 data_number(const uint8_t *data, unsigned int n, bool up)
{
	u128 c = 0;

	for (unsigned int i = 0; i < n; i++)
		c = c << 8 | data[up ? n - 1 - i : i];
	return c;
}

static u128 low_mask(unsigned int bytes)
{
	return bytes >= 16 ? ~(u128)0 : ((u128)1 << (8 * bytes)) - 1;
}

/* ------------------------------------------------------------------ bitwise */

/* A mask that only cuts off the run's end leaves its bytes as they are, so that 10.1.0.0/16 stays a prefix. */
static bool mask_cuts(const uint8_t *mask, const uint8_t *xor, unsigned int n)
{
	unsigned int i = 0;

	while (i < n && mask[i] == 0xff && !xor[i])
		i++;
	while (i < n && !mask[i] && !xor[i])
		i++;
	return i == n;
}

static void mask_run(struct nft_ctx *x, struct nft_byte *out, const struct run *r, const uint8_t *mask,
		     const uint8_t *xor)
{
	unsigned int shift = 8 * r->lo;
	u128 keep = data_number(mask, r->n, r->up) << shift, flip = data_number(xor, r->n, r->up) << shift;
	uint32_t v = imr_op2(x->imr, x->rule, OP_AND, out[0].v, keep);

	if (flip)
		v = imr_op2(x->imr, x->rule, OP_XOR, v, flip);
	for (unsigned int i = 0; i < r->n; i++)
		out[i].v = v;
}

/* nft_bitwise_eval_bool: whole 4-byte words, with mask and xor 0 behind n. */
void nft_reg_mask(struct nft_ctx *x, unsigned int from, unsigned int to, const uint8_t *mask, const uint8_t *xor,
		  unsigned int n)
{
	struct nft_byte out[16];
	struct run r;

	memcpy(out, &x->regs.b[from], n * sizeof(out[0]));
	for (unsigned int i = 0; i < n; i += r.n) {
		r = run_at(&out[i], n - i);
		if (out[i].kind == BYTE_VALUE && !mask_cuts(mask + i, xor + i, r.n)) {
			mask_run(x, &out[i], &r, mask + i, xor + i);
			continue;
		}
		for (unsigned int k = i; k < i + r.n; k++) {
			if (!mask[k])
				set_const(&out[k], xor[k]);
			else if (out[k].kind == BYTE_CONST)
				out[k].at = (out[k].at & mask[k]) ^ xor[k];
		}
	}
	memcpy(&x->regs.b[to], out, n * sizeof(out[0]));
	pad(&x->regs, to + n);
}

/* ------------------------------------------------------------------ cmp, range */

static void rule_never(struct nft_ctx *x)
{
	imr_end(x->imr, x->rule, OP_NEXT, 0);
	x->ended = true;
}


static bool holds(enum imr_op op, int d)
{
	switch (op) {
	case OP_EQ: return d == 0;
	case OP_NE: return d != 0;
	case OP_LT: return d < 0;
	case OP_LE: return d <= 0;
	case OP_GT: return d > 0;
	default: return d >= 0;
	}
}

/* The value whose number orders as the run's bytes do under memcmp; *lo is where the run starts in it. */
static uint32_t run_value(struct nft_ctx *x, const struct nft_byte *b, const struct run *r, bool ordered,
			  unsigned int *lo, unsigned int *size)
{
	*size = value_bytes(x, b->v);
	*lo = r->lo;
	if (!ordered || !r->up)
		return b->v;
	*lo = *size - r->lo - r->n;
	return imr_op2(x->imr, x->rule, OP_SWAP, b->v, 0);
}

/* `first <= run <= last` (or not): numbers of n bytes, where the run is bytes lo … lo+n-1 of a value of size bytes. */
static void emit_in(struct nft_ctx *x, bool out, uint32_t v, unsigned int size, unsigned int lo, unsigned int n,
		    u128 first, u128 last)
{
	if (lo + n < size) {	/* not from its top on: cut out */
		if (lo)
			v = imr_op2(x->imr, x->rule, OP_SHR, v, 8 * lo);
		v = imr_op2(x->imr, x->rule, OP_AND, v, low_mask(n));
		lo = 0;
	}
	first <<= 8 * lo;
	last = last << (8 * lo) | low_mask(lo);
	if (!lo && first == last)
		imr_cmp(x->imr, x->rule, out ? OP_NE : OP_EQ, v, first, ELSE_NEXT);
	else
		imr_in(x->imr, x->rule, out, v, imr_set_one(x->imr, first, last), ELSE_NEXT);
}

static void cmp_run(struct nft_ctx *x, enum imr_op op, const struct nft_byte *b, const struct run *r,
		    const uint8_t *data)
{
	bool ordered = op != OP_EQ && op != OP_NE;
	unsigned int lo, size;
	u128 c = data_number(data, r->n, r->up && !ordered), max = low_mask(r->n);
	uint32_t v;

	if ((op == OP_LT && c == 0) || (op == OP_GT && c == max)) {
		rule_never(x);
		return;
	}
	v = run_value(x, b, r, ordered, &lo, &size);
	switch (op) {
	case OP_EQ: emit_in(x, false, v, size, lo, r->n, c, c); return;
	case OP_NE: emit_in(x, true, v, size, lo, r->n, c, c); return;
	case OP_LT: emit_in(x, false, v, size, lo, r->n, 0, c - 1); return;
	case OP_LE: emit_in(x, false, v, size, lo, r->n, 0, c); return;
	case OP_GT: emit_in(x, false, v, size, lo, r->n, c + 1, max); return;
	default: emit_in(x, false, v, size, lo, r->n, c, max); return;
	}
}

/* A comparison of an unknown byte may turn out either way. Two opaque tests in a row are one. */
static bool opaque_for_unknown(struct nft_ctx *x, unsigned int at, unsigned int n)
{
	const struct imr_rule *r = x->rule;
	unsigned int i = at;

	while (i < at + n && x->regs.b[i].kind != BYTE_UNKNOWN)
		i++;
	if (i == at + n)
		return false;
	if (!x->regs.b[i].why)
		nft_opaque(x, "a register that the rule did not set");
	else if (!r->n || r->insn[r->n - 1].op != OP_OPAQUE)
		imr_stmt(x->imr, x->rule, OP_OPAQUE, x->regs.b[i].why);
	return true;
}

/* eq of several runs: each of them. A constant that differs: the rule goes no further. */
static void cmp_eq(struct nft_ctx *x, const struct nft_byte *b, const uint8_t *data, unsigned int n)
{
	struct run r;

	for (unsigned int i = 0; i < n; i++)
		if (b[i].kind == BYTE_CONST && b[i].at != data[i]) {
			rule_never(x);
			return;
		}
	for (unsigned int i = 0; i < n; i += r.n) {
		r = run_at(b + i, n - i);
		if (b[i].kind == BYTE_VALUE)
			cmp_run(x, OP_EQ, b + i, &r, data + i);
	}
}

/* What is left of a comparison once constants are compared: the one run that decides, -1 none, -2 several. A constant
 * that differs decides alone for eq and ne; for the others it orders what stands before it, and is not simplified. */
static int deciding(const struct nft_byte *b, const uint8_t *data, unsigned int n, bool *ret_differ)
{
	int found = -1;
	struct run r;

	*ret_differ = false;
	for (unsigned int i = 0; i < n; i += r.n) {
		r = run_at(b + i, n - i);
		if (b[i].kind == BYTE_VALUE)
			found = found == -1 ? (int)i : -2;
		for (unsigned int k = i; b[i].kind == BYTE_CONST && k < i + r.n; k++)
			*ret_differ |= b[k].at != data[k];
	}
	return found;
}

static int const_memcmp(const struct nft_byte *b, const uint8_t *data, unsigned int n)
{
	for (unsigned int i = 0; i < n; i++)
		if (b[i].at != data[i])
			return b[i].at < data[i] ? -1 : 1;
	return 0;
}

/* nft_cmp_eval, nft_cmp_fast_eval. */
void nft_reg_cmp(struct nft_ctx *x, enum imr_op op, unsigned int at, const uint8_t *data, unsigned int n)
{
	const struct nft_byte *b = &x->regs.b[at];
	struct run r;
	bool differ;
	int i;

	if (opaque_for_unknown(x, at, n))
		return;
	if (op == OP_EQ) {
		cmp_eq(x, b, data, n);
		return;
	}
	i = deciding(b, data, n, &differ);
	if (i == -1) {
		if (!holds(op, const_memcmp(b, data, n)))
			rule_never(x);
		return;
	}
	if (op == OP_NE && differ)
		return;
	r = run_at(b + (i < 0 ? 0 : i), n - (i < 0 ? 0 : i));
	if (i == -2 || differ) {
		nft_opaque(x, "an inequality over several fields");
		return;
	}
	cmp_run(x, op, b + i, &r, data + i);
}

/* nft_range_eval. */
void nft_reg_range(struct nft_ctx *x, bool outside, unsigned int at, const uint8_t *lo, const uint8_t *hi,
		   unsigned int n)
{
	const struct nft_byte *b = &x->regs.b[at];
	struct run r = run_at(b, n);
	unsigned int start, size;
	u128 first, last;
	uint32_t v;

	if (opaque_for_unknown(x, at, n))
		return;
	if (memcmp(lo, hi, n) > 0 || b->kind != BYTE_VALUE || r.n < n) {
		if (!outside) {		/* both ends must hold: two comparisons */
			nft_reg_cmp(x, OP_GE, at, lo, n);
			if (!x->ended)
				nft_reg_cmp(x, OP_LE, at, hi, n);
		} else if (memcmp(lo, hi, n) <= 0) {
			nft_opaque(x, "a range over several fields");
		}
		return;
	}
	first = data_number(lo, n, false);
	last = data_number(hi, n, false);
	v = run_value(x, b, &r, true, &start, &size);
	emit_in(x, outside, v, size, start, n, first, last);
}
