/* SPDX-License-Identifier: GPL-2.0-only */
/* What the loader reads of the running kernel: what is around a device, what changes, what may be done, what rules
 * mean. */
#include <errno.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <arpa/inet.h>
#include <bpf/bpf.h>
#include <linux/ethtool.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <linux/icmpv6.h>
#include <linux/igmp.h>
#include <linux/mroute.h>
#include <linux/mroute6.h>
#include <linux/sockios.h>

#include "live.h"
#include "uapi.h"

static void put(const char *path, const char *text)
{
	FILE *f = fopen(path, "w");

	ck_assert(f && fputs(text, f) >= 0 && !fclose(f));
}

static int env_err(void)
{
	struct imr_env env;

	return ld_env(live_arena, &live_diags, "v0", &env);
}

static bool is_local4(const struct imr_env *env, u128 v)
{
	for (uint32_t i = 0; i < env->n_local4; i++)
		if (env->local4[i].lo <= v && v <= env->local4[i].hi)
			return true;
	return false;
}

START_TEST(env_is_read)
{
	struct imr_env env;

	live_sh("ip addr add 192.0.2.1/24 dev v0 && ip route add local 198.51.100.0/24 dev lo && ip link set lo up");
	live_sh("echo 0 > /proc/sys/net/ipv4/conf/v0/forwarding && echo 1 > /proc/sys/net/ipv6/conf/all/forwarding");
	ck_assert_msg(!ld_env(live_arena, &live_diags, "v0", &env), "%s", live_said());
	ck_assert_str_eq(env.dev, "v0");
	ck_assert(env.plain_rules && !env.fwd4 && env.fwd6);
	ck_assert(is_local4(&env, 0xc0000201) && is_local4(&env, 0xc00002ff) && is_local4(&env, 0xc6336480));
	ck_assert(!is_local4(&env, 0xc0000202));
	ck_assert(is_local4(&env, 0x7f000005));
	ck_assert_uint_gt(env.n_local6, 0);
	live_sh("ip rule add pref 5 fwmark 1 table 100");
	ck_assert(!ld_env(live_arena, &live_diags, "v0", &env) && env.plain_rules);
	live_sh("ip rule add pref 10 table local && ip rule del pref 0");
	ck_assert(!ld_env(live_arena, &live_diags, "v0", &env) && !env.plain_rules);
}
END_TEST

/* Another table that delivers here, whatever rule asks it: what is not in the local table may still be local. */
START_TEST(env_local_routes_elsewhere)
{
	static const char *const other[] = {
		"route add local default dev lo table 100", "route add broadcast 192.0.2.7 dev v0 table main",
		"-6 route add local 2001:db8::/32 dev lo table 100", "-6 route add anycast 2001:db8::1 dev v0 table 300",
	};
	struct imr_env env;

	live_sh("ip link set lo up && ip rule add pref 100 iif v0 lookup 100");
	live_sh("ip route add 192.0.2.0/24 dev v0 && ip route add blackhole 203.0.113.0/24 table local");
	live_sh("ip -6 route add 2001:db8:1::/48 dev v0 table 100");
	for (size_t i = 0; i < sizeof(other) / sizeof(*other); i++) {
		ck_assert_msg(!ld_env(live_arena, &live_diags, "v0", &env) && env.plain_rules, "%s", other[i]);
		live_sh(arena_printf(live_arena, "ip %s", other[i]));
		ck_assert_msg(!ld_env(live_arena, &live_diags, "v0", &env) && !env.plain_rules, "%s", other[i]);
		live_sh(arena_printf(live_arena, "ip $(echo '%s' | sed 's/ add / del /')", other[i]));
	}
	live_sh("ip route add local 203.0.113.9 dev lo table local");
	ck_assert(!ld_env(live_arena, &live_diags, "v0", &env) && !env.plain_rules);
}
END_TEST

START_TEST(env_text_is_exact)
{
	struct strbuf text = { .arena = live_arena }, again = { .arena = live_arena };
	struct imr_env env, back;

	live_sh("ip addr add 192.0.2.1/24 dev v0 && ip link set lo up");
	ck_assert(!ld_env(live_arena, &live_diags, "v0", &env));
	ld_env_print(&text, &env);
	ck_assert(ld_env_parse(live_arena, text.s, text.len, &back));
	ld_env_print(&again, &back);
	ck_assert_str_eq(text.s, again.s);
	for (size_t i = 0; i < text.len; i++) {
		char *cut = arena_strndup(live_arena, text.s, text.len);

		cut[i] ^= 0x15;
		ck_assert(!ld_env_parse(live_arena, cut, text.len, &back) || back.ifindex);
		ck_assert(!ld_env_parse(live_arena, text.s, i, &back));
	}
}
END_TEST

START_TEST(env_refuses_what_is_between)
{
	ck_assert_int_eq(env_err(), 0);
	live_sh("ip link add b0 type bridge && ip link set v0 master b0");
	ck_assert_int_eq(env_err(), -EBUSY);
	live_sh("ip link set v0 nomaster && ip link add m0 link v0 type macvlan");
	ck_assert_int_eq(env_err(), -EBUSY);
	live_sh("ip link del m0 && tc qdisc add dev v0 clsact");
	ck_assert_int_eq(env_err(), 0);
	live_sh("tc filter add dev v0 egress bpf da bytecode '1,6 0 0 0,'");
	ck_assert_int_eq(env_err(), 0);
	live_sh("tc filter add dev v0 ingress bpf da bytecode '1,6 0 0 0,'");
	ck_assert_int_eq(env_err(), -EBUSY);
	live_sh("tc qdisc del dev v0 clsact && tc qdisc add dev v0 ingress && "
	   "tc filter add dev v0 ingress bpf da bytecode '1,6 0 0 0,'");
	ck_assert_int_eq(env_err(), -EBUSY);
	live_sh("tc qdisc del dev v0 ingress");
	ck_assert_int_eq(env_err(), 0);
}
END_TEST

/* A macvlan in another namespace: moved there, whatever its mode, or made there, of which nobody tells. */
START_TEST(env_refuses_uppers_elsewhere)
{
	static const char *const moved[] = { "mode passthru nopromisc", "mode private" };
	char *there = arena_printf(live_arena, "fwjit-e%d", getpid());
	uint64_t before = ld_silent_hash();

	live_sh(arena_printf(live_arena, "mkdir -p /run/netns && ip netns add %s", there));
	for (size_t i = 0; i < sizeof(moved) / sizeof(*moved); i++) {
		ck_assert_msg(!env_err(), "%s", live_said());
		live_sh(arena_printf(live_arena, "ip link add m0 link v0 type macvlan %s && ip link set m0 netns %s", moved[i],
				     there));
		ck_assert_msg(env_err() == -EBUSY && strstr(live_said(), "\"m0\" (macvlan)"), "%s: %s", moved[i],
			      live_said());
		live_sh(arena_printf(live_arena, "ip -n %s link del m0", there));
	}
	ck_assert_uint_eq(ld_silent_hash(), before);
	live_sh(arena_printf(live_arena, "ip link add m0 link v0 address 02:00:00:00:77:01 netns %s type macvlan", there));
	live_sh(arena_printf(live_arena, "ip -n %s link set m0 up", there));
	ck_assert_int_eq(env_err(), -EBUSY);
	ck_assert_uint_ne(ld_silent_hash(), before);
	live_sh(arena_printf(live_arena, "ip -n %s link set m0 down", there));
	ck_assert_uint_eq(ld_silent_hash(), before);
	live_sh(arena_printf(live_arena, "ip netns del %s", there));
}
END_TEST

START_TEST(env_refuses_tcx)
{
	struct bpf_insn ok[] = {
		{ .code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = 0, .imm = 0 },
		{ .code = BPF_JMP | BPF_EXIT },
	};
	int prog = bpf_prog_load(BPF_PROG_TYPE_SCHED_CLS, "tcx", "GPL", ok, 2, NULL), link;
	uint64_t before = ld_silent_hash();
	struct ld_watch w;

	ck_assert_int_eq(ld_watch_open(&live_diags, &w), 0);
	while (ld_watch_wait(&w, 300) > 0)
		;
	link = bpf_link_create(prog, if_nametoindex("v0"), UAPI_BPF_TCX_INGRESS, NULL);
	if (link < 0)
		return;		/* a kernel before tcx */
	ck_assert_int_eq(env_err(), -EBUSY);
	ck_assert_int_eq(ld_watch_wait(&w, 300), 0);	/* which is why there is a hash */
	ck_assert_uint_ne(ld_silent_hash(), before);
	close(link);
	close(prog);
	ck_assert_uint_eq(ld_silent_hash(), before);
	ck_assert_int_eq(env_err(), 0);
	ld_watch_close(&w);
}
END_TEST

/* A daemon's sockets, with and without the device. With forwarding off too. */
START_TEST(env_refuses_multicast_routing)
{
	struct vifctl vif = { .vifc_vifi = 0, .vifc_threshold = 1, .vifc_lcl_addr.s_addr = htonl(0xc0000201) };
	struct mif6ctl mif = { .mif6c_mifi = 0, .mif6c_pifi = if_nametoindex("v0") };
	int on = 1, ip4 = socket(AF_INET, SOCK_RAW, IPPROTO_IGMP), ip6 = socket(AF_INET6, SOCK_RAW, IPPROTO_ICMPV6);
	struct ld_watch w;

	live_sh("ip addr add 192.0.2.1/24 dev v0; echo 0 > /proc/sys/net/ipv4/ip_forward");
	if (setsockopt(ip4, IPPROTO_IP, MRT_INIT, &on, sizeof(on)) ||
	    setsockopt(ip6, IPPROTO_IPV6, MRT6_INIT, &on, sizeof(on)))
		return;		/* a kernel without multicast routing */
	close(ip6);
	ck_assert_int_eq(env_err(), 0);
	ck_assert_int_eq(ld_watch_open(&live_diags, &w), 0);
	while (ld_watch_wait(&w, 300) > 0)
		;
	ck_assert(!setsockopt(ip4, IPPROTO_IP, MRT_ADD_VIF, &vif, sizeof(vif)));
	ck_assert_int_eq(ld_watch_wait(&w, 1000), LD_CHANGED_NET);
	ck_assert_int_eq(env_err(), -EBUSY);
	ck_assert_msg(strstr(live_said(), "IPv4 multicast routing") != NULL, "%s", live_said());
	close(ip4);
	ck_assert_int_eq(env_err(), 0);
	ip6 = socket(AF_INET6, SOCK_RAW, IPPROTO_ICMPV6);
	ck_assert(!setsockopt(ip6, IPPROTO_IPV6, MRT6_INIT, &on, sizeof(on)));
	ck_assert(!setsockopt(ip6, IPPROTO_IPV6, MRT6_ADD_MIF, &mif, sizeof(mif)));
	ck_assert_int_eq(env_err(), -EBUSY);
	ck_assert_msg(strstr(live_said(), "IPv6 multicast routing") != NULL, "%s", live_said());
	close(ip6);
	ck_assert_int_eq(env_err(), 0);
	ld_watch_close(&w);
}
END_TEST

/* Of both families, one of several paths, and a nexthop that no route shows. */
START_TEST(env_refuses_tunnels_of_routes)
{
	static const char *const routes[] = {
		"ip -6 route add 2001:db8:5::1 encap seg6local action End dev v0",
		"ip route add 203.0.113.0/24 encap seg6 mode encap segs 2001:db8::9 dev v0",
		("ip -6 route add 2001:db8:6::/48 table 77 nexthop via 2001:db8:1::2 dev v0 nexthop "
		 "encap seg6 mode encap segs 2001:db8::9 via 2001:db8:1::3 dev v0"),
		"ip nexthop add id 7 encap seg6 mode encap segs 2001:db8::9 dev v0",
	};

	live_sh("ip -6 addr add 2001:db8:1::1/64 dev v0 nodad; ip route add 192.0.2.0/24 dev v0");
	live_sh("ip route add 198.51.100.0/24 encap ip id 5 dst 192.0.2.9 dev v0");
	if (system("ip -6 route add 2001:db8:7::/48 encap seg6 mode encap segs 2001:db8::9 dev v0 2>/dev/null"))
		return;		/* a kernel without segment routing */
	ck_assert_int_eq(env_err(), -EBUSY);
	ck_assert_msg(strstr(live_said(), "routes with an encapsulation") != NULL, "%s", live_said());
	live_sh("ip -6 route del 2001:db8:7::/48");
	for (size_t i = 0; i < sizeof(routes) / sizeof(*routes); i++) {
		ck_assert_int_eq(env_err(), 0);
		live_sh(routes[i]);
		ck_assert_msg(env_err() == -EBUSY, "%s", routes[i]);
		live_sh("ip route flush root 203.0.113.0/24; ip -6 route flush table 77; ip nexthop flush");
		live_sh("ip -6 route flush 2001:db8:5::1");
	}
}
END_TEST

/* As the kernel prints it; there need be no IPVS here. */
START_TEST(env_refuses_ipvs)
{
	static const char head[] = "IP Virtual Server version 1.2.1 (size=4096)\n"
				   "Prot LocalAddress:Port Scheduler Flags\n"
				   "  -> RemoteAddress:Port Forward Weight ActiveConn InActConn\n";

	ck_assert(!mount("net", "/proc/self/net", "tmpfs", 0, NULL));
	put("/proc/self/net/ip_vs", head);
	ck_assert_int_eq(env_err(), 0);
	put("/proc/self/net/ip_vs", arena_printf(live_arena, "%sTCP  C0A80001:0050 rr\n", head));
	ck_assert_int_eq(env_err(), -EBUSY);
	ck_assert_msg(strstr(live_said(), "IPVS has services") != NULL, "%s", live_said());
	ck_assert(!umount("/proc/self/net"));
	ck_assert_int_eq(env_err(), 0);
}
END_TEST

/* The kernel tells nobody of this switch. */
START_TEST(env_directed_broadcast)
{
	uint64_t before = ld_silent_hash();
	struct imr_env env;

	put("/proc/sys/net/ipv4/conf/all/bc_forwarding", "1");
	put("/proc/sys/net/ipv4/conf/v0/bc_forwarding", "1");
	ck_assert(!ld_env(live_arena, &live_diags, "v0", &env) && !env.plain_rules);
	ck_assert_uint_ne(ld_silent_hash(), before);
	put("/proc/sys/net/ipv4/conf/v0/bc_forwarding", "0");
	put("/proc/sys/net/ipv4/conf/all/bc_forwarding", "0");
	ck_assert(!ld_env(live_arena, &live_diags, "v0", &env) && env.plain_rules);
	ck_assert_uint_eq(ld_silent_hash(), before);
}
END_TEST

START_TEST(env_neighbour_proxy)
{
	struct imr_env env;

	ck_assert(!ld_env(live_arena, &live_diags, "v0", &env) && env.plain_rules);
	put("/proc/sys/net/ipv6/conf/all/proxy_ndp", "1");
	ck_assert(!ld_env(live_arena, &live_diags, "v0", &env) && !env.plain_rules);
}
END_TEST

START_TEST(packet_sockets_are_seen)
{
	unsigned int v0 = if_nametoindex("v0"), v1 = if_nametoindex("v1");
	struct sockaddr_ll to = { .sll_family = AF_PACKET, .sll_protocol = htons(ETH_P_IP), .sll_ifindex = v0 };
	int fd = socket(AF_PACKET, SOCK_DGRAM, 0);

	ck_assert(!ld_packet_socket(v0));
	ck_assert(!bind(fd, (struct sockaddr *)&to, sizeof(to)));
	ck_assert(ld_packet_socket(v0) && !ld_packet_socket(v1));
	to.sll_protocol = htons(ETH_P_LLDP);
	ck_assert(!bind(fd, (struct sockaddr *)&to, sizeof(to)));
	ck_assert(!ld_packet_socket(v0));
	to.sll_protocol = htons(ETH_P_ALL);
	to.sll_ifindex = 0;
	ck_assert(!bind(fd, (struct sockaddr *)&to, sizeof(to)));
	ck_assert(ld_packet_socket(v0) && ld_packet_socket(v1));
	close(fd);
}
END_TEST

static void ethtool(const char *dev, struct ethtool_value *v)
{
	struct ifreq ifr = { .ifr_data = (void *)v };
	int fd = socket(AF_INET, SOCK_DGRAM, 0);

	strcpy(ifr.ifr_name, dev);
	ck_assert(!ioctl(fd, SIOCETHTOOL, &ifr));
	close(fd);
}

/* A veth end gets tags as the other end sends them; its own offload says nothing. The other's long-named one is left on
 * here, so that the hint names that alone. A bridge's frames come through the stack. */
START_TEST(vlan_tags_beside_the_frame)
{
	struct ethtool_value v = { .cmd = ETHTOOL_GFLAGS };
	const char *hint;

	ck_assert_int_eq(ld_vlan_hidden(live_arena, "v0", &hint), 1);
	ck_assert_str_eq(hint, "`ethtool -K v1 txvlan off tx-vlan-stag-hw-insert off`");
	ethtool("v1", &v);
	v = (struct ethtool_value){ .cmd = ETHTOOL_SFLAGS, .data = v.data & ~ETH_FLAG_TXVLAN };
	ethtool("v1", &v);
	ck_assert_int_eq(ld_vlan_hidden(live_arena, "v0", &hint), 1);
	ck_assert_str_eq(hint, "`ethtool -K v1 tx-vlan-stag-hw-insert off`");
	live_sh("ip link add b0 type bridge");
	ck_assert_int_eq(ld_vlan_hidden(live_arena, "b0", &hint), 1);
	live_sh("ip tuntap add t0 mode tap");
	ck_assert_int_eq(ld_vlan_hidden(live_arena, "t0", &hint), 0);
	ck_assert_int_lt(ld_vlan_hidden(live_arena, "nosuch", &hint), 0);
}
END_TEST

/* A veth end gets what the other end did not cut up; of a tap device's frames nobody knows. */
START_TEST(merging_is_assumed)
{
	live_sh("ip tuntap add t0 mode tap");
	ck_assert(!ld_never_merges("v0") && !ld_never_merges("t0") && !ld_never_merges("nosuch"));
}
END_TEST

START_TEST(watch_wakes)
{
	struct ld_watch w;

	ck_assert_int_eq(ld_watch_open(&live_diags, &w), 0);
	while (ld_watch_wait(&w, 300) > 0)
		;
	live_sh("nft add table ip t");
	ck_assert_int_eq(ld_watch_wait(&w, 1000), LD_CHANGED_RULES);
	ck_assert_int_eq(ld_watch_wait(&w, 0), 0);
	live_sh("ip addr add 192.0.2.1/24 dev v0");
	ck_assert_int_eq(ld_watch_wait(&w, 1000), LD_CHANGED_NET);
	live_sh("echo 1 > /proc/sys/net/ipv4/conf/v0/forwarding");
	usleep(1000);
	ck_assert_int_eq(ld_watch_wait(&w, 1000), LD_CHANGED_NET);
	live_sh("ip rule add pref 5 table 100");
	ck_assert_int_eq(ld_watch_wait(&w, 1000), LD_CHANGED_NET);
	live_sh("ip nexthop add id 7 dev v0");
	ck_assert_int_eq(ld_watch_wait(&w, 1000), LD_CHANGED_NET);
	live_sh("echo >/run/xtables.lock");	/* not there until now, and heard of from the next look on */
	ck_assert_int_eq(ld_watch_wait(&w, 0), 0);
	live_sh("flock /run/xtables.lock true");
	ck_assert_int_eq(ld_watch_wait(&w, 1000), LD_LOOK);
	ck_assert_int_eq(ld_watch_wait(&w, 0), 0);
	ld_watch_close(&w);
}
END_TEST

START_TEST(probe_and_profile)
{
	struct imr_profile first, second;
	struct ld_probe p;
	pid_t pid;
	int status;

	ld_probe(&p);
	for (uint32_t i = 0; i < p.n; i++)
		ck_assert_msg(p.row[i].err == 0, "%s: %s", p.row[i].key, strerror(-p.row[i].err));
	ck_assert(p.caps.xdp && p.caps.bpffs && p.init_userns && p.owns_netns);
	ck_assert_int_eq(ld_profile(&first), 0);
	ck_assert_int_eq(ld_profile(&second), 0);
	ck_assert_mem_eq(&first, &second, sizeof(first));
	ck_assert_uint_eq(live_xdp("v0"), 0);

	/* A user without rights: the same profile, found in a user namespace, and nothing that is not so. */
	pid = fork();
	if (!pid) {
		unsetenv("XDG_RUNTIME_DIR");
		if (setgid(12345) || setuid(12345))
			_exit(1);
		ld_probe(&p);
		if (p.caps.net_admin || p.caps.bpffs || (p.unprivileged_bpf_disabled && p.caps.xdp))
			_exit(2);
		_exit(ld_profile(&second) == 0 && memcmp(&first, &second, sizeof(first)) ? 3 : 0);
	}
	waitpid(pid, &status, 0);
	ck_assert_int_eq(status, 0);
}
END_TEST

/* Whatever stands in the cache, the answer is the kernel's. */
START_TEST(hostile_profile_cache)
{
	struct imr_profile first, p;
	char text[512] = "";
	FILE *f;

	ck_assert_int_eq(ld_profile(&first), 0);
	f = fopen("/run/fwjit/profile", "r");
	ck_assert(f && fread(text, 1, sizeof(text) - 1, f) > 0);
	fclose(f);
	strcat(text, "\n");
	put("/run/fwjit/profile", text);
	ck_assert(!ld_profile(&p) && !memcmp(&p, &first, sizeof(p)));
	put("/run/fwjit/profile", "fwjit profile 1\nth_fast_frag 0\nv6_exthdr_bound 1\n");
	ck_assert(!ld_profile(&p) && !memcmp(&p, &first, sizeof(p)));
	live_sh("rm /run/fwjit/profile; ln -s /dev/zero /run/fwjit/profile");
	ck_assert(!ld_profile(&p) && !memcmp(&p, &first, sizeof(p)));
	live_sh("rm /run/fwjit/profile; mkfifo /run/fwjit/profile");
	ck_assert(!ld_profile(&p) && !memcmp(&p, &first, sizeof(p)));
	live_sh("chmod 777 /run/fwjit");
	ck_assert(!ld_profile(&p) && !memcmp(&p, &first, sizeof(p)));
	ck_assert(waitpid(-1, NULL, WNOHANG) == -1 && errno == ECHILD);
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("env");
	TCase *t = tcase_create("live");

	tcase_add_checked_fixture(t, live_setup, live_teardown);
	tcase_set_timeout(t, 60);
	tcase_add_test(t, env_is_read);
	tcase_add_test(t, env_local_routes_elsewhere);
	tcase_add_test(t, env_text_is_exact);
	tcase_add_test(t, env_refuses_what_is_between);
	tcase_add_test(t, env_refuses_uppers_elsewhere);
	tcase_add_test(t, env_refuses_tcx);
	tcase_add_test(t, env_refuses_multicast_routing);
	tcase_add_test(t, env_refuses_tunnels_of_routes);
	tcase_add_test(t, env_refuses_ipvs);
	tcase_add_test(t, env_directed_broadcast);
	tcase_add_test(t, env_neighbour_proxy);
	tcase_add_test(t, packet_sockets_are_seen);
	tcase_add_test(t, vlan_tags_beside_the_frame);
	tcase_add_test(t, merging_is_assumed);
	tcase_add_test(t, watch_wakes);
	tcase_add_test(t, probe_and_profile);
	tcase_add_test(t, hostile_profile_cache);
	suite_add_tcase(s, t);
	return s;
}

int main(void)
{
	return live_main(suite());
}
