/* SPDX-License-Identifier: GPL-2.0-only */
/* What the rules ask of a packet, read once for the chain: what cannot be said is refused, and tests become sets. */
#include <linux/if_ether.h>

#include "cbpf.h"

#define DEPTH_MAX	5	/* values within values */

void cb_refuse(struct cb *cb, const struct imr_at *at, const char *what, const char *hint)
{
	diag_add(cb->imr->diags, DIAG_UNSUPPORTED, at, "%s: %s", cb->name, what)->hint = hint;
	cb->bad = true;
}

void cb_define(struct cb *cb, uint32_t rule)
{
	const struct imr_rule *r = &cb->chain->rule[rule];

	for (uint32_t i = 0; i < r->n; i++)
		if (r->insn[i].dst != IMR_NOVAL)
			cb->def[r->insn[i].dst] = &r->insn[i];
}

/* ------------------------------------------------------------------ loads */

unsigned int cb_bits(const struct imr_insn *i)
{
	return i->field == F_RAW ? i->len * 8 : imr_fields[i->field].bits;
}

enum imr_base cb_base(const struct imr_insn *i)
{
	return i->field == F_RAW ? i->base : imr_fields[i->field].base;
}

static uint32_t len_of(const struct imr_insn *i)
{
	return i->field == F_RAW ? i->len : imr_fields[i->field].len;
}

static uint32_t off_of(const struct imr_insn *i)
{
	return i->field == F_RAW ? i->off : imr_fields[i->field].off;
}

uint32_t cb_end(const struct imr_insn *i)
{
	return off_of(i) + len_of(i);
}

unsigned int cb_words(const struct imr_insn *i)
{
	return (cb_bits(i) + 31) / 32;
}

struct cb_cell cb_cell_of(const struct imr_insn *i, unsigned int w)
{
	const struct imr_field_info *f = &imr_fields[i->field];
	uint32_t end = cb_end(i), left = len_of(i) - 4 * w, len = left < 4 ? left : 4;
	struct cb_cell c = { .base = cb_base(i), .len = len, .off = end - 4 * w - len, .end = end, .slot = -1 };

	if (i->field == F_RAW || f->len > 4)
		return c;
	c.shift = f->shift;
	if (f->bits < f->len * 8 - f->shift)
		c.mask = (1u << f->bits) - 1;
	return c;
}

struct cb_cell *cb_cell_find(struct cb *cb, const struct cb_cell *c)
{
	for (uint32_t n = 0; n < cb->n_cell; n++) {
		struct cb_cell *k = &cb->cell[n];

		if (k->base == c->base && k->off == c->off && k->len == c->len && k->end == c->end &&
		    k->shift == c->shift && k->mask == c->mask)
			return k;
	}
	return NULL;
}

enum cb_fact cb_fact_of(enum imr_field f, enum imr_base *ret)
{
	*ret = f >= F_TX_OK && f <= F_TX_FRAGOFF ? B_TX : B_TH;
	switch (f) {
	case F_TH_OK:
	case F_TX_OK:
		return CB_OK;
	case F_TH_PROTO:
	case F_TX_PROTO:
		return CB_PROTO;
	case F_TH_FRAGOFF:
	case F_TX_FRAGOFF:
		return CB_FRAGOFF;
	default:
		return CB_FACTS;
	}
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

bool cb_const(const struct cb *cb, const struct imr_insn *i, u128 *ret)
{
	bool in = cb->l2 && !cb->egress;

	*ret = 0;
	switch (i->field) {
	case F_META_IIF:
		*ret = in ? cb->opts->ifindex : 0;
		return true;
	case F_META_IIFNAME:
		*ret = in ? name_number(cb->opts->dev) : 0;
		return true;
	case F_META_IIFTYPE:
		*ret = cb->l2 ? imr_iiftype(cb->opts->dev) : 0;
		return true;
	case F_META_OIF:
		*ret = cb->egress ? cb->opts->ifindex : 0;
		return true;
	case F_META_OIFNAME:
		*ret = cb->egress ? name_number(cb->opts->dev) : 0;
		return true;
	case F_META_NFPROTO:
		*ret = cb->hook->family;
		return cb->hook->family != FAM_INET;
	case F_META_PROTOCOL:
		*ret = cb->hook->family == FAM_IP ? ETH_P_IP : ETH_P_IPV6;
		return cb->hook->family == FAM_IP || cb->hook->family == FAM_IP6;
	default:
		return false;
	}
}

/* ------------------------------------------------------------------ once for the chain */

static const struct imr_set *clipped(struct cb *cb, const struct imr_set *s, u128 max)
{
	struct imr_set *ret;

	if (s->n && s->r[s->n - 1].hi <= max && s->r[0].lo <= s->r[0].hi)
		return s;
	ret = arena_alloc(cb->imr->arena, sizeof(*ret));
	ret->r = arena_alloc(cb->imr->arena, (s->n + 1) * sizeof(*ret->r));
	for (uint32_t n = 0; n < s->n && s->r[n].lo <= max; n++) {
		if (s->r[n].lo > s->r[n].hi)
			continue;
		ret->r[ret->n] = s->r[n];
		if (ret->r[ret->n].hi > max)
			ret->r[ret->n].hi = max;
		ret->n++;
	}
	return ret;
}

static void make_test(struct cb *cb, const struct imr_insn *i, struct cb_test *t)
{
	u128 max = i->op == OP_NEED ? UINT32_MAX : imr_type_max(cb->def[i->a]->type);
	struct imr_range *r = arena_alloc(cb->imr->arena, sizeof(*r));
	struct imr_set one = { 1, r };

	t->neg = i->op == OP_NE || i->op == OP_NI || i->op == OP_LT || i->op == OP_GT;
	*r = (struct imr_range){ i->op == OP_NEED ? i->len : 0, max };
	if (i->op == OP_EQ || i->op == OP_NE || i->op == OP_GE || i->op == OP_LT)
		r->lo = i->imm;
	if (i->op == OP_EQ || i->op == OP_NE || i->op == OP_LE || i->op == OP_GT)
		r->hi = i->imm;
	t->set = i->op == OP_IN || i->op == OP_NI ? i->set : NULL;
	if (!t->set) {
		struct imr_set *s = arena_alloc(cb->imr->arena, sizeof(*s));

		*s = one;
		t->set = s;
	}
	t->set = clipped(cb, t->set, max);
}

static void ask(struct cb *cb, const struct imr_insn *i, const struct imr_at *at)
{
	bool dev = i->field >= F_META_IIF && i->field <= F_META_IIFTYPE;
	bool none = (i->field == F_META_OIF || i->field == F_META_OIFNAME) ? cb->hook->facts & HF_NO_OIF :
									     cb->hook->facts & HF_NO_IIF;

	if (cb_base(i) == B_LL && !cb->l2)
		cb_refuse(cb, at, "there is no link layer header here", NULL);
	if (dev && !cb->l2 && (!none || i->field == F_META_IIFTYPE))
		cb_refuse(cb, at, "the packet's devices are not seen here", "let the rule that calls the program ask");
	if (cb_base(i) != B_META && cb_bits(i) > 128)
		cb_refuse(cb, at, "more than 16 bytes in one load", NULL);
	if (cb_base(i) != B_META && cb_end(i) > 0x7fff)
		cb_refuse(cb, at, "too far into the packet", NULL);
}

static void check_insn(struct cb *cb, const struct imr_insn *i, const struct imr_at *at)
{
	if (i->dst != IMR_NOVAL && i->dst >= cb->n_val)
		cb->n_val = i->dst + 1;
	switch (i->op) {
	case OP_LD:
		ask(cb, i, at);
		break;
	case OP_NEED:
		if (i->base == B_LL && !cb->l2)
			cb_refuse(cb, at, "there is no link layer header here", NULL);
		break;
	case OP_TCPOPT:
		cb_refuse(cb, at, "a classic program cannot look for TCP options", "an eBPF target can");
		break;
	case OP_NOFLOW:
		cb_refuse(cb, at, "a classic program cannot ask conntrack", NULL);
		break;
	case OP_UNKNOWN:
	case OP_OPAQUE:
	case OP_EFFECT:
		cb_refuse(cb, at, arena_printf(cb->imr->arena, "\"%s\" cannot be known here", i->text ? i->text : "?"),
			  NULL);
		break;
	case OP_RETURN:
	case OP_JUMP:
	case OP_GOTO:
		cb_refuse(cb, at, "a jump between chains is left: the chains are too large to be put into one", NULL);
		break;
	}
}

/* Words of memory that a value needs while it is put together */
static uint32_t depth_of(const struct cb *cb, uint32_t val)
{
	const struct imr_insn *i = cb->def[val];
	uint32_t a = i->a != IMR_NOVAL ? depth_of(cb, i->a) : 0, b = i->b != IMR_NOVAL ? depth_of(cb, i->b) + 1 : 0;

	switch (i->op) {
	case OP_LD:
		return cb_base(i) != B_META && (cb_base(i) == B_LL || len_of(i) % 4 == 3);
	case OP_OR:
		return a > b ? a : b;
	case OP_SHR:
	case OP_SWAP:
		return a + 1;
	default:
		return a;
	}
}

static void count_note(struct cb *cb)
{
	diag_add(cb->imr->diags, DIAG_NOTE, NULL, "%s: rules have counters, a classic program counts nothing",
		 cb->name);
}

static void prepare_rule(struct cb *cb, uint32_t rule, bool *counts)
{
	const struct imr_rule *r = &cb->chain->rule[rule];

	cb_define(cb, rule);
	for (uint32_t n = 0; n < r->n; n++) {
		const struct imr_insn *i = &r->insn[n];
		struct cb_test *t = &cb->test[cb->first[rule] + n];

		t->key = -1;
		*counts |= i->op == OP_COUNT || i->op == OP_TALLY;
		cb->jumps[rule] |= i->els == ELSE_RULE || (i->op == OP_NEXT && i->to);
		if (imr_ops[i->op].class != CLASS_TEST)
			continue;
		if (i->a != IMR_NOVAL && depth_of(cb, i->a) > cb->depth)
			cb->depth = depth_of(cb, i->a);
		make_test(cb, i, t);
		if (cb->depth > DEPTH_MAX) {
			cb_refuse(cb, &r->at, "a value is put together from too many others", NULL);
			cb->depth = 0;
		}
	}
}

static void check_chain(struct cb *cb)
{
	const struct imr_chain *c = cb->chain;

	for (uint32_t i = 0; i < c->n_entry; i++)
		check_insn(cb, &c->entry[i], &c->at);
	for (uint32_t r = 0; r < c->n; r++)
		for (uint32_t i = 0; i < c->rule[r].n; i++)
			check_insn(cb, &c->rule[r].insn[i], &c->rule[r].at);
}

static void make_room(struct cb *cb)
{
	const struct imr_chain *c = cb->chain;
	struct arena *a = cb->imr->arena;
	uint32_t n = 0;

	cb->first = arena_alloc(a, (c->n + 1) * sizeof(*cb->first));
	for (uint32_t r = 0; r < c->n; r++) {
		cb->first[r] = n;
		n += c->rule[r].n;
	}
	cb->test = arena_alloc(a, (n + 1) * sizeof(*cb->test));
	cb->jumps = arena_alloc(a, c->n + 1);
	cb->rule = arena_alloc(a, (c->n + 1) * sizeof(*cb->rule));
	cb->resume = arena_alloc(a, (c->n + 1) * sizeof(*cb->resume));
}

static void refuse_untold(struct cb *cb)
{
	uint32_t n;
	const struct imr_untold *u = imr_sent_untold(cb->imr, cb->chain - cb->imr->chain, &n);

	for (uint32_t i = 0; i < n; i++)
		cb_refuse(cb, &u[i].rule->at, u[i].what, u[i].hint);
}

void cb_prepare(struct cb *cb)
{
	const struct imr_chain *c = cb->chain;
	bool counts = c->policy_count;

	check_chain(cb);
	if (cb->egress)
		refuse_untold(cb);
	if (cb->bad)
		return;
	cb->def = arena_alloc(cb->imr->arena, (cb->n_val + 1) * sizeof(*cb->def));
	for (uint32_t i = 0; i < c->n_entry; i++)
		cb->def[c->entry[i].dst] = &c->entry[i];
	cb_cut(cb);
	make_room(cb);
	for (uint32_t r = 0; r < cb->chain->n; r++)
		prepare_rule(cb, r, &counts);
	if (counts)
		count_note(cb);
}
