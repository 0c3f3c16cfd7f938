/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Attaching for others. The broker enters their network namespace and nothing else of theirs: programs, links and the BPF
 * file system that they are pinned in are of outside, so whoever is root inside can neither open nor remove them. He is
 * never handed a program's descriptor, since holding one is all it takes to attach it.
 */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <string.h>
#include <sys/stat.h>

#include "priv.h"

static int fail(struct diags *ds, int err, const char *path, const char *what)
{
	struct diag *d = diag_add(ds, DIAG_ERROR, NULL, "network namespace \"%s\": %s", path, what ? what : strerror(-err));

	if (err == -EPERM)
		d->hint = "working in the network namespace of others is for root of the initial user namespace";
	return err;
}

int ld_broker_enter(struct diags *ds, const char *path, pid_t pid)
{
	uint64_t was _cleanup_rights_ = ld_rights_raise(~0ULL);
	_cleanup_close_ int fd = -1;
	char buf[LD_PATH];
	struct stat st;

	if (pid)
		snprintf(buf, sizeof(buf), "/proc/%d/ns/net", (int)pid);
	else
		snprintf(buf, sizeof(buf), "%s%s", strchr(path, '/') ? "" : "/run/netns/", path);
	if (pid && path)
		return fail(ds, -EINVAL, path, "--netns and --pid name one each; give one of them");
	if (!ld_init_userns() || !ld_effective(CAP_SYS_ADMIN))
		return fail(ds, -EPERM, buf, NULL);
	fd = open(buf, O_RDONLY | O_CLOEXEC);
	if (fd < 0 || fstat(fd, &st) < 0)
		return fail(ds, -errno, buf, pid && errno == ENOENT ? "no such process" : NULL);
	if (st.st_ino == ld_netns_inode())
		return fail(ds, -EEXIST, buf, "that is the one fwjit was started in");
	return setns(fd, CLONE_NEWNET) < 0 ? fail(ds, -errno, buf, errno == EINVAL ? "not a network namespace" : NULL) : 0;
}
