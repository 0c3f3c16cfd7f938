/* SPDX-License-Identifier: GPL-2.0-only */
/* One packet through a loaded program, without a device: BPF_PROG_TEST_RUN. */
#include <errno.h>

#include <bpf/bpf.h>

#include "priv.h"

int ld_test_run(int prog_fd, const void *frame, uint32_t len, uint32_t ifindex)
{
	struct xdp_md ctx = { .data_end = len, .ingress_ifindex = ifindex };
	LIBBPF_OPTS(bpf_test_run_opts, opts, .data_in = frame, .data_size_in = len, .repeat = 1);

	/* The kernel's own choice, the loopback device, needs no context. */
	if (ifindex > 1) {
		opts.ctx_in = &ctx;
		opts.ctx_size_in = sizeof(ctx);
	}
	if (bpf_prog_test_run_opts(prog_fd, &opts) < 0)
		return -errno;
	return (int)opts.retval;
}
