/* SPDX-License-Identifier: GPL-2.0-only */
/* Netlink by libmnl: a request, and its answers to a callback. Attributes are copied with their length checked. */
#include <errno.h>
#include <string.h>
#include <time.h>

#include "priv.h"

/* Strict checking makes the kernel filter dumps, so that a table of a million routes is not sent for the local one. */
int ld_nl_open(struct ld_nl *nl, int bus)
{
	/* The kernel asks both who opened the socket and who sends. */
	uint64_t was _cleanup_rights_ = ld_rights_raise(LD_RIGHT(CAP_NET_ADMIN));
	int on = 1;

	*nl = (struct ld_nl){ .sock = mnl_socket_open2(bus, SOCK_CLOEXEC), .seq = (uint32_t)time(NULL) };
	if (!nl->sock)
		return -errno;
	if (mnl_socket_bind(nl->sock, 0, MNL_SOCKET_AUTOPID) < 0) {
		int err = -errno;

		ld_nl_close(nl);
		return err;
	}
	mnl_socket_setsockopt(nl->sock, NETLINK_GET_STRICT_CHK, &on, sizeof(on));
	return 0;
}

void ld_nl_close(struct ld_nl *nl)
{
	if (nl->sock)
		mnl_socket_close(nl->sock);
	nl->sock = NULL;
}

int ld_nl_ask(struct ld_nl *nl, struct nlmsghdr *nlh, mnl_cb_t cb, void *data)
{
	uint64_t was _cleanup_rights_ = ld_rights_raise(LD_RIGHT(CAP_NET_ADMIN));
	char buf[65536] __attribute__((aligned(8)));
	unsigned int port = mnl_socket_get_portid(nl->sock);
	bool more = nlh->nlmsg_flags & (NLM_F_DUMP | NLM_F_ACK);
	ssize_t n;
	int r;

	nlh->nlmsg_flags |= NLM_F_REQUEST;
	nlh->nlmsg_seq = ++nl->seq;
	if (mnl_socket_sendto(nl->sock, nlh, nlh->nlmsg_len) < 0)
		return -errno;
	do {
		n = mnl_socket_recvfrom(nl->sock, buf, sizeof(buf));
		if (n < 0)
			return -errno;
		r = mnl_cb_run(buf, n, nl->seq, port, cb, data);
		if (r < 0)
			return -errno;
	} while (r > MNL_CB_STOP && more);
	return 0;
}

void ld_nl_copy(void *to, size_t size, const struct nlattr *attr)
{
	memset(to, 0, size);
	if (mnl_attr_get_payload_len(attr) >= size)
		memcpy(to, mnl_attr_get_payload(attr), size);
}

uint32_t ld_nl_u32(const struct nlattr *attr)
{
	uint32_t v;

	ld_nl_copy(&v, sizeof(v), attr);
	return v;
}
