/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Counters and the shared ends. A verdict's counter goes to its end by way of the record, so that the verifier reads
 * each end once and not once for every rule. A tally is a bit of the record until the packet is dropped.
 */
#include <stddef.h>

#include "select.h"

void be_lookup(struct be_cc *cc, uint32_t map, uint32_t null)
{
	be_store_imm(&cc->e, 4, BPF_REG_10, FP_KEY, 0);
	be_frame(&cc->e, BPF_REG_2, FP_KEY);
	be_ld_map(&cc->e, BPF_REG_1, map);
	be_call(&cc->e, BPF_FUNC_map_lookup_elem);
	be_jmp64(&cc->e, BPF_JEQ, BPF_REG_0, 0, null);
}

/* *(u64 *)(R0 + off) += reg; R3 is lost. The slot is this CPU's own: only who may be preempted needs more. */
static void add_to(struct be_cc *cc, int16_t off, uint8_t reg)
{
	if (cc->view->stack) {
		be_atomic_add(&cc->e, BPF_REG_0, off, reg);
		return;
	}
	be_load(&cc->e, 8, BPF_REG_3, BPF_REG_0, off);
	be_alu64_reg(&cc->e, BPF_ADD, BPF_REG_3, reg);
	be_store(&cc->e, 8, BPF_REG_0, off, BPF_REG_3);
}

/* The key is on the stack. */
static void bump(struct be_cc *cc)
{
	struct be_emit *e = &cc->e;
	uint32_t none = be_label_new(e);

	be_frame(e, BPF_REG_2, FP_KEY);
	be_ld_map(e, BPF_REG_1, cc->map_counters);
	be_call(e, BPF_FUNC_map_lookup_elem);
	be_jmp64(e, BPF_JEQ, BPF_REG_0, 0, none);
	be_mov(e, BPF_REG_1, 1);
	add_to(cc, offsetof(struct be_counter, packets), BPF_REG_1);
	be_load(e, 4, BPF_REG_2, R_REC, REC_LEN);
	add_to(cc, offsetof(struct be_counter, bytes), BPF_REG_2);
	be_label_here(e, none);
}

void be_count(struct be_cc *cc, uint32_t slot)
{
	be_store_imm(&cc->e, 4, BPF_REG_10, FP_KEY, slot);
	bump(cc);
}

static void bump_verdict(struct be_cc *cc)
{
	if (!cc->imr->n_slot)
		return;
	be_load(&cc->e, 4, BPF_REG_1, R_REC, REC_SLOT);
	be_store(&cc->e, 4, BPF_REG_10, FP_KEY, BPF_REG_1);
	bump(cc);
}

static void flush_tallies(struct be_cc *cc)
{
	for (uint32_t i = 0; i < cc->n_tally; i++) {
		uint32_t unset = be_label_new(&cc->e);

		be_load(&cc->e, 4, BPF_REG_1, R_REC, REC_TALLY + i / 32 * 4);
		be_alu32(&cc->e, BPF_AND, BPF_REG_1, 1u << i % 32);
		be_jmp32(&cc->e, BPF_JEQ, BPF_REG_1, 0, unset);
		be_count(cc, cc->tally[i]);
		be_label_here(&cc->e, unset);
	}
}

void be_ends(struct be_cc *cc)
{
	struct be_emit *e = &cc->e;

	e->now = NULL;
	be_label_here(e, cc->drop_new);
	if (cc->use_flow)
		be_ask_flow(cc, cc->pass);
	be_ja(e, cc->drop);
	be_label_here(e, cc->drop_new_count);
	if (cc->use_flow)
		be_ask_flow(cc, cc->pass);
	be_label_here(e, cc->drop_count);
	bump_verdict(cc);
	be_label_here(e, cc->drop);
	flush_tallies(cc);
	be_exit(e, cc->target->verdict_drop);
	be_label_here(e, cc->pass_count);
	bump_verdict(cc);
	be_label_here(e, cc->pass);
	be_exit(e, cc->target->verdict_pass);
	be_label_here(e, cc->odd);
	be_exit(e, cc->early ? cc->target->verdict_pass : cc->target->verdict_drop);
}
