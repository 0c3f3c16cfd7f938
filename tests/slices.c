/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Live slices under traffic. Two network namespaces with the same devices, addresses and rules; one has in addition
 * the slice that apply makes there, attached natively to its tap device, where it runs inside write(2)
 * (tun_build_skb). The same frames are written to both, and what comes out behind all chains of input and forward must
 * be the same, for each frame. So must what the rules keep from one packet to the next, since it shows in later
 * verdicts: a set that packets add to, a quota, `numgen inc`, xtables' recent, quota and nth.
 *
 * Left out, because the two kernels would differ without any slice: a limit that is reached and whatever else reads a
 * clock, random numbers, the CPU's number. Connection tracking is in, but no flow is ever confirmed: frames end before
 * that, so that a packet's state is a function of the packet. With confirmed flows it would not be: conntrack looks at
 * a packet before the rules drop it, and what XDP drops never comes there. Fragments are in; their timer is put off.
 *
 * The share is of what the rules drop; what routing would have lost anyway is not in it.
 *
 *   slices [--seed N] [--rulesets N] [--packets N] [--kind N] [--only N] [--verbose]
 */
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <getopt.h>
#include <linux/if_link.h>
#include <net/if.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/wait.h>
#include <unistd.h>

#include "packet.h"
#include "slices.h"

static struct {
	uint64_t seed;
	unsigned int rulesets, packets;
	int kind, only;		/* -1: all */
	bool verbose;		/* what the tools refused */
} opt = { 1, 6, 6000, -1, -1, false };

static struct imr_profile profile;
static struct caps caps;

struct tally {
	unsigned long rulesets, refused, parts;	/* parts of rulesets that the tool refused */
	unsigned long packets, out, dropped;	/* without the slice */
	unsigned long early, lost;		/* dropped by it; of these, the rules had not seen: routing lost them */
	unsigned long counted, bad, failed;
};

static bool is_native(const char *dev)
{
	LIBBPF_OPTS(bpf_xdp_query_opts, q);

	return !bpf_xdp_query(if_nametoindex(dev), 0, &q) && q.attach_mode == XDP_ATTACHED_DRV;
}

/* ------------------------------------------------------------------ one frame through both */

/* What became of one frame: counts at each place, before and behind. */
static void write_frame(const struct judge *j, const uint8_t *frame, uint32_t len, struct judge_path *ret)
{
	struct judge_path was;
	ssize_t n;

	judge_path(j, &was);
	n = write(j->tap, frame, len);
	judge_path(j, ret);
	ret->seen -= was.seen;
	ret->ingress_left -= was.ingress_left;
	ret->came -= was.came;
	ret->left -= was.left;
	ret->input_came -= was.input_came;
	ret->input_left -= was.input_left;
	ret->forward_came -= was.forward_came;
	ret->forward_left -= was.forward_left;
	if (n != (ssize_t)len)
		ret->seen = UINT64_MAX;
}

static bool ethertype_is_ip(const uint8_t *f, uint32_t len)
{
	return len >= 14 && ((f[12] == 0x08 && !f[13]) || (f[12] == 0x86 && f[13] == 0xdd));
}

/* By the rules: at a hook, it came and did not leave. */
static bool is_dropped(const struct judge_path *p, bool ip)
{
	return (ip && p->seen && !p->ingress_left) || p->came > p->left || p->input_came > p->input_left ||
	       p->forward_came > p->forward_left;
}

static void show(const struct wall *w, const struct slice *s, const uint8_t *frame, uint32_t len,
		 const struct judge_path *a, const struct judge_path *b)
{
	static const char *const tools[] = { "nft", "iptables", "ip6tables", "iptables-nft", "ip6tables-nft" };
	struct packet p = { .frame = (uint8_t *)frame, .len = len };
	struct strbuf out = { .arena = s->arena };

	for (unsigned int i = 0; i < w->n; i++)
		strbuf_add(&out, "-- %s\n%s", tools[w->part[i].tool], w->part[i].text);
	imr_print(&out, s->placed);
	ld_env_print(&out, &s->env);
	printf("DIVERGENCE: without the slice input %d forward %d, with it input %d forward %d (%s)\n%s%s\nraw:",
	       (int)a->input_left, (int)a->forward_left, (int)b->input_left, (int)b->forward_left,
	       b->seen ? "xdp passed it" : "xdp dropped it", out.s, packet_describe(s->arena, &p));
	for (uint32_t i = 0; i < len; i++)
		printf(" %02x", frame[i]);
	printf("\n");
}

struct traffic {
	const struct side *without, *with;
	const struct wall *wall;
	const struct slice *slice;
	struct pool pool;
	struct rng r;
};

static void one_frame(struct tally *t, struct traffic *x)
{
	static uint8_t frame[GEN_FRAME];
	uint32_t len = gen_packet(&x->r, &x->pool, frame);
	struct judge_path a, b;
	bool same;

	write_frame(&x->without->j, frame, len, &a);
	write_frame(&x->with->j, frame, len, &b);
	t->packets++;
	t->dropped += is_dropped(&a, ethertype_is_ip(frame, len));
	t->early += a.seen && !b.seen;
	t->lost += a.seen && !b.seen && !is_dropped(&a, ethertype_is_ip(frame, len));
	t->out += a.input_left || a.forward_left;
	same = a.input_left == b.input_left && a.forward_left == b.forward_left &&
	       (a.seen == b.seen || (a.seen == 1 && !b.seen));
	if (!same && t->bad++ < 2)
		show(x->wall, x->slice, frame, len, &a, &b);
}

static void traffic_open(struct traffic *x, const struct side side[2], const struct wall *w, const struct slice *s,
			 uint64_t seed)
{
	*x = (struct traffic){ .without = &side[0], .with = &side[1], .wall = w, .slice = s, .r = { seed } };
	pool_fill(&x->pool, &x->r, s->source);
}

static bool fails(struct tally *t, const char *what)
{
	printf("FAILED: %s\n", what);
	t->failed++;
	return false;
}

static void one_ruleset(struct tally *t, const struct wall_kind *k, uint64_t seed)
{
	struct arena *a = arena_new();
	struct rng r = { seed };
	struct wall all, taken;
	struct traffic x;
	struct side side[2];
	struct slice s;

	wall_make(a, &r, k, &all);
	if (!sides_open(side, &all, k->forward, opt.verbose, &taken))
		exit(1);
	t->parts += all.n;
	t->refused += all.n - taken.n;
	t->rulesets++;
	if (!slice_make(&s, &profile, &caps) || slice_attach(&s)) {
		slice_say(&s);
		for (unsigned int i = 0; i < taken.n; i++)
			printf("%s", taken.part[i].text);
		fails(t, "no slice of these rules");
	} else if (!is_native(JUDGE_DEV)) {
		fails(t, "the slice does not run in the driver");
	} else {
		traffic_open(&x, side, &taken, &s, seed + 1);
		for (unsigned int i = 0; i < opt.packets; i++)
			one_frame(t, &x);
		t->counted += slice_counted(&s);
		if (ld_detach(&s.diags, "xdp-" JUDGE_DEV))
			fails(t, "the slice cannot be detached");
	}
	slice_free(&s);
	sides_close(side);
	arena_free(a);
}

/* ------------------------------------------------------------------ fixed rules */

static bool open_with(struct tally *t, struct side side[2], const struct wall *w, bool forward)
{
	struct wall taken;

	if (!sides_open(side, w, forward, opt.verbose, &taken))
		exit(1);
	t->rulesets++;
	t->parts += w->n;
	return taken.n == w->n || fails(t, "a tool refused common rules");
}

static void common_rules(struct tally *t, unsigned int which)
{
	struct side side[2];
	struct traffic x;
	struct slice s;

	if (!open_with(t, side, &wall_common[which].wall, wall_common[which].forward))
		return;
	if (!slice_make(&s, &profile, &caps) || slice_attach(&s)) {
		slice_say(&s);
		fails(t, "no slice of common rules");
	} else {
		traffic_open(&x, side, &wall_common[which].wall, &s, opt.seed);
		for (unsigned int i = 0; i < opt.packets; i++)
			one_frame(t, &x);
		t->counted += slice_counted(&s);
	}
	slice_free(&s);
	sides_close(side);
}

/* ------------------------------------------------------------------ apply while traffic flows */

struct applier {
	const struct side *side;
	atomic_bool stop;
	atomic_uint times, failed;
};

/* The slice is replaced by one that was made anew, counters living on. */
static void *apply_again(void *arg)
{
	struct applier *ap = arg;
	uint32_t carry[64];

	for (uint32_t i = 0; i < 64; i++)
		carry[i] = i;
	if (!side_enter(ap->side))
		ap->failed++;
	while (!ap->stop) {
		struct slice s;

		if (!slice_make(&s, &profile, &caps) || s.prog.n_slot > 64 ||
		    ld_xdp_replace(s.arena, &s.diags, &s.loaded, JUDGE_DEV, false, "", 0, carry, s.prog.n_slot)) {
			slice_say(&s);
			ap->failed++;
			ap->stop = true;
		}
		slice_free(&s);
		ap->times++;
	}
	return NULL;
}

static void under_traffic(struct tally *t)
{
	struct side side[2];
	struct applier ap = { .side = &side[1] };
	struct traffic x;
	struct slice s;
	pthread_t th;
	uint64_t counted;

	if (!open_with(t, side, &wall_counting, true))
		return;
	if (!slice_make(&s, &profile, &caps) || slice_attach(&s)) {
		slice_say(&s);
		fails(t, "no slice of the counting rules");
		return;
	}
	traffic_open(&x, side, &wall_counting, &s, opt.seed);
	if (pthread_create(&th, NULL, apply_again, &ap))
		exit(1);
	while (ap.times < 20 + opt.rulesets || t->packets < opt.packets)
		if (one_frame(t, &x), ap.failed)
			break;
	ap.stop = true;
	pthread_join(th, NULL);
	counted = t->counted = slice_counted(&s);
	printf("replaced %u times under %lu packets; %lu dropped early, %llu counted\n", ap.times, t->packets, t->early,
	       (unsigned long long)counted);
	if (ap.failed || ap.times < 20)
		fails(t, "a replacement under traffic");
	if (counted != t->early)
		fails(t, "counters through replacements");
	slice_free(&s);
	sides_close(side);
}

/* A program that is not fwjit's stays on the device, and packets meet the rules. */
static void foreign(struct tally *t)
{
	static const struct bpf_insn pass[] = { { .code = BPF_ALU64 | BPF_MOV | BPF_K, .imm = XDP_PASS },
						{ .code = BPF_JMP | BPF_EXIT } };
	struct side side[2];
	struct traffic x;
	struct slice s;
	uint32_t id = 0, after = 0;
	int fd = bpf_prog_load(BPF_PROG_TYPE_XDP, "someone_else", "GPL", pass, 2, NULL);

	if (!open_with(t, side, &wall_counting, true))
		return;
	if (!slice_make(&s, &profile, &caps))
		fails(t, "no slice of the counting rules");
	else if (fd < 0 || bpf_xdp_attach(if_nametoindex(JUDGE_DEV), fd, XDP_FLAGS_DRV_MODE, NULL) ||
	    bpf_xdp_query_id(if_nametoindex(JUDGE_DEV), 0, &id))
		fails(t, "no foreign program");
	else if (slice_attach(&s) != -EBUSY)
		fails(t, "a foreign program was not refused");
	else if (bpf_xdp_query_id(if_nametoindex(JUDGE_DEV), 0, &after) || after != id)
		fails(t, "a foreign program was touched");
	else {
		traffic_open(&x, side, &wall_counting, &s, opt.seed);
		for (unsigned int i = 0; i < opt.packets / 4; i++)
			one_frame(t, &x);
		if (t->early)
			fails(t, "packets were dropped early without a slice");
	}
	slice_free(&s);
	close(fd);
	sides_close(side);
}

/* ------------------------------------------------------------------ kinds, each in a process of its own */

/* The BPF file system and /run are the test's own. */
static bool own_mounts(void)
{
	return !unshare(CLONE_NEWNS) && !mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) &&
	       !mount("run", "/run", "tmpfs", 0, "mode=0755") && !mount("bpf", "/sys/fs/bpf", "bpf", 0, "mode=0700");
}

static void row(const char *name, const struct tally *t)
{
	printf("%-20s %8lu %5lu/%-5lu %10lu %10lu %10lu %10lu %6.1f %% %6lu\n", name, t->rulesets, t->refused, t->parts,
	       t->packets, t->out, t->dropped, t->early,
	       100.0 * (t->early - t->lost) / (t->dropped + !t->dropped), t->bad);
	fflush(stdout);
}

static void random_rules(struct tally *t, unsigned int kind)
{
	unsigned int first = opt.only < 0 ? 0 : opt.only, last = opt.only < 0 ? opt.rulesets : first + 1;

	for (unsigned int i = first; i < last; i++) {
		unsigned long bad = t->bad + t->failed;

		one_ruleset(t, &wall_kinds[kind], (opt.seed * 1009 + kind) * 1000003 + i);
		if (t->bad + t->failed != bad)
			printf("again: --seed %llu --kind %u --only %u --packets %u\n", (unsigned long long)opt.seed,
			       kind, i, opt.packets);
	}
}

static unsigned int n_random(void)
{
	unsigned int n = 0;

	while (wall_kinds[n].name)
		n++;
	return n;
}

static unsigned int n_common(void)
{
	unsigned int n = 0;

	while (wall_common[n].name)
		n++;
	return n;
}

/* One kind's tally into a shared page, so that the table has a last row. */
static int one_kind(unsigned int kind, struct tally *t)
{
	unsigned int n = n_random(), m = n + n_common();
	const char *name;

	if (!own_mounts()) {
		printf("no mounts of our own: %s\n", strerror(errno));
		return 1;
	}
	if (kind < n) {
		name = wall_kinds[kind].name;
		random_rules(t, kind);
	} else if (kind < m) {
		name = wall_common[kind - n].name;
		common_rules(t, kind - n);
	} else if (kind == m) {
		name = "apply under traffic";
		under_traffic(t);
	} else {
		name = "a foreign program";
		foreign(t);
	}
	row(name, t);
	return t->bad || t->failed;
}

static void options(int argc, char **argv)
{
	static const struct option o[] = {
		{ "seed", 1, NULL, 's' }, { "rulesets", 1, NULL, 'n' }, { "packets", 1, NULL, 'p' },
		{ "kind", 1, NULL, 'k' },
		{ "only", 1, NULL, 'o' }, { "verbose", 0, NULL, 'v' }, { NULL, 0, NULL, 0 },
	};
	int c;

	while ((c = getopt_long(argc, argv, "", o, NULL)) != -1) {
		switch (c) {
		case 's': opt.seed = strtoull(optarg, NULL, 0); break;
		case 'n': opt.rulesets = atoi(optarg); break;
		case 'p': opt.packets = atoi(optarg); break;
		case 'k': opt.kind = atoi(optarg); break;
		case 'o': opt.only = atoi(optarg); break;
		case 'v': opt.verbose = true; break;
		default: exit(2);
		}
	}
}

static void tally_add(struct tally *sum, const struct tally *t)
{
	const unsigned long *from = (const void *)t;
	unsigned long *to = (void *)sum;

	for (size_t i = 0; i < sizeof(*t) / sizeof(*from); i++)
		to[i] += from[i];
}

static const char *missing(void)
{
	const char *why = judge_missing();

	if (!why && !caps.xdp_link)
		why = "this caller may not attach XDP";
	return why;
}

int main(int argc, char **argv)
{
	unsigned int kinds = n_random() + n_common() + 2, asked = 0, bad = 0;
	struct tally *t = mmap(NULL, kinds * sizeof(*t), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	struct tally sum = { 0 };
	struct ld_probe probe;
	const char *why;

	options(argc, argv);
	ld_probe(&probe);
	caps = probe.caps;
	why = missing();
	if (why) {
		printf("skip: %s\n", why);
		return 77;
	}
	ld_profile(&profile);
	printf("%-20s %8s %11s %10s %10s %10s %10s %8s %6s\n", "rules", "rulesets", "refused", "packets",
	       "came out", "dropped", "early", "share", "differ");
	for (unsigned int kind = 0; kind < kinds; kind++) {
		int status;
		pid_t pid;

		if (opt.kind >= 0 && (unsigned int)opt.kind != kind)
			continue;
		asked++;
		fflush(stdout);
		pid = fork();
		if (!pid)
			exit(one_kind(kind, &t[kind]));
		waitpid(pid, &status, 0);
		bad += status != 0;
		tally_add(&sum, &t[kind]);
	}
	row("all", &sum);
	printf("Checked: %u passed, %u failed\n", asked - bad, bad);
	return bad != 0;
}
