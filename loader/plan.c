/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * From a program to what runs on each device: the target that the caller's rights allow, the device's facts, the placed
 * program, the compiled one. Nothing is loaded here.
 */
#include <errno.h>
#include <net/if.h>
#include <stdlib.h>
#include <string.h>

#include "cli.h"

/* Named levels of rights, for --caps: what such a caller may do on a current kernel. */
static const struct level {
	const char *name;
	const char *lacks;	/* keys of caps.def, space-separated; "*" all */
} levels[] = {
	{ "root", "" },
	{ "net", "verifier.var_offset" },
	{ "unpriv", "*" },
	{ "classic", "*" },
};

static bool word_in(const char *list, const char *word)
{
	size_t n = strlen(word);

	for (const char *p = strstr(list, word); p; p = strstr(p + 1, word))
		if ((p == list || p[-1] == ' ') && (!p[n] || p[n] == ' '))
			return true;
	return false;
}

static bool caps_named(const char *name, struct caps *ret)
{
	for (size_t i = 0; i < sizeof(levels) / sizeof(*levels); i++) {
		if (strcmp(levels[i].name, name))
			continue;
		for (const struct be_cap_info *k = be_caps_info; k->key; k++)
			be_caps_set(ret, k->key, strcmp(levels[i].lacks, "*") && !word_in(levels[i].lacks, k->key));
		return true;
	}
	return false;
}

/* The "caps" object of `probe -j`: every key of caps.def must be there, true or false. */
static bool caps_parse(struct cli *c, const char *path, struct caps *ret)
{
	char *text;
	size_t len;

	if (cli_slurp(c, path, &text, &len))
		return false;
	for (const struct be_cap_info *k = be_caps_info; k->key; k++) {
		char *key = arena_printf(c->arena, "\"%s\":", k->key);
		const char *p = strstr(text, key);

		p = p ? p + strlen(key) : "";
		p += strspn(p, " ");
		if (strncmp(p, "true", 4) && strncmp(p, "false", 5)) {
			diag_add(c->diags, DIAG_ERROR, NULL, "%s: no \"%s\" with true or false", path, k->key)->hint =
				"--caps takes root, net, unpriv, classic or what `fwjit probe -j` printed";
			return false;
		}
		be_caps_set(ret, k->key, *p == 't');
	}
	return true;
}

int plan_caps(struct cli *c, struct caps *ret)
{
	*ret = (struct caps){ 0 };
	if (c->caps)
		return caps_named(c->caps, ret) || caps_parse(c, c->caps, ret) ? 0 : EXIT_INPUT;
	if (!c->probed) {
		struct ld_probe *p = arena_alloc(c->arena, sizeof(*p));

		ld_probe(p);
		c->own_caps = p->caps;
		c->probed = true;
	}
	*ret = c->own_caps;
	return 0;
}

/* "xdp" or "xdp:generic" */
static const struct target *target_named(struct cli *c)
{
	size_t n = strcspn(c->target, ":");
	const struct target *t = be_target_find(arena_strndup(c->arena, c->target, n));

	if (t && !strcmp(c->target + n, ":generic"))
		c->generic = true;
	else if (t && c->target[n])
		return NULL;
	return t;
}

int plan_target(struct cli *c, const struct caps *caps, const struct target **ret)
{
	const char *what, *key;

	if (!c->target || !strcmp(c->target, "auto"))
		*ret = &be_targets[0];
	else
		*ret = target_named(c);
	if (!*ret) {
		fprintf(stderr, "fwjit: --target \"%s\": no such target; `fwjit probe` lists them\n", c->target);
		return EXIT_USAGE;
	}
	key = be_target_missing(*ret, caps, &what);
	if (!key)
		return 0;
	diag_add(c->diags, DIAG_ERROR, NULL, "target %s is not permitted: %s (%s) is missing", (*ret)->name, what, key)->hint =
		"`fwjit probe` says what was tried; check, dump and test --engine interp need no rights with --caps root";
	return EXIT_RIGHTS;
}

/* A device that is not here: an end host's, so that a ruleset can be compiled away from where it will run. */
static void env_offline(const char *dev, struct imr_env *ret)
{
	static const uint8_t mac[6] = { 2, 0, 0, 0, 0, 1 };

	*ret = (struct imr_env){ .ifindex = 1, .plain_rules = true };
	memcpy(ret->mac, mac, sizeof(mac));
	strncpy(ret->dev, dev, sizeof(ret->dev) - 1);
}

int plan_env(struct cli *c, bool live, const char *dev, struct imr_env *ret)
{
	int r;

	if (strlen(dev) >= IFNAMSIZ || !*dev) {
		diag_add(c->diags, DIAG_ERROR, NULL, "device \"%s\": not a device name", dev);
		return EXIT_INPUT;
	}
	env_offline(dev, ret);
	if (!if_nametoindex(dev)) {
		if (!live || c->slice)
			return 0;
		diag_add(c->diags, DIAG_ERROR, NULL, "device \"%s\": %s", dev, strerror(ENODEV));
		return EXIT_INPUT;
	}
	if (!live) {
		struct diags quiet = { .arena = c->arena };

		if (ld_ethernet(c->diags, dev) == -EBUSY)
			return EXIT_INPUT;
		/* Exact ingress chains ask nothing of what sits above the device, only its own facts. */
		if (ld_env(c->arena, &quiet, dev, ret) && quiet.n)
			env_offline(dev, ret);
		ret->ifindex = if_nametoindex(dev);
		return 0;
	}
	r = ld_env(c->arena, c->diags, dev, ret);
	return r ? EXIT_INPUT : 0;
}

static bool name_add(struct cli *c, const char ***names, uint32_t *n, const char *name)
{
	for (uint32_t i = 0; i < *n; i++)
		if (!strcmp((*names)[i], name))
			return false;
	*names = arena_grow(c->arena, *names, *n * sizeof(**names), (*n + 1) * sizeof(**names));
	(*names)[(*n)++] = name;
	return true;
}

/* Exact: the devices that the ingress chains are bound to. */
static void devices_bound(struct cli *c, const struct imr *imr, const char ***names, uint32_t *n)
{
	for (uint32_t i = 0; i < imr->n; i++)
		for (uint32_t k = 0; k < imr->chain[i].n_dev; k++)
			name_add(c, names, n, imr->chain[i].dev[k]);
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

static void devices(struct cli *c, const struct cli_input *in, const char ***names, uint32_t *n)
{
	for (unsigned int i = 0; i < c->n_dev; i++)
		name_add(c, names, n, c->dev[i]);
	if (*n)
		return;
	if (!in->live)
		devices_bound(c, in->imr, names, n);
	else if (!c->slice)
		devices_here(c, names, n);
	else
		name_add(c, names, n, "eth0");
}

/* With -f every chain must have a place: a hook that no target here can say is refused, naming its first rule. */
static void refuse_hooks(struct cli *c, const struct imr *imr)
{
	for (uint32_t i = 0; i < imr->n; i++) {
		const struct imr_chain *ch = &imr->chain[i];

		if (ch->hook == HOOK_NONE || ch->hook == HOOK_NETDEV_INGRESS)
			continue;
		diag_add(c->diags, DIAG_UNSUPPORTED, ch->n ? &ch->rule[0].at : &ch->at,
			 "hook %s: no target can carry this chain exactly", imr_hooks[ch->hook].name)->hint =
			"load the rules with their own tool and run `fwjit apply` without -f: what they surely drop is then "
			"dropped at XDP";
	}
}

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

bool plan_drops(const struct imr *placed, const struct imr_at *at)
{
	for (uint32_t i = 0; i < placed->n; i++) {
		const struct imr_chain *ch = &placed->chain[i];

		for (uint32_t k = 0; k < ch->n; k++)
			if (at_same(&ch->rule[k].at, at) && rule_drops(&ch->rule[k]))
				return true;
		if (ch->policy == OP_DROP && at_same(&ch->at, at))
			return true;
	}
	return false;
}

int plan_place(struct cli *c, struct plan *p, const struct imr_env *env, struct plan_dev *ret)
{
	struct be_opts opts = { .gate = p->gate, .ifindex = env->ifindex };
	struct imr *placed;
	uint32_t before;

	memcpy(opts.mac, env->mac, sizeof(opts.mac));
	memcpy(opts.dev, env->dev, sizeof(opts.dev));
	ret->env = *env;
	before = c->diags->n;
	placed = p->in.live ? imr_place_slice(p->in.imr, env) : imr_place_ingress(p->in.imr, env);
	if (!placed)
		return EXIT_INEXACT;
	ret->placed = placed;
	if (be_compile(placed, p->target, &p->caps, &opts, &ret->prog))
		return 0;
	/* Of live rules what cannot be said is not news; that a slice of them cannot be made is. */
	for (uint32_t i = before; p->in.live && i < c->diags->n; i++)
		c->diags->d[i].level = DIAG_ERROR;
	return EXIT_INEXACT;
}

/* One device into the plan. A device that only stood in the list because it is here may be passed over with a note. */
static int plan_device(struct cli *c, struct plan *p, const char *name)
{
	uint32_t before = c->diags->n;
	struct plan_dev *d = &p->dev[p->n];
	struct imr_env env;
	int r = plan_env(c, p->in.live, name, &env);

	if (r && p->in.live && !c->n_dev) {
		for (uint32_t i = before; i < c->diags->n; i++)
			c->diags->d[i].level = DIAG_NOTE;
		return 0;
	}
	env.ct_lookup = p->caps.ct_lookup;
	if (!r)
		r = plan_place(c, p, &env, d);
	if (!r && (!p->in.live || c->n_dev || c->slice || has_drop(d->placed)))
		p->n++;
	return r;
}

int plan_make(struct cli *c, struct plan *p)
{
	const char **names = NULL;
	uint32_t n = 0;
	int r;

	r = plan_caps(c, &p->caps);
	if (!r)
		r = plan_target(c, &p->caps, &p->target);
	if (!r)
		r = cli_read(c, &p->in);
	if (r)
		return r;
	if (!p->in.live)
		refuse_hooks(c, p->in.imr);
	if (!p->in.live && diags_have(c->diags, DIAG_UNSUPPORTED))
		return EXIT_INEXACT;
	devices(c, &p->in, &names, &n);
	devices_keep(c, names, &n);
	p->dev = arena_alloc(c->arena, (n + 1) * sizeof(*p->dev));
	for (uint32_t i = 0; i < n; i++) {
		r = plan_device(c, p, names[i]);
		if (r)
			return r;
	}
	return 0;
}

int plan_tags(struct cli *c, const struct plan *p)
{
	int ret = 0;

	for (uint32_t i = 0; i < p->n; i++) {
		const char *hint, *dev = p->dev[i].env.dev;
		const struct imr_rule **rule;
		uint32_t n;

		rule = imr_tag_readers(p->dev[i].placed, &n);
		if (!n || ld_vlan_hidden(c->arena, dev, &hint) <= 0)
			continue;
		ret = EXIT_INEXACT;
		for (uint32_t k = 0; k < n; k++)
			diag_add(c->diags, DIAG_UNSUPPORTED, &rule[k]->at,
				 "it asks for the VLAN tag, which \"%s\" may get beside the frame", dev)->hint = hint;
	}
	return ret;
}
