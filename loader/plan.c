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
		return level_caps(c->caps, ret) || caps_parse(c, c->caps, ret) ? 0 : EXIT_INPUT;
	if (!c->probed) {
		struct ld_probe *p = arena_alloc(c->arena, sizeof(*p));

		ld_probe(p);
		c->own_caps = p->caps;
		c->probed = true;
	}
	*ret = c->own_caps;
	return 0;
}

/* "auto", "xdp", "xdp:generic", "tc:egress", "cgroup=PATH": NULL in *ret for auto. */
int plan_target(struct cli *c, const struct target **ret)
{
	size_t n = c->target ? strcspn(c->target, ":=") : 0;
	const char *after = c->target ? c->target + n : "";

	*ret = NULL;
	if (!c->target || !strcmp(c->target, "auto"))
		return 0;
	*ret = be_target_find(arena_strndup(c->arena, c->target, n));
	c->generic = !strcmp(after, ":generic");
	c->cgroup = *after == '=' && after[1] && *ret && !strcmp((*ret)->name, "cgroup") ? after + 1 : NULL;
	if (*ret && !strcmp((*ret)->name, "cgroup") && !c->cgroup) {
		fprintf(stderr, "fwjit: --target cgroup=PATH: a directory of cgroup v2\n");
		return EXIT_USAGE;
	}
	if (*ret && (!*after || c->cgroup || c->generic || !strcmp(after, ":ingress") || !strcmp(after, ":egress")))
		return 0;
	fprintf(stderr, "fwjit: --target \"%s\": no such target; `fwjit probe` lists them\n", c->target);
	return EXIT_USAGE;
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
