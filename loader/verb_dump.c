/* SPDX-License-Identifier: GPL-2.0-only */
/* dump: the artefacts between the rules and the program: captured bytes, IMR after any pass, the placed IMR, assembly. */
#include <string.h>

#include "cli.h"

static int dump_netlink(struct cli *c)
{
	struct fe_capture cap;
	const char *text;
	uint8_t *bytes;
	size_t len;
	int r;

	r = cli_capture(c, &cap, &text, &len);
	if (r)
		return r;
	if (text) {
		diag_add(c->diags, DIAG_ERROR, NULL, "IMR text has no kernel objects to capture");
		return EXIT_INPUT;
	}
	fe_capture_encode(c->arena, &cap, &bytes, &len);
	return fwrite(bytes, 1, len, stdout) == len ? EXIT_DONE : EXIT_INPUT;
}

/* "read": before all passes; a pass's name: after it; "placed" as it stands for the target on each device. */
static int dump_imr(struct cli *c)
{
	struct strbuf out = { .arena = c->arena };
	struct cli_input in;
	struct imr *imr;
	bool known = !c->pass || !strcmp(c->pass, "read");
	int r;

	for (const struct imr_pass *p = imr_passes; p->name; p++)
		known = known || !strcmp(p->name, c->pass);
	if (!known) {
		fprintf(stderr, "fwjit: --imr=%s: not a pass; read", c->pass);
		for (const struct imr_pass *p = imr_passes; p->name; p++)
			fprintf(stderr, ", %s", p->name);
		fprintf(stderr, " or placed\n");
		return EXIT_USAGE;
	}
	r = cli_read(c, &in);
	if (r)
		return r;
	imr = !c->pass ? in.imr : !strcmp(c->pass, "read") ? in.source : cli_program(c, &in, c->pass);
	if (!imr)
		return EXIT_INPUT;
	imr_print(&out, imr);
	cli_put(c, &out, true);
	return EXIT_DONE;
}

static int dump_placed(struct cli *c, bool assembly)
{
	struct strbuf out = { .arena = c->arena };
	struct plan p = { 0 };
	int r;

	if (!c->caps)
		c->caps = "root";	/* an artefact needs no rights */
	r = plan_make(c, &p);
	if (r)
		return r;
	for (uint32_t i = 0; i < p.n; i++) {
		if (assembly)
			be_asm_print(&out, &p.dev[i].prog);
		else
			imr_print(&out, p.dev[i].placed);
	}
	cli_put(c, &out, true);
	return EXIT_DONE;
}

int verb_dump(struct cli *c)
{
	int r, said;

	c->asks_no_more = c->n_file && !c->slice;
	if (c->dump == DUMP_NETLINK)
		r = dump_netlink(c);
	else if (c->dump == DUMP_ASM)
		r = dump_placed(c, true);
	else if (c->dump == DUMP_IMR && c->pass && !strcmp(c->pass, "placed"))
		r = dump_placed(c, false);
	else if (c->dump == DUMP_IMR)
		r = dump_imr(c);
	else {
		fprintf(stderr, "fwjit: dump: --imr[=PASS], --asm or --netlink\n");
		return EXIT_USAGE;
	}
	said = cli_diags(c, r || !c->n_file ? DIAG_ERROR : DIAG_UNSUPPORTED);
	return r ? r : said;
}
