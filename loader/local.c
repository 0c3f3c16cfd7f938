/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Which destinations are delivered here: the local routing table's local, broadcast and anycast routes, as ranges.
 * That answers for routing only where the table is asked first, says so for whole prefixes, and no other table delivers
 * anything here; ret_plain is false where a rule, a TOS, a dead route, another kind of route in the table or such a
 * route in another one (transparent proxies have them) could decide otherwise.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <linux/fib_rules.h>
#include <linux/rtnetlink.h>

#include "priv.h"

struct table {
	struct arena *arena;
	int family, bits;	/* 32 or 128 */
	struct imr_range *here, *other;	/* other: what is in the table and not delivered here */
	uint32_t n_here, n_other, cap_here, cap_other;
	bool plain;
};

static u128 max_of(int bits)
{
	return bits == 128 ? ~(u128)0 : ((u128)1 << bits) - 1;
}

static void add(struct table *t, struct imr_range **list, uint32_t *n, uint32_t *cap, struct imr_range r)
{
	if (*n == *cap) {
		uint32_t more = *cap ? *cap * 2 : 64;

		*list = arena_grow(t->arena, *list, *n * sizeof(r), more * sizeof(r));
		*cap = more;
	}
	(*list)[(*n)++] = r;
}

static u128 address(const struct nlattr *attr, int bits)
{
	uint8_t b[16];
	u128 v = 0;

	ld_nl_copy(b, bits / 8, attr);
	for (int i = 0; i < bits / 8; i++)
		v = v << 8 | b[i];
	return v;
}

static const uint8_t delivering[] = { RTN_LOCAL, RTN_BROADCAST, RTN_ANYCAST };

static bool delivers(const struct rtmsg *m)
{
	return memchr(delivering, m->rtm_type, sizeof(delivering)) != NULL;
}

static uint32_t table_of(const struct nlmsghdr *nlh, const struct rtmsg *m)
{
	const struct nlattr *a;
	uint32_t table = m->rtm_table;

	mnl_attr_for_each(a, nlh, sizeof(*m))
		if (mnl_attr_get_type(a) == RTA_TABLE)
			table = ld_nl_u32(a);
	return table;
}

static int on_route(const struct nlmsghdr *nlh, void *data)
{
	const struct rtmsg *m = mnl_nlmsg_get_payload(nlh);
	struct table *t = data;
	struct imr_range r = { 0 };
	const struct nlattr *a;
	u128 low;

	if (nlh->nlmsg_type != RTM_NEWROUTE || mnl_nlmsg_get_payload_len(nlh) < sizeof(*m) || m->rtm_dst_len > t->bits)
		return MNL_CB_OK;
	mnl_attr_for_each(a, nlh, sizeof(*m))
		if (mnl_attr_get_type(a) == RTA_DST)
			r.lo = address(a, t->bits);
	if (m->rtm_family != t->family || table_of(nlh, m) != RT_TABLE_LOCAL || (m->rtm_flags & RTM_F_CLONED))
		return MNL_CB_OK;
	low = m->rtm_dst_len == t->bits ? 0 : max_of(t->bits - m->rtm_dst_len);
	r.lo &= ~low;
	r.hi = r.lo | low;
	if (m->rtm_tos || m->rtm_src_len || (m->rtm_flags & RTNH_F_DEAD))
		t->plain = false;
	if (delivers(m))
		add(t, &t->here, &t->n_here, &t->cap_here, r);
	else
		add(t, &t->other, &t->n_other, &t->cap_other, r);
	return MNL_CB_OK;
}

static int by_low(const void *a, const void *b)
{
	const struct imr_range *x = a, *y = b;

	return x->lo < y->lo ? -1 : x->lo > y->lo;
}

struct imr_range *ld_ranges_join(struct arena *a, struct imr_range *r, uint32_t n, uint32_t *ret_n)
{
	uint32_t k = 0;

	if (n)
		qsort(r, n, sizeof(*r), by_low);
	for (uint32_t i = 0; i < n; i++) {
		if (k && (r[k - 1].hi == ~(u128)0 || r[i].lo <= r[k - 1].hi + 1)) {
			if (r[i].hi > r[k - 1].hi)
				r[k - 1].hi = r[i].hi;
		} else {
			r[k++] = r[i];
		}
	}
	*ret_n = k;
	return r;
}

/* Both are ascending and disjoint. */
static bool overlap(const struct table *t)
{
	for (uint32_t i = 0, k = 0; i < t->n_other && k < t->n_here;) {
		if (t->other[i].hi < t->here[k].lo)
			i++;
		else if (t->here[k].hi < t->other[i].lo)
			k++;
		else
			return true;
	}
	return false;
}

static int on_other_table(const struct nlmsghdr *nlh, void *data)
{
	const struct rtmsg *m = mnl_nlmsg_get_payload(nlh);
	bool *found = data;

	if (nlh->nlmsg_type == RTM_NEWROUTE && mnl_nlmsg_get_payload_len(nlh) >= sizeof(*m) && delivers(m) &&
	    !(m->rtm_flags & RTM_F_CLONED) && table_of(nlh, m) != RT_TABLE_LOCAL)
		*found = true;
	return MNL_CB_OK;
}

/* Does a table other than the local one deliver anything here? The kernel picks the routes by type. */
static int elsewhere(struct ld_nl *nl, int family, bool *ret)
{
	int err = 0;

	*ret = false;
	for (size_t i = 0; i < sizeof(delivering) && !err; i++) {
		char buf[256] __attribute__((aligned(8)));
		struct nlmsghdr *nlh = mnl_nlmsg_put_header(buf);
		struct rtmsg *m;

		nlh->nlmsg_type = RTM_GETROUTE;
		nlh->nlmsg_flags = NLM_F_DUMP;
		m = mnl_nlmsg_put_extra_header(nlh, sizeof(*m));
		m->rtm_family = family;
		m->rtm_type = delivering[i];
		err = ld_nl_ask(nl, nlh, on_other_table, ret);
	}
	return err;
}

int ld_local_ranges(struct arena *a, struct ld_nl *nl, int family, struct imr_range **ret, uint32_t *ret_n,
		    bool *ret_plain)
{
	char buf[256] __attribute__((aligned(8)));
	struct nlmsghdr *nlh = mnl_nlmsg_put_header(buf);
	struct table t = {
		.arena = a, .family = family, .bits = family == AF_INET ? 32 : 128, .plain = true,
	};
	struct rtmsg *m;
	bool others;
	int err;

	nlh->nlmsg_type = RTM_GETROUTE;
	nlh->nlmsg_flags = NLM_F_DUMP;
	m = mnl_nlmsg_put_extra_header(nlh, sizeof(*m));
	m->rtm_family = family;
	mnl_attr_put_u32(nlh, RTA_TABLE, RT_TABLE_LOCAL);
	err = ld_nl_ask(nl, nlh, on_route, &t);
	if (err && err != -ENOENT)	/* no such table yet */
		return err;
	err = elsewhere(nl, family, &others);
	if (err)
		return err;
	*ret = ld_ranges_join(a, t.here, t.n_here, ret_n);
	t.n_here = *ret_n;
	t.other = ld_ranges_join(a, t.other, t.n_other, &t.n_other);
	*ret_plain = t.plain && !others && !overlap(&t);
	return 0;
}

struct first_rule {
	bool any, plain;
	uint32_t pref;
};

/* Attributes of a rule that selects nothing. FRA_PROTOCOL says who made it. */
static bool selects(const struct nlattr *a)
{
	switch (mnl_attr_get_type(a)) {
	case FRA_TABLE:
	case FRA_PRIORITY:
	case FRA_PROTOCOL:
	case FRA_PAD:
		return false;
	case FRA_SUPPRESS_PREFIXLEN:
	case FRA_SUPPRESS_IFGROUP:
		return ld_nl_u32(a) != UINT32_MAX;
	default:
		return true;
	}
}

static int on_rule(const struct nlmsghdr *nlh, void *data)
{
	const struct fib_rule_hdr *m = mnl_nlmsg_get_payload(nlh);
	struct first_rule *f = data;
	uint32_t pref = 0, table;
	bool plain = true;
	const struct nlattr *a;

	if (nlh->nlmsg_type != RTM_NEWRULE || mnl_nlmsg_get_payload_len(nlh) < sizeof(*m))
		return MNL_CB_OK;
	table = m->table;
	mnl_attr_for_each(a, nlh, sizeof(*m)) {
		if (mnl_attr_get_type(a) == FRA_TABLE)
			table = ld_nl_u32(a);
		if (mnl_attr_get_type(a) == FRA_PRIORITY)
			pref = ld_nl_u32(a);
		plain = plain && !selects(a);
	}
	plain = plain && m->action == FR_ACT_TO_TBL && table == RT_TABLE_LOCAL && !m->src_len && !m->dst_len &&
		!m->tos && !(m->flags & FIB_RULE_INVERT);
	/* Rules are dumped in the order in which they are asked. */
	if (!f->any || pref < f->pref)
		*f = (struct first_rule){ .any = true, .plain = plain, .pref = pref };
	return MNL_CB_OK;
}

int ld_rules_plain(struct ld_nl *nl, int family, bool *ret_plain)
{
	char buf[256] __attribute__((aligned(8)));
	struct nlmsghdr *nlh = mnl_nlmsg_put_header(buf);
	struct first_rule f = { 0 };
	struct fib_rule_hdr *m;
	int err;

	nlh->nlmsg_type = RTM_GETRULE;
	nlh->nlmsg_flags = NLM_F_DUMP;
	m = mnl_nlmsg_put_extra_header(nlh, sizeof(*m));
	m->family = family;
	err = ld_nl_ask(nl, nlh, on_rule, &f);
	/* No policy routing at all: the local table is asked first. */
	*ret_plain = err == -EAFNOSUPPORT || err == -EOPNOTSUPP || (f.any && f.plain);
	return err == -EAFNOSUPPORT || err == -EOPNOTSUPP ? 0 : err;
}
