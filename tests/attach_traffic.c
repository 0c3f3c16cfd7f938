/* SPDX-License-Identifier: GPL-2.0-only */
/* Packets to the stack are whole frames sent at v1; packets from it are seen as frames there. */
#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <bpf/btf.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>

#include "attach_traffic.h"
#include "live.h"

#define WAIT_MS 2000

void traffic_setup(void)
{
	live_sh("ip link show v0 >/dev/null 2>&1 || ip link add v0 type veth peer name v1");
	live_sh("ip link set v0 address 02:00:00:00:00:01 up && ip link set v1 address 02:00:00:00:00:02 up && ip link set lo up");
	live_sh("ip addr add 10.0.0.1/24 dev v0 && ip neigh replace 10.0.0.2 lladdr 02:00:00:00:00:02 dev v0 nud permanent");
}

static void cgroup_move(const char *path)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);

	ck_assert_msg(fd >= 0 && write(fd, "0", 1) == 1, "%s", path);
	close(fd);
}

/* Of the machine's one hierarchy, so the name is the process's own; bound to a path that all can have. */
static void cgroup_name(char ret[64])
{
	snprintf(ret, 64, "/run/cg-all/fwjit-test-%d", getpid());
}

void traffic_cgroup_enter(void)
{
	char dir[64];

	cgroup_name(dir);
	ck_assert(!mkdir("/run/cg-all", 0755) && !mkdir(TRAFFIC_CGROUP, 0755));
	ck_assert(!mount("none", "/run/cg-all", "cgroup2", 0, NULL));
	ck_assert(!mkdir(dir, 0755));
	ck_assert(!mount(dir, TRAFFIC_CGROUP, NULL, MS_BIND, NULL));
	cgroup_move(TRAFFIC_CGROUP "/cgroup.procs");
}

void traffic_cgroup_leave(void)
{
	char dir[64];

	cgroup_name(dir);
	cgroup_move("/run/cg-all/cgroup.procs");
	umount(TRAFFIC_CGROUP);
	for (int i = 0; i < 100 && rmdir(dir) < 0 && errno == EBUSY; i++)
		usleep(10000);
}

static int packet_socket(void)
{
	int fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, htons(ETH_P_IP));
	struct sockaddr_ll at = {
		.sll_family = AF_PACKET, .sll_protocol = htons(ETH_P_IP), .sll_ifindex = if_nametoindex("v1"),
	};

	ck_assert(fd >= 0 && !bind(fd, (struct sockaddr *)&at, sizeof(at)));
	return fd;
}

static int udp_socket(uint16_t port)
{
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	struct sockaddr_in at = { .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(0x0a000001) };

	ck_assert(fd >= 0 && !bind(fd, (struct sockaddr *)&at, sizeof(at)));
	return fd;
}

struct traffic traffic_open(bool egress)
{
	if (egress)
		return (struct traffic){ .egress = true, .in = { packet_socket(), -1 }, .out = udp_socket(0) };
	return (struct traffic){ .in = { udp_socket(TRAFFIC_DROPPED), udp_socket(TRAFFIC_PASSED) }, .out = packet_socket() };
}

void traffic_close(struct traffic *t)
{
	close(t->in[0]);
	close(t->in[1]);
	close(t->out);
}

static size_t payload(uint16_t port)
{
	return port == TRAFFIC_DROPPED ? TRAFFIC_DROPPED_LEN - 28 : 10;
}

static void send_frame(int fd, uint16_t port)
{
	uint8_t f[14 + TRAFFIC_DROPPED_LEN] = { 2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 8, 0, 0x45 };
	size_t len = 28 + payload(port);
	uint32_t sum = 0;
	uint8_t *ip = f + 14;

	memcpy(ip + 2, (uint16_t[]){ htons(len) }, 2);
	ip[8] = 64;
	ip[9] = 17;
	memcpy(ip + 12, (uint8_t[]){ 10, 0, 0, 2, 10, 0, 0, 1 }, 8);
	for (int i = 0; i < 20; i += 2)
		sum += ip[i] << 8 | ip[i + 1];
	sum = ~((sum & 0xffff) + (sum >> 16));
	memcpy(ip + 10, (uint16_t[]){ htons(sum) }, 2);
	memcpy(ip + 20, (uint16_t[]){ htons(9), htons(port), htons(len - 20) }, 6);
	while (send(fd, f, 14 + len, 0) < 0)
		ck_assert(errno == ENOBUFS || errno == EAGAIN);
}

/* What a program drops on the way out may be an error to the sender. */
static void send_port(const struct traffic *t, uint16_t port)
{
	struct sockaddr_in to = { .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(0x0a000002) };
	uint8_t buf[TRAFFIC_DROPPED_LEN] = { 0 };

	if (!t->egress)
		send_frame(t->out, port);
	else if (sendto(t->out, buf, payload(port), 0, (struct sockaddr *)&to, sizeof(to)) < 0)
		ck_assert(errno == EPERM || errno == ENOBUFS);
}

/* The port of one packet that has arrived within ms; 0: none. */
static uint16_t arrived(const struct traffic *t, int ms)
{
	struct pollfd p[2] = { { .fd = t->in[0], .events = POLLIN }, { .fd = t->in[1], .events = POLLIN } };
	uint8_t buf[2048];
	uint16_t port;
	ssize_t n;

	if (poll(p, 2, ms) <= 0)
		return 0;
	n = recv(p[0].revents ? t->in[0] : t->in[1], buf, sizeof(buf), MSG_DONTWAIT);
	if (n < 0)
		return 0;
	if (!t->egress)
		return p[0].revents ? TRAFFIC_DROPPED : TRAFFIC_PASSED;
	memcpy(&port, buf + 36, 2);
	return n >= 38 ? ntohs(port) : 0;
}

/* True when the one to 5000 arrives, which was sent last. */
static bool pair(const struct traffic *t, uint64_t *leaked)
{
	uint16_t port;

	send_port(t, TRAFFIC_DROPPED);
	send_port(t, TRAFFIC_PASSED);
	do {
		port = arrived(t, WAIT_MS);
		*leaked += port == TRAFFIC_DROPPED;
	} while (port && port != TRAFFIC_PASSED);
	return port;
}

bool traffic_passes(struct traffic *t)
{
	send_port(t, TRAFFIC_PASSED);
	return arrived(t, 300) == TRAFFIC_PASSED;
}

void traffic_expect(struct traffic *t, const char *what, bool both)
{
	uint64_t leaked = 0;

	ck_assert_msg(pair(t, &leaked), "%s: no packet to port 5000 arrived", what);
	ck_assert_msg(leaked == both, "%s: a packet to port 7777 %s", what, leaked ? "arrived" : "was dropped");
}

pid_t traffic_start(bool egress, int *ret_fd)
{
	int p[2];
	pid_t pid;

	ck_assert(!pipe(p));
	pid = fork();
	if (!pid) {
		struct traffic t = traffic_open(egress);
		struct traffic_count n = { 0 };
		struct timespec none = { 0 };
		sigset_t set;

		sigemptyset(&set);
		sigaddset(&set, SIGUSR1);
		sigprocmask(SIG_BLOCK, &set, NULL);
		do {
			n.lost += !pair(&t, &n.leaked);
			n.sent++;
		} while (sigtimedwait(&set, NULL, &none) != SIGUSR1);
		_exit(write(p[1], &n, sizeof(n)) != sizeof(n));
	}
	close(p[1]);
	*ret_fd = p[0];
	return pid;
}

struct traffic_count traffic_end(pid_t pid, int fd)
{
	struct traffic_count n = { 0 };
	int status;

	kill(pid, SIGUSR1);
	ck_assert(read(fd, &n, sizeof(n)) == sizeof(n));
	waitpid(pid, &status, 0);
	close(fd);
	return n;
}

int traffic_skb_len(void)
{
	struct btf *btf = btf__load_vmlinux_btf();
	int id = btf__find_by_name_kind(btf, "sk_buff", BTF_KIND_STRUCT), at = -1;
	const struct btf_type *t = id < 0 ? NULL : btf__type_by_id(btf, id);

	for (int i = 0; t && i < btf_vlen(t); i++)
		if (!strcmp(btf__name_by_offset(btf, btf_members(t)[i].name_off), "len"))
			at = btf_member_bit_offset(t, i) / 8;
	btf__free(btf);
	ck_assert_int_ge(at, 0);
	return at;
}
