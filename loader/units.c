/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The units of a plan: one program at one place each. For every place that the rules need, the targets are tried in the
 * order of their table, best first; the first that the caller may use and that says every rule there exactly is taken,
 * and why the others were not is kept. Nothing is loaded here.
 */
#include <net/if.h>
#include <stdlib.h>
#include <string.h>

#include "cli.h"

/* ------------------------------------------------------------------ devices */

static bool name_add(struct cli *c, const char ***names, uint32_t *n, const char *name)
{
	for (uint32_t i = 0; i < *n; i++)
		if (!strcmp((*names)[i], name))
			return false;
	*names = arena_grow(c->arena, *names, *n * sizeof(**names), (*n + 1) * sizeof(**names));
	(*names)[(*n)++] = name;
	return true;
}

static bool is_netdev_in(const struct imr_chain *ch)
{
	return ch->hook == HOOK_NETDEV_INGRESS || ch->hook == HOOK_INET_INGRESS;
}

/* Exact: the devices that the chains of a hook are bound to. */
static void devices_bound(struct cli *c, const struct imr *imr, bool egress, const char ***names, uint32_t *n)
{
	for (uint32_t i = 0; i < imr->n; i++) {
		const struct imr_chain *ch = &imr->chain[i];

		for (uint32_t k = 0; k < ch->n_dev; k++)
			if (egress ? ch->hook == HOOK_NETDEV_EGRESS : is_netdev_in(ch))
				name_add(c, names, n, ch->dev[k]);
	}
}

/* Live: every device here that could carry a slice; what it refuses or gains nothing by is left out later. */
static void devices_here(struct cli *c, const char ***names, uint32_t *n)
{
	struct if_nameindex *list = if_nameindex();

	for (struct if_nameindex *i = list; i && i->if_index; i++)
		if (strcmp(i->if_name, "lo"))
			name_add(c, names, n, arena_strndup(c->arena, i->if_name, strlen(i->if_name)));
	if_freenameindex(list);
}

/* What somebody has taken from the watcher stays with them. */
static void devices_keep(const struct cli *c, const char **names, uint32_t *n)
{
	uint32_t k = 0;

	for (uint32_t i = 0; i < *n; i++) {
		bool left = false;

		for (uint32_t j = 0; c->but && j < c->but->n; j++)
			left = left || (c->but->prog[j].left && !strcmp(c->but->prog[j].dev, names[i]));
		if (!left)
			names[k++] = names[i];
	}
	*n = k;
}

static void devices(struct cli *c, const struct cli_input *in, bool egress, const char ***names, uint32_t *n)
{
	*names = NULL;
	*n = 0;
	if (!in->live)
		devices_bound(c, in->imr, egress, names, n);
	if (c->n_dev && (in->live || *n)) {
		*n = 0;
		for (unsigned int i = 0; i < c->n_dev; i++)
			name_add(c, names, n, c->dev[i]);
		return;
	}
	if (in->live && !c->slice)
		devices_here(c, names, n);
	else if (in->live)
		name_add(c, names, n, "eth0");
}

/* ------------------------------------------------------------------ what a placed program does */

static bool rule_drops(const struct imr_rule *r)
{
	for (uint32_t j = 0; j < r->n; j++)
		if (r->insn[j].op == OP_DROP ||
		    (imr_ops[r->insn[j].op].class == CLASS_TEST && r->insn[j].els == ELSE_DROP))
			return true;
	return false;
}

static bool has_drop(const struct imr *placed)
{
	for (uint32_t i = 0; i < placed->n; i++) {
		const struct imr_chain *ch = &placed->chain[i];

		if (ch->policy == OP_DROP)
			return true;
		for (uint32_t k = 0; k < ch->n; k++)
			if (rule_drops(&ch->rule[k]))
				return true;
	}
	return false;
}

static int cmp_at(const void *pa, const void *pb)
{
	const struct imr_at *a = *(const struct imr_at *const *)pa, *b = *(const struct imr_at *const *)pb;
	int r = strcmp(a->where ? a->where : "", b->where ? b->where : "");

	if (!r)
		r = (a->number > b->number) - (a->number < b->number);
	return r ? r : strcmp(a->tool ? a->tool : "", b->tool ? b->tool : "");
}

/* The rules that the program has (live: that it drops by), sorted, for quick look-up. */
static void index_rules(struct cli *c, struct plan_dev *d, bool drops)
{
	const struct imr_chain *ch = &d->placed->chain[0];

	d->at = arena_alloc(c->arena, (ch->n + 1) * sizeof(*d->at));
	d->n_at = 0;
	for (uint32_t k = 0; k < ch->n; k++)
		if (!drops || rule_drops(&ch->rule[k]))
			d->at[d->n_at++] = &ch->rule[k].at;
	if (!drops || ch->policy == OP_DROP)
		d->at[d->n_at++] = &ch->at;
	qsort(d->at, d->n_at, sizeof(*d->at), cmp_at);
}

bool plan_has(const struct plan_dev *d, const struct imr_at *at)
{
	return bsearch(&at, d->at, d->n_at, sizeof(*d->at), cmp_at) != NULL;
}

/* ------------------------------------------------------------------ one unit */

static const char *over_add(struct cli *c, const char *over, const struct target *t, const char *why)
{
	return arena_printf(c->arena, "%s%s%s: %s", over ? over : "", over ? "; " : "", t->name, why);
}

/* In the words of the last diagnostic, its rule with it. */
static const char *last_words(struct cli *c, const struct diags *ds)
{
	const struct diag *d = ds->n ? &ds->d[ds->n - 1] : NULL;

	if (!d)
		return "it cannot be said there";
	return d->at.where ? arena_printf(c->arena, "%s rule %u: %s", d->at.where, d->at.number, d->message) : d->message;
}

static struct be_opts opts_of(const struct cli *c, const struct plan *p, const struct plan_dev *d)
{
	struct be_opts o = { .gate = p->gate, .load_bytes = c->access && !strcmp(c->access, "load_bytes") };

	if (!d->has_dev)
		return o;
	o.ifindex = d->env.ifindex;
	memcpy(o.mac, d->env.mac, sizeof(o.mac));
	memcpy(o.dev, d->env.dev, sizeof(o.dev));
	return o;
}

/* XDP sees no VLAN tag that the device hands over beside the frame: then no rule may ask for one. Each that does is named. */
static bool tags_hidden(struct cli *c, const struct plan_dev *d, struct diags *ds)
{
	const char *hint;
	uint32_t n;
	const struct imr_rule **rule = imr_tag_readers(d->placed, &n);

	if (!n || !if_nametoindex(d->env.dev) || ld_vlan_hidden(c->arena, d->env.dev, &hint) <= 0)
		return false;
	for (uint32_t k = 0; k < n; k++)
		diag_add(ds, DIAG_UNSUPPORTED, &rule[k]->at, "it asks for the VLAN tag, which \"%s\" may get beside the frame",
			 d->env.dev)->hint = hint;
	return true;
}

/* Before receive offload a rule of a file may not ask for a length. Each that does is named. */
static bool lengths_differ(struct plan *p, const struct plan_dev *d, const struct target *t, struct diags *ds)
{
	struct diags *real = p->in.imr->diags;
	struct imr_env env = d->env;
	bool differ;

	if (p->in.live || !(t->hooks & BE_BEFORE_GRO) || !d->has_dev)
		return false;
	env.before_gro = true;
	env.no_gro = ld_never_merges(env.dev);
	p->in.imr->diags = ds;
	differ = !imr_place_ingress(p->in.imr, &env);
	p->in.imr->diags = real;
	return differ;
}

/* Compiles for one target; what is in the way goes to ds. */
static bool try_target(struct cli *c, struct plan *p, struct plan_dev *d, const struct target *t, struct diags *ds)
{
	struct be_opts o = opts_of(c, p, d);
	struct diags *real = c->diags;
	bool ok;

	if (!p->in.live && !strcmp(t->name, "xdp") && tags_hidden(c, d, ds))
		return false;
	if (lengths_differ(p, d, t, ds))
		return false;
	d->placed->diags = ds;
	ok = be_compile(d->placed, t, &p->caps, &o, &d->prog);
	d->placed->diags = real;
	return ok;
}

static int no_target(struct cli *c, struct plan *p, const struct plan_dev *d)
{
	const struct imr_chain *ch = &d->placed->chain[0];
	struct diag *e = diag_add(c->diags, DIAG_UNSUPPORTED, ch->n ? &ch->rule[0].at : &ch->at,
				  "hook %s: %s cannot carry this chain exactly", imr_hooks[ch->hook].name,
				  p->target ? p->target->name : "no target");

	e->hint = "load the rules with their own tool and run `fwjit apply` without -f: what they surely drop is then dropped at XDP";
	return EXIT_INEXACT;
}

static void hand_over(struct cli *c, const struct diags *from)
{
	for (uint32_t i = 0; i < from->n; i++)
		*diag_add(c->diags, from->d[i].level, &from->d[i].at, "%s", from->d[i].message) = from->d[i];
}

/* The target for a placed program: the one asked for, or the first that fits. What stood in the way of those before it
 * goes to d->over; if none fits, the best one's diagnostics are the caller's. */
static int choose(struct cli *c, struct plan *p, struct plan_dev *d)
{
	enum imr_hooknum num = imr_hooks[d->placed->chain[0].hook].num;
	struct diags best = { .arena = c->arena };
	bool permitted = false, fits = false;

	for (const struct target *t = be_targets; t->name; t++) {
		struct diags now = { .arena = c->arena };
		const char *what, *key;

		if ((p->target ? t != p->target : t->hooks & BE_ON_REQUEST) || !(t->hooks & 1u << num))
			continue;
		fits = true;
		key = be_target_missing(t, &p->caps, &what);
		if (key) {
			d->over = over_add(c, d->over, t, arena_printf(c->arena, "the caller may not %s (%s)", what, key));
			continue;
		}
		if (try_target(c, p, d, t, &now)) {
			d->target = t;
			hand_over(c, &now);
			return 0;
		}
		d->over = over_add(c, d->over, t, last_words(c, &now));
		best = permitted ? best : now;
		permitted = true;
	}
	hand_over(c, &best);
	if (permitted)
		return EXIT_INEXACT;
	if (!fits)
		return no_target(c, p, d);
	diag_add(c->diags, DIAG_ERROR, NULL, "%s: no target is permitted: %s", d->on, d->over)->hint =
		"`fwjit probe` says what was tried; check, dump and test --engine interp need no rights with --caps root";
	return EXIT_RIGHTS;
}

static void put_where(const struct cli *c, struct plan_dev *d, enum imr_hook hook, int32_t prio)
{
	static const struct { const char *target; enum ld_kind kind; } kinds[] = {
		{ "xdp", LD_XDP }, { "tc", LD_TC }, { "netfilter", LD_NETFILTER }, { "cbpf", LD_CBPF },
		{ "cgroup", LD_CGROUP }, { "socket", LD_SOCKET }, { "xt_bpf", LD_XTCODE },
	};
	struct ld_where *w = &d->where;

	*w = (struct ld_where){ .generic = c->generic, .egress = hook == HOOK_NETDEV_EGRESS || hook == HOOK_INET_OUTPUT };
	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
		if (!strcmp(d->target->name, kinds[i].target))
			w->kind = kinds[i].kind;
	if (d->has_dev)
		snprintf(w->dev, sizeof(w->dev), "%s", d->env.dev);
	w->pf = imr_hooks[hook].family;
	w->hooknum = imr_hooks[hook].num;
	w->prio = prio;
	w->prio_min = prio < INT32_MAX ? prio + 1 : prio;	/* no other one */
	w->fail_open = c->fail_open;
	snprintf(w->cgroup, sizeof(w->cgroup), "%s", c->cgroup ? c->cgroup : "");
	if (ld_where_id(w, d->id))
		snprintf(d->id, sizeof(d->id), "%s", d->target->name);
}

/* Places, compiles, chooses. Live: a slice that no one gains by, on a device that nobody named, is left out. */
static int unit(struct cli *c, struct plan *p, struct plan_dev *d, enum imr_hook hook, struct imr_range32 prio)
{
	const struct imr_env *env = d->has_dev ? &d->env : NULL;
	uint32_t before = c->diags->n;
	int r;

	d->placed = p->in.live ? imr_place_slice(p->in.imr, env) : imr_place_hook(p->in.imr, env, hook, prio);
	if (!d->placed)
		return EXIT_INEXACT;
	r = choose(c, p, d);
	/* Of live rules what cannot be said is not news; that a slice of them cannot be made is. */
	for (uint32_t i = before; r && p->in.live && i < c->diags->n; i++)
		c->diags->d[i].level = DIAG_ERROR;
	if (r)
		return r;
	put_where(c, d, hook, prio.hi);
	index_rules(c, d, p->in.live);
	if (!p->in.live || c->n_dev || c->slice || has_drop(d->placed))
		p->n++;
	return 0;
}

static struct plan_dev *next_unit(struct cli *c, struct plan *p)
{
	p->dev = arena_grow(c->arena, p->dev, p->n * sizeof(*p->dev), (p->n + 1) * sizeof(*p->dev));
	p->dev[p->n] = (struct plan_dev){ .target = NULL };
	return &p->dev[p->n];
}

uint32_t plan_insns(const struct plan_dev *d)
{
	uint32_t n = d->prog.n;

	for (uint32_t i = 0; i < d->prog.n_filter; i++)
		n += d->prog.filter[i].n;
	return n;
}

/* ------------------------------------------------------------------ the units of a ruleset */

/* One device. One that only stood in the list because it is here may be passed over with a note. */
static int device_unit(struct cli *c, struct plan *p, const char *name, enum imr_hook hook)
{
	uint32_t before = c->diags->n;
	struct plan_dev *d = next_unit(c, p);
	int r = plan_env(c, p->in.live, name, &d->env);

	if (r && p->in.live && !c->n_dev) {
		for (uint32_t i = before; i < c->diags->n; i++)
			c->diags->d[i].level = DIAG_NOTE;
		return 0;
	}
	if (r)
		return r;
	d->has_dev = true;
	d->env.ct_lookup = p->caps.ct_lookup;
	d->on = arena_printf(c->arena, "%s%s", name, hook == HOOK_NETDEV_EGRESS ? ", egress" : "");
	return unit(c, p, d, hook, (struct imr_range32){ INT32_MIN, INT32_MAX });
}

/* Live rules see a tag that is beside the frame, a slice does not. */
static void hide_tags(struct cli *c, struct plan *p, const char **names, uint32_t n)
{
	uint32_t readers;
	bool hidden = false;

	imr_tag_readers(p->in.imr, &readers);
	for (uint32_t i = 0; i < n && readers && !hidden; i++) {
		const char *hint;

		hidden = ld_vlan_hidden(c->arena, names[i], &hint) > 0;
	}
	if (hidden)
		imr_tags_unknown(p->in.imr);
}

static int device_units(struct cli *c, struct plan *p, enum imr_hook hook)
{
	const char **names;
	uint32_t n;
	int r = 0;

	devices(c, &p->in, hook == HOOK_NETDEV_EGRESS, &names, &n);
	devices_keep(c, names, &n);
	if (p->in.live)
		hide_tags(c, p, names, n);
	for (uint32_t i = 0; i < n && !r; i++)
		r = device_unit(c, p, names[i], hook);
	return r;
}

static int cmp_prio(const void *a, const void *b)
{
	int32_t x = *(const int32_t *)a, y = *(const int32_t *)b;

	return (x > y) - (x < y);
}

static bool is_at(const struct imr_chain *ch, enum imr_hook hook)
{
	enum imr_family f = imr_hooks[ch->hook].family;

	return ch->hook != HOOK_NONE && imr_hooks[ch->hook].num == imr_hooks[hook].num &&
	       (f == FAM_INET || f == imr_hooks[hook].family);
}

/* The priorities at which a hook of one family has chains, ascending, each once. */
static uint32_t prios(struct cli *c, const struct imr *imr, enum imr_hook hook, int32_t **ret)
{
	int32_t *v = arena_alloc(c->arena, (imr->n + 1) * sizeof(*v));
	uint32_t n = 0, kept = 0;

	for (uint32_t i = 0; i < imr->n; i++)
		if (is_at(&imr->chain[i], hook))
			v[n++] = imr->chain[i].prio;
	qsort(v, n, sizeof(*v), cmp_prio);
	for (uint32_t i = 0; i < n; i++)
		if (!i || v[i] != v[i - 1])
			v[kept++] = v[i];
	*ret = v;
	return kept;
}

/* A chain of a ruleset's skeleton: nothing to do there. */
static bool is_silent(const struct imr *imr, enum imr_hook hook, int32_t prio)
{
	for (uint32_t i = 0; i < imr->n; i++) {
		const struct imr_chain *ch = &imr->chain[i];

		if (is_at(ch, hook) && ch->prio == prio && (ch->n || ch->policy != OP_ACCEPT))
			return false;
	}
	return true;
}

/* Chains of one priority are one program; another priority may have a hook of somebody else's before it. */
static int l3_units(struct cli *c, struct plan *p, enum imr_hook hook)
{
	int32_t *prio;
	uint32_t n = prios(c, p->in.imr, hook, &prio);
	int r = 0;

	for (uint32_t i = 0; i < n && !r; i++) {
		struct plan_dev *d;

		if (is_silent(p->in.imr, hook, prio[i]))
			continue;
		d = next_unit(c, p);
		d->on = arena_printf(c->arena, "%s, priority %d", imr_hooks[hook].name, prio[i]);
		r = unit(c, p, d, hook, (struct imr_range32){ prio[i], prio[i] });
	}
	return r;
}

static bool is_cgroup_hook(const struct imr_chain *ch)
{
	return ch->hook == HOOK_NONE || is_at(ch, HOOK_IP_INPUT) || is_at(ch, HOOK_IP6_INPUT) || is_at(ch, HOOK_IP_OUTPUT) ||
	       is_at(ch, HOOK_IP6_OUTPUT);
}

/* All that input and output say, for what the sockets of one cgroup get and send. */
static int cgroup_units(struct cli *c, struct plan *p)
{
	static const enum imr_hook hooks[] = { HOOK_INET_INPUT, HOOK_INET_OUTPUT };
	int r = 0;

	for (uint32_t i = 0; i < p->in.imr->n; i++) {
		const struct imr_chain *ch = &p->in.imr->chain[i];

		if (is_cgroup_hook(ch) || (!ch->n && ch->policy == OP_ACCEPT))
			continue;
		diag_add(c->diags, DIAG_UNSUPPORTED, ch->n ? &ch->rule[0].at : &ch->at, "hook %s: a cgroup has input and output only",
			 imr_hooks[ch->hook].name);
		r = EXIT_INEXACT;
	}
	for (int i = 0; i < 2 && !r; i++) {
		struct plan_dev *d = next_unit(c, p);

		d->on = arena_printf(c->arena, "%s, %s", c->cgroup, i ? "egress" : "ingress");
		r = unit(c, p, d, hooks[i], (struct imr_range32){ INT32_MIN, INT32_MAX });
	}
	return r;
}

static int all_units(struct cli *c, struct plan *p)
{
	int r;

	if (p->in.live)
		return device_units(c, p, HOOK_EARLY_L3);
	if (c->cgroup)
		return cgroup_units(c, p);
	r = device_units(c, p, HOOK_NETDEV_INGRESS);
	r = r ? r : device_units(c, p, HOOK_NETDEV_EGRESS);
	for (enum imr_hook h = HOOK_IP_PREROUTING; h <= HOOK_IP6_POSTROUTING && !r; h++)
		r = l3_units(c, p, h);
	return r;
}

int plan_make(struct cli *c, struct plan *p)
{
	int r = plan_caps(c, &p->caps);

	if (!r)
		r = plan_target(c, &p->target);
	if (!r)
		r = cli_read(c, &p->in);
	if (!r && !p->in.live && diags_have(c->diags, DIAG_UNSUPPORTED))
		r = EXIT_INEXACT;
	return r ? r : all_units(c, p);
}
