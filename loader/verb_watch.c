/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * watch: keeps the slices in step with the live rules, devices, addresses and routes. From the moment a change is heard
 * of until the new slice is in, the gate is shut and everything passes to the rules themselves; a new program comes with
 * its gate shut, which opens only if nothing has changed since its rules were read. A gate is open for a short time only
 * and is renewed: if the watcher dies or hangs, everything passes soon after. What remains is the time between the kernel's
 * commit and the shut gate; its larger part, from waking up on, is measured and printed at the end.
 */
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/capability.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "cli.h"

#define POLL_MS 100	/* what changes without a word is compared this often */
/* How long a gate stays open unless it is renewed, which is at each poll. Longer than a flood keeps a process waiting: it
 * must not shut the gates by its own weight. */
#define OPEN_MS 1000
#define HELD_MS 2000	/* is this network namespace still wanted? */

static volatile sig_atomic_t ended;

static void on_signal(int sig)
{
	ended = 1;
}

static double now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1e3 + t.tv_nsec / 1e6;
}

struct stats {
	unsigned int rounds, failed;
	double shut_worst, shut_sum;	/* ms from waking up until every gate is shut */
	double step_worst, step_sum;	/* ms until the slice is in step again */
};

struct watch {
	const struct cli *base;
	struct ld_watch kernel;
	struct ld_jiffies clock;
	struct ld_claim claim;
	struct applied applied;
	uint64_t silent;
	bool in_step;
	bool resident;		/* started by apply: ends with its network namespace */
	double held;		/* when it was seen to be wanted */
	struct stats stats;
};

/* One round in an arena of its own, so that a resident process stays small. */
static struct cli *begin_round(const struct watch *w, struct cli *c, struct diags *ds)
{
	*c = *w->base;
	*ds = (struct diags){ 0 };
	c->arena = ds->arena = arena_new();
	c->diags = ds;
	return c;
}

/* Opens for a while, or shuts, the gates of what is in step. A program that somebody else has put in place of ours is not
 * ours to open: what it was made from is not known here. */
static void set_gates(struct watch *w, bool open)
{
	uint64_t value = open ? ld_jiffies_in(&w->clock, OPEN_MS) : 0;

	for (uint32_t i = 0; i < w->applied.n; i++) {
		struct applied_prog *p = &w->applied.prog[i];
		int err = p->left ? 0 : ld_state_gate(p->att, p->id, p->planned ? value : 0);

		p->left = p->left || err == -ENOENT || err == -ESTALE;
	}
}

/* Has somebody detached everything, or all that was attached, or put programs of their own in its place? */
static bool is_over(const struct watch *w)
{
	uint32_t left = 0;

	for (uint32_t i = 0; i < w->applied.n; i++)
		left += w->applied.prog[i].left;
	return !ld_claim_stands(&w->claim) || (left && left == w->applied.n);
}

/* What stays in a namespace that nobody else wants keeps it alive, with its devices. */
static bool unwanted(struct watch *w)
{
	double now = now_ms();

	if (!w->resident || now - w->held < HELD_MS)
		return false;
	w->held = now;
	return !ld_netns_held();
}

/* Of what changes without a word: legacy tables, and what may stand before the rules. */
static uint64_t silent_hash(const struct watch *w)
{
	struct diags ds;
	struct cli c;
	uint64_t h, was;

	begin_round(w, &c, &ds);
	was = ld_rights_raise(1ULL << CAP_NET_ADMIN | 1ULL << CAP_NET_RAW);
	h = fe_legacy_hash(c.arena, c.diags) * 31 + ld_silent_hash();
	ld_rights_lower(&was);
	arena_free(c.arena);
	return h;
}

static int apply_round(struct watch *w)
{
	struct diags ds;
	struct cli c;
	int r;

	begin_round(w, &c, &ds);
	c.but = &w->applied;
	w->applied.stale = false;
	r = apply_once(&c, true, &w->applied);
	if (r && !w->applied.stale)
		cli_diags(&c, DIAG_ERROR);
	arena_free(c.arena);
	return r;
}

/* Has the kernel told of a change? That a lock was let go is a reason to compare, no more. */
static bool told(int r)
{
	return r > 0 && r != LD_LOOK;
}

/* Has what the last round was made from changed meanwhile? Its own attaching makes notifications too. */
static bool again(struct watch *w, int r)
{
	if (ended || is_over(w))
		return false;
	if (w->applied.stale)
		return true;
	return !r && (told(ld_watch_wait(&w->kernel, 0)) || silent_hash(w) != w->silent);
}

/* Compiles until nothing changes meanwhile, then opens. A failure stays shut until the next change. */
static int step(struct watch *w)
{
	int r;

	do {
		w->silent = silent_hash(w);
		r = apply_round(w);
		if (w->applied.stale)
			set_gates(w, false);
	} while (again(w, r));
	w->in_step = !r;
	set_gates(w, w->in_step);
	return r;
}

static void change(struct watch *w)
{
	double t = now_ms(), shut;

	set_gates(w, false);
	shut = now_ms() - t;
	w->stats.failed += step(w) != 0;
	t = now_ms() - t;
	w->stats.rounds++;
	w->stats.shut_sum += shut;
	w->stats.step_sum += t;
	w->stats.shut_worst = shut > w->stats.shut_worst ? shut : w->stats.shut_worst;
	w->stats.step_worst = t > w->stats.step_worst ? t : w->stats.step_worst;
}

/* What was attached in a namespace that nobody wants goes, so that nothing is left pinned. */
static void take_away(const struct watch *w)
{
	struct diags ds;
	struct cli c;

	begin_round(w, &c, &ds);
	for (uint32_t i = 0; i < w->applied.n; i++)
		if (!w->applied.prog[i].left)
			ld_detach(&ds, w->applied.prog[i].att);
	arena_free(c.arena);
}

/* Until a signal, or until what was attached is not ours any more. */
static int follow(struct watch *w)
{
	while (!ended && !is_over(w)) {
		int r = ld_watch_wait(&w->kernel, POLL_MS);

		if (r < 0 && r != -EINTR)
			return r;
		if (told(r) || silent_hash(w) != w->silent)
			change(w);
		else
			set_gates(w, w->in_step);
		if (unwanted(w)) {
			take_away(w);
			break;
		}
	}
	return 0;
}

static void leave_terminal(int ready_fd, char status)
{
	if (ready_fd < 0)
		return;
	if (write(ready_fd, &status, 1) != 1)
		ended = 1;
	close(ready_fd);
	if (chdir("/") || !freopen("/dev/null", "r", stdin) || !freopen("/dev/null", "w", stdout) || !freopen("/dev/null", "w", stderr))
		ended = 1;
}

static void report(const struct stats *s)
{
	unsigned int n = s->rounds ? s->rounds : 1;

	fprintf(stderr, "watch: %u changes followed, %u not compiled; gates shut %.2f ms after waking up (at most %.2f ms), "
			"in step again after %.1f ms (at most %.1f ms), all passing meanwhile; legacy tables and tcx programs are compared every %d ms\n",
		s->rounds, s->failed, s->shut_sum / n, s->shut_worst, s->step_sum / n, s->step_worst, POLL_MS);
}

static int begin(struct cli *c, struct watch *w)
{
	int r;

	/* Listening starts before the rules are read, so that no change falls between. */
	if (ld_watch_open(c->diags, &w->kernel))
		return EXIT_RIGHTS;
	r = plan_caps(c, &c->own_caps);	/* once, not in every round with the gates shut */
	if (r)
		return r;
	c->caps = NULL;
	c->probed = true;
	if (ld_jiffies_open(c->diags, &w->clock))
		return EXIT_RIGHTS;
	r = ld_claim_open(c->diags, &w->claim);
	w->applied.claim = &w->claim;
	if (r)
		return r == -EPERM || r == -EACCES ? EXIT_RIGHTS : EXIT_INPUT;
	r = step(w);
	if (r && !ld_claim_stands(&w->claim))
		diag_add(c->diags, DIAG_ERROR, NULL, "`fwjit detach --all` was quicker: nothing is attached");
	return r;
}

int watch_run(struct cli *c, int ready_fd)
{
	struct sigaction sa = { .sa_handler = on_signal };
	struct watch w = {
		.base = c, .kernel = { -1, -1, -1 }, .clock = { -1, -1 }, .claim = { -1 }, .resident = ready_fd >= 0, .held = now_ms(),
	};
	int r;

	sigaction(SIGTERM, &sa, NULL);
	sigaction(SIGINT, &sa, NULL);
	setpriority(PRIO_PROCESS, 0, -20);	/* where it may */
	r = begin(c, &w);
	cli_diags(c, DIAG_ERROR);
	leave_terminal(ready_fd, r);
	if (!r) {
		r = follow(&w) ? EXIT_INPUT : EXIT_DONE;
		set_gates(&w, false);
		if (ready_fd < 0)
			report(&w.stats);
	}
	ld_watch_close(&w.kernel);
	ld_jiffies_close(&w.clock);
	ld_claim_close(&w.claim);
	free(w.applied.prog);
	return r;
}

int verb_watch(struct cli *c)
{
	if (c->n_file) {
		fprintf(stderr, "fwjit: watch follows the live rules: it takes no -f\n");
		return EXIT_USAGE;
	}
	return watch_run(c, -1);
}
