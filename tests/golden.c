/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Golden files: one file, one question, every answer. Sections begin with `-- NAME`:
 *
 *   -- nft | iptables | ip6tables | iptables-nft | ip6tables-nft | imr-text    the rules, loaded by their own tool
 *   -- hook ingress | prerouting | input | forward | egress [FIRST LAST]       where the packets are judged (input), around
 *                                                                              the chains of which priorities (-1 0)
 *   -- imr, -- imr opt, -- imr PASS, -- imr placed                             the IMR as read, after passes, placed
 *   -- asm xdp                                                                 the program
 *   -- run                                                                     PACKET => accept | drop | unseen; ?: as
 *                                                                              the kernel does, whatever that is
 *   -- diag                                                                    what is said of rules that are refused
 *
 * Each run line is asked of the interpreter before and after every pass, of the XDP program and of the kernel itself.
 * BLESS=1 rewrites the answers; the review is the diff.
 */
#include <check.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "goldenfile.h"
#include "subject.h"

struct golden {
	struct golden_file file;
	struct subject subject;
	struct judge judge;
	bool judged;			/* the kernel is asked too */
	unsigned int bad;
	struct strbuf report;
};

static char *files[512];
static unsigned int n_files;
static struct imr_profile profile;

static void wrong(struct golden *g, const char *fmt, ...)
{
	char buf[4096];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(buf, sizeof(buf), fmt, ap);
	va_end(ap);
	strbuf_add(&g->report, "%s: %s\n", g->file.path, buf);
	g->bad++;
}

/* The rules into a subject, live in the judge's namespace. */
static int rules_in(struct golden *g, const char **ret_skip)
{
	struct golden_section *imr = golden_section(&g->file, "imr-text"), *s;
	enum judge_tool tool;
	char err[2048];
	int first, last;

	if (imr)
		return subject_from_imr(&g->subject, imr->body);
	s = golden_rules(&g->file, &tool);
	if (!s)
		return -1;
	*ret_skip = judge_missing();
	if (*ret_skip)
		return 0;
	golden_span(&g->file, &first, &last);
	if (judge_open(&g->judge, golden_hook(&g->file), first, last) || judge_load(&g->judge, tool, s->body, err, sizeof(err))) {
		wrong(g, "the rules do not load: %s", err);
		return -1;
	}
	g->judged = true;
	return subject_read_live(&g->subject, tool, &profile);
}

static const struct imr *form_named(const struct golden *g, const char *name)
{
	const struct subject *s = &g->subject;

	if (!strcmp(name, "imr"))
		return s->form[0].imr;
	if (!strcmp(name, "imr opt"))
		return s->form[s->n_form - 1].imr;
	if (!strcmp(name, "imr placed"))
		return s->placed;
	for (unsigned int i = 0; i < s->n_form; i++)
		if (!strncmp(name, "imr ", 4) && !strcmp(s->form[i].name, name + 4))
			return s->form[i].imr;
	return NULL;
}

static bool answer(struct golden *g, const char *name, struct strbuf *out)
{
	const struct imr *imr = form_named(g, name);

	if (!strcmp(name, "asm xdp"))
		be_asm_print(out, &g->subject.prog);
	else if (!strcmp(name, "diag"))
		for (uint32_t k = 0; k < g->subject.diags.n; k++)
			diag_print(out, &g->subject.diags.d[k]);
	else if (imr)
		imr_print(out, imr);
	else
		return false;
	return true;
}

static void texts(struct golden *g)
{
	for (unsigned int i = 0; i < g->file.n; i++) {
		struct golden_section *s = &g->file.s[i];
		struct strbuf out = { .arena = g->file.arena };

		if (!answer(g, s->name, &out) || !strcmp(s->body, out.s ? out.s : ""))
			continue;
		if (getenv("BLESS"))
			s->body = out.s ? out.s : "";
		else
			wrong(g, "section \"%s\" differs; it is now:\n%s", s->name, out.s);
	}
}

/* All judges of one packet. */
static void ask(struct golden *g, const struct golden_run *run)
{
	struct subject *s = &g->subject;
	const struct packet *p = &run->packet;
	enum judge_says kernel = g->judged ? judge_packet(&g->judge, p->frame, p->len) : run->want;
	enum judge_says want = run->open ? kernel : run->want;
	struct imr_pkt pkt;

	if (run->open && !g->judged)
		return;
	subject_pkt(s, p->frame, p->len, &pkt);
	for (unsigned int i = 0; i < s->n_form; i++) {
		enum imr_verdict v = subject_verdict(s, i, &pkt, NULL);

		if (!subject_agrees(want, v))
			wrong(g, "%s: the interpreter (%s) says %d, the kernel %d", run->line, s->form[i].name, v, kernel);
	}
	if (kernel != want)
		wrong(g, "%s: the kernel says %d", run->line, kernel);
	if (s->hook == JUDGE_EGRESS && s->placed && (subject_placed(s, &pkt) == V_DROP) != (want == JUDGE_DROP))
		wrong(g, "%s: the placed IMR does not agree", run->line);
	if (s->loaded.fd >= 0) {
		int v = subject_program(s, p->frame, p->len);

		if (v < 0 || (s->exact && (v == V_DROP) != (want == JUDGE_DROP)) || (v == V_DROP && want != JUDGE_DROP))
			wrong(g, "%s: XDP says %d, the kernel %d", run->line, v, kernel);
	}
}

static void say_diags(struct golden *g)
{
	struct strbuf out = { .arena = g->file.arena };

	for (uint32_t k = 0; k < g->subject.diags.n; k++)
		diag_print(&out, &g->subject.diags.d[k]);
	wrong(g, "no program:\n%s", out.s ? out.s : "");
}

static void golden_run(struct golden *g, const char *path)
{
	struct golden_run *run;
	unsigned int n;
	const char *skip = NULL;

	g->report.arena = arena_new();
	if (!golden_read(g->report.arena, path, &g->file)) {
		wrong(g, "%s is not a golden file", path);
		return;
	}
	if (rules_in(g, &skip)) {
		wrong(g, "the rules cannot be read");
		return;
	}
	if (skip) {
		printf("skip: golden: %s\n", skip);
		return;
	}
	subject_at(&g->subject, golden_hook(&g->file));
	if (subject_compile(&g->subject, !geteuid()) && !golden_section(&g->file, "diag"))
		say_diags(g);
	texts(g);
	if (!golden_runs(&g->file, &g->subject.diags, &run, &n))
		wrong(g, "its run lines cannot be read");
	for (unsigned int i = 0; i < n; i++)
		ask(g, &run[i]);
	if (getenv("BLESS"))
		golden_write(&g->file);
}

START_TEST(golden)
{
	struct golden g = { 0 };

	golden_run(&g, files[_i]);
	if (g.subject.arena)
		subject_free(&g.subject);
	if (g.judged)
		judge_close(&g.judge);
	if (g.bad)	/* more than an assertion's message holds */
		fputs(g.report.s, stderr);
	ck_assert_msg(!g.bad, "%s: %u answers differ", files[_i], g.bad);
	arena_free(g.report.arena);
}
END_TEST

/* golden DIR [NAME-PART] */
int main(int argc, char **argv)
{
	Suite *s = suite_create("golden");
	TCase *t = tcase_create("files");
	SRunner *r = srunner_create(s);
	int failed;

	n_files = golden_find(argc > 1 ? argv[1] : "tests/golden", argc > 2 ? argv[2] : NULL, files, 512);
	ld_profile(&profile);
	tcase_set_timeout(t, 120);
	tcase_add_loop_test(t, golden, 0, n_files);
	suite_add_tcase(s, t);
	srunner_run_all(r, CK_NORMAL);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	for (unsigned int i = 0; i < n_files; i++)
		free(files[i]);
	return failed || !n_files;
}
