/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The subject: a ruleset as fwjit understands it, in every form that gives verdicts: as it was read, after each pass,
 * placed for a device, and as a loaded XDP program. What the judge says is compared with all of them.
 */
#ifndef FWJIT_SUBJECT_H
#define FWJIT_SUBJECT_H

#include "frontend.h"
#include "judge.h"
#include "loader.h"
#include "packet.h"

#define SUBJECT_FORMS 32

struct subject {
	struct arena *arena;
	struct diags diags;
	struct imr_profile profile;
	struct fe_capture capture;
	enum judge_hook hook;
	uint32_t iif, oif;			/* of tap0 and out0 */
	unsigned int n_form;			/* 0: as read; then one a pass; the last: all passes */
	struct { const char *name; struct imr *imr; } form[SUBJECT_FORMS];
	struct imr_env env;
	bool exact;				/* ingress, egress: the program is the firewall; else a slice */
	struct imr *placed;			/* NULL where it cannot be placed */
	struct be_prog prog;
	struct ld_prog loaded;			/* fd -1 where it was not loaded */
};

/* NULL where the caller may turn rule text into rules; else the reason, for a skip. */
const char *subject_no_text(void);
/* Rules of the calling process's network namespace, those of tool only. The profile is given by the caller, since probing
 * it takes a namespace of its own. */
int subject_read_live(struct subject *s, enum judge_tool tool, const struct imr_profile *p);
int subject_from_capture(struct subject *s, const struct fe_capture *c, const struct imr_profile *p);
int subject_from_imr(struct subject *s, const char *text);
/* Says where the packets are judged, before any verdict is asked for. */
void subject_at(struct subject *s, enum judge_hook hook);
/* Places, compiles and (where permitted; not at egress, where XDP is not) loads for tap0. Returns 0, or -1 with a diagnostic where the hook or a rule
 * cannot be said. */
int subject_compile(struct subject *s, bool load);
/* The verdict of one form: every base chain on the packet's way at the judge's hook, in order. */
enum imr_verdict subject_verdict(const struct subject *s, unsigned int form, const struct imr_pkt *pkt, struct imr_at *ret_at);
/* A program of the slice or the exact chain on one frame: V_DROP, else V_PASS (slice) or V_ACCEPT; -errno on failure. */
int subject_program(const struct subject *s, const void *frame, uint32_t len);
/* The placed IMR by the interpreter. */
enum imr_verdict subject_placed(const struct subject *s, const struct imr_pkt *pkt);
void subject_free(struct subject *s);

/* A frame as the judge's tap0 (and out0 at forward) receives it. */
void subject_pkt(const struct subject *s, const void *frame, uint32_t len, struct imr_pkt *ret);
/* JUDGE_UNSEEN, _ACCEPT, _DROP as the interpreter says it. */
bool subject_agrees(enum judge_says j, enum imr_verdict v);
/* No base chain at the hook is of the frame's family, so that nothing is said where the kernel accepts. */
bool subject_silent(const struct subject *s, const uint8_t *frame, uint32_t len);

#endif
