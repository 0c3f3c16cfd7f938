/* SPDX-License-Identifier: GPL-2.0-only */
#include "judge.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <sched.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

/* Newer than the distribution's linux/bpf.h. */
#define PROG_TYPE_NETFILTER 32
#define ATTACH_NETFILTER 45

enum {
	WORD_PRE, WORD_POST, WORD_STOP,
	WORD_SEEN, WORD_INGRESS, WORD_CAME, WORD_LEFT, WORD_INPUT, WORD_INPUT_END, WORD_FORWARD, WORD_FORWARD_END,
	WORDS
};

/* The last priority before conntrack would confirm a flow: what ends there was never a connection. */
#define PRIO_END	2147483646
#define PRIO_BEGIN	-2147483647
#define PRIO_DEFRAGGED	-399

/* ETH_P_802_3 and ETH_P_802_2 stand for frames whose type field is a length. */
const uint16_t judge_ethertypes[] = { ETH_P_IP, ETH_P_IPV6, ETH_P_ARP, ETH_P_8021Q, ETH_P_8021AD, ETH_P_MPLS_UC, 0x8863,
				      0x8864, 0x88b5, 0x88b6, ETH_P_802_3, ETH_P_802_2 };
const unsigned int judge_n_ethertypes = sizeof(judge_ethertypes) / sizeof(*judge_ethertypes);

int judge_run(const char *fmt, ...)
{
	char cmd[8192];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(cmd, sizeof(cmd), fmt, ap);
	va_end(ap);
	return system(cmd);
}

static long sys_bpf(int cmd, union bpf_attr *a, size_t n)
{
	return syscall(__NR_bpf, cmd, a, n);
}

/* A program that bumps one word and returns verdict. */
static int sensor(const struct judge *j, int type, int attach, int word, int verdict)
{
	struct bpf_insn p[] = {
		{ .code = BPF_LD | BPF_DW | BPF_IMM, .dst_reg = 1, .src_reg = BPF_PSEUDO_MAP_VALUE, .imm = j->map },
		{ .imm = word * 8 },
		{ .code = BPF_LDX | BPF_MEM | BPF_DW, .dst_reg = 2, .src_reg = 1 },
		{ .code = BPF_ALU64 | BPF_ADD | BPF_K, .dst_reg = 2, .imm = 1 },
		{ .code = BPF_STX | BPF_MEM | BPF_DW, .dst_reg = 1, .src_reg = 2 },
		{ .code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = 0, .imm = verdict },
		{ .code = BPF_JMP | BPF_EXIT },
	};
	union bpf_attr a;

	memset(&a, 0, sizeof(a));
	a.prog_type = type;
	a.expected_attach_type = attach;
	a.insns = (uintptr_t)p;
	a.insn_cnt = sizeof(p) / sizeof(*p);
	a.license = (uintptr_t)"GPL";
	return sys_bpf(BPF_PROG_LOAD, &a, sizeof(a));
}

static int words(struct judge *j)
{
	union bpf_attr a;

	memset(&a, 0, sizeof(a));
	a.map_type = BPF_MAP_TYPE_ARRAY;
	a.key_size = 4;
	a.value_size = WORDS * sizeof(uint64_t);
	a.max_entries = 1;
	a.map_flags = BPF_F_MMAPABLE;
	j->map = sys_bpf(BPF_MAP_CREATE, &a, sizeof(a));
	if (j->map < 0)
		return -errno;
	j->word = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, j->map, 0);
	return j->word == MAP_FAILED ? -errno : 0;
}

static int nf_link(struct judge *j, int prog, int pf, int hook, int prio)
{
	struct {
		uint32_t prog_fd, target_fd, attach_type, flags, pf, hooknum;
		int32_t priority;
		uint32_t nf_flags;
	} a = { .prog_fd = prog, .attach_type = ATTACH_NETFILTER, .pf = pf, .hooknum = hook, .priority = prio };
	int fd = sys_bpf(BPF_LINK_CREATE, (union bpf_attr *)&a, sizeof(a));

	if (fd < 0)
		return -errno;
	j->link[j->n_link++] = fd;
	return 0;
}

static int link_both(struct judge *j, int word, int verdict, int hook, int prio)
{
	int prog = sensor(j, PROG_TYPE_NETFILTER, ATTACH_NETFILTER, word, verdict), r;

	if (prog < 0)
		return -errno;
	r = nf_link(j, prog, AF_INET, hook, prio);
	if (!r)
		r = nf_link(j, prog, AF_INET6, hook, prio);
	close(prog);
	return r;
}

static int packet_socket(struct judge *j, int proto, int prog)
{
	struct sockaddr_ll to = { .sll_family = AF_PACKET, .sll_protocol = htons(proto), .sll_ifindex = j->iif };
	int s = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0);

	if (s < 0)
		return -errno;
	j->sock[j->n_sock++] = s;
	if (setsockopt(s, SOL_SOCKET, SO_ATTACH_BPF, &prog, sizeof(prog)) || bind(s, (void *)&to, sizeof(to)))
		return -errno;
	return 0;
}

/* Taps for all protocols run before the ingress hook, those for one ethertype behind it; nothing goes further. */
static int ingress_sensors(struct judge *j)
{
	int pre = sensor(j, BPF_PROG_TYPE_SOCKET_FILTER, 0, WORD_PRE, 0);
	int post = sensor(j, BPF_PROG_TYPE_SOCKET_FILTER, 0, WORD_POST, 0), r;

	if (pre < 0 || post < 0)
		return -errno;
	r = packet_socket(j, ETH_P_ALL, pre);
	for (unsigned int i = 0; !r && i < judge_n_ethertypes; i++)
		r = packet_socket(j, judge_ethertypes[i], post);
	close(pre);
	close(post);
	return r ? r : link_both(j, WORD_STOP, 0, 0, PRIO_BEGIN);
}

static int l3_sensors(struct judge *j, int first, int last)
{
	static const int hooknum[] = { [JUDGE_PREROUTING] = 0, [JUDGE_INPUT] = 1, [JUDGE_FORWARD] = 2 };
	int r = link_both(j, WORD_PRE, 1, hooknum[j->hook], first - 1);

	if (!r)
		r = link_both(j, WORD_POST, 0, hooknum[j->hook], last + 1);
	/* The stack's own errors, which would come back through lo to the hook, end where they leave. */
	return r ? r : link_both(j, WORD_STOP, 0, 3, PRIO_BEGIN);
}

/* What left is read from the tap: a sensor would stand before the programs that are judged, not behind them. */
static int egress_sockets(struct judge *j)
{
	struct sockaddr_ll to = { .sll_family = AF_PACKET, .sll_ifindex = j->iif };

	j->send = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0);
	j->send4 = socket(AF_INET, SOCK_RAW | SOCK_CLOEXEC, IPPROTO_RAW);
	j->send6 = socket(AF_INET6, SOCK_RAW | SOCK_CLOEXEC, IPPROTO_RAW);
	if (j->send < 0 || j->send4 < 0 || j->send6 < 0)
		return -errno;
	j->sock[j->n_sock++] = j->send;
	j->sock[j->n_sock++] = j->send4;
	j->sock[j->n_sock++] = j->send6;
	return bind(j->send, (void *)&to, sizeof(to)) ? -errno : 0;
}

static int path_sensors(struct judge *j)
{
	static const struct { int word, verdict, hook, prio; } at[] = {
		{ WORD_CAME, 1, 0, PRIO_DEFRAGGED }, { WORD_LEFT, 1, 0, PRIO_END },
		{ WORD_INPUT, 1, 1, PRIO_BEGIN }, { WORD_INPUT_END, 0, 1, PRIO_END },
		{ WORD_FORWARD, 1, 2, PRIO_BEGIN }, { WORD_FORWARD_END, 0, 2, PRIO_END },
		{ WORD_STOP, 0, 3, PRIO_BEGIN },
	};
	int seen = sensor(j, BPF_PROG_TYPE_SOCKET_FILTER, 0, WORD_SEEN, 0);
	int ingress = sensor(j, BPF_PROG_TYPE_SOCKET_FILTER, 0, WORD_INGRESS, 0), r = 0;

	if (seen < 0 || ingress < 0)
		return -errno;
	for (size_t i = 0; !r && i < sizeof(at) / sizeof(*at); i++)
		r = link_both(j, at[i].word, at[i].verdict, at[i].hook, at[i].prio);
	r = r ? r : packet_socket(j, ETH_P_ALL, seen);
	r = r ? r : packet_socket(j, ETH_P_IP, ingress);
	r = r ? r : packet_socket(j, ETH_P_IPV6, ingress);
	close(seen);
	close(ingress);
	return r;
}

static int tap_open(const char *name)
{
	struct ifreq r = { .ifr_flags = IFF_TAP | IFF_NO_PI };
	int fd = open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC);

	if (fd < 0)
		return -errno;
	strncpy(r.ifr_name, name, IFNAMSIZ - 1);
	if (ioctl(fd, TUNSETIFF, &r)) {
		int e = -errno;

		close(fd);
		return e;
	}
	return fd;
}

/* Every packet that is well formed shall come to the hook: no filter of the stack's own on addresses or paths. */
static int network(const struct judge *j)
{
	static const char *const sysctls[] = {
		"ipv4/conf/all/rp_filter=0", "ipv4/conf/default/rp_filter=0", "ipv4/conf/tap0/rp_filter=0",
		"ipv4/conf/all/accept_local=1", "ipv4/conf/all/route_localnet=1", "ipv4/conf/all/accept_source_route=1",
		"ipv4/conf/tap0/accept_source_route=1", "ipv4/conf/all/forwarding=1", "ipv6/conf/all/forwarding=1",
		"ipv6/conf/all/accept_dad=0", "ipv6/conf/tap0/accept_dad=0", "ipv6/conf/tap0/accept_ra=0",
		"ipv4/ip_early_demux=0", "ipv4/conf/all/log_martians=0", "ipv4/icmp_ratelimit=1000000",
	};

	for (size_t i = 0; i < sizeof(sysctls) / sizeof(*sysctls); i++) {
		const char *eq = strchr(sysctls[i], '=');

		judge_run("echo %s >/proc/sys/net/%.*s 2>/dev/null", eq + 1, (int)(eq - sysctls[i]), sysctls[i]);
	}
	if (judge_run("ip link set tap0 address 02:00:00:00:00:01 addrgenmode none && "
		      "ip link set out0 address 02:00:00:00:00:02 addrgenmode none && ip link set lo up && "
		      "ip link set tap0 up && ip link set out0 up && ip addr add 10.0.0.1/32 dev tap0 && "
		      "ip addr add fd00::1/128 dev tap0 nodad && ip addr add 10.9.9.1/24 dev out0 && "
		      "ip addr add fd09::1/64 dev out0 nodad"))
		return -EIO;
	/* addrconf_dad_work() adds the routes of IPv6 addresses some time later. */
	if (judge_run("for _ in $(seq 500); do [ $(ip -6 route show table local | grep -c '^local fd0[09]::1 ') = 2 ] && "
		      "exit 0; sleep 0.01; done; exit 1"))
		return -EIO;
	if (j->hook == JUDGE_EGRESS)
		return judge_run("ip route add default via 10.7.7.2 dev tap0 onlink && ip -6 route add default via fd07::2 dev "
				 "tap0 onlink && ip neigh add 10.7.7.2 lladdr 02:00:00:00:00:03 dev tap0 && "
				 "ip neigh add fd07::2 lladdr 02:00:00:00:00:03 dev tap0") ? -EIO : 0;
	if (j->hook == JUDGE_FORWARD || j->hook == JUDGE_PATH)
		return judge_run("ip route add default via 10.9.9.2 dev out0 onlink && "
				 "ip -6 route add default via fd09::2 dev out0 onlink && "
				 "ip neigh add 10.9.9.2 lladdr 02:00:00:00:00:03 dev out0 && "
				 "ip neigh add fd09::2 lladdr 02:00:00:00:00:03 dev out0") ? -EIO : 0;
	return judge_run("ip route add local 0.0.0.0/0 dev lo table local && ip -6 route add local ::/0 dev lo table local") ?
		-EIO : 0;
}

static bool may_unshare(void)
{
	int status = 1;
	pid_t pid = fork();

	if (!pid)
		_exit(unshare(CLONE_NEWNET) != 0);
	return pid > 0 && waitpid(pid, &status, 0) == pid && !status;
}

const char *judge_missing(void)
{
	if (geteuid() || !may_unshare())
		return "the kernel judge needs root that may make namespaces";
	if (access("/dev/net/tun", R_OK | W_OK))
		return "the kernel judge needs /dev/net/tun";
	return NULL;
}

int judge_open(struct judge *j, enum judge_hook hook, int first, int last)
{
	return judge_open_in(j, -1, hook, first, last);
}

int judge_open_in(struct judge *j, int netns, enum judge_hook hook, int first, int last)
{
	int r;

	memset(j, 0, sizeof(*j));
	j->hook = hook;
	j->tap = j->out = j->map = -1;
	if (netns < 0 ? unshare(CLONE_NEWNET) : setns(netns, CLONE_NEWNET))
		return -errno;
	j->tap = tap_open("tap0");
	j->out = tap_open("out0");
	if (j->tap < 0 || j->out < 0)
		return j->tap < 0 ? j->tap : j->out;
	j->iif = if_nametoindex("tap0");
	j->oif = if_nametoindex("out0");
	r = network(j);
	if (!r)
		r = words(j);
	if (!r)
		r = hook == JUDGE_INGRESS ? ingress_sensors(j) : hook == JUDGE_PATH ? path_sensors(j) :
			hook == JUDGE_EGRESS ? egress_sockets(j) : l3_sensors(j, first, last);
	return r;
}

int judge_open_path(struct judge *j, bool forward)
{
	int r = judge_open(j, JUDGE_PATH, 0, 0);

	if (!r && judge_run("ip route add local 10.0.0.0/8 dev lo table local && "
			    "ip -6 route add local 2001:db8::/32 dev lo table local"))
		r = -EIO;
	if (!r && judge_run("echo %d >/proc/sys/net/ipv4/conf/all/forwarding && "
			    "echo %d >/proc/sys/net/ipv6/conf/all/forwarding", forward, forward))
		r = -EIO;
	return r;
}

void judge_path(const struct judge *j, struct judge_path *ret)
{
	const volatile uint64_t *w = j->word;

	*ret = (struct judge_path){
		.seen = w[WORD_SEEN], .ingress_left = w[WORD_INGRESS], .came = w[WORD_CAME], .left = w[WORD_LEFT],
		.input_came = w[WORD_INPUT], .input_left = w[WORD_INPUT_END],
		.forward_came = w[WORD_FORWARD], .forward_left = w[WORD_FORWARD_END],
	};
}

void judge_close(struct judge *j)
{
	for (unsigned int i = 0; i < j->n_link; i++)
		close(j->link[i]);
	for (unsigned int i = 0; i < j->n_sock; i++)
		close(j->sock[i]);
	if (j->word && j->word != MAP_FAILED)
		munmap((void *)j->word, 4096);
	close(j->map);
	close(j->tap);
	close(j->out);
}

static const struct { const char *load, *flush; } tools[] = {
	[JUDGE_NFT] = { "nft -f -", "nft flush ruleset" },
	[JUDGE_IPT] = { "iptables-legacy-restore", "iptables-legacy -F && iptables-legacy -X && iptables-legacy -P INPUT ACCEPT && iptables-legacy -P FORWARD ACCEPT" },
	[JUDGE_IP6T] = { "ip6tables-legacy-restore", "ip6tables-legacy -F && ip6tables-legacy -X && ip6tables-legacy -P INPUT ACCEPT && ip6tables-legacy -P FORWARD ACCEPT" },
	[JUDGE_IPT_NFT] = { "iptables-nft-restore", "nft flush ruleset" },
	[JUDGE_IP6T_NFT] = { "ip6tables-nft-restore", "nft flush ruleset" },
};

int judge_flush(struct judge *j, enum judge_tool tool)
{
	return judge_run("%s >/dev/null 2>&1", tools[tool].flush);
}

/* The tool's own output goes through a file of the child's: a pipe both ways would need a thread. */
int judge_add(struct judge *j, enum judge_tool tool, const char *text, char *err, size_t err_len)
{
	char path[] = "/tmp/fwjit-judge-XXXXXX", cmd[256];
	int fd = mkstemp(path), status;
	FILE *f;
	ssize_t n;

	if (fd < 0)
		return -1;
	snprintf(cmd, sizeof(cmd), "%s >%s 2>&1", tools[tool].load, path);
	f = popen(cmd, "w");
	if (f) {
		fwrite(text, 1, strlen(text), f);
		status = pclose(f);
	} else {
		status = -1;
	}
	n = err_len ? read(fd, err, err_len - 1) : 0;
	if (err_len)
		err[n > 0 ? n : 0] = '\0';
	close(fd);
	unlink(path);
	return status ? -1 : 0;
}

int judge_load(struct judge *j, enum judge_tool tool, const char *text, char *err, size_t err_len)
{
	judge_flush(j, tool);
	return judge_add(j, tool, text, err, err_len);
}

static const uint8_t routed[12] = { 2, 0, 0, 0, 0, 3, 2, 0, 0, 0, 0, 1 };

/* raw_send_hdrinc: the total length and the checksum are the kernel's, and an id and an address that are 0. */
static bool routed4(uint8_t *ip, uint32_t len)
{
	uint32_t n = len < 20 ? 0 : (ip[0] & 15) * 4, sum = 0;

	if (n < 20 || n > len || (!ip[4] && !ip[5]) || !(ip[12] | ip[13] | ip[14] | ip[15]))
		return false;
	ip[2] = len >> 8;
	ip[3] = len;
	ip[10] = ip[11] = 0;
	for (uint32_t i = 0; i < n; i += 2)
		sum += ip[i] << 8 | ip[i + 1];
	sum = (sum & 0xffff) + (sum >> 16);
	sum += sum >> 16;
	ip[10] = ~sum >> 8;
	ip[11] = ~sum;
	return true;
}

bool judge_routed(uint8_t *frame, uint32_t len)
{
	unsigned int type = len > 14 ? frame[12] << 8 | frame[13] : 0;

	if (type == ETH_P_IP ? !routed4(frame + 14, len - 14) : type != ETH_P_IPV6 || len < 14 + 40 || frame[14 + 24] == 0xff)
		return false;
	memcpy(frame, routed, sizeof(routed));
	return true;
}

static ssize_t send_out(struct judge *j, const uint8_t *frame, size_t len)
{
	struct sockaddr_in to4 = { .sin_family = AF_INET };
	struct sockaddr_in6 to6 = { .sin6_family = AF_INET6 };

	if (memcmp(frame, routed, sizeof(routed)) || len < 14)
		return send(j->send, frame, len, 0);
	if (frame[12] == ETH_P_IP >> 8) {
		inet_pton(AF_INET, "10.7.7.9", &to4.sin_addr);
		return sendto(j->send4, frame + 14, len - 14, 0, (void *)&to4, sizeof(to4));
	}
	inet_pton(AF_INET6, "fd07::9", &to6.sin6_addr);
	return sendto(j->send6, frame + 14, len - 14, 0, (void *)&to6, sizeof(to6));
}

/* What else the stack sends of its own accord is read over. A socket is told of a drop with ENOBUFS. */
static enum judge_says leaves(struct judge *j, const void *frame, size_t len)
{
	uint8_t got[4096];
	ssize_t n;
	bool left = false;

	if (send_out(j, frame, len) < 0 && errno != ENOBUFS)
		return JUDGE_UNSEEN;
	while ((n = read(j->tap, got, sizeof(got))) > 0)
		left |= n == (ssize_t)len && !memcmp(got, frame, len);
	return left ? JUDGE_ACCEPT : JUDGE_DROP;
}

enum judge_says judge_packet(struct judge *j, const void *frame, size_t len)
{
	uint64_t pre = j->word[WORD_PRE], post = j->word[WORD_POST];

	if (j->hook == JUDGE_EGRESS)
		return leaves(j, frame, len);
	if (write(j->tap, frame, len) != (ssize_t)len)
		return JUDGE_UNSEEN;
	if (j->word[WORD_PRE] == pre)
		return JUDGE_UNSEEN;
	return j->word[WORD_POST] != post ? JUDGE_ACCEPT : JUDGE_DROP;
}
