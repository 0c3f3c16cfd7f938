/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A program as text that `llvm-mc -arch=bpf` accepts, each rule a comment before its first instruction. Assembled, it
 * gives the same words, but for the places where the loader writes a map's descriptor.
 */
#include <inttypes.h>

#include "backend.h"

static const char *const alu_ops[16] = {
	[BPF_ADD >> 4] = "+=", [BPF_SUB >> 4] = "-=", [BPF_MUL >> 4] = "*=", [BPF_OR >> 4] = "|=",
	[BPF_AND >> 4] = "&=", [BPF_LSH >> 4] = "<<=", [BPF_RSH >> 4] = ">>=", [BPF_XOR >> 4] = "^=",
	[BPF_MOV >> 4] = "=",
};
static const char *const jmp_ops[16] = {
	[BPF_JEQ >> 4] = "==", [BPF_JNE >> 4] = "!=", [BPF_JGT >> 4] = ">", [BPF_JGE >> 4] = ">=",
	[BPF_JLT >> 4] = "<", [BPF_JLE >> 4] = "<=", [BPF_JSLT >> 4] = "s<", [BPF_JSLE >> 4] = "s<=",
	[BPF_JSGE >> 4] = "s>=", [BPF_JSGT >> 4] = "s>",
};

static const char *size_of(uint8_t code)
{
	switch (BPF_SIZE(code)) {
	case BPF_B:
		return "u8";
	case BPF_H:
		return "u16";
	case BPF_W:
		return "u32";
	default:
		return "u64";
	}
}

static void print_alu(struct strbuf *out, const struct bpf_insn *i)
{
	char r = BPF_CLASS(i->code) == BPF_ALU ? 'w' : 'r';

	if (BPF_OP(i->code) == BPF_END)
		strbuf_add(out, "r%u = %s%d r%u", i->dst_reg, BPF_SRC(i->code) == BPF_TO_BE ? "be" : "le", i->imm,
			   i->dst_reg);
	else if (BPF_SRC(i->code) == BPF_X)
		strbuf_add(out, "%c%u %s %c%u", r, i->dst_reg, alu_ops[BPF_OP(i->code) >> 4], r, i->src_reg);
	else
		strbuf_add(out, "%c%u %s %d", r, i->dst_reg, alu_ops[BPF_OP(i->code) >> 4], i->imm);
}

static void print_jmp(struct strbuf *out, const struct be_prog *p, uint32_t n)
{
	const struct bpf_insn *i = &p->insn[n];
	char r = BPF_CLASS(i->code) == BPF_JMP32 ? 'w' : 'r';
	uint32_t to = n + 1 + i->off;

	switch (BPF_OP(i->code)) {
	case BPF_JA:
		strbuf_add(out, "goto L%u", to);
		return;
	case BPF_CALL:
		strbuf_add(out, "call %d", i->imm);
		if (i->src_reg == BPF_PSEUDO_KFUNC_CALL)
			strbuf_add(out, "\t# %s", p->kfunc[i->imm]);
		return;
	case BPF_EXIT:
		strbuf_add(out, "exit");
		return;
	}
	strbuf_add(out, "if %c%u %s ", r, i->dst_reg, jmp_ops[BPF_OP(i->code) >> 4]);
	if (BPF_SRC(i->code) == BPF_X)
		strbuf_add(out, "%c%u goto L%u", r, i->src_reg, to);
	else
		strbuf_add(out, "%d goto L%u", i->imm, to);
}

static void print_insn(struct strbuf *out, const struct be_prog *p, uint32_t n)
{
	const struct bpf_insn *i = &p->insn[n];

	switch (BPF_CLASS(i->code)) {
	case BPF_LD:
		strbuf_add(out, "r%u = %" PRIu64 " ll", i->dst_reg,
			   (uint64_t)(uint32_t)i[1].imm << 32 | (uint32_t)i->imm);
		if (i->src_reg == BPF_PSEUDO_MAP_FD)
			strbuf_add(out, "\t# map %s", p->map[i->imm].name);
		break;
	case BPF_LDX:
		strbuf_add(out, "r%u = *(%s *)(r%u %+d)", i->dst_reg, size_of(i->code), i->src_reg, i->off);
		break;
	case BPF_STX:
		strbuf_add(out, "*(%s *)(r%u %+d) = r%u", size_of(i->code), i->dst_reg, i->off, i->src_reg);
		break;
	case BPF_ST:
		strbuf_add(out, ".byte 0x%02x, 0x%02x, 0x%02x, 0x%02x; .long %d\t# *(%s *)(r%u %+d) = %d", i->code,
			   ((const uint8_t *)i)[1], ((const uint8_t *)i)[2], ((const uint8_t *)i)[3], i->imm,
			   size_of(i->code), i->dst_reg, i->off, i->imm);
		break;
	case BPF_JMP:
	case BPF_JMP32:
		print_jmp(out, p, n);
		break;
	default:
		print_alu(out, i);
		break;
	}
}

static void mark_targets(const struct be_prog *p, bool *target)
{
	for (uint32_t n = 0; n < p->n; n++) {
		uint8_t code = p->insn[n].code, class = BPF_CLASS(code);

		if ((class == BPF_JMP || class == BPF_JMP32) && BPF_OP(code) != BPF_CALL && BPF_OP(code) != BPF_EXIT)
			target[n + 1 + p->insn[n].off] = true;
		if (code == (BPF_LD | BPF_DW | BPF_IMM))
			n++;
	}
}

static void print_at(struct strbuf *out, const struct imr_at *at)
{
	strbuf_add(out, "\n# %s rule %u", at->where ? at->where : "", at->number);
	if (at->handle)
		strbuf_add(out, " (handle %" PRIu64 ")", at->handle);
	if (at->text) {
		strbuf_add(out, ": ");
		for (const char *s = at->text; *s; s++)
			strbuf_add_bytes(out, (unsigned char)*s < ' ' ? " " : s, 1);
	}
	strbuf_add(out, "\n");
}

void be_asm_print(struct strbuf *out, const struct be_prog *p)
{
	bool *target = arena_alloc(out->arena, p->n + 1);
	const struct imr_at *at = NULL;

	mark_targets(p, target);
	strbuf_add(out, "# %s, %u instructions\n", p->name, p->n);
	for (uint32_t i = 0; i < p->n_map; i++)
		strbuf_add(out, "# map %u %s: type %u, key %u, value %u, %u entries\n", i, p->map[i].name,
			   p->map[i].type, p->map[i].key_size, p->map[i].value_size, p->map[i].max_entries);
	for (uint32_t n = 0; n < p->n; n++) {
		if (p->at[n] != at) {
			at = p->at[n];
			if (at)
				print_at(out, at);
			else
				strbuf_add(out, "\n# shared\n");
		}
		if (target[n])
			strbuf_add(out, "L%u:\n", n);
		strbuf_add(out, "\t");
		print_insn(out, p, n);
		strbuf_add(out, "\n");
		if (p->insn[n].code == (BPF_LD | BPF_DW | BPF_IMM))
			n++;
	}
}
