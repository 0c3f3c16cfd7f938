/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Reads the chain once: refuses what a program cannot say, naming the rule, and gives everything that rules ask of the
 * packet a place in the record.
 */
#include <string.h>

#include "select.h"

#define REC_MAX		4096	/* bytes of a record */

void be_refuse(struct be_cc *cc, const struct imr_at *at, const char *what, const char *hint)
{
	struct diag *d = diag_add(cc->imr->diags, DIAG_UNSUPPORTED, at, "%s: %s", cc->target->name, what);

	d->hint = hint;
	cc->bad = true;
}

static uint8_t bits_of(const struct imr_insn *i)
{
	if (i->op == OP_TCPOPT)
		return 8;
	if (i->field == F_RAW)
		return i->len * 8;
	return imr_fields[i->field].bits;
}

static bool is_cell(const struct be_cell *c, const struct imr_insn *i)
{
	if (c->op != i->op)
		return false;
	if (i->op == OP_TCPOPT)
		return c->base == i->base && c->kind == (uint8_t)i->imm;
	if (c->field != i->field)
		return false;
	return i->field != F_RAW || (c->base == i->base && c->off == i->off && c->len == i->len);
}

static const struct be_cell *find(const struct be_cc *cc, const struct imr_insn *i)
{
	for (uint32_t n = 0; n < cc->n_cell; n++)
		if (is_cell(&cc->cell[n], i))
			return &cc->cell[n];
	return NULL;
}

static uint32_t cell_size(uint8_t bits)
{
	return bits <= 32 ? 4 : bits <= 64 ? 8 : 16;
}

uint32_t be_rec_size(const struct be_cc *cc)
{
	const struct be_cell *last = cc->n_cell ? &cc->cell[cc->n_cell - 1] : NULL;
	uint32_t end = last ? last->at + cell_size(last->bits) : REC_CELLS;

	return ((cc->n_fused ? cc->fused_end : end) + 7) & ~7u;
}

/* Where the next cell goes: eight bytes lie at 0 modulo 8 in memory, four at 4 (REC_BASE). */
static uint32_t place(const struct be_cc *cc, uint8_t bits)
{
	return be_rec_size(cc) + (cell_size(bits) > 4 ? REC_BASE : 0);
}

static uint32_t rec_max(const struct be_cc *cc)
{
	return cc->view->stack ? 512 + FP_RECORD : REC_MAX;
}

bool be_rec_fits(const struct be_cc *cc, uint32_t end)
{
	return end + 4 <= rec_max(cc);
}

static void add_cell(struct be_cc *cc, const struct imr_insn *i, const struct imr_at *at)
{
	const struct imr_field_info *f = &imr_fields[i->field];
	bool named = i->op == OP_LD && i->field != F_RAW;
	uint8_t bits = bits_of(i);
	uint32_t at_rec = place(cc, bits);
	struct be_cell *c;

	if (!be_rec_fits(cc, at_rec + cell_size(bits))) {
		be_refuse(cc, at, "the rules read too many different parts of the packet", NULL);
		return;
	}
	if (cc->n_cell == cc->cap_cell) {
		uint32_t cap = cc->cap_cell ? cc->cap_cell * 2 : 16;

		cc->cell = arena_grow(cc->imr->arena, cc->cell, cc->cap_cell * sizeof(*c), cap * sizeof(*c));
		cc->cap_cell = cap;
	}
	c = &cc->cell[cc->n_cell++];
	*c = (struct be_cell){ .op = i->op, .field = i->field, .bits = bits, .at = at_rec, .by = at,
			       .kind = i->op == OP_TCPOPT ? i->imm : 0, .shift = named ? f->shift : 0,
			       .base = named ? f->base : i->base, .off = named ? f->off : i->off,
			       .len = named ? f->len : i->len };
}

static void use_base(struct be_cc *cc, enum imr_base b, const struct imr_at *at)
{
	if (b == B_LL && cc->view->l3 && !cc->view->link)
		be_refuse(cc, at, "the link header is out of reach", NULL);
	cc->use_ll |= b == B_LL;
	cc->use_th |= b == B_TH;
	cc->use_tx |= b == B_TX;
}

static u128 name_number(const char *name)
{
	u128 v = 0;

	for (unsigned int i = 0, ended = 0; i < 16; i++) {
		ended |= !name[i];
		v = v << 8 | (ended ? 0 : (uint8_t)name[i]);
	}
	return v;
}

/* A device's field where it is known when the program is made: the hook has none, or it is that of attachment. */
static bool is_const(const struct be_cc *cc, uint8_t field, u128 *ret)
{
	bool out = field == F_META_OIF || field == F_META_OIFNAME;
	unsigned int none = out ? HF_NO_OIF : HF_NO_IIF;

	*ret = 0;
	if (field == F_META_IIFTYPE) {
		*ret = imr_iiftype(cc->opts->dev);
		return cc->opts->ifindex;
	}
	if (imr_hooks[cc->chain->hook].facts & none)
		return true;
	if (!cc->opts->ifindex || out != (cc->num == HN_EGRESS))
		return false;
	*ret = field == F_META_IIF || field == F_META_OIF ? cc->opts->ifindex : name_number(cc->opts->dev);
	return true;
}

static bool is_context(const struct be_cc *cc, uint8_t field)
{
	u128 v;

	switch (field) {
	case F_META_IIF:
	case F_META_IIFNAME:
	case F_META_IIFTYPE:
	case F_META_OIF:
	case F_META_OIFNAME:
		return !is_const(cc, field, &v);
	default:
		return field == F_META_MARK;
	}
}

static void ask_context(struct be_cc *cc, const struct imr_insn *i, const struct imr_at *at)
{
	if (cc->early && i->field != F_META_MARK)
		be_refuse(cc, at, "where the packet goes is not known yet", NULL);
	else if (!cc->view->meta)
		be_refuse(cc, at, arena_printf(cc->imr->arena, "the packet has no %s here", imr_fields[i->field].name),
			  "leave the rule to the kernel");
	else if (!find(cc, i))
		add_cell(cc, i, at);
}

static void ask(struct be_cc *cc, const struct imr_insn *i, const struct imr_at *at)
{
	enum imr_base b = i->op == OP_TCPOPT || i->field == F_RAW ? i->base : imr_fields[i->field].base;

	if (b == B_META) {
		cc->use_th |= i->field >= F_TH_OK && i->field <= F_TH_FRAGOFF;
		cc->use_tx |= i->field >= F_TX_OK && i->field <= F_TX_FRAGOFF;
		if (is_context(cc, i->field))
			ask_context(cc, i, at);
		return;
	}
	use_base(cc, b, at);
	if (i->op == OP_LD && bits_of(i) > 128)
		be_refuse(cc, at, "more than 16 bytes in one load", NULL);
	else if (!find(cc, i))
		add_cell(cc, i, at);
}

static void collect_insn(struct be_cc *cc, const struct imr_insn *i, const struct imr_at *at)
{
	if (i->dst != IMR_NOVAL && i->dst >= cc->n_val)
		cc->n_val = i->dst + 1;
	cc->use_sets |= i->set && i->set->n > BE_SET_SMALL;
	switch (i->op) {
	case OP_LD:
	case OP_TCPOPT:
		ask(cc, i, at);
		break;
	case OP_NEED:
		use_base(cc, i->base, at);
		break;
	case OP_NOFLOW:
		cc->use_flow = cc->use_th = true;
		break;
	case OP_UNKNOWN:
	case OP_OPAQUE:
	case OP_EFFECT:
		be_refuse(cc, at, arena_printf(cc->imr->arena, "\"%s\" cannot be known here", i->text ? i->text : "?"),
			  NULL);
		break;
	case OP_RETURN:
	case OP_JUMP:
	case OP_GOTO:
		be_refuse(cc, at, "a jump between chains is left: the chains are too large to be put into one", NULL);
		break;
	case OP_TALLY:
		if (cc->n_tally < BE_TALLY_MAX)
			cc->tally[cc->n_tally++] = i->slot;
		break;
	}
}

static void used_by(const struct imr_at **by, uint32_t val, const struct imr_at *at)
{
	if (val != IMR_NOVAL && !by[val])
		by[val] = at;
}

/* For each value the first rule that needs it: who is to blame for what the entry loads. */
static const struct imr_at **first_uses(struct be_cc *cc)
{
	const struct imr_chain *c = cc->chain;
	const struct imr_at **by;
	uint32_t n = 0;

	for (uint32_t i = 0; i < c->n_entry; i++)
		n = c->entry[i].dst >= n ? c->entry[i].dst + 1 : n;
	for (uint32_t r = 0; r < c->n; r++)
		for (uint32_t i = 0; i < c->rule[r].n; i++)
			n = c->rule[r].insn[i].dst != IMR_NOVAL && c->rule[r].insn[i].dst >= n ? c->rule[r].insn[i].dst + 1 : n;
	by = arena_alloc(cc->imr->arena, (n + 1) * sizeof(*by));
	for (uint32_t r = 0; r < c->n; r++)
		for (uint32_t i = 0; i < c->rule[r].n; i++) {
			used_by(by, c->rule[r].insn[i].a, &c->rule[r].at);
			used_by(by, c->rule[r].insn[i].b, &c->rule[r].at);
		}
	for (uint32_t i = c->n_entry; i-- > 0;) {
		used_by(by, c->entry[i].a, by[c->entry[i].dst]);
		used_by(by, c->entry[i].b, by[c->entry[i].dst]);
	}
	return by;
}

static void refuse_untold(struct be_cc *cc)
{
	uint32_t n;
	const struct imr_untold *u = imr_sent_untold(cc->imr, cc->chain - cc->imr->chain, &n);

	for (uint32_t i = 0; i < n; i++)
		be_refuse(cc, &u[i].rule->at, u[i].what, u[i].hint);
}

void be_collect(struct be_cc *cc)
{
	const struct imr_chain *c = cc->chain;
	const struct imr_at **by = first_uses(cc);

	for (uint32_t i = 0; i < c->n_entry; i++)
		collect_insn(cc, &c->entry[i], by[c->entry[i].dst] ? by[c->entry[i].dst] : &c->at);
	for (uint32_t r = 0; r < c->n; r++)
		for (uint32_t i = 0; i < c->rule[r].n; i++)
			collect_insn(cc, &c->rule[r].insn[i], &c->rule[r].at);
	if (cc->num == HN_EGRESS)
		refuse_untold(cc);
	if (cc->bad)
		return;
	cc->def = arena_alloc(cc->imr->arena, (cc->n_val + 2) * sizeof(*cc->def));
	for (uint32_t i = 0; i < c->n_entry; i++)
		cc->def[c->entry[i].dst] = &c->entry[i];
}

uint16_t be_rec_at(const struct be_cc *cc, const struct imr_insn *i, u128 *ret_const)
{
	const struct be_cell *c;

	*ret_const = 0;
	if (i->op == OP_LD) {
		switch (i->field) {
		case F_NONE:
			return be_fused_at(cc, i->off);
		case F_META_IIF:
		case F_META_IIFNAME:
		case F_META_IIFTYPE:
		case F_META_OIF:
		case F_META_OIFNAME:
			if (is_const(cc, i->field, ret_const))
				return 0;
			break;
		case F_META_NFPROTO:	return REC_NFPROTO;
		case F_META_PROTOCOL:	return REC_PROTOCOL;
		case F_META_LEN:	return REC_LEN;
		case F_TH_OK:		return REC_TH + REC_OK;
		case F_TH_PROTO:	return REC_TH + REC_PROTO;
		case F_TH_FRAGOFF:	return REC_TH + REC_FRAGOFF;
		case F_TX_OK:		return REC_TX + REC_OK;
		case F_TX_PROTO:	return REC_TX + REC_PROTO;
		case F_TX_FRAGOFF:	return REC_TX + REC_FRAGOFF;
		}
	}
	c = find(cc, i);
	return c ? c->at : 0;
}
