/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Runs a rule tool on a text, and sees to it that any user may load any number of rules: a transaction that is longer
 * than the socket takes is stopped by a seccomp filter at sendmsg(), and sent on in pieces through the tool's own
 * socket, so that answers reach the tool. Where the kernel cannot do that, the tool runs as it is.
 */
#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <poll.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#include <linux/filter.h>
#include <linux/netlink.h>
#include <linux/seccomp.h>

#include "sandbox.h"

#define MAX_WORDS	(64 * 1024)		/* of the tool's standard error */
#define MAX_BATCH	(256u << 20)
#define MAX_IOV		65536u
#define PIECE		(96u << 10)		/* well below the smallest default of net.core.wmem_default */
#define NO_LISTENER	(-1)

struct run {
	struct arena *a;
	pid_t pid;
	int pidfd, listener, words_fd;
	struct strbuf words;
	struct seccomp_notif *req;
	struct seccomp_notif_resp *resp;
};

/* ------------------------------------------------------------------ the tool's side, before it is the tool */

static int filter_sendmsg(void)
{
	struct sock_filter insn[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_sendmsg, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_USER_NOTIF),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog prog = { .len = sizeof(insn) / sizeof(insn[0]), .filter = insn };

	return (int)syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_NEW_LISTENER, &prog);
}

/* Says the listener's number, waits until the supervisor has it, becomes the tool. */
static void __attribute__((noreturn)) become(const char *const *argv, const char *path, int in, int words, int sync,
					     bool filter)
{
	static const struct rlimit no_core;
	int listener = NO_LISTENER, null = open("/dev/null", O_WRONLY | O_CLOEXEC);
	char go;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	setrlimit(RLIMIT_CORE, &no_core);
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) || dup2(in, 0) < 0 || dup2(null, 1) < 0 || dup2(words, 2) < 0)
		_exit(127);
	if (path && strchr(path, '/')) {
		char *copy = strdup(path);

		if (!copy || chdir(dirname(copy)))
			_exit(127);
	}
	if (filter)
		listener = filter_sendmsg();
	if (write(sync, &listener, sizeof(listener)) != sizeof(listener) || read(sync, &go, 1) != 1)
		_exit(127);
	execvp(argv[0], (char *const *)argv);
	dprintf(2, "%s: %s\n", argv[0], strerror(errno));
	_exit(127);
}

/* ------------------------------------------------------------------ the supervisor's side */

static ssize_t peer_read(pid_t pid, uint64_t addr, void *to, size_t len)
{
	struct iovec local = { to, len }, remote = { (void *)(uintptr_t)addr, len };

	return process_vm_readv(pid, &local, 1, &remote, 1, 0);
}

/* The bytes that the stopped call would send; NULL where they cannot be had. */
static uint8_t *gather(struct run *r, size_t *ret_len)
{
	pid_t pid = (pid_t)r->req->pid;
	struct msghdr m;
	struct iovec *v;
	uint8_t *data;
	size_t len = 0, at = 0;

	if (peer_read(pid, r->req->data.args[1], &m, sizeof(m)) != sizeof(m) || m.msg_iovlen > MAX_IOV)
		return NULL;
	v = arena_alloc(r->a, m.msg_iovlen * sizeof(*v));
	if (peer_read(pid, (uintptr_t)m.msg_iov, v, m.msg_iovlen * sizeof(*v)) != (ssize_t)(m.msg_iovlen * sizeof(*v)))
		return NULL;
	for (size_t i = 0; i < m.msg_iovlen; i++) {
		if (v[i].iov_len > MAX_BATCH - len)
			return NULL;
		len += v[i].iov_len;
	}
	*ret_len = len;
	if (len <= PIECE)
		return NULL;
	data = arena_alloc(r->a, len);
	for (size_t i = 0; i < m.msg_iovlen; at += v[i++].iov_len)
		if (peer_read(pid, (uintptr_t)v[i].iov_base, data + at, v[i].iov_len) != (ssize_t)v[i].iov_len)
			return NULL;
	return data;
}

static bool is_nfnetlink(int fd)
{
	int domain = 0, protocol = 0;
	socklen_t len = sizeof(int);

	return !getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &len) && domain == AF_NETLINK &&
	       !getsockopt(fd, SOL_SOCKET, SO_PROTOCOL, &protocol, &len) && protocol == NETLINK_NETFILTER;
}

/* How much the socket takes at once (netlink_sendmsg), once it has as much as the caller may give it. The kernel lays out
 * a chain anew for each piece and waits for the readers of the old one: the fewer pieces, the sooner they are loaded. */
static size_t room_for(int fd, size_t len)
{
	int want = len < INT32_MAX / 4 ? (int)len + 64 : INT32_MAX / 4, have = 0;
	socklen_t size = sizeof(have);

	if (setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &want, sizeof(want)))
		setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &want, sizeof(want));
	if (getsockopt(fd, SOL_SOCKET, SO_SNDBUF, &have, &size) || have < (int)PIECE)
		return PIECE;
	return (size_t)have - 32;
}

static int send_pieces(int fd, const struct sb_piece *p, uint32_t n)
{
	struct sockaddr_nl kernel = { .nl_family = AF_NETLINK };

	for (uint32_t i = 0; i < n; i++)
		if (sendto(fd, p[i].data, p[i].len, 0, (struct sockaddr *)&kernel, sizeof(kernel)) < 0)
			return -errno;
	return 0;
}

/* True where the call was made in the tool's place; else it goes on as it was. */
static bool send_instead(struct run *r, const uint8_t *data, size_t len)
{
	struct sb_piece *p;
	size_t room;
	uint32_t n;
	int fd, err;

	fd = (int)syscall(SYS_pidfd_getfd, r->pidfd, (int)r->req->data.args[0], 0);
	if (fd < 0)
		return false;
	room = is_nfnetlink(fd) ? room_for(fd, len) : len;
	if (len <= room || !sb_batch_split(r->a, data, len, room, &p, &n)) {
		close(fd);
		return false;
	}
	err = send_pieces(fd, p, n);
	close(fd);
	r->resp->error = err;
	r->resp->val = err ? 0 : (int64_t)len;
	return true;
}

static void on_sendmsg(struct run *r)
{
	uint8_t *data;
	size_t len;

	memset(r->req, 0, sizeof(*r->req));
	if (ioctl(r->listener, SECCOMP_IOCTL_NOTIF_RECV, r->req))
		return;
	*r->resp = (struct seccomp_notif_resp){ .id = r->req->id };
	data = gather(r, &len);
	if (!data || !send_instead(r, data, len))
		*r->resp = (struct seccomp_notif_resp){ .id = r->req->id, .flags = SECCOMP_USER_NOTIF_FLAG_CONTINUE };
	ioctl(r->listener, SECCOMP_IOCTL_NOTIF_SEND, r->resp);
}

static bool take_words(struct run *r)
{
	char buf[4096];
	ssize_t n = read(r->words_fd, buf, sizeof(buf));

	if (n > 0 && r->words.len < MAX_WORDS)
		strbuf_add_bytes(&r->words, buf, (size_t)n);
	return n > 0;
}

/* Until the tool has ended and said all that it had to say. */
static void supervise(struct run *r)
{
	struct pollfd p[3] = { { r->words_fd, POLLIN, 0 }, { r->pidfd, POLLIN, 0 }, { r->listener, POLLIN, 0 } };

	while (poll(p, 3, -1) > 0 || errno == EINTR) {
		if (p[2].revents & POLLIN)
			on_sendmsg(r);
		else if (p[2].revents)
			p[2].fd = -1;
		if (p[0].revents && !take_words(r))
			p[0].fd = -1;
		if (p[1].revents && (p[0].fd < 0 || !p[0].revents))
			return;
	}
}

/* The listener, in this process; NO_LISTENER where the tool has none. */
static int take_listener(struct run *r, int sync, const char **ret_call)
{
	int number, fd = NO_LISTENER;

	*ret_call = "read(tool)";
	if (read(sync, &number, sizeof(number)) != sizeof(number))
		return -EIO;
	if (number >= 0) {
		*ret_call = "pidfd_getfd()";
		fd = (int)syscall(SYS_pidfd_getfd, r->pidfd, number, 0);
		if (fd < 0)
			return -errno;
	}
	r->listener = fd;
	return write(sync, "", 1) == 1 ? 0 : -errno;
}

static bool write_text(int fd, const char *text, size_t len)
{
	for (size_t at = 0; at < len; ) {
		ssize_t n = write(fd, text + at, len - at);

		if (n <= 0)
			return false;
		at += (size_t)n;
	}
	return true;
}

/* The last line ends, whether its author ended it or not: iptables-restore does not see it otherwise. */
static int text_file(const char *text, size_t len)
{
	int fd = memfd_create("rules", MFD_CLOEXEC);

	if (fd >= 0 && (!write_text(fd, text, len) || !write_text(fd, "\n", len && text[len - 1] != '\n'))) {
		close(fd);
		return -1;
	}
	return fd;
}

static int run_once(struct run *r, const char *const *argv, const char *path, int in, bool filter,
		    const char **ret_call)
{
	int words[2], sync[2], status = 0, err;

	*ret_call = "pipe()";
	if (pipe2(words, O_CLOEXEC) || socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sync))
		return -errno;
	lseek(in, 0, SEEK_SET);
	*ret_call = "fork()";
	r->pid = fork();
	if (r->pid < 0)
		return -errno;
	if (!r->pid)
		become(argv, path, in, words[1], sync[1], filter);
	close(words[1]);
	close(sync[1]);
	r->words_fd = words[0];
	r->pidfd = (int)syscall(SYS_pidfd_open, r->pid, 0);
	err = take_listener(r, sync[0], ret_call);
	close(sync[0]);
	if (err < 0)
		kill(r->pid, SIGKILL);
	else if (r->pidfd >= 0)
		supervise(r);
	else
		while (take_words(r))
			;
	waitpid(r->pid, &status, 0);
	close(words[0]);
	close(r->pidfd);
	if (r->listener >= 0)
		close(r->listener);
	return err < 0 ? err : status;
}

int sb_tool_run(struct arena *a, const char *const *argv, const char *path, const char *text, size_t len,
		char **ret_words, const char **ret_call)
{
	struct seccomp_notif_sizes sizes = { 0 };
	struct run r = { .a = a, .listener = NO_LISTENER, .words = { .arena = a } };
	int in, status;

	*ret_call = "memfd_create()";
	in = text_file(text, len);
	if (in < 0)
		return -errno;
	syscall(SYS_seccomp, SECCOMP_GET_NOTIF_SIZES, 0, &sizes);
	r.req = arena_alloc(a, sizes.seccomp_notif > sizeof(*r.req) ? sizes.seccomp_notif : sizeof(*r.req));
	r.resp = arena_alloc(a, sizes.seccomp_notif_resp > sizeof(*r.resp) ? sizes.seccomp_notif_resp : sizeof(*r.resp));
	status = run_once(&r, argv, path, in, true, ret_call);
	if (status < 0) {
		r.listener = NO_LISTENER;
		status = run_once(&r, argv, path, in, false, ret_call);
	}
	close(in);
	*ret_words = r.words.s ? r.words.s : (char *)"";
	return status;
}

bool sb_tool_find(const char *name)
{
	const char *path = getenv("PATH");
	char *copy = path ? strdup(path) : NULL, *save = NULL;
	bool found = false;

	for (char *dir = copy ? strtok_r(copy, ":", &save) : NULL; dir && !found; dir = strtok_r(NULL, ":", &save)) {
		char *file = NULL;

		if (asprintf(&file, "%s/%s", dir, name) > 0)
			found = !access(file, X_OK);
		free(file);
	}
	free(copy);
	return found;
}
