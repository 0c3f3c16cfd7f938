/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * apply: everything is compiled and loaded before anything is attached; what a failed step had newly attached is taken
 * back. Without -f the slice is kept in step by a resident `watch`, unless --snapshot says not to.
 */
#include <errno.h>
#include <string.h>
#include <sys/types.h>
#include <unistd.h>

#include "cli.h"

struct loaded {
	struct ld_prog prog;
	bool fresh;		/* nothing of ours was on the device before */
	char id[64];
};

static const struct ld_state *state_of(const struct ld_state *st, uint32_t n, const char *dev)
{
	for (uint32_t i = 0; i < n; i++)
		if (!st[i].gone && !strcmp(st[i].dev, dev))
			return &st[i];
	return NULL;
}

static int load_all(struct cli *c, struct plan *p, struct loaded *l)
{
	for (uint32_t i = 0; i < p->n; i++) {
		int r = ld_load(&p->dev[i].prog, c->diags, &l[i].prog);

		if (r)
			return r == -EPERM ? EXIT_RIGHTS : EXIT_INPUT;
		p->dev[i].verified_insns = l[i].prog.verified_insns;
		if (p->gate)
			ld_prog_gate(&l[i].prog, 1);
	}
	return 0;
}

static int attach_one(struct cli *c, struct plan *p, uint32_t i, struct loaded *l, const struct ld_state *old)
{
	struct plan_dev *d = &p->dev[i];
	struct strbuf meta = { .arena = c->arena };
	uint32_t n = d->placed->n_slot, *carry = NULL;
	struct meta was;

	meta_encode(&meta, p, d);
	if (old && !meta_decode(c, old, &was)) {
		carry = arena_alloc(c->arena, (n + 1) * sizeof(*carry));
		meta_carry(c->arena, was.placed, d->placed, carry);
	}
	l->fresh = !old;
	snprintf(l->id, sizeof(l->id), "%s-%s", p->target->name, d->env.dev);
	return ld_xdp_replace(c->arena, c->diags, &l->prog, d->env.dev, c->generic, meta.s, meta.len, carry, carry ? n : 0);
}

static int attach_all(struct cli *c, struct plan *p, struct loaded *l)
{
	struct ld_state *st = NULL;
	uint32_t n_st = 0;
	int r = ld_state_list(c->arena, c->diags, &st, &n_st);

	if (r)
		return EXIT_INPUT;
	for (uint32_t i = 0; i < p->n; i++) {
		r = attach_one(c, p, i, &l[i], state_of(st, n_st, p->dev[i].env.dev));
		if (!r)
			continue;
		for (uint32_t k = 0; k < i; k++)
			if (l[k].fresh)
				ld_detach(c->diags, l[k].id);
		return r == -EPERM ? EXIT_RIGHTS : EXIT_INPUT;
	}
	return 0;
}

static uint32_t count_notes(const struct cli *c)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < c->diags->n; i++)
		n += c->diags->d[i].level == DIAG_UNSUPPORTED;
	return n;
}

static void say(struct cli *c, const struct plan *p, const struct loaded *l)
{
	struct strbuf out = { .arena = c->arena };

	for (uint32_t i = 0; i < p->n; i++) {
		const struct plan_dev *d = &p->dev[i];

		if (c->json) {
			strbuf_add(&out, "{\"id\":");
			json_str(&out, l[i].id);
			strbuf_add(&out, ",\"target\":\"%s\",\"dev\":", p->target->name);
			json_str(&out, d->env.dev);
			strbuf_add(&out, ",\"mode\":\"%s\",\"insns\":%u,\"verified_insns\":%u}\n",
				   p->in.live ? "slice" : "exact", d->prog.n, d->verified_insns);
			continue;
		}
		strbuf_add(&out, "%s: %s %s, %u instructions, %u verified; %s\n", l[i].id, p->target->name,
			   c->generic ? "generic" : "native", d->prog.n, d->verified_insns,
			   p->in.live ? "drops early what the live rules surely drop" : "is the firewall of this device");
	}
	if (!p->n && !c->json)
		strbuf_add(&out, "nothing to attach: no device here drops anything surely\n");
	if (out.len)
		fwrite(out.s, 1, out.len, stdout);
	fflush(stdout);
}

static int commit(struct cli *c, struct plan *p)
{
	struct loaded *l = arena_alloc(c->arena, (p->n + 1) * sizeof(*l));
	uint32_t unknown = count_notes(c);
	int r;

	for (uint32_t i = 0; i < p->n; i++)
		l[i].prog.fd = -1;
	r = load_all(c, p, l);
	if (!r)
		r = attach_all(c, p, l);
	if (!r) {
		say(c, p, l);
		if (unknown && !c->json)
			printf("%u matches or statements are not known at XDP: packets that reach them pass to the live rules "
			       "(`fwjit check` names them)\n", unknown);
	}
	for (uint32_t i = 0; i < p->n; i++)
		if (l[i].prog.fd >= 0)
			ld_prog_close(&l[i].prog);
	return r;
}

int apply_once(struct cli *c, bool gate)
{
	struct plan p = { .gate = gate };
	int r = plan_make(c, &p);

	if (!r && !c->check_only)
		r = commit(c, &p);
	return r;
}

/* The watcher outlives apply: its own session, nothing of the caller's terminal. */
static int start_watch(struct cli *c)
{
	pid_t pid = fork();

	if (pid < 0) {
		diag_add(c->diags, DIAG_ERROR, NULL, "watch cannot be started: %s", strerror(errno));
		return EXIT_INPUT;
	}
	if (pid > 0) {
		printf("watch: process %d follows the live rules; `fwjit detach` ends it\n", (int)pid);
		return 0;
	}
	setsid();
	if (!freopen("/dev/null", "r", stdin) || !freopen("/dev/null", "w", stdout))
		_exit(EXIT_INPUT);
	_exit(verb_watch(c));
}

int verb_apply(struct cli *c)
{
	bool live = !c->n_file, watch = live && !c->snapshot && !c->check_only;
	int r, said;

	if (c->slice) {
		fprintf(stderr, "fwjit: apply: --slice goes with check, dump and test; without -f apply is a slice\n");
		return EXIT_USAGE;
	}
	if (watch)
		return c->foreground ? verb_watch(c) : (r = apply_once(c, true)) ? (cli_diags(c, DIAG_ERROR), r) :
		       (said = cli_diags(c, DIAG_ERROR)) ? said : start_watch(c);
	r = apply_once(c, false);
	said = cli_diags(c, live ? DIAG_ERROR : DIAG_UNSUPPORTED);
	if (!r && live && !c->check_only && !c->json)
		printf("snapshot: true of the rules, addresses and routes as they are now; a change of any of them makes it "
		       "stale, and it would go on dropping: apply again then\n");
	return r ? r : said;
}
