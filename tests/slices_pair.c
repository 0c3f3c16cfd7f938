/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the traffic of slices.c goes through: two kernels' worth of network namespaces that differ in nothing, and the
 * slice that apply would put into one of them, by apply's own steps.
 */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "reader.h"
#include "slices.h"

/* ------------------------------------------------------------------ two kernels */

bool side_enter(const struct side *s)
{
	return !setns(s->ns, CLONE_NEWNET);
}

static bool side_open(struct side *s, bool forward)
{
	int r = judge_open_path(&s->j, forward);

	s->ns = open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC);
	if (r || s->ns < 0) {
		printf("no judge: %s\n", strerror(r ? -r : errno));
		return false;
	}
	return !judge_run("echo 100000 >/proc/sys/net/ipv4/ipfrag_time && "
			  "echo 100000 >/proc/sys/net/ipv6/ip6frag_time && "
			  "(echo 100000 >/proc/sys/net/netfilter/nf_conntrack_frag6_timeout) 2>/dev/null; :");
}

static void side_close(struct side *s)
{
	judge_close(&s->j);
	close(s->ns);
}

/* The parts that the tool and the kernel take. */
static void wall_load(struct side *s, const struct wall *w, struct wall *ret_taken, bool verbose)
{
	char err[512];

	*ret_taken = (struct wall){ 0 };
	for (unsigned int i = 0; i < w->n; i++)
		if (!judge_add(&s->j, w->part[i].tool, w->part[i].text, err, sizeof(err)))
			ret_taken->part[ret_taken->n++] = w->part[i];
		else if (verbose)
			printf("refused: %s%s\n", err, w->part[i].text);
}

/* What was refused may have been taken in part (one of several tables): such a side is left behind. */
bool sides_open(struct side side[2], const struct wall *w, bool forward, bool verbose, struct wall *ret_taken)
{
	struct wall want = *w;

	for (int i = 0; i < 2;) {
		if (!side_open(&side[i], forward))
			return false;
		wall_load(&side[i], &want, ret_taken, verbose);
		if (ret_taken->n == want.n) {
			i++;
			continue;
		}
		want = *ret_taken;
		side_close(&side[i]);
		if (i)
			side_close(&side[--i]);
	}
	return true;
}

void sides_close(struct side side[2])
{
	side_close(&side[0]);
	side_close(&side[1]);
}

/* ------------------------------------------------------------------ the slice, as apply makes it */

void slice_say(const struct slice *s)
{
	struct strbuf out = { .arena = s->arena };

	for (uint32_t i = 0; i < s->diags.n; i++)
		if (s->diags.d[i].level != DIAG_UNSUPPORTED)
			diag_print(&out, &s->diags.d[i]);
	printf("%s", out.s ? out.s : "");
}

bool slice_make(struct slice *s, const struct imr_profile *p, const struct caps *caps)
{
	struct be_opts opts = { 0 };

	memset(s, 0, sizeof(*s));
	s->arena = arena_new();
	s->diags.arena = s->arena;
	s->loaded.fd = -1;
	if (fe_live_get(s->arena, &s->diags, &s->capture) || ld_env(s->arena, &s->diags, JUDGE_DEV, &s->env))
		return false;
	s->env.ct_lookup = caps->ct_lookup;
	s->source = fe_read(s->arena, &s->diags, p, &s->capture);
	s->optimised = s->source ? fe_read(s->arena, &s->diags, p, &s->capture) : NULL;
	if (!s->optimised || !imr_optimise(s->optimised, NULL))
		return false;
	s->placed = imr_place_slice(s->optimised, &s->env);
	if (!s->placed)
		return false;
	opts.ifindex = s->env.ifindex;
	memcpy(opts.mac, s->env.mac, sizeof(opts.mac));
	return be_compile(s->placed, be_target_find("xdp"), caps, &opts, &s->prog) &&
	       !ld_load(&s->prog, &s->diags, &s->loaded);
}

int slice_attach(struct slice *s)
{
	return ld_xdp_attach(s->arena, &s->diags, &s->loaded, JUDGE_DEV, false, "", 0);
}

void slice_free(struct slice *s)
{
	if (s->loaded.fd >= 0)
		ld_prog_close(&s->loaded);
	arena_free(s->arena);
}

uint64_t slice_counted(struct slice *s)
{
	struct be_counter c[512] = { { 0, 0 } };
	uint32_t n = s->prog.n_slot < 512 ? s->prog.n_slot : 512;
	uint64_t sum = 0;

	if (ld_state_counters(&s->diags, "xdp-" JUDGE_DEV, c, n))
		return 0;
	for (uint32_t i = 0; i < n; i++)
		sum += c[i].packets;
	return sum;
}
