/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The reference: one packet through one base chain, instruction by instruction.
 *
 * Every pass and every backend is measured against this file, so it does what the words of docs/IMR.md say and nothing
 * clever: it reads each field from the frame when it is asked for, keeps a stack of chains as nft_do_chain does, and
 * stops with V_UNKNOWN at the first thing that it is not told.
 */
#include <string.h>

#include "imr.h"

struct val {
	u128 v;
	bool known;
};

struct frame {
	uint32_t chain, rule;	/* where a return goes on */
};

struct bump {
	uint32_t slot;
	bool tally;
};

/* Arrays that start on the caller's stack and move to an arena when a program is larger than usual. */
struct run {
	const struct imr *imr;
	const struct imr_pkt *pkt;
	const uint64_t *choice;
	struct imr_view view;
	const struct imr_hook_info *hook;
	struct arena *arena;
	struct val *val;
	struct frame *stack;
	struct bump *bump;
	uint32_t val_cap, stack_cap, bump_cap;
	uint32_t depth, n_bump;
	uint32_t chain, rule;	/* where it is */
	enum imr_verdict verdict;
	struct imr_at at;
};

#define START 64

static void *grown(struct run *r, const void *old, uint32_t *cap, uint32_t need, size_t size)
{
	uint32_t n = *cap;
	void *p;

	while (n < need)
		n *= 2;
	if (!r->arena)
		r->arena = arena_new();
	p = arena_alloc(r->arena, n * size);
	memcpy(p, old, *cap * size);
	*cap = n;
	return p;
}

static void set_val(struct run *r, uint32_t n, struct val v)
{
	if (n >= r->val_cap)
		r->val = grown(r, r->val, &r->val_cap, n + 1, sizeof(*r->val));
	r->val[n] = v;
}

static void push(struct run *r, uint32_t rule)
{
	if (r->depth == r->stack_cap)
		r->stack = grown(r, r->stack, &r->stack_cap, r->depth + 1, sizeof(*r->stack));
	r->stack[r->depth++] = (struct frame){ r->chain, rule };
}

static void bump(struct run *r, uint32_t slot, bool tally)
{
	if (r->n_bump == r->bump_cap)
		r->bump = grown(r, r->bump, &r->bump_cap, r->n_bump + 1, sizeof(*r->bump));
	r->bump[r->n_bump++] = (struct bump){ slot, tally };
}

static void decide(struct run *r, enum imr_verdict v, const struct imr_at *at)
{
	r->verdict = v;
	r->at = *at;
}

/* ------------------------------------------------------------------ the packet */

static uint32_t avail(const struct run *r, enum imr_base b)
{
	const struct imr_view *v = &r->view;
	uint32_t start;

	switch (b) {
	case B_LL:
		return v->nh > v->ll ? v->end - v->ll : 0;
	case B_NH:
		return v->end - v->nh;
	case B_TH:
		start = v->th_ok ? v->th : v->end;
		break;
	case B_TX:
		start = v->tx_ok ? v->tx : v->end;
		break;
	default:
		return 0;
	}
	return start < v->end ? v->end - start : 0;
}

/* ip_decrease_ttl, ip6_forward: before the forward hook, the time to live is one less, and IPv4's checksum follows. */
static uint8_t byte_in(const struct run *r, uint32_t at)
{
	const struct imr_view *v = &r->view;
	const uint8_t *h = r->pkt->frame + v->nh;
	uint32_t off = at - v->nh, sum;

	if (v->hop && at >= v->nh && off == (v->nfproto == FAM_IP ? 8 : 7))
		return h[off] - 1;
	if (v->hop && at >= v->nh && v->nfproto == FAM_IP && (off == 10 || off == 11)) {
		sum = (h[10] << 8 | h[11]) + 0x100;
		sum += sum >= 0xffff;
		return off == 10 ? sum >> 8 : sum;
	}
	return r->pkt->frame[at];
}

/* nft_payload_copy_vlan: the link header of a frame whose tag was popped is put together again, with skb->protocol as
 * its last field. Where tags were forgotten instead (ll > 0), the addresses moved up to the type. */
static uint8_t ll_byte(const struct run *r, uint32_t off)
{
	const struct imr_view *v = &r->view;

	if (off < 12)
		return r->pkt->frame[off];
	if (v->popped && v->nh - v->ll == 18 && off >= 16 && off < 18)
		return off == 16 ? v->protocol >> 8 : v->protocol & 0xff;
	return byte_in(r, v->ll + off);
}

static uint8_t byte_at(const struct run *r, enum imr_base b, uint32_t off)
{
	const struct imr_view *v = &r->view;

	if (b == B_LL)
		return ll_byte(r, off);
	return byte_in(r, (b == B_NH ? v->nh : b == B_TH ? v->th : v->tx) + off);
}

/* len bytes as one number, the first the most significant; 0 where not all of them are there. */
static u128 load(const struct run *r, enum imr_base b, uint32_t off, uint32_t len)
{
	u128 v = 0;

	if (avail(r, b) < off + len)
		return 0;
	for (uint32_t i = 0; i < len; i++)
		v = v << 8 | byte_at(r, b, off + i);
	return v;
}

static u128 name_number(const char name[16])
{
	u128 v = 0;
	bool ended = false;

	for (int i = 0; i < 16; i++) {
		ended |= !name[i];
		v = v << 8 | (ended ? 0 : (uint8_t)name[i]);
	}
	return v;
}

static u128 fact(const struct run *r, enum imr_field f)
{
	const struct imr_view *v = &r->view;
	bool iif = !(r->hook->facts & HF_NO_IIF), oif = !(r->hook->facts & HF_NO_OIF);

	switch (f) {
	case F_META_IIF:	return iif ? r->pkt->iif : 0;
	case F_META_OIF:	return oif ? r->pkt->oif : 0;
	case F_META_IIFNAME:	return iif ? name_number(r->pkt->iifname) : 0;
	case F_META_OIFNAME:	return oif ? name_number(r->pkt->oifname) : 0;
	case F_META_IIFTYPE:	return v->iiftype;
	case F_META_NFPROTO:	return v->nfproto;
	case F_META_PROTOCOL:	return v->protocol;
	case F_META_MARK:	return r->pkt->mark;
	case F_META_LEN:	return v->len;
	case F_TH_OK:		return v->th_ok;
	case F_TH_PROTO:	return v->th_ok ? v->th_proto : 0;
	case F_TH_FRAGOFF:	return v->th_ok ? v->th_fragoff : 0;
	case F_TX_OK:		return v->tx_ok;
	case F_TX_PROTO:	return v->tx_ok ? v->tx_proto : 0;
	case F_TX_FRAGOFF:	return v->tx_ok ? v->tx_fragoff : 0;
	default:		return 0;
	}
}

static bool is_hidden(const struct run *r, enum imr_field f)
{
	return ((f == F_META_OIF || f == F_META_OIFNAME) && (r->hook->facts & HF_OIF_UNKNOWN)) ||
	       (f == F_META_MARK && (r->hook->facts & HF_MARK_UNKNOWN));
}

static struct val field(const struct run *r, const struct imr_insn *i)
{
	const struct imr_field_info *f = &imr_fields[i->field];
	u128 v;

	if (i->field == F_RAW)
		return (struct val){ load(r, i->base, i->off, i->len), true };
	if (f->len == 0)
		return (struct val){ fact(r, i->field), !is_hidden(r, i->field) };
	v = load(r, f->base, f->off, f->len) >> f->shift;
	if (f->bits < 128)
		v &= ((u128)1 << f->bits) - 1;
	return (struct val){ v, true };
}

/* tcp_find_option of xt_tcpudp: the end of the list is an option like another, a length of 0 counts as 1. 2 where the
 * header is not whole, or shorter than it can be. */
static unsigned int tcp_option(const struct run *r, enum imr_base b, unsigned int kind)
{
	uint32_t doff = load(r, b, 12, 1) >> 4, i = 20, end = doff * 4;

	if (doff < 5 || avail(r, b) < end)
		return 2;
	while (i < end) {
		uint8_t op = byte_at(r, b, i), len;

		if (op == kind)
			return 1;
		len = op < 2 || i + 1 == end ? 1 : byte_at(r, b, i + 1);
		i += len ? len : 1;
	}
	return 0;
}

/* ------------------------------------------------------------------ instructions */

static u128 swapped(u128 v, enum imr_type t)
{
	u128 ret = 0;

	for (unsigned int i = 0; i < imr_types[t].bits / 8u; i++, v >>= 8)
		ret = ret << 8 | (v & 0xff);
	return ret;
}

static struct val told(const struct run *r, const struct imr_insn *i)
{
	return (struct val){ r->choice ? r->choice[i->slot] : 0, r->choice != NULL };
}

static void value(struct run *r, const struct imr_insn *i)
{
	struct val a = i->a != IMR_NOVAL ? r->val[i->a] : (struct val){ 0, true };
	struct val v = a;

	switch (i->op) {
	case OP_LD:	v = field(r, i); break;
	case OP_AND:	v.v = a.v & i->imm; break;
	case OP_XOR:	v.v = a.v ^ i->imm; break;
	case OP_SHR:	v.v = i->imm < 128 ? a.v >> i->imm : 0; break;
	case OP_SWAP:	v.v = swapped(a.v, i->type); break;
	case OP_ISIN:	v.v = imr_set_has(i->set, a.v); break;
	case OP_TCPOPT:	v.v = tcp_option(r, i->base, i->imm); break;
	case OP_UNKNOWN: v = told(r, i); break;
	case OP_OR:
		v.v = a.v | r->val[i->b].v;
		v.known = a.known && r->val[i->b].known;
		break;
	}
	v.v &= imr_type_max(i->type);
	set_val(r, i->dst, v);
}

static bool holds(const struct run *r, const struct imr_insn *i)
{
	u128 a = i->a != IMR_NOVAL ? r->val[i->a].v : 0;

	switch (i->op) {
	case OP_EQ:	return a == i->imm;
	case OP_NE:	return a != i->imm;
	case OP_LT:	return a < i->imm;
	case OP_LE:	return a <= i->imm;
	case OP_GT:	return a > i->imm;
	case OP_GE:	return a >= i->imm;
	case OP_IN:	return imr_set_has(i->set, a);
	case OP_NI:	return !imr_set_has(i->set, a);
	case OP_NOFLOW:	return !r->pkt->flow;
	default:	return avail(r, i->base) >= i->len;	/* need */
	}
}

static void leave(struct run *r, const struct imr_insn *i, const struct imr_rule *rule)
{
	switch (i->els) {
	case ELSE_NEXT:	r->rule++; break;
	case ELSE_DROP:	decide(r, V_DROP, &rule->at); break;
	case ELSE_PASS:	decide(r, V_PASS, &rule->at); break;
	case ELSE_RULE:	r->rule = i->to; break;
	}
}

/* True: the rule goes on behind this instruction. */
static bool test(struct run *r, const struct imr_insn *i, const struct imr_rule *rule)
{
	struct val t;

	if (i->op == OP_OPAQUE)
		t = told(r, i);
	else
		t = (struct val){ holds(r, i), i->a == IMR_NOVAL || r->val[i->a].known };
	if (!t.known)
		decide(r, V_UNKNOWN, &rule->at);
	else if (i->op == OP_OPAQUE && t.v == 2)
		decide(r, V_DROP, &rule->at);
	else if (t.v)
		return true;
	else
		leave(r, i, rule);
	return false;
}

static bool statement(struct run *r, const struct imr_insn *i, const struct imr_rule *rule)
{
	struct val t;

	if (i->op != OP_EFFECT) {
		bump(r, i->slot, i->op == OP_TALLY);
		return true;
	}
	t = told(r, i);
	if (t.known && !t.v)
		return true;
	decide(r, !t.known ? V_UNKNOWN : t.v == 1 ? V_ACCEPT : V_DROP, &rule->at);
	return false;
}

/* ------------------------------------------------------------------ chains */

/* An entry may be read again on the way back from a jump: it holds values only, and they do not change. */
static void enter(struct run *r, uint32_t chain, uint32_t rule)
{
	const struct imr_chain *c = &r->imr->chain[chain];

	r->chain = chain;
	r->rule = rule;
	for (uint32_t i = 0; i < c->n_entry; i++)
		value(r, &c->entry[i]);
}

/* nft_do_chain: the end of a chain, or return, goes to behind the last jump; with none left the policy decides. */
static void come_back(struct run *r, uint32_t base)
{
	const struct imr_chain *c = &r->imr->chain[base];

	if (r->depth) {
		r->depth--;
		enter(r, r->stack[r->depth].chain, r->stack[r->depth].rule);
		return;
	}
	if (c->policy_count)
		bump(r, c->policy_slot, false);
	decide(r, c->policy == OP_DROP ? V_DROP : c->policy == OP_PASS ? V_PASS : V_ACCEPT, &c->at);
}

static void end(struct run *r, const struct imr_insn *i, const struct imr_rule *rule, uint32_t base)
{
	switch (i->op) {
	case OP_ACCEPT:	decide(r, V_ACCEPT, &rule->at); break;
	case OP_DROP:	decide(r, V_DROP, &rule->at); break;
	case OP_PASS:	decide(r, V_PASS, &rule->at); break;
	case OP_NEXT:	r->rule = i->to ? i->to : r->rule + 1; break;
	case OP_RETURN:	come_back(r, base); break;
	case OP_JUMP:
		push(r, r->rule + 1);
		enter(r, i->chain, 0);
		break;
	case OP_GOTO:
		enter(r, i->chain, 0);
		break;
	}
}

static void run_rule(struct run *r, const struct imr_rule *rule, uint32_t base)
{
	for (uint32_t n = 0; n < rule->n; n++) {
		const struct imr_insn *i = &rule->insn[n];

		switch (imr_ops[i->op].class) {
		case CLASS_VALUE:
			value(r, i);
			break;
		case CLASS_TEST:
			if (!test(r, i, rule))
				return;
			break;
		case CLASS_STMT:
			if (!statement(r, i, rule))
				return;
			break;
		case CLASS_END:
			end(r, i, rule, base);
			return;
		}
	}
}

static void run_chain(struct run *r, uint32_t base)
{
	enter(r, base, 0);
	while (r->verdict == V_NONE) {
		const struct imr_chain *c = &r->imr->chain[r->chain];

		if (r->rule < c->n)
			run_rule(r, &c->rule[r->rule], base);
		else
			come_back(r, base);
	}
}

static void report(const struct run *r, struct imr_result *ret)
{
	ret->verdict = r->verdict;
	ret->at = r->at;
	for (uint32_t i = 0; i < r->n_bump; i++) {
		if (r->bump[i].tally && r->verdict != V_DROP)
			continue;
		if (ret->n_slot < sizeof(ret->slot) / sizeof(ret->slot[0]))
			ret->slot[ret->n_slot] = r->bump[i].slot;
		ret->n_slot++;
	}
}

void imr_run(struct imr_result *ret, const struct imr *imr, uint32_t chain, const struct imr_pkt *pkt,
	     const uint64_t *choice)
{
	struct val val[START];
	struct frame stack[START];
	struct bump bumps[START];
	struct run r = { .imr = imr, .pkt = pkt, .choice = choice, .hook = &imr_hooks[imr->chain[chain].hook],
			 .val = val, .stack = stack, .bump = bumps,
			 .val_cap = START, .stack_cap = START, .bump_cap = START };

	memset(ret, 0, sizeof(*ret));
	imr_view(&r.view, pkt, imr->chain[chain].hook, &imr->profile);
	if (!r.view.domain)
		return;
	run_chain(&r, chain);
	report(&r, ret);
	arena_free(r.arena);
}
