/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The slice: what a row of chains does to a packet for certain, while some of what they ask is not known. Every way the
 * unknown may turn out is a walk through the rules, and all walks only go forward; so the slice keeps the set of places
 * where the packet may be by now and moves the foremost. A walk that drops leaves the set, one that is out of the rules
 * or meets an effect makes the whole set pass, and only when no walk is left is the packet dropped. Sets are states,
 * told apart when the slice is made: at run time a state is one rule, and its tests are the known ones.
 * docs/SLICE.md has the law and why each step keeps it.
 */
#include <stdlib.h>
#include <string.h>

#include "place.h"

#define MAX_POS 6		/* walks that are kept apart; with more the packet passes */
#define TO_PASS UINT32_MAX	/* targets that are no state */
#define TO_DROP (UINT32_MAX - 1)
#define TO_DROP_NEW (UINT32_MAX - 2)	/* drop, unless conntrack knows the flow */
#define NO_STATE TO_DROP_NEW		/* from here on */

struct posset {			/* where the packet may be, ascending */
	uint32_t n;
	uint32_t pos[MAX_POS];
	bool pass;
};

struct state {
	struct posset set;
	struct imr_rule rule;	/* `to` is a target: of each test where it fails, of the end; op of the end is next */
	uint32_t canon;		/* the target that it amounts to */
	uint32_t next_hash;
	uint32_t index;		/* in the chain that comes out */
	uint8_t seen;
	bool can_drop;
};

struct walk {
	const struct place *p;
	struct imr *out;
	uint32_t n_pos;
	const struct place_seg *seg;	/* of the state under work */
	struct known_ctx known;
	struct state *st;
	uint32_t n, cap, budget;
	uint32_t *hash, n_hash;
	bool failed;
	bool new_drops;		/* some test fails to TO_DROP_NEW */
};

/* ------------------------------------------------------------------ sets of positions */

static const struct place_seg *seg_at(const struct place *p, uint32_t pos)
{
	uint32_t lo = 0, hi = p->n;

	while (hi - lo > 1) {
		uint32_t mid = lo + (hi - lo) / 2;

		if (p->seg[mid].base <= pos)
			lo = mid;
		else
			hi = mid;
	}
	return &p->seg[lo];
}

static void set_add(struct posset *s, uint32_t pos)
{
	uint32_t i;

	for (i = s->n; i > 0 && s->pos[i - 1] > pos; i--)
		;
	if (i > 0 && s->pos[i - 1] == pos)
		return;
	if (s->n == MAX_POS) {
		s->pass = true;
		return;
	}
	memmove(&s->pos[i + 1], &s->pos[i], (s->n - i) * sizeof(*s->pos));
	s->pos[i] = pos;
	s->n++;
}

/* The start of a segment; of one that may be missed also that of the following. */
static void set_enter(const struct place *p, struct posset *s, uint32_t seg)
{
	for (; seg < p->n; seg = p->seg[seg].fall[0]) {
		set_add(s, p->seg[seg].base);
		if (!p->seg[seg].may)
			return;
	}
	s->pass = true;
}

static void set_leave(const struct place *p, struct posset *s, const uint32_t *seg, uint32_t n)
{
	for (uint32_t i = 0; i < n; i++)
		set_enter(p, s, seg[i]);
}

static uint32_t set_hash(const struct posset *s)
{
	uint32_t h = 2166136261u;

	for (uint32_t i = 0; i < s->n; i++)
		h = (h ^ s->pos[i]) * 16777619u;
	return h ^ h >> 15;
}

static void rehash(struct walk *w)
{
	uint32_t *old = w->hash, n_old = w->n_hash;

	w->n_hash = n_old ? 2 * n_old : 256;
	w->hash = arena_alloc(w->out->arena, w->n_hash * sizeof(*w->hash));
	memset(w->hash, 0xff, w->n_hash * sizeof(*w->hash));
	for (uint32_t i = 0; old && i < w->n; i++) {
		uint32_t *h = &w->hash[set_hash(&w->st[i].set) & (w->n_hash - 1)];

		w->st[i].next_hash = *h;
		*h = i;
	}
}

/* The target that a set of places is: a state, made when it is new and there is room. */
static uint32_t set_target(struct walk *w, const struct posset *s)
{
	/* The last walk to drop is the one furthest on: if that was before conntrack, all were. */
	static const uint32_t drops[] = { [DROP_UNSEEN] = TO_DROP, [DROP_NEW] = TO_DROP_NEW, [DROP_NEVER] = TO_PASS };
	uint32_t *h;

	if (s->pass)
		return TO_PASS;
	if (!s->n)
		return drops[w->seg->drop];
	h = &w->hash[set_hash(s) & (w->n_hash - 1)];
	for (uint32_t i = *h; i != UINT32_MAX; i = w->st[i].next_hash)
		if (w->st[i].set.n == s->n && !memcmp(w->st[i].set.pos, s->pos, s->n * sizeof(*s->pos)))
			return i;
	if (s->n > 1 && w->n >= w->budget)
		return TO_PASS;
	if (w->n == w->cap) {
		uint32_t cap = w->cap ? 2 * w->cap : 64;

		w->st = arena_grow(w->out->arena, w->st, w->cap * sizeof(*w->st), cap * sizeof(*w->st));
		w->cap = cap;
	}
	w->st[w->n] = (struct state){ .set = *s, .next_hash = *h };
	*h = w->n++;
	if (w->n > w->n_hash)
		rehash(w);
	return w->n - 1;
}

/* ------------------------------------------------------------------ the rule that comes out */

/* Ends the rule. A test that leads where the end leads says nothing, nor does a tally of what is not dropped. */
static void emit_end(struct walk *w, struct imr_rule *r, uint32_t target)
{
	struct imr_insn *last;

	while (r->n) {
		last = &r->insn[r->n - 1];
		if (imr_ops[last->op].class == CLASS_STMT && !(last->op == OP_TALLY && target == TO_PASS))
			break;
		if (imr_ops[last->op].class == CLASS_TEST && last->to != target)
			break;
		r->n--;
	}
	if (r->n && (target == TO_DROP || target == TO_DROP_NEW) && r->insn[r->n - 1].op == OP_TALLY)
		r->insn[r->n - 1].op = OP_COUNT;
	imr_insn_add(w->out, r, OP_NEXT)->to = target;
}

/* What is not known, met where everything must be. A rule that was named before is not named again. */
static void refuse(struct walk *w, const struct imr_rule *r, const struct imr_insn *i)
{
	bool merged = imr_ops[i->op].class == CLASS_TEST && known_is_merged(&w->known, i);
	struct diags *ds = w->out->diags;
	struct diag *d;

	w->failed = true;
	for (uint32_t k = 0; k < ds->n; k++)
		if (ds->d[k].at.number == r->at.number && ds->d[k].at.handle == r->at.handle &&
		    ds->d[k].level >= DIAG_UNSUPPORTED && ds->d[k].at.where && r->at.where &&
		    !strcmp(ds->d[k].at.where, r->at.where))
			return;
	if (i->op == OP_JUMP || i->op == OP_GOTO)
		d = diag_add(ds, DIAG_UNSUPPORTED, &r->at, "too many rules behind this jump to %s",
			     w->p->src->chain[i->chain].name);
	else if (merged)
		d = diag_add(ds, DIAG_UNSUPPORTED, &r->at, "%s: packets may be merged before they reach %s",
			     known_why(&w->known, i), imr_hooks[w->seg->chain->hook].name);
	else
		d = diag_add(ds, DIAG_UNSUPPORTED, &r->at, "%s: not known before %s", known_why(&w->known, i),
			     imr_hooks[w->seg->chain->hook].name);
	if (merged)
		d->hint = "target tc is behind that; where receive offload is off (`ethtool -K DEV gro off`) nothing is merged";
	else
		d->hint = "without -f the rule stays where it is, and only what it surely drops is dropped early";
}

/* ------------------------------------------------------------------ one state */

struct step {			/* the foremost walk of a state, on its way through a rule */
	uint32_t pos;
	struct posset others;	/* where the other walks are */
	bool unsure;		/* the packet may not be here at all */
};

static void leave_test(const struct walk *w, const struct step *s, const struct imr_insn *i, struct posset *ret)
{
	*ret = s->others;
	if (i->els == ELSE_NEXT)
		set_add(ret, s->pos + 1);
	else if (i->els == ELSE_RULE)
		set_add(ret, w->seg->base + i->to);
	else if (i->els == ELSE_PASS)
		ret->pass = true;
}

static void leave_end(const struct walk *w, const struct step *s, const struct imr_insn *i, struct posset *ret)
{
	bool policy = s->pos == w->seg->base + w->seg->chain->n;

	*ret = s->others;
	if (i->op == OP_ACCEPT && policy)
		set_leave(w->p, ret, w->seg->fall, w->seg->n_fall);
	else if (i->op == OP_ACCEPT)
		set_leave(w->p, ret, w->seg->accept, w->seg->n_accept);
	else if (i->op == OP_NEXT)
		set_add(ret, i->to ? w->seg->base + i->to : s->pos + 1);
	else if (i->op == OP_RETURN)
		set_add(ret, w->seg->base + w->seg->chain->n);
	else if (i->op != OP_DROP)
		ret->pass = true;		/* pass; a jump that was not inlined may do anything */
}

/* A test in the source rule. False where the rule ends with it. */
static bool walk_test(struct walk *w, struct step *s, struct imr_rule *out, const struct imr_rule *r,
		      const struct imr_insn *i)
{
	enum known k = known_test(&w->known, i);
	struct posset left;
	struct imr_insn *t;
	uint32_t a;

	if (k == IS_TRUE)
		return true;
	leave_test(w, s, i, &left);
	if (k == IS_UNKNOWN && w->p->exact)
		refuse(w, r, i);
	if (k == IS_UNKNOWN) {
		s->others = left;
		s->unsure = true;
		return !left.pass;
	}
	if (k == IS_FALSE) {
		s->others = left;
		return false;
	}
	if (i->op == OP_NEED && (w->seg->blur & BLUR_INGRESS))
		left.pass = true;		/* what is missing here may be there as padding */
	a = i->op == OP_NEED ? IMR_NOVAL : known_emit(&w->known, w->out, out, i->a);
	t = imr_insn_add(w->out, out, i->op);
	*t = *i;
	t->a = a;
	t->to = set_target(w, &left);
	return true;
}

/* A counter in the source rule. False where it cannot be kept: the packet passes, and the rule itself counts. */
static bool walk_count(struct walk *w, const struct step *s, struct imr_rule *out, const struct imr_insn *i)
{
	if (w->seg->quiet)
		return true;
	if (s->unsure)
		return i[1].op == OP_DROP;	/* some other rule drops it then, and counts it */
	imr_insn_add(w->out, out, w->p->exact ? OP_COUNT : OP_TALLY);
	return true;
}

/* The instructions of the rule at s->pos; leaves in s->others the places where its end leads. */
static void walk_rule(struct walk *w, struct step *s, struct imr_rule *out, const struct imr_rule *r)
{
	struct posset left;

	for (uint32_t k = 0; k < r->n; k++) {
		const struct imr_insn *i = &r->insn[k];

		switch (imr_ops[i->op].class) {
		case CLASS_VALUE:
			known_define(&w->known, i);
			break;
		case CLASS_TEST:
			if (!walk_test(w, s, out, r, i))
				return;
			break;
		case CLASS_STMT:
			if (i->op == OP_EFFECT && w->p->exact)
				refuse(w, r, i);
			if (i->op == OP_EFFECT || !walk_count(w, s, out, i)) {
				s->others.pass = true;
				return;
			}
			break;
		case CLASS_END:
			if ((i->op == OP_JUMP || i->op == OP_GOTO) && w->p->exact)
				refuse(w, r, i);
			leave_end(w, s, i, &left);
			s->others = left;
			return;
		}
	}
}

static void walk_state(struct walk *w, uint32_t id)
{
	struct step s = { .pos = w->st[id].set.pos[0] };
	const struct place_seg *seg = seg_at(w->p, s.pos);
	uint32_t index = s.pos - seg->base;
	const struct imr_rule *r = index < seg->chain->n ? &seg->chain->rule[index] : &seg->policy;
	struct imr_rule out = { .at = r->at };

	w->seg = seg;
	for (uint32_t i = 1; i < w->st[id].set.n; i++)
		set_add(&s.others, w->st[id].set.pos[i]);
	s.unsure = s.others.n > 0;
	known_rule(&w->known, seg);
	walk_rule(w, &s, &out, r);
	emit_end(w, &out, set_target(w, &s.others));
	w->st[id].rule = out;
}

/* ------------------------------------------------------------------ states into a chain */

static bool is_target(const struct imr_insn *i)
{
	return imr_ops[i->op].class == CLASS_TEST || imr_ops[i->op].class == CLASS_END;
}

static uint32_t canon(const struct walk *w, uint32_t target)
{
	return target >= NO_STATE ? target : w->st[target].canon;
}

/* Targets behind the state are settled: settles its own. A slice leaves out what cannot end in a drop. */
static void settle(struct walk *w, uint32_t id)
{
	struct state *st = &w->st[id];
	struct imr_rule *r = &st->rule;
	uint32_t end;

	for (uint32_t k = 0; k < r->n; k++) {
		if (!is_target(&r->insn[k]))
			continue;
		r->insn[k].to = canon(w, r->insn[k].to);
		if (r->insn[k].to != TO_PASS)
			st->can_drop = true;
	}
	end = r->insn[r->n - 1].to;
	r->n--;
	emit_end(w, r, end);
	st->canon = id;
	if ((!st->can_drop && !w->p->exact) || (r->n == 1 && end != TO_DROP && end != TO_DROP_NEW))
		st->canon = r->n == 1 ? end : TO_PASS;
}

/* Positions only grow from a state to its targets, so that the hindmost are settled first. */
static void settle_all(struct walk *w)
{
	uint32_t *count = arena_alloc(w->out->arena, (w->n_pos + 2) * sizeof(*count));
	uint32_t *order = arena_alloc(w->out->arena, w->n * sizeof(*order));

	for (uint32_t i = 0; i < w->n; i++)
		count[w->st[i].set.pos[0] + 1]++;
	for (uint32_t i = 0; i < w->n_pos; i++)
		count[i + 1] += count[i];
	for (uint32_t i = 0; i < w->n; i++)
		order[count[w->st[i].set.pos[0]]++] = i;
	for (uint32_t i = w->n; i-- > 0;)
		settle(w, order[i]);
}

/* The target not yet seen that lies furthest on, or TO_PASS. */
static uint32_t furthest(const struct walk *w, const struct imr_rule *r)
{
	uint32_t best = TO_PASS;

	for (uint32_t k = 0; k < r->n; k++) {
		uint32_t to = r->insn[k].to;

		if (!is_target(&r->insn[k]) || to >= NO_STATE || w->st[to].seen)
			continue;
		if (best == TO_PASS || w->st[to].set.pos[0] > w->st[best].set.pos[0])
			best = to;
	}
	return best;
}

/* Reverse postorder, the nearest target last: forward edges only, and the nearest mostly just behind. */
static uint32_t order_states(struct walk *w, uint32_t root, uint32_t *order)
{
	uint32_t *stack = arena_alloc(w->out->arena, (w->n + 1) * sizeof(*stack));
	uint32_t depth = 0, n = 0;

	if (root >= NO_STATE)
		return 0;
	stack[depth++] = root;
	w->st[root].seen = 1;
	while (depth) {
		uint32_t to = furthest(w, &w->st[stack[depth - 1]].rule);

		if (to != TO_PASS) {
			w->st[to].seen = 1;
			stack[depth++] = to;
		} else {
			order[n++] = stack[--depth];
		}
	}
	for (uint32_t i = 0; i < n / 2; i++) {
		uint32_t t = order[i];

		order[i] = order[n - 1 - i];
		order[n - 1 - i] = t;
	}
	for (uint32_t i = 0; i < n; i++)
		w->st[order[i]].index = i;
	return n;
}

/* "drop" becomes "drop if conntrack has no flow", in front of the counter. */
static void ask_conntrack(struct walk *w, struct imr_rule *r)
{
	bool count = r->n && r->insn[r->n - 1].op == OP_COUNT;

	r->n -= count;
	imr_insn_add(w->out, r, OP_NOFLOW)->els = ELSE_PASS;
	if (count)
		imr_insn_add(w->out, r, OP_COUNT);
	imr_insn_add(w->out, r, OP_DROP);
}

/* Targets become what the language has for them; `n` is the index of the rule behind all states. */
static void finish_rule(struct walk *w, struct imr_rule *r, uint32_t index, uint32_t n)
{
	if (r->insn[r->n - 1].to == TO_DROP_NEW) {
		r->n--;
		ask_conntrack(w, r);
	}
	for (uint32_t k = 0; k < r->n; k++) {
		struct imr_insn *i = &r->insn[k];
		uint32_t to = i->to;
		bool end = imr_ops[i->op].class == CLASS_END;

		if (!is_target(i) || i->els == ELSE_PASS || i->op == OP_DROP)
			continue;
		w->new_drops |= to == TO_DROP_NEW;
		i->to = 0;
		if (to == TO_PASS && (end || !w->p->exact)) {
			i->els = ELSE_PASS;
			i->op = !end ? i->op : w->p->exact ? OP_ACCEPT : OP_PASS;
		} else if (to == TO_DROP) {
			i->els = ELSE_DROP;
			i->op = end ? OP_DROP : i->op;
		} else {
			to = to >= NO_STATE ? n : w->st[to].index;
			i->els = to == index + 1 ? ELSE_NEXT : ELSE_RULE;
			i->to = to == index + 1 ? 0 : to;
		}
		if (end)
			i->els = ELSE_NEXT;
	}
}

static void emit_chain(struct walk *w, uint32_t root)
{
	struct imr_chain *c = imr_chain_add(w->out, w->p->name);
	uint32_t *order = arena_alloc(w->out->arena, (w->n + 1) * sizeof(*order));
	struct imr_at at = { .tool = "fwjit", .where = c->name };

	c->hook = w->p->hook;
	c->policy = w->p->exact ? OP_ACCEPT : OP_PASS;
	c->at = at;
	if (w->p->exact && w->p->env) {
		c->n_dev = 1;
		c->dev = arena_alloc(w->out->arena, sizeof(*c->dev));
		c->dev[0] = arena_strndup(w->out->arena, w->p->env->dev, strnlen(w->p->env->dev, 16));
	}
	c->n = order_states(w, root, order);
	c->rule = arena_alloc(w->out->arena, c->n * sizeof(*c->rule));
	for (uint32_t i = 0; i < c->n; i++) {
		c->rule[i] = w->st[order[i]].rule;
		finish_rule(w, &c->rule[i], i, c->n);
	}
	at.number = c->n + 1;
	if (w->p->exact && c->n)
		imr_insn_add(w->out, imr_rule_add(w->out, c, &at), OP_ACCEPT);
	if (w->new_drops)
		ask_conntrack(w, imr_rule_add(w->out, c, &at));
}

struct imr *place_walk(const struct place *p)
{
	const struct imr *src = p->src;
	struct walk w = { .p = p, .out = imr_new(src->arena, src->diags, &src->profile) };
	struct posset start = { .n = 0 };
	uint32_t root;

	w.n_pos = p->n ? p->seg[p->n - 1].base + p->seg[p->n - 1].chain->n + 1 : 0;
	w.budget = 4 * w.n_pos + 1000;
	known_init(&w.known, p);
	rehash(&w);
	set_enter(p, &start, 0);
	root = set_target(&w, &start);
	for (uint32_t i = 0; i < w.n; i++)
		walk_state(&w, i);
	if (w.failed)
		return NULL;
	settle_all(&w);
	emit_chain(&w, canon(&w, root));
	return w.out;
}
