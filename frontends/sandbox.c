/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Rule text, loaded by its own tool into namespaces that are thrown away, and read back as the kernel's objects: no
 * grammar is written twice, and the meaning is that of what the kernel holds. All of it happens in a child process; the
 * caller only reads bytes from a pipe, within limits, and kills the child where it is not done in time.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "sandbox.h"

#define TIMEOUT_S	120
#define MAX_ANSWER	(512u << 20)
#define MAX_DEVICES	4096
#define MAX_RETRIES	64

enum answer { ANSWER_CAPTURE = 'C', ANSWER_ERROR = 'E' };

struct job {
	struct arena *a;
	struct diags *ds;
	const struct fe_text *all;	/* loaded one after the other */
	uint32_t n;
	const struct fe_text *t;	/* the one in hand */
	const char *path;		/* its, NULL for standard input */
	struct sb_host host;
};

/* ORDER fe_text_kind: the tools that load a text, the first that is installed. */
static const char *const tools[][3] = {
	[FE_TEXT_NFT] = { "nft" },
	[FE_TEXT_IPT] = { "iptables-legacy-restore", "iptables-nft-restore", "iptables-restore" },
	[FE_TEXT_IP6T] = { "ip6tables-legacy-restore", "ip6tables-nft-restore", "ip6tables-restore" },
	[FE_TEXT_IPT_NFT] = { "iptables-nft-restore" },
	[FE_TEXT_IP6T_NFT] = { "ip6tables-nft-restore" },
};

static const char *find_tool(enum fe_text_kind kind)
{
	for (size_t i = 0; i < 3 && tools[kind][i]; i++)
		if (sb_tool_find(tools[kind][i]))
			return tools[kind][i];
	return NULL;
}

/* ------------------------------------------------------------------ the child */

static int say(struct job *j, const char *call, int r)
{
	diag_add(j->ds, DIAG_ERROR, NULL, "sandbox: %s: %s", call, strerror(-r));
	return r;
}

/* The lock of iptables-legacy lies in a directory that only root writes; a file without a name serves as well. */
static int set_environment(void)
{
	const char *path = getenv("PATH");
	char lock[32], *with_sbin;
	int fd = memfd_create("xtables.lock", 0);

	if (fd < 0)
		return -errno;
	snprintf(lock, sizeof(lock), "/proc/self/fd/%d", fd);
	if (asprintf(&with_sbin, "%s:/usr/sbin:/sbin:/usr/local/sbin", path ? path : "/usr/bin:/bin") < 0)
		return -ENOMEM;
	setenv("XTABLES_LOCKFILE", lock, 1);
	setenv("PATH", with_sbin, 1);
	setenv("LC_ALL", "C", 1);
	free(with_sbin);
	return 0;
}

/* Devices that are not there yet; how many were made. */
static uint32_t make_devices(struct job *j, const struct sb_names *names)
{
	uint32_t made = 0;

	for (uint32_t i = 0; i < names->n && i < MAX_DEVICES; i++)
		made += sb_device_add(&j->host, names->name[i]) > 0;
	return made;
}

static int tool_failed(struct job *j, const char *tool, int status, const char *words)
{
	uint32_t before = j->ds->n;

	sb_words(j->a, j->ds, tool, j->path, words, NULL);
	if (WIFSIGNALED(status))
		diag_add(j->ds, DIAG_ERROR, NULL, "%s: ended by signal %d (%s)", tool, WTERMSIG(status),
			 strsignal(WTERMSIG(status)));
	else if (j->ds->n == before)
		diag_add(j->ds, DIAG_ERROR, NULL, "%s: exit status %d, and no message", tool, WEXITSTATUS(status));
	return -EINVAL;
}

/* A device that the text hides in an include or a variable shows in the tool's message: made then, and tried again. */
static int load(struct job *j)
{
	struct sb_names names = { .arena = j->a };
	const char *tool = find_tool(j->t->kind), *call, *argv[4] = { tool };
	bool nft = j->t->kind == FE_TEXT_NFT;
	char *words;
	int status;

	if (!tool) {
		diag_add(j->ds, DIAG_ERROR, NULL, "\"%s\" is not installed, which loads such a file", tools[j->t->kind][0])->hint =
			"install nftables or iptables; live rules and captures need neither";
		return -ENOENT;
	}
	if (nft) {
		argv[1] = "-f";
		argv[2] = "-";
		sb_scan_devices(j->t->text, j->t->len, &names);
		make_devices(j, &names);
	}
	for (int tries = 0;; tries++) {
		status = sb_tool_run(j->a, argv, j->path, j->t->text, j->t->len, &words, &call);
		if (status < 0)
			return say(j, call, status);
		if (status == 0)
			return 0;
		names.n = 0;
		sb_words(j->a, NULL, tool, j->path, words, &names);
		sb_scan_devices(words, strlen(words), &names);
		if (!nft || tries == MAX_RETRIES || !make_devices(j, &names))
			return tool_failed(j, tool, status, words);
	}
}

static void take_up(struct job *j, const struct fe_text *t)
{
	j->t = t;
	j->path = t->path && strcmp(t->path, "-") ? t->path : NULL;
}

/* Into one namespace, as the tools would load them into the caller's: a later text meets what an earlier one left. */
static int load_all(struct job *j)
{
	int r = 0;

	for (uint32_t i = 0; i < j->n && !r; i++) {
		take_up(j, &j->all[i]);
		r = load(j);
	}
	return r;
}

static bool write_all(int fd, const void *data, size_t len)
{
	for (const uint8_t *p = data; len; ) {
		ssize_t n = write(fd, p, len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return false;
		p += n;
		len -= (size_t)n;
	}
	return true;
}

static void answer(int fd, enum answer kind, const void *data, size_t len)
{
	uint8_t k = kind;

	if (write_all(fd, &k, 1))
		write_all(fd, data, len);
}

/* Strings of an error, each with its final zero: message, text, mark, hint; an absent one is empty. */
static void answer_errors(struct job *j, int fd)
{
	struct strbuf b = { .arena = j->a };

	for (uint32_t i = 0; i < j->ds->n; i++) {
		const struct diag *d = &j->ds->d[i];
		const char *part[4] = { d->message, d->at.text, d->mark, d->hint };

		for (int k = 0; k < 4; k++)
			strbuf_add_bytes(&b, part[k] ? part[k] : "", part[k] ? strlen(part[k]) + 1 : 1);
	}
	answer(fd, ANSWER_ERROR, b.s, b.len);
}

static int work(struct job *j, struct fe_capture *ret)
{
	const char *call;
	int r;

	r = sb_host_read(j->a, &j->host);
	if (r < 0)
		return say(j, "if_nameindex()", r);
	r = sb_enter(&call);
	if (r < 0)
		return say(j, call, r);
	r = set_environment();
	if (r < 0)
		return say(j, "memfd_create()", r);
	r = load_all(j);
	return r < 0 ? r : fe_live_get(j->a, j->ds, ret);
}

static void __attribute__((noreturn)) child(struct job *j, int fd)
{
	struct fe_capture c = { 0 };
	uint8_t *data;
	size_t len;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	prctl(PR_SET_DUMPABLE, 1);	/* whoever has changed ids may not write his own uid_map otherwise */
	signal(SIGPIPE, SIG_IGN);
	setpgid(0, 0);
	j->a = arena_new();
	j->ds = &(struct diags){ .arena = j->a };
	if (work(j, &c) < 0) {
		answer_errors(j, fd);
	} else {
		fe_capture_encode(j->a, &c, &data, &len);
		answer(fd, ANSWER_CAPTURE, data, len);
	}
	_exit(0);
}

/* ------------------------------------------------------------------ the caller */

static int64_t now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

/* All that the child says, until it closes its end. */
static int read_answer(struct arena *a, int fd, uint8_t **ret, size_t *ret_len)
{
	int64_t until = now_ms() + TIMEOUT_S * 1000;
	size_t cap = 1 << 16, len = 0;
	uint8_t *buf = arena_alloc(a, cap);

	for (;;) {
		struct pollfd p = { fd, POLLIN, 0 };
		int64_t left = until - now_ms();
		ssize_t n;

		if (left <= 0 || poll(&p, 1, (int)left) == 0)
			return -ETIMEDOUT;
		if (len == cap) {
			if (cap >= MAX_ANSWER)
				return -EFBIG;
			buf = arena_grow(a, buf, cap, cap * 2);
			cap *= 2;
		}
		n = read(fd, buf + len, cap - len);
		if (n == 0)
			break;
		if (n < 0 && errno != EINTR && errno != EAGAIN)
			return -errno;
		len += n > 0 ? (size_t)n : 0;
	}
	*ret = buf;
	*ret_len = len;
	return 0;
}

static const char *next_string(struct arena *a, const uint8_t **p, const uint8_t *end)
{
	size_t n = strnlen((const char *)*p, (size_t)(end - *p));
	const char *s = n ? arena_strndup(a, (const char *)*p, n) : NULL;

	*p += n + (*p + n < end);
	return s;
}

static void take_errors(struct arena *a, struct diags *ds, const uint8_t *p, size_t len)
{
	const uint8_t *end = p + len;

	while (p < end) {
		const char *message = next_string(a, &p, end);
		struct diag *d = diag_add(ds, DIAG_ERROR, NULL, "%s", message ? message : "sandbox: no message");

		d->at.text = next_string(a, &p, end);
		d->mark = next_string(a, &p, end);
		d->hint = next_string(a, &p, end);
	}
}

static int take_answer(struct arena *a, struct diags *ds, const uint8_t *data, size_t len, struct fe_capture *ret)
{
	if (len && data[0] == ANSWER_CAPTURE)
		return fe_capture_decode(a, ds, data + 1, len - 1, ret) ? 0 : -EINVAL;
	if (len > 1 && data[0] == ANSWER_ERROR)
		take_errors(a, ds, data + 1, len - 1);
	else
		diag_add(ds, DIAG_ERROR, NULL, "sandbox: the child process ended without an answer");
	return -EINVAL;
}

static int not_rule_text(const struct fe_text *t, struct diags *ds)
{
	bool blank = true;

	for (size_t i = 0; i < t->len; i++)
		blank &= strchr(" \t\r\n", t->text[i]) && t->text[i];
	diag_add(ds, DIAG_ERROR, NULL, "%s: %s", t->path && strcmp(t->path, "-") ? t->path : "standard input",
		 blank ? "nothing in it" : "not rule text, a capture or IMR text")->hint =
		"-f takes an nft script, an iptables-save or ip6tables-save file, a capture (dump --netlink) or IMR text";
	return -EINVAL;
}

static bool is_rule_text(const struct fe_text *t)
{
	return t->kind > FE_TEXT_NONE && t->kind <= FE_TEXT_IP6T_NFT && !memchr(t->text, '\0', t->len);
}

int fe_text_get_all(struct arena *a, struct diags *ds, const struct fe_text *t, uint32_t n, struct fe_capture *ret)
{
	struct job j = { .all = t, .n = n };
	uint8_t *data = NULL;
	size_t size = 0;
	int fd[2], r;
	pid_t pid;

	for (uint32_t i = 0; i < n; i++)
		if (!is_rule_text(&t[i]))
			return not_rule_text(&t[i], ds);
	if (pipe2(fd, O_CLOEXEC))
		return -errno;
	pid = fork();
	if (pid < 0) {
		r = -errno;
		close(fd[0]);
		close(fd[1]);
		return r;
	}
	if (!pid)
		child(&j, fd[1]);
	close(fd[1]);
	r = read_answer(a, fd[0], &data, &size);
	if (r < 0)
		diag_add(ds, DIAG_ERROR, NULL, "sandbox: %s", r == -ETIMEDOUT ? "not done in time" : strerror(-r));
	kill(-pid, SIGKILL);	/* with the tools that it runs */
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	close(fd[0]);
	return r < 0 ? r : take_answer(a, ds, data, size, ret);
}

int fe_text_get(struct arena *a, struct diags *ds, enum fe_text_kind kind, const char *path, const char *text,
		size_t len, struct fe_capture *ret)
{
	struct fe_text t = { kind, path, text, len };

	return fe_text_get_all(a, ds, &t, 1, ret);
}
