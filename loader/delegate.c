/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A BPF file system for a user namespace, with what fwjit needs delegated to it and nothing else: the commands that make
 * something, and the types of maps, programs and attachments below. The file system's context has to come from inside the
 * namespace, for it belongs to whom it was opened by; the delegations only root of the initial namespace may write. So
 * a child process goes in, opens it and hands it out, and another mounts it where the process will find it.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include <linux/bpf.h>
#include <linux/mount.h>

#include "priv.h"
#include "uapi.h"

static const struct delegation {
	const char *option;
	uint64_t bits;		/* of the enum in linux/bpf.h */
} delegations[] = {
	{ "delegate_cmds", 1ULL << BPF_PROG_LOAD | 1ULL << BPF_MAP_CREATE | 1ULL << BPF_BTF_LOAD },
	{ "delegate_maps", 1ULL << BPF_MAP_TYPE_ARRAY | 1ULL << BPF_MAP_TYPE_PERCPU_ARRAY | 1ULL << BPF_MAP_TYPE_HASH |
			   1ULL << BPF_MAP_TYPE_PROG_ARRAY | 1ULL << BPF_MAP_TYPE_LPM_TRIE },
	{ "delegate_progs", 1ULL << BPF_PROG_TYPE_XDP | 1ULL << BPF_PROG_TYPE_SCHED_CLS |
			    1ULL << UAPI_BPF_PROG_TYPE_NETFILTER | 1ULL << BPF_PROG_TYPE_CGROUP_SKB |
			    1ULL << BPF_PROG_TYPE_SOCKET_FILTER },
	/* Number 0, which cgroup ingress has, is also what types without an attach type are loaded with. */
	{ "delegate_attachs", 1ULL << BPF_XDP | 1ULL << UAPI_BPF_TCX_INGRESS | 1ULL << UAPI_BPF_TCX_EGRESS |
			      1ULL << UAPI_BPF_NETFILTER | 1ULL << BPF_CGROUP_INET_INGRESS |
			      1ULL << BPF_CGROUP_INET_EGRESS },
};

struct whom {
	struct diags *ds;
	pid_t pid;
	int user, mnt;
	uint64_t user_inode;
	bool own_mounts;	/* it has a mount namespace that we are not in */
};

static int fail(struct whom *t, int err, const char *what)
{
	diag_add(t->ds, DIAG_ERROR, NULL, "delegating to process %d: %s: %s", (int)t->pid, what, strerror(-err));
	return err;
}

static uint64_t inode(int fd)
{
	struct stat st;

	return fd < 0 || fstat(fd, &st) < 0 ? 0 : st.st_ino;
}

/* By one descriptor of the process, so that its number cannot come to mean another one between. */
static int whom_open(struct whom *t)
{
	_cleanup_close_ int proc = -1, ours = open("/proc/self/ns/mnt", O_RDONLY | O_CLOEXEC);
	char path[32];

	snprintf(path, sizeof(path), "/proc/%d/ns", (int)t->pid);
	proc = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (proc < 0)
		return fail(t, errno == ENOENT ? -ESRCH : -errno, path);
	t->user = openat(proc, "user", O_RDONLY | O_CLOEXEC);
	t->mnt = openat(proc, "mnt", O_RDONLY | O_CLOEXEC);
	if (t->user < 0 || t->mnt < 0)
		return fail(t, -errno, "its namespaces");
	t->user_inode = inode(t->user);
	t->own_mounts = inode(t->mnt) != inode(ours);
	if (t->user_inode == UAPI_PROC_USER_INIT_INO)
		return fail(t, -EINVAL, "it is in the initial user namespace, where capabilities are what counts");
	return 0;
}

static int send_fd(int sock, int fd)
{
	union { struct cmsghdr h; char space[CMSG_SPACE(sizeof(int))]; } c = {
		.h = { .cmsg_len = CMSG_LEN(sizeof(int)), .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS },
	};
	struct iovec v = { "f", 1 };
	struct msghdr m = { .msg_iov = &v, .msg_iovlen = 1, .msg_control = &c, .msg_controllen = sizeof(c) };

	memcpy(CMSG_DATA(&c.h), &fd, sizeof(fd));
	return sendmsg(sock, &m, 0) == 1 ? 0 : -errno;
}

static int receive_fd(int sock)
{
	union { struct cmsghdr h; char space[CMSG_SPACE(sizeof(int))]; } c;
	char byte;
	struct iovec v = { &byte, 1 };
	struct msghdr m = { .msg_iov = &v, .msg_iovlen = 1, .msg_control = &c, .msg_controllen = sizeof(c) };
	int fd;

	if (recvmsg(sock, &m, MSG_CMSG_CLOEXEC) != 1 || !CMSG_FIRSTHDR(&m) || c.h.cmsg_type != SCM_RIGHTS)
		return -EPROTO;
	memcpy(&fd, CMSG_DATA(&c.h), sizeof(fd));
	return fd;
}

/* Runs fn in a child process. It returns 0 or -errno. */
static int in_child(int (*fn)(const struct whom *t, int fd), const struct whom *t, int fd)
{
	pid_t pid = fork();
	int status;

	if (!pid)
		_exit(-fn(t, fd));
	if (pid < 0)
		return -errno;
	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			return -errno;
	return WIFEXITED(status) ? -WEXITSTATUS(status) : -EPROTO;
}

/* In the user namespace, as its root where it has one; opening a file system takes a mount namespace that belongs to it. */
static int open_inside(const struct whom *t, int sock)
{
	int fs;

	if (setns(t->user, CLONE_NEWUSER) < 0 || unshare(CLONE_NEWNS) < 0)
		return -errno;
	if (!setresgid(0, 0, 0) && setresuid(0, 0, 0) < 0)
		return -errno;
	fs = syscall(SYS_fsopen, "bpf", FSOPEN_CLOEXEC);
	return fs < 0 ? -errno : send_fd(sock, fs);
}

static int context_get(const struct whom *t)
{
	_cleanup_close_ int ours = -1, theirs = -1;
	int pair[2], err;

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
		return -errno;
	ours = pair[0];
	theirs = pair[1];
	err = in_child(open_inside, t, theirs);
	return err ? err : receive_fd(ours);
}

static int option(int fs, const char *name, const char *value)
{
	return syscall(SYS_fsconfig, fs, FSCONFIG_SET_STRING, name, value, 0) < 0 ? -errno : 0;
}

static int configure(int fs)
{
	char mask[24];
	int err = option(fs, "mode", "0700");

	for (size_t i = 0; i < sizeof(delegations) / sizeof(delegations[0]) && !err; i++) {
		snprintf(mask, sizeof(mask), "0x%" PRIx64, delegations[i].bits);
		err = option(fs, delegations[i].option, mask);
	}
	if (!err && syscall(SYS_fsconfig, fs, FSCONFIG_CMD_CREATE, NULL, NULL, 0) < 0)
		err = -errno;
	return err;
}

/* Where a process looks: the usual place in a mount namespace of its own. In one that it shares, a place that says
 * whose it is. */
static void place(const struct whom *t, char *ret, size_t size)
{
	struct stat st;

	if (t->own_mounts && !stat("/sys/fs/bpf", &st) && S_ISDIR(st.st_mode)) {
		snprintf(ret, size, "/sys/fs/bpf");
		return;
	}
	snprintf(ret, size, "/run/fwjit-%" PRIu64, t->user_inode);
	mkdir(ret, 0711);
}

static int mount_there(const struct whom *t, int fs)
{
	char path[64];
	int mnt;

	if (t->own_mounts && setns(t->mnt, CLONE_NEWNS) < 0)
		return -errno;
	place(t, path, sizeof(path));
	mnt = syscall(SYS_fsmount, fs, FSMOUNT_CLOEXEC, MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC);
	if (mnt < 0)
		return -errno;
	return syscall(SYS_move_mount, mnt, "", AT_FDCWD, path, MOVE_MOUNT_F_EMPTY_PATH) < 0 ? -errno : 0;
}

/* The process's own view: is there a token to be had, and from where? */
static int look(const struct whom *t, int out)
{
	char path[LD_PATH] = "";
	int fd;

	if ((t->own_mounts && setns(t->mnt, CLONE_NEWNS) < 0) || setns(t->user, CLONE_NEWUSER) < 0)
		return -errno;
	if (!setresgid(0, 0, 0) && setresuid(0, 0, 0) < 0)
		return -errno;
	fd = ld_token_open(path, sizeof(path));
	if (fd < 0)
		return fd;
	return write(out, path, strlen(path)) < 0 ? -errno : 0;
}

static int find_token(const struct whom *t, char *ret_path, size_t size)
{
	_cleanup_close_ int in = -1, out = -1;
	int fd[2], err;
	ssize_t n;

	if (pipe2(fd, O_CLOEXEC) < 0)
		return -errno;
	in = fd[0];
	out = fd[1];
	err = in_child(look, t, out);
	if (err)
		return err;
	n = read(in, ret_path, size - 1);
	ret_path[n > 0 ? n : 0] = '\0';
	return 0;
}

static int delegate(struct whom *t, char *ret_path, size_t size)
{
	_cleanup_close_ int fs = -1;
	int err = whom_open(t);

	if (err)
		return err;
	if (!find_token(t, ret_path, size))
		return -EEXIST;
	fs = context_get(t);
	if (fs < 0)
		return fail(t, fs, "a file system of its user namespace");
	err = configure(fs);
	if (err)
		return fail(t, err, err == -EINVAL ? "this kernel knows no BPF token" : "the delegations");
	err = in_child(mount_there, t, fs);
	if (err)
		return fail(t, err, "mounting the file system where it can be found");
	err = find_token(t, ret_path, size);
	return err ? fail(t, err, "no token can be made of what was delegated") : 0;
}

int ld_delegate(struct diags *ds, pid_t pid, char *ret_path, size_t size)
{
	uint64_t was _cleanup_rights_ = ld_rights_raise(~0ULL);
	struct whom t = { .ds = ds, .pid = pid, .user = -1, .mnt = -1 };
	int err;

	if (!ld_init_userns() || !ld_effective(CAP_SYS_ADMIN))
		return fail(&t, -EPERM, "only root of the initial user namespace may");
	err = delegate(&t, ret_path, size);
	ld_closep(&t.user);
	ld_closep(&t.mnt);
	return err;
}
