/* SPDX-License-Identifier: GPL-2.0-only */
/* Classic programs as text in bpf_asm's form: every instruction has its number as a label, and each rule is a comment
 * before its first instruction. */
#include <inttypes.h>

#include "cbpf.h"

static const char *const alu_ops[16] = {
	[BPF_ADD >> 4] = "add", [BPF_SUB >> 4] = "sub", [BPF_OR >> 4] = "or", [BPF_AND >> 4] = "and",
	[BPF_LSH >> 4] = "lsh", [BPF_RSH >> 4] = "rsh", [BPF_XOR >> 4] = "xor",
};

static const char *extension(uint32_t k)
{
	switch (k - (uint32_t)SKF_AD_OFF) {
	case SKF_AD_PROTOCOL:
		return "proto";
	case SKF_AD_MARK:
		return "mark";
	case SKF_AD_VLAN_TAG:
		return "vlan_tci";
	case SKF_AD_VLAN_TAG_PRESENT:
		return "vlan_avail";
	case SKF_AD_VLAN_TPID:
		return "vlan_tpid";
	default:
		return NULL;
	}
}

static void print_load(struct strbuf *out, const struct sock_filter *i)
{
	const char *size = BPF_SIZE(i->code) == BPF_W ? "" : BPF_SIZE(i->code) == BPF_H ? "h" : "b";

	switch (BPF_MODE(i->code)) {
	case BPF_IMM:
		strbuf_add(out, "ld #%" PRIu32, i->k);
		break;
	case BPF_LEN:
		strbuf_add(out, "ld len");
		break;
	case BPF_MEM:
		strbuf_add(out, "ld M[%" PRIu32 "]", i->k);
		break;
	case BPF_IND:
		strbuf_add(out, "ld%s [x + %" PRIu32 "]", size, i->k);
		break;
	default:
		if (extension(i->k))
			strbuf_add(out, "ld %s", extension(i->k));
		else
			strbuf_add(out, "ld%s [%" PRIu32 "]", size, i->k);
	}
}

static void print_index(struct strbuf *out, const struct sock_filter *i)
{
	if (BPF_MODE(i->code) == BPF_MSH)
		strbuf_add(out, "ldxb 4*([%" PRIu32 "]&0xf)", i->k);
	else if (BPF_MODE(i->code) == BPF_MEM)
		strbuf_add(out, "ldx M[%" PRIu32 "]", i->k);
	else
		strbuf_add(out, "ldx len");
}

static void print_jump(struct strbuf *out, const struct sock_filter *i, uint32_t n)
{
	const char *op = BPF_OP(i->code) == BPF_JEQ ? "jeq" : BPF_OP(i->code) == BPF_JGT ? "jgt" : "jge";

	if (BPF_OP(i->code) == BPF_JA)
		strbuf_add(out, "ja L%" PRIu32, n + 1 + i->k);
	else if (BPF_SRC(i->code) == BPF_X)
		strbuf_add(out, "%s x, L%" PRIu32 ", L%" PRIu32, op, n + 1 + i->jt, n + 1 + i->jf);
	else
		strbuf_add(out, "%s #0x%" PRIx32 ", L%" PRIu32 ", L%" PRIu32, op, i->k, n + 1 + i->jt, n + 1 + i->jf);
}

static void print_insn(struct strbuf *out, const struct sock_filter *i, uint32_t n)
{
	switch (BPF_CLASS(i->code)) {
	case BPF_LD:
		print_load(out, i);
		break;
	case BPF_LDX:
		print_index(out, i);
		break;
	case BPF_ST:
		strbuf_add(out, "st M[%" PRIu32 "]", i->k);
		break;
	case BPF_ALU:
		strbuf_add(out, BPF_SRC(i->code) == BPF_X ? "%s x" : "%s #0x%" PRIx32, alu_ops[BPF_OP(i->code) >> 4],
			   i->k);
		break;
	case BPF_JMP:
		print_jump(out, i, n);
		break;
	case BPF_RET:
		strbuf_add(out, "ret #%" PRId32, (int32_t)i->k);
		break;
	default:
		strbuf_add(out, BPF_MISCOP(i->code) == BPF_TAX ? "tax" : "txa");
	}
}

static void print_at(struct strbuf *out, const struct imr_at *at)
{
	if (at->number)
		strbuf_add(out, "; %s rule %" PRIu32, at->where ? at->where : "?", at->number);
	else
		strbuf_add(out, "; %s policy", at->where ? at->where : "?");
	if (at->text)
		strbuf_add(out, ": %s", at->text);
	strbuf_add(out, "\n");
}

void be_cbpf_print(struct strbuf *out, const struct be_prog *p)
{
	for (uint32_t f = 0; f < p->n_filter; f++) {
		const struct be_filter *b = &p->filter[f];
		const struct imr_at *at = NULL;

		strbuf_add(out, "; filter %" PRIu32 " of %" PRIu32 ", %" PRIu32 " instructions\n", f + 1, p->n_filter,
			   b->n);
		for (uint32_t n = 0; n < b->n; n++) {
			if (b->at[n] && b->at[n] != at)
				print_at(out, b->at[n]);
			at = b->at[n];
			strbuf_add(out, "L%" PRIu32 ":\t", n);
			print_insn(out, &b->insn[n], n);
			strbuf_add(out, "\n");
		}
	}
}
