/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A transaction of nftables in several. An unprivileged socket sends at most its buffer (netlink_sendmsg: EMSGSIZE),
 * which some 500 rules fill, and tools send a transaction whole. In a namespace that nobody else sees it need not be
 * atomic, so that pieces do: names lead from a later piece to an earlier one, and only what has no name must stay with
 * its rule, which tools send right behind it: an anonymous set, and a chain in braces with its own rules.
 */
#include <string.h>

#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netlink.h>

#include <arpa/inet.h>

#include "sandbox.h"

#define BATCH_MSG	(NLMSG_HDRLEN + sizeof(struct nfgenmsg))

/* The message at data, if it is whole. */
static const struct nlmsghdr *message(const uint8_t *data, size_t len, struct nlmsghdr *copy)
{
	if (len < BATCH_MSG)
		return NULL;
	memcpy(copy, data, sizeof(*copy));
	return copy->nlmsg_len >= BATCH_MSG && copy->nlmsg_len <= len && NLMSG_ALIGN(copy->nlmsg_len) <= len ? copy : NULL;
}

/* 1: the message has the attribute, and *ret is what it holds if that is a number; 0: it has not; -1: not understood. */
static int attribute(const uint8_t *msg, size_t len, uint16_t type, uint32_t *ret)
{
	struct nlattr a;

	*ret = 0;
	for (size_t at = BATCH_MSG; at + NLA_HDRLEN <= len; at += NLA_ALIGN(a.nla_len)) {
		memcpy(&a, msg + at, sizeof(a));
		if (a.nla_len < NLA_HDRLEN || at + a.nla_len > len)
			return -1;
		if ((a.nla_type & NLA_TYPE_MASK) != type)
			continue;
		if (a.nla_len == NLA_HDRLEN + sizeof(*ret))
			memcpy(ret, msg + at + NLA_HDRLEN, sizeof(*ret));
		*ret = ntohl(*ret);
		return 1;
	}
	return 0;
}

/* What waits for its rule. Where a message is not understood, nothing is cut behind it. */
struct waiting {
	bool set, chain;
};

static void message_waits(const uint8_t *msg, const struct nlmsghdr *h, struct waiting *w)
{
	uint32_t v;

	switch (h->nlmsg_type) {
	case NFNL_SUBSYS_NFTABLES << 8 | NFT_MSG_NEWSET:
		w->set |= attribute(msg, h->nlmsg_len, NFTA_SET_FLAGS, &v) < 0 || (v & NFT_SET_ANONYMOUS);
		break;
	case NFNL_SUBSYS_NFTABLES << 8 | NFT_MSG_NEWCHAIN:
		w->chain |= attribute(msg, h->nlmsg_len, NFTA_CHAIN_FLAGS, &v) < 0 || (v & NFT_CHAIN_BINDING);
		break;
	case NFNL_SUBSYS_NFTABLES << 8 | NFT_MSG_NEWRULE:
		w->set = false;		/* a rule in braces has no chain's name: the one around them has */
		w->chain &= attribute(msg, h->nlmsg_len, NFTA_RULE_CHAIN, &v) <= 0;
		break;
	}
}

/* One piece: begin, [from, to) of the batch, end. A begin after the first names no generation: it has changed. */
static struct sb_piece make_piece(struct arena *a, const uint8_t *data, size_t len, size_t from, size_t to, bool first)
{
	size_t begin = first ? from : BATCH_MSG, body = to - from;
	struct sb_piece p = { .len = begin + body + BATCH_MSG };
	uint8_t *out = arena_alloc(a, p.len);
	struct nlmsghdr h;

	memcpy(out, data, begin);
	memcpy(&h, data, sizeof(h));
	if (!first) {
		h.nlmsg_len = BATCH_MSG;
		h.nlmsg_flags = NLM_F_REQUEST;
		memcpy(out, &h, sizeof(h));
	}
	memcpy(out + begin, data + from, body);
	memcpy(out + begin + body, data + len - BATCH_MSG, BATCH_MSG);
	p.data = out;
	return p;
}

static bool is_batch(const uint8_t *data, size_t len, size_t *ret_begin)
{
	struct nlmsghdr h;

	if (!message(data, len, &h) || h.nlmsg_type != NFNL_MSG_BATCH_BEGIN)
		return false;
	*ret_begin = NLMSG_ALIGN(h.nlmsg_len);
	return len >= *ret_begin + BATCH_MSG && message(data + len - BATCH_MSG, BATCH_MSG, &h) &&
	       h.nlmsg_type == NFNL_MSG_BATCH_END;
}

static void add(struct arena *a, struct sb_piece p, struct sb_piece **ret, uint32_t *ret_n)
{
	*ret = arena_grow(a, *ret, *ret_n * sizeof(p), (*ret_n + 1) * sizeof(p));
	(*ret)[(*ret_n)++] = p;
}

bool sb_batch_split(struct arena *a, const uint8_t *data, size_t len, size_t room, struct sb_piece **ret,
		    uint32_t *ret_n)
{
	size_t begin, from, cut, at, end = len - BATCH_MSG;
	struct waiting w = { false };
	struct nlmsghdr h;

	*ret = NULL;
	*ret_n = 0;
	if (!is_batch(data, len, &begin))
		return false;
	from = cut = at = begin;
	while (at < end) {
		size_t next;

		if (!message(data + at, end - at, &h))
			return false;
		next = at + NLMSG_ALIGN(h.nlmsg_len);
		message_waits(data + at, &h, &w);
		if (next - from + begin + BATCH_MSG > room) {
			if (cut == from)
				return false;
			add(a, make_piece(a, data, len, from, cut, from == begin), ret, ret_n);
			from = cut;
			if (next - from + begin + BATCH_MSG > room)
				return false;
		}
		at = next;
		if (!w.set && !w.chain)
			cut = at;
	}
	add(a, make_piece(a, data, len, from, end, from == begin), ret, ret_n);
	return true;
}
