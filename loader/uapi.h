/* SPDX-License-Identifier: GPL-2.0-only */
/* Constants of the kernel's interface that the oldest headers we build with do not have. The values are the
 * kernel's. */
#ifndef FWJIT_UAPI_H
#define FWJIT_UAPI_H

#define UAPI_BPF_FS_MAGIC	0xcafe4a11U	/* statfs of a BPF file system */
#define UAPI_PROC_USER_INIT_INO	4026531837UL	/* inode of the initial user namespace */
#define UAPI_BPF_TCX_INGRESS	46		/* enum bpf_attach_type, Linux 6.6 */
#define UAPI_BPF_LOG_LEVEL1	1		/* verifier log of the failing path */
#define UAPI_LINE_NUM(line)	((line) << 10)	/* bpf_line_info.line_col: columns have 10 bits */

#endif
