/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The instruction buffer: appends, and resolves jumps. A forward jump waits in `ref` until its label is placed or a
 * pool gives it an island; a backward jump is resolved at once. Every offset is checked where it is written: one that
 * does not fit sets `overflow`, which the compiler turns into a refusal.
 */
#include <assert.h>
#include <endian.h>
#include <string.h>

#include "emit.h"

#define POOL_AGE 6000	/* a jump that has waited less reaches the next pool */

void be_emit_init(struct be_emit *e, struct arena *a)
{
	memset(e, 0, sizeof(*e));
	e->arena = a;
}

static uint32_t grown(uint32_t cap)
{
	return cap ? cap * 2 : 256;
}

static uint32_t add(struct be_emit *e, uint8_t code, uint8_t dst, uint8_t src, int16_t off, int32_t imm)
{
	if (e->n == e->cap) {
		uint32_t cap = grown(e->cap);

		e->insn = arena_grow(e->arena, e->insn, e->cap * sizeof(*e->insn), cap * sizeof(*e->insn));
		e->at = arena_grow(e->arena, e->at, e->cap * sizeof(*e->at), cap * sizeof(*e->at));
		e->cap = cap;
	}
	e->insn[e->n] = (struct bpf_insn){ .code = code, .dst_reg = dst, .src_reg = src, .off = off, .imm = imm };
	e->at[e->n] = e->now;
	return e->n++;
}

uint32_t be_label_new(struct be_emit *e)
{
	if (e->n_label == e->cap_label) {
		uint32_t cap = grown(e->cap_label);

		e->label = arena_grow(e->arena, e->label, e->cap_label * sizeof(*e->label), cap * sizeof(*e->label));
		e->cap_label = cap;
	}
	e->label[e->n_label] = (struct be_label){ .at = -1 };
	return e->n_label++;
}

static void resolve(struct be_emit *e, uint32_t insn, uint32_t target)
{
	int64_t off = (int64_t)target - insn - 1;

	if (off < INT16_MIN || off > INT16_MAX)
		e->overflow = true;
	e->insn[insn].off = off;
}

static void resolve_list(struct be_emit *e, uint32_t label, uint32_t target)
{
	for (uint32_t i = e->label[label].ref; i; i = e->ref[i].next)
		resolve(e, e->ref[i].insn, target);
	e->label[label].ref = 0;
}

void be_label_here(struct be_emit *e, uint32_t label)
{
	assert(e->label[label].at < 0);
	e->label[label].at = e->n;
	resolve_list(e, label, e->n);
}

static void refer(struct be_emit *e, uint32_t insn, uint32_t label)
{
	if (e->label[label].at >= 0) {
		resolve(e, insn, e->label[label].at);
		return;
	}
	if (e->n_ref + 1 >= e->cap_ref) {
		uint32_t cap = grown(e->cap_ref);

		e->ref = arena_grow(e->arena, e->ref, e->cap_ref * sizeof(*e->ref), cap * sizeof(*e->ref));
		e->cap_ref = cap;
	}
	e->ref[++e->n_ref] = (struct be_ref){ insn, e->label[label].ref };
	e->label[label].ref = e->n_ref;
}

/* The first of the jumps that wait for a label */
static uint32_t oldest(const struct be_emit *e, uint32_t label)
{
	uint32_t ret = e->n;

	for (uint32_t i = e->label[label].ref; i; i = e->ref[i].next)
		ret = e->ref[i].insn;
	return ret;
}

void be_pool(struct be_emit *e)
{
	uint32_t here = e->n;

	for (uint32_t l = 0; l < e->n_label; l++) {
		if (here - oldest(e, l) <= POOL_AGE || !e->label[l].ref)
			continue;
		resolve_list(e, l, e->n);
		be_ja(e, l);
	}
}

void be_alu64(struct be_emit *e, uint8_t op, uint8_t dst, int32_t imm)
{
	add(e, BPF_ALU64 | BPF_K | op, dst, 0, 0, imm);
}

void be_alu32(struct be_emit *e, uint8_t op, uint8_t dst, uint32_t imm)
{
	add(e, BPF_ALU | BPF_K | op, dst, 0, 0, imm);
}

void be_alu64_reg(struct be_emit *e, uint8_t op, uint8_t dst, uint8_t src)
{
	add(e, BPF_ALU64 | BPF_X | op, dst, src, 0, 0);
}

void be_mov(struct be_emit *e, uint8_t dst, int32_t imm)
{
	be_alu64(e, BPF_MOV, dst, imm);
}

void be_mov_reg(struct be_emit *e, uint8_t dst, uint8_t src)
{
	be_alu64_reg(e, BPF_MOV, dst, src);
}

void be_frame(struct be_emit *e, uint8_t dst, int32_t off)
{
	be_mov_reg(e, dst, BPF_REG_10);
	be_alu64(e, BPF_ADD, dst, off);
}

void be_const(struct be_emit *e, uint8_t dst, uint64_t v)
{
	if (v <= INT32_MAX) {
		be_mov(e, dst, v);
	} else if (v <= UINT32_MAX) {
		be_alu32(e, BPF_MOV, dst, v);
	} else {
		add(e, BPF_LD | BPF_DW | BPF_IMM, dst, 0, 0, (uint32_t)v);
		add(e, 0, 0, 0, 0, v >> 32);
	}
}

void be_ld_map(struct be_emit *e, uint8_t dst, uint32_t map)
{
	add(e, BPF_LD | BPF_DW | BPF_IMM, dst, BPF_PSEUDO_MAP_FD, 0, map);
	add(e, 0, 0, 0, 0, 0);
}

static uint8_t width(unsigned int size)
{
	switch (size) {
	case 1:
		return BPF_B;
	case 2:
		return BPF_H;
	case 4:
		return BPF_W;
	default:
		assert(size == 8);
		return BPF_DW;
	}
}

void be_load(struct be_emit *e, unsigned int size, uint8_t dst, uint8_t base, int16_t off)
{
	add(e, BPF_LDX | BPF_MEM | width(size), dst, base, off, 0);
}

void be_store(struct be_emit *e, unsigned int size, uint8_t base, int16_t off, uint8_t src)
{
	add(e, BPF_STX | BPF_MEM | width(size), base, src, off, 0);
}

void be_store_imm(struct be_emit *e, unsigned int size, uint8_t base, int16_t off, int32_t imm)
{
	add(e, BPF_ST | BPF_MEM | width(size), base, 0, off, imm);
}

void be_to_host(struct be_emit *e, unsigned int size, uint8_t reg)
{
	if (size > 1)
		add(e, BPF_ALU | BPF_END | BPF_TO_BE, reg, 0, 0, size * 8);
}

void be_swap64(struct be_emit *e, uint8_t reg)
{
	add(e, BPF_ALU | BPF_END | (BYTE_ORDER == LITTLE_ENDIAN ? BPF_TO_BE : BPF_TO_LE), reg, 0, 0, 64);
}

void be_jmp64(struct be_emit *e, uint8_t op, uint8_t dst, int32_t imm, uint32_t label)
{
	refer(e, add(e, BPF_JMP | BPF_K | op, dst, 0, 0, imm), label);
}

void be_jmp32(struct be_emit *e, uint8_t op, uint8_t dst, uint32_t imm, uint32_t label)
{
	refer(e, add(e, BPF_JMP32 | BPF_K | op, dst, 0, 0, imm), label);
}

void be_jmp64_reg(struct be_emit *e, uint8_t op, uint8_t dst, uint8_t src, uint32_t label)
{
	refer(e, add(e, BPF_JMP | BPF_X | op, dst, src, 0, 0), label);
}

void be_ja(struct be_emit *e, uint32_t label)
{
	refer(e, add(e, BPF_JMP | BPF_JA, 0, 0, 0, 0), label);
}

void be_call(struct be_emit *e, uint32_t func)
{
	add(e, BPF_JMP | BPF_CALL, 0, 0, 0, func);
}

void be_atomic_add(struct be_emit *e, uint8_t base, int16_t off, uint8_t src)
{
	add(e, BPF_STX | BPF_ATOMIC | BPF_DW, base, src, off, BPF_ADD);
}

void be_load_field(struct be_emit *e, unsigned int size, uint8_t dst, uint8_t base, const char *field)
{
	if (e->n_reloc == e->cap_reloc) {
		uint32_t cap = e->cap_reloc ? e->cap_reloc * 2 : 8;

		e->reloc = arena_grow(e->arena, e->reloc, e->cap_reloc * sizeof(*e->reloc), cap * sizeof(*e->reloc));
		e->cap_reloc = cap;
	}
	e->reloc[e->n_reloc++] = (struct be_reloc){ e->n, field };
	be_load(e, size, dst, base, 0);
}

void be_kfunc(struct be_emit *e, const char *name)
{
	uint32_t i = 0;

	while (i < e->n_kfunc && strcmp(e->kfunc[i], name))
		i++;
	if (i == e->n_kfunc)
		e->kfunc[e->n_kfunc++] = name;
	add(e, BPF_JMP | BPF_CALL, 0, BPF_PSEUDO_KFUNC_CALL, 0, i);
}

void be_exit(struct be_emit *e, uint32_t code)
{
	be_mov(e, BPF_REG_0, code);
	add(e, BPF_JMP | BPF_EXIT, 0, 0, 0, 0);
}

static bool is_wide(const struct bpf_insn *i)
{
	return i->code == (BPF_LD | BPF_DW | BPF_IMM);
}

static bool is_jump(const struct bpf_insn *i)
{
	uint8_t class = BPF_CLASS(i->code);

	return (class == BPF_JMP || class == BPF_JMP32) && BPF_OP(i->code) != BPF_CALL && BPF_OP(i->code) != BPF_EXIT;
}

/* What follows instruction n: at most two; the second of them a jump's target. */
static unsigned int successors(const struct be_emit *e, uint32_t n, uint32_t ret[2])
{
	const struct bpf_insn *i = &e->insn[n];
	unsigned int k = 0;

	if (i->code == (BPF_JMP | BPF_EXIT))
		return 0;
	if (i->code != (BPF_JMP | BPF_JA))
		ret[k++] = n + 1 + is_wide(i);
	if (is_jump(i))
		ret[k++] = n + 1 + i->off;
	return k;
}

static void reach(const struct be_emit *e, bool *reached)
{
	uint32_t *todo = arena_alloc(e->arena, (e->n + 2) * sizeof(*todo)), n_todo = 1, to[2];

	reached[0] = true;
	while (n_todo) {
		unsigned int k = successors(e, todo[--n_todo], to);

		while (k--) {
			if (reached[to[k]])
				continue;
			reached[to[k]] = true;
			todo[n_todo++] = to[k];
		}
	}
	for (uint32_t n = 0; n < e->n; n++)
		if (reached[n] && is_wide(&e->insn[n]))
			reached[n + 1] = true;
}

void be_prune(struct be_emit *e)
{
	bool *reached = arena_alloc(e->arena, e->n + 1);
	uint32_t *at = arena_alloc(e->arena, (e->n + 1) * sizeof(*at)), kept = 0, insns;

	reach(e, reached);
	for (uint32_t n = 0; n < e->n; n++) {
		at[n] = kept;
		kept += reached[n];
	}
	for (uint32_t n = 0; n < e->n; n++) {
		struct bpf_insn i = e->insn[n];

		if (!reached[n])
			continue;
		if (is_jump(&i))
			i.off = at[n + 1 + i.off] - at[n] - 1;
		e->insn[at[n]] = i;
		e->at[at[n]] = e->at[n];
	}
	insns = kept;
	for (uint32_t n = kept = 0; n < e->n_reloc; n++)
		if (reached[e->reloc[n].insn])
			e->reloc[kept++] = (struct be_reloc){ at[e->reloc[n].insn], e->reloc[n].field };
	e->n_reloc = kept;
	e->n = insns;
}
