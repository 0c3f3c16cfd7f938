/* SPDX-License-Identifier: GPL-2.0-only */
/* What the loader's files share among themselves. */
#ifndef FWJIT_LOADER_PRIV_H
#define FWJIT_LOADER_PRIV_H

#include <net/if.h>
#include <stdio.h>
#include <sys/types.h>
#include <unistd.h>

#include <libmnl/libmnl.h>

#include "loader.h"

#define LD_PATH 192

/* ns.c */
bool ld_init_userns(void);
bool ld_netns_ours(void);
uint64_t ld_netns_inode(void);
bool ld_effective(unsigned int cap);
/* Runs fn in a child process with an empty network namespace of its own (and a user namespace where that is needed for
 * it). fn returns 0 or -errno and fills ret. The child and all of its children are dead when this returns. */
int ld_scratch(int (*fn)(void *arg, void *ret), void *arg, void *ret, size_t ret_len, int timeout_ms);

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

/* tunnels.c: -EBUSY where routes take packets before the rules. */
int ld_tunnels_check(struct ld_nl *nl, struct diags *ds, const struct ld_link *l);

/* local.c */
int ld_local_ranges(struct arena *a, struct ld_nl *nl, int family, struct imr_range **ret, uint32_t *ret_n,
		    bool *ret_plain);
int ld_rules_plain(struct ld_nl *nl, int family, bool *ret_plain);
struct imr_range *ld_ranges_join(struct arena *a, struct imr_range *r, uint32_t n, uint32_t *ret_n);

/* kfunc.c: kernel functions that programs call; the module is the one that has them where the kernel itself does not. */
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
int ld_bpffs_find(char *ret_path, size_t size);
/* A directory that belongs to the caller alone, made if asked; a descriptor, or -EPERM where others could write in it. */
int ld_dir_open(int at, const char *name, bool make);
/* "…/xdp-eth0:5" for the id "xdp-eth0.5": the file system takes no dots. */
int ld_id_path(const struct ld_root *r, const char *id, char *ret, size_t size);
void ld_dir_remove(const char *path);	/* a directory of pins and such directories */
char **ld_dir_names(const char *path);	/* NULL-terminated, to be freed by ld_names_freep */
void ld_names_freep(char ***names);
#define _cleanup_names_ __attribute__((cleanup(ld_names_freep)))

/* state.c: one attachment, opened. */
struct ld_att {
	int link_fd, prog_fd;
	uint32_t ifindex, prog_id;	/* as the link says: ifindex 0, its device is gone */
	char dir[LD_PATH];		/* of the id */
	char gen[LD_PATH + 16];		/* of the program that the link runs */
};
int ld_att_open(const struct ld_root *r, const char *id, struct ld_att *ret);
void ld_att_close(struct ld_att *att);
#define _cleanup_att_ __attribute__((cleanup(ld_att_close)))
int ld_pin_get(const char *dir, const char *name);
int ld_pin_put(const char *dir, const char *name, int fd);
/* Makes and fills the map that holds the state. st->meta is stored with it. */
int ld_state_make(const struct ld_state *st, uint32_t n_slot);
/* With carried-over base: counters summed over CPUs. */
int ld_att_counters(const struct ld_att *att, struct be_counter *ret, uint32_t n);
int ld_state_get(struct arena *a, const struct ld_att *att, struct ld_state *ret);

#endif
