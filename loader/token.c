/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The BPF token of a user namespace: a BPF file system that was mounted for it with delegations stands among the
 * caller's mounts, and its root makes a token of what is delegated there. Capabilities inside a user namespace count for
 * nothing in bpf(2) without one. In the initial user namespace there are none, and none are needed.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>

#include "priv.h"
#include "uapi.h"

static int token_create(const char *mount)
{
	uint64_t was _cleanup_rights_ = ld_rights_raise(LD_RIGHTS_BPF);
	_cleanup_close_ int fs = open(mount, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct { uint32_t flags, bpffs_fd; } attr = { .bpffs_fd = fs };
	int fd;

	if (fs < 0)
		return -errno;
	fd = syscall(SYS_bpf, UAPI_BPF_TOKEN_CREATE, &attr, sizeof(attr));
	return fd < 0 ? -errno : fd;
}

struct search {
	char *path;
	size_t size;
	int fd, err;
};

/* The first delegated file system that a token can be made of. */
static bool take(const char *mount, const char *options, void *arg)
{
	struct search *s = arg;

	if (!strstr(options, "delegate_") || strlen(mount) >= s->size)
		return false;
	s->fd = token_create(mount);
	if (s->fd < 0) {
		s->err = s->fd;
		return false;
	}
	strcpy(s->path, mount);
	return true;
}

int ld_token_open(char *ret_path, size_t size)
{
	struct search s = { .path = ret_path, .size = size, .fd = -1, .err = -ENOENT };

	if (ld_init_userns())
		return -EOPNOTSUPP;
	return ld_bpffs_mounts(take, &s) ? s.fd : s.err;
}

/* The one piece of state that the process keeps: which token it has is a fact about it, like its user id, and every
 * bpf(2) call that makes something needs it. */
int ld_token(void)
{
	static int fd = -1;
	static bool looked;
	char path[LD_PATH];

	if (!looked)
		fd = ld_token_open(path, sizeof(path));
	looked = true;
	return fd < 0 ? -1 : fd;
}
