/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A dispatcher: where the kernel cannot change the program of a link, the link runs this one for ever, and this one
 * jumps to what is in slot 0 of an array. Storing another program there is one step for every packet. Where nothing is in
 * the slot, which is only before the first and after the last program, it gives the verdict that it was made with.
 */
#include <errno.h>
#include <string.h>

#include <bpf/bpf.h>

#include "priv.h"

static const struct bpf_insn jump[] = {
	{ .code = BPF_LD | BPF_IMM | BPF_DW, .dst_reg = 2, .src_reg = BPF_PSEUDO_MAP_FD, .imm = 0 },
	{ 0 },
	{ .code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = 3, .imm = 0 },
	{ .code = BPF_JMP | BPF_CALL, .imm = BPF_FUNC_tail_call },
	{ .code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = 0 },
	{ .code = BPF_JMP | BPF_EXIT },
};
#define N_JUMP (sizeof(jump) / sizeof(jump[0]))

int ld_dispatch_make(struct diags *ds, uint32_t type, uint32_t attach_type, uint32_t otherwise, struct ld_dispatch *ret)
{
	static const struct imr_at *const nowhere[N_JUMP];
	struct be_map slots = {
		.name = "fwjit_slots", .type = BPF_MAP_TYPE_PROG_ARRAY, .key_size = 4, .value_size = 4, .max_entries = 1,
	};
	enum be_role role = BE_MAP_OTHER;
	struct bpf_insn insn[N_JUMP];
	struct be_prog p = {
		.name = "fwjit_dispatch", .type = type, .attach_type = attach_type, .n = N_JUMP, .insn = insn,
		.at = (const struct imr_at **)nowhere, .n_map = 1, .map = &slots, .role = &role,
	};
	int err;

	memcpy(insn, jump, sizeof(insn));
	insn[N_JUMP - 2].imm = otherwise;
	err = ld_load(&p, ds, &ret->prog);
	ret->slots_fd = err ? -1 : ret->prog.map_fd[0];
	return err;
}

int ld_dispatch_set(int slots_fd, int prog_fd)
{
	uint32_t key = 0, fd = prog_fd;

	return ld_map_update(slots_fd, &key, &fd);
}

int ld_dispatch_pin(const char *dir, const struct ld_dispatch *d)
{
	int err;

	ld_pin_drop(dir, "dispatch");
	ld_pin_drop(dir, "slots");
	err = ld_pin_put(dir, "dispatch", d->prog.fd);
	return err ? err : ld_pin_put(dir, "slots", d->slots_fd);
}

/* The array belongs to the dispatcher if that says so itself. */
static int is_slots_of(int prog_fd, uint32_t dispatch_id, int slots_fd)
{
	struct bpf_map_info m = { 0 };
	struct bpf_prog_info p = { 0 };
	uint32_t id = 0, len = sizeof(m);

	if (bpf_obj_get_info_by_fd(slots_fd, &m, &len) < 0)
		return -errno;
	p.nr_map_ids = 1;
	p.map_ids = (uint64_t)(uintptr_t)&id;
	len = sizeof(p);
	if (bpf_obj_get_info_by_fd(prog_fd, &p, &len) < 0)
		return -errno;
	return p.id == dispatch_id && p.nr_map_ids == 1 && id == m.id ? 0 : -EBADMSG;
}

int ld_dispatch_get(const char *dir, uint32_t dispatch_id, uint32_t *ret_prog_id)
{
	_cleanup_close_ int prog = ld_pin_get(dir, "dispatch"), slots = ld_pin_get(dir, "slots");
	uint32_t key = 0;
	int err = prog < 0 ? prog : slots < 0 ? slots : is_slots_of(prog, dispatch_id, slots);

	return err ? err : ld_map_lookup(slots, &key, ret_prog_id);
}
