/* SPDX-License-Identifier: GPL-2.0-only */
/* detach: removes what fwjit attached in this network namespace, and nothing else. */
#include <errno.h>
#include <string.h>

#include "cli.h"

static int detach_all(struct cli *c)
{
	struct ld_state *st = NULL;
	uint32_t n = 0;
	int bad = 0;

	if (ld_state_list(c->arena, c->diags, &st, &n))
		return EXIT_INPUT;
	for (uint32_t i = 0; i < n; i++) {
		if (ld_detach(c->diags, st[i].id))
			bad = EXIT_INPUT;
		else
			printf("%s: detached\n", st[i].id);
	}
	if (!n)
		printf("nothing of fwjit's is attached here\n");
	return bad;
}

int verb_detach(struct cli *c)
{
	int r;

	if (c->all && c->object) {
		fprintf(stderr, "fwjit: detach: --all or one ID\n");
		return EXIT_USAGE;
	}
	if (!c->object) {
		r = detach_all(c);
	} else {
		r = ld_detach(c->diags, c->object) ? EXIT_INPUT : EXIT_DONE;
		if (!r)
			printf("%s: detached\n", c->object);
	}
	cli_diags(c, DIAG_ERROR);
	return r;
}
