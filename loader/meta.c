/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What is stored with an attachment: the rules as they were read and the placed program, both as IMR text, so that
 * `list` can say what is enforced, and a later `apply` can carry counters over, without the input being there any more.
 */
#include <stdlib.h>
#include <string.h>

#include "cli.h"

#define META_MAGIC "fwjit state 1\n"

static void part(struct strbuf *out, const char *name, const struct imr *imr)
{
	struct strbuf text = { .arena = out->arena };

	imr_print(&text, imr);
	strbuf_add(out, "%s %zu\n", name, text.len);
	strbuf_add_bytes(out, text.s, text.len);
}

void meta_encode(struct strbuf *out, const struct plan *p, const struct plan_dev *d)
{
	strbuf_add(out, META_MAGIC "mode %s\n", p->in.live ? "live" : "file");
	part(out, "source", p->in.source);
	part(out, "placed", d->placed);
}

/* One "name LENGTH\n" part at *s; moves *s behind it. */
static struct imr *part_read(struct cli *c, const char *name, const char **s, const char *end)
{
	size_t n = strlen(name), len;
	char *after;
	struct imr *imr;

	if ((size_t)(end - *s) <= n || strncmp(*s, name, n) || (*s)[n] != ' ')
		return NULL;
	len = strtoull(*s + n + 1, &after, 10);
	if (*after != '\n' || len > (size_t)(end - after - 1))
		return NULL;
	imr = imr_parse(c->arena, c->diags, after + 1, len);
	*s = after + 1 + len;
	return imr;
}

int meta_decode(struct cli *c, const struct ld_state *st, struct meta *ret)
{
	const char *s = arena_strndup(c->arena, st->meta, st->meta_len), *end = s + st->meta_len;
	static const char live[] = META_MAGIC "mode live\n", file[] = META_MAGIC "mode file\n";

	*ret = (struct meta){ 0 };
	if (!strncmp(s, live, sizeof(live) - 1) || !strncmp(s, file, sizeof(file) - 1)) {
		ret->live = !strncmp(s, live, sizeof(live) - 1);
		s += sizeof(live) - 1;
		ret->source_text = s;
		ret->source = part_read(c, "source", &s, end);
		ret->source_len = s - ret->source_text;
		ret->placed = ret->source ? part_read(c, "placed", &s, end) : NULL;
	}
	if (ret->placed) {
		imr_number(ret->placed);
		return 0;
	}
	diag_add(c->diags, DIAG_ERROR, NULL, "attachment \"%s\": its stored state cannot be read", st->id)->hint =
		"`fwjit detach` removes it, `fwjit apply` makes it anew";
	return EXIT_INPUT;
}

const struct imr_at **meta_slots(struct arena *a, const struct imr *imr)
{
	const struct imr_at **slot = arena_alloc(a, (imr->n_slot + 1) * sizeof(*slot));

	for (uint32_t i = 0; i < imr->n; i++) {
		const struct imr_chain *ch = &imr->chain[i];

		for (uint32_t k = 0; k < ch->n; k++)
			for (uint32_t j = 0; j < ch->rule[k].n; j++) {
				const struct imr_insn *in = &ch->rule[k].insn[j];

				if (in->op == OP_COUNT || in->op == OP_TALLY)
					slot[in->slot] = &ch->rule[k].at;
			}
		if (ch->hook != HOOK_NONE && ch->policy_count)
			slot[ch->policy_slot] = &ch->at;
	}
	return slot;
}

/* Identity of a rule beyond one reading: its chain and its text; equal rules of a chain are told apart by their turn. */
struct key {
	const struct imr_at *at;
	uint32_t slot, turn;
};

static int cmp_str(const char *a, const char *b)
{
	return strcmp(a ? a : "", b ? b : "");
}

static int cmp_rule(const struct key *x, const struct key *y)
{
	int r = cmp_str(x->at->tool, y->at->tool);

	if (!r)
		r = cmp_str(x->at->where, y->at->where);
	if (!r)
		r = !!x->at->number - !!y->at->number;
	return r ? r : cmp_str(x->at->text, y->at->text);
}

static int cmp_key(const void *a, const void *b)
{
	const struct key *x = a, *y = b;
	int r = cmp_rule(x, y);

	return r ? r : (x->slot > y->slot) - (x->slot < y->slot);
}

static struct key *keys(struct arena *a, const struct imr *imr, uint32_t *ret_n)
{
	const struct imr_at **slot = meta_slots(a, imr);
	struct key *k = arena_alloc(a, (imr->n_slot + 1) * sizeof(*k));
	uint32_t n = 0;

	for (uint32_t i = 0; i < imr->n_slot; i++)
		if (slot[i])
			k[n++] = (struct key){ .at = slot[i], .slot = i };
	qsort(k, n, sizeof(*k), cmp_key);
	for (uint32_t i = 1; i < n; i++)
		k[i].turn = cmp_rule(&k[i - 1], &k[i]) ? 0 : k[i - 1].turn + 1;
	*ret_n = n;
	return k;
}

void meta_carry(struct arena *a, const struct imr *from, const struct imr *to, uint32_t *map)
{
	uint32_t nf, nt, f = 0;
	struct key *kf = keys(a, from, &nf), *kt = keys(a, to, &nt);

	for (uint32_t i = 0; i < to->n_slot; i++)
		map[i] = UINT32_MAX;
	for (uint32_t t = 0; t < nt; t++) {
		int r = -1;

		while (f < nf && ((r = cmp_rule(&kf[f], &kt[t])) < 0 || (!r && kf[f].turn < kt[t].turn)))
			f++;
		if (f < nf && !r && kf[f].turn == kt[t].turn)
			map[kt[t].slot] = kf[f++].slot;
	}
}
