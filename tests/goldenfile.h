/* SPDX-License-Identifier: GPL-2.0-only */
/* A golden file in pieces: its sections, the tool its rules are for, the hook its packets are judged at, its run lines. */
#ifndef FWJIT_GOLDENFILE_H
#define FWJIT_GOLDENFILE_H

#include "judge.h"
#include "packet.h"

#define GOLDEN_SECTIONS 32

struct golden_file {
	struct arena *arena;
	const char *path;
	char *head;			/* what stands before the first section */
	unsigned int n;
	struct golden_section { char name[64]; char *body; } s[GOLDEN_SECTIONS];
};

bool golden_read(struct arena *a, const char *path, struct golden_file *ret);
void golden_write(const struct golden_file *g);
struct golden_section *golden_section(struct golden_file *g, const char *name);
enum judge_hook golden_hook(struct golden_file *g);
/* The priorities between the first and the last of which the sensors are to be. */
void golden_span(struct golden_file *g, int *ret_first, int *ret_last);
/* The section with the rules and the tool they are for; NULL: they are IMR text or there are none. */
struct golden_section *golden_rules(struct golden_file *g, enum judge_tool *ret_tool);

struct golden_run {
	const char *line;
	enum judge_says want;
	bool open;			/* what the kernel says is right, whatever it is */
	struct packet packet;
};
/* The run lines; false, with a diagnostic, where one cannot be read. */
bool golden_runs(struct golden_file *g, struct diags *ds, struct golden_run **ret, unsigned int *ret_n);

/* Names of the .t files of a directory, sorted; those whose name holds `only`, if that is not NULL. */
unsigned int golden_find(const char *dir, const char *only, char **ret, unsigned int max);

#endif
