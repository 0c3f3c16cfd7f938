/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Capabilities are held only while a call needs them. main sheds them first: they stay permitted, so that they can be
 * raised, but none is in effect while rules are read, compiled or judged. Where nothing more will be asked of the
 * kernel they are renounced for good. For a caller of the loader that sheds nothing, nothing changes.
 */
#include <errno.h>
#include <sys/capability.h>

#include "priv.h"

static bool has(cap_t c, unsigned int cap, cap_flag_t flag)
{
	cap_flag_value_t v = CAP_CLEAR;

	return !cap_get_flag(c, cap, flag, &v) && v == CAP_SET;
}

static uint64_t bits(cap_t c, cap_flag_t flag)
{
	uint64_t ret = 0;

	for (unsigned int cap = 0; cap < 64 && CAP_IS_SUPPORTED(cap); cap++)
		ret |= has(c, cap, flag) ? 1ULL << cap : 0;
	return ret;
}

static int set(cap_t c, cap_flag_t flag, uint64_t to)
{
	int err = cap_clear_flag(c, flag);

	for (unsigned int cap = 0; cap < 64 && !err; cap++) {
		cap_value_t v = cap;

		if (to >> cap & 1)
			err = cap_set_flag(c, flag, 1, &v, CAP_SET);
	}
	return err;
}

uint64_t ld_rights(bool permitted)
{
	cap_t c = cap_get_proc();
	uint64_t ret = c ? bits(c, permitted ? CAP_PERMITTED : CAP_EFFECTIVE) : 0;

	if (c)
		cap_free(c);
	return ret;
}

static int put(uint64_t effective, bool renounce)
{
	cap_t c = cap_get_proc();
	int err = -1;

	if (!c)
		return -errno;
	if (!set(c, CAP_EFFECTIVE, effective) &&
	    (!renounce || (!set(c, CAP_PERMITTED, effective) && !set(c, CAP_INHERITABLE, 0))))
		err = cap_set_proc(c);
	err = err ? -errno : 0;
	cap_free(c);
	return err;
}

int ld_rights_shed(void)
{
	return put(0, false);
}

int ld_rights_renounce(void)
{
	return put(0, true);
}

uint64_t ld_rights_raise(uint64_t want)
{
	uint64_t was = ld_rights(false), to = was | (want & ld_rights(true));

	if (to != was)
		put(to, false);
	return was;
}

void ld_rights_lower(uint64_t *was)
{
	if (ld_rights(false) != *was)
		put(*was, false);
}
