/* SPDX-License-Identifier: GPL-2.0-only */
/* probe: what the caller may do here, what was tried, what is missing for each target, and how this kernel reads rules. */
#include <string.h>

#include "cli.h"

static const struct profile_bit { const char *name, *what; size_t off; } profile_bits[] = {
#define PROFILE(id, text) { #id, text, offsetof(struct imr_profile, id) },
#include "profile.def"
};
#define N_BITS (sizeof(profile_bits) / sizeof(*profile_bits))

static bool bit(const struct imr_profile *p, size_t i)
{
	return *(const bool *)((const char *)p + profile_bits[i].off);
}

static void row(struct strbuf *out, const struct ld_probe *p, uint32_t i, const char *what)
{
	strbuf_add(out, "  %-20s %-4s %s\n", p->row[i].key, p->row[i].err ? "no" : "yes", what);
	if (!p->row[i].err)
		return;
	strbuf_add(out, "  %25s tried %s: %s; missing ", "", p->row[i].how, strerror(-p->row[i].err));
	ld_missing_print(out, &p->row[i].missing);
	strbuf_add(out, "\n");
}

static void text(struct cli *c, struct strbuf *out, const struct ld_probe *p, const struct imr_profile *prof)
{
	const char *what, *key, *best = NULL;

	strbuf_add(out, "targets:\n");
	for (const struct target *t = be_targets; t->name; t++) {
		key = be_target_missing(t, &p->caps, &what);
		if (!key && !best)
			best = t->name;
		strbuf_add(out, "  %-10s %s%s%s\n", t->name, key ? "not possible: missing " : "possible: ", key ? key : t->what,
			   key ? "" : "");
	}
	strbuf_add(out, "auto would take: %s\n", best ? best : "nothing; the rules stay with the kernel");
	strbuf_add(out, "rungs (--caps takes their names):\n");
	level_print(out, p);
	strbuf_add(out, "abilities:\n");
	for (uint32_t i = 0; i < p->n; i++)	/* ORDER caps.def */
		row(out, p, i, be_caps_info[i].what);
	strbuf_add(out, "  user namespace       %s\n", p->init_userns ? "the initial one" : "a child");
	strbuf_add(out, "  network namespace    %s\n", p->owns_netns ? "ours" : "owned by an ancestor");
	strbuf_add(out, "  BPF token            %s%s\n", p->token ? "by the file system at " : p->init_userns ?
		   "none, and none is needed here" : "none: nothing is delegated to this user namespace", p->token_path);
	strbuf_add(out, "  kernel.unprivileged_bpf_disabled %d\n", p->unprivileged_bpf_disabled);
	strbuf_add(out, "kernel semantics:\n");
	for (size_t i = 0; i < N_BITS; i++)
		strbuf_add(out, "  %-20s %-4s %s\n", profile_bits[i].name, bit(prof, i) ? "yes" : "no", profile_bits[i].what);
}

static void json(struct cli *c, struct strbuf *out, const struct ld_probe *p, const struct imr_profile *prof)
{
	const char *what, *key;

	strbuf_add(out, "{\"caps\":{");
	for (const struct be_cap_info *k = be_caps_info; k->key; k++)
		strbuf_add(out, "%s\"%s\":%s", k == be_caps_info ? "" : ",", k->key, be_caps_get(&p->caps, k->key) ? "true" : "false");
	strbuf_add(out, "},\"targets\":{");
	for (const struct target *t = be_targets; t->name; t++) {
		key = be_target_missing(t, &p->caps, &what);
		strbuf_add(out, "%s\"%s\":{\"possible\":%s", t == be_targets ? "" : ",", t->name, key ? "false" : "true");
		if (key)
			strbuf_add(out, ",\"missing\":\"%s\"", key);
		strbuf_add(out, "}");
	}
	strbuf_add(out, "},\"missing\":{");
	for (uint32_t i = 0, n = 0; i < p->n; i++)
		if (p->row[i].err) {
			strbuf_add(out, "%s\"%s\":\"", n++ ? "," : "", p->row[i].key);
			ld_missing_print(out, &p->row[i].missing);
			strbuf_add(out, "\"");
		}
	strbuf_add(out, "},\"init_userns\":%s,\"owns_netns\":%s,\"token\":%s,\"unprivileged_bpf_disabled\":%d,\"profile\":{",
		   p->init_userns ? "true" : "false", p->owns_netns ? "true" : "false", p->token ? "true" : "false",
		   p->unprivileged_bpf_disabled);
	for (size_t i = 0; i < N_BITS; i++)
		strbuf_add(out, "%s\"%s\":%s", i ? "," : "", profile_bits[i].name, bit(prof, i) ? "true" : "false");
	strbuf_add(out, "}}\n");
}

int verb_probe(struct cli *c)
{
	struct strbuf out = { .arena = c->arena };
	struct ld_probe *p = arena_alloc(c->arena, sizeof(*p));
	struct imr_profile prof;

	ld_probe(p);
	cli_profile(c, &prof);
	(c->json ? json : text)(c, &out, p, &prof);
	fwrite(out.s, 1, out.len, stdout);
	return cli_diags(c, DIAG_NOTE);
}
