/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The attempts behind the probe that need no namespace: the smallest program or map that shows an ability. What belongs
 * to the caller's level and not to a program type is tried with a socket filter, which needs the fewest rights.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <bpf/bpf.h>
#include <bpf/btf.h>
#include <linux/rtnetlink.h>

#include "priv.h"
#include "uapi.h"

#define NO_SUCH_IFINDEX 0x7ffffffe

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
#define JLT_IMM(dst, v, o) \
	((struct bpf_insn){ .code = BPF_JMP | BPF_JLT | BPF_K, .dst_reg = dst, .imm = v, .off = o })
#define CALL_NEXT(o)	((struct bpf_insn){ .code = BPF_JMP | BPF_CALL, .src_reg = BPF_PSEUDO_CALL, .imm = o })
#define EXIT		((struct bpf_insn){ .code = BPF_JMP | BPF_EXIT })


static int close_ok(int fd)
{
	int err = fd < 0 ? fd : 0;

	ld_closep(&fd);
	return err;
}

static int load(uint32_t type, uint32_t attach_type, const struct bpf_insn *insn, uint32_t n)
{
	LIBBPF_OPTS(bpf_prog_load_opts, opts, .expected_attach_type = attach_type);

	return ld_sys_prog(type, "fwjit_probe", insn, n, &opts);
}

/* 1 is a verdict of every type. */
int ld_try_prog(uint32_t type, uint32_t attach_type)
{
	struct bpf_insn insn[] = { MOV_IMM(BPF_REG_0, 1), EXIT };

	return load(type, attach_type, insn, 2);
}

/* r2 = data + (first byte & 60), one byte there: what an IPv4 header with options takes. */
int ld_try_var_offset(void)
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

	return close_ok(load(BPF_PROG_TYPE_XDP, BPF_XDP, insn, sizeof(insn) / sizeof(insn[0])));
}

/* Counting up: without CAP_PERFMON the verifier sees at once that it does not end on every path it imagines. */
int ld_try_loops(void)
{
	struct bpf_insn insn[] = {
		MOV_IMM(BPF_REG_6, 0),
		ALU_IMM(BPF_ADD, BPF_REG_6, 1),
		JLT_IMM(BPF_REG_6, 10, -2),
		MOV_IMM(BPF_REG_0, 0),
		EXIT,
	};

	return close_ok(load(BPF_PROG_TYPE_SOCKET_FILTER, 0, insn, sizeof(insn) / sizeof(insn[0])));
}

int ld_try_calls(void)
{
	struct bpf_insn insn[] = { CALL_NEXT(1), EXIT, MOV_IMM(BPF_REG_0, 0), EXIT };

	return close_ok(load(BPF_PROG_TYPE_SOCKET_FILTER, 0, insn, sizeof(insn) / sizeof(insn[0])));
}

int ld_try_big(void)
{
	_cleanup_free_ struct bpf_insn *insn = calloc(4098, sizeof(*insn));

	if (!insn)
		return -ENOMEM;
	for (int i = 0; i < 4097; i++)
		insn[i] = MOV_IMM(BPF_REG_0, XDP_PASS);
	insn[4097] = EXIT;
	return close_ok(load(BPF_PROG_TYPE_SOCKET_FILTER, 0, insn, 4098));
}

int ld_try_btf(void)
{
	struct btf *b = btf__new_empty();
	const void *raw;
	uint32_t size;
	int err = -ENOMEM;

	if (!b)
		return err;
	btf__add_int(b, "int", 4, BTF_INT_SIGNED);
	raw = btf__raw_data(b, &size);
	if (raw)
		err = close_ok(ld_sys_btf(raw, size));
	btf__free(b);
	return err;
}

/* r0 = ctx->state->hook: the first byte of struct nf_hook_state. */
int ld_try_btf_read(void)
{
	struct bpf_insn insn[] = {
		LOAD(BPF_DW, BPF_REG_1, BPF_REG_1, 0),
		LOAD(BPF_B, BPF_REG_0, BPF_REG_1, 0),
		MOV_IMM(BPF_REG_0, 1),
		EXIT,
	};

	return close_ok(load(UAPI_BPF_PROG_TYPE_NETFILTER, UAPI_BPF_NETFILTER, insn, sizeof(insn) / sizeof(insn[0])));
}

static int load_calling(const char *const *names, uint32_t n_name, uint32_t type, uint32_t attach_type,
			struct bpf_insn *insn, uint32_t n)
{
	LIBBPF_OPTS(bpf_prog_load_opts, opts, .expected_attach_type = attach_type);
	_cleanup_kfuncs_ struct ld_kfuncs k;
	int err = ld_kfuncs_get(names, n_name, &k);

	if (err)
		return err;
	for (uint32_t i = 0; i < n; i++)
		if (insn[i].code == (BPF_JMP | BPF_CALL))
			ld_kfunc_resolve(&k, &insn[i]);
	if (k.fd[1] >= 0)
		opts.fd_array = k.fd;
	return close_ok(ld_sys_prog(type, "fwjit_probe", insn, n, &opts));
}

/* bpf_dynptr_from_skb(ctx, 0, fp - 16) */
int ld_try_dynptr(void)
{
	static const char *const names[] = { "bpf_dynptr_from_skb" };
	struct bpf_insn insn[] = {
		MOV_IMM(BPF_REG_2, 0),
		MOV(BPF_REG_3, BPF_REG_10), ALU_IMM(BPF_ADD, BPF_REG_3, -16),
		KFUNC(0),
		MOV_IMM(BPF_REG_0, 0), EXIT,
	};

	return load_calling(names, 1, BPF_PROG_TYPE_SCHED_CLS, 0, insn, sizeof(insn) / sizeof(insn[0]));
}

/* ct = bpf_xdp_ct_lookup(ctx, fp - 32, 12, fp - 16, 12); if (ct) bpf_ct_release(ct); */
int ld_try_ct_lookup(void)
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

	return load_calling(names, 2, BPF_PROG_TYPE_XDP, BPF_XDP, insn, sizeof(insn) / sizeof(insn[0]));
}

/* The right is checked before the device is looked for. */
int ld_try_net_admin(void)
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

int ld_try_bpffs(void)
{
	char path[LD_PATH];
	int err = ld_bpffs_find(path, sizeof(path));

	return err && ld_init_userns() && (ld_rights(true) & LD_RIGHT(CAP_SYS_ADMIN)) ? 0 : err;
}
