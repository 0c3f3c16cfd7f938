/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Routes that take packets for themselves: lightweight tunnels whose input function stands in place of local delivery or
 * forwarding (lwtunnel_input), before the input and forward hooks, whether or not the host forwards: segment routing,
 * ILA, RPL, BPF programs of routes. Only reading all routes tells whether there is one.
 */
#include <errno.h>

#include <linux/lwtunnel.h>
#include <linux/nexthop.h>
#include <linux/rtnetlink.h>

#include "priv.h"

/* Those that set LWTUNNEL_STATE_INPUT_REDIRECT. */
static bool takes_input(uint16_t encap)
{
	return encap == LWTUNNEL_ENCAP_ILA || encap == LWTUNNEL_ENCAP_SEG6 || encap == LWTUNNEL_ENCAP_BPF ||
	       encap == LWTUNNEL_ENCAP_SEG6_LOCAL || encap == LWTUNNEL_ENCAP_RPL;
}

static bool is_tunnel(const struct nlattr *a, uint16_t type)
{
	uint16_t encap;

	if (mnl_attr_get_type(a) != type)
		return false;
	ld_nl_copy(&encap, sizeof(encap), a);
	return takes_input(encap);
}

static bool paths_tunnel(const char *payload, size_t len)
{
	const struct nlattr *attr;

	mnl_attr_for_each_payload((void *)payload, len)
		if (is_tunnel(attr, RTA_ENCAP_TYPE))
			return true;
	return false;
}

/* struct rtnexthop, each with attributes of its own. */
static bool in_multipath(const struct nlattr *paths)
{
	const char *p = mnl_attr_get_payload(paths), *end = p + mnl_attr_get_payload_len(paths);
	const struct rtnexthop *nh;

	for (; end - p >= (ptrdiff_t)sizeof(*nh); p += RTNH_ALIGN(nh->rtnh_len)) {
		nh = (const struct rtnexthop *)p;
		if (nh->rtnh_len < sizeof(*nh) || nh->rtnh_len > end - p)
			return false;
		if (paths_tunnel(p + sizeof(*nh), nh->rtnh_len - sizeof(*nh)))
			return true;
	}
	return false;
}

static int on_route(const struct nlmsghdr *nlh, void *data)
{
	bool *found = data;
	const struct nlattr *a;

	if (nlh->nlmsg_type != RTM_NEWROUTE || mnl_nlmsg_get_payload_len(nlh) < sizeof(struct rtmsg))
		return MNL_CB_OK;
	mnl_attr_for_each(a, nlh, sizeof(struct rtmsg))
		if (is_tunnel(a, RTA_ENCAP_TYPE) ||
		    (mnl_attr_get_type(a) == RTA_MULTIPATH && in_multipath(a)))
			*found = true;
	return MNL_CB_OK;
}

static int on_nexthop(const struct nlmsghdr *nlh, void *data)
{
	bool *found = data;
	const struct nlattr *a;

	if (nlh->nlmsg_type != RTM_NEWNEXTHOP || mnl_nlmsg_get_payload_len(nlh) < sizeof(struct nhmsg))
		return MNL_CB_OK;
	mnl_attr_for_each(a, nlh, sizeof(struct nhmsg))
		if (is_tunnel(a, NHA_ENCAP_TYPE))
			*found = true;
	return MNL_CB_OK;
}

static int ask(struct ld_nl *nl, uint16_t type, size_t header, int family, mnl_cb_t cb, bool *found)
{
	char buf[256] __attribute__((aligned(8)));
	struct nlmsghdr *nlh = mnl_nlmsg_put_header(buf);
	uint8_t *h;

	nlh->nlmsg_type = type;
	nlh->nlmsg_flags = NLM_F_DUMP;
	h = mnl_nlmsg_put_extra_header(nlh, header);
	h[0] = family;		/* rtm_family, nh_family */
	return ld_nl_ask(nl, nlh, cb, found);
}

int ld_tunnels_check(struct ld_nl *nl, struct diags *ds, const struct ld_link *l)
{
	bool found = false;
	int err = ask(nl, RTM_GETROUTE, sizeof(struct rtmsg), AF_INET, on_route, &found);

	err = err ? err : ask(nl, RTM_GETROUTE, sizeof(struct rtmsg), AF_INET6, on_route, &found);
	err = err ? err : ask(nl, RTM_GETNEXTHOP, sizeof(struct nhmsg), AF_UNSPEC, on_nexthop, &found);
	if (err && err != -EOPNOTSUPP)	/* a kernel without nexthop objects */
		return err;
	if (!found)
		return 0;
	diag_add(ds, DIAG_ERROR, NULL,
		 "\"%s\": routes with an encapsulation (seg6, seg6local, bpf, ila, rpl) take packets before the rules",
		 l->name)
		->hint = "`ip route show table all` and `ip -6 route show table all` name them";
	return -EBUSY;
}
