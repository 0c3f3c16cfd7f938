/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Classic BPF instructions with labels. A conditional jump reaches 255 instructions, and both its ways may lead
 * further: each that does gets a jump of its own behind it. All jumps lead forward, so going backward over the program
 * the length of each is known when it is needed.
 */
#include "cbpf.h"

#define REACH	253		/* with room for two jumps behind */

void cb_reset(struct cb_emit *e)
{
	e->n = e->n_label = 0;
	e->reach = true;
	e->a = CB_A_OTHER;
	e->at = NULL;
}

uint32_t cb_label(struct cb_emit *e)
{
	if (e->n_label == e->cap_label) {
		uint32_t cap = e->cap_label ? e->cap_label * 2 : 256;

		e->label = arena_grow(e->arena, e->label, e->cap_label * sizeof(*e->label), cap * sizeof(*e->label));
		e->cap_label = cap;
	}
	e->label[e->n_label] = (struct cb_label){ .at = CB_NONE, .a = CB_A_UNSET };
	return e->n_label++;
}

void cb_here(struct cb_emit *e, uint32_t label)
{
	struct cb_label *l = &e->label[label];

	l->at = e->n;
	if (l->a == CB_A_UNSET)
		return;
	e->a = !e->reach || e->a == l->a ? l->a : CB_A_OTHER;
	e->reach = true;
}

static void leads_to(struct cb_emit *e, uint32_t label)
{
	struct cb_label *l = &e->label[label];

	l->a = l->a == CB_A_UNSET || l->a == e->a ? e->a : CB_A_OTHER;
}

static void add(struct cb_emit *e, struct cb_insn i)
{
	if (e->n == e->cap) {
		uint32_t cap = e->cap ? e->cap * 2 : 1024;

		e->insn = arena_grow(e->arena, e->insn, e->cap * sizeof(*e->insn), cap * sizeof(*e->insn));
		e->cap = cap;
	}
	i.at = e->at;
	e->insn[e->n++] = i;
}

static bool keeps_a(uint16_t code)
{
	uint16_t c = BPF_CLASS(code);

	return c == BPF_ST || c == BPF_STX || c == BPF_LDX || code == (BPF_MISC | BPF_TAX);
}

void cb_op(struct cb_emit *e, uint16_t code, uint32_t k)
{
	if (!e->reach)
		return;
	add(e, (struct cb_insn){ .code = code, .k = k });
	if (BPF_CLASS(code) == BPF_ST)
		e->a = k;
	else if (!keeps_a(code) || (code == BPF_STX && e->a == k))
		e->a = CB_A_OTHER;
}

void cb_load(struct cb_emit *e, uint16_t code, uint32_t k, uint8_t holds)
{
	if (e->a == holds)
		return;
	cb_op(e, code, k);
	e->a = holds;
}

void cb_ret(struct cb_emit *e, uint32_t k)
{
	cb_op(e, BPF_RET | BPF_K, k);
	e->reach = false;
}

void cb_ja(struct cb_emit *e, uint32_t to)
{
	if (!e->reach)
		return;
	leads_to(e, to);
	add(e, (struct cb_insn){ .code = BPF_JMP | BPF_JA, .t = to });
	e->reach = false;
}

void cb_jump(struct cb_emit *e, uint16_t op, uint32_t k, uint32_t t, uint32_t f)
{
	if (!e->reach)
		return;
	leads_to(e, t);
	leads_to(e, f);
	add(e, (struct cb_insn){ .code = BPF_JMP | op, .k = k, .t = t, .f = f });
	e->reach = false;
}

/* ------------------------------------------------------------------ jumps become distances */

static bool is_ja(const struct cb_insn *i)
{
	return i->code == (BPF_JMP | BPF_JA);
}

static bool is_jump(const struct cb_insn *i)
{
	return BPF_CLASS(i->code) == BPF_JMP;
}

/* The instruction that a label leads to, by way of jumps that only lead on. */
static uint32_t target(const struct cb_emit *e, uint32_t label)
{
	uint32_t at = e->label[label].at;

	while (at < e->n && is_ja(&e->insn[at]))
		at = e->label[e->insn[at].t].at;
	return at;
}

struct layout {
	const struct cb_emit *e;
	uint32_t *left;		/* by instruction: how many are left from it on; [n] is 0 */
};

/* Instructions between the one at `n` and its target. */
static uint32_t between(const struct layout *l, uint32_t n, uint32_t label)
{
	return l->left[n + 1] - l->left[target(l->e, label)];
}

static bool is_far(const struct layout *l, uint32_t n, uint32_t label)
{
	return between(l, n, label) > REACH;
}

/* Always to one place: a jump, or one whose two ways have become one. */
static bool is_plain(const struct layout *l, const struct cb_insn *i)
{
	return is_ja(i) || target(l->e, i->t) == target(l->e, i->f);
}

/* Nothing comes to a plain jump behind a jump or a return: what led to it leads to its target. */
static uint32_t plain_size(const struct layout *l, uint32_t n)
{
	const struct cb_insn *i = &l->e->insn[n];

	if (is_ja(i) && n && (is_jump(i - 1) || BPF_CLASS(i[-1].code) == BPF_RET))
		return 0;
	return between(l, n, i->t) != 0;
}

static uint32_t size(const struct layout *l, uint32_t n)
{
	const struct cb_insn *i = &l->e->insn[n];

	if (!is_jump(i))
		return 1;
	if (is_plain(l, i))
		return plain_size(l, n);
	return 1 + is_far(l, n, i->t) + is_far(l, n, i->f);
}

/* A jump that leads to a return is that return. */
static struct sock_filter lead(const struct layout *l, uint32_t label, uint32_t dist)
{
	const struct cb_insn *to = &l->e->insn[target(l->e, label)];

	if (BPF_CLASS(to->code) == BPF_RET)
		return (struct sock_filter){ .code = to->code, .k = to->k };
	return (struct sock_filter){ .code = BPF_JMP | BPF_JA, .k = dist };
}

static uint32_t write_jump(const struct layout *l, uint32_t n, struct sock_filter *to)
{
	const struct cb_insn *i = &l->e->insn[n];
	uint32_t dt = between(l, n, i->t), df, far_t, far_f;

	if (is_plain(l, i)) {
		if (plain_size(l, n))
			*to = lead(l, i->t, dt);
		return plain_size(l, n);
	}
	df = between(l, n, i->f);
	far_t = dt > REACH;
	far_f = df > REACH;
	*to = (struct sock_filter){ .code = i->code, .k = i->k };
	to->jt = far_t ? 0 : dt + far_f;
	to->jf = far_f ? far_t : df + far_t;
	if (far_t)
		to[1] = lead(l, i->t, dt + far_f);
	if (far_f)
		to[1 + far_t] = lead(l, i->f, df);
	return 1 + far_t + far_f;
}

static void write(const struct layout *l, struct be_filter *ret)
{
	const struct cb_emit *e = l->e;
	uint32_t at = 0;

	ret->n = l->left[0];
	ret->insn = arena_alloc(e->arena, (ret->n + 1) * sizeof(*ret->insn));
	ret->at = arena_alloc(e->arena, (ret->n + 1) * sizeof(*ret->at));
	for (uint32_t n = 0; n < e->n; n++) {
		const struct cb_insn *i = &e->insn[n];
		uint32_t size = 1;

		if (is_jump(i))
			size = write_jump(l, n, &ret->insn[at]);
		else
			ret->insn[at] = (struct sock_filter){ .code = i->code, .k = i->k };
		for (uint32_t k = 0; k < size; k++)
			ret->at[at + k] = i->at;
		at += size;
	}
}

uint32_t cb_finish(struct cb_emit *e, struct be_filter *ret)
{
	struct layout l = { e, arena_alloc(e->arena, (e->n + 1) * sizeof(uint32_t)) };

	for (uint32_t n = e->n; n--;)
		l.left[n] = l.left[n + 1] + size(&l, n);
	if (ret)
		write(&l, ret);
	return l.left[0];
}
