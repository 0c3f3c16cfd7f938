/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A transaction of nftables in several. An unprivileged socket sends at most its buffer (netlink_sendmsg: EMSGSIZE),
 * which some 500 rules fill, and tools send a transaction whole. In a namespace that nobody else sees it need not be
 * atomic, so that pieces do: names lead from a later piece to an earlier one, and only an anonymous set must stay with
 * its rule, which tools send right behind it.
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
	return copy->nlmsg_len >= BATCH_MSG && NLMSG_ALIGN(copy->nlmsg_len) <= len ? copy : NULL;
}

static bool is_anonymous(const uint8_t *msg, size_t len)
{
	for (size_t at = BATCH_MSG; at + NLA_HDRLEN <= len; ) {
		uint32_t flags;
		struct nlattr a;

		memcpy(&a, msg + at, sizeof(a));
		if (a.nla_len < NLA_HDRLEN || at + a.nla_len > len)
			return true;	/* not understood: do not cut behind it */
		if ((a.nla_type & NLA_TYPE_MASK) == NFTA_SET_FLAGS && a.nla_len == NLA_HDRLEN + sizeof(flags)) {
			memcpy(&flags, msg + at + NLA_HDRLEN, sizeof(flags));
			return ntohl(flags) & NFT_SET_ANONYMOUS;
		}
		at += NLA_ALIGN(a.nla_len);
	}
	return false;
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
	bool open = false;
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
		if (h.nlmsg_type == (NFNL_SUBSYS_NFTABLES << 8 | NFT_MSG_NEWSET))
			open |= is_anonymous(data + at, h.nlmsg_len);
		else if (h.nlmsg_type == (NFNL_SUBSYS_NFTABLES << 8 | NFT_MSG_NEWRULE))
			open = false;
		if (next - from + begin + BATCH_MSG > room) {
			if (cut == from)
				return false;
			add(a, make_piece(a, data, len, from, cut, from == begin), ret, ret_n);
			from = cut;
			if (next - from + begin + BATCH_MSG > room)
				return false;
		}
		at = next;
		if (!open)
			cut = at;
	}
	add(a, make_piece(a, data, len, from, end, from == begin), ret, ret_n);
	return true;
}
