/* SPDX-License-Identifier: GPL-2.0-only */
/* delegate: gives the user namespace of a process what fwjit needs of bpf(2), as a BPF file system that a token comes of. */
#include <errno.h>
#include <stdlib.h>

#include "cli.h"

int verb_delegate(struct cli *c)
{
	char path[192];
	int r;

	if (!c->pid || c->object) {
		fprintf(stderr, "fwjit: delegate: --pid PID, a process of the user namespace\n");
		return EXIT_USAGE;
	}
	r = ld_delegate(c->diags, c->pid, path, sizeof(path));
	cli_diags(c, DIAG_ERROR);
	if (r && r != -EEXIST)
		return r == -EPERM ? EXIT_RIGHTS : EXIT_INPUT;
	if (c->json)
		printf("{\"pid\":%d,\"path\":\"%s\",\"new\":%s}\n", (int)c->pid, path, r ? "false" : "true");
	else
		printf("process %d: the BPF file system at %s%s; `fwjit apply` inside finds and uses it\n", (int)c->pid,
		       path, r ? " was there already" : "");
	return EXIT_DONE;
}
