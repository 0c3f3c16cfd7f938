/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * oci-hook: a container's firewall, before its first instruction. A createContainer hook has the container's network
 * namespace and the host's files, and the rights of the runtime's user namespace, which the container itself does not
 * get; what is attached with them cannot be undone from inside unless the container has CAP_NET_ADMIN. Whatever is not
 * as it must be is refused, and with the hook the container: none starts unfiltered that was to be filtered.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli.h"
#include "oci.h"

/* An image says what is in its containers' environment, and runtimes hand that to hooks that have none of their own: a
 * library to preload would run with the host's files. By its names it is told apart. */
static bool own_environment(struct cli *c)
{
	static const char *const ours[] = { "PATH", "HOME", "XDG_RUNTIME_DIR", "LANG", "LC_ALL", "NO_COLOR", NULL };

	for (char **e = environ; *e; e++) {
		size_t n = strcspn(*e, "=");
		const char *const *o = ours;

		while (*o && (strlen(*o) != n || strncmp(*e, *o, n)))
			o++;
		if (*o)
			continue;
		diag_add(c->diags, DIAG_ERROR, NULL, "\"%.*s\" is in the environment: it is not the hook's own but the "
			 "container's, whose image could preload libraries into the hook", (int)n, *e)->hint =
			"in the hook's file: \"env\": [ \"PATH=/usr/sbin:/usr/bin:/sbin:/bin\" ]";
		return false;
	}
	return true;
}

/* What the container's firewall is; no device, pipe or directory. */
static bool is_ruleset(struct cli *c, const char *path)
{
	struct stat st;
	const char *why = NULL;

	if (stat(path, &st) < 0)
		why = strerror(errno);
	else if (!S_ISREG(st.st_mode))
		why = "not a regular file";
	else if (access(path, R_OK))
		why = strerror(errno);
	if (why)
		diag_add(c->diags, DIAG_ERROR, NULL, "annotation %s: %s: %s", OCI_RULESET, path, why);
	return !why;
}

/* The hook's network namespace is the container's: not so with --network=host, and for hooks of other kinds. */
static bool is_contained(struct cli *c, const struct oci_container *box)
{
	if (!box->own_netns)
		diag_add(c->diags, DIAG_ERROR, NULL, "the container has no network namespace of its own")->hint =
			"any --network but host gives it one";
	else if (!ld_netns_contained(box->netns))
		diag_add(c->diags, DIAG_ERROR, NULL, "this is not the container's network namespace")->hint =
			"hooks of the stage createContainer run there, others do not";
	else
		return true;
	return false;
}

static bool is_kept_out(struct cli *c, const struct oci_state *st, const struct oci_container *box)
{
	if (!box->net_admin || st->brokered)
		return true;
	diag_add(c->diags, DIAG_ERROR, NULL, "the container has CAP_NET_ADMIN: it could undo what is attached here")->hint =
		"drop the capability, or attach from outside (`fwjit apply --pid`) and say so: annotation " OCI_BROKERED
		" \"true\"";
	return false;
}

static bool container_read(struct cli *c, const struct oci_state *st, struct oci_container *ret)
{
	char *text;
	size_t len;

	return !cli_slurp(c, arena_printf(c->arena, "%s/config.json", st->bundle), &text, &len) &&
	       oci_container_parse(c->arena, c->diags, text, len, ret);
}

static int filter(struct cli *c, const struct oci_state *st)
{
	struct applied done = { 0 };
	int r;

	c->file[0] = st->ruleset;
	c->n_file = 1;
	r = apply_once(c, false, &done);
	if (!r && !done.n) {
		diag_add(c->diags, DIAG_ERROR, NULL, "%s: no rule in it filters anything", st->ruleset);
		r = EXIT_INPUT;
	}
	free(done.prog);
	return r;
}

static int hook(struct cli *c)
{
	struct oci_container box;
	struct oci_state st;
	char *text;
	size_t len;

	if (!own_environment(c) || cli_slurp(c, "-", &text, &len) || !oci_state_parse(c->arena, c->diags, text, len, &st) ||
	    !is_ruleset(c, st.ruleset) || !container_read(c, &st, &box) || !is_contained(c, &box))
		return EXIT_INPUT;
	return is_kept_out(c, &st, &box) ? filter(c, &st) : EXIT_RIGHTS;
}

int verb_oci_hook(struct cli *c)
{
	int r, said;

	if (c->n_file || c->slice || c->check_only || c->snapshot || c->netns || c->pid) {
		fprintf(stderr, "fwjit: oci-hook: annotation %s names the rules; options are those of apply that say how\n",
			OCI_RULESET);
		return EXIT_USAGE;
	}
	/* The runtime starts hooks in the container's root directory: nothing may be found by a relative path. */
	if (chdir("/") < 0) {
		fprintf(stderr, "fwjit: oci-hook: /: %s\n", strerror(errno));
		return EXIT_INPUT;
	}
	r = hook(c);
	said = cli_diags(c, DIAG_NOTE);
	return r ? r : said;
}
