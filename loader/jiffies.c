/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The kernel's jiffies64, which user space has no call for: a program of four instructions stores it in a map. Gates are
 * compared with it because reading it costs a program nothing.
 */
#include <errno.h>
#include <string.h>
#include <time.h>

#include <bpf/bpf.h>

#include "priv.h"

int ld_jiffies_open(struct diags *ds, struct ld_jiffies *ret)
{
	const struct be_map map = { .name = "jiffies", .type = BPF_MAP_TYPE_ARRAY, .key_size = 4, .value_size = 8, .max_entries = 1 };
	struct bpf_insn insn[] = {
		{ .code = BPF_JMP | BPF_CALL, .imm = BPF_FUNC_jiffies64 },
		{ .code = BPF_LD | BPF_DW | BPF_IMM, .dst_reg = 1, .src_reg = BPF_PSEUDO_MAP_VALUE },
		{ 0 },
		{ .code = BPF_STX | BPF_MEM | BPF_DW, .dst_reg = 1, .src_reg = 0 },
		{ .code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = 0, .imm = XDP_PASS },
		{ .code = BPF_JMP | BPF_EXIT },
	};

	ret->prog_fd = -1;
	ret->map_fd = ld_map_create(&map);
	if (ret->map_fd >= 0) {
		insn[1].imm = ret->map_fd;
		ret->prog_fd = ld_sys_prog(BPF_PROG_TYPE_XDP, "jiffies", insn, sizeof(insn) / sizeof(*insn), NULL);
	}
	if (ret->prog_fd >= 0)
		return 0;
	diag_add(ds, DIAG_ERROR, NULL, "the kernel's clock for gates cannot be read: %s",
		 strerror(ret->map_fd < 0 ? -ret->map_fd : -ret->prog_fd));
	ld_jiffies_close(ret);
	return -EPERM;
}

/* A tick, in milliseconds, is the resolution of the coarse clocks. */
static uint64_t ticks(unsigned int ms)
{
	struct timespec tick;

	if (clock_getres(CLOCK_MONOTONIC_COARSE, &tick) || tick.tv_sec || tick.tv_nsec <= 0)
		return 0;
	return ms * 1000000ull / tick.tv_nsec;
}

uint64_t ld_jiffies_in(const struct ld_jiffies *j, unsigned int ms)
{
	uint8_t frame[64] = { 0 };
	uint32_t key = 0;
	uint64_t now;

	if (ld_test_run(j->prog_fd, frame, sizeof(frame), 0) != XDP_PASS || ld_map_lookup(j->map_fd, &key, &now))
		return 0;
	return now + ticks(ms);
}

void ld_jiffies_close(struct ld_jiffies *j)
{
	ld_closep(&j->prog_fd);
	ld_closep(&j->map_fd);
}
