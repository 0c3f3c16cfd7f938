/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Our directory in the BPF file system: <bpffs>/fwjit/<inode of the network namespace>/. It belongs to the caller
 * alone, and is locked while it is open: readers see no half-made change. Everything in it is reached through a
 * descriptor of `fwjit`, so that nobody can put another directory in its place meanwhile.
 *
 * `ip netns exec` hides the machine's /sys/fs/bpf behind a private mount namespace, and a file system mounted
 * there would end with the command. So the one that process 1 sees is looked for too.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/vfs.h>
#include <sys/wait.h>

#include "priv.h"
#include "uapi.h"

static bool is_bpffs(const char *path)
{
	struct statfs st;

	return !statfs(path, &st) && (uint32_t)st.f_type == UAPI_BPF_FS_MAGIC;
}

/* The mount point of a line of mountinfo, its octal escapes undone in place, and the options of the file system; NULL
 * unless it is a BPF file system. */
static char *mount_point(char *line, const char **ret_options)
{
	char *save = NULL, *p = NULL, *to, *fs = strstr(line, " - bpf ");

	if (!fs)
		return NULL;
	*ret_options = fs + strlen(" - bpf ");
	for (int i = 0; i < 5; i++) {
		p = strtok_r(i ? NULL : line, " ", &save);
		if (!p)
			return NULL;
	}
	to = p;
	for (const char *s = p; *s; to++) {
		if (s[0] == '\\' && s[1] && s[2] && s[3]) {
			*to = (char)((s[1] - '0') << 6 | (s[2] - '0') << 3 | (s[3] - '0'));
			s += 4;
		} else {
			*to = *s++;
		}
	}
	*to = '\0';
	return p;
}

bool ld_bpffs_mounts(bool (*take)(const char *mount, const char *options, void *arg), void *arg)
{
	_cleanup_free_ char *line = NULL;
	FILE *f = fopen("/proc/thread-self/mountinfo", "re");
	bool found = false;
	size_t cap = 0;

	while (f && !found && getline(&line, &cap, f) > 0) {
		const char *options, *p = mount_point(line, &options);

		found = p && is_bpffs(p) && take(p, options, arg);
	}
	if (f)
		fclose(f);
	return found;
}

struct place {
	char *path;
	size_t size;
	int err;
};

static bool writable(const char *mount, const char *options, void *arg)
{
	struct place *p = arg;

	if (strlen(mount) >= p->size)
		return false;
	p->err = access(mount, W_OK) ? -EACCES : 0;
	if (!p->err)
		strcpy(p->path, mount);
	return !p->err;
}

int ld_bpffs_find(char *ret_path, size_t size)
{
	static const char *const usual[] = { "/sys/fs/bpf", "/proc/1/root/sys/fs/bpf" };
	_cleanup_close_ int token = ld_token_open(ret_path, size);
	struct place p = { ret_path, size, -ENOENT };

	if (token >= 0)
		return 0;
	for (size_t i = 0; i < sizeof(usual) / sizeof(usual[0]); i++)
		if (is_bpffs(usual[i]) && !access(usual[i], W_OK) && strlen(usual[i]) < size) {
			strcpy(ret_path, usual[i]);
			return 0;
		}
	ld_bpffs_mounts(writable, &p);
	return p.err;
}

bool ld_state_hidden(void)
{
	char path[LD_PATH];

	return ld_bpffs_find(path, sizeof(path)) == -EACCES && (ld_init_userns() || !ld_netns_ours());
}

const char *ld_root_hint(int err)
{
	if (err != -ENOENT)
		return "`fwjit probe` says which right is missing";
	return "what is mounted here would end with this command: let `mount -t bpf bpf /sys/fs/bpf` be done where process 1 "
	       "sees it, outside of `ip netns exec`";
}

/* "36 35 0:31 / /sys/fs/bpf …" */
static bool mounted_for_init(dev_t dev)
{
	FILE *f = fopen("/proc/1/mountinfo", "re");
	_cleanup_free_ char *line = NULL;
	unsigned int major, minor;
	bool found = false;
	size_t cap = 0;

	while (f && !found && getline(&line, &cap, f) > 0)
		found = sscanf(line, "%*d %*d %u:%u", &major, &minor) == 2 && makedev(major, minor) == dev;
	if (f)
		fclose(f);
	return found;
}

bool ld_bpffs_private(void)
{
	char path[LD_PATH];
	struct stat st;

	return !ld_bpffs_find(path, sizeof(path)) && !stat(path, &st) && !mounted_for_init(st.st_dev);
}

/* In the mount namespace of process 1, so that it outlives us. */
static int bpffs_mount(void)
{
	int status, mnt;
	pid_t pid;

	if (!ld_init_userns() || !ld_effective(CAP_SYS_ADMIN))
		return -EPERM;
	pid = fork();
	if (!pid) {
		mnt = open("/proc/1/ns/mnt", O_RDONLY | O_CLOEXEC);
		if (mnt < 0 || setns(mnt, CLONE_NEWNS) < 0)
			_exit(ENOENT);
		_exit(mount("bpf", "/sys/fs/bpf", "bpf", MS_NOSUID | MS_NODEV | MS_NOEXEC, "mode=0700") < 0 ? errno
													    : 0);
	}
	if (pid < 0)
		return -errno;
	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			return -errno;
	return WIFEXITED(status) ? -WEXITSTATUS(status) : -EPROTO;
}

/* In a directory that all may write in, somebody could have been first. */
int ld_dir_open(int at, const char *name, bool make)
{
	struct stat st;
	int fd;

	if (make && mkdirat(at, name, 0700) < 0 && errno != EEXIST)
		return -errno;
	fd = openat(at, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	if (fstat(fd, &st) < 0 || st.st_uid != geteuid() || (st.st_mode & 022)) {
		ld_closep(&fd);
		return -EPERM;
	}
	return fd;
}

int ld_root_open(struct ld_root *ret, enum ld_lock lock)
{
	/* The root of process 1 is seen with CAP_SYS_PTRACE only, a file system mounted with CAP_SYS_ADMIN. */
	uint64_t was _cleanup_rights_ = ld_rights_raise(LD_RIGHT(CAP_SYS_ADMIN) | LD_RIGHT(CAP_SYS_PTRACE) |
							LD_RIGHT(CAP_DAC_OVERRIDE));
	bool write = lock == LD_WRITE;
	_cleanup_close_ int fs = -1, net = -1;
	char name[24];
	int err;

	*ret = (struct ld_root){ .fd = -1 };
	err = ld_bpffs_find(ret->path, sizeof(ret->path));
	if (err == -ENOENT && write) {
		err = bpffs_mount();
		err = err ? err : ld_bpffs_find(ret->path, sizeof(ret->path));
	}
	if (err == -EACCES && !write)
		err = -ENOENT;	/* ld_state_hidden tells the two apart */
	if (err)
		return err;
	fs = open(ret->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fs < 0)
		return -errno;
	ret->fd = ld_dir_open(fs, "fwjit", write);
	if (ret->fd < 0)
		return ret->fd;
	snprintf(name, sizeof(name), "%" PRIu64, ld_netns_inode());
	if (flock(ret->fd, lock == LD_READ ? LOCK_SH : LOCK_EX) < 0)
		err = -errno;
	else
		net = ld_dir_open(ret->fd, name, write);
	if (net < 0) {
		ld_root_close(ret);
		return err ? err : net;
	}
	snprintf(ret->path, sizeof(ret->path), "/proc/self/fd/%d/%s", ret->fd, name);
	return 0;
}

void ld_root_close(struct ld_root *r)
{
	ld_closep(&r->fd);
}

int ld_id_path(const struct ld_root *r, const char *id, char *ret, size_t size)
{
	size_t at = snprintf(ret, size, "%s/", r->path);

	if (!*id || strchr(id, '/') || strchr(id, ':') || strlen(id) >= sizeof(((struct ld_state *)0)->id) ||
	    at + strlen(id) >= size)
		return -EINVAL;
	for (; *id; id++)
		ret[at++] = *id == '.' ? ':' : *id;
	ret[at] = '\0';
	return 0;
}

void ld_names_freep(char ***names)
{
	for (char **n = *names; n && *n; n++)
		free(*n);
	free(*names);
}

char **ld_dir_names(const char *path)
{
	char **names = calloc(1, sizeof(*names));
	DIR *d = names ? opendir(path) : NULL;
	struct dirent *e;
	size_t n = 0;

	while (d && (e = readdir(d))) {
		char **more;

		if (e->d_name[0] == '.')
			continue;
		more = reallocarray(names, n + 2, sizeof(*names));
		if (!more)
			break;
		names = more;
		names[n] = strdup(e->d_name);
		names[n + 1] = NULL;
		if (!names[n++])
			break;
	}
	if (d)
		closedir(d);
	return names;
}

/* Pins first, then what is now empty; one level of directories in it. */
void ld_dir_remove(const char *path)
{
	_cleanup_names_ char **names = ld_dir_names(path);

	for (char **n = names; n && *n; n++) {
		char sub[LD_PATH * 2];

		if (snprintf(sub, sizeof(sub), "%s/%s", path, *n) >= (int)sizeof(sub))
			continue;
		if (unlink(sub) < 0 && (errno == EISDIR || errno == EPERM))
			ld_dir_remove(sub);
	}
	rmdir(path);
}
