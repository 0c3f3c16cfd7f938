/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The file form of a capture: a magic line, then for each record its kind, its family (u32 each), its length (u64), all
 * little-endian, and its bytes. Decoding is strict, so that what decodes encodes back to the same bytes.
 */
#include <string.h>

#include "frontend.h"

#define HEAD 16

static void put(uint8_t *p, uint64_t v, unsigned int n)
{
	for (unsigned int i = 0; i < n; i++)
		p[i] = v >> (8 * i);
}

static uint64_t get(const uint8_t *p, unsigned int n)
{
	uint64_t v = 0;

	while (n-- > 0)
		v = v << 8 | p[n];
	return v;
}

void fe_capture_encode(struct arena *a, const struct fe_capture *c, uint8_t **ret, size_t *ret_len)
{
	size_t magic = strlen(FE_CAPTURE_MAGIC), len = magic;
	uint8_t *p;

	for (uint32_t i = 0; i < c->n; i++)
		len += HEAD + c->rec[i].len;
	*ret = p = arena_alloc(a, len);
	*ret_len = len;
	memcpy(p, FE_CAPTURE_MAGIC, magic);
	p += magic;
	for (uint32_t i = 0; i < c->n; i++) {
		const struct fe_rec *r = &c->rec[i];

		put(p, r->kind, 4);
		put(p + 4, r->family, 4);
		put(p + 8, r->len, 8);
		if (r->len)
			memcpy(p + HEAD, r->data, r->len);
		p += HEAD + r->len;
	}
}

static bool family_fits(uint64_t kind, uint64_t family)
{
	if (kind == FE_IPT || kind == FE_IPT_TEXT)
		return family == FAM_IP || family == FAM_IP6;
	return family == 0;
}

static bool malformed(struct diags *ds, size_t at)
{
	diag_add(ds, DIAG_ERROR, NULL, "the capture is malformed at byte %zu", at);
	return false;
}

/* Records are copied, so that their data is aligned whatever the file's layout. */
static bool rec_get(struct arena *a, const uint8_t *p, size_t left, struct fe_rec *ret)
{
	uint64_t kind, family, len;
	uint8_t *copy;

	if (left < HEAD)
		return false;
	kind = get(p, 4);
	family = get(p + 4, 4);
	len = get(p + 8, 8);
	if (kind < FE_NFT || kind >= FE_MAX || !family_fits(kind, family) || len > left - HEAD)
		return false;
	copy = arena_alloc(a, len);
	memcpy(copy, p + HEAD, len);
	*ret = (struct fe_rec){ .kind = kind, .family = family, .data = copy, .len = len };
	return true;
}

bool fe_capture_decode(struct arena *a, struct diags *ds, const void *data, size_t len, struct fe_capture *ret)
{
	size_t at = strlen(FE_CAPTURE_MAGIC);
	const uint8_t *p = data;
	struct fe_rec r;

	*ret = (struct fe_capture){ .n = 0 };
	if (len < at || memcmp(p, FE_CAPTURE_MAGIC, at))
		return malformed(ds, 0);
	for (; at < len; at += HEAD + r.len) {
		if (!rec_get(a, p + at, len - at, &r))
			return malformed(ds, at);
		ret->rec = arena_grow(a, ret->rec, ret->n * sizeof(r), (ret->n + 1) * sizeof(r));
		ret->rec[ret->n++] = r;
	}
	return true;
}
