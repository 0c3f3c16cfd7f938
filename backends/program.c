/* SPDX-License-Identifier: GPL-2.0-only */
/* What is the same for every eBPF program: the chain it is made of, its maps, its slots; and when two are equal. */
#include <string.h>

#include "select.h"

#define INSNS_MAX	1000000
#define INSNS_SMALL	4096
#define TAB_START	16	/* never empty: a map's value may not be */

static uint32_t add_map(struct be_cc *cc, enum be_role role, struct be_map m)
{
	cc->map[cc->n_map] = m;
	cc->role[cc->n_map] = role;
	return cc->n_map++;
}

static void make_maps(struct be_cc *cc)
{
	cc->map = arena_alloc(cc->imr->arena, 4 * sizeof(*cc->map));
	cc->role = arena_alloc(cc->imr->arena, 4 * sizeof(*cc->role));
	cc->map_record = add_map(cc, BE_MAP_SCRATCH, (struct be_map){ .name = "record", .key_size = 4,
			.type = cc->view->stack ? BPF_MAP_TYPE_ARRAY : BPF_MAP_TYPE_PERCPU_ARRAY, .max_entries = 1,
			.value_size = cc->view->stack ? 8 : (be_rec_size(cc) + REC_BASE + 7) & ~7u });
	if (cc->imr->n_slot)
		cc->map_counters = add_map(cc, BE_MAP_COUNTERS, (struct be_map){ .name = "counters", .key_size = 4,
				.type = BPF_MAP_TYPE_PERCPU_ARRAY, .value_size = sizeof(struct be_counter),
				.max_entries = cc->imr->n_slot });
	if (cc->opts->gate)
		cc->map_gate = add_map(cc, BE_MAP_GATE, (struct be_map){ .name = "gate", .key_size = 4,
				.type = BPF_MAP_TYPE_ARRAY, .value_size = 8, .max_entries = 1 });
	if (cc->use_sets)
		cc->map_sets = add_map(cc, BE_MAP_OTHER, (struct be_map){ .name = "sets", .key_size = 4,
				.type = BPF_MAP_TYPE_ARRAY, .max_entries = 1, .n_value = 1 });
}

static const struct imr_chain *only_chain(const struct imr *imr, const struct target *t)
{
	const struct imr_chain *c = imr->n == 1 ? &imr->chain[0] : NULL;

	if (c && c->hook != HOOK_NONE && (t->hooks & 1u << imr_hooks[c->hook].num))
		return c;
	diag_add(imr->diags, DIAG_UNSUPPORTED, c ? &c->at : NULL, "%s: %s", t->name,
		 c ? "packets are not seen as this hook sees them" : "not one chain");
	return NULL;
}

/* What the target needs of the caller and the kernel. */
static bool is_permitted(const struct imr *imr, const struct target *t, const struct caps *caps)
{
	const char *what = NULL;

	if (!be_target_missing(t, caps, &what))
		return true;
	diag_add(imr->diags, DIAG_UNSUPPORTED, NULL, "%s: the caller may not %s", t->name, what);
	return false;
}

bool be_start(struct be_cc *ret, const struct imr *imr, const struct target *t, const struct be_view *v,
	      const struct caps *caps, const struct be_opts *opts)
{
	struct be_cc *cc = ret;

	*cc = (struct be_cc){ .imr = imr, .opts = opts, .caps = caps, .target = t, .view = v };
	if (!is_permitted(imr, t, caps))
		return false;
	cc->chain = only_chain(imr, t);
	if (!cc->chain)
		return false;
	cc->num = imr_hooks[cc->chain->hook].num;
	cc->early = cc->num == HN_EARLY;
	be_emit_init(&cc->e, imr->arena);
	be_collect(cc);
	if (cc->bad)
		return false;
	cc->compact = !caps->big;
	cc->th4 = be_asks_transport(cc, FAM_IP);
	cc->th6 = be_asks_transport(cc, FAM_IP6);
	be_fuse(cc);
	cc->tab = (struct be_tab){ .len = TAB_START, .cap = TAB_START, .bytes = arena_alloc(imr->arena, TAB_START) };
	make_maps(cc);
	cc->drop = be_label_new(&cc->e);
	cc->pass = be_label_new(&cc->e);
	cc->drop_count = be_label_new(&cc->e);
	cc->pass_count = be_label_new(&cc->e);
	cc->drop_new = be_label_new(&cc->e);
	cc->drop_new_count = be_label_new(&cc->e);
	cc->odd = be_label_new(&cc->e);
	return true;
}

static void set_slots(const struct be_cc *cc, struct be_prog *ret)
{
	const struct imr_chain *c = cc->chain;

	ret->n_slot = cc->imr->n_slot;
	ret->slot = arena_alloc(cc->imr->arena, (ret->n_slot + 1) * sizeof(*ret->slot));
	for (uint32_t r = 0; r < c->n; r++)
		for (uint32_t i = 0; i < c->rule[r].n; i++)
			if (c->rule[r].insn[i].op == OP_COUNT || c->rule[r].insn[i].op == OP_TALLY)
				ret->slot[c->rule[r].insn[i].slot].at = &c->rule[r].at;
	if (c->policy_count)
		ret->slot[c->policy_slot].at = &c->at;
}

bool be_finish(struct be_cc *cc, const struct caps *caps, struct be_prog *ret)
{
	struct be_emit *e = &cc->e;

	if (!cc->bad && e->overflow)
		be_refuse(cc, NULL, "a jump is out of reach", "split the rules");
	if (!cc->bad)
		be_prune(e);
	if (!cc->bad && e->n > (caps->big ? INSNS_MAX : INSNS_SMALL))
		be_refuse(cc, NULL, arena_printf(cc->imr->arena, "%u instructions are more than the caller may load",
						 e->n), NULL);
	if (cc->bad)
		return false;
	if (cc->use_sets) {
		cc->map[cc->map_sets].value_size = cc->tab.len;
		cc->map[cc->map_sets].value = cc->tab.bytes;
	}
	ret->n = e->n;
	ret->insn = e->insn;
	ret->at = e->at;
	ret->n_reloc = e->n_reloc;
	ret->reloc = e->reloc;
	ret->n_kfunc = e->n_kfunc;
	memcpy(ret->kfunc, e->kfunc, sizeof(ret->kfunc));
	ret->n_map = cc->n_map;
	ret->map = cc->map;
	ret->role = cc->role;
	set_slots(cc, ret);
	return true;
}

static bool map_same(const struct be_map *a, const struct be_map *b)
{
	return strcmp(a->name, b->name) == 0 && a->type == b->type && a->key_size == b->key_size &&
	       a->value_size == b->value_size && a->max_entries == b->max_entries && a->flags == b->flags &&
	       a->n_value == b->n_value &&
	       (!a->n_value || memcmp(a->value, b->value, (size_t)a->n_value * a->value_size) == 0);
}

static bool filter_same(const struct be_filter *a, const struct be_filter *b)
{
	return a->n == b->n && memcmp(a->insn, b->insn, a->n * sizeof(*a->insn)) == 0;
}

bool be_prog_same(const struct be_prog *a, const struct be_prog *b)
{
	if (a->type != b->type || a->n != b->n || a->n_map != b->n_map || a->n_filter != b->n_filter)
		return false;
	if (a->n && memcmp(a->insn, b->insn, a->n * sizeof(*a->insn)) != 0)
		return false;
	for (uint32_t i = 0; i < a->n_map; i++)
		if (a->role[i] != b->role[i] || !map_same(&a->map[i], &b->map[i]))
			return false;
	for (uint32_t i = 0; i < a->n_filter; i++)
		if (!filter_same(&a->filter[i], &b->filter[i]))
			return false;
	return true;
}
