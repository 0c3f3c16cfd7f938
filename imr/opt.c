/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The passes, in order. Each one leaves a program that means the same, and the verifier looks at it after every pass,
 * so that a broken program has a culprit. docs/PASSES.md says what each promises.
 */
#include <string.h>

#include "pass.h"

const struct imr_pass imr_passes[] = {
	{ "sink",   pass_sink,   "a chain's shared loads go back into the rules that use them" },
	{ "inline", pass_inline, "jumps, gotos and returns of base chains become exits to later rules" },
	{ "raise",  pass_raise,  "bytes of headers become the fields that they are" },
	{ "need",   pass_need,   "bytes that are known to be there are not asked for" },
	{ "fold",   pass_fold,   "constants decide, tests of one value become one, in one order" },
	{ "dead",   pass_dead,   "rules that do nothing or are never reached go" },
	{ "hoist",  pass_hoist,  "each load of a chain is made once, in its entry" },
	{ NULL, NULL, NULL }
};

bool imr_optimise(struct imr *imr, const char *last)
{
	for (const struct imr_pass *p = imr_passes; p->name; p++) {
		const char *bad;

		p->run(imr);
		bad = imr_check(imr, p->name);
		if (bad) {
			diag_add(imr->diags, DIAG_ERROR, NULL, "%s", bad);
			return false;
		}
		if (last && !strcmp(p->name, last))
			return true;
	}
	return true;
}
