/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The instruction buffer of the eBPF targets: instructions, labels, and which rule each instruction came from. Jumps
 * reach 32,767 instructions; what leads further goes by islands (be_pool), so that no target needs the long jump that
 * only newer kernels have. The buffer grows in the arena and knows nothing of rules.
 */
#ifndef FWJIT_EMIT_H
#define FWJIT_EMIT_H

#include "backend.h"

struct be_label {
	int32_t at;	/* -1: not placed yet */
	uint32_t ref;	/* the jumps that wait for it */
};

struct be_ref {
	uint32_t insn, next;
};

struct be_emit {
	struct arena *arena;
	uint32_t n, cap;
	struct bpf_insn *insn;
	const struct imr_at **at;
	const struct imr_at *now;	/* whom the next instructions are blamed on */
	uint32_t n_label, cap_label;
	struct be_label *label;
	uint32_t n_ref, cap_ref;
	struct be_ref *ref;		/* jumps to labels not placed yet; 0 ends a list */
	uint32_t n_reloc, cap_reloc;
	struct be_reloc *reloc;
	uint32_t n_kfunc;
	const char *kfunc[BE_KFUNC_MAX];
	bool overflow;			/* some jump was out of reach */
};


void be_emit_init(struct be_emit *e, struct arena *a);
uint32_t be_label_new(struct be_emit *e);
void be_label_here(struct be_emit *e, uint32_t label);
/* Jumps that have waited for long go by an island placed here. Called at least every 20,000 instructions; control must
 * not fall into it. */
void be_pool(struct be_emit *e);
/* Takes out what no way leads to (the verifier refuses it). Every label was placed. */
void be_prune(struct be_emit *e);

/* One function for each instruction class; `op` is the BPF_ADD … or BPF_JEQ … part alone, `size` in bytes. */
void be_alu64(struct be_emit *e, uint8_t op, uint8_t dst, int32_t imm);
void be_alu32(struct be_emit *e, uint8_t op, uint8_t dst, uint32_t imm);
void be_alu64_reg(struct be_emit *e, uint8_t op, uint8_t dst, uint8_t src);
void be_mov(struct be_emit *e, uint8_t dst, int32_t imm);
void be_mov_reg(struct be_emit *e, uint8_t dst, uint8_t src);
void be_frame(struct be_emit *e, uint8_t dst, int32_t off);	/* a place on the stack */
void be_const(struct be_emit *e, uint8_t dst, uint64_t v);	/* one instruction where it fits */
void be_ld_map(struct be_emit *e, uint8_t dst, uint32_t map);
void be_load(struct be_emit *e, unsigned int size, uint8_t dst, uint8_t base, int16_t off);
void be_store(struct be_emit *e, unsigned int size, uint8_t base, int16_t off, uint8_t src);
void be_store_imm(struct be_emit *e, unsigned int size, uint8_t base, int16_t off, int32_t imm);
void be_atomic_add(struct be_emit *e, uint8_t base, int16_t off, uint8_t src);	/* eight bytes */
void be_load_field(struct be_emit *e, unsigned int size, uint8_t dst, uint8_t base, const char *field);	/* be_reloc */
void be_to_host(struct be_emit *e, unsigned int size, uint8_t reg);	/* network order to a number; 1: nothing */
void be_swap64(struct be_emit *e, uint8_t reg);	/* the eight bytes reversed */
void be_jmp64(struct be_emit *e, uint8_t op, uint8_t dst, int32_t imm, uint32_t label);
void be_jmp32(struct be_emit *e, uint8_t op, uint8_t dst, uint32_t imm, uint32_t label);
void be_jmp64_reg(struct be_emit *e, uint8_t op, uint8_t dst, uint8_t src, uint32_t label);
void be_ja(struct be_emit *e, uint32_t label);
void be_call(struct be_emit *e, uint32_t func);
void be_kfunc(struct be_emit *e, const char *name);	/* a kernel function: at most BE_KFUNC_MAX different ones */
void be_exit(struct be_emit *e, uint32_t code);

#endif
