/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Does anybody but fwjit want this network namespace? A process that stays in it keeps it alive after it has been
 * deleted, and its devices with it. It is wanted while it has a name (process 1 sees it mounted) or another program
 * runs in it. Where that cannot be seen it is taken for wanted.
 */
#include <ctype.h>
#include <dirent.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "priv.h"

static bool has_name(const char *net)
{
	uint64_t was _cleanup_rights_ = ld_rights_raise(LD_RIGHT(CAP_SYS_PTRACE));
	FILE *f = fopen("/proc/1/mountinfo", "re");
	_cleanup_free_ char *line = NULL;
	bool found = !f;
	size_t cap = 0;

	while (!found && getline(&line, &cap, f) > 0)
		found = strstr(line, net) && strstr(line, " - nsfs ");
	if (f)
		fclose(f);
	return found;
}

/* The files of /proc/PID/net are those of the process's network namespace, each with an inode of its own, and need no
 * right to be looked at, as /proc/PID/ns/net does. */
static bool same_file(const char *a, const char *b, const char *of)
{
	char path[64];
	struct stat x, y;

	snprintf(path, sizeof(path), "/proc/%.20s/%s", a, of);
	if (stat(path, &x))
		return false;
	snprintf(path, sizeof(path), "/proc/%.20s/%s", b, of);
	return !stat(path, &y) && x.st_dev == y.st_dev && x.st_ino == y.st_ino;
}

bool ld_netns_held(void)
{
	DIR *d = opendir("/proc");
	struct dirent *e;
	char net[32];
	bool held;

	snprintf(net, sizeof(net), "net:[%" PRIu64 "]", ld_netns_inode());
	held = !d || has_name(net);
	while (!held && (e = readdir(d)))
		held = isdigit((unsigned char)e->d_name[0]) && same_file(e->d_name, "thread-self", "net/dev") &&
		       !same_file(e->d_name, "self", "exe");
	if (d)
		closedir(d);
	return held;
}
