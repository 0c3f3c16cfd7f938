/* SPDX-License-Identifier: GPL-2.0-only */
/* Device indices, which rules hold instead of names. */
#include <net/if.h>

#include "reader.h"

/* Above every index that the kernel gives out by itself, and positive as an int. */
#define INDEX_MADE 0x40000000u

uint32_t fe_ifindex_made(const char *name)
{
	uint32_t h = 2166136261u;

	for (const unsigned char *p = (const unsigned char *)name; *p; p++)
		h = (h ^ *p) * 16777619u;
	return INDEX_MADE | (h & (INDEX_MADE - 1));
}

uint32_t fe_ifindex(const char *name)
{
	uint32_t index = if_nametoindex(name);

	return index ? index : fe_ifindex_made(name);
}
