/* SPDX-License-Identifier: GPL-2.0-only */
/* Named levels of rights: what such a caller may do on a current kernel. For --caps, and the rungs that probe shows. */
#include <string.h>
#include <sys/capability.h>

#include "cli.h"

static const struct level {
	const char *name, *what;
	const char *has, *lacks;	/* keys of caps.def, space-separated; one of the two, "" lacks nothing */
} levels[] = {
	{ "root", "everything", NULL, "" },
	{ "net", "without CAP_PERFMON", NULL, "verifier.var_offset verifier.loops verifier.btf_read" },
	{ "unpriv", "socket filters, where kernel.unprivileged_bpf_disabled is 0",
	  "prog.socket_filter tc.cls_bpf xt.bytecode xt.prog map.array map.percpu_array map.hash map.prog_array "
	  "cap.net_admin", NULL },
	{ "classic", "no bpf(2) at all: classic BPF in a network namespace of one's own",
	  "tc.cls_bpf xt.bytecode cap.net_admin", NULL },
	{ NULL, NULL, NULL, NULL },
};

static bool word_in(const char *list, const char *word)
{
	size_t n = strlen(word);

	for (const char *p = strstr(list, word); p; p = strstr(p + 1, word))
		if ((p == list || p[-1] == ' ') && (!p[n] || p[n] == ' '))
			return true;
	return false;
}

static bool level_has(const struct level *l, const char *key)
{
	return l->has ? word_in(l->has, key) : !word_in(l->lacks, key);
}

bool level_caps(const char *name, struct caps *ret)
{
	for (const struct level *l = levels; l->name; l++) {
		if (strcmp(l->name, name))
			continue;
		for (const struct be_cap_info *k = be_caps_info; k->key; k++)
			be_caps_set(ret, k->key, level_has(l, k->key));
		return true;
	}
	return false;
}

/* All that would have to be given; the sysctl only if it stands for CAP_BPF everywhere. */
static bool missing(const struct ld_probe *p, const struct level *l, struct ld_missing *ret)
{
	bool any = false;

	*ret = (struct ld_missing){ .sysctl = true };
	for (uint32_t i = 0; i < p->n; i++) {
		const struct ld_missing *m = &p->row[i].missing;

		if (!p->row[i].err || !level_has(l, p->row[i].key))
			continue;
		any = true;
		ret->caps |= m->caps;
		ret->token |= m->token;
		ret->netns |= m->netns;
		ret->kernel |= m->kernel;
		ret->sysctl &= m->sysctl || !(m->token || m->caps >> CAP_BPF & 1);
	}
	return any;
}

/* One line a rung: here, or what is missing for it. */
void level_print(struct strbuf *out, const struct ld_probe *p)
{
	for (const struct level *l = levels; l->name; l++) {
		struct ld_missing m;
		bool lacks = missing(p, l, &m);

		strbuf_add(out, "  %-8s %s: %s", l->name, l->what, lacks ? "missing " : "here");
		if (lacks)
			ld_missing_print(out, &m);
		strbuf_add(out, "\n");
	}
}
