/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Whether rules have the kernel track connections: who asks for it is not always who understands it, so this is known by
 * name for expressions, matches and targets alike. Lists hold what asks for nothing (no nf_ct_netns_get in its init);
 * whatever is not in one of them is taken to track.
 */
#include <linux/netfilter/nf_tables.h>
#include <stddef.h>
#include <string.h>

#include "conntrack.h"

#define XT_CT_HELPER	12	/* offset of the name in struct xt_ct_target_info, all revisions */

static bool in_list(const char *const *list, const char *name)
{
	for (; *list; list++)
		if (!strcmp(*list, name))
			return true;
	return false;
}

void fe_tracks(struct imr *imr, enum imr_conntrack how)
{
	if (imr->conntrack < how)
		imr->conntrack = how;
}

static enum imr_conntrack object_tracks(uint32_t type)
{
	switch (type) {
	case NFT_OBJECT_COUNTER:
	case NFT_OBJECT_QUOTA:
	case NFT_OBJECT_LIMIT:
	case NFT_OBJECT_TUNNEL:
	case NFT_OBJECT_SECMARK:
		return CONNTRACK_OFF;
	case NFT_OBJECT_CONNLIMIT:
	case NFT_OBJECT_SYNPROXY:
	case NFT_OBJECT_CT_TIMEOUT:
		return CONNTRACK_ON;
	default:		/* NFT_OBJECT_CT_HELPER, NFT_OBJECT_CT_EXPECT, what is not known */
		return CONNTRACK_EXPECTS;
	}
}

void fe_tracks_nft(struct imr *imr, const char *name, uint32_t object)
{
	static const char *const not[] = {
		"bitwise", "byteorder", "cmp", "counter", "dup", "exthdr", "fib", "fwd", "hash", "immediate", "inner", "last",
		"limit", "log", "lookup", "match", "meta", "notrack", "numgen", "osf", "payload", "queue", "quota", "range",
		"reject", "rt", "socket", "target", "tproxy", "tunnel", "xfrm", NULL
	};
	static const char *const only[] = {	/* no expectations come of these */
		"connlimit", "ct", "dynset", "flow_offload", "masq", "nat", "redir", "synproxy", NULL
	};

	if (!strcmp(name, "objref"))
		fe_tracks(imr, object_tracks(object));
	else if (!in_list(not, name))
		fe_tracks(imr, in_list(only, name) ? CONNTRACK_ON : CONNTRACK_EXPECTS);
}

void fe_tracks_match(struct imr *imr, const char *name)
{
	static const char *const not[] = {
		"addrtype", "ah", "bpf", "cgroup", "comment", "cpu", "dccp", "devgroup", "dscp", "dst", "ecn", "esp", "eui64",
		"frag", "hashlimit", "hbh", "hl", "icmp", "icmp6", "iprange", "ipv6header", "length", "limit", "mac", "mark",
		"mh", "multiport", "nfacct", "osf", "owner", "physdev", "pkttype", "policy", "quota", "realm", "recent",
		"rpfilter", "rt", "sctp", "set", "socket", "srh", "statistic", "string", "tcp", "tcpmss", "time", "tos", "ttl",
		"u32", "udp", "udplite", NULL
	};

	if (!in_list(not, name))
		fe_tracks(imr, CONNTRACK_ON);
}

void fe_tracks_target(struct imr *imr, const char *name, const void *data, size_t len)
{
	static const char *const not[] = {
		"", "AUDIT", "CHECKSUM", "CLASSIFY", "DSCP", "ECN", "ERROR", "HL", "HMARK", "IDLETIMER", "LED", "LOG", "MARK",
		"NFLOG", "NFQUEUE", "QUEUE", "REJECT", "SET", "TCPMSS", "TCPOPTSTRIP", "TEE", "TOS", "TPROXY", "TRACE", "TTL",
		NULL
	};
	const char *d = data;

	if (!strcmp(name, "CT") && (len <= XT_CT_HELPER || d[XT_CT_HELPER]))
		fe_tracks(imr, CONNTRACK_EXPECTS);
	else if (!in_list(not, name))
		fe_tracks(imr, CONNTRACK_ON);
}
