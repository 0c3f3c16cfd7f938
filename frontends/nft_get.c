/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * All nftables objects of the network namespace the caller is in, as the kernel's own netlink messages. They are of one
 * generation: it is asked for before and after, every message carries it, and a dump that a change interrupted is taken
 * again.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <libmnl/libmnl.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "reader.h"

#define TRIES 32
#define DUMP_MAX ((size_t)1 << 30)
#define RECV_SIZE (1 << 17)

struct dump {
	struct arena *arena;
	struct mnl_socket *nl;
	unsigned int seq;
	uint8_t *data, *buf;
	size_t len, cap;
	uint32_t generation;
};

static int append(struct dump *d, const struct nlmsghdr *h)
{
	size_t n = NLMSG_ALIGN((size_t)h->nlmsg_len);

	if (d->len + n > DUMP_MAX)
		return -EFBIG;
	if (d->len + n > d->cap) {
		size_t cap = d->cap ? d->cap * 2 : 1 << 16;

		while (cap < d->len + n)
			cap *= 2;
		d->data = arena_grow(d->arena, d->data, d->len, cap);
		d->cap = cap;
	}
	memcpy(d->data + d->len, h, h->nlmsg_len);
	memset(d->data + d->len + h->nlmsg_len, 0, n - h->nlmsg_len);
	d->len += n;
	return 0;
}

static int message_error(const struct nlmsghdr *h)
{
	const struct nlmsgerr *e = mnl_nlmsg_get_payload(h);

	return h->nlmsg_len < mnl_nlmsg_size(sizeof(*e)) ? -EBADMSG : e->error;
}

/* One datagram. 1: there is more; 0: the end; -EAGAIN: another generation. */
static int take(struct dump *d, int n)
{
	const struct nlmsghdr *h = (const struct nlmsghdr *)d->buf;
	const struct nfgenmsg *g;
	int r;

	for (; mnl_nlmsg_ok(h, n); h = mnl_nlmsg_next(h, &n)) {
		if (h->nlmsg_seq != d->seq)
			continue;
		if (h->nlmsg_flags & NLM_F_DUMP_INTR)
			return -EAGAIN;
		if (h->nlmsg_type == NLMSG_ERROR)
			return message_error(h);
		if (h->nlmsg_type == NLMSG_DONE)
			return 0;
		if (h->nlmsg_type < NLMSG_MIN_TYPE || h->nlmsg_len < mnl_nlmsg_size(sizeof(*g)))
			continue;
		g = mnl_nlmsg_get_payload(h);
		if (d->generation && ntohs(g->res_id) != (uint16_t)d->generation)
			return -EAGAIN;
		r = append(d, h);
		if (r < 0)
			return r;
		if (!(h->nlmsg_flags & NLM_F_MULTI))
			return 0;
	}
	return 1;
}

static struct nlmsghdr *message(struct dump *d, char *buf, uint16_t type, uint16_t flags, uint8_t family)
{
	struct nlmsghdr *h = mnl_nlmsg_put_header(buf);
	struct nfgenmsg *g = mnl_nlmsg_put_extra_header(h, sizeof(*g));

	h->nlmsg_type = NFNL_SUBSYS_NFTABLES << 8 | type;
	h->nlmsg_flags = NLM_F_REQUEST | flags;
	h->nlmsg_seq = ++d->seq;
	g->nfgen_family = family;
	g->version = NFNETLINK_V0;
	return h;
}

static int answers(struct dump *d, const struct nlmsghdr *h)
{
	ssize_t n;
	int r;

	if (mnl_socket_sendto(d->nl, h, h->nlmsg_len) < 0)
		return -errno;
	do {
		do
			n = mnl_socket_recvfrom(d->nl, d->buf, RECV_SIZE);
		while (n < 0 && errno == EINTR);
		r = n < 0 ? -errno : take(d, n);
	} while (r > 0);
	return r;
}

static int request(struct dump *d, uint16_t type, uint16_t flags)
{
	char buf[64] __attribute__((aligned(8)));

	return answers(d, message(d, buf, type, flags, AF_UNSPEC));
}

/* A set that rules fill may have elements with expressions that neither it nor any rule of today has: they are asked
 * for. 0 where it is none, or for each other set. */
static int elements(struct dump *d, const struct nlmsghdr *set)
{
	const struct nfgenmsg *g = mnl_nlmsg_get_payload(set);
	const struct nlattr *a, *table = NULL, *name = NULL;
	char buf[1024] __attribute__((aligned(8)));
	uint32_t flags = 0;
	struct nlmsghdr *h;

	mnl_attr_for_each(a, set, sizeof(*g))
		switch (mnl_attr_get_type(a)) {
		case NFTA_SET_TABLE: table = a; break;
		case NFTA_SET_NAME: name = a; break;
		case NFTA_SET_FLAGS: flags = mnl_attr_validate(a, MNL_TYPE_U32) < 0 ? 0 : ntohl(mnl_attr_get_u32(a)); break;
		}
	if (!(flags & NFT_SET_EVAL) || !table || !name)
		return 0;
	h = message(d, buf, NFT_MSG_GETSETELEM, NLM_F_DUMP, g->nfgen_family);
	if (!mnl_attr_put_check(h, sizeof(buf), NFTA_SET_ELEM_LIST_TABLE, mnl_attr_get_payload_len(table),
				mnl_attr_get_payload(table)) ||
	    !mnl_attr_put_check(h, sizeof(buf), NFTA_SET_ELEM_LIST_SET, mnl_attr_get_payload_len(name),
				mnl_attr_get_payload(name)))
		return -EBADMSG;
	return answers(d, h);
}

/* Of the sets whose messages lie from `at` to `end`. A set that is gone: another generation. */
static int all_elements(struct dump *d, size_t at, size_t end)
{
	int r = 0;

	while (r >= 0 && at < end) {
		const struct nlmsghdr *h = (const struct nlmsghdr *)(d->data + at);

		at += NLMSG_ALIGN(h->nlmsg_len);
		r = elements(d, h);
	}
	return r == -ENOENT ? -EAGAIN : r;
}

/* The generation, from the message that was just appended at `at`. */
static int generation_of(const struct dump *d, size_t at, uint32_t *ret)
{
	const struct nlmsghdr *h = (const struct nlmsghdr *)(d->data + at);
	const struct nlattr *a;

	if (d->len - at < mnl_nlmsg_size(sizeof(struct nfgenmsg)) || h->nlmsg_len > d->len - at)
		return -EBADMSG;
	mnl_attr_for_each(a, h, sizeof(struct nfgenmsg))
		if (mnl_attr_get_type(a) == NFTA_GEN_ID && mnl_attr_validate(a, MNL_TYPE_U32) >= 0) {
			*ret = ntohl(mnl_attr_get_u32(a));
			return 0;
		}
	return -EBADMSG;
}

static int dump_once(struct dump *d)
{
	static const uint16_t types[] = { NFT_MSG_GETTABLE, NFT_MSG_GETCHAIN, NFT_MSG_GETSET, NFT_MSG_GETOBJ,
					  NFT_MSG_GETFLOWTABLE, NFT_MSG_GETRULE };
	uint32_t after;
	size_t end;
	int r;

	d->len = 0;
	d->generation = 0;
	r = request(d, NFT_MSG_GETGEN, 0);
	if (r >= 0)
		r = generation_of(d, 0, &d->generation);
	for (size_t i = 0; r >= 0 && i < sizeof(types) / sizeof(types[0]); i++) {
		end = d->len;
		r = request(d, types[i], NLM_F_DUMP);
		if (r >= 0 && types[i] == NFT_MSG_GETSET)
			r = all_elements(d, end, d->len);
	}
	end = d->len;
	if (r >= 0)
		r = request(d, NFT_MSG_GETGEN, 0);
	if (r >= 0)
		r = generation_of(d, end, &after);
	d->len = end;
	return r < 0 ? r : after == d->generation ? 0 : -EAGAIN;
}

static int dump_retry(struct dump *d)
{
	int r = -EAGAIN;

	for (int i = 0; i < TRIES && (r == -EAGAIN || r == -EINTR || r == -ENOBUFS); i++) {
		struct timespec pause = { .tv_nsec = 1000000L << (i < 6 ? i : 6) };

		if (i)
			nanosleep(&pause, NULL);
		mnl_socket_close(d->nl);
		d->nl = mnl_socket_open(NETLINK_NETFILTER);
		if (!d->nl)
			return -errno;
		r = mnl_socket_bind(d->nl, 0, MNL_SOCKET_AUTOPID) < 0 ? -errno : dump_once(d);
	}
	return r;
}

/* A kernel without nftables has no rules of it. */
static bool no_nftables(int r, const struct dump *d)
{
	return r == -EPROTONOSUPPORT || (r == -EINVAL && !d->generation);
}

int fe_nft_get(struct arena *a, struct diags *ds, struct fe_rec *ret, uint32_t *ret_generation)
{
	struct dump d = { .arena = a, .buf = arena_alloc(a, RECV_SIZE) };
	int r;

	d.nl = mnl_socket_open(NETLINK_NETFILTER);
	r = d.nl ? dump_retry(&d) : -errno;
	if (d.nl)
		mnl_socket_close(d.nl);
	if (r < 0 && no_nftables(r, &d)) {
		d.len = 0;
		r = 0;
	}
	if (r < 0)
		diag_add(ds, DIAG_ERROR, NULL, "reading nftables over netlink: %s%s", strerror(-r),
			 r == -EAGAIN ? ": the rules changed all the while" : "");
	*ret = (struct fe_rec){ .kind = FE_NFT, .data = d.data, .len = r < 0 ? 0 : d.len };
	*ret_generation = d.generation;
	return r;
}
