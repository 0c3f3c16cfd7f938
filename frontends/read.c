/* SPDX-License-Identifier: GPL-2.0-only */
/* A capture into one program: each record by its own frontend, then the order, the numbers and the check of the whole. */
#include "frontend.h"

static bool read_records(struct imr *imr, const struct fe_capture *c, const struct fe_texts *texts)
{
	bool ok = true;

	for (uint32_t i = 0; i < c->n; i++) {
		if (c->rec[i].kind == FE_NFT)
			ok &= fe_nft_read(imr, &c->rec[i], texts);
		else if (c->rec[i].kind == FE_IPT)
			ok &= fe_ipt_read(imr, &c->rec[i], texts);
	}
	return ok;
}

struct imr *fe_read(struct arena *a, struct diags *ds, const struct imr_profile *p, const struct fe_capture *c)
{
	struct imr *imr = imr_new(a, ds, p);
	const char *fault;

	if (!read_records(imr, c, fe_texts_new(a, c)) || !imr_sort(imr))
		return NULL;
	imr_number(imr);
	fault = imr_check(imr, "frontend");
	if (fault) {
		diag_add(ds, DIAG_ERROR, NULL, "%s", fault);
		return NULL;
	}
	return imr;
}
