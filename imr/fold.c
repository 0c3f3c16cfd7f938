/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Tests in one form. What the hook promises is a constant and decides; a test that earlier ones have decided goes, and
 * one that cannot pass ends its rule; tests of one value that leave to one place are one test; and tests that may
 * change places stand in the order of the header. So two rules that ask the same, in any order and spelling, become one
 * text.
 */
#include <stdlib.h>

#include "pass.h"

/* What hooks promise of fields. hooks: bits of enum imr_hooknum, 0 for all; l3: only in packets of that family. */
static const struct promise {
	uint8_t field, l3;
	unsigned int facts, hooks;
	uint16_t lo, hi;
} promises[] = {
#define RECEIVED (1u << HN_PREROUTING | 1u << HN_INPUT | 1u << HN_FORWARD | 1u << HN_EARLY)
	{ F_META_OIF,     0,       HF_NO_OIF, 0, 0, 0 },
	{ F_META_OIFNAME, 0,       HF_NO_OIF, 0, 0, 0 },
	{ F_META_IIF,     0,       HF_NO_IIF, 0, 0, 0 },
	{ F_META_IIFNAME, 0,       HF_NO_IIF, 0, 0, 0 },
	{ F_META_IIFTYPE, 0,       0, RECEIVED | 1u << HN_INGRESS | 1u << HN_EGRESS, 1, UINT16_MAX },
	{ F_TH_OK,        FAM_IP,  HF_L3, 0, 1, 1 },
	{ F_TX_OK,        FAM_IP,  HF_L3, 0, 1, 1 },
	{ F_IP_FRAGOFF,   FAM_IP,  HF_L3 | HF_NO_FRAG, 0, 0, 0 },
	{ F_TH_FRAGOFF,   0,       HF_L3 | HF_NO_FRAG, 1u << HN_EARLY, 0, 0 },
	{ F_TX_FRAGOFF,   0,       HF_L3 | HF_NO_FRAG, 1u << HN_EARLY, 0, 0 },
	{ F_IP_VERSION,   FAM_IP,  HF_L3, RECEIVED, 4, 4 },
	{ F_IP_IHL,       FAM_IP,  HF_L3, RECEIVED, 5, 15 },
	{ F_IP6_VERSION,  FAM_IP6, HF_L3, RECEIVED, 6, 6 },
};
#define UNFRAGMENTED 0xc000	/* of ip.frag: what an IPv4 packet that is no fragment may have */

struct state {			/* of a node */
	uint32_t known;		/* the rule plus 1, if in it the value is one of */
	struct pset s;
	uint32_t run, step;	/* the test of it in the run, if run is the current one */
};

struct fold {
	struct work w;
	struct facts f, run_f;	/* before the run, and with what it asks of the family */
	uint8_t l3;
	uint32_t *map, n_map, n_in;
	struct state *state;
	uint32_t n_state;
	uint32_t run, first;	/* number of the current run, its first step */
	bool never;
};

/* ------------------------------------------------------------------ values */

static const struct promise *promised(const struct fold *d, enum imr_field f)
{
	const struct imr_hook_info *h = &imr_hooks[d->w.c->hook];

	for (size_t k = 0; k < sizeof(promises) / sizeof(*promises); k++) {
		const struct promise *p = &promises[k];

		if (p->field == f && (h->facts & p->facts) == p->facts && (!p->hooks || p->hooks & 1u << h->num) &&
		    (!p->l3 || p->l3 == d->l3))
			return p;
	}
	return NULL;
}

static uint32_t fold_load(struct fold *d, uint32_t v)
{
	struct vals *vs = &d->w.vals;
	const struct imr_insn i = vs->v[v].i;
	const struct promise *p = promised(d, i.field);

	if (p && p->lo == p->hi)
		return val_const(vs, i.type, p->lo);
	if (i.field == F_IP_FRAG && d->l3 == FAM_IP && imr_hooks[d->w.c->hook].facts & HF_NO_FRAG)
		return val_op(vs, OP_AND, v, UNFRAGMENTED);
	return v;
}

static uint32_t fold_value(struct fold *d, uint32_t v)
{
	struct imr_insn i = d->w.vals.v[v].i;
	const unsigned int args = imr_ops[i.op].args;

	if (i.op == OP_LD)
		return fold_load(d, v);
	if (!(args & ARG_A))
		return v;
	i.a = d->map[i.a];
	if (args & ARG_B)
		i.b = d->map[i.b];
	return val_make(&d->w.vals, &i);
}

static void fold_values(struct fold *d, uint8_t l3)
{
	d->l3 = l3;
	d->map = pass_room(d->w.imr, d->map, &d->n_map, d->n_in, sizeof(*d->map));
	for (uint32_t v = 0; v < d->n_in; v++)
		d->map[v] = fold_value(d, v);
}

/* ------------------------------------------------------------------ what a value can be */

/* At the hooks of L3 a packet is of one of two families; those of a device have their own. */
static bool family_domain(struct fold *d, struct pset *s)
{
	const uint8_t l3 = facts_l3(d->w.c, &d->f);
	struct imr_range both[] = { { FAM_IP, FAM_IP }, { FAM_IP6, FAM_IP6 } };
	const struct imr_set *set;

	if (imr_hooks[d->w.c->hook].family == FAM_NETDEV) {
		*s = pset_range(FAM_NETDEV, FAM_NETDEV);
		return true;
	}
	if (!(imr_hooks[d->w.c->hook].facts & HF_L3))
		return false;
	if (l3) {
		*s = pset_range(l3, l3);
		return true;
	}
	set = imr_set_new(d->w.imr, both, 2);
	*s = (struct pset){ .n = 2, .r = set->r, .orig = set };
	return true;
}

static bool domain(struct fold *d, const struct val *v, struct pset *s)
{
	const struct promise *p;

	if (v->i.op == OP_NEED) {
		*s = pset_range(d->run_f.avail[v->i.base], UINT16_MAX);
		return true;
	}
	if (v->i.op != OP_LD)
		return false;
	if (v->i.field == F_META_NFPROTO)
		return family_domain(d, s);
	p = promised(d, v->i.field);
	if (p)
		*s = pset_range(p->lo, p->hi);
	return p;
}

static struct state *state_of(struct fold *d, uint32_t v)
{
	struct state *st;

	d->state = pass_room(d->w.imr, d->state, &d->n_state, d->w.vals.n, sizeof(*d->state));
	st = &d->state[v];
	if (st->known != d->w.rule + 1 && domain(d, &d->w.vals.v[v], &st->s))
		st->known = d->w.rule + 1;
	return st;
}

/* ------------------------------------------------------------------ a run */

/* A test that only passes where there is a transport header: does it say so for th.ok or tx.ok? */
static enum imr_base proves_header(const struct vals *vs, const struct step *t)
{
	const struct val *v = &vs->v[t->i.a];
	const struct imr_insn *ld = &vs->v[v->leaf].i;

	if (v->i.op == OP_NEED)
		return v->i.base;
	if ((v->i.op != OP_LD && v->i.op != OP_AND) || ld->op != OP_LD || pset_has(&t->s, 0))
		return B_META;
	if (ld->field == F_TH_PROTO || ld->field == F_TH_FRAGOFF)
		return B_TH;
	if (ld->field == F_TX_PROTO || ld->field == F_TX_FRAGOFF)
		return B_TX;
	return ld->field == F_RAW ? ld->base : imr_fields[ld->field].base;
}

static bool is_header_test(const struct vals *vs, const struct step *t, enum imr_field f)
{
	const struct imr_insn *i = &vs->v[t->i.a].i;

	return i->op == OP_LD && i->field == f && !pset_has(&t->s, 0);
}

static void drop_header_tests(struct fold *d)
{
	const struct vals *vs = &d->w.vals;
	struct steps *l = &d->w.out;
	bool th = d->f.avail[B_TH], tx = d->f.avail[B_TX];
	uint32_t n = d->first;

	for (uint32_t k = d->first; k < l->n; k++) {
		th |= proves_header(vs, &l->s[k]) == B_TH;
		tx |= proves_header(vs, &l->s[k]) == B_TX;
	}
	for (uint32_t k = d->first; k < l->n; k++)
		if (!(th && is_header_test(vs, &l->s[k], F_TH_OK)) && !(tx && is_header_test(vs, &l->s[k], F_TX_OK)))
			l->s[n++] = l->s[k];
	l->n = n;
}

/* Presence first, then in the order of the header. */
static int cmp_step(const void *pa, const void *pb, void *ctx)
{
	const struct step *a = pa, *b = pb;
	const struct vals *vs = ctx;
	const struct val *x = &vs->v[a->i.a], *y = &vs->v[b->i.a];

	if ((x->i.op == OP_NEED) != (y->i.op == OP_NEED))
		return x->i.op == OP_NEED ? -1 : 1;
	if (x->i.op == OP_NEED)
		return (int)x->i.base - (int)y->i.base;
	return val_cmp(x, y, vs);
}

static void close_run(struct fold *d)
{
	struct work *w = &d->w;

	drop_header_tests(d);
	if (w->out.n > d->first)
		qsort_r(&w->out.s[d->first], w->out.n - d->first, sizeof(*w->out.s), cmp_step, &w->vals);
	for (uint32_t k = d->first; k < w->out.n; k++) {
		struct step *t = &w->out.s[k];
		const struct imr_insn *v = &w->vals.v[t->i.a].i;

		if (v->op == OP_NEED) {
			t->i = (struct imr_insn){ .op = OP_NEED, .base = v->base, .els = t->i.els, .to = t->i.to,
						  .len = (uint16_t)pset_ranges(&t->s)->lo, .dst = IMR_NOVAL,
						  .a = IMR_NOVAL, .b = IMR_NOVAL };
		} else {
			pset_put(w->imr, &t->s, w->vals.v[t->i.a].bits, &t->i);
		}
	}
	d->first = w->out.n;
	d->run++;
}

/* The test of v for s, unless what is known decides it. */
static void add_test(struct fold *d, const struct imr_insn *test, uint32_t v, struct pset s)
{
	struct work *w = &d->w;
	struct state *st = state_of(d, v);
	const u128 bits = w->vals.v[v].bits;
	const bool known = st->known == w->rule + 1;
	const bool joined = !known || pset_and(w->imr, &s, &st->s, bits);
	struct step *t;

	if (w->vals.v[v].i.op == OP_LD && w->vals.v[v].i.type == T_NAME)
		pset_of_name(w->imr, &s);
	if (pset_truth(&s, bits) == PSET_NEVER) {
		d->never = true;
		return;
	}
	if (known && joined && pset_same(&s, &st->s, bits))
		return;
	if (w->out.n > d->first && (w->out.s[d->first].i.els != test->els || w->out.s[d->first].i.to != test->to))
		close_run(d);
	if (joined && known && st->run == d->run) {
		w->out.s[st->step].s = st->s = s;
		return;
	}
	t = steps_add(w->imr, &w->out);
	t->i = *test;
	t->i.a = v;
	t->s = s;
	if (joined)
		*st = (struct state){ .known = w->rule + 1, .s = s, .run = d->run, .step = w->out.n - 1 };
}

static void fold_test(struct fold *d, const struct step *in)
{
	struct vals *vs = &d->w.vals;
	struct pset s = in->s;
	uint32_t v;

	if (in->i.op == OP_NEED) {
		v = val_add(vs, &(struct imr_insn){ .op = OP_NEED, .base = in->i.base });
		s = pset_range(in->i.len, UINT16_MAX);
	} else {
		v = d->map[in->i.a];
	}
	while (val_peel(vs, &v, &s))
		;
	switch (val_truth(vs, v, &s)) {
	case PSET_NEVER:
		d->never = true;
		return;
	case PSET_ALWAYS:
		return;
	case PSET_MAYBE:
		add_test(d, &in->i, v, s);
		return;
	}
}

/* ------------------------------------------------------------------ a rule */

static void begin_run(struct fold *d, uint32_t from, uint32_t end)
{
	const struct facts all = work_facts(&d->w, &d->f, &d->w.in, from, end);

	d->run_f = d->f;
	d->run_f.l3 = all.l3;
	if (!from || facts_l3(d->w.c, &all) != d->l3)
		fold_values(d, facts_l3(d->w.c, &all));
}

static void fold_rule(struct fold *d, uint32_t rule)
{
	struct work *w = &d->w;

	d->f = w->facts[rule];
	work_load(w, rule, &w->in);
	w->out.n = d->first = 0;
	d->never = false;
	d->n_in = w->vals.n;
	for (uint32_t k = 0, end; k < w->in.n && !d->never; k = end) {
		end = work_run(&w->in, k);
		begin_run(d, k, end);
		for (uint32_t t = k; t < end && !d->never; t++) {
			if (pass_may(w->in.s[t].i.op, LAW_COMMUTE)) {
				fold_test(d, &w->in.s[t]);
				continue;
			}
			close_run(d);
			*steps_add(w->imr, &w->out) = w->in.s[t];
			d->first = w->out.n;
		}
		d->f = work_facts(w, &d->f, &w->in, k, end);
		if (d->never) {
			close_run(d);
			steps_add(w->imr, &w->out)->i = pass_else_end(&w->in.s[k].i);
		}
	}
	work_store(w, &w->out);
}

void pass_fold(struct imr *imr)
{
	for (uint32_t c = 0; c < imr->n; c++) {
		struct imr_chain *chain = &imr->chain[c];
		struct fold d = { .run = 1 };

		if (chain->hook != HOOK_NONE && !chain->policy_count) {
			chain->policy_count = true;
			chain->policy_slot = imr->n_slot++;
		}
		work_init(&d.w, imr, chain, true);
		for (uint32_t r = 0; r < chain->n; r++)
			if (d.w.facts[r].reached)
				fold_rule(&d, r);
	}
}
