/* SPDX-License-Identifier: GPL-2.0-only */
/* What the loader's files share among themselves. */
#ifndef FWJIT_LOADER_PRIV_H
#define FWJIT_LOADER_PRIV_H

#include <net/if.h>
#include <stdio.h>
#include <sys/capability.h>
#include <sys/types.h>
#include <unistd.h>

#include <libmnl/libmnl.h>

#include "loader.h"

struct uapi_link_create;
struct uapi_link_info;

/* ns.c */
bool ld_init_userns(void);
bool ld_netns_ours(void);
uint64_t ld_netns_inode(void);
bool ld_effective(unsigned int cap);
/* Runs fn in a child process with an empty network namespace of its own (and a user namespace where that is needed for
 * it). fn returns 0 or -errno and fills ret. The child and all of its children are dead when this returns. */
int ld_scratch(int (*fn)(void *arg, void *ret), void *arg, void *ret, size_t ret_len, int timeout_ms);

/* rights.c: LD_RIGHT bits by libcap's numbers. Raised are those of `want` that are permitted; the answer is what was in
 * effect before, for ld_rights_lower. */
#define LD_RIGHT(cap) (1ULL << (cap))
#define LD_RIGHTS_BPF (LD_RIGHT(CAP_BPF) | LD_RIGHT(CAP_NET_ADMIN) | LD_RIGHT(CAP_PERFMON) | LD_RIGHT(CAP_SYS_ADMIN))
uint64_t ld_rights(bool permitted);
#define _cleanup_rights_ __attribute__((cleanup(ld_rights_lower), unused))

/* sys.c: bpf(2) where it makes something: by the caller's token where there is one. A descriptor or -errno. */
struct bpf_prog_load_opts;
int ld_sys_prog(uint32_t type, const char *name, const struct bpf_insn *insn, uint32_t n,
		const struct bpf_prog_load_opts *opts);
int ld_sys_map(uint32_t type, const char *name, uint32_t key_size, uint32_t value_size, uint32_t max_entries,
	       uint32_t flags);
int ld_sys_btf(const void *data, uint32_t size);

/* caps_try.c, caps_net.c: attempts, each 0 or -errno. Those of caps_net.c are made together, in one scratch namespace. */
int ld_try_prog(uint32_t type, uint32_t attach_type);	/* the smallest program of a type: a descriptor */
enum ld_try { TRY_XDP_LINK, TRY_TCX_LINK, TRY_NF_LINK, TRY_CLS_BPF, TRY_XT_CODE, TRY_XT_PROG, TRY_N };
void ld_try_net(int ret_err[TRY_N]);
#define LD_TRY(id) int ld_try_##id(void);
LD_TRY(var_offset) LD_TRY(loops) LD_TRY(calls) LD_TRY(big) LD_TRY(btf) LD_TRY(btf_read) LD_TRY(dynptr) LD_TRY(ct_lookup)
LD_TRY(net_admin) LD_TRY(bpffs)
#undef LD_TRY

/* token.c: the descriptor of the process's BPF token, found once; -1: there is none. */
int ld_token(void);
/* A new one, and the mount point of its file system. */
int ld_token_open(char *ret_path, size_t size);

/* nl.c: requests to the kernel over netlink. */
struct ld_nl {
	struct mnl_socket *sock;
	uint32_t seq;
};
int ld_nl_open(struct ld_nl *nl, int bus);
void ld_nl_close(struct ld_nl *nl);
#define _cleanup_nl_ __attribute__((cleanup(ld_nl_close)))
/* Sends a request and hands each answer to cb. A dump that changed under way is -EINTR: start anew. */
int ld_nl_ask(struct ld_nl *nl, struct nlmsghdr *nlh, mnl_cb_t cb, void *data);
/* The payload of an attribute of at least size bytes, copied; zeroes where it is shorter. */
void ld_nl_copy(void *to, size_t size, const struct nlattr *attr);
uint32_t ld_nl_u32(const struct nlattr *attr);

/* nft.c: a transaction, all or nothing. */
#define LD_NFT_OWN	"fwjit-"	/* tables of ours */
#define LD_NFT_ROOM	2048		/* for the attributes of one message */
struct ld_nft {
	struct ld_nl nl;
	uint8_t *buf;
	size_t len, cap;
	int err;
};
int ld_nft_open(struct ld_nft *t);
void ld_nft_close(struct ld_nft *t);
#define _cleanup_nft_ __attribute__((cleanup(ld_nft_close)))
/* The next message, whose attributes the caller adds before ld_nft_end. */
struct nlmsghdr *ld_nft_put(struct ld_nft *t, uint16_t type, uint16_t flags, uint8_t family);
void ld_nft_end(struct ld_nft *t, const struct nlmsghdr *nlh);
void ld_nft_table(struct ld_nft *t, uint8_t family, const char *name);	/* is there, and ours */
void ld_nft_table_drop(struct ld_nft *t, uint8_t family, const char *name);
int ld_nft_commit(struct ld_nft *t);
/* Dumps NFT_MSG_GET…; table and chain only where the kernel filters by them. A change under way begins it anew. */
int ld_nft_each(struct ld_nl *nl, uint16_t type, uint8_t family, const char *table, const char *chain, mnl_cb_t cb, void *data);
const char *ld_nft_str(const struct nlattr *a, char *to, size_t size);

/* device.c */
struct ld_link {
	uint32_t ifindex, flags, master, lower, mtu;
	bool has_lower_netns;	/* the lower device is in another network namespace */
	uint16_t type;		/* ARPHRD_ */
	uint8_t mac[6];
	char name[IFNAMSIZ], kind[32];
	uint8_t xdp_mode;	/* XDP_ATTACHED_ */
	uint32_t xdp_id;	/* program; 0 none, or several */
};
int ld_link_get(const char *dev, uint32_t ifindex, struct ld_link *ret);	/* by name, or by index where NULL */
int ld_device_check(struct ld_nl *nl, struct diags *ds, const struct ld_link *l);
bool ld_device_name_ok(const char *dev);

void ld_link_read(const struct nlmsghdr *nlh, struct ld_link *ret);	/* an answer; nothing where it is another */
/* Of an upper device's kind: are its packets those that the stack gives it, behind the rules? */
bool ld_takes_no_packets(const char *kind);

/* elsewhere.c: -EBUSY where a device in another network namespace takes packets before the rules; a hash of what the
 * kernel tells nobody of that. */
int ld_elsewhere_check(struct ld_nl *nl, struct diags *ds, const struct ld_link *dev);
uint64_t ld_elsewhere_hash(struct ld_nl *nl, uint32_t ifindex);

/* tunnels.c: -EBUSY where routes take packets before the rules. */
int ld_tunnels_check(struct ld_nl *nl, struct diags *ds, const struct ld_link *l);

/* local.c */
int ld_local_ranges(struct arena *a, struct ld_nl *nl, int family, struct imr_range **ret, uint32_t *ret_n,
		    bool *ret_plain);
int ld_rules_plain(struct ld_nl *nl, int family, bool *ret_plain);
struct imr_range *ld_ranges_join(struct arena *a, struct imr_range *r, uint32_t n, uint32_t *ret_n);

/* ktypes.c: kernel functions that programs call; the module is the one that has them where the kernel itself does not. */
#define LD_KFUNC_MODULE "nf_conntrack"
struct ld_kfunc {
	int id;			/* in its types */
	bool module;
};
struct ld_kfuncs {
	struct ld_kfunc func[BE_KFUNC_MAX];
	int fd[2];		/* for the program: [1] of the module's types, -1 where it is not needed */
};
int ld_kfuncs_get(const char *const *names, uint32_t n, struct ld_kfuncs *ret);
void ld_kfuncs_put(struct ld_kfuncs *k);
#define _cleanup_kfuncs_ __attribute__((cleanup(ld_kfuncs_put)))
/* A call whose imm is the index of a name becomes one of the function. */
void ld_kfunc_resolve(const struct ld_kfuncs *k, struct bpf_insn *i);
/* Loads of members get their offsets. */
int ld_relocs_apply(const struct be_reloc *r, uint32_t n, struct bpf_insn *insn);

/* bpffs.c: our directory in the BPF file system, locked while it is open. */
struct ld_root {
	int fd;
	char path[LD_PATH];	/* of this network namespace's directory; its parent's descriptor is in it */
};
enum ld_lock { LD_READ, LD_CHANGE, LD_WRITE };
/* -ENOENT: there is none (LD_READ, LD_CHANGE); LD_WRITE makes it, and mounts the file system where the caller may. */
int ld_root_open(struct ld_root *ret, enum ld_lock lock);
void ld_root_close(struct ld_root *r);
#define _cleanup_root_ __attribute__((cleanup(ld_root_close)))
/* -ENOENT: there is none; -EACCES: none that the caller may write in. */
int ld_bpffs_find(char *ret_path, size_t size);
const char *ld_root_hint(int err);	/* of ld_root_open */
/* Each BPF file system among the caller's mounts, with its own options, until one is taken. */
bool ld_bpffs_mounts(bool (*take)(const char *mount, const char *options, void *arg), void *arg);
/* A directory that belongs to the caller alone, made if asked; a descriptor, or -EPERM where others could write in it. */
int ld_dir_open(int at, const char *name, bool make);
/* "…/xdp-eth0:5" for the id "xdp-eth0.5": the file system takes no dots. */
int ld_id_path(const struct ld_root *r, const char *id, char *ret, size_t size);
void ld_dir_remove(const char *path);	/* a directory of pins and such directories */
char **ld_dir_names(const char *path);	/* NULL-terminated, to be freed by ld_names_freep */
void ld_names_freep(char ***names);
#define _cleanup_names_ __attribute__((cleanup(ld_names_freep)))

/* bpf.c: bpf(2) where libbpf is older than the kernel. A descriptor or 0, or -errno. */
int ld_link_create(const struct uapi_link_create *how);
int ld_link_info(int link_fd, struct uapi_link_info *ret);

/* state.c: one attachment, opened. */
struct ld_hook;
struct ld_att {
	const struct ld_hook *hook;
	int link_fd, prog_fd;
	bool alive;		/* as the link says: its device or cgroup is there */
	uint32_t ifindex;	/* of that device */
	int32_t prio;		/* NETFILTER */
	uint32_t prog_id;
	char dir[LD_PATH];	/* of the id */
	char gen[LD_PATH + 16];	/* of the program that the kernel runs there */
};
int ld_att_open(const struct ld_root *r, const char *id, struct ld_att *ret);
void ld_att_close(struct ld_att *att);
#define _cleanup_att_ __attribute__((cleanup(ld_att_close)))
int ld_pin_get(const char *dir, const char *name);
int ld_pin_put(const char *dir, const char *name, int fd);
void ld_pin_drop(const char *dir, const char *name);
/* What is stored of a state, st->meta with it: malloc'ed, padded to whole steps of *step bytes. */
uint8_t *ld_state_bytes(const struct ld_state *st, uint32_t n_slot, size_t *ret_len, size_t *ret_step);
int ld_state_parse(const uint8_t *bytes, size_t len, struct ld_state *ret);	/* meta stays in bytes */
/* The same as a map. */
int ld_state_make(const struct ld_state *st, uint32_t n_slot);
int ld_state_read(struct arena *a, const char *gen, struct ld_state *ret);
/* With carried-over base: counters summed over CPUs. */
int ld_att_counters(const struct ld_att *att, struct be_counter *ret, uint32_t n);

/* claim.c */
#define LD_CLAIM "watch"	/* its directory; no id */
/* Removes a claim that nobody holds any more. */
void ld_claim_sweep(const struct ld_root *r);
/* Is what the attachment must find, old, still there? 0, or -ESTALE. The root is locked. */
struct ld_job;
int ld_claim_check(const struct ld_job *j);

/* attach.c: one attachment under way. */
struct ld_job {
	struct diags *ds;
	const struct ld_attach *what;
	const struct ld_hook *hook;
	const struct ld_root *root;	/* of pinned kinds */
	int run_fd;			/* of others: ld_run_lock, or its -errno */
	const char *name;		/* what is attached to, for messages */
	struct ld_link link;		/* XDP, TC, CBPF */
	int fd;				/* CGROUP: the directory; NETFILTER: the program array, or the dispatcher to be linked */
	struct ld_classic *classic;	/* CBPF */
	struct ld_match *match;		/* SOCKET, XTCODE */
	bool pinned;
	struct ld_state st;
	uint32_t n_carry, n_slot;
	int old_err;			/* of opening old */
	struct ld_att old;
	bool replace;			/* old is ours and alive */
	bool done;			/* committed */
	char dir[LD_PATH], gen[LD_PATH + 16];
	int base_fd;
};

/*
 * hook.c: one row a kind, one file a row. Steps that a row leaves out are not there for its kind; all return 0 or
 * -errno. A step that adds no diagnostic itself is explained by attach.c.
 */
struct ld_hook {
	const char *name;	/* ids begin with it and a dash */
	const char *target;
	bool pinned;		/* what it runs is pinned, and so is its state */
	bool unpinned;		/* where nothing can be pinned, its state is a file and its maps are out of reach */
	uint32_t link_type;	/* of the link that is pinned */
	int (*id)(const struct ld_where *w, char *ret, size_t size);
	int (*find)(struct ld_job *j);		/* the place, its names and numbers; j->name */
	int (*look)(struct ld_job *j);		/* who is there; j->replace. Refuses in its own words */
	int (*prepare)(struct ld_job *j);	/* beside what is there, after the program is pinned */
	int (*create)(struct ld_job *j);	/* the commit, where nothing of ours is there */
	int (*replace)(struct ld_job *j);	/* the commit, else */
	int (*restore)(struct ld_job *j);	/* takes replace back */
	void (*explain)(struct ld_job *j, int err);	/* why the commit failed, where its error alone does not say */
	int (*facts)(struct ld_att *att, const struct uapi_link_info *info);
	int (*unlinked)(struct ld_att *att);	/* an attachment without a link: prog_id; -ENOENT: it is none */
	int (*detach)(struct ld_att *att);	/* of such a one */
	bool (*gone)(const struct ld_state *st);	/* what the link does not say */
	/* Kinds that are not pinned */
	void (*undo)(struct ld_job *j);
	void (*finish)(struct ld_job *j);	/* all are committed */
	void (*close)(struct ld_job *j);
	int (*list)(struct arena *a, struct diags *ds, struct ld_state **ret, uint32_t *ret_n);
	int (*remove)(const char *id);
};
extern const struct ld_hook *const ld_hooks[];	/* by enum ld_kind; ends with NULL */
const struct ld_hook *ld_hook_of(const char *id);	/* NULL: of none */
/* What several rows share. */
int ld_id_dev(const char *name, const struct ld_where *w, const char *way, char *ret, size_t size);
const char *ld_way(const struct ld_where *w);	/* "ingress", "egress" */
int ld_id_hook(const char *name, const struct ld_where *w, char *ret, size_t size);
int ld_parse_hook(const char *name, const char *id, struct ld_where *ret);	/* the inverse, but for the kind */
int ld_find_dev(struct ld_job *j);
int ld_look_link(struct ld_job *j);	/* j->replace, or -EBUSY where old is on another device */
int ld_job_pin_link(struct ld_job *j, int fd);
int ld_update_link(struct ld_job *j);
int ld_restore_link(struct ld_job *j);
void ld_name_others(struct ld_job *j, int target, uint32_t attach_type);	/* notes */
extern const struct ld_hook ld_hook_xdp, ld_hook_tc, ld_hook_nf, ld_hook_cgroup, ld_hook_cbpf,
	ld_hook_socket, ld_hook_xtcode;

/* dispatch.c: a program that runs the one in slot 0 of an array, and its verdict if there is none. Descriptors. */
struct ld_dispatch { struct ld_prog prog; int slots_fd; };
int ld_dispatch_make(struct diags *ds, uint32_t type, uint32_t attach_type, uint32_t otherwise, struct ld_dispatch *ret);
int ld_dispatch_set(int slots_fd, int prog_fd);
/* Of pins that ld_dispatch_pin made, if dispatch_id is the dispatcher's: the program in the slot. */
int ld_dispatch_pin(const char *dir, const struct ld_dispatch *d);
int ld_dispatch_get(const char *dir, uint32_t dispatch_id, uint32_t *ret_prog_id);

/* tcfilter.c: clsact and cls_bpf filters over netlink. */
struct ld_filter {
	uint32_t prio, handle;	/* handle 0: a priority of filters of another kind */
	bool bpf;
	uint32_t prog_id;	/* eBPF */
	char name[32];		/* eBPF only: the kernel keeps none of classic ones */
	uint32_t n;		/* classic */
	struct sock_filter *insn;
};
struct ld_filters {
	uint32_t n;
	struct ld_filter *f;	/* in the order of evaluation */
};
int ld_tc_dump(struct ld_nl *nl, uint32_t ifindex, bool egress, struct ld_filters *ret);	/* none: no qdisc either */
void ld_tc_free(struct ld_filters *f);
#define _cleanup_filters_ __attribute__((cleanup(ld_tc_free)))
bool ld_filter_ours(const struct ld_filter *f);	/* clsact.c */
bool ld_tc_filter_ours(const struct ld_filter *f);	/* tcx.c */
/* Direct action. prog_fd -1: classic. With replace, atomically in the place of the one of that priority and handle. */
int ld_tc_add(struct ld_nl *nl, uint32_t ifindex, bool egress, const struct ld_filter *f, int prog_fd, bool replace);
/* One filter, or with handle 0 the whole priority, atomically. */
int ld_tc_del(struct ld_nl *nl, uint32_t ifindex, bool egress, uint32_t prio, uint32_t handle);
int ld_tc_qdisc(struct ld_nl *nl, uint32_t ifindex);	/* clsact is there; made, and that remembered, where it is not */
void ld_tc_qdisc_put(struct ld_nl *nl, uint32_t ifindex);	/* goes if it was made here and nothing is on it */
/* Calls fn for each device that has clsact or an ingress qdisc. */
int ld_tc_each(struct ld_nl *nl, int (*fn)(uint32_t ifindex, void *data), void *data);

/* rundir.c: files that live until the next boot, of the caller's own. A descriptor; -ENOENT where such a caller has no
 * such place, or nothing was made in it. */
int ld_run_top(bool make);	/* <run>/fwjit */
int ld_run_dir(bool make);	/* in it, of this network namespace */
int ld_run_lock(bool write);	/* the same, made to write, and locked */
int ld_run_write(int dir, const char *name, const void *bytes, size_t len);
uint8_t *ld_run_read(int dir, const char *name, size_t *ret_len);	/* malloc'ed; NULL: there is none */
int ld_run_state_write(struct ld_job *j, const char *name);	/* the state of an attachment that is not pinned */
void ld_run_forget(int dir, const char *begin, const char *keep);	/* all files whose names begin so, but one */

#endif
