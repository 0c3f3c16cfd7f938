/* SPDX-License-Identifier: GPL-2.0-only */
#include <string.h>

#include "gen.h"

static void pool_add(struct pool *p, struct rng *r, enum imr_field f, u128 v)
{
	if (p->n[f] < GEN_POOL)
		p->v[f][p->n[f]++] = v;
	else
		p->v[f][rng_below(r, GEN_POOL)] = v;
}

static void pool_around(struct pool *p, struct rng *r, enum imr_field f, u128 v)
{
	pool_add(p, r, f, v);
	pool_add(p, r, f, v + 1);
	pool_add(p, r, f, v - 1);
}

static void pool_test(struct pool *p, struct rng *r, enum imr_field f, const struct imr_insn *in)
{
	unsigned int args = imr_ops[in->op].args;

	if (args & ARG_IMM)
		pool_around(p, r, f, in->imm);
	for (uint32_t i = 0; args & ARG_SET && i < in->set->n && i < 16; i++) {
		pool_around(p, r, f, in->set->r[i].lo);
		pool_around(p, r, f, in->set->r[i].hi);
	}
}

/* What field does a value come from? Values of the entry and of the rule so far, by number. */
#define MAX_VALUES 4096
struct origin { uint8_t field[MAX_VALUES]; };

static void pool_line(struct pool *p, struct rng *r, struct origin *o, const struct imr_insn *insn, uint32_t n)
{
	for (uint32_t i = 0; i < n; i++) {
		const struct imr_insn *in = &insn[i];
		uint8_t from = in->a < MAX_VALUES ? o->field[in->a] : 0;

		if (in->op == OP_LD) {
			from = in->field;
			p->tags |= from == F_RAW && in->base == B_LL && in->off + in->len > 14;
		} else if (from) {
			pool_test(p, r, from, in);
		}
		if (in->dst < MAX_VALUES)
			o->field[in->dst] = from;
	}
}

void pool_fill(struct pool *p, struct rng *r, const struct imr *imr)
{
	memset(p, 0, sizeof(*p));
	for (uint32_t c = 0; c < imr->n; c++) {
		const struct imr_chain *ch = &imr->chain[c];
		struct origin o = { { 0 } };

		pool_line(p, r, &o, ch->entry, ch->n_entry);
		for (uint32_t k = 0; k < ch->n; k++)
			pool_line(p, r, &o, ch->rule[k].insn, ch->rule[k].n);
	}
}

struct frame {
	struct rng *r;
	const struct pool *p;
	uint8_t *b;
	uint32_t len;
};

static void put(struct frame *f, uint64_t v, unsigned int n)
{
	while (n--)
		f->b[f->len++] = v >> (8 * n);
}

static u128 pick(struct frame *f, enum imr_field field, u128 dflt)
{
	if (f->p->n[field] && rng_chance(f->r, 75))
		return f->p->v[field][rng_below(f->r, f->p->n[field])];
	return dflt;
}

static void put_address(struct frame *f, enum imr_field field, bool v6)
{
	static const uint32_t some4[] = { 0x0a010203, 0xc0000201, 0x0a000001, 0xac100001, 0x08080808 };
	u128 v = pick(f, field, v6 ? ((u128)0x20010db800000000ull << 64) + rng_below(f->r, 4) : some4[rng_below(f->r, 5)]);

	if (rng_chance(f->r, 8))
		v ^= (u128)1 << rng_below(f->r, v6 ? 128 : 32);
	if (v6)
		put(f, v >> 64, 8);
	put(f, v, v6 ? 8 : 4);
}

static void put_payload(struct frame *f, unsigned int n)
{
	while (n--)
		f->b[f->len++] = rng_next(f->r);
}

static void transport(struct frame *f, uint8_t proto)
{
	uint32_t start = f->len;

	if (proto == 6 || proto == 17) {
		put(f, pick(f, F_TH_SPORT, rng_below(f->r, 65536)), 2);
		put(f, pick(f, F_TH_DPORT, rng_below(f->r, 65536)), 2);
	}
	if (proto == 6) {
		uint8_t doff = rng_chance(f->r, 85) ? 5 + rng_below(f->r, 3) : rng_below(f->r, 16);

		put(f, rng_next(f->r), 8);
		put(f, doff << 4, 1);
		put(f, pick(f, F_TCP_FLAGS, rng_below(f->r, 64)), 1);
		put(f, rng_next(f->r), 6);
		for (unsigned int i = 20; i < doff * 4u; i++)
			put(f, rng_chance(f->r, 70) ? rng_below(f->r, 6) : rng_next(f->r), 1);
	} else if (proto == 17) {
		put(f, 8 + rng_below(f->r, 20), 2);
		put(f, rng_next(f->r), 2);
	} else if (proto == 1 || proto == 58) {
		put(f, pick(f, proto == 1 ? F_ICMP_TYPE : F_ICMP6_TYPE, proto == 1 ? rng_below(f->r, 12) : 128), 1);
		put(f, pick(f, proto == 1 ? F_ICMP_CODE : F_ICMP6_CODE, rng_below(f->r, 3)), 1);
		put(f, rng_next(f->r), 6);
	}
	put_payload(f, rng_below(f->r, 24));
	if (rng_chance(f->r, 12))
		f->len = start + rng_below(f->r, f->len - start + 1);
}

static void checksum4(uint8_t *ip, unsigned int n)
{
	uint32_t sum = 0;

	ip[10] = ip[11] = 0;
	for (unsigned int i = 0; i < n; i += 2)
		sum += ip[i] << 8 | ip[i + 1];
	sum = (sum & 0xffff) + (sum >> 16);
	sum += sum >> 16;
	ip[10] = ~sum >> 8;
	ip[11] = ~sum;
}

static uint8_t protocol(struct frame *f)
{
	static const uint8_t some[] = { 6, 6, 6, 17, 17, 17, 1, 58, 47, 50, 51, 59, 0, 43 };

	return some[rng_below(f->r, sizeof(some))];
}

static void ip4(struct frame *f)
{
	uint32_t start = f->len, tot;
	unsigned int ihl = rng_chance(f->r, 85) ? 5 : 5 + rng_below(f->r, 11);
	uint8_t proto = pick(f, F_IP_PROTOCOL, protocol(f));
	uint16_t frag = 0;

	if (rng_chance(f->r, 15))
		frag = pick(f, F_IP_FRAG, (rng_below(f->r, 8) << 13) | (rng_chance(f->r, 60) ? rng_below(f->r, 3) : 0));
	put(f, 4 << 4 | ihl, 1);
	put(f, pick(f, F_IP_TOS, rng_below(f->r, 256)), 1);
	put(f, 0, 2);
	put(f, pick(f, F_IP_ID, rng_next(f->r)), 2);
	put(f, frag, 2);
	put(f, pick(f, F_IP_TTL, 1 + rng_below(f->r, 64)), 1);
	put(f, proto, 1);
	put(f, 0, 2);
	put_address(f, F_IP_SADDR, false);
	put_address(f, F_IP_DADDR, false);
	for (unsigned int i = 20; i < ihl * 4; i++)
		put(f, 1, 1);
	transport(f, proto);
	tot = f->len - start;
	if (rng_chance(f->r, 4))
		tot = rng_chance(f->r, 50) ? rng_below(f->r, tot + 8) : pick(f, F_IP_LEN, tot);
	f->b[start + 2] = tot >> 8;
	f->b[start + 3] = tot;
	if (rng_chance(f->r, 3))
		f->b[start] = rng_next(f->r);
	if (!rng_chance(f->r, 3))
		checksum4(f->b + start, ihl * 4);
}

/* Extension headers, sometimes too long, sometimes cut. */
static uint32_t extensions(struct frame *f, uint32_t next)
{
	static const uint8_t kinds[] = { 0, 43, 44, 60, 60, 51, 59, 135 };

	for (unsigned int i = rng_chance(f->r, 30) ? 1 + rng_below(f->r, 4) : 0; i; i--) {
		uint8_t kind = kinds[rng_below(f->r, sizeof(kinds))];
		unsigned int len = rng_below(f->r, 2);

		f->b[next] = kind;
		next = f->len;
		put(f, 59, 1);
		if (kind == 44) {
			put(f, 0, 1);
			put(f, rng_chance(f->r, 60) ? rng_below(f->r, 2) : rng_below(f->r, 3) << 3 | rng_below(f->r, 2), 2);
			put(f, rng_next(f->r), 4);
			continue;
		}
		put(f, rng_chance(f->r, 92) ? len : rng_below(f->r, 256), 1);
		put(f, 0x0104, 2);
		put(f, 0, 4);
		if (kind == 51)
			put(f, 0, len ? 4 : 0);
		else
			put(f, 0, len * 8);
	}
	return next;
}

static void ip6(struct frame *f)
{
	uint32_t start = f->len, next, len;
	uint8_t proto = pick(f, F_IP6_NEXTHDR, protocol(f));

	put(f, 6ull << 28 | (uint64_t)pick(f, F_IP6_FLOWLABEL, rng_below(f->r, 1 << 20)) % (1 << 20), 4);
	put(f, 0, 2);
	put(f, proto, 1);
	put(f, pick(f, F_IP6_HOPLIMIT, 1 + rng_below(f->r, 255)), 1);
	put_address(f, F_IP6_SADDR, true);
	put_address(f, F_IP6_DADDR, true);
	next = extensions(f, start + 6);
	if (next != start + 6)
		f->b[next] = proto;
	transport(f, proto);
	len = f->len - start - 40;
	if (rng_chance(f->r, 4))
		len = rng_below(f->r, len + 9);
	f->b[start + 4] = len >> 8;
	f->b[start + 5] = len;
	if (rng_chance(f->r, 2))
		f->b[start] = rng_next(f->r);
}

static void link_header(struct frame *f, uint16_t type)
{
	static const uint8_t macs[][6] = { { 2, 0, 0, 0, 0, 1 }, { 255, 255, 255, 255, 255, 255 }, { 1, 0, 94, 0, 0, 1 }, { 2, 0, 0, 0, 0, 0x77 } };
	static const uint8_t from[6] = { 2, 0, 0, 0, 0, 9 };

	static const uint16_t tags[] = { 5, 5, 0x6005, 0x6006, 0x1005, 1, 100, 101, 6, 4 };

	memcpy(f->b, macs[rng_chance(f->r, 90) ? 0 : 1 + rng_below(f->r, 3)], 6);
	memcpy(f->b + 6, from, 6);
	f->len = 6;
	if (f->p->n[F_ETH_SADDR] && rng_chance(f->r, 60))
		put(f, pick(f, F_ETH_SADDR, 0x020000000009), 6);
	f->len = 12;
	if (rng_chance(f->r, f->p->tags ? 30 : 8)) {
		put(f, rng_chance(f->r, 80) ? 0x8100 : 0x88a8, 2);
		put(f, f->p->tags ? tags[rng_below(f->r, 10)] : rng_chance(f->r, 30) ? 0 : 5, 2);
		if (rng_chance(f->r, 20)) {
			put(f, 0x8100, 2);
			put(f, 6, 2);
		}
	}
	put(f, type, 2);
}

uint32_t gen_packet(struct rng *r, const struct pool *p, uint8_t frame[GEN_FRAME])
{
	static const uint16_t others[] = { 0x0806, 0x88b5, 0x0010, 0x8847, 0x86dd, 0x0800 };
	struct frame f = { .r = r, .p = p, .b = frame };
	unsigned int kind = rng_below(r, 100);

	if (kind < 55) {
		link_header(&f, 0x0800);
		ip4(&f);
	} else if (kind < 96) {
		link_header(&f, 0x86dd);
		ip6(&f);
	} else {
		link_header(&f, others[rng_below(r, 6)]);
		put_payload(&f, rng_below(r, 64));
	}
	if (rng_chance(r, 5))
		put_payload(&f, rng_below(r, 20));
	if (rng_chance(r, 4))
		f.len = 14 + rng_below(r, f.len - 14);
	return f.len;
}

/* Frames whose ethertype, behind the popped tag, the ingress sensor cannot tell. */
bool gen_can_tell(const uint8_t *f, uint32_t len)
{
	unsigned int off = 12, type;

	for (int tags = 0; tags < 3; tags++) {
		if (len < off + 2)
			return false;
		type = f[off] << 8 | f[off + 1];
		if (type != 0x8100 && type != 0x88a8)
			break;
		if (len < off + 6 || (f[off + 2] << 8 | f[off + 3]) % 4096 == 0)
			return false;
		off += 4;
	}
	if (type < 1536)
		return off == 12;
	for (unsigned int i = 0; i < judge_n_ethertypes; i++)
		if (judge_ethertypes[i] == type)
			return true;
	return false;
}
