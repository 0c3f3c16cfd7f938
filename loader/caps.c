/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the running kernel and the caller allow, found by trying: one smallest attempt an ability, its errno kept
 * beside the answer. Nothing that is tried touches a device or the BPF file system of this network namespace:
 * programs and maps are closed again, the link is made in a throw-away network namespace.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/capability.h>
#include <unistd.h>

#include <bpf/bpf.h>
#include <bpf/btf.h>
#include <linux/if_link.h>
#include <linux/rtnetlink.h>

#include "kernel.h"
#include "priv.h"

#define NO_SUCH_IFINDEX 0x7ffffffe
#define SCRATCH_MS 2000

#define MOV_IMM(dst, v)	((struct bpf_insn){ .code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = dst, .imm = v })
#define MOV(dst, src)	((struct bpf_insn){ .code = BPF_ALU64 | BPF_MOV | BPF_X, .dst_reg = dst, .src_reg = src })
#define ALU_IMM(op, dst, v) ((struct bpf_insn){ .code = BPF_ALU64 | (op) | BPF_K, .dst_reg = dst, .imm = v })
#define ADD(dst, src)	((struct bpf_insn){ .code = BPF_ALU64 | BPF_ADD | BPF_X, .dst_reg = dst, .src_reg = src })
#define LOAD(size, dst, src, o) \
	((struct bpf_insn){ .code = BPF_LDX | BPF_MEM | (size), .dst_reg = dst, .src_reg = src, .off = o })
#define JGT(dst, src, o) \
	((struct bpf_insn){ .code = BPF_JMP | BPF_JGT | BPF_X, .dst_reg = dst, .src_reg = src, .off = o })
#define STORE_IMM(dst, o, v) \
	((struct bpf_insn){ .code = BPF_ST | BPF_MEM | BPF_DW, .dst_reg = dst, .off = o, .imm = v })
#define JEQ_IMM(dst, v, o) \
	((struct bpf_insn){ .code = BPF_JMP | BPF_JEQ | BPF_K, .dst_reg = dst, .imm = v, .off = o })
#define KFUNC(n)	((struct bpf_insn){ .code = BPF_JMP | BPF_CALL, .src_reg = BPF_PSEUDO_KFUNC_CALL, .imm = n })
#define EXIT		((struct bpf_insn){ .code = BPF_JMP | BPF_EXIT })

static int load_prog(uint32_t type, uint32_t attach_type, const struct bpf_insn *insn, size_t n)
{
	LIBBPF_OPTS(bpf_prog_load_opts, opts, .expected_attach_type = attach_type);
	int fd = bpf_prog_load(type, "fwjit_probe", "GPL", insn, n, &opts);

	return fd < 0 ? -errno : fd;
}

static int load_xdp(const struct bpf_insn *insn, size_t n)
{
	return load_prog(BPF_PROG_TYPE_XDP, BPF_XDP, insn, n);
}

static int close_ok(int fd)
{
	int err = fd < 0 ? fd : 0;

	ld_closep(&fd);
	return err;
}

static int load_smallest(void)
{
	struct bpf_insn insn[] = { MOV_IMM(BPF_REG_0, XDP_PASS), EXIT };

	return load_xdp(insn, 2);
}

static int try_xdp(void)
{
	return close_ok(load_smallest());
}

static int try_sched_cls(void)
{
	struct bpf_insn insn[] = { MOV_IMM(BPF_REG_0, 0), EXIT };

	return close_ok(load_prog(BPF_PROG_TYPE_SCHED_CLS, 0, insn, 2));
}

static int try_netfilter(void)
{
	struct bpf_insn insn[] = { MOV_IMM(BPF_REG_0, BE_NF_ACCEPT), EXIT };

	return close_ok(load_prog(BE_PROG_TYPE_NETFILTER, BE_ATTACH_NETFILTER, insn, 2));
}

/* ret is the index of the loopback device of an empty network namespace: 1. */
static int link_lo(void *arg, void *ret)
{
	LIBBPF_OPTS(bpf_link_create_opts, opts, .flags = XDP_FLAGS_SKB_MODE);

	*(int *)ret = 1;
	return close_ok(bpf_link_create(*(int *)arg, 1, BPF_XDP, &opts) < 0 ? -errno : 0);
}

static int try_xdp_link(void)
{
	_cleanup_close_ int prog = load_smallest();
	int lo;

	return prog < 0 ? prog : ld_scratch(link_lo, &prog, &lo, sizeof(lo), SCRATCH_MS);
}

static int try_map(uint32_t type)
{
	struct be_map m = { .name = "fwjit_probe", .type = type, .key_size = 4, .value_size = 16, .max_entries = 1 };

	return close_ok(ld_map_create(&m));
}

static int try_array(void)
{
	return try_map(BPF_MAP_TYPE_ARRAY);
}

static int try_percpu_array(void)
{
	return try_map(BPF_MAP_TYPE_PERCPU_ARRAY);
}

/* r2 = data + (first byte & 60), one byte there: what an IPv4 header with options takes. */
static int try_var_offset(void)
{
	struct bpf_insn insn[] = {
		LOAD(BPF_W, BPF_REG_2, BPF_REG_1, offsetof(struct xdp_md, data)),
		LOAD(BPF_W, BPF_REG_3, BPF_REG_1, offsetof(struct xdp_md, data_end)),
		MOV(BPF_REG_4, BPF_REG_2),
		ALU_IMM(BPF_ADD, BPF_REG_4, 1),
		JGT(BPF_REG_4, BPF_REG_3, 7),
		LOAD(BPF_B, BPF_REG_5, BPF_REG_2, 0),
		ALU_IMM(BPF_AND, BPF_REG_5, 60),
		ADD(BPF_REG_2, BPF_REG_5),
		MOV(BPF_REG_4, BPF_REG_2),
		ALU_IMM(BPF_ADD, BPF_REG_4, 1),
		JGT(BPF_REG_4, BPF_REG_3, 1),
		LOAD(BPF_B, BPF_REG_5, BPF_REG_2, 0),
		MOV_IMM(BPF_REG_0, XDP_PASS),
		EXIT,
	};

	return close_ok(load_xdp(insn, sizeof(insn) / sizeof(insn[0])));
}

static int try_big(void)
{
	_cleanup_free_ struct bpf_insn *insn = calloc(4098, sizeof(*insn));

	if (!insn)
		return -ENOMEM;
	for (int i = 0; i < 4097; i++)
		insn[i] = MOV_IMM(BPF_REG_0, XDP_PASS);
	insn[4097] = EXIT;
	return close_ok(load_xdp(insn, 4098));
}

static int try_btf(void)
{
	LIBBPF_OPTS(bpf_btf_load_opts, opts);
	struct btf *b = btf__new_empty();
	const void *raw;
	uint32_t size;
	int err = -ENOMEM;

	if (!b)
		return err;
	btf__add_int(b, "int", 4, BTF_INT_SIGNED);
	raw = btf__raw_data(b, &size);
	if (raw) {
		int fd = bpf_btf_load(raw, size, &opts);

		err = close_ok(fd < 0 ? -errno : fd);
	}
	btf__free(b);
	return err;
}

/* ct = bpf_xdp_ct_lookup(ctx, fp - 32, 12, fp - 16, 12); if (ct) bpf_ct_release(ct); */
static int try_ct_lookup(void)
{
	static const char *const names[] = { "bpf_xdp_ct_lookup", "bpf_ct_release" };
	struct bpf_insn insn[] = {
		STORE_IMM(BPF_REG_10, -32, 0), STORE_IMM(BPF_REG_10, -24, 0),
		STORE_IMM(BPF_REG_10, -16, 0), STORE_IMM(BPF_REG_10, -8, 0),
		MOV(BPF_REG_2, BPF_REG_10), ALU_IMM(BPF_ADD, BPF_REG_2, -32), MOV_IMM(BPF_REG_3, 12),
		MOV(BPF_REG_4, BPF_REG_10), ALU_IMM(BPF_ADD, BPF_REG_4, -16), MOV_IMM(BPF_REG_5, 12),
		KFUNC(0),
		JEQ_IMM(BPF_REG_0, 0, 2),
		MOV(BPF_REG_1, BPF_REG_0),
		KFUNC(1),
		MOV_IMM(BPF_REG_0, XDP_PASS), EXIT,
	};
	_cleanup_kfuncs_ struct ld_kfuncs k;
	LIBBPF_OPTS(bpf_prog_load_opts, opts, .expected_attach_type = BPF_XDP);
	int err = ld_kfuncs_get(names, 2, &k), fd;

	if (err)
		return err;
	ld_kfunc_resolve(&k, &insn[10]);
	ld_kfunc_resolve(&k, &insn[13]);
	if (k.fd[1] >= 0)
		opts.fd_array = k.fd;
	fd = bpf_prog_load(BPF_PROG_TYPE_XDP, "fwjit_probe", "GPL", insn, sizeof(insn) / sizeof(insn[0]), &opts);
	return close_ok(fd < 0 ? -errno : fd);
}

/* The right is checked before the device is looked for. */
static int try_net_admin(void)
{
	_cleanup_nl_ struct ld_nl nl = { 0 };
	char buf[256] __attribute__((aligned(8)));
	struct nlmsghdr *nlh = mnl_nlmsg_put_header(buf);
	struct ifinfomsg *m;
	int err = ld_nl_open(&nl, NETLINK_ROUTE);

	if (err)
		return err;
	nlh->nlmsg_type = RTM_SETLINK;
	nlh->nlmsg_flags = NLM_F_ACK;
	m = mnl_nlmsg_put_extra_header(nlh, sizeof(*m));
	m->ifi_index = NO_SUCH_IFINDEX;
	err = ld_nl_ask(&nl, nlh, NULL, NULL);
	return err == -ENODEV ? 0 : err;
}

static int try_bpffs(void)
{
	char path[LD_PATH];
	int err = ld_bpffs_find(path, sizeof(path));

	return err && ld_init_userns() && ld_effective(CAP_SYS_ADMIN) ? 0 : err;
}

struct attempt {
	int (*try)(void);
	const char *how;
};

static const struct attempt attempts[] = {	/* ORDER caps.def */
	{ try_xdp, "BPF_PROG_LOAD: an XDP program of 2 instructions" },
	{ try_xdp_link, "BPF_LINK_CREATE: lo of an empty network namespace, generic mode" },
	{ try_sched_cls, "BPF_PROG_LOAD: a tc program of 2 instructions" },
	{ try_netfilter, "BPF_PROG_LOAD: a netfilter program of 2 instructions" },
	{ try_array, "BPF_MAP_CREATE: an array of 1 entry" },
	{ try_percpu_array, "BPF_MAP_CREATE: a per-CPU array of 1 entry" },
	{ try_var_offset, "BPF_PROG_LOAD: a load at an offset that a packet byte says" },
	{ try_big, "BPF_PROG_LOAD: 4,098 instructions" },
	{ try_btf, "BPF_BTF_LOAD: one integer type" },
	{ try_ct_lookup, "BPF_PROG_LOAD: a call of bpf_xdp_ct_lookup" },
	{ try_net_admin, "RTM_SETLINK: of a device that is not there" },
	{ try_bpffs, "a mounted BPF file system that may be written, or the right to mount one" },
};

static const char *const keys[] = {
#define CAP(id, key, ...) key,
#include "caps.def"
};
_Static_assert(sizeof(attempts) / sizeof(attempts[0]) == sizeof(keys) / sizeof(keys[0]), "ORDER caps.def");

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

static uint64_t effective(void)
{
	uint64_t bits = 0;

	for (unsigned int cap = 0; cap <= (unsigned int)cap_max_bits() && cap < 64; cap++)
		if (ld_effective(cap))
			bits |= 1ULL << cap;
	return bits;
}

void ld_probe(struct ld_probe *ret)
{
	*ret = (struct ld_probe){
		.init_userns = ld_init_userns(), .owns_netns = ld_netns_ours(), .effective = effective(),
		.unprivileged_bpf_disabled = read_number("/proc/sys/kernel/unprivileged_bpf_disabled"),
	};
	for (ret->n = 0; ret->n < sizeof(keys) / sizeof(keys[0]); ret->n++) {
		ret->row[ret->n].key = keys[ret->n];
		ret->row[ret->n].err = attempts[ret->n].try();
		ret->row[ret->n].how = attempts[ret->n].how;
	}
	ret->n = 0;
#define CAP(id, ...) ret->caps.id = !ret->row[ret->n++].err;
#include "caps.def"
}
