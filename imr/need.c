/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Presence that is known already is not asked for: what the hook promises of every packet that it sees, what an earlier
 * test of the rule has found, and what every way to the rule has found. A need that the packet's family decides counts
 * for all tests that may change places with the one that asked for the family.
 */
#include "pass.h"

/* Facts of the run apart from its needs: these may not vouch for each other. */
static struct facts run_facts(struct work *w, const struct facts *f, uint32_t from, uint32_t end)
{
	struct facts all = work_facts(w, f, &w->in, from, end), out = *f;

	out.l3 = all.l3;
	if (facts_l3(w->c, &all) == FAM_IP6 && out.avail[B_NH] < imr_hooks[HOOK_IP6_INPUT].nh_min)
		out.avail[B_NH] = imr_hooks[HOOK_IP6_INPUT].nh_min;
	return out;
}

static void need_rule(struct work *w, uint32_t rule)
{
	struct facts f = w->facts[rule];

	work_load(w, rule, &w->in);
	w->out.n = 0;
	for (uint32_t k = 0, end; k < w->in.n; k = end) {
		struct facts known;

		end = work_run(&w->in, k);
		known = run_facts(w, &f, k, end);
		for (uint32_t t = k; t < end; t++) {
			const struct step *s = &w->in.s[t];

			if (s->i.op != OP_NEED || s->i.len > known.avail[s->i.base])
				*steps_add(w->imr, &w->out) = *s;
			if (s->i.op == OP_NEED && s->i.len > known.avail[s->i.base])
				known.avail[s->i.base] = s->i.len;
		}
		f = work_facts(w, &f, &w->in, k, end);
	}
	work_store(w, &w->out);
}

void pass_need(struct imr *imr)
{
	for (uint32_t c = 0; c < imr->n; c++) {
		struct work w;

		work_init(&w, imr, &imr->chain[c], true);
		for (uint32_t r = 0; r < imr->chain[c].n; r++)
			if (w.facts[r].reached)
				need_rule(&w, r);
	}
}
