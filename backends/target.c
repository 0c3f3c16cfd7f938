/* SPDX-License-Identifier: GPL-2.0-only */
/* The targets and capabilities as arrays, and how they are found by name. */
#include <stddef.h>
#include <string.h>

#include "select.h"

const struct target be_targets[] = {
#define TARGET(id, drop, pass, at, does, ...)                                                                              \
	{ .name = #id, .what = does, .hooks = at, .needs = (const char *const[]){ __VA_ARGS__, NULL },                              \
	  .compile = be_##id##_compile, .verdict_drop = drop, .verdict_pass = pass },
#include "target.def"
	{ .name = NULL },
};

const struct be_cap_info be_caps_info[] = {
#define CAP(id, key, what) { key, what },
#include "caps.def"
	{ NULL, NULL },
};

/* ORDER be_caps_info */
static const size_t cap_at[] = {
#define CAP(id, key, what) offsetof(struct caps, id),
#include "caps.def"
};

static int cap_find(const char *key)
{
	for (int i = 0; be_caps_info[i].key; i++)
		if (strcmp(be_caps_info[i].key, key) == 0)
			return i;
	return -1;
}

bool be_caps_get(const struct caps *caps, const char *key)
{
	int i = cap_find(key);

	return i >= 0 && *(const bool *)((const char *)caps + cap_at[i]);
}

void be_caps_set(struct caps *caps, const char *key, bool v)
{
	int i = cap_find(key);

	if (i >= 0)
		*(bool *)((char *)caps + cap_at[i]) = v;
}

const struct target *be_target_find(const char *name)
{
	for (const struct target *t = be_targets; t->name; t++)
		if (strcmp(t->name, name) == 0)
			return t;
	return NULL;
}

const char *be_target_missing(const struct target *t, const struct caps *caps, const char **ret_what)
{
	for (const char *const *key = t->needs; *key; key++) {
		int i = cap_find(*key);

		if (i >= 0 && be_caps_get(caps, *key))
			continue;
		if (ret_what)
			*ret_what = i >= 0 ? be_caps_info[i].what : "";
		return *key;
	}
	return NULL;
}

bool be_compile(const struct imr *imr, const struct target *t, const struct caps *caps, const struct be_opts *opts,
		struct be_prog *ret)
{
	return t->compile(imr, caps, opts, ret);
}
