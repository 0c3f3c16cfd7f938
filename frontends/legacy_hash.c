/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Legacy tables tell nobody when they change. What a resident process compares is a hash of their blobs with the counters,
 * which change by themselves, left out.
 */
#include <linux/netfilter_ipv4/ip_tables.h>
#include <linux/netfilter_ipv6/ip6_tables.h>

#include "reader.h"

static uint64_t mix(uint64_t h, const uint8_t *p, size_t n)
{
	while (n--)
		h = (h ^ *p++) * 1099511628211ull;
	return h;
}

/* Offsets of an entry's members, and the headers before the entries, by family. */
static const struct layout { size_t head, counters, next, size; } layouts[2] = {
	{ sizeof(struct ipt_getinfo) + sizeof(struct ipt_get_entries), offsetof(struct ipt_entry, counters),
	  offsetof(struct ipt_entry, next_offset), sizeof(struct ipt_entry) },
	{ sizeof(struct ip6t_getinfo) + sizeof(struct ip6t_get_entries), offsetof(struct ip6t_entry, counters),
	  offsetof(struct ip6t_entry, next_offset), sizeof(struct ip6t_entry) },
};

static uint64_t hash_table(uint64_t h, const struct fe_rec *rec)
{
	const struct layout *l = &layouts[rec->family == 10];
	size_t off = l->head, next;

	while (off + l->size <= rec->len) {
		const uint8_t *e = rec->data + off;

		next = *(const uint16_t *)(e + l->next);
		if (next < l->size || next > rec->len - off)
			break;
		h = mix(h, e, l->counters);
		h = mix(h, e + l->counters + sizeof(struct xt_counters), next - l->counters - sizeof(struct xt_counters));
		off += next;
	}
	return h;
}

uint64_t fe_legacy_hash(struct arena *a, struct diags *ds)
{
	static const uint8_t families[] = { 2, 10 };
	uint64_t h = 14695981039346656037ull;

	for (size_t f = 0; f < 2; f++) {
		const char **table = NULL;
		uint32_t n = 0;

		if (fe_ipt_tables(a, families[f], &table, &n))
			continue;
		for (uint32_t i = 0; i < n; i++) {
			struct fe_rec rec;

			if (!fe_ipt_get(a, ds, families[f], table[i], &rec))
				h = hash_table(mix(h, &families[f], 1), &rec);
		}
	}
	return h;
}
