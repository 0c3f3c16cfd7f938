/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * apply: everything is compiled and loaded before anything is attached, and then all devices or none. Without -f the slice is kept in step by a resident `watch`, unless --snapshot says not to.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>
#include <unistd.h>

#include "cli.h"

static const struct ld_state *state_of(const struct ld_state *st, uint32_t n, const char *id)
{
	for (uint32_t i = 0; i < n; i++)
		if (!st[i].gone && !strcmp(st[i].id, id))
			return &st[i];
	return NULL;
}

static int exit_of(int err)
{
	return err == -EPERM || err == -EACCES ? EXIT_RIGHTS : EXIT_INPUT;
}

static int load_all(struct cli *c, struct plan *p, struct ld_prog *prog)
{
	for (uint32_t i = 0; i < p->n; i++) {
		int r = p->dev[i].prog.n ? ld_load(&p->dev[i].prog, c->diags, &prog[i]) : 0;

		if (r)
			return exit_of(r);
		p->dev[i].verified_insns = prog[i].verified_insns;
		p->dev[i].prog_id = prog[i].id;
		if (p->gate)
			ld_prog_gate(&prog[i], 0);
	}
	return 0;
}

static struct applied_prog *applied_find(const struct applied *a, const char *att)
{
	for (uint32_t i = 0; i < a->n; i++)
		if (!strcmp(a->prog[i].att, att))
			return &a->prog[i];
	return NULL;
}

static struct applied_prog *applied_add(struct cli *c, struct applied *a, const char *att, const char *dev)
{
	struct applied_prog *prog = realloc(a->prog, (a->n + 1) * sizeof(*prog));

	if (!prog) {
		diag_add(c->diags, DIAG_ERROR, NULL, "%s", strerror(ENOMEM));
		return NULL;
	}
	a->prog = prog;
	prog = &prog[a->n++];
	*prog = (struct applied_prog){ 0 };
	snprintf(prog->att, sizeof(prog->att), "%s", att);
	snprintf(prog->dev, sizeof(prog->dev), "%s", dev);
	return prog;
}

/* The program that must still run there when the new one is attached. A watcher replaces its own only, once it has one. */
static uint32_t expected(const struct applied *a, const struct ld_state *st, uint32_t n, const char *att)
{
	const struct applied_prog *prog = applied_find(a, att);
	const struct ld_state *old = state_of(st, n, att);

	if (prog && !prog->left)
		return prog->id;
	if (old)
		return old->prog_id;
	for (uint32_t i = 0; i < n; i++)
		if (!strcmp(st[i].id, att))
			return 0;
	return LD_NONE;
}

/* A slice never takes the place of a firewall. A watcher that has work elsewhere leaves the device alone. */
static int refuse_exact(struct cli *c, struct applied *a, const struct ld_state *old)
{
	struct applied_prog *prog;

	if (a->fingerprint && !c->n_dev) {
		prog = applied_add(c, a, old->id, old->where.dev);
		a->stale = prog;
		if (prog)
			prog->left = true;
		return EXIT_INPUT;
	}
	diag_add(c->diags, DIAG_ERROR, NULL, "\"%s\" is the firewall of \"%s\", from a file: a slice would take its place",
		 old->id, old->where.dev)
		->hint = arena_printf(c->arena, "`fwjit detach %s` first, or choose other devices with --dev", old->id);
	return EXIT_INPUT;
}

/* What is attached to one device, with the counters that its rules had. */
static int attachment(struct cli *c, struct plan *p, uint32_t i, struct applied *a, const struct ld_state *old,
		      struct ld_attach *ret)
{
	struct plan_dev *d = &p->dev[i];
	struct strbuf meta = { .arena = c->arena };
	struct meta was;

	meta_encode(&meta, p, d);
	*ret = (struct ld_attach){
		.where = d->where, .meta = meta.s, .meta_len = meta.len,
	};
	if (!old || meta_decode(c, old, &was))
		return 0;
	if (p->in.live && !was.live)
		return refuse_exact(c, a, old);
	ret->carry = arena_alloc(c->arena, (d->placed->n_slot + 1) * sizeof(*ret->carry));
	meta_carry(c->arena, was.placed, d->placed, (uint32_t *)ret->carry);
	ret->n_carry = d->placed->n_slot;
	return 0;
}

static int attach_all(struct cli *c, struct plan *p, const struct ld_prog *prog, struct applied *a)
{
	struct ld_attach *what = arena_alloc(c->arena, (p->n + 1) * sizeof(*what));
	struct ld_state *st = NULL;
	uint32_t n_st = 0;
	int r;

	if (ld_state_list(c->arena, c->diags, &st, &n_st))
		return EXIT_INPUT;
	for (uint32_t i = 0; i < p->n; i++) {
		const struct plan_dev *d = &p->dev[i];

		r = attachment(c, p, i, a, state_of(st, n_st, d->id), &what[i]);
		if (r)
			return r;
		what[i].prog = d->prog.n ? &prog[i] : NULL;
		what[i].n_filter = d->prog.n_filter;
		what[i].filter = d->prog.filter;
		what[i].claim = a->claim;
		if (p->in.live)
			what[i].expect = expected(a, st, n_st, d->id);
	}
	r = ld_attach_all(c->diags, what, p->n);
	a->stale = r == -ESTALE;
	return r ? exit_of(r) : 0;
}

static uint32_t count_notes(const struct cli *c)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < c->diags->n; i++)
		n += c->diags->d[i].level == DIAG_UNSUPPORTED;
	return n;
}

/* Attached where somebody else is root. */
static bool brokered(const struct cli *c)
{
	return (c->netns || c->pid) && !c->peer;
}

static void say(struct cli *c, const struct plan *p, uint32_t unknown)
{
	struct strbuf out = { .arena = c->arena };

	for (uint32_t i = 0; i < p->n; i++) {
		const struct plan_dev *d = &p->dev[i];

		if (c->json) {
			strbuf_add(&out, "{\"id\":");
			json_str(&out, d->id);
			strbuf_add(&out, ",\"target\":\"%s\",\"on\":", d->target->name);
			json_str(&out, d->on);
			strbuf_add(&out, ",\"over\":");
			json_str(&out, d->over);
			strbuf_add(&out, ",\"dev\":");
			json_str(&out, d->env.dev);
			if (brokered(c))
				strbuf_add(&out, ",\"evades\":\"%s\"", peer_evades(&d->where));
			strbuf_add(&out, ",\"access\":\"%s\",\"mode\":\"%s\",\"insns\":%u,\"verified_insns\":%u}\n",
				   d->prog.access ? d->prog.access : "classic", p->in.live ? "slice" : "exact",
				   plan_insns(d), d->verified_insns);
			continue;
		}
		strbuf_add(&out, "%s: %s on %s%s, %u instructions, %u verified; %s\n", d->id, d->target->name, d->on,
			   d->where.kind != LD_XDP ? "" : c->generic ? ", generic" : ", native", plan_insns(d),
			   d->verified_insns,
			   p->in.live ? "drops early what the live rules surely drop" : "is the firewall there");
		if (d->over)
			strbuf_add(&out, "  not %s\n", d->over);
	}
	for (uint32_t i = 0; i < p->n && brokered(c) && !c->json; i++)
		strbuf_add(&out, "%s: what still evades it: %s\n", p->dev[i].id, peer_evades(&p->dev[i].where));
	for (uint32_t i = 0; i < p->n && !c->json; i++)
		if (p->dev[i].where.kind == LD_XDP && ld_packet_socket(p->dev[i].env.ifindex))
			strbuf_add(&out, "packet sockets (a DHCP client, a capture) hear %s: what is dropped at XDP they no longer see; "
				   "accept what they need in the rules\n", p->dev[i].env.dev);
	if (!p->n && !c->json)
		strbuf_add(&out, "nothing to attach: %s\n", p->in.live ? "no device here drops anything surely" :
								      "the file has no chain at the ingress of a device");
	if (!c->json && ld_bpffs_private())
		strbuf_add(&out, "what is attached ends with this mount namespace: its BPF file system is not the one that process 1 "
			   "sees\n");
	if (unknown && !c->json)
		strbuf_add(&out, "%u matches or statements are not known at XDP: packets that reach them pass to the live rules "
			   "(`fwjit check` names them)\n", unknown);
	cli_put(c, &out, false);
}

/* What an earlier file made the firewall of other devices stays; nobody should take it for gone. */
static void say_others(struct cli *c, const struct plan *p)
{
	struct ld_state *st = NULL;
	uint32_t n = 0;

	if (p->in.live || c->json || ld_state_list(c->arena, c->diags, &st, &n))
		return;
	for (uint32_t i = 0; i < n; i++) {
		bool here = false;
		struct meta m;

		for (uint32_t k = 0; k < p->n; k++)
			here = here || !strcmp(st[i].id, p->dev[k].id);
		if (!here && !st[i].gone && !meta_decode(c, &st[i], &m) && !m.live)
			printf("%s: stays as an earlier file made it; `fwjit detach %s` removes it\n", st[i].id, st[i].id);
	}
	fflush(stdout);
}

static int commit(struct cli *c, struct plan *p, struct applied *a)
{
	struct ld_prog *prog = arena_alloc(c->arena, (p->n + 1) * sizeof(*prog));
	int r;

	for (uint32_t i = 0; i < p->n; i++)
		prog[i].fd = -1;
	r = load_all(c, p, prog);
	if (!r)
		r = attach_all(c, p, prog, a);
	for (uint32_t i = 0; i < p->n; i++)
		if (prog[i].fd >= 0)
			ld_prog_close(&prog[i]);
	return r;
}

/* All that the programs of a plan are made from: the same print is the same programs. */
static uint64_t print_of(struct cli *c, const struct plan *p)
{
	struct strbuf text = { .arena = c->arena };
	uint64_t h = 14695981039346656037ull;

	for (uint32_t i = 0; i < p->n; i++) {
		ld_env_print(&text, &p->dev[i].env);
		strbuf_add(&text, "%s\n", p->dev[i].id);
		imr_print(&text, p->dev[i].placed);
	}
	for (size_t i = 0; i < text.len; i++)
		h = (h ^ (uint8_t)text.s[i]) * 1099511628211ull;
	return h;
}

static bool planned(struct cli *c, const struct plan *p, const char *id)
{
	for (uint32_t i = 0; i < p->n; i++)
		if (!strcmp(p->dev[i].id, id))
			return true;
	return false;
}

/* A slice that the live rules no longer give reason for must not go on dropping. Of what others have attached meanwhile a
 * watcher knows nothing. */
static int retire(struct cli *c, const struct plan *p, const struct applied *a)
{
	struct ld_state *st = NULL;
	uint32_t n = 0;
	int r = ld_state_list(c->arena, c->diags, &st, &n);

	for (uint32_t i = 0; i < n && !r; i++) {
		const struct applied_prog *prog = applied_find(a, st[i].id);
		struct meta m;

		if (st[i].gone || planned(c, p, st[i].id) || (a->fingerprint && (!prog || prog->id != st[i].prog_id)) ||
		    meta_decode(c, &st[i], &m) || !m.live)
			continue;
		if (ld_state_gate(st[i].id, st[i].prog_id, 0))
			r = ld_detach(c->diags, st[i].id);
	}
	return r ? exit_of(r) : 0;
}

static int remember(struct cli *c, const struct plan *p, struct applied *a)
{
	for (uint32_t i = 0; i < a->n; i++)
		a->prog[i].planned = false;
	for (uint32_t i = 0; i < p->n; i++) {
		const char *id = p->dev[i].id;
		struct applied_prog *prog = applied_find(a, id);

		if (!prog)
			prog = applied_add(c, a, id, p->dev[i].env.dev);
		if (!prog)
			return EXIT_INPUT;
		prog->id = p->dev[i].prog_id;
		prog->planned = true;
	}
	return 0;
}

int apply_once(struct cli *c, bool gate, struct applied *ret)
{
	struct plan p = { .gate = gate };
	int r = plan_make(c, &p);
	uint64_t is;

	if (!r && c->peer)
		r = peer_units(c, &p);
	if (r || c->check_only)
		return r;
	is = print_of(c, &p);
	if (ret->fingerprint == is)
		return 0;
	r = commit(c, &p, ret);
	if (!r)
		r = remember(c, &p, ret);
	if (!r && p.in.live && !c->n_dev)
		r = retire(c, &p, ret);
	if (r)
		return r;
	say(c, &p, count_notes(c));
	say_others(c, &p);
	ret->fingerprint = is;
	return 0;
}

/* The watcher outlives apply: its own session, nothing of the caller's terminal once the first programs are in. */
static int start_watch(struct cli *c)
{
	int ready[2];
	char status = EXIT_INPUT;
	pid_t pid;

	if (pipe(ready) || (pid = fork()) < 0) {
		diag_add(c->diags, DIAG_ERROR, NULL, "watch cannot be started: %s", strerror(errno));
		return EXIT_INPUT;
	}
	if (!pid) {
		/* Nothing of the caller's stays open: not its locks, not the descriptors that it forgot. */
		if (dup2(ready[1], 3) < 0 || close_range(4, ~0U, 0) < 0)
			_exit(EXIT_INPUT);
		setsid();
		_exit(watch_run(c, 3));
	}
	close(ready[1]);
	if (read(ready[0], &status, 1) != 1)
		status = EXIT_INPUT;
	close(ready[0]);
	if (!status && !c->json)
		printf("watch: process %d follows the live rules; `fwjit detach` ends it\n", (int)pid);
	return status;
}

int verb_apply(struct cli *c)
{
	struct applied done = { 0 };
	bool live = !c->n_file;
	int r, said;

	if (c->peer && live) {
		fprintf(stderr, "fwjit: apply: --peer goes with -f: live rules belong to where they are\n");
		return EXIT_USAGE;
	}
	if (c->peer && !c->target)
		c->target = "tc";
	if (c->slice) {
		fprintf(stderr, "fwjit: apply: --slice goes with check, dump and test; without -f apply is a slice\n");
		return EXIT_USAGE;
	}
	if (live && !c->snapshot && !c->check_only)
		return c->foreground ? verb_watch(c) : start_watch(c);
	r = apply_once(c, false, &done);
	free(done.prog);
	said = cli_diags(c, live ? DIAG_ERROR : DIAG_NOTE);
	if (!r && live && !c->check_only && !c->json)
		printf("snapshot: true of the rules, addresses and routes as they are now; a change of any of them makes it "
		       "stale, and it would go on dropping: apply again then\n");
	return r ? r : said;
}
