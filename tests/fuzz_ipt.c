/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Hostile bytes into the legacy blob's reader: whatever they are, it ends, stays inside them, and what it accepts
 * passes the IMR's own verifier. An entry point for libFuzzer, and a main that mutates a seed, the same way each time.
 */
#include <stdio.h>
#include <stdlib.h>

#include <netinet/in.h>
#include <linux/netfilter.h>

#include "frontend.h"
#include "ipt_seed.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* The first byte says the family. The record lies in a block of its own size. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct arena *a = arena_new();
	struct diags ds = { .arena = a };
	struct imr_profile p = { 0 };
	struct imr *imr = imr_new(a, &ds, &p);
	struct fe_rec rec = { .kind = FE_IPT, .len = size ? size - 1 : 0 };
	uint8_t *copy = malloc(rec.len ? rec.len : 1);
	const char *broken;

	if (size) {
		rec.family = data[0] & 1 ? FAM_IP6 : FAM_IP;
		memcpy(copy, data + 1, rec.len);
	}
	rec.data = copy;
	if (fe_ipt_read(imr, &rec, NULL) && imr_sort(imr)) {
		imr_number(imr);
		broken = imr_check(imr, "ipt");
		if (broken) {
			fprintf(stderr, "%s\n", broken);
			abort();
		}
	}
	free(copy);
	arena_free(a);
	return 0;
}

#ifndef FUZZ_NO_MAIN
static uint64_t next(uint64_t *s)
{
	*s ^= *s << 13;
	*s ^= *s >> 7;
	*s ^= *s << 17;
	return *s;
}

/* Bytes, 16-bit and 32-bit words become values that lie at bounds; some are moved by a little. */
static void mutate(uint8_t *data, size_t len, uint64_t *s)
{
	static const int32_t edge[] = { 0, 1, -1, -2, -5, 7, 8, 32, 40, 64, 112, 152, 0x7fffffff, 0xffff, 0xfff8, 0x8000 };
	unsigned int n = 1 + next(s) % 4;

	while (n-- > 0) {
		uint32_t v = (uint32_t)edge[next(s) % (sizeof(edge) / sizeof(edge[0]))];
		size_t width = (size_t)1 << next(s) % 3, at = next(s) % (len - width);

		if (next(s) % 3 == 0) {
			memcpy(&v, data + at, width);
			v += (uint32_t)(next(s) % 17) * 8 - 64;
		}
		memcpy(data + at, &v, width);
	}
}

int main(int argc, char **argv)
{
	unsigned long n = argc > 1 ? strtoul(argv[1], NULL, 0) : 20000;
	uint64_t s = 88172645463325252u;
	uint8_t buf[SEED_MAX + 1];
	struct seed seed;

	seed_make(&seed);
	for (unsigned long i = 0; i < n; i++) {
		size_t len = seed.len;

		buf[0] = i % 16 == 15;
		memcpy(buf + 1, seed.data, seed.len);
		if (i)
			mutate(buf + 1, len, &s);
		if (next(&s) % 8 == 0)
			len = next(&s) % len;
		LLVMFuzzerTestOneInput(buf, len + 1);
	}
	printf("Checked: %lu passed, 0 failed\n", n);
	return 0;
}
#endif
