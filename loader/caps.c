/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the running kernel and the caller allow, found by trying: one smallest attempt an ability, its errno kept
 * beside the answer, with what would give it. Nothing that is tried touches a device or the BPF file system of this
 * network namespace: programs and maps are closed again, links and filters are made in a throw-away one.
 */
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "priv.h"
#include "uapi.h"

#define NONE	(-1)

/* An attempt is a program of a type, a map of a type, one of the scratch namespace's, or a function. */
struct attempt {
	int prog, attach, map, net;
	int (*try)(void);
	uint64_t needs;		/* capabilities, in the initial user namespace */
	bool unpriv;		/* or kernel.unprivileged_bpf_disabled = 0 */
	const char *how;
};

#define RIGHTS(n, u, h)	.needs = n, .unpriv = u, .how = h
#define PROG(type, at, ...)	{ .prog = type, .attach = at, .map = NONE, .net = NONE, RIGHTS(__VA_ARGS__) }
#define MAP(type, ...)		{ .prog = NONE, .map = type, .net = NONE, RIGHTS(__VA_ARGS__) }
#define NET(which, ...)		{ .prog = NONE, .map = NONE, .net = which, RIGHTS(__VA_ARGS__) }
#define TRY(fn, ...)		{ .prog = NONE, .map = NONE, .net = NONE, .try = ld_try_##fn, RIGHTS(__VA_ARGS__) }
#define BPF	LD_RIGHT(CAP_BPF)
#define NETADM	LD_RIGHT(CAP_NET_ADMIN)
#define PERFMON	LD_RIGHT(CAP_PERFMON)

static const struct attempt attempts[] = {	/* ORDER caps.def */
	PROG(BPF_PROG_TYPE_XDP, BPF_XDP, BPF | NETADM, false, "BPF_PROG_LOAD: an XDP program of 2 instructions"),
	PROG(BPF_PROG_TYPE_SCHED_CLS, 0, BPF | NETADM, false, "BPF_PROG_LOAD: a tc program of 2 instructions"),
	PROG(UAPI_BPF_PROG_TYPE_NETFILTER, UAPI_BPF_NETFILTER, BPF | NETADM, false,
	     "BPF_PROG_LOAD: a netfilter program of 2 instructions"),
	PROG(BPF_PROG_TYPE_CGROUP_SKB, BPF_CGROUP_INET_INGRESS, BPF, true,
	     "BPF_PROG_LOAD: a cgroup program of 2 instructions"),
	PROG(BPF_PROG_TYPE_SOCKET_FILTER, 0, BPF, true, "BPF_PROG_LOAD: a socket filter of 2 instructions"),
	NET(TRY_XDP_LINK, BPF | NETADM, false, "BPF_LINK_CREATE: lo of an empty network namespace, generic mode"),
	NET(TRY_TCX_LINK, BPF | NETADM, false, "BPF_LINK_CREATE: tcx at ingress of lo of an empty network namespace"),
	NET(TRY_NF_LINK, BPF | NETADM, false, "BPF_LINK_CREATE: ip input of an empty network namespace"),
	NET(TRY_CLS_BPF, NETADM, false, "RTM_NEWQDISC clsact, RTM_NEWTFILTER bpf: lo of an empty network namespace"),
	NET(TRY_XT_CODE, NETADM, false, "NFT_MSG_NEWRULE: xt match bpf, 1 classic instruction, an empty network namespace"),
	NET(TRY_XT_PROG, BPF | NETADM, true, "NFT_MSG_NEWRULE: xt match bpf by descriptor, an empty network namespace"),
	MAP(BPF_MAP_TYPE_ARRAY, BPF, true, "BPF_MAP_CREATE: an array of 1 entry"),
	MAP(BPF_MAP_TYPE_PERCPU_ARRAY, BPF, true, "BPF_MAP_CREATE: a per-CPU array of 1 entry"),
	MAP(BPF_MAP_TYPE_HASH, BPF, true, "BPF_MAP_CREATE: a hash of 1 entry"),
	MAP(BPF_MAP_TYPE_PROG_ARRAY, BPF, true, "BPF_MAP_CREATE: a program array of 1 entry"),
	MAP(BPF_MAP_TYPE_LPM_TRIE, BPF, false, "BPF_MAP_CREATE: an LPM trie of 1 entry"),
	TRY(var_offset, BPF | NETADM | PERFMON, false, "BPF_PROG_LOAD: a load at an offset that a packet byte says"),
	TRY(loops, BPF | PERFMON, false, "BPF_PROG_LOAD: a loop of 10 rounds"),
	TRY(calls, BPF, false, "BPF_PROG_LOAD: a call of a second function"),
	TRY(big, BPF, false, "BPF_PROG_LOAD: 4,098 instructions"),
	TRY(btf, BPF, false, "BPF_BTF_LOAD: one integer type"),
	TRY(btf_read, BPF | NETADM | PERFMON, false, "BPF_PROG_LOAD: a load from struct nf_hook_state"),
	TRY(dynptr, BPF | NETADM, false, "BPF_PROG_LOAD: a call of bpf_dynptr_from_skb"),
	TRY(ct_lookup, BPF | NETADM, false, "BPF_PROG_LOAD: a call of bpf_xdp_ct_lookup"),
	TRY(net_admin, NETADM, false, "RTM_SETLINK: of a device that is not there"),
	TRY(bpffs, LD_RIGHT(CAP_SYS_ADMIN), false,
	    "a mounted BPF file system that may be written, or the right to mount one"),
};

static const char *const keys[] = {
#define CAP(id, key, ...) key,
#include "caps.def"
};
#define N_KEY (sizeof(keys) / sizeof(keys[0]))
_Static_assert(sizeof(attempts) / sizeof(attempts[0]) == N_KEY, "ORDER caps.def");
_Static_assert(N_KEY <= sizeof(((struct ld_probe *)0)->row) / sizeof(((struct ld_probe *)0)->row[0]), "rows");

static int read_number(const char *path)
{
	FILE *f = fopen(path, "re");
	int v = -1;

	if (!f)
		return -1;
	if (fscanf(f, "%d", &v) != 1)
		v = -1;
	fclose(f);
	return v;
}

static int close_ok(int fd)
{
	int err = fd < 0 ? fd : 0;

	ld_closep(&fd);
	return err;
}

static int try_map(uint32_t type)
{
	bool trie = type == BPF_MAP_TYPE_LPM_TRIE, progs = type == BPF_MAP_TYPE_PROG_ARRAY;

	return close_ok(ld_sys_map(type, "fwjit_probe", trie ? 8 : 4, progs ? 4 : 16, 1, trie ? BPF_F_NO_PREALLOC : 0));
}

static int attempt(const struct attempt *a, const int *net)
{
	if (a->prog != NONE)
		return close_ok(ld_try_prog(a->prog, a->attach));
	if (a->map != NONE)
		return try_map(a->map);
	return a->net != NONE ? net[a->net] : a->try();
}

static bool refused(const struct attempt *a, int err)
{
	if (err == -EPERM || err == -EACCES || (err == -ENOENT && a->try == ld_try_bpffs))
		return true;
	/* The verifier's ways to say that a caller without CAP_PERFMON or CAP_BPF may not. */
	return (err == -EINVAL || err == -E2BIG) && (a->try == ld_try_loops || a->try == ld_try_big);
}

static struct ld_missing missing(const struct ld_probe *p, const struct attempt *a, int err)
{
	/* CAP_SYS_ADMIN stands for the others in bpf(2), not in netlink. */
	uint64_t have = p->effective | (p->effective & LD_RIGHT(CAP_SYS_ADMIN) ?
					BPF | PERFMON | (a->needs & BPF ? NETADM : 0) : 0);
	struct ld_missing m = { .sysctl = a->unpriv && p->unprivileged_bpf_disabled > 0 };

	if (!refused(a, err))
		return (struct ld_missing){ .kernel = true };
	if (p->init_userns)
		m.caps = a->needs & ~have;
	else if (a->needs & ~NETADM)
		m.token = !p->token;
	m.netns = !p->init_userns && (a->needs & NETADM) && !p->owns_netns;
	m.kernel = !m.caps && !m.token && !m.netns;
	return m;
}

void ld_missing_print(struct strbuf *out, const struct ld_missing *m)
{
	static const char sysctl[] = " or kernel.unprivileged_bpf_disabled = 0";
	static const struct { uint64_t bit; const char *name; } names[] = {
		{ NETADM, "CAP_NET_ADMIN" }, { PERFMON, "CAP_PERFMON" }, { LD_RIGHT(CAP_SYS_ADMIN), "CAP_SYS_ADMIN" },
		{ BPF, "CAP_BPF" },
	};
	const char *sep = "";

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (m->caps & names[i].bit) {
			strbuf_add(out, "%s%s%s", sep, names[i].name, names[i].bit == BPF && m->sysctl ? sysctl : "");
			sep = ", ";
		}
	if (m->token) {
		strbuf_add(out, "%sa BPF token (`fwjit delegate --pid PID`, by root outside)%s", sep,
			   m->sysctl ? sysctl : "");
		sep = ", ";
	}
	if (m->netns) {
		strbuf_add(out, "%sa network namespace that belongs to this user namespace", sep);
		sep = ", ";
	}
	if (m->kernel)
		strbuf_add(out, "%sa kernel or a delegation that has it", sep);
}

static void one(struct ld_probe *p, uint32_t i, const int *net)
{
	p->row[i].key = keys[i];
	p->row[i].how = attempts[i].how;
	p->row[i].err = attempt(&attempts[i], net);
	if (p->row[i].err)
		p->row[i].missing = missing(p, &attempts[i], p->row[i].err);
}

void ld_probe(struct ld_probe *ret)
{
	uint64_t was _cleanup_rights_ = ld_rights_raise(~0ULL);
	_cleanup_close_ int token = -1;
	int net[TRY_N];

	*ret = (struct ld_probe){
		.init_userns = ld_init_userns(), .owns_netns = ld_netns_ours(), .effective = ld_rights(false),
		.unprivileged_bpf_disabled = read_number("/proc/sys/kernel/unprivileged_bpf_disabled"),
	};
	token = ld_token_open(ret->token_path, sizeof(ret->token_path));
	ret->token = token >= 0;
	ld_try_net(net);
	for (ret->n = 0; ret->n < N_KEY; ret->n++)
		one(ret, ret->n, net);
	ret->n = 0;
#define CAP(id, ...) ret->caps.id = !ret->row[ret->n++].err;
#include "caps.def"
}
