/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Every rung of privilege, end to end: the same rulesets and packets, applied by the command as a caller of that rung,
 * judged by the kernel's own rules. What the command chose is printed; a rung that could filter and does not is a failure,
 * as is a verdict that differs.
 *   rungs FWJIT [--rulesets N] [--packets N] [--seed N] [--rung NAME]
 */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "gen.h"
#include "subject.h"

/* %d is the process that holds the namespaces (for the broker: one outside of them). CAP_SETFCAP has no say in any of this: without it uid 0 has no user namespace to
 * load rule text in. */
static const struct rung {
	const char *name;
	const char *as;		/* in front of the command */
	bool user;		/* the namespaces are those of uid 1000 */
	bool token, broker;
	int sysctl;		/* kernel.unprivileged_bpf_disabled that it takes */
	bool filters;		/* it can */
} rungs[] = {
	{ "root", "", false, false, false, 2, true },
	{ "bpf+net_admin+perfmon", "setpriv --bounding-set=-all,+bpf,+net_admin,+perfmon,+setfcap", false, false, false, 2, true },
	{ "bpf+net_admin", "setpriv --bounding-set=-all,+bpf,+net_admin,+setfcap", false, false, false, 2, true },
	{ "net_admin", "setpriv --bounding-set=-all,+net_admin,+setfcap", false, false, false, 2, true },
	{ "uid 1000", "setpriv --reuid 1000 --regid 1000 --clear-groups", false, false, false, 2, false },
	{ "uid 1000, sysctl 0", "setpriv --reuid 1000 --regid 1000 --clear-groups", false, false, false, 0, false },
	{ "user namespace", "nsenter -t %d -U -n", true, false, false, 2, true },
	{ "user namespace, sysctl 0", "nsenter -t %d -U -n", true, false, false, 0, true },
	{ "token", "nsenter -t %d -U -n -m", true, true, false, 2, true },
	{ "token without perfmon", "nsenter -t %d -U -n -m setpriv --bounding-set=-perfmon,-sys_admin", true, true, false, 2, true },
	{ "broker", "nsenter -t %d -n", true, false, true, 2, true },
};
#define N_RUNG ((int)(sizeof(rungs) / sizeof(rungs[0])))

static struct {
	const char *fwjit, *rung;
	unsigned int rulesets, packets;
	unsigned long long seed;
} opt = { .rulesets = 2, .packets = 500, .seed = 1 };

struct tally {
	unsigned long pairs, bad, said, unsaid, silent;
	char how[512];		/* targets and dialects that were chosen */
	unsigned long insns, verified;	/* the largest */
};

static struct imr_profile profile;
static pid_t outside;	/* a process in the namespaces that this began in */
static char dir[] = "/tmp/fwjit-rungs-XXXXXX";

/* ------------------------------------------------------------------ namespaces */

static void holder(const struct rung *r, int ready)
{
	char map[64];
	int fd;

	if (r->user) {
		if (setresgid(1000, 1000, 1000) || setresuid(1000, 1000, 1000) || prctl(PR_SET_DUMPABLE, 1) ||
		    unshare(CLONE_NEWUSER | CLONE_NEWNET | CLONE_NEWNS))
			_exit(1);
		fd = open("/proc/self/setgroups", O_WRONLY);
		if (fd >= 0 && write(fd, "deny", 4) == 4)
			close(fd);
		fd = open("/proc/self/gid_map", O_WRONLY);
		if (fd < 0 || write(fd, map, snprintf(map, sizeof(map), "0 1000 1")) < 0)
			_exit(1);
		close(fd);
		fd = open("/proc/self/uid_map", O_WRONLY);
		if (fd < 0 || write(fd, map, snprintf(map, sizeof(map), "0 1000 1")) < 0)
			_exit(1);
		close(fd);
	} else if (unshare(CLONE_NEWNET)) {
		_exit(1);
	}
	if (write(ready, "x", 1) != 1)
		_exit(1);
	for (;;)
		pause();
}

static pid_t hold(const struct rung *r)
{
	int ready[2];
	char c;
	pid_t pid;

	if (pipe(ready))
		return -1;
	pid = fork();
	if (!pid)
		holder(r, ready[1]);
	close(ready[1]);
	if (read(ready[0], &c, 1) != 1)
		pid = -1;
	close(ready[0]);
	return pid;
}

static int netns_of(pid_t pid)
{
	char path[64];

	snprintf(path, sizeof(path), "/proc/%d/ns/net", pid);
	return open(path, O_RDONLY | O_CLOEXEC);
}

/* ------------------------------------------------------------------ the command */

static int command(const struct rung *r, pid_t pid, const char *verb)
{
	char as[256], cmd[1024], by[64] = "";

	snprintf(as, sizeof(as), r->as, r->broker ? outside : pid);
	if (r->broker)
		snprintf(by, sizeof(by), "--pid %d", pid);
	snprintf(cmd, sizeof(cmd), "XDG_RUNTIME_DIR=%s %s %s %s %s >%s/out 2>%s/err </dev/null", dir, as, opt.fwjit, verb, by, dir, dir);
	return system(cmd);
}

/* The value of "key":"…" or "key":N behind p, as a word. */
static bool value_of(const char *line, const char *key, char *ret, size_t size)
{
	char pattern[32];
	const char *p;
	size_t n;

	snprintf(pattern, sizeof(pattern), "\"%s\":", key);
	p = strstr(line, pattern);
	if (!p)
		return false;
	p += strlen(pattern) + (p[strlen(pattern)] == '"');
	n = strcspn(p, "\",}");
	snprintf(ret, size, "%.*s", (int)n, p);
	return true;
}

static void note(struct tally *t, const char *line)
{
	char target[32], access[64], word[128], number[32];

	if (!value_of(line, "target", target, sizeof(target)) || !value_of(line, "access", access, sizeof(access)))
		return;
	snprintf(word, sizeof(word), "%s%s(%s)", *t->how ? " " : "", target, access);
	if (!strstr(t->how, word + (*word == ' ')))
		strncat(t->how, word, sizeof(t->how) - strlen(t->how) - 1);
	if (value_of(line, "insns", number, sizeof(number)) && strtoul(number, NULL, 10) > t->insns)
		t->insns = strtoul(number, NULL, 10);
	if (value_of(line, "verified_insns", number, sizeof(number)) && strtoul(number, NULL, 10) > t->verified)
		t->verified = strtoul(number, NULL, 10);
}

static void said(struct tally *t)
{
	char path[64], line[4096];
	FILE *f;

	snprintf(path, sizeof(path), "%s/out", dir);
	f = fopen(path, "re");
	while (f && fgets(line, sizeof(line), f))
		note(t, line);
	if (f)
		fclose(f);
}

/* The first line of what the command said. */
static void show(const char *name)
{
	char path[64], line[512];
	FILE *f;

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	f = fopen(path, "re");
	if (f && fgets(line, sizeof(line), f))
		printf("    %s", line);
	if (f)
		fclose(f);
}

/* ------------------------------------------------------------------ judging */

static bool is_drop(enum judge_says s, bool before_taps)
{
	return s == JUDGE_DROP || (before_taps && s == JUDGE_UNSEEN);
}

/* The packets once more, with what the command attached in the place of the rules. */
static void rejudge(struct tally *t, struct judge *j, const struct pool *pool, struct rng again, const uint8_t *kernel,
		    const char *rules)
{
	static uint8_t frame[GEN_FRAME];
	bool xdp = j->hook == JUDGE_INGRESS && strstr(t->how, "xdp");

	for (unsigned int i = 0; i < opt.packets; i++) {
		uint32_t len = gen_packet(&again, pool, frame);
		enum judge_says is;

		if (j->hook == JUDGE_INGRESS && !gen_can_tell(frame, len))
			continue;
		is = judge_packet(j, frame, len);
		t->pairs++;
		if (kernel[i] == JUDGE_UNSEEN ? is != JUDGE_UNSEEN : is_drop(is, xdp) != (kernel[i] == JUDGE_DROP)) {
			if (t->bad++ < 2) {
				printf("DIVERGENCE: %d, the kernel %d\n%s\n", is, kernel[i], rules);
				for (uint32_t b = 0; b < len; b++)
					printf("%02x", frame[b]);
				printf("\n");
			}
		}
	}
}

static bool write_rules(const char *rules)
{
	char path[64];
	FILE *f;

	snprintf(path, sizeof(path), "%s/rules.nft", dir);
	f = fopen(path, "we");
	if (!f)
		return false;
	fputs(rules, f);
	return !fclose(f) && !chmod(path, 0644);
}

static void one_ruleset(struct tally *t, const struct rung *g, pid_t pid, struct judge *j, struct rng *r)
{
	static uint8_t frame[GEN_FRAME], kernel[1 << 20];
	static struct pool pool;
	struct arena *a = arena_new();
	char *rules = gen_rules(a, r, JUDGE_NFT, j->hook, 5), err[1024], verb[128];
	struct subject s;
	struct rng before;
	int status;

	if (judge_load(j, JUDGE_NFT, rules, err, sizeof(err)) || subject_read_live(&s, JUDGE_NFT, &profile)) {
		arena_free(a);
		return;
	}
	pool_fill(&pool, r, s.form[s.n_form - 1].imr);
	before = *r;
	for (unsigned int i = 0; i < opt.packets; i++) {
		uint32_t len = gen_packet(r, &pool, frame);

		if (j->hook != JUDGE_INGRESS || gen_can_tell(frame, len))
			kernel[i] = judge_packet(j, frame, len);
	}
	judge_flush(j, JUDGE_NFT);
	snprintf(verb, sizeof(verb), "apply -j -f %s/rules.nft", dir);
	status = write_rules(rules) ? command(g, pid, verb) : -1;
	if (status) {
		t->unsaid++;
		if (g->filters && t->unsaid == 1) {
			printf("%s: not applied, exit status %d:\n", g->name, WEXITSTATUS(status));
			show("err");
		}
	} else {
		t->said++;
		said(t);
		rejudge(t, j, &pool, before, kernel, rules);
		if (command(g, pid, "detach --all")) {
			t->bad++;
			show("err");
		}
	}
	subject_free(&s);
	arena_free(a);
}

static const char *const hook_names[] = { "ingress", "prerouting", "input", "forward" };

static int one_hook(const struct rung *g, enum judge_hook hook)
{
	struct tally t = { 0 };
	struct rng r = { opt.seed * 7919 + hook };
	struct judge j;
	pid_t pid = hold(g);
	int ns = pid > 0 ? netns_of(pid) : -1, err = 0, bad;
	char cmd[256];

	if (ns < 0 || (err = judge_open_in(&j, ns, hook, -2, 0))) {
		printf("skip: %s: no judge in its network namespace: %s\n", g->name, strerror(ns < 0 ? errno : -err));
		if (pid > 0)
			kill(pid, SIGKILL);
		return 0;
	}
	if (g->token) {
		snprintf(cmd, sizeof(cmd), "%s delegate --pid %d >/dev/null", opt.fwjit, pid);
		if (system(cmd))
			t.bad++;
	}
	for (unsigned int i = 0; i < opt.rulesets; i++)
		one_ruleset(&t, g, pid, &j, &r);
	judge_close(&j);
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	bad = t.bad || (g->filters && !t.said) || (!g->filters && t.said);
	printf("%-26s %-10s %-44s %6lu insns %7lu verified, %lu of %lu rulesets, %8lu packets, %lu divergences\n", g->name,
	       hook_names[hook], *t.how ? t.how : "nothing: not permitted", t.insns, t.verified, t.said, t.said + t.unsaid, t.pairs,
	       t.bad);
	fflush(stdout);
	return bad;
}

/* ------------------------------------------------------------------ the sysctl */

#define SYSCTL "/proc/sys/kernel/unprivileged_bpf_disabled"

static int sysctl_get(void)
{
	FILE *f = fopen(SYSCTL, "re");
	int v = -1;

	if (f && fscanf(f, "%d", &v) != 1)
		v = -1;
	if (f)
		fclose(f);
	return v;
}

/* 1 cannot be taken back and is never written. */
static bool sysctl_set(int v)
{
	FILE *f = v == 1 ? NULL : fopen(SYSCTL, "we");

	return f && fprintf(f, "%d", v) > 0 && !fclose(f) && sysctl_get() == v;
}

static int one_rung(const struct rung *g)
{
	int was = sysctl_get(), bad = 0;

	if (was != g->sysctl && (was == 1 || !sysctl_set(g->sysctl))) {
		printf("skip: %s: kernel.unprivileged_bpf_disabled cannot be %d here\n", g->name, g->sysctl);
		return 0;
	}
	for (enum judge_hook h = JUDGE_INGRESS; h <= JUDGE_FORWARD; h++) {
		int status;
		pid_t pid = fork();

		if (!pid)
			exit(one_hook(g, h));
		waitpid(pid, &status, 0);
		bad += status != 0;
	}
	if (was != g->sysctl && was != 1 && !sysctl_set(was))
		printf("kernel.unprivileged_bpf_disabled could not be put back to %d\n", was);
	return bad;
}

static void options(int argc, char **argv)
{
	static const struct option o[] = {
		{ "rulesets", 1, NULL, 'n' }, { "packets", 1, NULL, 'p' }, { "seed", 1, NULL, 's' }, { "rung", 1, NULL, 'r' },
		{ NULL, 0, NULL, 0 },
	};
	int c;

	while ((c = getopt_long(argc, argv, "", o, NULL)) != -1) {
		switch (c) {
		case 'n': opt.rulesets = atoi(optarg); break;
		case 'p': opt.packets = atoi(optarg); break;
		case 's': opt.seed = strtoull(optarg, NULL, 0); break;
		case 'r': opt.rung = optarg; break;
		default: exit(2);
		}
	}
	if (optind + 1 != argc || opt.packets > 1 << 20) {
		fprintf(stderr, "rungs FWJIT [--rulesets N] [--packets N] [--seed N] [--rung NAME]\n");
		exit(2);
	}
	opt.fwjit = realpath(argv[optind], NULL);
}

int main(int argc, char **argv)
{
	const char *why = judge_missing();
	int bad = 0, n = 0;

	options(argc, argv);
	if (why || !opt.fwjit) {
		printf("skip: %s\n", why ? why : "no such command");
		return 77;
	}
	if (!mkdtemp(dir) || chmod(dir, 0777))
		return 1;
	outside = getpid();
	ld_profile(&profile);
	for (int i = 0; i < N_RUNG; i++) {
		if (opt.rung && strcmp(opt.rung, rungs[i].name))
			continue;
		n++;
		bad += one_rung(&rungs[i]) != 0;
	}
	judge_run("rm -rf %s", dir);
	printf("Checked: %d passed, %d failed\n", n - bad, bad);
	return bad != 0;
}
