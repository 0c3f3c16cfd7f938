/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What a broker attached in the network namespace of others, against whoever is root there: nothing that he does to
 * devices, filters, links or rules lets a packet through, and what does evade (apply says it) evades here too. The
 * program is the same everywhere: packets with 7 bytes of UDP payload are bad. And rights that are shed stay shed.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/bpf.h>
#include <linux/filter.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <linux/netfilter.h>
#include <linux/pkt_cls.h>
#include <net/if.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/capability.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "live.h"

#define NF_TYPE 32	/* BPF_PROG_TYPE_NETFILTER, BPF_NETFILTER */
#define NF_ATTACH 45
#define LEN_BAD 7
#define LEN_GOOD 5
#define BAD_L3 (20 + 8 + LEN_BAD)
#define BAD_L2 (14 + BAD_L3)

/* ---- the container: user and network namespace, root of it is user 1000 outside */

struct box {
	pid_t pid;
	int net, ours;		/* network namespaces */
	int in, out;		/* UDP sockets: the container's, on port 5000, and the host's, on port 5000 */
};

static void write_to(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY);

	ck_assert_msg(fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text), "%s: %s", path, strerror(errno));
	close(fd);
}

static int in_box(const struct box *b, const char *cmd)
{
	char line[512];

	snprintf(line, sizeof(line), "nsenter -t %d -U -n sh -c '%s' >/dev/null 2>&1", (int)b->pid, cmd);
	return system(line);
}

static int udp(const char *addr)
{
	struct sockaddr_in at = { .sin_family = AF_INET, .sin_port = htons(5000) };
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	inet_pton(AF_INET, addr, &at.sin_addr);
	ck_assert_msg(fd >= 0 && !bind(fd, (struct sockaddr *)&at, sizeof(at)), "%s: %s", addr, strerror(errno));
	return fd;
}

static void enter(int ns)
{
	ck_assert_msg(!setns(ns, CLONE_NEWNET), "setns: %s", strerror(errno));
}

static int box_socket(const struct box *b, const char *addr)
{
	int fd;

	enter(b->net);
	fd = udp(addr);
	enter(b->ours);
	return fd;
}

static void box_start(struct box *b)
{
	char path[64];
	int ready[2], go[2];
	char c = 0;

	ck_assert(!pipe(ready) && !pipe(go));
	b->pid = fork();
	if (!b->pid) {
		if (setresgid(1000, 1000, 1000) || setresuid(1000, 1000, 1000) || unshare(CLONE_NEWUSER | CLONE_NEWNET))
			_exit(1);
		if (write(ready[1], &c, 1) == 1)
			pause();
		_exit(0);
	}
	close(ready[1]);
	ck_assert_int_eq(read(ready[0], &c, 1), 1);
	snprintf(path, sizeof(path), "/proc/%d/uid_map", (int)b->pid);
	write_to(path, "0 1000 1");
	snprintf(path, sizeof(path), "/proc/%d/gid_map", (int)b->pid);
	write_to(path, "0 1000 1");
	snprintf(path, sizeof(path), "/proc/%d/ns/net", (int)b->pid);
	b->net = open(path, O_RDONLY | O_CLOEXEC);
	b->ours = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
	snprintf(path, sizeof(path), "ip link set v1 name c0 netns %d", (int)b->pid);
	live_sh(path);
	live_sh("ip addr add 10.9.0.1/24 dev v0");
	ck_assert_int_eq(in_box(b, "ip addr add 10.9.0.2/24 dev c0; ip link set lo up; ip link set c0 up"), 0);
	b->in = box_socket(b, "10.9.0.2");
	b->out = udp("10.9.0.1");
}

static void box_end(struct box *b)
{
	kill(b->pid, SIGKILL);
	waitpid(b->pid, NULL, 0);
	close(b->net);
	close(b->ours);
	close(b->in);
	close(b->out);
}

/* ---- traffic */

static bool arrives(int from, int to, const char *addr, size_t len, int wait_ms)
{
	struct sockaddr_in at = { .sin_family = AF_INET, .sin_port = htons(5000) };
	struct pollfd p = { to, POLLIN, 0 };
	char buf[64] = { 0 };

	inet_pton(AF_INET, addr, &at.sin_addr);
	while (recv(to, buf, sizeof(buf), MSG_DONTWAIT) > 0)
		;
	/* A drop at output is an error to the sender. */
	if (sendto(from, buf, len, 0, (struct sockaddr *)&at, sizeof(at)) < 0)
		return false;
	return poll(&p, 1, wait_ms) == 1 && recv(to, buf, sizeof(buf), 0) == (ssize_t)len;
}

struct way { int from, to; const char *addr; };

static struct way inward(const struct box *b)
{
	return (struct way){ b->out, b->in, "10.9.0.2" };
}

static struct way outward(const struct box *b)
{
	return (struct way){ b->in, b->out, "10.9.0.1" };
}

static bool good_arrives(struct way w)
{
	bool ok = false;

	for (int i = 0; i < 20 && !ok; i++)	/* neighbours have to be found first */
		ok = arrives(w.from, w.to, w.addr, LEN_GOOD, 200);
	return ok;
}

static void filtered(struct way w, const char *after)
{
	ck_assert_msg(good_arrives(w), "after \"%s\": nothing arrives", after);
	ck_assert_msg(!arrives(w.from, w.to, w.addr, LEN_BAD, 50), "after \"%s\": it is not filtered any more", after);
}

/* ---- the programs */

#define LOAD(size, dst, src, o) { .code = BPF_LDX | BPF_MEM | (size), .dst_reg = dst, .src_reg = src, .off = o }
#define MOV(dst, v) { .code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = dst, .imm = v }
#define JNE(dst, v) { .code = BPF_JMP | BPF_JNE | BPF_K, .dst_reg = dst, .imm = v, .off = 1 }
#define EXIT { .code = BPF_JMP | BPF_EXIT }

static struct bpf_insn xdp[] = {
	LOAD(BPF_W, 2, 1, offsetof(struct xdp_md, data)), LOAD(BPF_W, 3, 1, offsetof(struct xdp_md, data_end)),
	{ .code = BPF_ALU64 | BPF_SUB | BPF_X, .dst_reg = 3, .src_reg = 2 },
	MOV(0, XDP_PASS), JNE(3, BAD_L2), MOV(0, XDP_DROP), EXIT,
};
static struct bpf_insn tc[] = {
	LOAD(BPF_W, 2, 1, offsetof(struct __sk_buff, len)), MOV(0, TC_ACT_UNSPEC), JNE(2, BAD_L2), MOV(0, TC_ACT_SHOT), EXIT,
};
static struct bpf_insn nf[] = {
	LOAD(BPF_DW, 2, 1, 8), LOAD(BPF_W, 2, 2, 0), MOV(0, NF_ACCEPT), JNE(2, BAD_L3), MOV(0, NF_DROP), EXIT,
};
static const struct be_reloc nf_len = { 1, "sk_buff.len" };
static const struct imr_at *ats[8];

#define PROG(t, a, i) \
	{ .name = "guard", .type = t, .attach_type = a, .n = sizeof(i) / sizeof(*(i)), .insn = i, .at = ats }

static void attach(struct be_prog p, const struct ld_where *w)
{
	struct ld_prog l;
	struct ld_attach one = { .prog = &l, .where = *w, .meta = "m", .meta_len = 1 };

	ck_assert_msg(!ld_load(&p, &live_diags, &l), "%s", live_said());
	ck_assert_msg(!ld_attach_all(&live_diags, &one, 1), "%s", live_said());
	ld_prog_close(&l);
}

/* The same as classic BPF. */
static void attach_classic(const struct ld_where *w)
{
	static struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_LEN, 0), BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, BAD_L2, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, TC_ACT_SHOT), BPF_STMT(BPF_RET | BPF_K, (uint32_t)TC_ACT_UNSPEC),
	};
	struct be_filter f = { .n = sizeof(code) / sizeof(code[0]), .insn = code, .at = ats };
	struct ld_attach one = { .n_filter = 1, .filter = &f, .where = *w, .meta = "m", .meta_len = 1 };

	ck_assert_msg(!ld_attach_all(&live_diags, &one, 1), "%s", live_said());
}

static int broker_in(const struct box *b)
{
	char path[64];
	int outside;

	snprintf(path, sizeof(path), "/proc/%d/ns/net", (int)b->pid);
	outside = ld_broker_enter(&live_diags, path, 0);
	ck_assert_msg(outside >= 0, "%s", live_said());
	return outside;
}

static void broker_out(int outside)
{
	ck_assert(!ld_broker_leave(&live_diags, outside));
	close(outside);
}

static void attach_broker(const struct box *b, struct be_prog p, const struct ld_where *w)
{
	int outside = broker_in(b);

	attach(p, w);
	broker_out(outside);
}

/* ---- attacks */

/* Each runs as root of the container; whether it says that it worked does not matter. */
static const char *const attacks[] = {
	"ip link set c0 xdp off", "ip link set c0 xdpgeneric off", "ip link set c0 xdpdrv off",
	"ip link set c0 down; ip link set c0 up; ip addr add 10.9.0.2/24 dev c0",
	"ip link set c0 name c1; ip link set c1 name c0",
	"ip link set c0 address 02:00:00:00:00:99",
	"ip link set c0 mtu 1000; ip link set c0 mtu 1500",
	"tc qdisc add dev c0 clsact",
	"tc filter add dev c0 ingress prio 1 bpf da bytecode \"1,6 0 0 0\"",
	"tc filter add dev c0 egress prio 1 bpf da bytecode \"1,6 0 0 0\"",
	"tc filter del dev c0 ingress; tc filter del dev c0 egress",
	"tc qdisc del dev c0 clsact", "tc qdisc replace dev c0 root noqueue",
	"nft add table ip a; nft \"add chain ip a c { type filter hook input priority -500; }\"; nft add rule ip a c accept",
	"nft flush ruleset", "iptables -I INPUT -j ACCEPT", "iptables -F",
	"ip link add br0 type bridge; ip link del br0",
	"ip addr flush dev c0; ip addr add 10.9.0.2/24 dev c0",
};

static long sys_bpf(int cmd, void *attr, size_t size)
{
	return syscall(SYS_bpf, cmd, attr, size);
}

/* What bpf(2) itself would let him do, as root of the container. */
static int steal(void *arg)
{
	struct bpf_insn pass[] = { MOV(0, 0), EXIT };
	union bpf_attr a = {
		.prog_type = BPF_PROG_TYPE_XDP, .insn_cnt = 2, .insns = (uintptr_t)pass, .license = (uintptr_t)"GPL",
	};

	if (sys_bpf(BPF_PROG_LOAD, &a, sizeof(a)) >= 0 || errno != EPERM)
		return 1;
	for (uint32_t id = 1; id < 64; id++) {
		memset(&a, 0, sizeof(a));
		a.link_id = id;
		if (sys_bpf(BPF_LINK_GET_FD_BY_ID, &a, sizeof(a)) >= 0)
			return 2;
		if (sys_bpf(BPF_PROG_GET_FD_BY_ID, &a, sizeof(a)) >= 0)
			return 3;
		if (sys_bpf(BPF_MAP_GET_FD_BY_ID, &a, sizeof(a)) >= 0)
			return 4;
	}
	for (uint32_t type = 46; type <= 47; type++) {	/* tcx */
		memset(&a, 0, sizeof(a));
		a.target_fd = if_nametoindex("c0");
		a.attach_type = type;
		if (sys_bpf(BPF_PROG_DETACH, &a, sizeof(a)) >= 0)
			return 5;
	}
	return 0;
}

static int as_box_root(const struct box *b, int (*fn)(void *arg), void *arg)
{
	char path[64];
	pid_t pid = fork();
	int status;

	if (!pid) {
		int user;

		snprintf(path, sizeof(path), "/proc/%d/ns/user", (int)b->pid);
		user = open(path, O_RDONLY);
		if (setns(b->net, CLONE_NEWNET) || setns(user, CLONE_NEWUSER) || setresgid(0, 0, 0) || setresuid(0, 0, 0))
			_exit(99);
		_exit(fn(arg));
	}
	waitpid(pid, &status, 0);
	return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static void attack(const struct box *b, struct way w)
{
	filtered(w, "nothing");
	for (size_t i = 0; i < sizeof(attacks) / sizeof(attacks[0]); i++) {
		in_box(b, attacks[i]);
		live_sh("ip neigh flush dev v0");	/* its address may be another one now */
		filtered(w, attacks[i]);
	}
	ck_assert_int_eq(as_box_root(b, steal, NULL), 0);
	filtered(w, "bpf(2)");
}

/* The device in a namespace inside the container's own: is it still filtered there? */
static bool filtered_moved(const struct box *b)
{
	struct box in = { .ours = b->ours };
	char path[64], cmd[128];
	FILE *f;
	int pid = 0;
	bool ret;

	snprintf(cmd, sizeof(cmd), "nsenter -t %d -U -n sh -c 'unshare -n sleep 60 >/dev/null & sleep 0.3; echo $!'", (int)b->pid);
	f = popen(cmd, "r");
	ck_assert(f && fscanf(f, "%d", &pid) == 1);
	pclose(f);
	snprintf(cmd, sizeof(cmd), "ip link set c0 netns %d", pid);
	ck_assert_int_eq(in_box(b, cmd), 0);
	in.pid = pid;
	snprintf(path, sizeof(path), "/proc/%d/ns/net", pid);
	in.net = open(path, O_RDONLY | O_CLOEXEC);
	ck_assert_int_eq(in_box(&in, "ip addr add 10.9.0.2/24 dev c0; ip link set lo up; ip link set c0 up"), 0);
	in.in = box_socket(&in, "10.9.0.2");
	in.out = b->out;
	ck_assert(good_arrives(inward(&in)) && good_arrives(outward(&in)));
	ret = !arrives(in.out, in.in, "10.9.0.2", LEN_BAD, 50) || !arrives(in.in, in.out, "10.9.0.1", LEN_BAD, 50);
	kill(pid, SIGKILL);
	close(in.net);
	close(in.in);
	return ret;
}

/* Does a packet socket of the container see what is bad? */
static bool tapped(const struct box *b)
{
	struct way w = inward(b);
	uint8_t f[256];
	bool seen = false;
	int fd;

	enter(b->net);
	fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, htons(ETH_P_ALL));
	enter(b->ours);
	ck_assert(fd >= 0);
	arrives(w.from, w.to, w.addr, LEN_BAD, 100);
	for (ssize_t n; (n = recv(fd, f, sizeof(f), MSG_DONTWAIT)) > 0;)
		seen |= n == BAD_L2;
	close(fd);
	return seen;
}

START_TEST(xdp_holds)
{
	struct ld_where w = { .kind = LD_XDP, .dev = "c0" };
	struct box b;

	box_start(&b);
	attach_broker(&b, (struct be_prog)PROG(BPF_PROG_TYPE_XDP, BPF_XDP, xdp), &w);
	attack(&b, inward(&b));
	ck_assert(!tapped(&b));
	ck_assert(filtered_moved(&b));
	box_end(&b);
}
END_TEST

START_TEST(tc_ingress_holds)
{
	struct ld_where w = { .kind = LD_TC, .dev = "c0" };
	struct box b;

	box_start(&b);
	attach_broker(&b, (struct be_prog)PROG(BPF_PROG_TYPE_SCHED_CLS, 0, tc), &w);
	attack(&b, inward(&b));
	ck_assert_msg(tapped(&b), "apply says that this evades");
	ck_assert(filtered_moved(&b));
	box_end(&b);
}
END_TEST

/* A frame that no queueing discipline sees. */
static int bypass(void *arg)
{
	uint8_t f[BAD_L2] = {
		0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2, 0, 0, 0, 0, 9, 8, 0,
		0x45, 0, 0, BAD_L3, 0, 0, 0, 0, 64, 17, 0x66, 0xb6, 10, 9, 0, 2, 10, 9, 0, 1,
		0x13, 0x88, 0x13, 0x88, 0, 8 + LEN_BAD,
	};
	struct sockaddr_ll to = { .sll_family = AF_PACKET, .sll_ifindex = if_nametoindex("c0"), .sll_halen = 6 };
	int on = *(int *)arg, fd = socket(AF_PACKET, SOCK_RAW, 0);
	uint32_t sum = 0;

	f[24] = f[25] = 0;
	for (int i = 14; i < 34; i += 2)
		sum += f[i] << 8 | f[i + 1];
	sum = (sum & 0xffff) + (sum >> 16);
	f[24] = ~sum >> 8 & 0xff;
	f[25] = ~sum & 0xff;
	memset(to.sll_addr, 0xff, 6);
	if (fd < 0 || setsockopt(fd, SOL_PACKET, PACKET_QDISC_BYPASS, &on, sizeof(on)))
		return 1;
	return sendto(fd, f, sizeof(f), 0, (struct sockaddr *)&to, sizeof(to)) == sizeof(f) ? 0 : 2;
}

static bool raw_arrives(const struct box *b, int on)
{
	struct pollfd p = { b->out, POLLIN, 0 };
	char buf[64];

	while (recv(b->out, buf, sizeof(buf), MSG_DONTWAIT) > 0)
		;
	as_box_root(b, bypass, &on);
	return poll(&p, 1, 100) == 1;
}

START_TEST(tc_egress_holds)
{
	struct ld_where w = { .kind = LD_TC, .dev = "c0", .egress = true };
	struct box b;

	box_start(&b);
	ck_assert(good_arrives(outward(&b)) && raw_arrives(&b, 0));
	attach_broker(&b, (struct be_prog)PROG(BPF_PROG_TYPE_SCHED_CLS, 0, tc), &w);
	attack(&b, outward(&b));
	ck_assert(!raw_arrives(&b, 0));
	ck_assert_msg(raw_arrives(&b, 1), "apply says that this evades");
	ck_assert(filtered_moved(&b));
	box_end(&b);
}
END_TEST

START_TEST(netfilter_holds)
{
	struct ld_where w = { .kind = LD_NETFILTER, .pf = NFPROTO_IPV4, .hooknum = NF_INET_LOCAL_IN, .prio = 0, .prio_min = 1 };
	struct be_prog p = PROG(NF_TYPE, NF_ATTACH, nf);
	struct box b;

	p.reloc = &nf_len;
	p.n_reloc = 1;
	box_start(&b);
	attach_broker(&b, p, &w);
	attack(&b, inward(&b));
	ck_assert_msg(tapped(&b), "apply says that this evades");
	ck_assert_msg(!filtered_moved(&b), "apply says that this evades");
	box_end(&b);
}
END_TEST

/* Filters of a clsact qdisc: they are root's there. */
START_TEST(classic_is_theirs)
{
	struct ld_where w = { .kind = LD_CBPF, .dev = "c0" }, g = { .kind = LD_TC, .dev = "c0", .generic = true };
	struct box b;
	int outside;

	box_start(&b);
	outside = broker_in(&b);
	attach_classic(&w);
	broker_out(outside);
	filtered(inward(&b), "nothing");
	ck_assert_int_eq(in_box(&b, "tc qdisc del dev c0 clsact"), 0);
	ck_assert_msg(arrives(b.out, b.in, "10.9.0.2", LEN_BAD, 200), "apply says that this evades");
	attach_broker(&b, (struct be_prog)PROG(BPF_PROG_TYPE_SCHED_CLS, 0, tc), &g);
	filtered(inward(&b), "nothing");
	ck_assert_msg(!filtered_moved(&b), "apply says that this evades");
	box_end(&b);
}
END_TEST

/* On the host's end of the wire nothing inside reaches, wherever the device goes. */
START_TEST(peer_holds)
{
	struct ld_where w = { .kind = LD_TC, .dev = "v0", .egress = true };
	struct box b;

	box_start(&b);
	attach((struct be_prog)PROG(BPF_PROG_TYPE_SCHED_CLS, 0, tc), &w);
	attack(&b, inward(&b));
	ck_assert(!tapped(&b));
	ck_assert(filtered_moved(&b));
	box_end(&b);
}
END_TEST

START_TEST(peer_holds_outward)
{
	struct ld_where w = { .kind = LD_TC, .dev = "v0" };
	struct box b;

	box_start(&b);
	attach((struct be_prog)PROG(BPF_PROG_TYPE_SCHED_CLS, 0, tc), &w);
	attack(&b, outward(&b));
	ck_assert(!raw_arrives(&b, 1));
	ck_assert(filtered_moved(&b));
	box_end(&b);
}
END_TEST

/* ---- rights */

static uint64_t in_effect(cap_flag_t flag)
{
	cap_t c = cap_get_proc();
	uint64_t ret = 0;

	for (cap_value_t i = 0; i < 64 && CAP_IS_SUPPORTED(i); i++) {
		cap_flag_value_t v = CAP_CLEAR;

		cap_get_flag(c, i, flag, &v);
		ret |= v == CAP_SET ? 1ULL << i : 0;
	}
	cap_free(c);
	return ret;
}

START_TEST(rights_shed)
{
	struct be_prog p = PROG(BPF_PROG_TYPE_XDP, BPF_XDP, xdp);
	struct ld_where w = { .kind = LD_XDP, .dev = "v0" };
	struct ld_probe probe;
	struct ld_prog l;
	uint64_t was;

	ck_assert_int_eq(ld_rights_shed(), 0);
	ck_assert_uint_eq(in_effect(CAP_EFFECTIVE), 0);
	attach(p, &w);
	ck_assert_uint_eq(in_effect(CAP_EFFECTIVE), 0);
	ck_assert_int_eq(ld_detach(&live_diags, "xdp-v0"), 0);
	ld_probe(&probe);
	ck_assert_uint_eq(in_effect(CAP_EFFECTIVE), 0);
	for (uint32_t i = 0; i < probe.n; i++)
		ck_assert_msg(!probe.row[i].err, "%s: %s", probe.row[i].key, strerror(-probe.row[i].err));
	was = ld_rights_raise(1ULL << CAP_NET_ADMIN);
	ck_assert_uint_eq(in_effect(CAP_EFFECTIVE), 1ULL << CAP_NET_ADMIN);
	ld_rights_lower(&was);
	ck_assert_uint_eq(in_effect(CAP_EFFECTIVE), 0);
	ck_assert_int_eq(ld_rights_renounce(), 0);
	ck_assert_uint_eq(in_effect(CAP_PERMITTED), 0);
	ld_rights_raise(~0ULL);
	ck_assert_uint_eq(in_effect(CAP_EFFECTIVE), 0);
	ck_assert_int_eq(ld_load(&p, &live_diags, &l), -EPERM);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("rights");
	TCase *t = tcase_create("live");

	tcase_set_timeout(t, 60);
	tcase_add_checked_fixture(t, live_setup, live_teardown);
	tcase_add_test(t, xdp_holds);
	tcase_add_test(t, tc_ingress_holds);
	tcase_add_test(t, tc_egress_holds);
	tcase_add_test(t, netfilter_holds);
	tcase_add_test(t, classic_is_theirs);
	tcase_add_test(t, peer_holds);
	tcase_add_test(t, peer_holds_outward);
	tcase_add_test(t, rights_shed);
	suite_add_tcase(s, t);
	return live_main(s);
}
