/* SPDX-License-Identifier: GPL-2.0-only */
/* What was dropped is counted by the clsact qdisc itself. All traffic is on two devices in a namespace of its own. */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <libmnl/libmnl.h>
#include <linux/gen_stats.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <linux/pkt_cls.h>
#include <linux/pkt_sched.h>
#include <linux/rtnetlink.h>
#include <linux/veth.h>
#include <net/if.h>
#include <sched.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "cbpf_live.h"

#define MTU		2000
#define MSG_SIZE	65536

/* ------------------------------------------------------------------ netlink */

static struct nlmsghdr *message(struct cbpf_live *l, char *buf, uint16_t type, uint16_t flags)
{
	struct nlmsghdr *h = mnl_nlmsg_put_header(buf);

	h->nlmsg_type = type;
	h->nlmsg_flags = NLM_F_REQUEST | flags;
	h->nlmsg_seq = ++l->seq;
	return h;
}

static int ask(struct cbpf_live *l, const struct nlmsghdr *h)
{
	static char buf[MSG_SIZE];
	const struct nlmsghdr *a = (const void *)buf;
	const struct nlmsgerr *e;

	if (send(l->rtnl, h, h->nlmsg_len, 0) < 0 || recv(l->rtnl, buf, sizeof(buf), 0) < (ssize_t)sizeof(*a))
		return -errno;
	if (a->nlmsg_type != NLMSG_ERROR)
		return -EPROTO;
	e = mnl_nlmsg_get_payload(a);
	return e->error;
}

static int make_pair(struct cbpf_live *l)
{
	char buf[1024];
	struct nlmsghdr *h = message(l, buf, RTM_NEWLINK, NLM_F_ACK | NLM_F_CREATE | NLM_F_EXCL);
	struct nlattr *info, *data, *peer;

	mnl_nlmsg_put_extra_header(h, sizeof(struct ifinfomsg));
	mnl_attr_put_strz(h, IFLA_IFNAME, "v0");
	mnl_attr_put_u32(h, IFLA_MTU, MTU);
	info = mnl_attr_nest_start(h, IFLA_LINKINFO);
	mnl_attr_put_strz(h, IFLA_INFO_KIND, "veth");
	data = mnl_attr_nest_start(h, IFLA_INFO_DATA);
	peer = mnl_attr_nest_start(h, VETH_INFO_PEER);
	mnl_nlmsg_put_extra_header(h, sizeof(struct ifinfomsg));
	mnl_attr_put_strz(h, IFLA_IFNAME, "v1");
	mnl_attr_put_u32(h, IFLA_MTU, MTU);
	mnl_attr_nest_end(h, peer);
	mnl_attr_nest_end(h, data);
	mnl_attr_nest_end(h, info);
	return ask(l, h);
}

static int up(struct cbpf_live *l, uint32_t ifindex)
{
	char buf[256];
	struct nlmsghdr *h = message(l, buf, RTM_NEWLINK, NLM_F_ACK);
	struct ifinfomsg *m = mnl_nlmsg_put_extra_header(h, sizeof(*m));

	m->ifi_index = ifindex;
	m->ifi_flags = m->ifi_change = IFF_UP;
	return ask(l, h);
}

static int clsact(struct cbpf_live *l, uint16_t type, uint16_t flags)
{
	char buf[256];
	struct nlmsghdr *h = message(l, buf, type, NLM_F_ACK | flags);
	struct tcmsg *m = mnl_nlmsg_put_extra_header(h, sizeof(*m));

	m->tcm_ifindex = l->v0;
	m->tcm_handle = TC_H_MAKE(TC_H_CLSACT, 0);
	m->tcm_parent = TC_H_CLSACT;
	mnl_attr_put_strz(h, TCA_KIND, "clsact");
	return ask(l, h);
}

static int add_filter(struct cbpf_live *l, const struct be_filter *f, uint32_t prio)
{
	static char buf[MSG_SIZE];
	struct nlmsghdr *h = message(l, buf, RTM_NEWTFILTER, NLM_F_ACK | NLM_F_CREATE | NLM_F_EXCL);
	struct tcmsg *m = mnl_nlmsg_put_extra_header(h, sizeof(*m));
	struct nlattr *o;

	m->tcm_ifindex = l->v0;
	m->tcm_parent = TC_H_MAKE(TC_H_CLSACT, l->egress ? TC_H_MIN_EGRESS : TC_H_MIN_INGRESS);
	m->tcm_info = TC_H_MAKE(prio << 16, htons(ETH_P_ALL));
	mnl_attr_put_strz(h, TCA_KIND, "bpf");
	o = mnl_attr_nest_start(h, TCA_OPTIONS);
	mnl_attr_put_u16(h, TCA_BPF_OPS_LEN, f->n);
	mnl_attr_put(h, TCA_BPF_OPS, f->n * sizeof(*f->insn), f->insn);
	mnl_attr_put_u32(h, TCA_BPF_FLAGS, TCA_BPF_FLAG_ACT_DIRECT);
	mnl_attr_nest_end(h, o);
	return ask(l, h);
}

/* ------------------------------------------------------------------ counters */

static int queue_drops(const struct nlattr *a, void *data)
{
	const struct gnet_stats_queue *q = mnl_attr_get_payload(a);

	if (mnl_attr_get_type(a) == TCA_STATS_QUEUE)
		*(uint32_t *)data = q->drops;
	return MNL_CB_OK;
}

static int of_qdisc(const struct nlattr *a, void *data)
{
	if (mnl_attr_get_type(a) == TCA_STATS2)
		mnl_attr_parse_nested(a, queue_drops, data);
	return MNL_CB_OK;
}

struct want {
	const struct cbpf_live *l;
	uint32_t drops;
};

static int qdisc(const struct nlmsghdr *h, void *data)
{
	struct want *w = data;
	const struct tcmsg *m = mnl_nlmsg_get_payload(h);

	if (h->nlmsg_type == RTM_NEWQDISC && (uint32_t)m->tcm_ifindex == w->l->v0 && m->tcm_parent == TC_H_CLSACT)
		mnl_attr_parse(h, sizeof(*m), of_qdisc, &w->drops);
	return MNL_CB_OK;
}

static int read_drops(struct cbpf_live *l, uint32_t *ret)
{
	static char buf[MSG_SIZE];
	struct nlmsghdr *h = message(l, buf, RTM_GETQDISC, NLM_F_DUMP);
	struct tcmsg *m = mnl_nlmsg_put_extra_header(h, sizeof(*m));
	struct want w = { l, 0 };
	ssize_t n;

	m->tcm_ifindex = l->v0;
	if (send(l->rtnl, h, h->nlmsg_len, 0) < 0)
		return -errno;
	do {
		n = recv(l->rtnl, buf, sizeof(buf), 0);
		if (n < 0)
			return -errno;
	} while (mnl_cb_run(buf, n, l->seq, 0, qdisc, &w) > 0);
	*ret = w.drops;
	return 0;
}

/* ------------------------------------------------------------------ the namespace */

static int enter(void)
{
	if (unshare(CLONE_NEWNET) == 0 || unshare(CLONE_NEWUSER | CLONE_NEWNET) == 0)
		return 0;
	return -errno;
}

/* Nothing but the test's own packets shall be on the devices. */
static int silence(void)
{
	int fd = open("/proc/sys/net/ipv6/conf/default/disable_ipv6", O_WRONLY | O_CLOEXEC), r = 0;

	if (fd < 0)
		return errno == ENOENT ? 0 : -errno;
	if (write(fd, "1", 1) != 1)
		r = -errno;
	close(fd);
	return r;
}

int cbpf_live_open(struct cbpf_live *ret)
{
	struct cbpf_live *l = ret;
	int r = enter();

	*l = (struct cbpf_live){ .rtnl = -1, .packet = -1 };
	if (r == 0)
		r = silence();
	if (r)
		return r;
	l->rtnl = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
	l->packet = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0);
	if (l->rtnl < 0 || l->packet < 0)
		return -errno;
	r = make_pair(l);
	if (r)
		return r;
	l->v0 = if_nametoindex("v0");
	l->v1 = if_nametoindex("v1");
	r = up(l, l->v0);
	return r ? r : up(l, l->v1);
}

int cbpf_live_install(struct cbpf_live *l, const struct be_prog *p, bool egress)
{
	int r;

	clsact(l, RTM_DELQDISC, 0);
	r = clsact(l, RTM_NEWQDISC, NLM_F_CREATE | NLM_F_EXCL);
	l->egress = egress;
	for (uint32_t n = 0; r == 0 && n < p->n_filter; n++)
		r = add_filter(l, &p->filter[n], n + 1);
	return r ? r : read_drops(l, &l->drops);
}

int cbpf_live_drops(struct cbpf_live *l, const uint8_t *frame, uint32_t len)
{
	struct sockaddr_ll to = { .sll_family = AF_PACKET, .sll_protocol = htons(ETH_P_ALL), .sll_halen = 6,
				  .sll_ifindex = l->egress ? l->v0 : l->v1 };
	uint32_t was = l->drops;
	int r;

	if (sendto(l->packet, frame, len, 0, (struct sockaddr *)&to, sizeof(to)) < 0 && errno != ENOBUFS)
		return -errno;
	r = read_drops(l, &l->drops);
	return r ? r : l->drops != was;
}
