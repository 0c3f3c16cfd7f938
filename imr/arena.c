/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Memory of one compilation: taken piece by piece, given back at once, so that the compile half has no frees to get
 * wrong. Blocks are zeroed and aligned for u128. Under AddressSanitizer the unused rest of every chunk, and a gap
 * behind every block, is poisoned, so that an overrun is seen although the blocks are neighbours.
 */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "imr.h"

#ifdef __has_feature
#if __has_feature(address_sanitizer)
#define ARENA_ASAN 1
#endif
#endif
#if defined(__SANITIZE_ADDRESS__) || defined(ARENA_ASAN)
#include <sanitizer/asan_interface.h>
#define POISON(p, n) __asan_poison_memory_region(p, n)
#define UNPOISON(p, n) __asan_unpoison_memory_region(p, n)
#define ARENA_GAP 16
#else
#define POISON(p, n) ((void)(p), (void)(n))
#define UNPOISON(p, n) ((void)(p), (void)(n))
#define ARENA_GAP 0
#endif

#define ARENA_ALIGN 16
#define ARENA_CHUNK (64u << 10)
#define ARENA_CHUNK_MAX (4u << 20)

struct chunk {
	struct chunk *prev;
	size_t size, used;	/* of data */
	_Alignas(ARENA_ALIGN) char data[];
};

/* A block that arena_grow made: it may grow where it is up to cap, if nobody has grown it from `used` already. */
struct growth {
	char *block;
	size_t used, cap;
};

struct arena {
	struct chunk *last;
	size_t next_chunk;
	struct growth *growth;	/* open addressing by block, never more than half full */
	size_t n_growth, growth_size;
};

static void *or_abort(void *p)
{
	if (!p)
		abort();
	return p;
}

static size_t aligned(size_t n)
{
	if (n > SIZE_MAX / 4)
		abort();
	return (n + ARENA_ALIGN - 1) & ~(size_t)(ARENA_ALIGN - 1);
}

struct arena *arena_new(void)
{
	struct arena *a = or_abort(calloc(1, sizeof(*a)));

	a->next_chunk = ARENA_CHUNK;
	return a;
}

void arena_free(struct arena *a)
{
	if (!a)
		return;
	for (struct chunk *c = a->last, *prev; c; c = prev) {
		prev = c->prev;
		UNPOISON(c->data, c->size);
		free(c);
	}
	free(a->growth);
	free(a);
}

static struct chunk *chunk_new(struct arena *a, size_t at_least)
{
	size_t size = at_least > a->next_chunk ? at_least : a->next_chunk;
	struct chunk *c = or_abort(calloc(1, sizeof(*c) + size));

	if (a->next_chunk < ARENA_CHUNK_MAX)
		a->next_chunk *= 2;
	c->size = size;
	c->prev = a->last;
	a->last = c;
	POISON(c->data, size);
	return c;
}

void *arena_alloc(struct arena *a, size_t size)
{
	size_t take = aligned(size ? size : 1) + ARENA_GAP;
	struct chunk *c = a->last;
	void *p;

	if (!c || c->size - c->used < take)
		c = chunk_new(a, take);
	p = c->data + c->used;
	c->used += take;
	UNPOISON(p, size);
	return p;
}

static struct growth *growth_find(const struct arena *a, const void *block)
{
	size_t i = ((uintptr_t)block / ARENA_ALIGN) * 0x9e3779b97f4a7c15u;

	for (i >>= 20;; i++) {
		struct growth *g = &a->growth[i & (a->growth_size - 1)];

		if (!g->block || g->block == block)
			return g;
	}
}

static void growth_rehash(struct arena *a)
{
	struct growth *old = a->growth;
	size_t old_size = a->growth_size;

	a->growth_size = old_size ? old_size * 2 : 64;
	a->growth = or_abort(calloc(a->growth_size, sizeof(*a->growth)));
	for (size_t i = 0; i < old_size; i++)
		if (old[i].block)
			*growth_find(a, old[i].block) = old[i];
	free(old);
}

static void *growth_new(struct arena *a, size_t used, size_t cap)
{
	char *block = arena_alloc(a, cap);

	if (a->n_growth * 2 >= a->growth_size)
		growth_rehash(a);
	*growth_find(a, block) = (struct growth){ .block = block, .used = used, .cap = cap };
	a->n_growth++;
	return block;
}

/* The last block of the arena may simply become longer. */
static bool grow_last(struct arena *a, struct growth *g, size_t new_size)
{
	struct chunk *c = a->last;
	size_t had = aligned(g->cap) + ARENA_GAP, take = aligned(new_size) + ARENA_GAP;

	if (g->block + had != c->data + c->used || c->size - c->used < take - had)
		return false;
	c->used += take - had;
	UNPOISON(g->block, new_size);
	g->cap = new_size;
	return true;
}

/* `old` with its first old_size bytes, new_size long; where it already lies if nothing was put behind it. Growing one
 * element at a time is linear in all. An array that two share may be grown by both: the second gets a copy. */
void *arena_grow(struct arena *a, const void *old, size_t old_size, size_t new_size)
{
	struct growth *g = old && a->growth_size ? growth_find(a, old) : NULL;
	void *p;

	if (g && g->block && g->used == old_size && new_size >= old_size &&
	    (new_size <= g->cap || grow_last(a, g, new_size))) {
		g->used = new_size;
		return g->block;
	}
	p = growth_new(a, new_size, old_size ? aligned(new_size) * 2 : new_size);
	if (old_size)
		memcpy(p, old, old_size < new_size ? old_size : new_size);
	return p;
}

char *arena_strndup(struct arena *a, const char *s, size_t n)
{
	size_t len = strnlen(s, n);
	char *p = arena_alloc(a, len + 1);

	memcpy(p, s, len);
	return p;
}

static void strbuf_room(struct strbuf *b, size_t n)
{
	size_t cap = b->cap ? b->cap : 64;

	if (b->cap - b->len > n)
		return;
	while (cap - b->len <= n)
		cap *= 2;
	b->s = arena_grow(b->arena, b->s, b->len, cap);
	b->cap = cap;
}

void strbuf_add_bytes(struct strbuf *b, const char *s, size_t n)
{
	strbuf_room(b, n);
	memcpy(b->s + b->len, s, n);
	b->len += n;
	b->s[b->len] = 0;
}

static void strbuf_vadd(struct strbuf *b, const char *fmt, va_list ap)
{
	char small[256];
	va_list again;
	int n;

	va_copy(again, ap);
	n = vsnprintf(small, sizeof(small), fmt, ap);
	if (n < 0)
		abort();
	if ((size_t)n < sizeof(small)) {
		strbuf_add_bytes(b, small, (size_t)n);
	} else {
		strbuf_room(b, (size_t)n);
		vsnprintf(b->s + b->len, (size_t)n + 1, fmt, again);
		b->len += (size_t)n;
	}
	va_end(again);
}

void strbuf_add(struct strbuf *b, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	strbuf_vadd(b, fmt, ap);
	va_end(ap);
}

char *arena_printf(struct arena *a, const char *fmt, ...)
{
	struct strbuf b = { .arena = a };
	va_list ap;

	va_start(ap, fmt);
	strbuf_vadd(&b, fmt, ap);
	va_end(ap);
	return b.s;
}

void strbuf_add_quoted(struct strbuf *b, const char *s)
{
	strbuf_add_bytes(b, "\"", 1);
	for (; *s; s++) {
		unsigned char c = (unsigned char)*s;

		if (c == '"' || c == '\\')
			strbuf_add(b, "\\%c", c);
		else if (c < 0x20 || c >= 0x7f)
			strbuf_add(b, "\\x%02x", c);
		else
			strbuf_add_bytes(b, s, 1);
	}
	strbuf_add_bytes(b, "\"", 1);
}
