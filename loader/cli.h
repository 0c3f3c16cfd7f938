/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The command line: what the verbs share. A verb reads like the plan it carries out: input, optimise, place, compile,
 * then say or commit. Only `apply` and `detach` change the machine, in their last step, so every earlier failure stops.
 */
#ifndef FWJIT_CLI_H
#define FWJIT_CLI_H

#include <stdio.h>

#include "frontend.h"
#include "loader.h"
#include "reader.h"

enum cli_exit {
	EXIT_DONE = 0,
	EXIT_INPUT = 1,		/* the input or the kernel refused; nothing changed */
	EXIT_USAGE = 2,
	EXIT_RIGHTS = 3,	/* not permitted for any allowed target */
	EXIT_INEXACT = 4,	/* not exactly representable; nothing changed */
	EXIT_DIFFERS = 5,	/* test found a difference */
};

enum cli_dump { DUMP_NONE, DUMP_IMR, DUMP_ASM, DUMP_NETLINK };

#define CLI_MAX 64		/* -f, --dev and --packet, each */

struct cli {
	struct arena *arena;
	struct diags *diags;
	const char *verb, *object;	/* object: list's ruleset or counters, detach's id */
	const char *file[CLI_MAX], *dev[CLI_MAX], *packet[CLI_MAX];
	unsigned int n_file, n_dev, n_packet;
	const char *target, *cgroup, *access, *caps, *engine, *from, *pcap, *pass;
	const char *netns;		/* the network namespace to work in: a file, or that of process pid */
	int pid, outside;		/* outside: the network namespace that was left for it */
	bool peer;			/* attach at the other end of the wire, outside */
	enum cli_dump dump;
	struct caps own_caps;		/* what trying showed, once probed: plan_caps */
	bool probed;
	const struct applied *but;	/* not the devices that have left it; NULL: all */
	bool asks_no_more;		/* once the input is read, nothing is asked of the kernel: no rights are kept */
	bool json, handles, stateless, terse, numeric, check_only, all, slice, snapshot, generic, foreground, fail_open;
};

/* input.c: the rules named by the options, or the live ones. */
struct cli_input {
	bool live;			/* the rules stay loaded: what is attached is their slice */
	struct fe_capture capture;	/* n 0: the input was IMR text */
	struct imr_profile profile;
	struct imr *source;		/* as read */
	struct imr *imr;		/* optimised */
};
int cli_profile(struct cli *c, struct imr_profile *ret);
int cli_capture(struct cli *c, struct fe_capture *ret, const char **ret_imr_text, size_t *ret_imr_len);
int cli_live(struct cli *c, struct fe_capture *ret);	/* the live rules; 0 or an exit status */
int cli_read(struct cli *c, struct cli_input *ret);
/* The program again, passes run up to and including `last`. */
struct imr *cli_program(struct cli *c, const struct cli_input *in, const char *last);
/* The bytes of a file, "-" for standard input, at most 1 GiB. 0 or an exit status. */
int cli_slurp(struct cli *c, const char *path, char **ret, size_t *ret_len);

/* plan.c, units.c: one entry a unit: a program at a place. */
struct plan_dev {
	const struct target *target;
	struct ld_where where;
	char id[64];
	const char *on;			/* the place in words: "eth0", "ip.input, priority 0" */
	const char *over;		/* why better targets were passed over; NULL: there is none better */
	bool has_dev;			/* env is of a device */
	struct imr_env env;
	struct imr *placed;
	uint32_t n_at;
	const struct imr_at **at;	/* rules that the program has (live: that it drops by), sorted: plan_has */
	struct be_prog prog;
	uint32_t verified_insns, prog_id;
};
struct plan {
	const struct target *target;	/* asked for; NULL: the best for each place */
	struct caps caps;
	struct cli_input in;
	bool gate;
	uint32_t n;
	struct plan_dev *dev;
};
int plan_caps(struct cli *c, struct caps *ret);
int plan_target(struct cli *c, const struct target **ret);
int plan_env(struct cli *c, bool live, const char *dev, struct imr_env *ret);
int plan_make(struct cli *c, struct plan *ret);
/* Does the unit's program have the rule, or live: does it drop by it? */
uint32_t plan_insns(const struct plan_dev *d);	/* of its program, or of all its filters */
bool plan_has(const struct plan_dev *d, const struct imr_at *at);

/* levels.c: the abilities of a named level; what probe found, against each level. */
bool level_caps(const char *name, struct caps *ret);
void level_print(struct strbuf *out, const struct ld_probe *p);

/* peer.c: the units moved to the other ends of their devices, outside; what a broker's unit cannot hold. */
int peer_units(struct cli *c, struct plan *p);
const char *peer_evades(const struct ld_where *w);

/* meta.c: what apply stores with an attachment and list, apply and watch read back. */
struct meta {
	bool live;
	struct imr *source, *placed;
	const char *source_text;	/* equal for all that was made from one reading */
	size_t source_len;
};
void meta_encode(struct strbuf *out, const struct plan *p, const struct plan_dev *d);
int meta_decode(struct cli *c, const struct ld_state *st, struct meta *ret);
/* For each slot of `to`, the slot of `from` that counts the same rule (same chain, same text, same turn), or UINT32_MAX. */
void meta_carry(struct arena *a, const struct imr *from, const struct imr *to, uint32_t *ret_map);
/* Provenance of each slot, in order; n is imr->n_slot. */
const struct imr_at **meta_slots(struct arena *a, const struct imr *imr);

/* out.c: diagnostics and JSON. */
int cli_diags(struct cli *c, enum diag_level least);	/* prints what is new, returns the exit status it implies */
void json_str(struct strbuf *out, const char *s);
/* To standard output; syntax: what a tool takes back. */
void cli_put(const struct cli *c, const struct strbuf *text, bool syntax);
bool at_same(const struct imr_at *a, const struct imr_at *b);
bool cli_colour(void);

/* one file a verb */
int verb_check(struct cli *c);
int verb_apply(struct cli *c);
int verb_list(struct cli *c);
int verb_test(struct cli *c);
int verb_dump(struct cli *c);
int verb_probe(struct cli *c);
int verb_detach(struct cli *c);
int verb_watch(struct cli *c);
int verb_oci_hook(struct cli *c);
int verb_delegate(struct cli *c);
/* What a watcher has attached so far; zeroed before the first time. */
struct applied {
	const struct ld_claim *claim;	/* NULL: applied once, by nobody who would do it again */
	uint64_t fingerprint;		/* of all that the programs were made from */
	bool stale;			/* not attached: something else was attached or detached meanwhile */
	uint32_t n;
	struct applied_prog {		/* malloc'ed: an attachment, and its program's id */
		char att[64], dev[16];
		uint32_t id;
		bool planned;		/* at the last time: its gate may be open */
		bool left;		/* somebody has detached it or put a program of theirs there: not ours any more */
	} *prog;
};
/* apply's steps, which watch repeats: plan, load and attach every device. With a gate the programs come with it shut.
 * Where ret says that the programs would be those of the last time they are left as they are. A slice of ours on a device
 * that has no place in the plan any more is shut, or detached if it has no gate. */
int apply_once(struct cli *c, bool gate, struct applied *ret);
/* The watcher; tells its first status to ready_fd (-1: nobody) and leaves the terminal then. */
int watch_run(struct cli *c, int ready_fd);

#endif
