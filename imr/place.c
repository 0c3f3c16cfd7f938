/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Where rules run instead: what a packet that arrives on one device meets, in the kernel's order, as a row of segments
 * for slice.c to walk. Two rows: the device's own ingress chains, exactly; and everything from ingress to the end of
 * input or forward, which the packet has before it when XDP sees it. docs/SLICE.md names the kernel's function for each
 * fact here.
 */
#include <stdlib.h>
#include <string.h>

#include "place.h"

/* Priorities at which the kernel's own hooks change a packet: NF_IP_PRI_NAT_DST, and input's first that may take it
 * away, two before NF_IP_PRI_NAT_SRC (ip_vs). */
#define PRIO_NAT_DST	(-100)
#define PRIO_NAT_SRC	98
#define PRIO_CONNTRACK	(-200)	/* NF_IP_PRI_CONNTRACK, of prerouting */

struct item {			/* a chain at a hook, before the order is made */
	const struct imr_chain *chain;
	int32_t prio;
	bool effects;
	uint32_t index;		/* in the program */
};

struct build {
	const struct imr *src;
	struct imr *own;		/* what is made here is made in */
	const struct imr_env *env;
	struct place *p;
	uint8_t nfproto;
	bool nat;
};

/* ------------------------------------------------------------------ what a chain is */

static bool has_effects(const struct imr_chain *c)
{
	for (uint32_t r = 0; r < c->n; r++)
		for (uint32_t i = 0; i < c->rule[r].n; i++)
			switch (c->rule[r].insn[i].op) {
			case OP_EFFECT:
			case OP_JUMP:
			case OP_GOTO:
			case OP_PASS:
				return true;
			}
	return false;
}

static bool is_family(const struct imr_chain *c, uint8_t nfproto)
{
	enum imr_family f = imr_hooks[c->hook].family;

	return c->hook != HOOK_NONE && (f == FAM_INET || f == (enum imr_family)nfproto);
}

/* Registering one nat chain puts nf_nat on every hook of its family (nf_nat_register_fn), and old flows keep their
 * translation whatever the chains say now. */
static bool has_nat(const struct imr *src, uint8_t nfproto)
{
	for (uint32_t i = 0; i < src->n; i++)
		if (src->chain[i].kind == KIND_NAT && is_family(&src->chain[i], nfproto))
			return true;
	return false;
}

static bool is_on(const struct imr_chain *c, const char dev[16])
{
	size_t n;

	for (uint32_t i = 0; i < c->n_dev; i++) {
		n = strlen(c->dev[i]);
		if (n && c->dev[i][n - 1] == '*' ? !strncmp(c->dev[i], dev, n - 1) : !strncmp(c->dev[i], dev, 16))
			return true;
	}
	return false;
}

static bool is_ingress(const struct imr_chain *c)
{
	return c->hook == HOOK_NETDEV_INGRESS || c->hook == HOOK_INET_INGRESS;
}

/* ------------------------------------------------------------------ segments */

static struct place_seg *seg_add(const struct build *b, const struct imr_chain *c)
{
	struct place *p = b->p;
	struct place_seg *s;

	p->seg = arena_grow(b->src->arena, p->seg, p->n * sizeof(*s), (p->n + 1) * sizeof(*s));
	s = &p->seg[p->n++];
	*s = (struct place_seg){ .chain = c, .nfproto = b->nfproto };
	if (p->n > 1)
		s->base = s[-1].base + s[-1].chain->n + 1;
	return s;
}

static void seg_lead(struct place_seg *s, uint32_t seg)
{
	s->n_accept = s->n_fall = 1;
	s->accept[0] = s->fall[0] = seg;
}

/* The policy as a rule, counted where someone will ask for the count: for a drop always, for an accept where the tool
 * that made the chain has such a counter. */
static void seg_policy(const struct build *b, struct place_seg *s)
{
	const struct imr_chain *c = s->chain;
	bool own = c->policy == OP_DROP || b->p->exact || !c->at.tool || strcmp(c->at.tool, "nft");

	s->policy.at = c->at;
	s->policy.at.number = 0;
	if (c->policy_count && own)
		imr_insn_add(b->own, &s->policy, OP_COUNT);
	imr_insn_add(b->own, &s->policy, c->policy);
}

/* A segment of a real chain, leading to the one that will follow it. */
static struct place_seg *seg_chain(const struct build *b, const struct imr_chain *c)
{
	struct place_seg *s = seg_add(b, c);

	seg_lead(s, b->p->n);
	seg_policy(b, s);
	return s;
}

/* A chain of our own: what the stack does between the hooks. */
static struct imr_chain *stack_chain(const struct build *b, const char *what)
{
	struct imr_chain *c = arena_alloc(b->src->arena, sizeof(*c));

	c->name = what;
	c->hook = HOOK_EARLY_L3;
	c->policy = OP_ACCEPT;
	c->at = (struct imr_at){ .tool = "fwjit", .where = what };
	return c;
}

/* `in field, set` (or not in), then the end. */
static void stack_rule(const struct build *b, struct imr_chain *c, enum imr_op op, enum imr_field f,
		       const struct imr_set *set, enum imr_op end)
{
	struct imr *imr = b->own;
	struct imr_at at = c->at;
	struct imr_rule *r;

	at.number = c->n + 1;
	r = imr_rule_add(imr, c, &at);
	*imr_insn_add(imr, r, OP_LD) = (struct imr_insn){ .op = OP_LD, .type = imr_fields[f].type, .field = f,
							  .dst = 0, .a = IMR_NOVAL, .b = IMR_NOVAL };
	*imr_insn_add(imr, r, op) = (struct imr_insn){ .op = op, .type = imr_fields[f].type, .dst = IMR_NOVAL, .a = 0,
						       .b = IMR_NOVAL, .set = set };
	imr_insn_add(imr, r, end);
}

/* ------------------------------------------------------------------ one hook */

static int cmp_item(const void *pa, const void *pb)
{
	const struct item *a = pa, *b = pb;
	bool nat_a = a->chain->kind == KIND_NAT, nat_b = b->chain->kind == KIND_NAT;

	if (a->prio != b->prio)
		return a->prio < b->prio ? -1 : 1;
	if (nat_a != nat_b)
		return nat_a ? -1 : 1;
	if (nat_a && a->chain->prio != b->chain->prio)
		return a->chain->prio < b->chain->prio ? -1 : 1;
	if (a->effects != b->effects)
		return a->effects ? -1 : 1;
	return a->index < b->index ? 1 : a->index > b->index ? -1 : 0;
}

/* The hook's chains in order. A nat chain runs where nf_nat calls it, whatever its own priority says. */
static uint32_t items_at(const struct build *b, enum imr_hooknum num, struct item **ret)
{
	const struct imr *src = b->src;
	struct item *it = arena_alloc(src->arena, src->n * sizeof(*it));
	uint32_t n = 0;

	for (uint32_t i = 0; i < src->n; i++) {
		const struct imr_chain *c = &src->chain[i];
		bool here = num == HN_INGRESS ? is_ingress(c) && is_on(c, b->env->dev) : is_family(c, b->nfproto);

		if (!here || imr_hooks[c->hook].num != num)
			continue;
		it[n] = (struct item){ c, c->prio, has_effects(c), i };
		if (c->kind == KIND_NAT)
			it[n].prio = num == HN_PREROUTING ? PRIO_NAT_DST : PRIO_NAT_SRC + 2;
		n++;
	}
	qsort(it, n, sizeof(*it), cmp_item);
	*ret = it;
	return n;
}

static uint8_t blur_at(const struct build *b, enum imr_hooknum num, int32_t prio)
{
	uint8_t blur = 0;

	if (!b->env->no_gro)
		blur |= BLUR_MERGE;
	if (num == HN_INGRESS)
		return blur | BLUR_INGRESS;
	if (num == HN_FORWARD)
		blur |= BLUR_FORWARD;
	if (b->nat && (num != HN_PREROUTING || prio > PRIO_NAT_DST))
		blur |= BLUR_NAT;
	return blur;
}

/* Conntrack notes what it sees of a flow that it knows (its end, its replies, when it was last seen), whatever the rules
 * behind do with the packet. Of a packet of no known flow that is dropped behind it nothing stays. */
static enum drop_how drop_how(const struct build *b, enum imr_hooknum num, int32_t prio)
{
	if (b->src->conntrack == CONNTRACK_OFF || num == HN_INGRESS || (num == HN_PREROUTING && prio < PRIO_CONNTRACK))
		return DROP_UNSEEN;
	if (b->src->conntrack == CONNTRACK_EXPECTS || b->env->ct_expects || !b->env->ct_lookup)
		return DROP_NEVER;
	return DROP_NEW;
}

static void seg_item(const struct build *b, enum imr_hooknum num, const struct item *it, bool look)
{
	struct place_seg *s = seg_chain(b, it->chain);
	bool nat = it->chain->kind == KIND_NAT;

	s->may = look || nat || (num == HN_INPUT && b->nat && it->prio >= PRIO_NAT_SRC);
	s->quiet = look || nat;
	s->drop = drop_how(b, num, it->prio);
	/* At NAT's own priority the kernel's order is not known: a filter chain may be behind it. */
	s->blur = blur_at(b, num, it->prio == PRIO_NAT_DST && !nat ? it->prio + 1 : it->prio);
}

/* Chains of one priority run in an order that a dump does not tell. A drop is a drop in any order, but not behind an
 * effect: whoever has effects comes first, and is looked at even before another that has them too. */
static void hook_add(const struct build *b, enum imr_hooknum num)
{
	struct item *it;
	uint32_t n = items_at(b, num, &it);

	for (uint32_t i = 0; i < n; i++) {
		bool first = !i || it[i - 1].prio != it[i].prio;

		for (uint32_t k = i + 1; first && k < n && it[k].prio == it[i].prio; k++)
			if (it[k].effects && it[k].chain->kind != KIND_NAT)
				seg_item(b, num, &it[k], true);
		seg_item(b, num, &it[i], false);
	}
}

/* ------------------------------------------------------------------ routing */

static const struct imr_set *set_of(const struct build *b, const u128 (*r)[2], uint32_t n)
{
	struct imr_range *out = arena_alloc(b->src->arena, n * sizeof(*out));

	for (uint32_t i = 0; i < n; i++)
		out[i] = (struct imr_range){ r[i][0], r[i][1] };
	return imr_set_new(b->own, out, n);
}

#define IP4(a, b, c, d) ((u128)(a) << 24 | (b) << 16 | (c) << 8 | (d))
#define IP6(hi) ((u128)(hi) << 112)

/* Destinations that are neither the host's own nor simply forwarded: multicast, broadcast, loopback, link-local. */
static const struct imr_set *special_set(const struct build *b)
{
	static const u128 v4[][2] = {
		{ IP4(0, 0, 0, 0), IP4(0, 255, 255, 255) },
		{ IP4(127, 0, 0, 0), IP4(127, 255, 255, 255) },
		{ IP4(224, 0, 0, 0), IP4(255, 255, 255, 255) },
	};
	static const u128 v6[][2] = {
		{ 0, 1 },
		{ IP6(0xfe80), IP6(0xfec0) - 1 },
		{ IP6(0xff00), ~(u128)0 },
	};

	return b->nfproto == 2 ? set_of(b, v4, 3) : set_of(b, v6, 3);
}

static const struct imr_set *local_set(const struct build *b)
{
	uint32_t n = b->nfproto == 2 ? b->env->n_local4 : b->env->n_local6;
	const struct imr_range *local = b->nfproto == 2 ? b->env->local4 : b->env->local6;
	struct imr_range *r = arena_alloc(b->src->arena, n * sizeof(*r));

	for (uint32_t i = 0; i < n; i++)
		r[i] = local[i];
	return imr_set_new(b->own, r, n);
}

static const struct imr_set *one(const struct build *b, u128 lo, u128 hi)
{
	return imr_set_one(b->own, lo, hi);
}

/* IPv4 options may have a packet routed elsewhere and rewritten (ip_options_compile, ip_options_rcv_srr). */
static void options_add(const struct build *b)
{
	struct imr_chain *c = stack_chain(b, "ip options");

	stack_rule(b, c, OP_NI, F_IP_IHL, one(b, 5, 5), OP_PASS);
	seg_chain(b, c);
}

/* Before the forward hook, ip_forward and ip6_forward answer a packet that has no time left. (A router alert, which they
 * hand to a socket, is an option: such packets pass.) */
static void forward_prelude(const struct build *b)
{
	struct imr_chain *c = stack_chain(b, b->nfproto == 2 ? "ip forward" : "ip6 forward");

	stack_rule(b, c, OP_IN, b->nfproto == 2 ? F_IP_TTL : F_IP6_HOPLIMIT, one(b, 0, 1), OP_PASS);
	seg_chain(b, c);
}

/* The decision between input and forward: the host's own addresses are for input, what is neither those nor special
 * for forward. Leaves room for route_to to say where the rows are. */
static void route_add(const struct build *b)
{
	struct imr_chain *own = stack_chain(b, "routing of own addresses");
	struct imr_chain *special = stack_chain(b, "routing of special addresses");
	enum imr_field f = b->nfproto == 2 ? F_IP_DADDR : F_IP6_DADDR;

	stack_rule(b, own, OP_IN, f, local_set(b), OP_ACCEPT);
	seg_chain(b, own);
	stack_rule(b, special, OP_IN, f, special_set(b), OP_ACCEPT);
	seg_chain(b, special);
}

static void route_to(const struct build *b, uint32_t route, uint32_t input, uint32_t forward)
{
	struct place_seg *own = &b->p->seg[route], *special = own + 1;

	own->accept[0] = input;
	special->n_accept = 2;
	special->accept[0] = input;
	special->accept[1] = forward;
	special->fall[0] = forward;
}

/* Where routing is not known: a set of places from the start. */
static void route_any(const struct build *b, uint32_t route, uint32_t input, uint32_t forward)
{
	struct place_seg *s = &b->p->seg[route];

	s->n_fall = 2;
	s->fall[0] = input;
	s->fall[1] = forward;
}

/* Segments from `first` on that lead to `from` lead to `to`: the end of a row of its own. */
static void redirect(const struct place *p, uint32_t first, uint32_t from, uint32_t to)
{
	for (uint32_t i = first; i < from; i++)
		for (int k = 0; k < 2; k++) {
			if (p->seg[i].accept[k] == from)
				p->seg[i].accept[k] = to;
			if (p->seg[i].fall[k] == from)
				p->seg[i].fall[k] = to;
		}
}

static bool reads_options(const struct build *b)
{
	for (uint32_t i = 0; i < b->src->n; i++) {
		const struct imr_chain *c = &b->src->chain[i];

		if (is_family(c, 2) && imr_hooks[c->hook].num == HN_INPUT && known_reads_options(c))
			return true;
	}
	return false;
}

/* ------------------------------------------------------------------ the two rows */

/* All that one family's packets meet. Where its rows end is END until the whole pipeline is there. */
#define END UINT32_MAX

static void family_add(struct build b, uint8_t nfproto)
{
	struct place *p = b.p;
	bool forwards = nfproto == 2 ? b.env->fwd4 : b.env->fwd6, decided;
	uint32_t first = p->n, route, input, forward;

	b.nfproto = nfproto;
	b.nat = has_nat(b.src, nfproto);
	decided = b.env->plain_rules && !b.nat;
	hook_add(&b, HN_INGRESS);
	hook_add(&b, HN_PREROUTING);
	if (nfproto == 2 && (forwards || reads_options(&b)))
		options_add(&b);
	route = p->n;
	if (forwards && decided)
		route_add(&b);
	else if (forwards)
		seg_chain(&b, stack_chain(&b, "routing"));
	input = p->n;
	hook_add(&b, HN_INPUT);
	forward = p->n;
	if (forwards) {
		forward_prelude(&b);
		hook_add(&b, HN_FORWARD);
		redirect(p, input, forward, END);
		input = input == forward ? END : input;
		(decided ? route_to : route_any)(&b, route, input, forward);
	}
	redirect(p, first, p->n, END);
}

static const char *place_name(const struct imr *src, const struct imr_env *env, const char *what)
{
	return arena_printf(src->arena, "%s %.16s", what, env->dev);
}

static struct imr *own_of(const struct imr *src)
{
	return imr_new(src->arena, src->diags, &src->profile);
}

static struct imr *finish(struct imr *out)
{
	if (!out || !imr_optimise(out, NULL))
		return NULL;
	for (uint32_t i = 0; i < out->n; i++)
		out->chain[i].policy_count = false;
	imr_number(out);
	return out;
}

struct imr *imr_place_slice(const struct imr *imr, const struct imr_env *env)
{
	struct place p = { .src = imr, .env = env, .name = place_name(imr, env, "slice"), .hook = HOOK_EARLY_L3 };
	struct build b = { .src = imr, .own = own_of(imr), .env = env, .p = &p };
	struct imr_chain *family = stack_chain(&b, "family");
	uint32_t v6;

	stack_rule(&b, family, OP_NI, F_META_NFPROTO, one(&b, 2, 2), OP_ACCEPT);
	seg_policy(&b, seg_add(&b, family));
	family_add(b, 2);
	v6 = p.n;
	family_add(b, 10);
	seg_lead(&p.seg[0], v6 == p.n ? END : v6);
	p.seg[0].fall[0] = v6 == 1 ? END : 1;
	return finish(place_walk(&p));
}

/* Is the chain one of the place's, and can it be said there? *ok is false, with a diagnostic, where not. */
static bool hook_has(const struct build *b, const struct imr_chain *c, enum imr_hook hook, struct imr_range32 prio, bool *ok)
{
	enum imr_hooknum num = imr_hooks[hook].num;
	bool netdev = imr_hooks[hook].family == FAM_NETDEV;

	if (c->hook == HOOK_NONE || imr_hooks[c->hook].num != num || c->prio < prio.lo || c->prio > prio.hi)
		return false;
	if (netdev ? !is_on(c, b->env->dev) : !is_family(c, b->nfproto))
		return false;
	if (netdev && c->hook != hook) {
		diag_add(b->src->diags, DIAG_UNSUPPORTED, &c->at,
			 "the inet ingress hook itself drops malformed packets; this is not said exactly")->hint =
			"a netdev table's ingress chain on the same device is";
		*ok = false;
	}
	if (c->kind == KIND_NAT) {
		diag_add(b->src->diags, DIAG_UNSUPPORTED, &c->at, "a nat chain sees only the first packet of a flow");
		*ok = false;
	}
	return true;
}

/* The chains of one hook and nfproto as a row of segments. */
static void hook_row(struct build *b, enum imr_hook hook, struct imr_range32 prio, bool *ok)
{
	struct item *it = arena_alloc(b->src->arena, (b->src->n + 1) * sizeof(*it));
	uint32_t n = 0;

	for (uint32_t i = 0; i < b->src->n; i++)
		if (hook_has(b, &b->src->chain[i], hook, prio, ok))
			it[n++] = (struct item){ &b->src->chain[i], b->src->chain[i].prio, false, i };
	qsort(it, n, sizeof(*it), cmp_item);
	for (uint32_t i = 0; i < n; i++)
		seg_chain(b, it[i].chain)->blur = b->env && b->env->before_gro && !b->env->no_gro ? BLUR_MERGE : 0;
}

struct imr *imr_place_hook(const struct imr *imr, const struct imr_env *env, enum imr_hook hook, struct imr_range32 prio)
{
	const char *name = env ? place_name(imr, env, imr_hooks[hook].name) : imr_hooks[hook].name;
	struct place p = { .src = imr, .env = env, .name = name, .exact = true, .hook = hook };
	struct build b = { .src = imr, .own = own_of(imr), .env = env, .p = &p, .nfproto = imr_hooks[hook].family };
	bool ok = true;

	if (b.nfproto == FAM_INET) {
		struct imr_chain *family = stack_chain(&b, "family");
		uint32_t v6;

		family->hook = hook;
		b.nfproto = 0;
		stack_rule(&b, family, OP_NI, F_META_NFPROTO, one(&b, 2, 2), OP_ACCEPT);
		seg_policy(&b, seg_add(&b, family));
		b.nfproto = FAM_IP;
		hook_row(&b, hook, prio, &ok);
		v6 = p.n;
		b.nfproto = FAM_IP6;
		hook_row(&b, hook, prio, &ok);
		redirect(&p, 1, v6, p.n);
		seg_lead(&p.seg[0], v6);
		p.seg[0].fall[0] = v6 == 1 ? p.n : 1;
	} else {
		hook_row(&b, hook, prio, &ok);
	}
	return ok ? finish(place_walk(&p)) : NULL;
}

struct imr *imr_place_ingress(const struct imr *imr, const struct imr_env *env)
{
	return imr_place_hook(imr, env, HOOK_NETDEV_INGRESS, (struct imr_range32){ INT32_MIN, INT32_MAX });
}
