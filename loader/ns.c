/* SPDX-License-Identifier: GPL-2.0-only */
/* Namespaces and rights: where the caller is, what it owns, and a throw-away network namespace to try things in. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include <linux/nsfs.h>

#include "priv.h"
#include "uapi.h"

static uint64_t inode_of(const char *path)
{
	struct stat st;

	return stat(path, &st) < 0 ? 0 : st.st_ino;
}

bool ld_init_userns(void)
{
	return inode_of("/proc/thread-self/ns/user") == UAPI_PROC_USER_INIT_INO;
}

uint64_t ld_netns_inode(void)
{
	return inode_of("/proc/thread-self/ns/net");
}

/* The user namespace that owns this network namespace is ours; an ancestor's cannot even be opened (EPERM). */
bool ld_netns_ours(void)
{
	_cleanup_close_ int net = open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC);
	_cleanup_close_ int owner = net < 0 ? -1 : ioctl(net, NS_GET_USERNS);
	struct stat st;

	return owner >= 0 && !fstat(owner, &st) && st.st_ino == inode_of("/proc/thread-self/ns/user");
}

bool ld_netns_contained(const char *path)
{
	uint64_t of_init = inode_of("/proc/1/ns/net");

	if (path)
		return inode_of(path) == ld_netns_inode();
	return ld_netns_ours() && of_init != ld_netns_inode();
}

bool ld_effective(unsigned int cap)
{
	return ld_rights(false) >> cap & 1;
}

static int write_file(const char *path, const char *text)
{
	_cleanup_close_ int fd = open(path, O_WRONLY | O_CLOEXEC);
	ssize_t len = strlen(text);

	if (fd < 0)
		return -errno;
	return write(fd, text, len) == len ? 0 : -errno;
}

static int map_id(const char *path, unsigned int id)
{
	char text[32];

	snprintf(text, sizeof(text), "0 %u 1", id);
	return write_file(path, text);
}

/* A user namespace in which the caller is root, with a network namespace. */
static int enter_userns(void)
{
	unsigned int uid = geteuid(), gid = getegid();
	int err;

	if (unshare(CLONE_NEWUSER | CLONE_NEWNET) < 0)
		return -errno;
	err = write_file("/proc/self/setgroups", "deny");
	if (err && err != -ENOENT)
		return err;
	err = map_id("/proc/self/uid_map", uid);
	return err ? err : map_id("/proc/self/gid_map", gid);
}

static int enter(void)
{
	if (!unshare(CLONE_NEWNET))
		return 0;
	return errno == EPERM ? enter_userns() : -errno;
}

static void __attribute__((noreturn)) child(int (*fn)(void *, void *), void *arg, int out, size_t ret_len, pid_t parent)
{
	uint8_t *answer = calloc(1, sizeof(int) + ret_len);
	int err;

	/* Dies with the parent, even one that died before this was said. */
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (!answer || getppid() != parent)
		_exit(1);
	ld_rights_raise(~0ULL);
	err = enter();
	if (!err)
		err = fn(arg, answer + sizeof(int));
	memcpy(answer, &err, sizeof(err));
	_exit(write(out, answer, sizeof(int) + ret_len) < 0);
}

static int await(int in, void *ret, size_t ret_len, int timeout_ms)
{
	struct pollfd p = { .fd = in, .events = POLLIN };
	_cleanup_free_ uint8_t *answer = calloc(1, sizeof(int) + ret_len);
	int err;

	if (!answer)
		return -ENOMEM;
	do
		err = poll(&p, 1, timeout_ms);
	while (err < 0 && errno == EINTR);
	if (err <= 0)
		return err ? -errno : -ETIMEDOUT;
	if (read(in, answer, sizeof(int) + ret_len) != (ssize_t)(sizeof(int) + ret_len))
		return -EPROTO;
	memcpy(&err, answer, sizeof(err));
	memcpy(ret, answer + sizeof(int), ret_len);
	return err;
}

/* The answer fits into a pipe at once (ret_len is small), so one read takes it all. The child leads a process group of
 * its own, so that what it started ends with it. */
int ld_scratch(int (*fn)(void *arg, void *ret), void *arg, void *ret, size_t ret_len, int timeout_ms)
{
	_cleanup_close_ int in = -1;
	pid_t parent = getpid(), pid;
	int pipe_fd[2], err;

	if (pipe2(pipe_fd, O_CLOEXEC) < 0)
		return -errno;
	in = pipe_fd[0];
	pid = fork();
	if (!pid) {
		setpgid(0, 0);
		child(fn, arg, pipe_fd[1], ret_len, parent);
	}
	close(pipe_fd[1]);
	if (pid < 0)
		return -errno;
	setpgid(pid, pid);
	err = await(in, ret, ret_len, timeout_ms);
	kill(-pid, SIGKILL);
	while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
		;
	return err;
}
