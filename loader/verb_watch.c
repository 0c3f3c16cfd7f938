/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * watch: keeps the slices in step with the live rules, devices, addresses and routes. From the moment a change is heard
 * of until the new slice is in, the gate is shut and everything passes to the rules themselves. What remains is the time
 * between the kernel's commit and the notification's arrival; it is measured and printed when the process ends.
 */
#include <errno.h>
#include <signal.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "cli.h"

#define POLL_MS 200	/* legacy tables have no notification: their blobs are compared this often */

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

/* Our live attachments; 0 of them ends the watch: somebody detached. */
static uint32_t ours(struct cli *c, struct ld_state **ret)
{
	uint32_t n = 0, kept = 0;

	if (ld_state_list(c->arena, c->diags, ret, &n))
		return 0;
	for (uint32_t i = 0; i < n; i++) {
		struct meta m;

		if (!(*ret)[i].gone && !meta_decode(c, &(*ret)[i], &m) && m.live)
			(*ret)[kept++] = (*ret)[i];
	}
	return kept;
}

static void gates(struct cli *c, uint32_t value)
{
	struct ld_state *st = NULL;
	uint32_t n = ours(c, &st);

	for (uint32_t i = 0; i < n; i++)
		ld_state_gate(st[i].id, value);
}

/* A hash of every legacy blob in use, counters aside: what has no notification is compared. */
static uint64_t legacy_hash(struct cli *c)
{
	return fe_legacy_hash(c->arena, c->diags);
}

/* A fresh arena for each round, so that a resident process stays small. */
static int round_apply(const struct cli *base, bool quiet)
{
	struct cli c = *base;
	struct diags ds = { 0 };
	int r;

	c.arena = ds.arena = arena_new();
	c.diags = &ds;
	r = apply_once(&c, true);
	if (r && !quiet)
		cli_diags(&c, DIAG_ERROR);
	arena_free(c.arena);
	return r;
}

struct stats { unsigned int rounds, failed; double worst_ms, sum_ms; };

/* Something changed: shut, compile, open (the new program comes with its gate open). A failure stays shut. */
static void round_change(const struct cli *base, struct stats *s)
{
	double t = now_ms();
	struct cli c = *base;
	struct diags ds = { 0 };

	c.arena = ds.arena = arena_new();
	c.diags = &ds;
	gates(&c, 0);
	arena_free(c.arena);
	if (round_apply(base, false))
		s->failed++;
	t = now_ms() - t;
	s->rounds++;
	s->sum_ms += t;
	s->worst_ms = t > s->worst_ms ? t : s->worst_ms;
}

static bool still_ours(const struct cli *base)
{
	struct cli c = *base;
	struct diags ds = { 0 };
	struct ld_state *st = NULL;
	uint32_t n;

	c.arena = ds.arena = arena_new();
	c.diags = &ds;
	n = ours(&c, &st);
	arena_free(c.arena);
	return n > 0;
}

static uint64_t hash_now(const struct cli *base)
{
	struct cli c = *base;
	struct diags ds = { 0 };
	uint64_t h;

	c.arena = ds.arena = arena_new();
	c.diags = &ds;
	h = legacy_hash(&c);
	arena_free(c.arena);
	return h;
}

static int follow(struct cli *c, struct ld_watch *w, struct stats *s)
{
	uint64_t was = hash_now(c);

	while (!ended) {
		int r = ld_watch_wait(w, POLL_MS);
		uint64_t is = hash_now(c);

		if (r < 0 && r != -EINTR)
			return r;
		if (ended || (!r && is == was && !still_ours(c)))
			break;
		if (r > 0 || is != was)
			round_change(c, s);
		was = is;
	}
	return 0;
}

int verb_watch(struct cli *c)
{
	struct sigaction sa = { .sa_handler = on_signal };
	struct ld_watch w;
	struct stats s = { 0 };
	int r;

	if (c->n_file) {
		fprintf(stderr, "fwjit: watch follows the live rules: it takes no -f\n");
		return EXIT_USAGE;
	}
	/* Listening starts before the rules are read, so that no change falls between. */
	r = ld_watch_open(c->diags, &w);
	if (r)
		return cli_diags(c, DIAG_ERROR);
	r = apply_once(c, true);
	if (r) {
		cli_diags(c, DIAG_ERROR);
		ld_watch_close(&w);
		return r;
	}
	sigaction(SIGTERM, &sa, NULL);
	sigaction(SIGINT, &sa, NULL);
	r = follow(c, &w, &s);
	gates(c, 0);
	ld_watch_close(&w);
	fprintf(stderr, "watch: %u changes followed, %u not compiled; out of step (everything passed) %.1f ms on average, %.1f ms at "
			"most\n", s.rounds, s.failed, s.rounds ? s.sum_ms / s.rounds : 0, s.worst_ms);
	return r ? EXIT_INPUT : EXIT_DONE;
}
