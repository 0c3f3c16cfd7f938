/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The loader: the half with file descriptors and privileges. It knows no rules and no IMR: it takes programs, maps and
 * texts as values. Functions return 0 (or a descriptor) or -errno, with a diagnostic that names the call.
 */
#ifndef FWJIT_LOADER_H
#define FWJIT_LOADER_H

#include "backend.h"

/* cleanup.h-style attributes */
void ld_closep(int *fd);
void ld_freep(void *p);
#define _cleanup_close_ __attribute__((cleanup(ld_closep)))
#define _cleanup_free_ __attribute__((cleanup(ld_freep)))

/* bpf.c: bpf(2), with what the installed libbpf and headers lack. */
int ld_map_create(const struct be_map *m);
int ld_map_update(int fd, const void *key, const void *value);
int ld_map_lookup(int fd, const void *key, void *ret_value);

/* caps.c: what the running kernel and the caller allow, by trying each with the smallest program, once. */
struct ld_probe {		/* why a cap is missing, beside struct caps */
	struct caps caps;
	struct { const char *key; int err; const char *how; } row[64];
	uint32_t n;
	bool init_userns, owns_netns;
	int unprivileged_bpf_disabled;	/* -1: no such sysctl */
	uint64_t effective;		/* capability bits, libcap's numbers */
};
void ld_probe(struct ld_probe *ret);
/* profile.c: the semantics profile of the running kernel, found with packets in a scratch namespace; where the caller
 * may not make one, the values of a current kernel and -EPERM. */
int ld_profile(struct imr_profile *ret);

/* load.c: maps made and filled, program verified. On a refusal by the verifier, the diagnostic names the rule. */
struct ld_prog {
	int fd;
	uint32_t id;
	uint32_t n_map;
	int map_fd[8];
	enum be_role role[8];
	uint32_t verified_insns;	/* instructions processed by the verifier; 0 unknown */
};
int ld_load(const struct be_prog *p, struct diags *ds, struct ld_prog *ret);
void ld_prog_close(struct ld_prog *p);
int ld_role_fd(const struct ld_prog *p, enum be_role role);	/* -1: none */

/* run.c: one packet through a loaded program (BPF_PROG_TEST_RUN). Returns its return code or -errno. */
int ld_test_run(int prog_fd, const void *frame, uint32_t len, uint32_t ifindex);

/* attach.c, state.c: our programs on the machine: links and maps pinned under the BPF file system, with a small state
 * file of what they are (text form of the slots, how it was made), all or nothing. */
struct ld_state {		/* one attachment */
	char id[64];		/* "xdp-v0" */
	char target[16];
	char dev[16];
	uint32_t ifindex, prog_id;
	bool native;
	const char *meta;	/* what main stored with it, opaque to the loader */
	size_t meta_len;
};
int ld_xdp_attach(struct arena *a, struct diags *ds, const struct ld_prog *prog, const char *dev, bool generic,
		  const void *meta, size_t meta_len);
int ld_detach(struct diags *ds, const char *id);
int ld_state_list(struct arena *a, struct diags *ds, struct ld_state **ret, uint32_t *ret_n);
/* Counters of an attachment, summed over CPUs. */
int ld_state_counters(struct diags *ds, const char *id, struct be_counter *ret, uint32_t n);
int ld_state_gate(const char *id, uint32_t value);

/* env.c: addresses, forwarding and what sits on a device, for a slice. -EBUSY with a diagnostic where something between
 * XDP and the rules may change or redirect packets (bridge, tc, VLAN device over an offload). */
int ld_env(struct arena *a, struct diags *ds, const char *dev, struct imr_env *ret);

#endif
