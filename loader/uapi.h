/* SPDX-License-Identifier: GPL-2.0-only */
/* Constants of the kernel's interface that the oldest headers we build with do not have. The values are the
 * kernel's. */
#ifndef FWJIT_UAPI_H
#define FWJIT_UAPI_H

#include <stdint.h>

#define UAPI_BPF_FS_MAGIC	0xcafe4a11U	/* statfs of a BPF file system */
#define UAPI_PROC_USER_INIT_INO	4026531837UL	/* inode of the initial user namespace */
/* enum bpf_prog_type, bpf_attach_type, bpf_link_type and flags: Linux 6.4, tcx 6.6 */
#define UAPI_BPF_PROG_TYPE_NETFILTER	32
#define UAPI_BPF_NETFILTER		45
#define UAPI_BPF_TCX_INGRESS		46
#define UAPI_BPF_TCX_EGRESS		47
#define UAPI_BPF_LINK_TYPE_CGROUP	3
#define UAPI_BPF_LINK_TYPE_XDP		6
#define UAPI_BPF_LINK_TYPE_NETFILTER	10
#define UAPI_BPF_LINK_TYPE_TCX		11
#define UAPI_BPF_F_BEFORE		(1U << 3)
#define UAPI_BPF_F_AFTER		(1U << 4)
#define UAPI_CGROUP2_MAGIC		0x63677270U	/* statfs of cgroup v2 */
#define UAPI_BPF_TOKEN_CREATE	36		/* enum bpf_cmd, Linux 6.9 */
#define UAPI_BPF_F_TOKEN_FD	(1U << 16)	/* in the flags of PROG_LOAD, MAP_CREATE, BTF_LOAD */
#define UAPI_BPF_PROG_TOKEN_AT	144		/* offsets of the token's descriptor in union bpf_attr */
#define UAPI_BPF_MAP_TOKEN_AT	76
#define UAPI_BPF_BTF_FLAGS_AT	32
#define UAPI_BPF_BTF_TOKEN_AT	36
#define UAPI_BPF_LOG_LEVEL1	1		/* verifier log of the failing path */
#define UAPI_LINE_NUM(line)	((line) << 10)	/* bpf_line_info.line_col: columns have 10 bits */

/* BPF_LINK_CREATE's part of union bpf_attr. */
struct uapi_link_create {
	uint32_t prog_fd, target, attach_type, flags;
	union {
		struct { uint32_t pf, hooknum; int32_t priority; uint32_t flags; } netfilter;
		struct { uint32_t relative, pad; uint64_t expected_revision; } tcx;
	};
};

/* struct bpf_link_info */
struct uapi_link_info {
	uint32_t type, id, prog_id, pad;
	union {
		struct { uint32_t ifindex, attach_type; } dev;	/* XDP has no attach_type */
		struct { uint64_t id; uint32_t attach_type; } cgroup;
		struct { uint32_t pf, hooknum; int32_t priority; uint32_t flags; } netfilter;
		uint8_t room[64];
	};
};

#endif
