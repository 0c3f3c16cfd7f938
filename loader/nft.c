/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Transactions of nftables: messages that the kernel takes all or none, and for packets in one step. Only tables of our own
 * are written: their names begin with LD_NFT_OWN, and their comment says so too, which no other tool writes by chance.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "priv.h"

/* As nftables stores a comment: type 0, length, text. */
static const uint8_t comment[] = { 0, sizeof("fwjit"), 'f', 'w', 'j', 'i', 't', 0 };

static struct nlmsghdr *message(struct ld_nft *t, uint16_t type, uint16_t flags, uint8_t family, uint16_t res)
{
	struct nlmsghdr *nlh;
	struct nfgenmsg *g;

	if (t->cap - t->len < LD_NFT_ROOM) {
		size_t cap = t->cap + t->cap / 2 + 8 * LD_NFT_ROOM;
		uint8_t *more = realloc(t->buf, cap);

		if (!more) {
			t->err = -ENOMEM;
			t->len = 0;	/* what is written from now on goes nowhere */
		} else {
			t->buf = more;
			t->cap = cap;
		}
	}
	nlh = mnl_nlmsg_put_header(t->buf + t->len);
	g = mnl_nlmsg_put_extra_header(nlh, sizeof(*g));
	nlh->nlmsg_type = type;
	nlh->nlmsg_flags = NLM_F_REQUEST | flags;
	nlh->nlmsg_seq = ++t->nl.seq;
	g->nfgen_family = family;
	g->version = NFNETLINK_V0;
	g->res_id = htons(res);
	return nlh;
}

int ld_nft_open(struct ld_nft *t)
{
	int err;

	*t = (struct ld_nft){ .cap = 8 * LD_NFT_ROOM };
	t->buf = malloc(t->cap);
	err = t->buf ? ld_nl_open(&t->nl, NETLINK_NETFILTER) : -ENOMEM;
	if (!err)
		ld_nft_end(t, message(t, NFNL_MSG_BATCH_BEGIN, 0, AF_UNSPEC, NFNL_SUBSYS_NFTABLES));
	return err;
}

void ld_nft_close(struct ld_nft *t)
{
	ld_nl_close(&t->nl);
	free(t->buf);
	t->buf = NULL;
}

struct nlmsghdr *ld_nft_put(struct ld_nft *t, uint16_t type, uint16_t flags, uint8_t family)
{
	return message(t, NFNL_SUBSYS_NFTABLES << 8 | type, flags, family, 0);
}

void ld_nft_end(struct ld_nft *t, const struct nlmsghdr *nlh)
{
	t->len += NLMSG_ALIGN(nlh->nlmsg_len);
}

void ld_nft_table(struct ld_nft *t, uint8_t family, const char *name)
{
	struct nlmsghdr *nlh = ld_nft_put(t, NFT_MSG_NEWTABLE, NLM_F_CREATE, family);

	mnl_attr_put_strz(nlh, NFTA_TABLE_NAME, name);
	mnl_attr_put(nlh, NFTA_TABLE_USERDATA, sizeof(comment), comment);
	ld_nft_end(t, nlh);
}

void ld_nft_table_drop(struct ld_nft *t, uint8_t family, const char *name)
{
	struct nlmsghdr *nlh = ld_nft_put(t, NFT_MSG_DELTABLE, 0, family);

	mnl_attr_put_strz(nlh, NFTA_TABLE_NAME, name);
	ld_nft_end(t, nlh);
}

static int answer_of(const struct nlmsghdr *nlh)
{
	const struct nlmsgerr *e = mnl_nlmsg_get_payload(nlh);

	if (nlh->nlmsg_type != NLMSG_ERROR || nlh->nlmsg_len < mnl_nlmsg_size(sizeof(*e)))
		return 0;
	return e->error;
}

/* nfnetlink answers before the sending returns, and only what was refused: the first error is the reason. */
static int answers(struct ld_nft *t)
{
	uint8_t buf[8192] __attribute__((aligned(8)));
	int err = 0, n;

	for (;;) {
		const struct nlmsghdr *nlh = (const struct nlmsghdr *)buf;

		n = recv(mnl_socket_get_fd(t->nl.sock), buf, sizeof(buf), MSG_DONTWAIT);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return err ? err : errno == EAGAIN || errno == EWOULDBLOCK ? 0 : -errno;
		for (; mnl_nlmsg_ok(nlh, n); nlh = mnl_nlmsg_next(nlh, &n))
			err = err ? err : answer_of(nlh);
	}
}

int ld_nft_commit(struct ld_nft *t)
{
	uint64_t was _cleanup_rights_ = ld_rights_raise(LD_RIGHT(CAP_NET_ADMIN));
	int size, fd = mnl_socket_get_fd(t->nl.sock);

	ld_nft_end(t, message(t, NFNL_MSG_BATCH_END, 0, AF_UNSPEC, NFNL_SUBSYS_NFTABLES));
	if (t->err)
		return t->err;
	/* The kernel takes a transaction in one piece, up to the socket's buffer. */
	size = t->len + 4096;
	if (setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &size, sizeof(size)) < 0)
		setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof(size));
	if (mnl_socket_sendto(t->nl.sock, t->buf, t->len) < 0)
		return -errno;
	return answers(t);
}

int ld_nft_each(struct ld_nl *nl, uint16_t type, uint8_t family, const char *table, const char *chain, mnl_cb_t cb, void *data)
{
	char buf[1024] __attribute__((aligned(8)));
	int err = -EINTR;

	for (int i = 0; i < 32 && err == -EINTR; i++) {
		struct nlmsghdr *nlh = mnl_nlmsg_put_header(buf);
		struct nfgenmsg *g = mnl_nlmsg_put_extra_header(nlh, sizeof(*g));

		nlh->nlmsg_type = NFNL_SUBSYS_NFTABLES << 8 | type;
		nlh->nlmsg_flags = NLM_F_DUMP;
		*g = (struct nfgenmsg){ .nfgen_family = family, .version = NFNETLINK_V0 };
		if (table && type == NFT_MSG_GETRULE)
			mnl_attr_put_strz(nlh, NFTA_RULE_TABLE, table);
		if (chain && type == NFT_MSG_GETRULE)
			mnl_attr_put_strz(nlh, NFTA_RULE_CHAIN, chain);
		err = ld_nl_ask(nl, nlh, cb, data);
	}
	return err;
}

const char *ld_nft_str(const struct nlattr *a, char *to, size_t size)
{
	size_t n = mnl_attr_get_payload_len(a);

	snprintf(to, size, "%.*s", (int)n, (const char *)mnl_attr_get_payload(a));
	return to;
}
