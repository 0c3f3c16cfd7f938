/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the parts of the sandbox share: namespaces and devices (sandbox_ns.c), the tool and its netlink batches
 * (sandbox_tool.c, sandbox_batch.c), and what is read out of texts (sandbox_scan.c, pure).
 */
#ifndef FWJIT_SANDBOX_H
#define FWJIT_SANDBOX_H

#include "reader.h"

struct sb_names {
	struct arena *arena;
	uint32_t n;
	const char **name;
};

/* ------------------------------------------------------------------ sandbox_scan.c */

/* Interface names that a rule text seems to want at load time: after iif, oif, device, devices, and, where a variable
 * stands there, in every define. Too many do no harm. */
void sb_scan_devices(const char *text, size_t len, struct sb_names *ret);
void sb_name_add(struct sb_names *n, const char *name, size_t len);
/* The tool's words into diagnostics: nft's place, message, text and caret; a line each from the others. `path` stands
 * in place of the standard input that the tool read. What carets mark goes to `ret_marked`, if not NULL. */
void sb_words(struct arena *a, struct diags *ds, const char *tool, const char *path, const char *words,
	      struct sb_names *ret_marked);

/* ------------------------------------------------------------------ sandbox_ns.c */

struct sb_host {		/* devices of the caller's namespace: rules name them by index */
	uint32_t n;
	struct sb_link {
		char name[16];
		uint32_t index;
	} *link;
};
int sb_host_read(struct arena *a, struct sb_host *ret);
/* New namespaces of the calling process, with lo up. 0 or -errno, *ret_call then names the call. */
int sb_enter(const char **ret_call);
/* A device of that name, with the index that it has in `host`, so that an index in a rule means the same. 1 where it
 * was made, 0 where it was there with that index, or -errno. */
int sb_device_add(const struct sb_host *host, const char *name);

/* ------------------------------------------------------------------ sandbox_batch.c */

/* A batch of nfnetlink messages in several that are each at most `room` bytes; between them no set or chain without
 * a name waits for its rule. Returns false where the bytes are not one batch or a piece would not fit. */
struct sb_piece {
	const uint8_t *data;
	size_t len;
};
bool sb_batch_split(struct arena *a, const uint8_t *data, size_t len, size_t room, struct sb_piece **ret,
		    uint32_t *ret_n);

/* ------------------------------------------------------------------ sandbox_tool.c */

/* Runs argv with `text` on its standard input, in the directory of `path`, its standard error into *ret_words
 * (bounded). Its wait status, or -errno with *ret_call. */
int sb_tool_run(struct arena *a, const char *const *argv, const char *path, const char *text, size_t len,
		char **ret_words, const char **ret_call);
bool sb_tool_find(const char *name);

#endif
