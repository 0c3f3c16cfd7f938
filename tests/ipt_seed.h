/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A legacy filter table made by hand, without a kernel: what the tests bend and the fuzzer starts from.
 *
 *     -A INPUT -s 10.0.0.0/8 -p tcp -m tcp --dport 22 -j u      -A u -m comment -j DROP
 *     -A INPUT -j (nothing)                                     (and policies: INPUT DROP, others ACCEPT)
 */
#ifndef FWJIT_IPT_SEED_H
#define FWJIT_IPT_SEED_H

#include <arpa/inet.h>
#include <stddef.h>
#include <string.h>

#include <linux/netfilter/x_tables.h>
#include <linux/netfilter/xt_comment.h>
#include <linux/netfilter/xt_tcpudp.h>
#include <linux/netfilter_ipv4/ip_tables.h>

#define SEED_HEAD	(sizeof(struct ipt_getinfo) + offsetof(struct ipt_get_entries, entrytable))
#define SEED_MAX	4096
#define SEED_STANDARD	(sizeof(struct ipt_entry) + sizeof(struct xt_standard_target))	/* an entry with a verdict */

struct seed {
	uint8_t data[SEED_MAX];
	size_t len;			/* SEED_HEAD + entries */
	uint32_t n_entry;
	uint32_t entry[16];		/* offsets in the blob, by number */
};

static inline uint32_t seed_at(const struct seed *s)
{
	return (uint32_t)(s->len - SEED_HEAD);
}

/* An entry with at most one match; the target is `data` under `target` ("" for a verdict). */
static inline void seed_entry(struct seed *s, const struct ipt_ip *ip, const char *match, const void *info, size_t size,
			      const char *target, const void *data, size_t target_size)
{
	struct ipt_entry e = { .target_offset = sizeof(e) };
	struct xt_entry_match m = { .u.user.match_size = (uint16_t)(sizeof(m) + XT_ALIGN(size)) };
	struct xt_entry_target t = { .u.user.target_size = (uint16_t)(sizeof(t) + XT_ALIGN(target_size)) };
	uint8_t *p = s->data + s->len;

	if (ip)
		e.ip = *ip;
	if (match) {
		strcpy(m.u.user.name, match);
		memcpy(p + sizeof(e), &m, sizeof(m));
		memcpy(p + sizeof(e) + sizeof(m), info, size);
		e.target_offset += m.u.user.match_size;
	}
	strcpy(t.u.user.name, target);
	memcpy(p + e.target_offset, &t, sizeof(t));
	memcpy(p + e.target_offset + sizeof(t), data, target_size);
	e.next_offset = e.target_offset + t.u.user.target_size;
	memcpy(p, &e, sizeof(e));
	s->entry[s->n_entry++] = (uint32_t)(s->len - SEED_HEAD);
	s->len += e.next_offset;
}

static inline void seed_verdict(struct seed *s, int v)
{
	seed_entry(s, NULL, NULL, NULL, 0, XT_STANDARD_TARGET, &v, sizeof(v));
}

static inline void seed_error(struct seed *s, const char *name)
{
	char data[XT_FUNCTION_MAXNAMELEN] = "";

	strcpy(data, name);
	seed_entry(s, NULL, NULL, NULL, 0, XT_ERROR_TARGET, data, sizeof(data));
}

static inline void seed_header(struct seed *s, const struct ipt_getinfo *info)
{
	struct ipt_get_entries get = { .size = info->size };

	memcpy(get.name, info->name, sizeof(get.name));
	memcpy(s->data, info, sizeof(*info));
	memcpy(s->data + sizeof(*info), &get, offsetof(struct ipt_get_entries, entrytable));
}

enum { SEED_RULE1, SEED_RULE2, SEED_IN_POLICY, SEED_FW_POLICY, SEED_OUT_POLICY, SEED_U, SEED_U_RULE, SEED_U_RETURN };

static inline void seed_make(struct seed *s)
{
	struct ipt_ip ip = { .src.s_addr = htonl(10u << 24), .smsk.s_addr = htonl(255u << 24), .proto = 6 };
	struct xt_tcp tcp = { .spts = { 0, 0xffff }, .dpts = { 22, 22 } };
	struct xt_comment_info comment = { "drop it" };
	struct ipt_getinfo info = { .name = "filter", .valid_hooks = 0x0e };
	int v = -NF_DROP - 1, jump = 0;

	memset(s, 0, sizeof(*s));
	s->len = SEED_HEAD;
	seed_entry(s, &ip, "tcp", &tcp, sizeof(tcp), XT_STANDARD_TARGET, &jump, sizeof(jump));
	seed_verdict(s, (int)seed_at(s) + (int)SEED_STANDARD);
	seed_verdict(s, -NF_DROP - 1);
	seed_verdict(s, -NF_ACCEPT - 1);
	seed_verdict(s, -NF_ACCEPT - 1);
	seed_error(s, "u");
	seed_entry(s, NULL, "comment", &comment, sizeof(comment), XT_STANDARD_TARGET, &v, sizeof(v));
	seed_verdict(s, XT_RETURN);
	seed_error(s, "ERROR");
	jump = (int)s->entry[SEED_U_RULE];
	memcpy(s->data + SEED_HEAD + s->entry[SEED_RULE2] - XT_ALIGN(sizeof(jump)), &jump, sizeof(jump));
	info.hook_entry[NF_INET_LOCAL_IN] = s->entry[SEED_RULE1];
	info.hook_entry[NF_INET_FORWARD] = info.underflow[NF_INET_FORWARD] = s->entry[SEED_FW_POLICY];
	info.hook_entry[NF_INET_LOCAL_OUT] = info.underflow[NF_INET_LOCAL_OUT] = s->entry[SEED_OUT_POLICY];
	info.underflow[NF_INET_LOCAL_IN] = s->entry[SEED_IN_POLICY];
	info.num_entries = s->n_entry;
	info.size = seed_at(s);
	seed_header(s, &info);
}

#endif
