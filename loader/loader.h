/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The loader: the half with file descriptors and privileges. It knows no rules and no IMR: it takes programs, maps and
 * texts as values. Functions return 0 (or a descriptor) or -errno, with a diagnostic that names the call.
 */
#ifndef FWJIT_LOADER_H
#define FWJIT_LOADER_H

#include <sys/types.h>

#include "backend.h"

/* cleanup.h-style attributes */
void ld_closep(int *fd);
void ld_freep(void *p);
#define _cleanup_close_ __attribute__((cleanup(ld_closep)))
#define _cleanup_free_ __attribute__((cleanup(ld_freep)))

/* bpf.c: bpf(2) by libbpf, with what many callers would repeat. */
int ld_map_create(const struct be_map *m);
int ld_map_update(int fd, const void *key, const void *value);
int ld_map_lookup(int fd, const void *key, void *ret_value);
/* Contents of a be_map into a fresh map of that shape. */
int ld_map_fill(int fd, const struct be_map *m);
struct ld_map_shape { uint32_t type, key_size, value_size, max_entries; };
int ld_map_shape(int fd, struct ld_map_shape *ret);
/* A per-CPU array of be_counter, n slots, summed over CPUs. */
int ld_counters_read(int fd, struct be_counter *ret, uint32_t n);
/* Id, and name where ret_name (16 bytes) is not NULL. */
int ld_prog_id(int fd, uint32_t *ret_id, char *ret_name);
int ld_cpus(void);	/* possible CPUs, or -errno */

/* caps.c: what the running kernel and the caller allow, by trying each with the smallest program, once. */
struct ld_missing {		/* what would give an ability */
	uint64_t caps;		/* capabilities of the initial user namespace; CAP_BPF or, with sysctl, the sysctl */
	bool sysctl;		/* kernel.unprivileged_bpf_disabled = 0 */
	bool token, netns;	/* a delegation to this user namespace; a network namespace of its own */
	bool kernel;		/* another kernel */
};
void ld_missing_print(struct strbuf *out, const struct ld_missing *m);
struct ld_probe {		/* why a cap is missing, beside struct caps */
	struct caps caps;
	struct {
		const char *key;
		int err;		/* of trying */
		const char *how;	/* what was tried */
		struct ld_missing missing;
	} row[64];
	uint32_t n;
	bool init_userns, owns_netns;
	bool token;			/* a BPF token could be had, from the delegated file system at token_path */
	char token_path[192];		/* "" where there is none */
	int unprivileged_bpf_disabled;	/* -1: no such sysctl */
	uint64_t effective;		/* capability bits, libcap's numbers: in effect, or raised where they are needed */
};
void ld_probe(struct ld_probe *ret);
/* profile.c: the semantics profile of the running kernel, found with packets in a scratch namespace; where the caller
 * may not make one, the values of a current kernel and -EPERM. */
int ld_profile(struct imr_profile *ret);

/* delegate.c: a BPF file system with delegations for the user namespace of a process, mounted where it finds it. -EEXIST:
 * there was one. The path is as the process sees it. */
int ld_delegate(struct diags *ds, pid_t pid, char *ret_path, size_t size);

/* broker.c: goes into another network namespace, named by a file or a process; everything else of the caller, his BPF
 * file system too, stays outside. The descriptor of the one that was left, or -errno: -EPERM where the caller is not root
 * of the initial user namespace. */
int ld_broker_enter(struct diags *ds, const char *path, pid_t pid);
int ld_broker_leave(struct diags *ds, int outside);
/* The device of the namespace outside that is the other end of a veth device here. */
int ld_broker_peer(struct diags *ds, int outside, const char *dev, char ret_peer[16]);

/* rights.c: capabilities are in effect only while a call needs them. Shed: none is in effect any more. Renounced: none
 * will be again. */
int ld_rights_shed(void);
int ld_rights_renounce(void);
uint64_t ld_rights_raise(uint64_t want);
void ld_rights_lower(uint64_t *was);

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

/* btf.c: rule texts as the program's source lines. -errno where the kernel takes no BTF. */
struct ld_lines {
	int btf_fd;
	struct bpf_func_info func;
	uint32_t n;
	struct bpf_line_info *line;
};
int ld_lines_make(const struct be_prog *p, struct ld_lines *ret);
void ld_lines_free(struct ld_lines *l);

/* run.c: one packet through a loaded program (BPF_PROG_TEST_RUN). Returns its return code or -errno. */
int ld_test_run(int prog_fd, const void *frame, uint32_t len, uint32_t ifindex);

/* Where a program runs. What a kind does not need is not read. */
enum ld_kind { LD_XDP, LD_TC, LD_NETFILTER, LD_CGROUP, LD_CBPF, LD_SOCKET, LD_XTCODE };	/* ORDER LD_KIND */
#define LD_KINDS (LD_XTCODE + 1)
#define LD_PATH 192
struct ld_where {
	enum ld_kind kind;
	char dev[16];		/* XDP, TC, CBPF */
	uint32_t ifindex;	/* found by dev when attaching; in a state 0 where the device is not there any more */
	bool egress;		/* TC, CGROUP, CBPF */
	bool generic;		/* XDP: in the stack; TC: as a cls_bpf filter, also where the kernel has tcx */
	bool fail_open;		/* NETFILTER: packets pass where the dispatcher finds no program; else they are dropped */
	uint8_t pf;		/* NETFILTER, SOCKET, XTCODE: NFPROTO_IPV4 or NFPROTO_IPV6 */
	uint32_t hooknum;	/* NF_INET_ */
	int32_t prio, prio_min;	/* NETFILTER: where taken, the next below down to prio_min, 16 at most;
				 * prio_min >= prio: none */
	char cgroup[LD_PATH];	/* CGROUP: a directory of cgroup v2 */
};

/*
 * attach.c, state.c, and one file a kind: our programs on the machine, pinned under <bpffs>/fwjit/<netns inode>/<id>/:
 * the link, and beside it one directory a program, named by the program's id, with its maps and the state (a frozen
 * array map). The directory whose name is the id of the program that the kernel runs there is the truth: changing that
 * is the commit. Classic filters have neither: clsact.c. docs/LOADER.md.
 */
struct ld_state {		/* one attachment */
	char id[64];		/* "xdp-v0", "tc-v0-egress", "nf-ip-input-0", "cgroup-4711-ingress", "cbpf-v0-ingress",
				 * "socket-ip-input-0", "xtbpf-ip-input-0" */
	char target[16];
	struct ld_where where;
	uint32_t prog_id;	/* CBPF, XTCODE: the generation */
	int32_t prio;		/* NETFILTER: what it got; where.prio is what was asked for */
	bool gone;		/* its device or cgroup is not there any more, or no longer runs the program */
	uint32_t n_slot;	/* counters */
	const char *meta;	/* what main stored with it, opaque to the loader */
	size_t meta_len;
};
/* Several at once, all or none: where one cannot be attached, the others are as they were. What is ours there is replaced
 * in one step. -EBUSY where somebody else's program is in the way, -EPERM where the caller may not. Programs of others
 * that run beside ours are named in notes. */
struct ld_attach {
	const struct ld_prog *prog;		/* NULL for CBPF, XTCODE */
	uint32_t n_filter;			/* CBPF: evaluated in this order; the last decides every packet. XTCODE: one */
	const struct be_filter *filter;
	struct ld_where where;
	const void *meta;
	size_t meta_len;
	/* Counters that live on: slot i starts with what slot carry[i] of the replaced program had counted when its last
	 * packet was through; UINT32_MAX: with zero. NULL: all with zero. n_carry is the new program's number of slots. */
	const uint32_t *carry;
	uint32_t n_carry;
	/* What must still be true at the commit, or nothing changes and it is -ESTALE: the claim stands; the program
	 * that our attachment there runs is this one (0: whichever, LD_NONE: there is no such attachment). */
	const struct ld_claim *claim;
	uint32_t expect;
#define LD_NONE UINT32_MAX
};
int ld_attach_all(struct diags *ds, const struct ld_attach *what, uint32_t n);
/* What speaks against attaching there, beside or instead of our program prog_id, in words; NULL: nothing that is known. */
const char *ld_xdp_obstacle(struct arena *a, const char *dev, bool generic, uint32_t prog_id);
/* The id that an attachment there has or would have. -EINVAL or another error where there is no such place. */
int ld_where_id(const struct ld_where *w, char ret[64]);
/* One XDP program. */
int ld_xdp_attach(struct arena *a, struct diags *ds, const struct ld_prog *prog, const char *dev, bool generic,
		  const void *meta, size_t meta_len);
int ld_xdp_replace(struct arena *a, struct diags *ds, const struct ld_prog *prog, const char *dev, bool generic,
		   const void *meta, size_t meta_len, const uint32_t *carry, uint32_t n_carry);
/* Removes what fwjit attached under this id, also where its device is gone. -ENOENT: there is no such attachment. */
int ld_detach(struct diags *ds, const char *id);
/* claim.c: a claim stands until somebody ends all claims of this network namespace. ld_claims_end: 1 where there were
 * holders, 0 where there were none, or -errno. */
struct ld_claim { int fd; };
int ld_claim_open(struct diags *ds, struct ld_claim *ret);
bool ld_claim_stands(const struct ld_claim *c);
void ld_claim_close(struct ld_claim *c);	/* and removes what nobody holds any more */
int ld_claims_end(struct diags *ds);
/* ns.c: is this the network namespace at path, or where path is NULL one made for a container: its owner is the caller's
 * user namespace, and process 1 is not in it? */
bool ld_netns_contained(const char *path);
/* holders.c: does this network namespace have a name, or another program in it? */
bool ld_netns_held(void);
/* The attachments of this network namespace; none where there is no BPF file system. */
int ld_state_list(struct arena *a, struct diags *ds, struct ld_state **ret, uint32_t *ret_n);
/* Ids under which something is pinned that is no attachment: what a killed process left. */
int ld_leftovers(struct arena *a, const char ***ret, uint32_t *ret_n);
/* bpffs.c: is there a BPF file system into which the caller may not look, in a network namespace that root may use? */
bool ld_state_hidden(void);
/* Would what is attached end with this mount namespace? */
bool ld_bpffs_private(void);
/* Counters of an attachment, summed over CPUs, with what was carried over; the first n of them. */
int ld_state_counters(struct diags *ds, const char *id, struct be_counter *ret, uint32_t n);
/* Of the attachment's program if it is this one, -ESTALE if another has taken its place; prog_id 0: whichever it is. */
int ld_state_gate(const char *id, uint32_t prog_id, uint64_t value);
/* Its value. -ENOENT: it has none. */
int ld_state_gate_get(const char *id, uint64_t *ret);
/* jiffies.c: what a gate is compared with. The time ms milliseconds from now, in jiffies64, read by a program of our own;
 * 0 where it cannot be read, which shuts a gate. */
struct ld_jiffies { int prog_fd, map_fd; };
int ld_jiffies_open(struct diags *ds, struct ld_jiffies *ret);
uint64_t ld_jiffies_in(const struct ld_jiffies *j, unsigned int ms);
void ld_jiffies_close(struct ld_jiffies *j);
/* A loaded program's own gate, before it is attached. -ENOENT: it has none. */
int ld_prog_gate(const struct ld_prog *p, uint64_t value);

/* env.c, device.c, local.c: addresses, forwarding and what sits on a device, for a slice. -EBUSY with a diagnostic
 * where something between XDP and the rules may change or redirect packets (bridge, tc, VLAN device over an
 * offload). */
/* Do the device's frames have an Ethernet header, and is it of that type? 0, -EBUSY with a diagnostic, or -errno. */
int ld_ethernet(struct diags *ds, const char *dev);
int ld_env(struct arena *a, struct diags *ds, const char *dev, struct imr_env *ret);
/* offload.c: 1 where the device hands VLAN tags beside the frame, with what to do about it; 0, or -errno. */
int ld_vlan_hidden(struct arena *a, const char *dev, const char **ret_hint);
/* Nothing merges segments of a flow, neither the device nor the stack behind it. False where that cannot be told. */
bool ld_never_merges(const char *dev);
/* Text of an env, to be stored and compared; parse is the exact inverse, false where the text is not one. */
void ld_env_print(struct strbuf *out, const struct imr_env *env);
bool ld_env_parse(struct arena *a, const char *text, size_t len, struct imr_env *ret);

/* watch.c: wakes when rules, devices, addresses, routes or forwarding of this network namespace change. */
struct ld_watch { int rules_fd, net_fd, lock_fd; };
#define LD_CHANGED_RULES 0x1
#define LD_CHANGED_NET	 0x2
#define LD_LOOK		 0x4	/* a tool has let go of the lock of iptables' legacy tables: it may have changed them */
int ld_watch_open(struct diags *ds, struct ld_watch *ret);
/* LD_CHANGED_ bits at once when something changed (all that is pending is taken together), 0 when timeout_ms (-1:
 * never) is over, -EINTR on a signal, or -errno. */
int ld_watch_wait(struct ld_watch *w, int timeout_ms);
void ld_watch_close(struct ld_watch *w);
/* device.c: of what a slice depends on and the kernel tells nobody about: tcx programs, services of IPVS,
 * addresses in devices' filters, forwarding of directed broadcasts. */
uint64_t ld_silent_hash(void);
/* Does a packet socket, of a DHCP client or a capture, hear IP packets of the device? It hears none that XDP drops. */
bool ld_packet_socket(uint32_t ifindex);

#endif
