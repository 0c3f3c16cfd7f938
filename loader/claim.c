/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The claim of those who attach again and again: a watcher must not put back what somebody detached while it compiled.
 * A claim is the directory "watch" beside the attachments, held open and locked as long as its holder lives. To end all
 * claims is to remove the directory, and what is attached under a claim is attached under the same lock, where the
 * directory still is. So whatever detaches everything, after ending the claims, has the last word.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>

#include "priv.h"

static int claim_path(const struct ld_root *r, char *ret, size_t size)
{
	return snprintf(ret, size, "%s/" LD_CLAIM, r->path) < (int)size ? 0 : -ENAMETOOLONG;
}

int ld_claim_open(struct diags *ds, struct ld_claim *ret)
{
	_cleanup_root_ struct ld_root r = { .fd = -1 };
	char path[LD_PATH];
	int err = ld_root_open(&r, LD_WRITE);

	ret->fd = -1;
	err = err ? err : claim_path(&r, path, sizeof(path));
	if (!err && mkdir(path, 0700) < 0 && errno != EEXIST)
		err = -errno;
	if (!err) {
		ret->fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		if (ret->fd < 0 || flock(ret->fd, LOCK_SH | LOCK_NB) < 0)
			err = -errno;
	}
	if (err) {
		ld_claim_close(ret);
		diag_add(ds, DIAG_ERROR, NULL, "cannot write in the directory \"fwjit\" of a BPF file system: %s",
			 strerror(-err))
			->hint = ld_root_hint(err);
	}
	return err;
}

bool ld_claim_stands(const struct ld_claim *c)
{
	struct stat st;

	return !fstat(c->fd, &st) && st.st_nlink;
}

/* Removes the directory, if only (stale) where nobody who lives holds it. 1: somebody did, 0: nobody, or -errno. */
static int claim_end(const struct ld_root *r, bool stale)
{
	_cleanup_close_ int fd = -1;
	char path[LD_PATH];
	int err = claim_path(r, path, sizeof(path)), held;

	if (err)
		return err;
	fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return errno == ENOENT ? 0 : -errno;
	held = flock(fd, LOCK_EX | LOCK_NB) < 0;
	if (held && stale)
		return 1;
	return rmdir(path) < 0 ? -errno : held;
}

void ld_claim_close(struct ld_claim *c)
{
	_cleanup_root_ struct ld_root r = { .fd = -1 };

	if (c->fd < 0)
		return;
	ld_closep(&c->fd);
	if (ld_root_open(&r, LD_CHANGE))
		return;
	ld_claim_sweep(&r);
	rmdir(r.path);	/* stays where there is something in it */
}

int ld_claims_end(struct diags *ds)
{
	_cleanup_root_ struct ld_root r = { .fd = -1 };
	int err = ld_root_open(&r, LD_CHANGE);

	if (err == -ENOENT)
		return 0;
	err = err ? err : claim_end(&r, false);
	if (err < 0)
		diag_add(ds, DIAG_ERROR, NULL, "cannot change the directory \"fwjit\" of the BPF file system: %s",
			 strerror(-err));
	return err;
}

void ld_claim_sweep(const struct ld_root *r)
{
	claim_end(r, true);
}

int ld_claim_check(const struct ld_job *j)
{
	uint32_t expect = j->what->expect;

	if (j->what->claim && !ld_claim_stands(j->what->claim))
		return -ESTALE;
	if (!expect)
		return 0;
	if (expect == LD_NONE)
		return j->old_err || !j->old.alive ? 0 : -ESTALE;
	return !j->old_err && j->old.prog_id == expect ? 0 : -ESTALE;
}
