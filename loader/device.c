/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A device, and what may stand between its XDP hook and the rules. A slice drops what the rules would drop; where a
 * bridge, a tc filter, an upper device, multicast routing or IPVS takes packets out of that way first, the rules would
 * not have seen them. The kinds of upper devices that are known to take none are a table; any other is refused.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include <bpf/bpf.h>
#include <net/if_arp.h>
#include <linux/if_ether.h>
#include <linux/if_link.h>
#include <linux/pkt_sched.h>
#include <linux/rtnetlink.h>

#include "priv.h"
#include "uapi.h"

/* net/core/dev.c: dev_valid_name */
bool ld_device_name_ok(const char *dev)
{
	size_t n = strlen(dev);

	if (!n || n >= IFNAMSIZ || !strcmp(dev, ".") || !strcmp(dev, ".."))
		return false;
	for (; *dev; dev++)
		if (*dev == '/' || *dev == ':' || (unsigned char)*dev <= ' ')
			return false;
	return true;
}

static void read_kind(const struct nlattr *info, struct ld_link *l)
{
	const struct nlattr *a;

	mnl_attr_for_each_nested(a, info)
		if (mnl_attr_get_type(a) == IFLA_INFO_KIND)
			snprintf(l->kind, sizeof(l->kind), "%.*s", (int)mnl_attr_get_payload_len(a),
				 mnl_attr_get_str(a));
}

static void read_xdp(const struct nlattr *xdp, struct ld_link *l)
{
	const struct nlattr *a;

	mnl_attr_for_each_nested(a, xdp) {
		if (mnl_attr_get_type(a) == IFLA_XDP_ATTACHED)
			ld_nl_copy(&l->xdp_mode, sizeof(l->xdp_mode), a);
		if (mnl_attr_get_type(a) == IFLA_XDP_PROG_ID)
			l->xdp_id = ld_nl_u32(a);
	}
}

static void read_attr(const struct nlattr *a, struct ld_link *l)
{
	switch (mnl_attr_get_type(a)) {
	case IFLA_IFNAME:
		snprintf(l->name, sizeof(l->name), "%.*s", (int)mnl_attr_get_payload_len(a), mnl_attr_get_str(a));
		break;
	case IFLA_ADDRESS:
		ld_nl_copy(l->mac, sizeof(l->mac), a);
		break;
	case IFLA_MASTER:
		l->master = ld_nl_u32(a);
		break;
	case IFLA_LINK:
		l->lower = ld_nl_u32(a);
		break;
	case IFLA_LINK_NETNSID:
		l->has_lower_netns = true;
		break;
	case IFLA_MTU:
		l->mtu = ld_nl_u32(a);
		break;
	case IFLA_LINKINFO:
		read_kind(a, l);
		break;
	case IFLA_XDP:
		read_xdp(a, l);
		break;
	}
}

static void read_link(const struct nlmsghdr *nlh, struct ld_link *l)
{
	const struct ifinfomsg *m = mnl_nlmsg_get_payload(nlh);
	const struct nlattr *a;

	*l = (struct ld_link){ .ifindex = m->ifi_index, .flags = m->ifi_flags, .type = m->ifi_type };
	mnl_attr_for_each(a, nlh, sizeof(*m))
		read_attr(a, l);
}

void ld_link_read(const struct nlmsghdr *nlh, struct ld_link *ret)
{
	if (nlh->nlmsg_type == RTM_NEWLINK && mnl_nlmsg_get_payload_len(nlh) >= sizeof(struct ifinfomsg))
		read_link(nlh, ret);
}

static int on_link(const struct nlmsghdr *nlh, void *data)
{
	ld_link_read(nlh, data);
	return MNL_CB_OK;
}

int ld_link_get(const char *dev, uint32_t ifindex, struct ld_link *ret)
{
	_cleanup_nl_ struct ld_nl nl = { 0 };
	char buf[256] __attribute__((aligned(8)));
	struct nlmsghdr *nlh = mnl_nlmsg_put_header(buf);
	struct ifinfomsg *m;
	int err = ld_nl_open(&nl, NETLINK_ROUTE);

	if (err)
		return err;
	*ret = (struct ld_link){ 0 };
	nlh->nlmsg_type = RTM_GETLINK;
	m = mnl_nlmsg_put_extra_header(nlh, sizeof(*m));
	m->ifi_index = ifindex;
	if (dev)
		mnl_attr_put_strz(nlh, IFLA_IFNAME, dev);
	err = ld_nl_ask(&nl, nlh, on_link, ret);
	return err ? err : ret->ifindex ? 0 : -ENODEV;
}

/* Upper devices that get their packets from the stack, behind the rules, or (veth) are no upper devices. */
bool ld_takes_no_packets(const char *kind)
{
	static const char *const known[] = {
		"veth", "netkit", "gre", "gretap", "erspan", "ip6gre", "ip6gretap", "ip6erspan", "ipip", "sit",
		"ip6tnl", "vti", "vti6", "vxlan", "geneve", "xfrm", "wireguard", "gtp", "bareudp",
	};

	for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++)
		if (!strcmp(kind, known[i]))
			return true;
	return false;
}

struct uppers {
	const struct ld_link *dev;
	struct ld_link found;	/* ifindex 0: none */
};

static int on_upper(const struct nlmsghdr *nlh, void *data)
{
	struct uppers *u = data;
	struct ld_link l = { 0 };

	on_link(nlh, &l);
	if (!l.ifindex || l.ifindex == u->dev->ifindex || l.lower != u->dev->ifindex || l.has_lower_netns)
		return MNL_CB_OK;
	if (!ld_takes_no_packets(l.kind))
		u->found = l;
	return MNL_CB_OK;
}

static int check_uppers(struct ld_nl *nl, struct diags *ds, const struct ld_link *dev)
{
	char buf[256] __attribute__((aligned(8)));
	struct nlmsghdr *nlh = mnl_nlmsg_put_header(buf);
	struct uppers u = { .dev = dev };
	int err;

	nlh->nlmsg_type = RTM_GETLINK;
	nlh->nlmsg_flags = NLM_F_DUMP;
	mnl_nlmsg_put_extra_header(nlh, sizeof(struct ifinfomsg));
	err = ld_nl_ask(nl, nlh, on_upper, &u);
	if (err || !u.found.ifindex)
		return err;
	diag_add(ds, DIAG_ERROR, NULL,
		 "\"%s\" has a device on top of it that takes packets before the rules: \"%s\" (%s)", dev->name,
		 u.found.name, *u.found.kind ? u.found.kind : "of an unknown kind")
		->hint = "choose another device, or remove that one";
	return -EBUSY;
}

/* The parent that names the ingress side of clsact also finds the filters of an ingress qdisc. Our own only drop. */
static int check_tc(struct ld_nl *nl, struct diags *ds, const struct ld_link *dev)
{
	_cleanup_filters_ struct ld_filters all = { 0 };
	uint32_t n = 0;
	int err = ld_tc_dump(nl, dev->ifindex, false, &all);

	for (uint32_t i = 0; i < all.n; i++)
		n += !ld_filter_ours(&all.f[i]) && !ld_tc_filter_ours(&all.f[i]);
	if (err || !n)
		return err;
	diag_add(ds, DIAG_ERROR, NULL,
		 "\"%s\" has tc filters at ingress, which may change or redirect packets before the rules", dev->name)
		->hint = "`tc filter show dev … ingress` shows them";
	return -EBUSY;
}

/* The program of our own that a device's ingress runs; 0: none. */
static uint32_t our_tcx(const struct ld_link *dev)
{
	struct ld_where w = { .kind = LD_TC };
	_cleanup_root_ struct ld_root r = { .fd = -1 };
	_cleanup_att_ struct ld_att att = { .link_fd = -1, .prog_fd = -1 };
	char id[64];

	snprintf(w.dev, sizeof(w.dev), "%s", dev->name);
	if (ld_where_id(&w, id) || ld_root_open(&r, LD_READ) || ld_att_open(&r, id, &att))
		return 0;
	return att.ifindex == dev->ifindex ? att.prog_id : 0;
}

/* How many there are, and the ids of the first. Where the caller may not ask, nothing is known: tcx programs cannot be
 * listed in a user namespace. */
static uint32_t tcx_programs(uint32_t ifindex, uint32_t ids[16])
{
	uint64_t was _cleanup_rights_ = ld_rights_raise(LD_RIGHT(CAP_NET_ADMIN));
	LIBBPF_OPTS(bpf_prog_query_opts, opts, .prog_ids = ids, .prog_cnt = 16);

	if (bpf_prog_query_opts(ifindex, UAPI_BPF_TCX_INGRESS, &opts) < 0 && errno != ENOSPC)
		return 0;
	return opts.prog_cnt;
}

static int check_tcx(struct diags *ds, const struct ld_link *dev)
{
	uint32_t ids[16], n = tcx_programs(dev->ifindex, ids), ours = n ? our_tcx(dev) : 0;

	for (uint32_t i = 0; i < n && i < 16; i++)
		if (ours && ids[i] == ours) {
			n--;
			break;
		}
	if (!n)
		return 0;
	diag_add(ds, DIAG_ERROR, NULL,
		 "\"%s\" has %u tcx programs at ingress, which may redirect packets before the rules", dev->name, n)
		->hint = "`bpftool net show dev …` names them";
	return -EBUSY;
}

static int check_type(struct diags *ds, const struct ld_link *dev)
{
	if (dev->type == ARPHRD_ETHER)
		return 0;
	diag_add(ds, DIAG_ERROR, NULL, "\"%s\" is not an Ethernet device (type %u)", dev->name, dev->type);
	return -EBUSY;
}

int ld_ethernet(struct diags *ds, const char *dev)
{
	struct ld_link l;
	int err = ld_link_get(dev, 0, &l);

	return err ? err : check_type(ds, &l);
}

static int check_kind(struct diags *ds, const struct ld_link *dev)
{
	struct ld_link master = { 0 };

	if (check_type(ds, dev))
		return -EBUSY;
	if (!dev->master)
		return 0;
	ld_link_get(NULL, dev->master, &master);
	diag_add(ds, DIAG_ERROR, NULL, "\"%s\" belongs to \"%s\" (%s), which takes its packets before the rules",
		 dev->name, master.name, *master.kind ? master.kind : "master")
		->hint = "the rules see packets of the master";
	return -EBUSY;
}

/* The first bytes of a file of this network namespace; 0 where there is none. */
static size_t read_file(const char *path, char *ret, size_t size)
{
	_cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? 0 : read(fd, ret, size - 1);

	ret[n > 0 ? n : 0] = '\0';
	return n > 0 ? n : 0;
}

static bool is_on(const char *family, const char *dev, const char *name)
{
	char path[96], text[16];

	snprintf(path, sizeof(path), "/proc/sys/net/%s/conf/%s/%s", family, dev, name);
	return read_file(path, text, sizeof(text)) && text[0] != '0';
}

static bool is_mrouter(const char *family, const char *dev)
{
	return is_on(family, dev, "mc_forwarding");
}

/* ip_mr_input and ip6_mr_input stand before the input and forward hooks, hand packets to a daemon and put them into
 * tunnels, forwarding on or off. For IPv4 the device must take part in it (IN_DEV_MFORWARD), for IPv6 any (ip6_mc_input). */
static int check_multicast(struct diags *ds, const struct ld_link *dev)
{
	bool ip4 = is_mrouter("ipv4", "all") && is_mrouter("ipv4", dev->name);

	if (!ip4 && !is_mrouter("ipv6", "all"))
		return 0;
	diag_add(ds, DIAG_ERROR, NULL, "\"%s\": IPv%d multicast routing takes packets before the rules", dev->name,
		 ip4 ? 4 : 6)
		->hint = "it is on while its daemon runs; the sysctl mc_forwarding shows it";
	return -EBUSY;
}

/* Three lines head the list of services. */
static bool has_ipvs(void)
{
	char text[1024];
	size_t n = read_file("/proc/net/ip_vs", text, sizeof(text)), lines = 0;

	for (size_t i = 0; i < n; i++)
		lines += text[i] == '\n';
	return lines > 3;
}

/* ip_vs_in and its like take packets of services from input at priority 98, those of replies from forward at 99. */
static int check_ipvs(struct diags *ds, const struct ld_link *dev)
{
	if (!has_ipvs())
		return 0;
	diag_add(ds, DIAG_ERROR, NULL,
		 "\"%s\": IPVS has services here, whose packets it takes between the rules of input and forward", dev->name)
		->hint = "`ipvsadm -L -n` shows them";
	return -EBUSY;
}

int ld_device_check(struct ld_nl *nl, struct diags *ds, const struct ld_link *l)
{
	int err = check_kind(ds, l);

	err = err ? err : check_uppers(nl, ds, l);
	err = err ? err : check_tc(nl, ds, l);
	err = err ? err : check_tcx(ds, l);
	err = err ? err : check_multicast(ds, l);
	err = err ? err : check_ipvs(ds, l);
	err = err ? err : ld_tunnels_check(nl, ds, l);
	return err ? err : ld_elsewhere_check(nl, ds, l);
}

static uint64_t mix(uint64_t h, uint64_t v)
{
	return (h ^ v) * 1099511628211ull;
}

uint64_t ld_silent_hash(void)
{
	struct if_nameindex *list = if_nameindex();
	uint64_t h = mix(14695981039346656037ull, has_ipvs());
	_cleanup_nl_ struct ld_nl nl = { 0 };
	bool asks = !ld_nl_open(&nl, NETLINK_ROUTE);

	h = mix(h, is_on("ipv4", "all", "bc_forwarding"));
	for (struct if_nameindex *i = list; i && i->if_index; i++) {
		struct ld_link dev = { .ifindex = i->if_index };
		uint32_t ids[16] = { 0 }, n = tcx_programs(i->if_index, ids), ours;

		snprintf(dev.name, sizeof(dev.name), "%s", i->if_name);
		ours = n ? our_tcx(&dev) : 0;
		for (uint32_t k = 0; k < n && k < 16; k++)
			h = ids[k] == ours ? h : mix(h, (uint64_t)i->if_index << 32 | ids[k]);
		h = asks ? mix(h, ld_elsewhere_hash(&nl, i->if_index)) : h;
		h = mix(h, is_on("ipv4", i->if_name, "bc_forwarding"));
	}
	if_freenameindex(list);
	return h;
}

/* af_packet.c: packet_seq_show. A socket without a device hears all of them. */
bool ld_packet_socket(uint32_t ifindex)
{
	FILE *f = fopen("/proc/net/packet", "re");
	unsigned int proto, dev;
	char line[256];
	bool found = false;

	while (f && !found && fgets(line, sizeof(line), f))
		found = sscanf(line, "%*s %*u %*u %x %u", &proto, &dev) == 2 && (!dev || dev == ifindex) &&
			(proto == ETH_P_ALL || proto == ETH_P_IP || proto == ETH_P_IPV6);
	if (f)
		fclose(f);
	return found;
}
