/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Attaching for others. The broker enters their network namespace and nothing else of theirs: programs, links and the BPF
 * file system that they are pinned in are of outside, so whoever is root inside can neither open nor remove them. He is
 * never handed a program's descriptor, since holding one is all it takes to attach it.
 */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <string.h>
#include <sys/stat.h>

#include <linux/net_namespace.h>
#include <linux/rtnetlink.h>

#include "priv.h"

static int fail(struct diags *ds, int err, const char *path, const char *what)
{
	struct diag *d = diag_add(ds, DIAG_ERROR, NULL, "network namespace \"%s\": %s", path, what ? what : strerror(-err));

	if (err == -EPERM)
		d->hint = "working in the network namespace of others is for root of the initial user namespace";
	return err;
}

int ld_broker_enter(struct diags *ds, const char *path, pid_t pid)
{
	uint64_t was _cleanup_rights_ = ld_rights_raise(~0ULL);
	_cleanup_close_ int fd = -1, outside = open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC);
	char buf[LD_PATH];
	struct stat st;
	int ret;

	if (pid)
		snprintf(buf, sizeof(buf), "/proc/%d/ns/net", (int)pid);
	else
		snprintf(buf, sizeof(buf), "%s%s", strchr(path, '/') ? "" : "/run/netns/", path);
	if (pid && path)
		return fail(ds, -EINVAL, path, "--netns and --pid name one each; give one of them");
	if (!ld_init_userns() || !ld_effective(CAP_SYS_ADMIN))
		return fail(ds, -EPERM, buf, NULL);
	fd = open(buf, O_RDONLY | O_CLOEXEC);
	if (fd < 0 || outside < 0 || fstat(fd, &st) < 0)
		return fail(ds, -errno, buf, pid && errno == ENOENT ? "no such process" : NULL);
	if (st.st_ino == ld_netns_inode())
		return fail(ds, -EEXIST, buf, "that is the one fwjit was started in");
	if (setns(fd, CLONE_NEWNET) < 0)
		return fail(ds, -errno, buf, errno == EINVAL ? "not a network namespace" : NULL);
	ret = outside;
	outside = -1;
	return ret;
}

int ld_broker_leave(struct diags *ds, int outside)
{
	uint64_t was _cleanup_rights_ = ld_rights_raise(LD_RIGHT(CAP_SYS_ADMIN));

	return setns(outside, CLONE_NEWNET) < 0 ? fail(ds, -errno, "the one outside", NULL) : 0;
}

static int on_nsid(const struct nlmsghdr *nlh, void *data)
{
	const struct nlattr *attr;

	mnl_attr_for_each(attr, nlh, sizeof(struct rtgenmsg))
		if (mnl_attr_get_type(attr) == NETNSA_NSID)
			*(uint32_t *)data = ld_nl_u32(attr);
	return MNL_CB_OK;
}

/* The number that this namespace has for another one. */
static int nsid_of(struct ld_nl *nl, int fd, uint32_t *ret)
{
	char buf[128] __attribute__((aligned(8)));
	struct nlmsghdr *nlh = mnl_nlmsg_put_header(buf);
	struct rtgenmsg *g;

	nlh->nlmsg_type = RTM_GETNSID;
	g = mnl_nlmsg_put_extra_header(nlh, MNL_ALIGN(sizeof(*g)));
	g->rtgen_family = AF_UNSPEC;
	mnl_attr_put_u32(nlh, NETNSA_FD, fd);
	return ld_nl_ask(nl, nlh, on_nsid, ret);
}

static int on_link(const struct nlmsghdr *nlh, void *data)
{
	const struct nlattr *attr;

	mnl_attr_for_each(attr, nlh, sizeof(struct ifinfomsg))
		if (mnl_attr_get_type(attr) == IFLA_LINK_NETNSID)
			*(uint32_t *)data = ld_nl_u32(attr);
	return MNL_CB_OK;
}

static int peer_nsid(struct ld_nl *nl, uint32_t ifindex, uint32_t *ret)
{
	char buf[128] __attribute__((aligned(8)));
	struct nlmsghdr *nlh = mnl_nlmsg_put_header(buf);
	struct ifinfomsg *m;

	nlh->nlmsg_type = RTM_GETLINK;
	m = mnl_nlmsg_put_extra_header(nlh, sizeof(*m));
	m->ifi_index = ifindex;
	return ld_nl_ask(nl, nlh, on_link, ret);
}

static int peer_index(int outside, const char *dev, uint32_t *ret)
{
	_cleanup_nl_ struct ld_nl nl = { 0 };
	uint32_t is = UINT32_MAX, want = UINT32_MAX;
	struct ld_link l;
	int err = ld_link_get(dev, 0, &l);

	err = err ? err : ld_nl_open(&nl, NETLINK_ROUTE);
	err = err ? err : peer_nsid(&nl, l.ifindex, &is);
	err = err ? err : nsid_of(&nl, outside, &want);
	if (!err && (strcmp(l.kind, "veth") || !l.lower || is == UINT32_MAX || is != want))
		err = -EXDEV;
	*ret = l.lower;
	return err;
}

int ld_broker_peer(struct diags *ds, int outside, const char *dev, char ret_peer[16])
{
	_cleanup_close_ int inside = open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC);
	struct ld_link l;
	uint32_t index = 0;
	int err = inside < 0 ? -errno : peer_index(outside, dev, &index);

	if (!err)
		err = ld_broker_leave(ds, outside);
	if (!err) {
		err = ld_link_get(NULL, index, &l);
		snprintf(ret_peer, 16, "%s", err ? "" : l.name);
		if (ld_broker_leave(ds, inside))
			return -EPROTO;
	}
	if (err)
		diag_add(ds, DIAG_ERROR, NULL, "the other end of \"%s\": %s", dev,
			 err == -EXDEV ? "not a veth device whose other end is where fwjit was started" : strerror(-err));
	return err;
}
