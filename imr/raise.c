/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Bytes become fields. Every frontend loads what its tool loads: two bytes of an address, both ports at once, a byte of
 * the header under a mask. Here they become the fields that they are, and a test of several fields a test of each, so
 * that equal meanings read alike. A field denotes its bytes whatever the packet is, so names need no proof; where a
 * load grows or is split, the bytes must be known to be there, because a load of bytes that are not all there yields 0.
 */
#include "pass.h"

#define PARTS_MAX 16

struct todo { uint32_t v; struct pset s; };

struct raise {
	struct work w;
	struct facts names;	/* of the whole rule: for names only */
	struct facts f;		/* of the run */
	uint8_t l3;		/* to be relied on */
	uint32_t *map, n_map, n_in;
	struct todo *todo;
	uint32_t n_todo, cap_todo;
	struct imr_insn test;	/* the one at hand: its els */
	bool never;
};

static u128 field_mask(const struct imr_field_info *f)
{
	return low_bits(f->bits) << f->shift;
}

/* The field that is `mask` of the bytes that ld loads; F_RAW if there is none. */
static enum imr_field part_field(const struct raise *r, const struct imr_insn *ld, u128 mask)
{
	struct imr_insn b;

	if (!ld_bytes(ld, &b))
		return F_RAW;
	for (enum imr_field k = F_RAW + 1; k < F_MAX; k++) {
		const struct imr_field_info *f = &imr_fields[k];

		if (f->len && f->bits < 8 * f->len && f->base == b.base && f->off == b.off && f->len == b.len &&
		    field_mask(f) == mask && (!f->l3 || f->l3 == r->names.l3) && (!f->l4 || f->l4 == r->names.l4))
			return k;
	}
	return F_RAW;
}

/* The field that v's bits from `*shift` on are, v having no other bits: and of a load, for *shift 0 shr of it too. */
static enum imr_field field_in(const struct raise *r, uint32_t v, unsigned int *shift)
{
	const struct val *n = &r->w.vals.v[v], *a;
	unsigned int down = n->i.op == OP_SHR ? (unsigned int)n->i.imm : 0;
	enum imr_field f;
	u128 mask;

	if (n->i.op == OP_SHR)
		n = &r->w.vals.v[n->i.a];
	if (n->i.op != OP_AND && !down)
		return F_RAW;
	a = n->i.op == OP_AND ? &r->w.vals.v[n->i.a] : n;
	mask = n->i.op == OP_AND ? n->i.imm : a->bits & ~low_bits(down);
	f = part_field(r, &a->i, mask);
	if (f == F_RAW || (down && imr_fields[f].shift != down))
		return F_RAW;
	*shift = imr_fields[f].shift - down;
	return f;
}

/* ------------------------------------------------------------------ values */

/* In IPv4 there is one transport header, and the IP header says all about it. */
static void raise_ip4(struct imr_insn *i)
{
	static const uint8_t to[F_MAX] = {
		[F_TX_OK] = F_TH_OK, [F_TX_PROTO] = F_IP_PROTOCOL, [F_TX_FRAGOFF] = F_IP_FRAGOFF,
		[F_TH_PROTO] = F_IP_PROTOCOL, [F_TH_FRAGOFF] = F_IP_FRAGOFF,
	};

	if ((i->op == OP_TCPOPT || i->field == F_RAW) && i->base == B_TX)
		i->base = B_TH;
	if (i->op == OP_LD && to[i->field]) {
		i->field = to[i->field];
		i->type = imr_fields[i->field].type;
	}
}

static uint32_t raise_load(struct raise *r, struct imr_insn *i)
{
	enum imr_field f;

	if (r->l3 == FAM_IP)
		raise_ip4(i);
	if (i->op != OP_LD || i->field != F_RAW)
		return val_make(&r->w.vals, i);
	f = field_at(i->base, i->off, i->len, r->names.l3, r->names.l4);
	return f == F_RAW ? val_make(&r->w.vals, i) : val_field(&r->w.vals, f);
}

static uint32_t raise_value(struct raise *r, uint32_t v)
{
	struct vals *vs = &r->w.vals;
	struct imr_insn i = vs->v[v].i;
	const unsigned int args = imr_ops[i.op].args;
	unsigned int shift;
	enum imr_field f;

	if (i.op == OP_NONE || i.op == OP_UNKNOWN)
		return v;
	if (!(args & ARG_A))
		return raise_load(r, &i);
	if (!(args & ARG_B) || vs->v[r->map[i.a]].i.type == vs->v[r->map[i.b]].i.type) {
		i.a = r->map[i.a];
		i.b = args & ARG_B ? r->map[i.b] : i.b;
	}
	v = val_make(vs, &i);
	f = field_in(r, v, &shift);
	return f != F_RAW && !shift ? val_field(vs, f) : v;
}

static void raise_values(struct raise *r, uint8_t l3)
{
	r->l3 = l3;
	r->map = pass_room(r->w.imr, r->map, &r->n_map, r->n_in, sizeof(*r->map));
	for (uint32_t v = 0; v < r->n_in; v++)
		r->map[v] = raise_value(r, v);
}

/* ------------------------------------------------------------------ tests */

static void want(struct raise *r, uint32_t v, struct pset s)
{
	r->todo = pass_room(r->w.imr, r->todo, &r->cap_todo, r->n_todo + 1, sizeof(*r->todo));
	r->todo[r->n_todo++] = (struct todo){ v, s };
}

static void out(struct raise *r, uint32_t v, struct pset *s)
{
	struct step *t;

	switch (val_truth(&r->w.vals, v, s)) {
	case PSET_NEVER:
		r->never = true;
		return;
	case PSET_ALWAYS:
		return;
	case PSET_MAYBE:
		break;
	}
	t = steps_add(r->w.imr, &r->w.out);
	t->i = r->test;
	t->i.a = v;
	pset_put(r->w.imr, s, r->w.vals.v[v].bits, &t->i);
}

static void out_need(struct raise *r, uint8_t base, unsigned int len)
{
	struct step *t = steps_add(r->w.imr, &r->w.out);

	t->i = (struct imr_insn){ .op = OP_NEED, .base = base, .len = len, .els = r->test.els, .to = r->test.to,
				  .dst = IMR_NOVAL, .a = IMR_NOVAL, .b = IMR_NOVAL };
}

static bool is_address(enum imr_field f)
{
	return imr_fields[f].type == T_IP4 || imr_fields[f].type == T_IP6 || imr_fields[f].type == T_MAC;
}

/* The address that begins with these bytes, if all of it is known to be there. */
static enum imr_field address_at(const struct raise *r, const struct imr_insn *b)
{
	for (unsigned int len = b->len + 1; len <= 16; len++) {
		enum imr_field f = field_at(b->base, b->off, len, r->names.l3, r->names.l4);

		if (f != F_RAW && is_address(f) && r->f.avail[b->base] >= b->off + len)
			return f;
	}
	return F_RAW;
}

/* The first bytes of an address: its prefix. Under a mask only one value can be said. */
static bool grow(struct raise *r, const struct val *n, const struct imr_insn *ld, struct pset *s)
{
	enum imr_field f = address_at(r, ld);
	unsigned int shift;
	uint32_t v;

	if (f == F_RAW)
		return false;
	shift = 8 * (imr_fields[f].len - ld->len);
	if (n->i.op == OP_LD) {
		pset_of_shr(r->w.imr, s, shift);
		want(r, val_field(&r->w.vals, f), *s);
		return true;
	}
	if (s->n != 1 || pset_ranges(s)->lo != pset_ranges(s)->hi)
		return false;
	v = val_op(&r->w.vals, OP_AND, val_field(&r->w.vals, f), n->i.imm << shift);
	want(r, v, (struct pset){ .inv = s->inv, .n = 1, .one.lo = pset_ranges(s)->lo << shift,
				  .one.hi = pset_ranges(s)->lo << shift });
	return true;
}

struct part { uint32_t v; unsigned int len; };

/* Bytes as fields that lie side by side, the last perhaps the first bytes of an address. */
static unsigned int parts_of(struct raise *r, const struct imr_insn *ld, struct part *part)
{
	struct imr_insn rest = *ld;
	unsigned int n = 0;

	while (rest.len) {
		enum imr_field f = F_RAW;
		unsigned int len = rest.len;

		for (; len && f == F_RAW; len -= f == F_RAW)
			f = field_at(rest.base, rest.off, len, r->names.l3, r->names.l4);
		if (f != F_RAW) {
			part[n++] = (struct part){ val_field(&r->w.vals, f), len };
		} else {
			if (!n || address_at(r, &rest) == F_RAW)
				return 0;
			len = rest.len;
			rest.type = imr_type_be(len);
			part[n++] = (struct part){ val_add(&r->w.vals, &rest), len };
		}
		rest.off += len;
		rest.len -= len;
	}
	return n;
}

/* The range as a test of each part: equal, then one range, then anything. */
static bool is_product(const struct part *part, unsigned int n, struct imr_range all, struct imr_range *ret)
{
	bool open = false;

	for (unsigned int k = n, shift = 0; k-- > 0; shift += 8 * part[k].len)
		ret[k] = (struct imr_range){ all.lo >> shift & low_bits(8 * part[k].len),
					     all.hi >> shift & low_bits(8 * part[k].len) };
	for (unsigned int k = 0; k < n; k++) {
		if (open && (ret[k].lo || ret[k].hi != low_bits(8 * part[k].len)))
			return false;
		open |= ret[k].lo != ret[k].hi;
	}
	return true;
}

/* Both ports, or both addresses, loaded at once. Bytes that are not there make the whole load 0, but leave the first
 * parts as they are: so they must be known to be there, or be asked for where 0 would not pass. */
static bool split(struct raise *r, const struct val *n, const struct imr_insn *ld, const struct pset *s)
{
	struct part part[PARTS_MAX];
	struct imr_range all, one[PARTS_MAX];
	unsigned int n_part = parts_of(r, ld, part), shift = 8 * ld->len;
	u128 mask = n->i.op == OP_AND ? n->i.imm : low_bits(shift);

	if (n_part < 2 || !pset_single(s, n->bits, &all) || (n->i.op == OP_AND && all.lo != all.hi) ||
	    !is_product(part, n_part, all, one))
		return false;
	if (r->f.avail[ld->base] < ld->off + ld->len) {
		if (!all.lo)
			return false;
		out_need(r, ld->base, ld->off + ld->len);
	}
	for (unsigned int k = 0; k < n_part; k++) {
		shift -= 8 * part[k].len;
		want(r, val_op(&r->w.vals, OP_AND, part[k].v, mask >> shift), pset_range(one[k].lo, one[k].hi));
	}
	return true;
}

/* At the hooks of L3 the Ethernet type says no more than the family. */
static bool protocol(struct raise *r, const struct imr_insn *i, const struct pset *s)
{
	struct pset l3 = { 0 };

	if (i->op != OP_LD || i->field != F_META_PROTOCOL || !(imr_hooks[r->w.c->hook].facts & HF_L3))
		return false;
	if (pset_has(s, 0x0800) && pset_has(s, 0x86dd))
		return true;
	if (pset_has(s, 0x0800) || pset_has(s, 0x86dd))
		l3 = pset_range(pset_has(s, 0x0800) ? FAM_IP : FAM_IP6, pset_has(s, 0x0800) ? FAM_IP : FAM_IP6);
	want(r, val_field(&r->w.vals, F_META_NFPROTO), l3);
	return true;
}

static bool either(struct raise *r, const struct val *n, const struct pset *s)
{
	struct imr_range one;

	if (n->i.op != OP_OR || !pset_single(s, n->bits, &one) || one.hi)
		return false;
	want(r, n->i.a, *s);
	want(r, n->i.b, *s);
	return true;
}

static void raise_one(struct raise *r, uint32_t v, struct pset s)
{
	struct vals *vs = &r->w.vals;
	struct val n;
	struct imr_insn ld;
	unsigned int shift;
	enum imr_field f;

	do {
		while ((f = field_in(r, v, &shift)) != F_RAW) {
			pset_fit(r->w.imr, &s, vs->v[v].bits);
			pset_shifted(r->w.imr, &s, shift);
			v = val_field(vs, f);
		}
	} while (val_peel(vs, &v, &s));
	n = vs->v[v];
	ld = n.i.op == OP_AND ? vs->v[n.i.a].i : n.i;
	if (val_truth(vs, v, &s) == PSET_MAYBE &&
	    ((ld.op == OP_LD && ld.field == F_RAW && (grow(r, &n, &ld, &s) || split(r, &n, &ld, &s))) ||
	     either(r, &n, &s) || protocol(r, &n.i, &s)))
		return;
	out(r, v, &s);
}

static void raise_test(struct raise *r, const struct step *t)
{
	r->test = t->i;
	want(r, r->map[t->i.a], t->s);
	while (r->n_todo) {
		struct todo next = r->todo[--r->n_todo];

		raise_one(r, next.v, next.s);
	}
}

static void raise_step(struct raise *r, const struct step *t)
{
	if (t->i.op == OP_NEED && r->l3 == FAM_IP && t->i.base == B_TX) {
		struct step *s = steps_add(r->w.imr, &r->w.out);

		*s = *t;
		s->i.base = B_TH;
	} else if (t->i.a != IMR_NOVAL) {
		raise_test(r, t);
	} else {
		*steps_add(r->w.imr, &r->w.out) = *t;
	}
}

static void raise_rule(struct raise *r, uint32_t rule)
{
	struct work *w = &r->w;
	struct facts f = w->facts[rule];

	work_load(w, rule, &w->in);
	w->out.n = 0;
	r->never = false;
	r->n_in = w->vals.n;
	r->names = work_facts(w, &f, &w->in, 0, w->in.n);
	r->names = work_facts(w, &r->names, &w->in, 0, w->in.n);
	for (uint32_t k = 0, end; k < w->in.n && !r->never; k = end) {
		end = work_run(&w->in, k);
		r->f = work_facts(w, &f, &w->in, k, end);
		if (!k || facts_l3(w->c, &r->f) != r->l3)
			raise_values(r, facts_l3(w->c, &r->f));
		for (uint32_t t = k; t < end && !r->never; t++)
			raise_step(r, &w->in.s[t]);
		if (r->never)
			steps_add(w->imr, &w->out)->i = pass_else_end(&w->in.s[k].i);
		f = r->f;
	}
	work_store(w, &w->out);
}

void pass_raise(struct imr *imr)
{
	for (uint32_t c = 0; c < imr->n; c++) {
		struct raise r = { 0 };

		work_init(&r.w, imr, &imr->chain[c], true);
		for (uint32_t k = 0; k < imr->chain[c].n; k++)
			if (r.w.facts[k].reached)
				raise_rule(&r, k);
	}
}
