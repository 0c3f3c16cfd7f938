/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The sandbox's namespaces and devices. Who may have a network namespace has just that, so that rules may name any user
 * (xt_owner), and keeps of his rights what the tools need; who may not has a user namespace first, where he is root
 * alone. Devices have the indices of the caller's namespace, since rules that say `iif` hold an index and no name;
 * those that are unknown there have the index that fe_ifindex makes of a name.
 */
#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <libmnl/libmnl.h>
#include <linux/capability.h>
#include <linux/if_link.h>
#include <linux/rtnetlink.h>

#include "sandbox.h"

int sb_host_read(struct arena *a, struct sb_host *ret)
{
	struct if_nameindex *all = if_nameindex();

	*ret = (struct sb_host){ .n = 0 };
	if (!all)
		return -errno;
	for (struct if_nameindex *i = all; i->if_index; i++) {
		struct sb_link *l;

		ret->link = arena_grow(a, ret->link, ret->n * sizeof(*l), (ret->n + 1) * sizeof(*l));
		l = &ret->link[ret->n++];
		l->index = i->if_index;
		snprintf(l->name, sizeof(l->name), "%s", i->if_name);
	}
	if_freenameindex(all);
	return 0;
}

static int write_file(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC), r = 0;

	if (fd < 0)
		return -errno;
	if (write(fd, text, strlen(text)) != (ssize_t)strlen(text))
		r = -errno;
	close(fd);
	return r;
}

static int map_ids(uid_t uid, gid_t gid, const char **ret_call)
{
	char map[32];
	int r;

	*ret_call = "/proc/self/setgroups";
	r = write_file("/proc/self/setgroups", "deny");
	if (r < 0 && r != -ENOENT)
		return r;
	*ret_call = "/proc/self/uid_map";
	snprintf(map, sizeof(map), "0 %u 1", uid);
	r = write_file("/proc/self/uid_map", map);
	if (r < 0)
		return r;
	*ret_call = "/proc/self/gid_map";
	snprintf(map, sizeof(map), "0 %u 1", gid);
	return write_file("/proc/self/gid_map", map);
}

/* Of root's rights only what the tools need in the new network namespace. */
static int drop_caps(const char **ret_call)
{
	struct __user_cap_header_struct h = { .version = _LINUX_CAPABILITY_VERSION_3 };
	uint32_t keep = 1u << CAP_NET_ADMIN | 1u << CAP_NET_RAW;
	struct __user_cap_data_struct d[2] = { { .effective = keep, .permitted = keep } };

	*ret_call = "prctl(PR_CAPBSET_DROP)";
	for (int c = 0; prctl(PR_CAPBSET_READ, c, 0, 0, 0) >= 0; c++)
		if (c != CAP_NET_ADMIN && c != CAP_NET_RAW && prctl(PR_CAPBSET_DROP, c, 0, 0, 0))
			return -errno;
	*ret_call = "capset()";
	return syscall(SYS_capset, &h, d) ? -errno : 0;
}

static int lo_up(void)
{
	struct ifreq ifr = { .ifr_name = "lo", .ifr_flags = IFF_UP };
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0), r = 0;

	if (fd < 0)
		return -errno;
	if (ioctl(fd, SIOCSIFFLAGS, &ifr))
		r = -errno;
	close(fd);
	return r;
}

/* The ids are mapped before the network namespace is made: xt_proto_init gives its files in /proc/net to that root. */
static int enter_user(const char **ret_call)
{
	uid_t uid = geteuid();
	gid_t gid = getegid();
	int r;

	*ret_call = "unshare(CLONE_NEWUSER)";
	if (unshare(CLONE_NEWUSER))
		return -errno;
	r = map_ids(uid, gid, ret_call);
	if (r < 0)
		return r;
	*ret_call = "unshare(CLONE_NEWNET)";
	return unshare(CLONE_NEWNET) ? -errno : 0;
}

int sb_enter(const char **ret_call)
{
	int r = unshare(CLONE_NEWNET) ? enter_user(ret_call) : drop_caps(ret_call);

	if (r < 0)
		return r;
	*ret_call = "ioctl(SIOCSIFFLAGS)";
	return lo_up();
}

static bool is_device_name(const char *name)
{
	size_t n = strlen(name);

	return n && n < IFNAMSIZ && strcmp(name, ".") && strcmp(name, "..") && !strpbrk(name, "/: \t\r\n\v\f%");
}

static int ask(struct mnl_socket *nl, const struct nlmsghdr *h)
{
	char buf[4096];
	ssize_t n;

	if (mnl_socket_sendto(nl, h, h->nlmsg_len) < 0)
		return -errno;
	n = mnl_socket_recvfrom(nl, buf, sizeof(buf));
	if (n < 0)
		return -errno;
	return mnl_cb_run(buf, (size_t)n, h->nlmsg_seq, mnl_socket_get_portid(nl), NULL, NULL) < 0 ? -errno : 0;
}

static struct nlmsghdr *link_message(char *buf, uint16_t flags, uint32_t index, const char *name)
{
	struct nlmsghdr *h = mnl_nlmsg_put_header(buf);
	struct ifinfomsg *i;

	h->nlmsg_type = RTM_NEWLINK;
	h->nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK | flags;
	h->nlmsg_seq = 1;
	i = mnl_nlmsg_put_extra_header(h, sizeof(*i));
	i->ifi_index = (int)index;
	mnl_attr_put_strz(h, IFLA_IFNAME, name);
	return h;
}

static int link_add(struct mnl_socket *nl, const char *name, uint32_t index, const char *kind)
{
	char buf[1024];
	struct nlmsghdr *h = link_message(buf, NLM_F_CREATE | NLM_F_EXCL, index, name);
	struct nlattr *nest = mnl_attr_nest_start(h, IFLA_LINKINFO);

	mnl_attr_put_strz(h, IFLA_INFO_KIND, kind);
	mnl_attr_nest_end(h, nest);
	return ask(nl, h);
}

static int link_rename(struct mnl_socket *nl, uint32_t index)
{
	char buf[1024], name[IFNAMSIZ];

	snprintf(name, sizeof(name), "other%u", index);
	return ask(nl, link_message(buf, 0, index, name));
}

static uint32_t index_for(const struct sb_host *host, const char *name)
{
	for (uint32_t i = 0; i < host->n; i++)
		if (!strcmp(host->link[i].name, name))
			return host->link[i].index;
	return fe_ifindex_made(name);
}

/* Which link types a kernel has differs; any that nftables can hook to will do. A kernel with tunnels (sit, ipip) puts one
 * of each into every new namespace, under the caller's name for its own and with another index: it steps aside. */
int sb_device_add(const struct sb_host *host, const char *name)
{
	static const char *const kinds[] = { "dummy", "ifb", "bridge", "veth" };
	uint32_t there = if_nametoindex(name), index = index_for(host, name);
	struct mnl_socket *nl;
	int r = -EOPNOTSUPP;

	if (!is_device_name(name))
		return -EINVAL;
	if (there == index)
		return 0;
	nl = mnl_socket_open2(NETLINK_ROUTE, SOCK_CLOEXEC);
	if (!nl)
		return -errno;
	if (mnl_socket_bind(nl, 0, MNL_SOCKET_AUTOPID) < 0)
		r = -errno;
	else if (there && link_rename(nl, there) < 0)
		r = -EBUSY;
	for (size_t k = 0; k < sizeof(kinds) / sizeof(kinds[0]) && r == -EOPNOTSUPP; k++)
		r = link_add(nl, name, index, kinds[k]);
	mnl_socket_close(nl);
	return r < 0 ? r : 1;
}
