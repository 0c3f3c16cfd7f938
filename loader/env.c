/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What is true around the rules when a slice is made: the device, the addresses that are delivered here, forwarding. A
 * slice holds as long as this does, so it has a text form that is stored with it and compared.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "priv.h"

/* A sysctl of this network namespace that is a small number; missing ones are dflt. */
static int number(const char *path, int dflt)
{
	char text[16] = "";
	_cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof(text) - 1);

	return n > 0 ? atoi(text) : dflt;
}

static int sysctl(const char *family, const char *dev, const char *name, int dflt)
{
	char path[128];

	snprintf(path, sizeof(path), "/proc/sys/net/%s/conf/%s/%s", family, dev, name);
	return number(path, dflt);
}

/* net/ipv4/route.c: ip_route_input_slow with bc_forwarding; IN_DEV_BFORWARD is an AND. */
static bool forwards_broadcast(const char *dev)
{
	return sysctl("ipv4", "all", "bc_forwarding", 0) && sysctl("ipv4", dev, "bc_forwarding", 0);
}

/* net/ipv6/ip6_output.c: ip6_forward asks the switch for all devices, and (Linux 6.17) the device's
 * force_forwarding. */
static bool forwards6(const char *dev)
{
	return sysctl("ipv6", "all", "forwarding", 0) || sysctl("ipv6", dev, "force_forwarding", 0);
}

/* net/ipv6/ip6_output.c: ip6_forward gives neighbour discovery for proxied addresses to the host. */
static bool proxies_neighbours(void)
{
	return sysctl("ipv6", "all", "proxy_ndp", 0);
}

static int addresses(struct arena *a, struct ld_nl *nl, struct imr_env *env)
{
	bool rules4, rules6, table4, table6;
	struct imr_range *r4, *r6;
	int err = ld_local_ranges(a, nl, AF_INET, &r4, &env->n_local4, &table4);

	err = err ? err : ld_local_ranges(a, nl, AF_INET6, &r6, &env->n_local6, &table6);
	err = err ? err : ld_rules_plain(nl, AF_INET, &rules4);
	err = err ? err : ld_rules_plain(nl, AF_INET6, &rules6);
	if (err)
		return err;
	env->local4 = r4;
	env->local6 = r6;
	env->plain_rules = rules4 && rules6 && table4 && table6;
	return 0;
}

static int env_once(struct arena *a, struct diags *ds, const char *dev, struct imr_env *ret)
{
	_cleanup_nl_ struct ld_nl nl = { 0 };
	struct ld_link l;
	int err = ld_link_get(dev, 0, &l);

	*ret = (struct imr_env){ 0 };
	err = err ? err : ld_nl_open(&nl, NETLINK_ROUTE);
	err = err ? err : ld_device_check(&nl, ds, &l);
	err = err ? err : addresses(a, &nl, ret);
	if (err)
		return err;
	memcpy(ret->dev, l.name, sizeof(ret->dev));
	memcpy(ret->mac, l.mac, sizeof(ret->mac));
	ret->ifindex = l.ifindex;
	ret->fwd4 = sysctl("ipv4", l.name, "forwarding", 1);
	ret->fwd6 = forwards6(l.name);
	ret->ct_expects = number("/proc/sys/net/netfilter/nf_conntrack_helper", 0);
	if (forwards_broadcast(l.name) || proxies_neighbours())
		ret->plain_rules = false;
	return 0;
}

int ld_env(struct arena *a, struct diags *ds, const char *dev, struct imr_env *ret)
{
	int err = -EINVAL;

	/* A dump that changed under way is taken anew. */
	if (ld_device_name_ok(dev))
		for (int i = 0; i < 20; i++)
			if ((err = env_once(a, ds, dev, ret)) != -EINTR)
				break;
	if (err == -ENODEV || err == -EINVAL)
		diag_add(ds, DIAG_ERROR, NULL, "there is no device \"%s\" here", dev);
	else if (err && err != -EBUSY)
		diag_add(ds, DIAG_ERROR, NULL, "cannot read what is around \"%s\": netlink: %s", dev, strerror(-err));
	return err;
}

static void print_ranges(struct strbuf *out, const char *key, const struct imr_range *r, uint32_t n)
{
	for (uint32_t i = 0; i < n; i++)
		strbuf_add(out, "%s %016" PRIx64 "%016" PRIx64 " %016" PRIx64 "%016" PRIx64 "\n", key,
			   (uint64_t)(r[i].lo >> 64), (uint64_t)r[i].lo, (uint64_t)(r[i].hi >> 64), (uint64_t)r[i].hi);
}

void ld_env_print(struct strbuf *out, const struct imr_env *env)
{
	const uint8_t *m = env->mac;

	strbuf_add(out, "env 1\n");
	strbuf_add(out, "dev %u %02x:%02x:%02x:%02x:%02x:%02x %s\n", env->ifindex, m[0], m[1], m[2], m[3], m[4], m[5],
		   env->dev);
	strbuf_add(out, "forward %d %d\n", env->fwd4, env->fwd6);
	strbuf_add(out, "plain %d\n", env->plain_rules);
	strbuf_add(out, "conntrack %d %d\n", env->ct_lookup, env->ct_expects);
	print_ranges(out, "local4", env->local4, env->n_local4);
	print_ranges(out, "local6", env->local6, env->n_local6);
	strbuf_add(out, "end\n");
}

static bool read_range(const char *line, const char *key, struct imr_range *ret)
{
	uint64_t v[4];
	char name[8];

	if (sscanf(line, "%6s %16" SCNx64 "%16" SCNx64 " %16" SCNx64 "%16" SCNx64, name, &v[0], &v[1], &v[2], &v[3]) !=
		5 ||
	    strcmp(name, key))
		return false;
	ret->lo = (u128)v[0] << 64 | v[1];
	ret->hi = (u128)v[2] << 64 | v[3];
	return true;
}

static bool read_line(const char *line, struct imr_env *env, struct imr_range *r4, struct imr_range *r6)
{
	unsigned int m[6], fwd4, fwd6, plain, lookup, expects;

	if (sscanf(line, "dev %u %x:%x:%x:%x:%x:%x %15s", &env->ifindex, &m[0], &m[1], &m[2], &m[3], &m[4], &m[5],
		   env->dev) == 8) {
		for (int i = 0; i < 6; i++)
			env->mac[i] = m[i];
	} else if (sscanf(line, "forward %u %u", &fwd4, &fwd6) == 2) {
		env->fwd4 = fwd4;
		env->fwd6 = fwd6;
	} else if (sscanf(line, "plain %u", &plain) == 1) {
		env->plain_rules = plain;
	} else if (sscanf(line, "conntrack %u %u", &lookup, &expects) == 2) {
		env->ct_lookup = lookup;
		env->ct_expects = expects;
	} else if (read_range(line, "local4", &r4[env->n_local4])) {
		env->n_local4++;
	} else if (read_range(line, "local6", &r6[env->n_local6])) {
		env->n_local6++;
	} else {
		return !strcmp(line, "env 1") || !strcmp(line, "end");
	}
	return true;
}

/* Reads loosely, then demands that printing gives the same bytes: nothing else can be strict in fewer lines. */
bool ld_env_parse(struct arena *a, const char *text, size_t len, struct imr_env *ret)
{
	char *copy = arena_strndup(a, text, len), *save = NULL;
	struct strbuf again = { .arena = a };
	struct imr_range *r4, *r6;
	uint32_t lines = 1;

	for (const char *c = copy; *c; c++)
		lines += *c == '\n';
	r4 = arena_alloc(a, lines * sizeof(*r4));
	r6 = arena_alloc(a, lines * sizeof(*r6));
	*ret = (struct imr_env){ .local4 = r4, .local6 = r6 };
	for (char *line = strtok_r(copy, "\n", &save); line; line = strtok_r(NULL, "\n", &save))
		if (!read_line(line, ret, r4, r6))
			return false;
	ld_env_print(&again, ret);
	return again.len == len && !memcmp(again.s, text, len);
}
