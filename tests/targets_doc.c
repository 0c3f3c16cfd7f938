/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * docs/TARGETS.md, from the tables: what each target is, needs, and can say. Whether a target can say a field at a hook is
 * not written down anywhere: a rule that asks for it is compiled. With a file's name it compares instead of printing.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "backend.h"

static struct arena *arena;
static struct diags diags;

static const enum imr_hook hooks[] = {
	HOOK_NETDEV_INGRESS, HOOK_NETDEV_EGRESS, HOOK_IP_PREROUTING, HOOK_IP_INPUT, HOOK_IP_FORWARD, HOOK_IP_OUTPUT,
	HOOK_IP_POSTROUTING, HOOK_IP6_INPUT, HOOK_INET_INPUT, HOOK_INET_OUTPUT, HOOK_EARLY_L3,
};
#define N_HOOK (sizeof(hooks) / sizeof(hooks[0]))

/* One rule at the hook: its test, then drop. */
static bool says(const struct target *t, enum imr_hook hook, const char *test)
{
	const char *policy = hook == HOOK_EARLY_L3 ? "pass" : "accept", *dev = imr_hooks[hook].family == FAM_NETDEV ? " dev \"v0\"" : "";
	char *text = arena_printf(arena, "imr 1\nprofile th_fast_frag\nchain @\"c\" from imr \"c\" hook %s kind filter prio 0 policy %s%s {\n"
				  "rule imr \"c\" 1\n%s\tdrop\n}\n", imr_hooks[hook].name, policy, dev, test);
	struct be_opts o = { .dev = "v0" };
	struct caps caps = { 0 };
	struct be_prog p;
	struct imr *imr = imr_parse(arena, &diags, text, strlen(text));

	if (!imr) {
		fprintf(stderr, "%s\n%s", diags.d[diags.n - 1].message, text);
		exit(1);
	}
	for (const struct be_cap_info *k = be_caps_info; k->key; k++)
		be_caps_set(&caps, k->key, true);
	if (imr_hooks[hook].family == FAM_NETDEV || hook == HOOK_EARLY_L3)
		o.ifindex = 2;
	return be_compile(imr, t, &caps, &o, &p);
}

static bool has(const struct target *t, enum imr_hook hook)
{
	return (t->hooks & 1u << imr_hooks[hook].num) && says(t, hook, "");
}

static void hooks_of(struct strbuf *out, const struct target *t)
{
	bool first = true;

	for (size_t i = 0; i < N_HOOK; i++)
		if (has(t, hooks[i])) {
			strbuf_add(out, "%s%s", first ? "" : ", ", imr_hooks[hooks[i]].name);
			first = false;
		}
}

static void targets(struct strbuf *out)
{
	strbuf_add(out, "| target | what it is | hooks at which it is exact | needs |\n|---|---|---|---|\n");
	for (const struct target *t = be_targets; t->name; t++) {
		strbuf_add(out, "| `%s`%s | %s | ", t->name, t->hooks & BE_ON_REQUEST ? " (on request)" : "", t->what);
		hooks_of(out, t);
		strbuf_add(out, " | ");
		for (const char *const *k = t->needs; *k; k++)
			strbuf_add(out, "%s`%s`", k == t->needs ? "" : ", ", *k);
		strbuf_add(out, " |\n");
	}
}

static char *load_test(enum imr_field f)
{
	const struct imr_field_info *i = &imr_fields[f];

	return arena_printf(arena, "\t%%0 =%s ld %s\n\t%s\n", imr_types[i->type].name, i->name,
			    i->type == T_NAME ? "eq %0, \"x\"" : i->type == T_MAC ? "eq %0, 02:00:00:00:00:01" :
			    i->type == T_IP4 ? "eq %0, 10.0.0.1" : i->type == T_IP6 ? "eq %0, 2001:db8::1" : "eq %0, 1");
}

/* The hooks of the target at which the field cannot be said, or "" for none; NULL where it has no hook. */
static char *lacks(const struct target *t, const char *test)
{
	struct strbuf out = { .arena = arena };
	bool any = false, all = true;

	for (size_t i = 0; i < N_HOOK; i++) {
		if (!has(t, hooks[i]))
			continue;
		any = true;
		if (says(t, hooks[i], test))
			all = false;
		else
			strbuf_add(&out, "%s%s", out.len ? ", " : "", imr_hooks[hooks[i]].name);
	}
	if (!any)
		return NULL;
	return all ? "no" : out.len ? arena_printf(arena, "not at %s", out.s) : "yes";
}

static void line(struct strbuf *out, const char *what, const char *test)
{
	strbuf_add(out, "| `%s` |", what);
	for (const struct target *t = be_targets; t->name; t++) {
		const char *l = lacks(t, test);

		strbuf_add(out, " %s |", l ? l : "");
	}
	strbuf_add(out, "\n");
}

/* Fields that all targets say alike are one line. */
static void fields(struct strbuf *out)
{
	static const enum imr_field asked[] = {
		F_META_IIF, F_META_IIFNAME, F_META_IIFTYPE, F_META_OIF, F_META_OIFNAME, F_META_NFPROTO, F_META_PROTOCOL, F_META_MARK,
		F_META_LEN, F_ETH_SADDR, F_ETH_TYPE, F_IP_SADDR, F_IP6_SADDR, F_TH_DPORT, F_TCP_FLAGS,
	};

	strbuf_add(out, "| field |");
	for (const struct target *t = be_targets; t->name; t++)
		strbuf_add(out, " %s |", t->name);
	strbuf_add(out, "\n|---|");
	for (const struct target *t = be_targets; t->name; t++)
		strbuf_add(out, "---|");
	strbuf_add(out, "\n");
	for (size_t i = 0; i < sizeof(asked) / sizeof(asked[0]); i++)
		line(out, imr_fields[asked[i]].name, load_test(asked[i]));
	line(out, "tcpopt", "\t%0 =u8 tcpopt th, 2\n\teq %0, 1\n");
	line(out, "count", "\tcount\n");
	line(out, "opaque", "\topaque \"ct state\"\n");
	line(out, "effect", "\teffect \"log\"\n");
}

static void caps_of(struct strbuf *out)
{
	strbuf_add(out, "| key | the caller may |\n|---|---|\n");
	for (const struct be_cap_info *k = be_caps_info; k->key; k++)
		strbuf_add(out, "| `%s` | %s |\n", k->key, k->what);
}

static void document(struct strbuf *out)
{
	strbuf_add(out, "# Targets\n\nPrinted from the tables by `tests/targets_doc`; the test of that name compares. Better targets come first: without "
		   "`--target`\neach place is given the first that the caller may use and that says every rule there.\n\n");
	targets(out);
	strbuf_add(out, "\n## What they can say\n\nWith all abilities. A device is named at a device's own hooks when the program is made. What is not in the "
		   "table every target says.\n\n");
	fields(out);
	strbuf_add(out, "\n## Abilities\n\nFound by trying (`fwjit probe`), or given by `--caps`.\n\n");
	caps_of(out);
}

static int compare(const struct strbuf *is, const char *path)
{
	static char text[1 << 17];
	FILE *f = fopen(path, "re");
	size_t n = f ? fread(text, 1, sizeof(text), f) : 0;

	if (f)
		fclose(f);
	if (n == is->len && !memcmp(text, is->s, n)) {
		printf("Checked: 1 passed, 0 failed\n");
		return 0;
	}
	printf("%s is not what the tables say; `targets_doc >docs/TARGETS.md` in the build directory's tests\nChecked: 0 passed, 1 failed\n",
	       path);
	return 1;
}

int main(int argc, char **argv)
{
	struct strbuf out;
	int r = 0;

	arena = arena_new();
	diags = (struct diags){ .arena = arena };
	out = (struct strbuf){ .arena = arena };
	document(&out);
	if (argc > 1)
		r = compare(&out, argv[1]);
	else
		fwrite(out.s, 1, out.len, stdout);
	arena_free(arena);
	return r;
}
