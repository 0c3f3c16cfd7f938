/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Random rulesets against random and boundary packets. Each packet is asked of the kernel, of the interpreter before the
 * passes and after all of them (after each with --passes), and of the loaded XDP program: exactly at ingress; of a slice,
 * that what it drops the kernel drops, and that its program and its IMR agree. Then of attached programs, one kind after
 * the other. At egress a third of the packets is sent by raw sockets through a route, the others by a packet socket.
 *
 *   random [--seed N] [--rulesets N] [--packets N] [--rules N] [--tool T] [--hook H] [--passes]
 */
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "gen.h"
#include "native.h"
#include "subject.h"

static struct {
	uint64_t seed;
	unsigned int rulesets, packets, rules;
	int tool, hook;		/* -1: all */
	bool passes;
} opt = { 1, 4, 2000, 6, -1, -1, false };

struct tally {
	unsigned long rulesets, refused, unloaded, pairs, domain, dropped, early, bad;
	unsigned long silent;			/* seen by the kernel at a hook where no chain is of their family */
	unsigned long lost;			/* in the view's domain, and lost by routing before the hook */
	unsigned long hits, rules;		/* rules that decided some packet, of all rules */
	unsigned long native, native_refused;	/* pairs judged by attached programs; ways that cannot say a ruleset */
};

static const char *const tool_names[] = { "nft", "iptables", "ip6tables", "iptables-nft", "ip6tables-nft" };
static const char *const hook_names[] = { "ingress", "prerouting", "input", "forward", "egress" };
static struct imr_profile profile;

static void show(const struct subject *s, const char *rules, const uint8_t *frame, uint32_t len, const char *who, int says, int kernel)
{
	struct packet p = { .frame = (uint8_t *)frame, .len = len };

	printf("DIVERGENCE: %s says %d, the kernel %d (0 unseen, 1 accept, 2 drop)\n%s%s\nraw:", who, says, kernel, rules,
	       packet_describe(s->arena, &p));
	for (uint32_t i = 0; i < len; i++)
		printf(" %02x", frame[i]);
	printf("\n");
}

static void diverges(struct tally *t, const struct subject *s, const char *rules, const uint8_t *frame, uint32_t len,
		     const char *who, int says, int kernel)
{
	if (t->bad++ < 3)
		show(s, rules, frame, len, who, says, kernel);
}

static void one_packet(struct tally *t, struct subject *s, enum judge_says kernel, const char *rules, const uint8_t *frame,
		       uint32_t len, bool *hit)
{
	struct imr_pkt pkt;
	struct imr_at at = { 0 };
	enum imr_verdict v;
	int x;

	t->pairs++;
	t->domain += kernel != JUDGE_UNSEEN;
	t->dropped += kernel == JUDGE_DROP;
	if (kernel == JUDGE_ACCEPT && subject_silent(s, frame, len)) {
		t->silent++;
		return;
	}
	subject_pkt(s, frame, len, &pkt);
	if (kernel == JUDGE_UNSEEN && subject_verdict(s, 0, &pkt, NULL) != V_NONE) {
		t->lost++;
		return;
	}
	for (unsigned int i = 0; i < s->n_form; i++) {
		if (i && i + 1 < s->n_form && !opt.passes)
			continue;
		v = subject_verdict(s, i, &pkt, &at);
		if (!subject_agrees(kernel, v))
			diverges(t, s, rules, frame, len, s->form[i].name, v, kernel);
	}
	if (at.number < 64)
		hit[at.number] = true;
	if (s->hook == JUDGE_EGRESS && s->placed && (subject_placed(s, &pkt) == V_DROP) != (kernel == JUDGE_DROP))
		diverges(t, s, rules, frame, len, "the placed IMR", subject_placed(s, &pkt), kernel);
	if (s->loaded.fd < 0)
		return;
	x = subject_program(s, frame, len);
	t->early += x == V_DROP;
	if (s->exact ? (x == V_DROP) != (kernel == JUDGE_DROP) || x < 0 : (x == V_DROP && kernel != JUDGE_DROP) || x < 0)
		diverges(t, s, rules, frame, len, "xdp", x, kernel);
	v = subject_placed(s, &pkt);
	if ((v == V_DROP) != (x == V_DROP))
		diverges(t, s, rules, frame, len, "the placed IMR, against its program,", v, x);
}

/* Some that leave are sent by the stack instead of as they are. */
static uint32_t packet_for(struct rng *r, const struct subject *s, const struct pool *pool, uint8_t *frame)
{
	uint32_t len = gen_packet(r, pool, frame);

	if (s->hook == JUDGE_EGRESS && rng_chance(r, 30))
		judge_routed(frame, len);
	return len;
}

/* The same packets once more, with programs in the place of the rules. */
static void natively(struct tally *t, struct subject *s, struct judge *j, enum judge_tool tool, const char *rules,
		     const struct pool *pool, struct rng r, const uint8_t *kernel)
{
	static uint8_t frame[GEN_FRAME];
	int32_t prio = (s->hook == JUDGE_PREROUTING && tool != JUDGE_NFT ? -300 : 0) - 1;	/* iptables' tables keep theirs */

	judge_flush(j, tool);
	for (const struct native_way *w = native_ways; w->name; w++) {
		struct rng again = r;
		struct native n;
		int got;

		if (!(w->hooks & 1u << s->hook))
			continue;
		got = native_attach(s, w, prio, &n);
		if (got > 0) {
			t->native_refused++;
			continue;
		}
		if (got < 0) {
			printf("%s: %s\n%s", w->name, s->diags.d[s->diags.n - 1].message, rules);
			t->bad++;
			continue;
		}
		for (unsigned int i = 0; i < opt.packets; i++) {
			uint32_t len = packet_for(&again, s, pool, frame);
			enum judge_says is;

			if (s->hook == JUDGE_INGRESS && !gen_can_tell(frame, len))
				continue;
			is = judge_packet(j, frame, len);
			t->native++;
			if (is != kernel[i])
				diverges(t, s, rules, frame, len, w->name, is == JUDGE_DROP ? V_DROP : V_ACCEPT, kernel[i]);
		}
		native_detach(s, &n);
	}
}

static void one_ruleset(struct tally *t, struct judge *j, enum judge_tool tool, enum judge_hook hook, struct rng *r)
{
	static uint8_t frame[GEN_FRAME];
	static struct pool pool;
	struct arena *a = arena_new();
	char *rules = gen_rules(a, r, tool, hook, opt.rules), err[1024];
	uint8_t *kernel = arena_alloc(a, opt.packets + 1);
	struct rng before;
	struct subject s;
	bool hit[64] = { false };

	t->rulesets++;
	if (judge_load(j, tool, rules, err, sizeof(err))) {
		t->unloaded++;
	} else if (subject_read_live(&s, tool, &profile)) {
		printf("not read:\n%s", rules);
		t->bad++;
	} else {
		subject_at(&s, hook);
		if (diags_have(&s.diags, DIAG_UNSUPPORTED)) {
			t->refused++;
		} else if (subject_compile(&s, true) && diags_have(&s.diags, DIAG_UNSUPPORTED) &&
			   !diags_have(&s.diags, DIAG_ERROR) && (hook != JUDGE_EGRESS || !s.placed)) {
			t->refused++;	/* not known at the place: named, and nothing is attached */
		} else if (!s.placed || (s.loaded.fd < 0 && !geteuid() && hook != JUDGE_EGRESS)) {
			struct strbuf out = { .arena = a };

			for (uint32_t i = 0; i < s.diags.n; i++)
				diag_print(&out, &s.diags.d[i]);
			printf("not compiled:\n%s%s", rules, out.s ? out.s : "");
			t->bad++;
		} else {
			pool_fill(&pool, r, s.form[s.n_form - 1].imr);	/* where fields have names */
			before = *r;
			for (unsigned int i = 0; i < opt.packets; i++) {
				uint32_t len = packet_for(r, &s, &pool, frame);

				if (hook == JUDGE_INGRESS && !gen_can_tell(frame, len))
					continue;
				kernel[i] = judge_packet(j, frame, len);
				one_packet(t, &s, kernel[i], rules, frame, len, hit);
			}
			if (s.loaded.fd >= 0 || hook == JUDGE_EGRESS)
				natively(t, &s, j, tool, rules, &pool, before, kernel);
			for (unsigned int i = 1; i <= opt.rules; i++)
				t->hits += hit[i];
			t->rules += opt.rules;
		}
		subject_free(&s);
	}
	arena_free(a);
}

static bool makes_sense(enum judge_tool tool, enum judge_hook hook)
{
	if (hook == JUDGE_EGRESS)
		return tool == JUDGE_NFT;
	return tool == JUDGE_NFT || hook == JUDGE_INPUT || hook == JUDGE_FORWARD || (hook == JUDGE_PREROUTING && tool < JUDGE_IPT_NFT);
}

/* One tool at one hook, in a process and a network namespace of its own. Returns its exit status. */
static int one_kind(enum judge_tool tool, enum judge_hook hook)
{
	struct tally t = { 0 };
	struct judge j;
	struct rng r = { opt.seed * 1000003 + tool * 17 + hook };
	int prio = hook == JUDGE_PREROUTING && tool != JUDGE_NFT ? -300 : 0;

	if (judge_open(&j, hook, prio - 1, prio)) {
		printf("skip: the judge cannot sit at %s\n", hook_names[hook]);
		return 0;
	}
	for (unsigned int i = 0; i < opt.rulesets; i++)
		one_ruleset(&t, &j, tool, hook, &r);
	judge_close(&j);
	printf("%-14s %-10s seed %llu: %lu rulesets (%lu the tool refused, %lu we), %lu pairs, %.0f %% in domain, %.0f %% dropped, "
	       "%.0f %% of drops at xdp, %.1f %% lost to routing, %.0f %% of base rules decided one, %lu natively (%lu rulesets not), %lu divergences\n", tool_names[tool], hook_names[hook],
	       (unsigned long long)opt.seed, t.rulesets, t.unloaded, t.refused, t.pairs, 100.0 * t.domain / (t.pairs + !t.pairs),
	       100.0 * t.dropped / (t.pairs + !t.pairs), 100.0 * t.early / (t.dropped + !t.dropped), 100.0 * t.lost / (t.pairs + !t.pairs),
	       100.0 * t.hits / (t.rules + !t.rules), t.native, t.native_refused, t.bad);
	fflush(stdout);
	return t.bad != 0;
}

static int number_of(const char *const *names, int n, const char *name)
{
	for (int i = 0; i < n; i++)
		if (!strcmp(names[i], name))
			return i;
	fprintf(stderr, "\"%s\" is not known\n", name);
	exit(2);
}

static void options(int argc, char **argv)
{
	static const struct option o[] = {
		{ "seed", 1, NULL, 's' }, { "rulesets", 1, NULL, 'n' }, { "packets", 1, NULL, 'p' }, { "rules", 1, NULL, 'r' },
		{ "tool", 1, NULL, 't' }, { "hook", 1, NULL, 'h' }, { "passes", 0, NULL, 'a' }, { NULL, 0, NULL, 0 },
	};
	int c;

	while ((c = getopt_long(argc, argv, "", o, NULL)) != -1) {
		switch (c) {
		case 's': opt.seed = strtoull(optarg, NULL, 0); break;
		case 'n': opt.rulesets = atoi(optarg); break;
		case 'p': opt.packets = atoi(optarg); break;
		case 'r': opt.rules = atoi(optarg); break;
		case 't': opt.tool = number_of(tool_names, 5, optarg); break;
		case 'h': opt.hook = number_of(hook_names, 5, optarg); break;
		case 'a': opt.passes = true; break;
		default: exit(2);
		}
	}
}

int main(int argc, char **argv)
{
	unsigned int kinds = 0, bad = 0;
	const char *why = judge_missing();

	options(argc, argv);
	if (why) {
		printf("skip: %s\n", why);
		return 77;
	}
	ld_profile(&profile);
	for (int tool = 0; tool < 5; tool++)
		for (int hook = 0; hook <= JUDGE_EGRESS; hook++) {
			int status;
			pid_t pid;

			if (!makes_sense(tool, hook) || (opt.tool >= 0 && tool != opt.tool) || (opt.hook >= 0 && hook != opt.hook))
				continue;
			kinds++;
			fflush(stdout);
			pid = fork();
			if (!pid)
				exit(one_kind(tool, hook));
			waitpid(pid, &status, 0);
			bad += status != 0;
		}
	printf("Checked: %u passed, %u failed\n", kinds - bad, bad);
	return bad != 0;
}
