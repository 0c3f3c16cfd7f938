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

static int request(struct dump *d, uint16_t type, uint16_t flags)
{
	char msg[64] __attribute__((aligned(8))) = { 0 };
	struct nlmsghdr *h = mnl_nlmsg_put_header(msg);
	struct nfgenmsg *g = mnl_nlmsg_put_extra_header(h, sizeof(*g));
	ssize_t n;
	int r;

	h->nlmsg_type = NFNL_SUBSYS_NFTABLES << 8 | type;
	h->nlmsg_flags = NLM_F_REQUEST | flags;
	h->nlmsg_seq = ++d->seq;
	g->nfgen_family = AF_UNSPEC;
	g->version = NFNETLINK_V0;
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
	for (size_t i = 0; r >= 0 && i < sizeof(types) / sizeof(types[0]); i++)
		r = request(d, types[i], NLM_F_DUMP);
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
