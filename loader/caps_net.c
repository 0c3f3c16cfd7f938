/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The attempts behind the probe that attach something: all of them in one throw-away network namespace, on its loopback
 * device. They show what kernel and caller can do; whether the devices of the caller's own namespace are his to change
 * is a question of its own.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <limits.h>
#include <string.h>

#include <linux/if_ether.h>
#include <linux/if_link.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nf_tables_compat.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter/xt_bpf.h>
#include <linux/pkt_cls.h>
#include <linux/pkt_sched.h>
#include <linux/rtnetlink.h>

#include "priv.h"
#include "uapi.h"

#define SCRATCH_MS 2000
#define LO 1

/* Programs, made before the namespace is entered: a new user namespace has no token. */
struct progs { int xdp, cls, nf, sock; };

static int close_ok(int fd)
{
	int err = fd < 0 ? fd : 0;

	ld_closep(&fd);
	return err;
}

static int try_link(int prog, const struct uapi_link_create *how)
{
	return prog < 0 ? prog : close_ok(ld_link_create(how));
}

static int xdp_link(int prog)
{
	return try_link(prog, &(struct uapi_link_create){
		.prog_fd = prog, .target = LO, .attach_type = BPF_XDP, .flags = XDP_FLAGS_SKB_MODE });
}

static int tcx_link(int prog)
{
	return try_link(prog, &(struct uapi_link_create){
		.prog_fd = prog, .target = LO, .attach_type = UAPI_BPF_TCX_INGRESS });
}

static int nf_link(int prog)
{
	return try_link(prog, &(struct uapi_link_create){
		.prog_fd = prog, .attach_type = UAPI_BPF_NETFILTER,
		.netfilter = { .pf = NFPROTO_IPV4, .hooknum = NF_INET_LOCAL_IN, .priority = 1 } });
}

static struct nlmsghdr *tc_begin(char *buf, uint16_t type, uint32_t parent)
{
	struct nlmsghdr *nlh = mnl_nlmsg_put_header(buf);
	struct tcmsg *t;

	nlh->nlmsg_type = type;
	nlh->nlmsg_flags = NLM_F_ACK | NLM_F_CREATE | NLM_F_EXCL;
	t = mnl_nlmsg_put_extra_header(nlh, sizeof(*t));
	t->tcm_ifindex = LO;
	t->tcm_parent = parent;
	return nlh;
}

static int clsact(struct ld_nl *nl)
{
	char buf[256] __attribute__((aligned(8)));
	struct nlmsghdr *nlh = tc_begin(buf, RTM_NEWQDISC, TC_H_CLSACT);

	((struct tcmsg *)mnl_nlmsg_get_payload(nlh))->tcm_handle = TC_H_MAKE(TC_H_CLSACT, 0);
	mnl_attr_put_strz(nlh, TCA_KIND, "clsact");
	return ld_nl_ask(nl, nlh, NULL, NULL);
}

static int cls_bpf(void)
{
	static const struct sock_filter pass = { .code = BPF_RET | BPF_K, .k = (uint32_t)TC_ACT_UNSPEC };
	_cleanup_nl_ struct ld_nl nl = { 0 };
	char buf[512] __attribute__((aligned(8)));
	struct nlattr *options;
	struct nlmsghdr *nlh;
	int err = ld_nl_open(&nl, NETLINK_ROUTE);

	err = err ? err : clsact(&nl);
	if (err)
		return err;
	nlh = tc_begin(buf, RTM_NEWTFILTER, TC_H_MAKE(TC_H_CLSACT, TC_H_MIN_INGRESS));
	((struct tcmsg *)mnl_nlmsg_get_payload(nlh))->tcm_info = TC_H_MAKE(1 << 16, htons(ETH_P_ALL));
	mnl_attr_put_strz(nlh, TCA_KIND, "bpf");
	options = mnl_attr_nest_start(nlh, TCA_OPTIONS);
	mnl_attr_put_u16(nlh, TCA_BPF_OPS_LEN, 1);
	mnl_attr_put(nlh, TCA_BPF_OPS, sizeof(pass), &pass);
	mnl_attr_put_u32(nlh, TCA_BPF_FLAGS, TCA_BPF_FLAG_ACT_DIRECT);
	mnl_attr_nest_end(nlh, options);
	return ld_nl_ask(&nl, nlh, NULL, NULL);
}

/* The next message of a batch, all under one number; the answer to the last is awaited. */
static struct nlmsghdr *nft_put(char **at, uint32_t seq, uint16_t type, uint16_t flags)
{
	struct nlmsghdr *nlh = mnl_nlmsg_put_header(*at);
	struct nfgenmsg *g = mnl_nlmsg_put_extra_header(nlh, sizeof(*g));
	bool edge = type == NFNL_MSG_BATCH_BEGIN || type == NFNL_MSG_BATCH_END;

	nlh->nlmsg_type = edge ? type : NFNL_SUBSYS_NFTABLES << 8 | type;
	nlh->nlmsg_flags = NLM_F_REQUEST | flags;
	nlh->nlmsg_seq = seq;
	g->nfgen_family = edge ? AF_UNSPEC : NFPROTO_IPV4;
	g->version = NFNETLINK_V0;
	g->res_id = edge ? htons(NFNL_SUBSYS_NFTABLES) : 0;
	return nlh;
}

static void put_match(struct nlmsghdr *nlh, const struct xt_bpf_info_v1 *info)
{
	struct nlattr *list = mnl_attr_nest_start(nlh, NFTA_RULE_EXPRESSIONS);
	struct nlattr *elem = mnl_attr_nest_start(nlh, NFTA_LIST_ELEM), *data;

	mnl_attr_put_strz(nlh, NFTA_EXPR_NAME, "match");
	data = mnl_attr_nest_start(nlh, NFTA_EXPR_DATA);
	mnl_attr_put_strz(nlh, NFTA_MATCH_NAME, "bpf");
	mnl_attr_put_u32(nlh, NFTA_MATCH_REV, htonl(1));
	mnl_attr_put(nlh, NFTA_MATCH_INFO, sizeof(*info), info);
	mnl_attr_nest_end(nlh, data);
	mnl_attr_nest_end(nlh, elem);
	mnl_attr_nest_end(nlh, list);
}

static void nft_next(char **at)
{
	*at += MNL_ALIGN(((struct nlmsghdr *)*at)->nlmsg_len);
}

/* A table with a chain that no hook runs, and in it one rule with the match. */
static size_t nft_batch(char *buf, uint32_t seq, const char *table, const struct xt_bpf_info_v1 *info)
{
	char *at = buf;
	struct nlmsghdr *nlh;

	nft_put(&at, seq, NFNL_MSG_BATCH_BEGIN, 0);
	nft_next(&at);
	nlh = nft_put(&at, seq, NFT_MSG_NEWTABLE, NLM_F_CREATE);
	mnl_attr_put_strz(nlh, NFTA_TABLE_NAME, table);
	nft_next(&at);
	nlh = nft_put(&at, seq, NFT_MSG_NEWCHAIN, NLM_F_CREATE);
	mnl_attr_put_strz(nlh, NFTA_CHAIN_TABLE, table);
	mnl_attr_put_strz(nlh, NFTA_CHAIN_NAME, "c");
	nft_next(&at);
	nlh = nft_put(&at, seq, NFT_MSG_NEWRULE, NLM_F_CREATE | NLM_F_APPEND | NLM_F_ACK);
	mnl_attr_put_strz(nlh, NFTA_RULE_TABLE, table);
	mnl_attr_put_strz(nlh, NFTA_RULE_CHAIN, "c");
	put_match(nlh, info);
	nft_next(&at);
	nft_put(&at, seq, NFNL_MSG_BATCH_END, 0);
	nft_next(&at);
	return at - buf;
}

static int xt_match(const char *table, const struct xt_bpf_info_v1 *info)
{
	_cleanup_nl_ struct ld_nl nl = { 0 };
	char buf[4096] __attribute__((aligned(8)));
	int err = ld_nl_open(&nl, NETLINK_NETFILTER);
	ssize_t n;

	if (err)
		return err;
	n = nft_batch(buf, ++nl.seq, table, info);
	if (mnl_socket_sendto(nl.sock, buf, n) < 0)
		return -errno;
	n = mnl_socket_recvfrom(nl.sock, buf, sizeof(buf));
	if (n < 0)
		return -errno;
	return mnl_cb_run(buf, n, nl.seq, mnl_socket_get_portid(nl.sock), NULL, NULL) < 0 ? -errno : 0;
}

static int xt_code(void)
{
	struct xt_bpf_info_v1 info = {
		.mode = XT_BPF_MODE_BYTECODE, .bpf_program_num_elem = 1, .fd = -1,
		.bpf_program = { { .code = BPF_RET | BPF_K } },
	};

	return xt_match("code", &info);
}

static int xt_prog(int prog)
{
	struct xt_bpf_info_v1 info = { .mode = XT_BPF_MODE_FD_ELF, .fd = prog };

	return prog < 0 ? prog : xt_match("prog", &info);
}

static int in_scratch(void *arg, void *ret)
{
	const struct progs *p = arg;
	int *err = ret;

	err[TRY_XDP_LINK] = xdp_link(p->xdp);
	err[TRY_TCX_LINK] = tcx_link(p->cls);
	err[TRY_NF_LINK] = nf_link(p->nf);
	err[TRY_CLS_BPF] = cls_bpf();
	err[TRY_XT_CODE] = xt_code();
	err[TRY_XT_PROG] = xt_prog(p->sock);
	return 0;
}

void ld_try_net(int ret_err[TRY_N])
{
	struct progs p = {
		.xdp = ld_try_prog(BPF_PROG_TYPE_XDP, BPF_XDP), .cls = ld_try_prog(BPF_PROG_TYPE_SCHED_CLS, 0),
		.nf = ld_try_prog(UAPI_BPF_PROG_TYPE_NETFILTER, UAPI_BPF_NETFILTER),
		.sock = ld_try_prog(BPF_PROG_TYPE_SOCKET_FILTER, 0),
	};
	int err = ld_scratch(in_scratch, &p, ret_err, TRY_N * sizeof(*ret_err), SCRATCH_MS);

	for (int i = 0; err && i < TRY_N; i++)
		ret_err[i] = err;
	ld_closep(&p.xdp);
	ld_closep(&p.cls);
	ld_closep(&p.nf);
	ld_closep(&p.sock);
}
