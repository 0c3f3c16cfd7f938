/* SPDX-License-Identifier: GPL-2.0-only */
/* Classic filters in the kernel: a network namespace of its own with a pair of devices, v0 and v1. */
#ifndef FWJIT_CBPF_LIVE_H
#define FWJIT_CBPF_LIVE_H

#include "backend.h"

struct cbpf_live {
	int rtnl, packet;		/* packet: sends on the device it is told */
	uint32_t v0, v1;		/* indices */
	uint32_t seq;
	bool egress;
	uint32_t drops;			/* so far, of v0's clsact */
};

/* Moves the process into a namespace of its own. Returns 0 or -errno. */
int cbpf_live_open(struct cbpf_live *ret);
/* In the place of what v0 had. Returns 0 or -errno. */
int cbpf_live_install(struct cbpf_live *l, const struct be_prog *p, bool egress);
/* 1: the frame, which v0 receives (or sends), is dropped; 0: it is not; -errno. */
int cbpf_live_drops(struct cbpf_live *l, const uint8_t *frame, uint32_t len);

#endif
