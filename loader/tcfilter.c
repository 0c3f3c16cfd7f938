/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The clsact qdisc and filters of kind "bpf" in direct action mode, over netlink: what net/sched/cls_api.c and cls_bpf.c
 * take. Filters of one priority are one object of the kernel, evaluated from the newest to the oldest; adding or replacing
 * one filter is atomic for packets, and so is deleting a whole priority.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include <linux/if_ether.h>
#include <linux/pkt_cls.h>
#include <linux/pkt_sched.h>
#include <linux/rtnetlink.h>

#include "priv.h"

#define PARENT(egress) TC_H_MAKE(TC_H_CLSACT, (egress) ? TC_H_MIN_EGRESS : TC_H_MIN_INGRESS)

static struct tcmsg *header(struct nlmsghdr *nlh, int type, int flags, uint32_t ifindex)
{
	struct tcmsg *m;

	nlh->nlmsg_type = type;
	nlh->nlmsg_flags = flags;
	m = mnl_nlmsg_put_extra_header(nlh, sizeof(*m));
	m->tcm_family = AF_UNSPEC;
	m->tcm_ifindex = ifindex;
	return m;
}

/* ---- qdiscs */

struct qdiscs {
	int (*fn)(uint32_t ifindex, void *data);
	void *data;
	int err;
};

static int on_qdisc(const struct nlmsghdr *nlh, void *data)
{
	const struct tcmsg *m = mnl_nlmsg_get_payload(nlh);
	struct qdiscs *q = data;

	if (nlh->nlmsg_type == RTM_NEWQDISC && mnl_nlmsg_get_payload_len(nlh) >= sizeof(*m) && !q->err &&
	    m->tcm_parent == TC_H_CLSACT)
		q->err = q->fn(m->tcm_ifindex, q->data);
	return MNL_CB_OK;
}

int ld_tc_each(struct ld_nl *nl, int (*fn)(uint32_t ifindex, void *data), void *data)
{
	char buf[256] __attribute__((aligned(8)));
	struct nlmsghdr *nlh = mnl_nlmsg_put_header(buf);
	struct qdiscs q = { .fn = fn, .data = data };
	int err;

	header(nlh, RTM_GETQDISC, NLM_F_DUMP, 0);
	err = ld_nl_ask(nl, nlh, on_qdisc, &q);
	return err ? err : q.err;
}

static void marker(uint32_t ifindex, char ret[32])
{
	snprintf(ret, 32, "clsact-%u", ifindex);
}

static int qdisc(struct ld_nl *nl, uint32_t ifindex, int type, int flags)
{
	char buf[256] __attribute__((aligned(8)));
	struct nlmsghdr *nlh = mnl_nlmsg_put_header(buf);
	struct tcmsg *m = header(nlh, type, NLM_F_ACK | flags, ifindex);

	m->tcm_handle = TC_H_MAKE(TC_H_CLSACT, 0);
	m->tcm_parent = TC_H_CLSACT;
	mnl_attr_put_strz(nlh, TCA_KIND, "clsact");
	return ld_nl_ask(nl, nlh, NULL, NULL);
}

/* Made here; those of devices that are gone are forgotten. */
static void remember(uint32_t ifindex)
{
	_cleanup_close_ int dir = ld_run_dir(true);
	_cleanup_names_ char **names = NULL;
	char path[40], name[32];
	struct ld_link link;
	unsigned int i;

	if (dir < 0)
		return;
	snprintf(path, sizeof(path), "/proc/self/fd/%d", dir);
	names = ld_dir_names(path);
	for (char **n = names; n && *n; n++)
		if (sscanf(*n, "clsact-%u", &i) == 1 && ld_link_get(NULL, i, &link))
			unlinkat(dir, *n, 0);
	marker(ifindex, name);
	ld_run_write(dir, name, "", 0);
}

/* An ingress qdisc in its place is -EEXIST too; then filters at egress are refused by the kernel. */
int ld_tc_qdisc(struct ld_nl *nl, uint32_t ifindex)
{
	int err = qdisc(nl, ifindex, RTM_NEWQDISC, NLM_F_CREATE | NLM_F_EXCL);

	if (!err)
		remember(ifindex);
	return err == -EEXIST ? 0 : err;
}

void ld_tc_qdisc_put(struct ld_nl *nl, uint32_t ifindex)
{
	_cleanup_close_ int dir = ld_run_dir(false);
	char name[32];

	marker(ifindex, name);
	if (dir < 0 || faccessat(dir, name, F_OK, AT_SYMLINK_NOFOLLOW) < 0)
		return;
	for (int egress = 0; egress < 2; egress++) {
		_cleanup_filters_ struct ld_filters f = { 0 };

		if (ld_tc_dump(nl, ifindex, egress, &f) || f.n)
			return;
	}
	if (!qdisc(nl, ifindex, RTM_DELQDISC, 0))
		unlinkat(dir, name, 0);
}

/* ---- filters */

static void read_options(const struct nlattr *options, struct ld_filter *f)
{
	const struct nlattr *a;

	mnl_attr_for_each_nested(a, options) {
		uint32_t len = mnl_attr_get_payload_len(a);

		switch (mnl_attr_get_type(a)) {
		case TCA_BPF_NAME:
			snprintf(f->name, sizeof(f->name), "%.*s", (int)len, mnl_attr_get_str(a));
			break;
		case TCA_BPF_ID:
			f->prog_id = ld_nl_u32(a);
			break;
		case TCA_BPF_OPS:
			f->insn = calloc(1, len + 1);
			if (f->insn)
				memcpy(f->insn, mnl_attr_get_payload(a), len);
			f->n = f->insn ? len / sizeof(*f->insn) : 0;
			break;
		}
	}
}

/* A priority comes once by itself, with handle 0, and then with each of its filters; that of a kind whose filters have
 * handle 0 too comes twice. */
static int on_filter(const struct nlmsghdr *nlh, void *data)
{
	const struct tcmsg *m = mnl_nlmsg_get_payload(nlh);
	struct ld_filters *all = data;
	struct ld_filter *f, *more;
	const struct nlattr *a, *options = NULL;

	if (nlh->nlmsg_type != RTM_NEWTFILTER || mnl_nlmsg_get_payload_len(nlh) < sizeof(*m))
		return MNL_CB_OK;
	more = reallocarray(all->f, all->n + 1, sizeof(*more));
	if (!more)
		return MNL_CB_ERROR;
	all->f = more;
	f = &more[all->n];
	*f = (struct ld_filter){ .prio = m->tcm_info >> 16, .handle = m->tcm_handle };
	mnl_attr_for_each(a, nlh, sizeof(*m)) {
		if (mnl_attr_get_type(a) == TCA_KIND)
			f->bpf = !strcmp(mnl_attr_get_str(a), "bpf");
		else if (mnl_attr_get_type(a) == TCA_OPTIONS)
			options = a;
	}
	if (f->bpf && !f->handle)
		return MNL_CB_OK;
	if (f->bpf && options)
		read_options(options, f);
	all->n++;
	return MNL_CB_OK;
}

void ld_tc_free(struct ld_filters *f)
{
	for (uint32_t i = 0; i < f->n; i++)
		free(f->f[i].insn);
	free(f->f);
	*f = (struct ld_filters){ 0 };
}

/* A message of the dump must hold a filter of 4,000 instructions. The kernel makes them as large as the largest read on
 * the socket so far (af_netlink.c: netlink_dump), so there must have been one. */
static int read_once(struct ld_nl *nl)
{
	char buf[256] __attribute__((aligned(8)));
	struct nlmsghdr *nlh = mnl_nlmsg_put_header(buf);
	struct ifinfomsg *m;

	nlh->nlmsg_type = RTM_GETLINK;
	nlh->nlmsg_flags = NLM_F_ACK;
	m = mnl_nlmsg_put_extra_header(nlh, sizeof(*m));
	m->ifi_index = 1;
	return ld_nl_ask(nl, nlh, NULL, NULL);
}

int ld_tc_dump(struct ld_nl *nl, uint32_t ifindex, bool egress, struct ld_filters *ret)
{
	char buf[256] __attribute__((aligned(8)));
	struct nlmsghdr *nlh = mnl_nlmsg_put_header(buf);
	int err;

	read_once(nl);
	*ret = (struct ld_filters){ 0 };
	header(nlh, RTM_GETTFILTER, NLM_F_DUMP, ifindex)->tcm_parent = PARENT(egress);
	err = ld_nl_ask(nl, nlh, on_filter, ret);
	if (err == -EINVAL || err == -ENOENT || err == -EOPNOTSUPP)
		err = 0;
	if (err)
		ld_tc_free(ret);
	return err;
}

static uint32_t info_of(uint32_t prio)
{
	return TC_H_MAKE(prio << 16, htons(ETH_P_ALL));
}

int ld_tc_add(struct ld_nl *nl, uint32_t ifindex, bool egress, const struct ld_filter *f, int prog_fd, bool replace)
{
	size_t ops = f->n * sizeof(*f->insn), size = ops + 512;
	_cleanup_free_ char *buf = calloc(1, size);
	struct nlattr *options;
	struct nlmsghdr *nlh;
	struct tcmsg *m;

	if (!buf)
		return -ENOMEM;
	if (ops > UINT16_MAX - 256)
		return -E2BIG;
	nlh = mnl_nlmsg_put_header(buf);
	m = header(nlh, RTM_NEWTFILTER, NLM_F_ACK | NLM_F_CREATE | (replace ? 0 : NLM_F_EXCL), ifindex);
	m->tcm_parent = PARENT(egress);
	m->tcm_handle = f->handle;
	m->tcm_info = info_of(f->prio);
	mnl_attr_put_strz(nlh, TCA_KIND, "bpf");
	options = mnl_attr_nest_start(nlh, TCA_OPTIONS);
	if (prog_fd >= 0) {
		mnl_attr_put_u32(nlh, TCA_BPF_FD, prog_fd);
		mnl_attr_put_strz(nlh, TCA_BPF_NAME, f->name);
	} else {
		mnl_attr_put_u16(nlh, TCA_BPF_OPS_LEN, f->n);
		mnl_attr_put(nlh, TCA_BPF_OPS, ops, f->insn);
	}
	mnl_attr_put_u32(nlh, TCA_BPF_FLAGS, TCA_BPF_FLAG_ACT_DIRECT);
	mnl_attr_nest_end(nlh, options);
	return ld_nl_ask(nl, nlh, NULL, NULL);
}

/* Without a handle, cls_api.c: tc_del_tfilter unlinks the priority at once. */
int ld_tc_del(struct ld_nl *nl, uint32_t ifindex, bool egress, uint32_t prio, uint32_t handle)
{
	char buf[256] __attribute__((aligned(8)));
	struct nlmsghdr *nlh = mnl_nlmsg_put_header(buf);
	struct tcmsg *m = header(nlh, RTM_DELTFILTER, NLM_F_ACK, ifindex);

	m->tcm_parent = PARENT(egress);
	m->tcm_handle = handle;
	m->tcm_info = info_of(prio);
	return prio ? ld_nl_ask(nl, nlh, NULL, NULL) : -EINVAL;	/* priority 0 would be everything */
}
