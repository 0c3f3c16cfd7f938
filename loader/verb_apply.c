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

static const struct ld_state *state_of(const struct ld_state *st, uint32_t n, const char *dev)
{
	for (uint32_t i = 0; i < n; i++)
		if (!st[i].gone && st[i].where.kind == LD_XDP && !strcmp(st[i].where.dev, dev))
			return &st[i];
	return NULL;
}

static int exit_of(int err)
{
	return err == -EPERM ? EXIT_RIGHTS : EXIT_INPUT;
}

static int load_all(struct cli *c, struct plan *p, struct ld_prog *prog)
{
	for (uint32_t i = 0; i < p->n; i++) {
		int r = ld_load(&p->dev[i].prog, c->diags, &prog[i]);

		if (r)
			return exit_of(r);
		p->dev[i].verified_insns = prog[i].verified_insns;
		p->dev[i].prog_id = prog[i].id;
		if (p->gate)
			ld_prog_gate(&prog[i], 0);
	}
	return 0;
}

/* What is attached to one device, with the counters that its rules had. */
static void attachment(struct cli *c, struct plan *p, uint32_t i, const struct ld_prog *prog, const struct ld_state *old,
		       struct ld_attach *ret)
{
	struct plan_dev *d = &p->dev[i];
	struct strbuf meta = { .arena = c->arena };
	struct meta was;

	meta_encode(&meta, p, d);
	*ret = (struct ld_attach){
		.prog = prog, .where = { .kind = LD_XDP, .generic = c->generic }, .meta = meta.s, .meta_len = meta.len,
	};
	snprintf(ret->where.dev, sizeof(ret->where.dev), "%s", d->env.dev);
	if (old && !meta_decode(c, old, &was)) {
		uint32_t *carry = arena_alloc(c->arena, (d->placed->n_slot + 1) * sizeof(*carry));

		meta_carry(c->arena, was.placed, d->placed, carry);
		ret->carry = carry;
		ret->n_carry = d->placed->n_slot;
	}
}

static int attach_all(struct cli *c, struct plan *p, const struct ld_prog *prog)
{
	struct ld_attach *what = arena_alloc(c->arena, (p->n + 1) * sizeof(*what));
	struct ld_state *st = NULL;
	uint32_t n_st = 0;
	int r;

	if (ld_state_list(c->arena, c->diags, &st, &n_st))
		return EXIT_INPUT;
	for (uint32_t i = 0; i < p->n; i++)
		attachment(c, p, i, &prog[i], state_of(st, n_st, p->dev[i].env.dev), &what[i]);
	r = ld_attach_all(c->diags, what, p->n);
	return r ? exit_of(r) : 0;
}

static uint32_t count_notes(const struct cli *c)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < c->diags->n; i++)
		n += c->diags->d[i].level == DIAG_UNSUPPORTED;
	return n;
}

static const char *id_of(struct cli *c, const struct plan *p, uint32_t i)
{
	return arena_printf(c->arena, "%s-%s", p->target->name, p->dev[i].env.dev);
}

static void say(struct cli *c, const struct plan *p, uint32_t unknown)
{
	struct strbuf out = { .arena = c->arena };

	for (uint32_t i = 0; i < p->n; i++) {
		const struct plan_dev *d = &p->dev[i];
		const char *id = id_of(c, p, i);

		if (c->json) {
			strbuf_add(&out, "{\"id\":");
			json_str(&out, id);
			strbuf_add(&out, ",\"target\":\"%s\",\"dev\":", p->target->name);
			json_str(&out, d->env.dev);
			strbuf_add(&out, ",\"mode\":\"%s\",\"insns\":%u,\"verified_insns\":%u}\n",
				   p->in.live ? "slice" : "exact", d->prog.n, d->verified_insns);
			continue;
		}
		strbuf_add(&out, "%s: %s %s, %u instructions, %u verified; %s\n", id, p->target->name,
			   c->generic ? "generic" : "native", d->prog.n, d->verified_insns,
			   p->in.live ? "drops early what the live rules surely drop" : "is the firewall of this device");
	}
	for (uint32_t i = 0; i < p->n && !c->json; i++)
		if (ld_packet_socket(p->dev[i].env.ifindex))
			strbuf_add(&out, "packet sockets (a DHCP client, a capture) hear %s: what is dropped at XDP they no longer see; "
				   "accept what they need in the rules\n", p->dev[i].env.dev);
	if (!p->n && !c->json)
		strbuf_add(&out, "nothing to attach: no device here drops anything surely\n");
	if (unknown && !c->json)
		strbuf_add(&out, "%u matches or statements are not known at XDP: packets that reach them pass to the live rules "
			   "(`fwjit check` names them)\n", unknown);
	if (out.len)
		fwrite(out.s, 1, out.len, stdout);
	fflush(stdout);
}

static int commit(struct cli *c, struct plan *p)
{
	struct ld_prog *prog = arena_alloc(c->arena, (p->n + 1) * sizeof(*prog));
	int r;

	for (uint32_t i = 0; i < p->n; i++)
		prog[i].fd = -1;
	r = load_all(c, p, prog);
	if (!r)
		r = attach_all(c, p, prog);
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
		imr_print(&text, p->dev[i].placed);
	}
	for (size_t i = 0; i < text.len; i++)
		h = (h ^ (uint8_t)text.s[i]) * 1099511628211ull;
	return h;
}

static bool planned(struct cli *c, const struct plan *p, const char *id)
{
	for (uint32_t i = 0; i < p->n; i++)
		if (!strcmp(id_of(c, p, i), id))
			return true;
	return false;
}

/* A slice that the live rules no longer give reason for must not go on dropping. */
static int retire(struct cli *c, const struct plan *p)
{
	struct ld_state *st = NULL;
	uint32_t n = 0;
	int r = ld_state_list(c->arena, c->diags, &st, &n);

	for (uint32_t i = 0; i < n && !r; i++) {
		struct meta m;

		if (st[i].gone || planned(c, p, st[i].id) || meta_decode(c, &st[i], &m) || !m.live)
			continue;
		if (ld_state_gate(st[i].id, st[i].prog_id, 0))
			r = ld_detach(c->diags, st[i].id);
	}
	return r ? exit_of(r) : 0;
}

static int remember(struct cli *c, const struct plan *p, struct applied *ret)
{
	struct applied_prog *prog = realloc(ret->prog, (p->n + 1) * sizeof(*prog));

	if (!prog) {
		diag_add(c->diags, DIAG_ERROR, NULL, "%s", strerror(ENOMEM));
		return EXIT_INPUT;
	}
	for (uint32_t i = 0; i < p->n; i++) {
		snprintf(prog[i].att, sizeof(prog[i].att), "%s", id_of(c, p, i));
		prog[i].id = p->dev[i].prog_id;
	}
	ret->prog = prog;
	ret->n = p->n;
	return 0;
}

int apply_once(struct cli *c, bool gate, struct applied *ret)
{
	struct plan p = { .gate = gate };
	int r = plan_make(c, &p);
	uint64_t is;

	if (!r && !p.in.live)
		r = plan_tags(c, &p);
	if (r || c->check_only)
		return r;
	is = print_of(c, &p);
	if (ret->fingerprint == is)
		return 0;
	r = commit(c, &p);
	if (!r)
		r = remember(c, &p, ret);
	if (!r && p.in.live && !c->n_dev)
		r = retire(c, &p);
	if (r)
		return r;
	say(c, &p, count_notes(c));
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
		close(ready[0]);
		setsid();
		_exit(watch_run(c, ready[1]));
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

	if (c->slice) {
		fprintf(stderr, "fwjit: apply: --slice goes with check, dump and test; without -f apply is a slice\n");
		return EXIT_USAGE;
	}
	if (live && !c->snapshot && !c->check_only)
		return c->foreground ? verb_watch(c) : start_watch(c);
	r = apply_once(c, false, &done);
	free(done.prog);
	said = cli_diags(c, live ? DIAG_ERROR : DIAG_UNSUPPORTED);
	if (!r && live && !c->check_only && !c->json)
		printf("snapshot: true of the rules, addresses and routes as they are now; a change of any of them makes it "
		       "stale, and it would go on dropping: apply again then\n");
	return r ? r : said;
}
