/* SPDX-License-Identifier: GPL-2.0-only */
/* A subject's chains in the kernel as programs instead of as rules: the same packets must meet the same end. */
#ifndef FWJIT_NATIVE_H
#define FWJIT_NATIVE_H

#include "subject.h"

/* One way of running a chain of the hook. */
struct native_way {
	const char *name, *target;
	enum ld_kind kind;
	bool load_bytes;
	unsigned int hooks;	/* bits of enum judge_hook */
};
extern const struct native_way native_ways[];	/* ends with name NULL */

struct native {
	char id[4][64];
	unsigned int n;
};
/* Compiles, loads and attaches in the calling process's network namespace; 1 where this way cannot say the rules, -1 with a
 * diagnostic of the subject's on failure. */
int native_attach(struct subject *s, const struct native_way *w, int32_t prio, struct native *ret);
void native_detach(struct subject *s, struct native *n);

#endif
