/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Everything that is live in the caller's network namespace: nftables, the iptables legacy tables that are in use, and
 * the texts that their own tools print of them. A tool that is missing or fails means rules without text, no error.
 * Nothing is listed that is not in use already: a listing would make the kernel register a legacy table.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "reader.h"

#define TEXT_MAX ((size_t)256 << 20)

extern char **environ;

static void rec_add(struct arena *a, struct fe_capture *c, const struct fe_rec *r)
{
	c->rec = arena_grow(a, c->rec, c->n * sizeof(*r), (c->n + 1) * sizeof(*r));
	c->rec[c->n++] = *r;
}

/* Starts a tool with its output in a pipe: the reading end, or -errno. */
static int tool_spawn(char *const argv[], pid_t *ret_pid)
{
	posix_spawn_file_actions_t fa;
	int p[2], r;

	if (pipe2(p, O_CLOEXEC) < 0)
		return -errno;
	posix_spawn_file_actions_init(&fa);
	posix_spawn_file_actions_addopen(&fa, 0, "/dev/null", O_RDONLY, 0);
	posix_spawn_file_actions_adddup2(&fa, p[1], 1);
	posix_spawn_file_actions_addopen(&fa, 2, "/dev/null", O_WRONLY, 0);
	r = posix_spawnp(ret_pid, argv[0], &fa, NULL, argv, environ);
	posix_spawn_file_actions_destroy(&fa);
	close(p[1]);
	if (r) {
		close(p[0]);
		return -r;
	}
	return p[0];
}

/* All of it up to the bound; false where there is more, or on an error. */
static bool drain(struct arena *a, int fd, struct fe_rec *ret)
{
	size_t len = 0, cap = 1 << 16;
	uint8_t *buf = arena_grow(a, NULL, 0, cap);
	ssize_t n;

	for (;;) {
		if (len == cap) {
			buf = arena_grow(a, buf, len, cap * 2);
			cap *= 2;
		}
		n = read(fd, buf + len, cap - len);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0 || len + n > TEXT_MAX)
			break;
		len += n;
	}
	ret->data = buf;
	ret->len = len;
	return n == 0;
}

static bool tool_run(struct arena *a, char *const argv[], struct fe_rec *ret)
{
	int status, fd;
	bool ok;
	pid_t pid;

	fd = tool_spawn(argv, &pid);
	if (fd < 0)
		return false;
	ok = drain(a, fd, ret);
	close(fd);
	if (!ok)
		kill(pid, SIGKILL);
	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			return false;
	return ok && WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

/* By name on the path, then where administrators' tools lie, which a user's path may lack. */
static void text_add(struct arena *a, struct fe_capture *c, enum fe_kind kind, uint8_t family, char *const argv[])
{
	static const char *const dirs[] = { "", "/usr/sbin/", "/sbin/" };
	struct fe_rec r = { .kind = kind, .family = family };
	char *args[8] = { NULL };

	for (size_t i = 0; argv[i] && i < 7; i++)
		args[i] = argv[i];
	for (size_t i = 0; i < sizeof(dirs) / sizeof(dirs[0]); i++) {
		args[0] = arena_printf(a, "%s%s", dirs[i], argv[0]);
		if (tool_run(a, args, &r)) {
			rec_add(a, c, &r);
			return;
		}
	}
}

static int nft_live(struct arena *a, struct diags *ds, struct fe_capture *c)
{
	char *argv[] = { "nft", "-a", "list", "ruleset", NULL };
	uint32_t generation;
	struct fe_rec r;
	int err;

	err = fe_nft_get(a, ds, &r, &generation);
	if (err < 0)
		return err;
	rec_add(a, c, &r);
	if (r.len)
		text_add(a, c, FE_NFT_TEXT, 0, argv);
	return 0;
}

/* A table that went away since its name was read is none. */
static int ipt_live(struct arena *a, struct diags *ds, uint8_t family, const char *save, struct fe_capture *c)
{
	char *argv[] = { (char *)save, "-c", NULL };
	const char **table;
	struct fe_rec r;
	uint32_t n;
	int err;

	err = fe_ipt_tables(a, family, &table, &n);
	if (err < 0) {
		if (err != -ENOENT)
			diag_add(ds, DIAG_ERROR, NULL, "reading the names of iptables' tables: %s", strerror(-err));
		return err == -ENOENT ? 0 : err;
	}
	for (uint32_t i = 0; i < n; i++) {
		err = fe_ipt_get(a, ds, family, table[i], &r);
		if (err == -ENOENT)
			continue;
		if (err < 0)
			return err;
		rec_add(a, c, &r);
	}
	if (n)
		text_add(a, c, FE_IPT_TEXT, family, argv);
	return 0;
}

int fe_live_get(struct arena *a, struct diags *ds, struct fe_capture *ret)
{
	int r;

	*ret = (struct fe_capture){ .n = 0 };
	r = nft_live(a, ds, ret);
	if (r >= 0)
		r = ipt_live(a, ds, FAM_IP, "iptables-legacy-save", ret);
	if (r >= 0)
		r = ipt_live(a, ds, FAM_IP6, "ip6tables-legacy-save", ret);
	return r;
}
