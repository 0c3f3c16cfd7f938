/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Netlink attributes as spans: nothing is read past the bytes that are there, and nothing that is there goes unnoticed.
 * Host byte order and alignment of the headers are those of the machine that made the dump; bytes are copied out, so
 * that the record may lie anywhere.
 */
#include <linux/netlink.h>
#include <string.h>

#include "nft.h"

bool nft_attr_next(struct nft_span *s, unsigned int *ret_type, struct nft_span *ret)
{
	struct nlattr h;
	size_t step;

	*ret_type = 0;
	if (!s->n)
		return true;
	if (s->n < sizeof(h))
		return false;
	memcpy(&h, s->p, sizeof(h));
	if (h.nla_len < sizeof(h) || h.nla_len > s->n || !(h.nla_type & NLA_TYPE_MASK))
		return false;
	*ret = (struct nft_span){ s->p + sizeof(h), h.nla_len - sizeof(h) };
	*ret_type = h.nla_type & NLA_TYPE_MASK;
	step = NLA_ALIGN(h.nla_len);
	if (step > s->n)	/* the last one may lack its padding */
		step = s->n;
	s->p += step;
	s->n -= step;
	return true;
}

bool nft_attrs_get(struct nft_span s, unsigned int known, struct nft_attrs *ret)
{
	struct nft_span v;
	unsigned int type;

	memset(ret, 0, sizeof(*ret));
	for (;;) {
		if (!nft_attr_next(&s, &type, &v))
			return false;
		if (!type)
			return true;
		if (type > known || type >= NFT_ATTR_MAX || ret->tb[type].p)
			ret->odd = true;
		else
			ret->tb[type] = v;
	}
}

bool nft_be32(struct nft_span s, uint32_t *ret)
{
	if (!s.p || s.n != 4)
		return false;
	*ret = (uint32_t)s.p[0] << 24 | (uint32_t)s.p[1] << 16 | (uint32_t)s.p[2] << 8 | s.p[3];
	return true;
}

bool nft_be64(struct nft_span s, uint64_t *ret)
{
	if (!s.p || s.n != 8)
		return false;
	*ret = 0;
	for (int i = 0; i < 8; i++)
		*ret = *ret << 8 | s.p[i];
	return true;
}

char *nft_string(struct arena *a, struct nft_span s, size_t max)
{
	size_t n = s.p ? strnlen((const char *)s.p, s.n) : 0;

	if (!s.p || !n || n > max || n + 1 < s.n)
		return NULL;
	return arena_strndup(a, (const char *)s.p, n);
}
