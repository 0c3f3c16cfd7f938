/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * detach: removes what fwjit attached in this network namespace, and nothing else. With --all no watcher puts anything
 * back: their claims end first. Of one attachment its watcher sees that it is gone.
 */
#include <errno.h>
#include <string.h>

#include "cli.h"

static int exit_of(int err)
{
	return !err ? EXIT_DONE : err == -EPERM || err == -EACCES ? EXIT_RIGHTS : EXIT_INPUT;
}

static int detach_one(struct cli *c, const char *id, const char *what)
{
	int err = ld_detach(c->diags, id);

	if (!err)
		printf("%s: %s\n", id, what);
	return exit_of(err);
}

/* Nothing is there, as far as the caller can see. */
static int nothing(struct cli *c, bool watched)
{
	if (ld_state_hidden()) {
		diag_add(c->diags, DIAG_ERROR, NULL, "what is attached here is not yours to see: the BPF file system is not yours");
		return EXIT_RIGHTS;
	}
	printf("nothing of fwjit's is attached here%s\n", watched ? " any more; what followed the rules ends" : "");
	return EXIT_DONE;
}

static int detach_all(struct cli *c)
{
	int watched = ld_claims_end(c->diags), bad = watched < 0 ? exit_of(watched) : 0, r;
	struct ld_state *st = NULL;
	const char **left = NULL;
	uint32_t n = 0, n_left = 0;

	if (bad || ld_state_list(c->arena, c->diags, &st, &n) || ld_leftovers(c->arena, &left, &n_left))
		return bad ? bad : EXIT_INPUT;
	for (uint32_t i = 0; i < n; i++) {
		r = detach_one(c, st[i].id, "detached");
		bad = r ? r : bad;
	}
	for (uint32_t i = 0; i < n_left; i++) {
		r = detach_one(c, left[i], "removed, what an unfinished command had left");
		bad = r ? r : bad;
	}
	return n + n_left ? bad : nothing(c, watched);
}

int verb_detach(struct cli *c)
{
	int r;

	if (c->all && c->object) {
		fprintf(stderr, "fwjit: detach: --all or one ID\n");
		return EXIT_USAGE;
	}
	r = c->object ? detach_one(c, c->object, "detached") : detach_all(c);
	cli_diags(c, DIAG_ERROR);
	return r;
}
