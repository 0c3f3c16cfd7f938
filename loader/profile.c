/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The semantics profile of the running kernel, found as it will be used: rules in nftables, packets against them,
 * counters read back, in a throw-away network namespace. Kernels carry backports, so their version says little.
 *
 * The answer is kept in a file of the caller's own, keyed by the kernel's release and build; a file that is not the
 * caller's, or not exactly what would be written, is not read.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <sys/wait.h>

#include <linux/if_ether.h>
#include <linux/if_link.h>
#include <linux/if_packet.h>
#include <linux/rtnetlink.h>
#include <linux/veth.h>

#include "priv.h"

#define SCRATCH_MS 5000

/* The control rule counts the last packet: once it has, the others are through. */
static const char rules[] =
	"table ip p { chain c { type filter hook prerouting priority 0;\n"
	"udp dport 53 counter drop comment \"th_fast_frag\"\n"
	"udp dport 54 counter drop comment \"control\"\n"
	"}\n}\n"
	"table ip6 p { chain c { type filter hook prerouting priority 0;\n"
	"meta l4proto 6 counter drop comment \"no_bound\"\n"
	"}\n}\n";

/* What leaves v1; apart from the others, since the hook is of Linux 5.16. */
static const char egress_rules[] =
	"table netdev p { chain c { type filter hook egress device v1 priority 0;\n"
	"meta protocol ip meta l4proto 17 counter comment \"short4\"\n"
	"meta protocol ip6 meta l4proto 17 counter comment \"egress_len6\"\n"
	"meta protocol ip @th,8,24 0x004011 counter comment \"egress_th_off\"\n"
	"}\n}\n";

static const uint8_t mac[2][6] = { { 2, 0, 0, 0, 0, 1 }, { 2, 0, 0, 0, 0, 2 } };

/* v0 receives, v1 sends. */
static int make_veth(struct ld_nl *nl)
{
	char buf[1024] __attribute__((aligned(8)));
	struct nlmsghdr *nlh = mnl_nlmsg_put_header(buf);
	struct nlattr *info, *data, *peer;
	struct ifinfomsg *m;

	nlh->nlmsg_type = RTM_NEWLINK;
	nlh->nlmsg_flags = NLM_F_ACK | NLM_F_CREATE | NLM_F_EXCL;
	m = mnl_nlmsg_put_extra_header(nlh, sizeof(*m));
	m->ifi_flags = m->ifi_change = IFF_UP;
	mnl_attr_put_strz(nlh, IFLA_IFNAME, "v0");
	mnl_attr_put(nlh, IFLA_ADDRESS, 6, mac[0]);
	info = mnl_attr_nest_start(nlh, IFLA_LINKINFO);
	mnl_attr_put_strz(nlh, IFLA_INFO_KIND, "veth");
	data = mnl_attr_nest_start(nlh, IFLA_INFO_DATA);
	peer = mnl_attr_nest_start(nlh, VETH_INFO_PEER);
	mnl_nlmsg_put_extra_header(nlh, sizeof(*m));
	mnl_attr_put_strz(nlh, IFLA_IFNAME, "v1");
	mnl_attr_put(nlh, IFLA_ADDRESS, 6, mac[1]);
	mnl_attr_nest_end(nlh, peer);
	mnl_attr_nest_end(nlh, data);
	mnl_attr_nest_end(nlh, info);
	return ld_nl_ask(nl, nlh, NULL, NULL);
}

static int set_up(struct ld_nl *nl, const char *dev)
{
	char buf[256] __attribute__((aligned(8)));
	struct nlmsghdr *nlh = mnl_nlmsg_put_header(buf);
	struct ifinfomsg *m;

	nlh->nlmsg_type = RTM_SETLINK;
	nlh->nlmsg_flags = NLM_F_ACK;
	m = mnl_nlmsg_put_extra_header(nlh, sizeof(*m));
	m->ifi_flags = m->ifi_change = IFF_UP;
	m->ifi_index = if_nametoindex(dev);
	return ld_nl_ask(nl, nlh, NULL, NULL);
}

/* Runs nft with text as its input; its output, at most size - 1 bytes, into out. */
static int nft(char *const argv[], const char *text, char *out, size_t size)
{
	int in[2], from[2], status;
	size_t len = 0;
	ssize_t n;
	pid_t pid;

	if (pipe2(in, O_CLOEXEC) < 0 || pipe2(from, O_CLOEXEC) < 0)
		return -errno;
	pid = fork();
	if (!pid) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		dup2(in[0], 0);
		dup2(from[1], 1);
		dup2(open("/dev/null", O_WRONLY | O_CLOEXEC), 2);
		setenv("PATH", "/usr/sbin:/sbin:/usr/bin:/bin", 1);
		execvp(argv[0], argv);
		_exit(127);
	}
	close(in[0]);
	close(from[1]);
	n = write(in[1], text, strlen(text));
	close(in[1]);
	while (pid > 0 && n >= 0 && len + 1 < size && (n = read(from[0], out + len, size - 1 - len)) > 0)
		len += n;
	out[len] = '\0';
	close(from[0]);
	if (pid < 0 || waitpid(pid, &status, 0) < 0)
		return -errno;
	return !WIFEXITED(status) ? -EPROTO : WEXITSTATUS(status) == 127 ? -ENOENT : WEXITSTATUS(status) ? -EPROTO : 0;
}

static int send_frame(int fd, unsigned int ifindex, uint16_t proto, const uint8_t *l3, size_t len)
{
	struct sockaddr_ll to = {
		.sll_family = AF_PACKET, .sll_ifindex = ifindex, .sll_halen = 6, .sll_protocol = htons(proto),
	};
	uint8_t frame[128];

	memcpy(frame, mac[0], 6);
	memcpy(frame + 6, mac[1], 6);
	frame[12] = proto >> 8;
	frame[13] = proto & 0xff;
	memcpy(frame + 14, l3, len);
	return sendto(fd, frame, 14 + len, 0, (struct sockaddr *)&to, sizeof(to)) < 0 ? -errno : 0;
}

static void checksum(uint8_t *ip)
{
	uint32_t sum = 0;

	for (int i = 0; i < 20; i += 2)
		sum += ip[i] << 8 | ip[i + 1];
	sum = (sum & 0xffff) + (sum >> 16);
	sum = ~((sum & 0xffff) + (sum >> 16));
	ip[10] = sum >> 8;
	ip[11] = sum;
}

/* IPv4, UDP, 8 bytes of which 2 and 3 say the port; a later fragment where frag is not 0. */
static int send_udp(int fd, unsigned int ifindex, uint8_t frag, uint8_t port)
{
	uint8_t p[28] = {
		0x45, 0, 0, 28, 0, 1, 0, frag, 64, 17, 0, 0, 192, 0, 2, 1, 192, 0, 2, 2,
		0, 99, 0, port, 0, 8, 0, 0,
	};

	checksum(p);
	return send_frame(fd, ifindex, ETH_P_IP, p, sizeof(p));
}

/* IPv6 with destination options that say TCP follows and a length of 64 bytes, of which 8 are there. */
static int send_exthdr(int fd, unsigned int ifindex)
{
	uint8_t p[48] = {
		0x60, 0, 0, 0, 0, 8, 60, 64, 0x20, 1, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1,
		0x20, 1, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2, 6, 7, 1, 4, 0, 0, 0, 0,
	};

	return send_frame(fd, ifindex, ETH_P_IPV6, p, sizeof(p));
}

/* IPv6, UDP, 8 bytes of it there, 22 by the header: as many as there are with a link header. */
static int send_long6(int fd, unsigned int ifindex)
{
	uint8_t p[48] = {
		0x60, 0, 0, 0, 0, 22, 17, 64, 0x20, 1, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1,
		0x20, 1, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2, 0, 99, 0, 99, 0, 8, 0, 0,
	};

	return send_frame(fd, ifindex, ETH_P_IPV6, p, sizeof(p));
}

static int send_all(void)
{
	_cleanup_close_ int fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0);
	unsigned int v1 = if_nametoindex("v1");
	int err = fd < 0 ? -errno : 0;

	err = err ? err : send_udp(fd, v1, 1, 53);
	err = err ? err : send_exthdr(fd, v1);
	err = err ? err : send_long6(fd, v1);
	return err ? err : send_udp(fd, v1, 0, 54);
}

/* The packets of the rule with this comment; -1 where there is none. */
static long packets(const char *listing, const char *comment)
{
	const char *end = strstr(listing, comment), *line = end;
	long n;

	if (!end)
		return -1;
	while (line > listing && line[-1] != '\n')
		line--;
	line = strstr(line, "counter packets ");
	return line && line < end && sscanf(line, "counter packets %ld", &n) == 1 ? n : -1;
}

static int read_back(struct imr_profile *ret)
{
	char *argv[] = { "nft", "list", "ruleset", NULL };
	char text[4096];
	int err;

	for (int i = 0; i < 20; i++) {
		err = nft(argv, "", text, sizeof(text));
		if (err)
			return err;
		if (packets(text, "\"control\"") == 1) {
			ret->th_fast_frag = packets(text, "\"th_fast_frag\"") == 1;
			ret->v6_exthdr_bound = packets(text, "\"no_bound\"") == 0;
			ret->egress_len4 = packets(text, "\"short4\"") == 0;
			ret->egress_len6 = packets(text, "\"egress_len6\"") > 0;
			ret->egress_th_off = packets(text, "\"egress_th_off\"") > 0;
			return 0;
		}
		usleep(10000);
	}
	return -ETIMEDOUT;
}

static int experiment(void *arg, void *ret)
{
	_cleanup_nl_ struct ld_nl nl = { 0 };
	char *argv[] = { "nft", "-f", "-", NULL };
	char none[256];
	int err = ld_nl_open(&nl, NETLINK_ROUTE);

	err = err ? err : make_veth(&nl);
	err = err ? err : set_up(&nl, "v0");
	err = err ? err : set_up(&nl, "v1");
	err = err ? err : nft(argv, rules, none, sizeof(none));
	if (!err)
		nft(argv, egress_rules, none, sizeof(none));
	err = err ? err : send_all();
	return err ? err : read_back(ret);
}

/* ---- the kept answer */

static void to_text(const struct imr_profile *p, char *ret, size_t size)
{
	struct utsname u;
	size_t n;

	uname(&u);
	n = snprintf(ret, size, "fwjit profile 1\nkernel %s %s %s\n", u.machine, u.release, u.version);
#define PROFILE(id, ...) \
	if (n < size) \
		n += snprintf(ret + n, size - n, #id " %d\n", p->id);
#include "profile.def"
}

/* Each bit is looked for at its line, then the whole must be what would be written for these bits. */
static bool from_text(const char *text, struct imr_profile *ret)
{
	char again[1024];

	*ret = (struct imr_profile){ 0 };
#define PROFILE(id, ...) ret->id = strstr(text, "\n" #id " 1\n") != NULL;
#include "profile.def"
	to_text(ret, again, sizeof(again));
	return !strcmp(text, again);
}

static bool cache_get(int dir, struct imr_profile *ret)
{
	_cleanup_close_ int fd = openat(dir, "profile", O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	char text[1024] = "";
	struct stat st;
	ssize_t n;

	if (fd < 0 || fstat(fd, &st) < 0 || !S_ISREG(st.st_mode) || st.st_uid != geteuid() || (st.st_mode & 022))
		return false;
	n = read(fd, text, sizeof(text) - 1);
	return n > 0 && strlen(text) == (size_t)n && from_text(text, ret);
}

static void cache_put(int dir, const struct imr_profile *p)
{
	_cleanup_close_ int fd = -1;
	char text[1024], name[32];
	ssize_t len;

	snprintf(name, sizeof(name), "profile-%d", getpid());
	to_text(p, text, sizeof(text));
	len = strlen(text);
	fd = openat(dir, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd < 0)
		return;
	if (write(fd, text, len) != len || renameat(dir, name, dir, "profile") < 0)
		unlinkat(dir, name, 0);
}

int ld_profile(struct imr_profile *ret)
{
	_cleanup_close_ int dir = ld_run_top(true);
	int err;

	if (dir >= 0 && cache_get(dir, ret))
		return 0;
	err = ld_scratch(experiment, NULL, ret, sizeof(*ret), SCRATCH_MS);
	if (!err && dir >= 0)
		cache_put(dir, ret);
	if (err)
		*ret = (struct imr_profile){ .th_fast_frag = true };
	return err ? -EPERM : 0;
}
