/* SPDX-License-Identifier: GPL-2.0-only */
/* check: for each rule, where it runs or why not; loads each program without attaching it, where the caller may. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "cli.h"

struct table {			/* what was refused, sorted by rule for quick look-up */
	const struct diag **d;
	uint32_t n;
	const struct diag *all;	/* why nothing runs, though it is no rule's fault; NULL */
};

static int cmp_at(const struct imr_at *a, const struct imr_at *b)
{
	int d = (a->number > b->number) - (a->number < b->number);

	d = d ? d : (a->handle > b->handle) - (a->handle < b->handle);
	d = d ? d : strcmp(a->where ? a->where : "", b->where ? b->where : "");
	return d ? d : strcmp(a->tool ? a->tool : "", b->tool ? b->tool : "");
}

/* Of one rule's, the first that was said stands first. */
static int cmp_diag(const void *pa, const void *pb)
{
	const struct diag *a = *(const struct diag *const *)pa, *b = *(const struct diag *const *)pb;
	int d = cmp_at(&a->at, &b->at);

	return d ? d : (a > b) - (a < b);
}

static struct table refused(struct cli *c)
{
	struct table t = { .d = arena_alloc(c->arena, (c->diags->n + 1) * sizeof(*t.d)) };

	for (uint32_t i = 0; i < c->diags->n; i++) {
		const struct diag *d = &c->diags->d[i];

		if (d->level == DIAG_UNSUPPORTED && d->at.where)
			t.d[t.n++] = d;
		else if (d->level >= DIAG_UNSUPPORTED && !t.all)
			t.all = d;
	}
	qsort(t.d, t.n, sizeof(*t.d), cmp_diag);
	return t;
}

static const struct diag *refused_at(const struct table *t, const struct imr_at *at)
{
	uint32_t lo = 0, hi = t->n;

	while (lo < hi) {
		uint32_t mid = lo + (hi - lo) / 2;

		if (cmp_at(&t->d[mid]->at, at) < 0)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo < t->n && at_same(&t->d[lo]->at, at) ? t->d[lo] : NULL;
}

/* Where a rule runs, in words; *ret_where a short word for JSON. */
static const char *place(struct cli *c, const struct plan *p, const struct table *t, const struct diag *d,
			 const struct imr_at *at, const char **ret_where)
{
	struct strbuf on = { .arena = c->arena };

	*ret_where = "kernel";
	if (d && !p->in.live) {
		*ret_where = "refused";
		return d->message;
	}
	for (uint32_t i = 0; i < p->n; i++)
		if (plan_has(&p->dev[i], at)) {
			*ret_where = p->dev[i].target->name;
			strbuf_add(&on, "%s%s on %s", on.len ? "; " : "", *ret_where, p->dev[i].on);
		}
	if (on.len)
		return arena_printf(c->arena, p->in.live ? "%s drops early" : "%s, exactly", on.s);
	if (!p->in.live) {
		*ret_where = "nowhere";
		return t->all ? t->all->message : t->n ? "all rules or none: others are refused" : "no packet gets there";
	}
	return d ? arena_printf(c->arena, "the live rules only: %s", d->message) : "the live rules only";
}

static void rule_line(struct cli *c, struct strbuf *out, const struct plan *p, const struct table *t, const struct imr_at *at)
{
	const struct diag *d = refused_at(t, at);
	const char *where, *why = place(c, p, t, d, at, &where);

	if (c->json) {
		strbuf_add(out, "{\"chain\":");
		json_str(out, at->where);
		strbuf_add(out, ",\"rule\":%u", at->number);
		if (at->handle)
			strbuf_add(out, ",\"handle\":%llu", (unsigned long long)at->handle);
		strbuf_add(out, ",\"where\":\"%s\",\"why\":", where);
		json_str(out, why);
		if (d) {
			strbuf_add(out, ",\"refused\":");
			json_str(out, d->message);
		}
		strbuf_add(out, ",\"text\":");
		json_str(out, at->text);
		strbuf_add(out, "}\n");
		return;
	}
	strbuf_add(out, "  %4u  %-8s %s\n", at->number, where, at->text ? at->text : "(no text)");
	strbuf_add(out, "        %s\n", why);
}

/* Tables of which no rule is judged, so that none of them is silently not in the list. */
static void left_out(struct cli *c, struct strbuf *out)
{
	for (uint32_t i = 0; i < c->diags->n; i++) {
		const struct diag *d = &c->diags->d[i];

		if (d->level != DIAG_NOTE || !d->at.where || d->at.number)
			continue;
		if (!c->json) {
			strbuf_add(out, "%s: %s\n", d->at.where, d->message);
			continue;
		}
		strbuf_add(out, "{\"table\":");
		json_str(out, d->at.where);
		strbuf_add(out, ",\"left_out\":");
		json_str(out, d->message);
		strbuf_add(out, "}\n");
	}
}

static void rules(struct cli *c, struct strbuf *out, const struct plan *p)
{
	struct table t = refused(c);
	const struct imr *imr = p->in.source;

	left_out(c, out);
	for (uint32_t i = 0; imr && i < imr->n; i++) {
		const struct imr_chain *ch = &imr->chain[i];

		if (!c->json)
			strbuf_add(out, "%s%s%s\n", ch->at.where ? ch->at.where : ch->name, ch->hook ? ", hook " : "",
				   ch->hook ? imr_hooks[ch->hook].name : "");
		for (uint32_t k = 0; k < ch->n; k++)
			rule_line(c, out, p, &t, &ch->rule[k].at);
	}
}

/* What would keep apply from attaching what loads. */
static const char *obstacle(struct cli *c, const struct plan_dev *d)
{
	struct diags quiet = { .arena = c->arena };
	struct ld_state *st = NULL;
	uint32_t n = 0, ours = 0;

	if (d->where.kind != LD_XDP)
		return NULL;
	ld_state_list(c->arena, &quiet, &st, &n);
	for (uint32_t i = 0; i < n; i++)
		if (st[i].where.kind == LD_XDP && !st[i].gone && !strcmp(st[i].where.dev, d->where.dev))
			ours = st[i].prog_id;
	return ld_xdp_obstacle(c->arena, d->where.dev, d->where.generic, ours);
}

/* Loaded to be verified, then let go. What the caller may not do is said, not an error. */
static int try_load(struct cli *c, struct strbuf *out, struct plan *p)
{
	for (uint32_t i = 0; i < p->n; i++) {
		struct plan_dev *d = &p->dev[i];
		const char *but = obstacle(c, d);
		struct ld_prog prog;
		int r = c->caps || !d->prog.n ? -EPERM : ld_load(&d->prog, c->diags, &prog);

		if (r && r != -EPERM)
			return EXIT_INPUT;
		if (!r) {
			d->verified_insns = prog.verified_insns;
			ld_prog_close(&prog);
		}
		if (c->json) {
			strbuf_add(out, "{\"target\":\"%s\",\"on\":", d->target->name);
			json_str(out, d->on);
			strbuf_add(out, ",\"over\":");
			json_str(out, d->over);
			strbuf_add(out, ",\"dev\":");
			json_str(out, d->env.dev);
			strbuf_add(out, ",\"insns\":%u,\"verified_insns\":%u,\"slots\":%u,\"loads\":%s", plan_insns(d),
				   d->verified_insns, d->prog.n_slot, r ? "null" : "true");
			if (but) {
				strbuf_add(out, ",\"but\":");
				json_str(out, but);
			}
			strbuf_add(out, "}\n");
		} else {
			strbuf_add(out, "%s on %s: %u instructions, %s%s%s%s%s\n", d->target->name, d->on, plan_insns(d),
				   !d->prog.n ? "classic, nothing to verify" : r ? "not loaded (not permitted here)" :
				       arena_printf(c->arena, "loads, %u instructions verified", d->verified_insns),
				   but ? "; but " : "", but ? but : "", d->over ? "; not " : "", d->over ? d->over : "");
		}
	}
	return 0;
}

int verb_check(struct cli *c)
{
	struct strbuf out = { .arena = c->arena };
	struct plan p = { 0 };
	struct caps real;
	const char *what;
	int r, said;

	c->asks_no_more = c->caps && c->n_file && !c->slice;	/* for another machine: it is not loaded here */
	/* Compiling needs no rights: where the caller lacks them the verdict is what root could do. */
	if (!c->caps && !plan_caps(c, &real) && be_target_missing(&be_targets[0], &real, &what))
		c->caps = "root";
	r = plan_make(c, &p);
	if (r == 0 || r == EXIT_INEXACT) {
		rules(c, &out, &p);
		if (!r)
			r = try_load(c, &out, &p);
	}
	said = cli_diags(c, p.in.live ? DIAG_ERROR : DIAG_UNSUPPORTED);
	cli_put(c, &out, false);
	return r ? r : said;
}
