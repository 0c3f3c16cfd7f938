/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Wakes when something that a slice was made from changes: nftables' objects, devices, addresses, routes, routing
 * rules, forwarding. Notifications are taken as hints: what they say is not read, and where some were lost, that
 * too is a change. The kernel tells nobody of iptables' legacy tables, but their tools take a lock, a file: when one lets
 * go of it, it is time to compare.
 */
#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/inotify.h>

#include <linux/netfilter/nfnetlink.h>
#include <linux/rtnetlink.h>

#include "priv.h"

static const int net_groups[] = {
	RTNLGRP_LINK, RTNLGRP_TC, RTNLGRP_IPV4_IFADDR, RTNLGRP_IPV6_IFADDR, RTNLGRP_IPV4_ROUTE, RTNLGRP_IPV6_ROUTE,
	RTNLGRP_IPV4_RULE, RTNLGRP_IPV6_RULE, RTNLGRP_IPV4_NETCONF, RTNLGRP_IPV6_NETCONF, RTNLGRP_NEXTHOP,
};
static const int rules_groups[] = { NFNLGRP_NFTABLES };

static int listen_to(int bus, const int *group, size_t n)
{
	uint64_t was _cleanup_rights_ = ld_rights_raise(LD_RIGHT(CAP_NET_ADMIN));
	int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, bus);
	struct sockaddr_nl any = { .nl_family = AF_NETLINK };
	int err = fd < 0 || bind(fd, (struct sockaddr *)&any, sizeof(any)) < 0 ? -errno : 0;

	for (size_t i = 0; i < n && !err; i++)
		if (setsockopt(fd, SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, &group[i], sizeof(group[i])) < 0)
			err = -errno;
	if (err)
		ld_closep(&fd);
	return err ? err : fd;
}

/* iptables/xshared.h: XT_LOCK_NAME. It need not be there yet; to add it again changes nothing. */
static void listen_to_lock(struct ld_watch *w)
{
	if (w->lock_fd >= 0)
		inotify_add_watch(w->lock_fd, "/run/xtables.lock", IN_CLOSE);
}

int ld_watch_open(struct diags *ds, struct ld_watch *ret)
{
	*ret = (struct ld_watch){ -1, -1, inotify_init1(IN_CLOEXEC | IN_NONBLOCK) };
	listen_to_lock(ret);
	ret->net_fd = listen_to(NETLINK_ROUTE, net_groups, sizeof(net_groups) / sizeof(net_groups[0]));
	ret->rules_fd = ret->net_fd < 0 ? ret->net_fd : listen_to(NETLINK_NETFILTER, rules_groups, 1);
	if (ret->rules_fd < 0) {
		int err = ret->rules_fd;

		diag_add(ds, DIAG_ERROR, NULL, "cannot listen for changes: netlink: %s", strerror(-err));
		ld_watch_close(ret);
		return err;
	}
	return 0;
}

/* The same for the lock. */
static bool drain_lock(int fd)
{
	char buf[4096];
	bool any = false;

	while (read(fd, buf, sizeof(buf)) > 0)
		any = true;
	return any;
}

/* Takes all that is pending. Full buffers (ENOBUFS) mean lost notifications: a change. */
static bool drain(int fd)
{
	char buf[32768];
	bool any = false;

	for (;;) {
		ssize_t n = recv(fd, buf, sizeof(buf), MSG_DONTWAIT | MSG_TRUNC);

		if (n < 0 && errno != ENOBUFS && errno != EINTR)
			return any;
		any = any || n >= 0 || errno == ENOBUFS;
	}
}

int ld_watch_wait(struct ld_watch *w, int timeout_ms)
{
	struct pollfd p[3] = {
		{ .fd = w->rules_fd, .events = POLLIN }, { .fd = w->net_fd, .events = POLLIN },
		{ .fd = w->lock_fd, .events = POLLIN },
	};
	int n;

	listen_to_lock(w);
	n = poll(p, 3, timeout_ms);
	if (n < 0)
		return -errno;
	return (p[2].revents && drain_lock(w->lock_fd) ? LD_LOOK : 0) |
	       (p[0].revents && drain(w->rules_fd) ? LD_CHANGED_RULES : 0) |
	       (p[1].revents && drain(w->net_fd) ? LD_CHANGED_NET : 0);
}

void ld_watch_close(struct ld_watch *w)
{
	ld_closep(&w->rules_fd);
	ld_closep(&w->net_fd);
	ld_closep(&w->lock_fd);
}
