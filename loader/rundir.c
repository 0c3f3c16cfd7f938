/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Files of the caller's own that live until the next boot: /run/fwjit for root, $XDG_RUNTIME_DIR/fwjit for others. Where
 * nothing can be pinned, what must be remembered of an attachment is here, by the inode of its network namespace.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>

#include "priv.h"

int ld_run_top(bool make)
{
	const char *base = geteuid() == 0 && ld_init_userns() ? "/run" : getenv("XDG_RUNTIME_DIR");
	_cleanup_close_ int up = base && *base == '/' ? open(base, O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;

	return up < 0 ? -ENOENT : ld_dir_open(up, "fwjit", make);
}

int ld_run_dir(bool make)
{
	_cleanup_close_ int top = ld_run_top(make);
	char name[24];

	snprintf(name, sizeof(name), "%" PRIu64, ld_netns_inode());
	return top < 0 ? top : ld_dir_open(top, name, make);
}

int ld_run_lock(bool write)
{
	int dir = ld_run_dir(write);

	if (dir >= 0)
		flock(dir, write ? LOCK_EX : LOCK_SH);
	return dir;
}

/* A file is there whole or not at all. */
int ld_run_write(int dir, const char *name, const void *bytes, size_t len)
{
	_cleanup_close_ int fd = -1;
	char temp[80];
	ssize_t n;

	snprintf(temp, sizeof(temp), "%.60s.%d", name, getpid());
	fd = openat(dir, temp, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd < 0)
		return -errno;
	for (size_t at = 0; at < len; at += n) {
		n = write(fd, (const char *)bytes + at, len - at);
		if (n < 0) {
			int err = -errno;

			unlinkat(dir, temp, 0);
			return err;
		}
	}
	return renameat(dir, temp, dir, name) < 0 ? -errno : 0;
}

uint8_t *ld_run_read(int dir, const char *name, size_t *ret_len)
{
	_cleanup_close_ int fd = openat(dir, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	uint8_t *bytes = NULL;
	struct stat st;

	*ret_len = 0;
	if (fd < 0 || fstat(fd, &st) < 0 || !S_ISREG(st.st_mode) || st.st_uid != geteuid() || (st.st_mode & 022))
		return NULL;
	bytes = malloc(st.st_size + 1);
	while (bytes && *ret_len < (size_t)st.st_size) {
		ssize_t n = read(fd, bytes + *ret_len, st.st_size - *ret_len);

		if (n <= 0)
			break;
		*ret_len += n;
	}
	return bytes;
}

int ld_run_state_write(struct ld_job *j, const char *name)
{
	_cleanup_free_ uint8_t *bytes = NULL;
	size_t len, step;

	if (j->run_fd < 0) {
		diag_add(j->ds, DIAG_NOTE, NULL, "what \"%s\" was made from is not remembered: there is no directory for it",
			 j->st.id)->hint = "XDG_RUNTIME_DIR names it";
		return 0;
	}
	bytes = ld_state_bytes(&j->st, 0, &len, &step);
	return bytes ? ld_run_write(j->run_fd, name, bytes, len) : -ENOMEM;
}

void ld_run_forget(int dir, const char *begin, const char *keep)
{
	_cleanup_names_ char **names = NULL;
	char path[32];

	if (dir < 0)
		return;
	snprintf(path, sizeof(path), "/proc/self/fd/%d", dir);
	names = ld_dir_names(path);
	for (char **n = names; n && *n; n++)
		if (!strncmp(*n, begin, strlen(begin)) && strcmp(*n, keep))
			unlinkat(dir, *n, 0);
}
