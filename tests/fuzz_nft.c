/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Hostile bytes for the nftables frontend: whatever comes in, it answers with a program that passes the verifier or with
 * an error, and never reads past its input. LLVMFuzzerTestOneInput for libFuzzer; alone, a driver that mutates a seed (a
 * capture's nft record, or one made here) deterministically: fuzz_nft [ITERATIONS [SEED [CAPTURE…]]].
 */
#include <endian.h>
#include <stdio.h>
#include <stdlib.h>

#include "frontend.h"
#include "nft_bytes.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct arena *a = arena_new();
	struct diags ds = { .arena = a };
	struct imr_profile p = { .th_fast_frag = size & 1 };
	struct fe_rec rec = { .kind = FE_NFT, .len = size };
	struct fe_capture c = { .n = 1, .rec = &rec };
	uint8_t *copy = arena_alloc(a, size);	/* so that a read past the end is seen */
	struct imr *imr;

	if (size)
		memcpy(copy, data, size);
	rec.data = copy;
	imr = fe_read(a, &ds, &p, &c);
	if (!imr != diags_have(&ds, DIAG_ERROR))
		abort();
	if (imr && imr_check(imr, "nft"))
		abort();
	for (uint32_t i = 0; i < ds.n; i++)	/* the verifier's word means our bug, not theirs */
		if (strstr(ds.d[i].message, "frontend"))
			abort();
	arena_free(a);
	return 0;
}

#ifndef FUZZ_LIBFUZZER

static uint64_t rnd_state;

static uint32_t rnd(uint32_t below)
{
	rnd_state = rnd_state * 6364136223846793005u + 1442695040888963407u;
	return (uint32_t)(rnd_state >> 33) % (below ? below : 1);
}

static void seed_make(struct bytes *b)
{
	table_put(b, NFPROTO_IPV4, "t", 0);
	chain_put(b, NFPROTO_IPV4, "t", "c", NF_INET_LOCAL_IN, 0);
	chain_put(b, NFPROTO_IPV4, "t", "u", -1, 0);
	rule_begin(b, NFPROTO_IPV4, "t", "c", 7);
	payload_put(b, NFT_PAYLOAD_NETWORK_HEADER, 12, 8, NFT_REG_1);
	bitwise_put(b, NFT_REG_1, "\xff\xff\0\0\xff\x0f\0\0", "\0\0\0\0\0\1\0\0", 8, 0);
	cmp_put(b, NFT_CMP_EQ, NFT_REG_1, "\x0a\x01\0\0\x0a\x01\0\0", 8);
	meta_put(b, NFT_META_MARK, NFT_REG_2);
	byteorder_put(b, NFT_REG_2, 4, 4);
	range_put(b, NFT_RANGE_NEQ, NFT_REG_2, "\1\2\3\4", "\3\4\5\6", 4);
	immediate_put(b, NFT_REG32_03, "\1\2\3", 3);
	cmp_put(b, NFT_CMP_LT, NFT_REG32_02, "\1\2\3\4", 4);
	named_put(b, "counter");
	verdict_put(b, NFT_JUMP, "u");
	rule_end(b);
	rule_begin(b, NFPROTO_IPV4, "t", "u", 8);
	meta_put(b, NFT_META_IIFNAME, NFT_REG_1);
	cmp_put(b, NFT_CMP_NEQ, NFT_REG_1, "eth", 3);
	named_put(b, "limit");
	verdict_put(b, NF_DROP, NULL);
	rule_end(b);
}

static const uint32_t nasty[] = { 0, 1, 2, 3, 4, 5, 7, 8, 15, 16, 17, 20, 23, 24, 63, 64, 65, 127, 128, 255, 256, 0x7fff,
				  0x8000, 0xffff, 0x7fffffff, 0x80000000, 0xfffffffe, 0xffffffff };

static size_t mutate_once(uint8_t *d, size_t n, size_t cap)
{
	uint32_t v = nasty[rnd(sizeof(nasty) / sizeof(nasty[0]))], be = htonl(v);
	size_t at = rnd(n), len;

	switch (rnd(8)) {
	case 0: d[at] ^= 1u << rnd(8); return n;
	case 1: d[at] = v; return n;
	case 2: if (at + 2 <= n) memcpy(d + (at & ~1u), &v, 2); return n;
	case 3: if (at + 8 <= n) memcpy(d + (at & ~3u), &be, 4); return n;
	case 4: if (at + 8 <= n) memcpy(d + (at & ~3u), &v, 4); return n;
	case 5: return at + 1;
	case 6:		/* take some bytes out */
		len = 4 * (1 + rnd(16));
		at &= ~(size_t)3;
		if (at + len >= n)
			return n;
		memmove(d + at, d + at + len, n - at - len);
		return n - len;
	default:	/* twice the same bytes */
		len = 4 * (1 + rnd(16));
		at &= ~(size_t)3;
		if (at + len > n || n + len > cap)
			return n;
		memmove(d + at + len, d + at, n - at);
		return n + len;
	}
}

static void run(const uint8_t *seed, size_t n, unsigned long iterations)
{
	size_t cap = n + 4096;
	uint8_t *d = malloc(cap);

	if (!d)
		abort();
	LLVMFuzzerTestOneInput(seed, n);
	for (unsigned long i = 0; i < iterations; i++) {
		size_t len = n;

		memcpy(d, seed, n);
		for (uint32_t k = 1 + rnd(4); k > 0 && len; k--)
			len = mutate_once(d, len, cap);
		LLVMFuzzerTestOneInput(d, len);
	}
	free(d);
}

/* The nft record of a capture file. */
static void run_file(const char *path, unsigned long iterations)
{
	struct arena *a = arena_new();
	struct diags ds = { .arena = a };
	struct fe_capture c = { .n = 0 };
	size_t cap = 16 << 20;
	char *data = arena_alloc(a, cap);
	FILE *f = fopen(path, "re");

	if (!f || !fe_capture_decode(a, &ds, data, fread(data, 1, cap, f), &c))
		fprintf(stderr, "%s: no capture\n", path);
	for (uint32_t i = 0; i < c.n; i++)
		if (c.rec[i].kind == FE_NFT && c.rec[i].len)
			run(c.rec[i].data, c.rec[i].len, iterations);
	if (f)
		fclose(f);
	arena_free(a);
}

int main(int argc, char **argv)
{
	unsigned long iterations = argc > 1 ? strtoul(argv[1], NULL, 0) : 20000;
	static struct bytes seed;

	rnd_state = argc > 2 ? strtoull(argv[2], NULL, 0) : 1;
	seed_make(&seed);
	run((const uint8_t *)seed.data, seed.len, iterations);
	for (int i = 3; i < argc; i++)
		run_file(argv[i], iterations);
	return 0;
}

#endif
