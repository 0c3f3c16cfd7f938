/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Legacy tables of the network namespace that the caller is in, by the getsockopts that iptables itself uses. A table
 * that nobody uses is never asked for: the kernel would make it, and register its hooks.
 */
#include <errno.h>
#include <netinet/in.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <linux/netfilter_ipv4/ip_tables.h>
#include <linux/netfilter_ipv6/ip6_tables.h>

#include "reader.h"

_Static_assert(sizeof(struct ipt_getinfo) == sizeof(struct ip6t_getinfo), "one header for both families");
_Static_assert(IPT_SO_GET_INFO == IP6T_SO_GET_INFO && IPT_SO_GET_ENTRIES == IP6T_SO_GET_ENTRIES, "one set of options");
_Static_assert(offsetof(struct ipt_get_entries, entrytable) == offsetof(struct ip6t_get_entries, entrytable),
	       "one header for both families");

#define MAX_TRIES	10

static int refused(struct diags *ds, uint8_t family, const char *table, const char *call, int err)
{
	diag_add(ds, DIAG_ERROR, NULL, "%s table \"%s\": %s: %s", family == FAM_IP6 ? "ip6tables" : "iptables", table, call,
		 strerror(err));
	return -err;
}

/* The table's size may change between the two calls: the kernel then says EAGAIN. */
static int get_once(struct arena *a, int fd, int level, const char *table, struct fe_rec *ret, const char **ret_call)
{
	struct ipt_getinfo info = { };
	struct ipt_get_entries *get;
	socklen_t len = sizeof(info);

	strcpy(info.name, table);
	*ret_call = "getsockopt(IPT_SO_GET_INFO)";
	if (getsockopt(fd, level, IPT_SO_GET_INFO, &info, &len))
		return -errno;
	len = offsetof(struct ipt_get_entries, entrytable) + info.size;
	ret->data = arena_alloc(a, sizeof(info) + len);
	ret->len = sizeof(info) + len;
	get = arena_alloc(a, len);
	strcpy(get->name, table);
	get->size = info.size;
	*ret_call = "getsockopt(IPT_SO_GET_ENTRIES)";
	if (getsockopt(fd, level, IPT_SO_GET_ENTRIES, get, &len))
		return -errno;
	memcpy((uint8_t *)ret->data, &info, sizeof(info));
	memcpy((uint8_t *)ret->data + sizeof(info), get, len);
	return 0;
}

int fe_ipt_get(struct arena *a, struct diags *ds, uint8_t family, const char *table, struct fe_rec *ret)
{
	bool v6 = family == FAM_IP6;
	const char *call = "socket(SOCK_RAW)";
	int fd, r;

	if (strlen(table) >= XT_TABLE_MAXNAMELEN)
		return -ENOENT;
	fd = socket(v6 ? AF_INET6 : AF_INET, SOCK_RAW | SOCK_CLOEXEC, IPPROTO_RAW);
	if (fd < 0)
		return refused(ds, family, table, call, errno);
	*ret = (struct fe_rec){ .kind = FE_IPT, .family = family };
	r = -EAGAIN;
	for (int i = 0; i < MAX_TRIES && r == -EAGAIN; i++)
		r = get_once(a, fd, v6 ? SOL_IPV6 : SOL_IP, table, ret, &call);
	close(fd);
	if (r < 0 && r != -ENOENT && r != -ENOPROTOOPT)
		return refused(ds, family, table, call, -r);
	return r == -ENOPROTOOPT ? -ENOENT : r;
}

int fe_ipt_tables(struct arena *a, uint8_t family, const char ***ret, uint32_t *ret_n)
{
	FILE *f = fopen(family == FAM_IP6 ? "/proc/net/ip6_tables_names" : "/proc/net/ip_tables_names", "re");
	char line[XT_TABLE_MAXNAMELEN + 2];

	*ret = NULL;
	*ret_n = 0;
	if (!f)
		return errno == ENOENT ? 0 : -errno;
	while (fgets(line, sizeof(line), f)) {
		size_t n = strcspn(line, "\n");

		*ret = arena_grow(a, *ret, *ret_n * sizeof(**ret), (*ret_n + 1) * sizeof(**ret));
		(*ret)[(*ret_n)++] = arena_strndup(a, line, n);
	}
	fclose(f);
	return 0;
}
