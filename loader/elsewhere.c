/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Upper devices in other network namespaces: a macvlan of a container takes frames of the host's device before the host's
 * rules, and is in no list of the host's devices. There are two signs. A device that was moved away left an id of the other
 * namespace here, under which its devices can be asked for; one that takes frames for an address of its own has that
 * address in the device's filter. One that was made elsewhere and takes all frames, or has the same address, shows neither.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <linux/neighbour.h>
#include <linux/net_namespace.h>
#include <linux/rtnetlink.h>

#include "priv.h"

#define IDS_MAX 4096

struct search {
	const struct ld_link *dev;
	struct ld_link found;
	int32_t id[IDS_MAX];
	uint32_t n;
};

static int on_id(const struct nlmsghdr *nlh, void *data)
{
	struct search *s = data;
	const struct nlattr *a;

	if (nlh->nlmsg_type != RTM_NEWNSID || mnl_nlmsg_get_payload_len(nlh) < sizeof(struct rtgenmsg))
		return MNL_CB_OK;
	mnl_attr_for_each(a, nlh, sizeof(struct rtgenmsg))
		if (mnl_attr_get_type(a) == NETNSA_NSID && s->n < IDS_MAX)
			s->id[s->n++] = (int32_t)ld_nl_u32(a);
	return MNL_CB_OK;
}

static int on_link(const struct nlmsghdr *nlh, void *data)
{
	struct search *s = data;
	struct ld_link l = { 0 };

	ld_link_read(nlh, &l);
	if (l.ifindex && l.has_lower_netns && l.lower == s->dev->ifindex && !ld_takes_no_packets(l.kind))
		s->found = l;
	return MNL_CB_OK;
}

static int ask_ids(struct ld_nl *nl, struct search *s)
{
	char buf[256] __attribute__((aligned(8)));
	struct nlmsghdr *nlh = mnl_nlmsg_put_header(buf);

	nlh->nlmsg_type = RTM_GETNSID;
	nlh->nlmsg_flags = NLM_F_DUMP;
	mnl_nlmsg_put_extra_header(nlh, sizeof(struct rtgenmsg));
	return ld_nl_ask(nl, nlh, on_id, s);
}

/* Where the caller has no rights in the other namespace it stays unknown. */
static int ask_links(struct ld_nl *nl, struct search *s, int32_t id)
{
	char buf[256] __attribute__((aligned(8)));
	struct nlmsghdr *nlh = mnl_nlmsg_put_header(buf);
	int err;

	nlh->nlmsg_type = RTM_GETLINK;
	nlh->nlmsg_flags = NLM_F_DUMP;
	mnl_nlmsg_put_extra_header(nlh, sizeof(struct ifinfomsg));
	mnl_attr_put_u32(nlh, IFLA_TARGET_NETNSID, id);
	err = ld_nl_ask(nl, nlh, on_link, s);
	return err == -EACCES || err == -EPERM || err == -EINVAL ? 0 : err;
}

static int check_moved(struct ld_nl *nl, struct diags *ds, const struct ld_link *dev)
{
	_cleanup_free_ struct search *s = calloc(1, sizeof(*s));
	int err = s ? 0 : -ENOMEM;

	if (err)
		return err;
	s->dev = dev;
	err = ask_ids(nl, s);
	for (uint32_t i = 0; i < s->n && !err && !s->found.ifindex; i++)
		err = ask_links(nl, s, s->id[i]);
	if (err || !s->found.ifindex)
		return err == -EOPNOTSUPP ? 0 : err;
	diag_add(ds, DIAG_ERROR, NULL,
		 "\"%s\" has a device on top of it that takes packets before the rules, in another network namespace: "
		 "\"%s\" (%s)", dev->name, s->found.name, s->found.kind)
		->hint = "choose another device, or remove that one";
	return -EBUSY;
}

struct filter {
	uint64_t hash;
	uint32_t n;
	uint8_t address[6];
};

/* Group addresses are everybody's. */
static int on_address(const struct nlmsghdr *nlh, void *data)
{
	const struct ndmsg *m = mnl_nlmsg_get_payload(nlh);
	struct filter *f = data;
	uint8_t b[6] = { 1 };
	const struct nlattr *a;

	if (nlh->nlmsg_type != RTM_NEWNEIGH || mnl_nlmsg_get_payload_len(nlh) < sizeof(*m) || !(m->ndm_flags & NTF_SELF))
		return MNL_CB_OK;
	mnl_attr_for_each(a, nlh, sizeof(*m))
		if (mnl_attr_get_type(a) == NDA_LLADDR)
			ld_nl_copy(b, sizeof(b), a);
	if (b[0] & 1)
		return MNL_CB_OK;
	f->n++;
	for (size_t i = 0; i < sizeof(b); i++) {
		f->address[i] = b[i];
		f->hash = (f->hash ^ b[i]) * 1099511628211ull;
	}
	return MNL_CB_OK;
}

static int ask_filter(struct ld_nl *nl, uint32_t ifindex, struct filter *f)
{
	char buf[256] __attribute__((aligned(8)));
	struct nlmsghdr *nlh = mnl_nlmsg_put_header(buf);
	struct ndmsg *m;

	nlh->nlmsg_type = RTM_GETNEIGH;
	nlh->nlmsg_flags = NLM_F_DUMP;
	m = mnl_nlmsg_put_extra_header(nlh, sizeof(*m));
	m->ndm_family = AF_BRIDGE;
	m->ndm_ifindex = ifindex;
	return ld_nl_ask(nl, nlh, on_address, f);
}

/* Devices whose own table is asked that way, not their filter, which they do not have. */
static bool has_no_filter(const char *kind)
{
	return !strcmp(kind, "vxlan") || !strcmp(kind, "bridge") || !strcmp(kind, "dsa");
}

static int check_filter(struct ld_nl *nl, struct diags *ds, const struct ld_link *dev)
{
	struct filter f = { 0 };
	const uint8_t *b = f.address;
	int err = has_no_filter(dev->kind) ? 0 : ask_filter(nl, dev->ifindex, &f);

	if (err == -EOPNOTSUPP || err == -EINVAL)
		return 0;
	if (err || !f.n)
		return err;
	diag_add(ds, DIAG_ERROR, NULL,
		 "\"%s\" takes frames for another address, %02x:%02x:%02x:%02x:%02x:%02x: those of a device on top of it, "
		 "in another network namespace", dev->name, b[0], b[1], b[2], b[3], b[4], b[5])
		->hint = "`bridge fdb show dev …` lists such addresses";
	return -EBUSY;
}

int ld_elsewhere_check(struct ld_nl *nl, struct diags *ds, const struct ld_link *dev)
{
	int err = check_filter(nl, ds, dev);

	return err ? err : check_moved(nl, ds, dev);
}

uint64_t ld_elsewhere_hash(struct ld_nl *nl, uint32_t ifindex)
{
	struct filter f = { 0 };

	return ask_filter(nl, ifindex, &f) ? 0 : f.hash + f.n;
}
