/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Golden files: one file, one question, every answer. Sections begin with `-- NAME`:
 *
 *   -- nft | iptables | ip6tables | iptables-nft | ip6tables-nft | imr-text    the rules, loaded by their own tool
 *   -- hook ingress | prerouting | input | forward                             where the packets are judged (input)
 *   -- imr, -- imr opt, -- imr PASS, -- imr placed                             the IMR as read, after passes, placed
 *   -- asm xdp                                                                 the program
 *   -- run                                                                     PACKET => accept | drop | unseen
 *   -- diag                                                                    what is said of rules that are refused
 *
 * Each run line is asked of the interpreter before and after every pass, of the XDP program and of the kernel itself.
 * BLESS=1 rewrites the answers; the review is the diff.
 */
#include <check.h>
#include <dirent.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "subject.h"
#include "reader.h"

#define MAX_SECTIONS 32

struct section {
	char name[64];
	char *body;
};

struct golden {
	const char *path;
	struct section s[MAX_SECTIONS];
	unsigned int n;
	struct arena *arena;
	struct subject subject;
	struct judge judge;
	bool judged;			/* the kernel is asked too */
	unsigned int asked, bad;
	struct strbuf report;
};

static const struct { const char *name; enum judge_tool tool; } tools[] = {
	{ "nft", JUDGE_NFT }, { "iptables", JUDGE_IPT }, { "ip6tables", JUDGE_IP6T },
	{ "iptables-nft", JUDGE_IPT_NFT }, { "ip6tables-nft", JUDGE_IP6T_NFT },
};
static const char *const hooks[] = { "ingress", "prerouting", "input", "forward" };

static const char *dir;
static char *files[512];
static int n_files;
static struct imr_profile profile;

static struct section *section(struct golden *g, const char *name)
{
	for (unsigned int i = 0; i < g->n; i++)
		if (!strcmp(g->s[i].name, name))
			return &g->s[i];
	return NULL;
}

static char *slurp(struct arena *a, const char *path)
{
	FILE *f = fopen(path, "r");
	char *s = arena_alloc(a, 1 << 20);

	if (!f)
		return NULL;
	s[fread(s, 1, (1 << 20) - 1, f)] = '\0';
	fclose(f);
	return s;
}

static bool golden_read(struct golden *g)
{
	char *text = slurp(g->arena, g->path), *line = text;

	while (line && *line) {
		char *end = strchr(line, '\n'), *next;
		struct section *s;

		if (strncmp(line, "-- ", 3)) {
			line = end ? end + 1 : NULL;
			continue;
		}
		if (!end || g->n == MAX_SECTIONS)
			return false;
		s = &g->s[g->n++];
		snprintf(s->name, sizeof(s->name), "%.*s", (int)(end - line - 3), line + 3);
		next = strncmp(end + 1, "-- ", 3) ? strstr(end, "\n-- ") : end;
		s->body = arena_strndup(g->arena, end + 1, next ? (size_t)(next + 1 - (end + 1)) : strlen(end + 1));
		line = next ? next + 1 : NULL;
	}
	return g->n > 0;
}

static void wrong(struct golden *g, const char *fmt, ...)
{
	char buf[2048];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(buf, sizeof(buf), fmt, ap);
	va_end(ap);
	strbuf_add(&g->report, "%s: %s\n", g->path, buf);
	g->bad++;
}

static enum judge_hook hook_of(struct golden *g)
{
	for (unsigned int i = 0; i < g->n; i++)
		for (unsigned int h = 0; h < 4; h++)
			if (!strncmp(g->s[i].name, "hook ", 5) && !strcmp(g->s[i].name + 5, hooks[h]))
				return h;
	return JUDGE_INPUT;
}

/* The rules into a subject: live in the judge's namespace where that may be made, else through the sandbox. */
static int rules_in(struct golden *g, const char **ret_skip)
{
	const struct section *imr = section(g, "imr-text");
	enum judge_hook hook = hook_of(g);
	char err[2048];
	int r = -1;

	if (imr)
		return subject_from_imr(&g->subject, imr->body);
	for (size_t i = 0; i < sizeof(tools) / sizeof(*tools); i++) {
		const struct section *s = section(g, tools[i].name);

		if (!s)
			continue;
		*ret_skip = judge_missing();
		if (*ret_skip)
			return 0;
		if (judge_open(&g->judge, hook, 0, 0) || judge_load(&g->judge, tools[i].tool, s->body, err, sizeof(err))) {
			wrong(g, "the rules do not load: %s", err);
			return -1;
		}
		g->judged = true;
		r = subject_read_live(&g->subject, tools[i].tool, &profile);
	}
	return r;
}

static void bless_or_compare(struct golden *g, struct section *s, const char *is)
{
	if (!strcmp(s->body, is))
		return;
	if (getenv("BLESS"))
		s->body = arena_strndup(g->arena, is, strlen(is));
	else
		wrong(g, "section \"%s\" differs; it is now:\n%s", s->name, is);
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

static void texts(struct golden *g)
{
	for (unsigned int i = 0; i < g->n; i++) {
		struct strbuf out = { .arena = g->arena };
		const struct imr *imr = form_named(g, g->s[i].name);

		if (!strcmp(g->s[i].name, "asm xdp")) {
			be_asm_print(&out, &g->subject.prog);
		} else if (!strcmp(g->s[i].name, "diag")) {
			for (uint32_t k = 0; k < g->subject.diags.n; k++)
				diag_print(&out, &g->subject.diags.d[k]);
		} else if (imr) {
			imr_print(&out, imr);
		} else {
			continue;
		}
		bless_or_compare(g, &g->s[i], out.s ? out.s : "");
	}
}

static const char *const says[] = { [JUDGE_UNSEEN] = "unseen", [JUDGE_ACCEPT] = "accept", [JUDGE_DROP] = "drop" };

/* All judges of one packet. */
static void ask(struct golden *g, const char *line, enum judge_says want, const struct packet *p)
{
	struct subject *s = &g->subject;
	struct imr_pkt pkt;

	subject_pkt(s, p->frame, p->len, &pkt);
	g->asked++;
	for (unsigned int i = 0; i < s->n_form; i++) {
		enum imr_verdict v = subject_verdict(s, i, &pkt, NULL);

		if (!subject_agrees(want, v))
			wrong(g, "%s: the interpreter (%s) says %d", line, s->form[i].name, v);
	}
	if (g->judged && judge_packet(&g->judge, p->frame, p->len) != want)
		wrong(g, "%s: the kernel says otherwise", line);
	if (s->loaded.fd >= 0) {
		int v = subject_program(s, p->frame, p->len);

		if (v < 0 || (s->exact && (v == V_DROP) != (want == JUDGE_DROP)) || (v == V_DROP && want != JUDGE_DROP))
			wrong(g, "%s: XDP says %d", line, v);
	}
}

static void run_lines(struct golden *g, const char *body)
{
	char *copy = arena_strndup(g->arena, body, strlen(body)), *save, *line;

	for (line = strtok_r(copy, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
		char *arrow = strstr(line, "=>"), word[16] = "";
		struct packet p;
		int want = -1;

		if (*line == '#' || !arrow)
			continue;
		sscanf(arrow + 2, "%15s", word);
		for (int k = 0; k < 3; k++)
			if (!strcmp(word, says[k]))
				want = k;
		if (want < 0 ||
		    !packet_parse(g->arena, &g->subject.diags, arena_strndup(g->arena, line, arrow - line), &p)) {
			wrong(g, "run line \"%s\" cannot be read", line);
			continue;
		}
		ask(g, line, want, &p);
	}
}

static void write_back(const struct golden *g)
{
	char *text = slurp(g->arena, g->path), *first = strncmp(text, "-- ", 3) ? strstr(text, "\n-- ") : text;
	FILE *f = fopen(g->path, "w");

	if (!f)
		return;
	if (first && first != text)
		fwrite(text, 1, first + 1 - text, f);
	for (unsigned int i = 0; i < g->n; i++)
		fprintf(f, "-- %s\n%s", g->s[i].name, g->s[i].body);
	fclose(f);
}

static void golden_run(struct golden *g)
{
	const struct section *run;
	const char *skip = NULL;

	g->report.arena = g->arena = arena_new();
	if (!golden_read(g)) {
		wrong(g, "not a golden file");
		return;
	}
	if (rules_in(g, &skip)) {
		wrong(g, "the rules cannot be read");
		return;
	}
	if (skip) {
		printf("skip: %s: %s\n", strrchr(g->path, '/') + 1, skip);
		return;
	}
	subject_at(&g->subject, hook_of(g));
	if (subject_compile(&g->subject, !geteuid()) && !section(g, "diag"))
		wrong(g, "no program");
	texts(g);
	run = section(g, "run");
	if (run)
		run_lines(g, run->body);
	if (getenv("BLESS"))
		write_back(g);
}

START_TEST(golden)
{
	struct golden g = { .path = files[_i] };

	golden_run(&g);
	ck_assert_msg(!g.bad, "%s", g.report.s);
}
END_TEST

static int by_name(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

static void find_files(const char *only)
{
	DIR *d = opendir(dir);
	struct dirent *e;

	while (d && (e = readdir(d)) && n_files < 512) {
		size_t n = strlen(e->d_name);

		if (n < 3 || strcmp(e->d_name + n - 2, ".t") || (only && !strstr(e->d_name, only)))
			continue;
		if (asprintf(&files[n_files], "%s/%s", dir, e->d_name) > 0)
			n_files++;
	}
	if (d)
		closedir(d);
	qsort(files, n_files, sizeof(*files), by_name);
}

/* golden DIR [NAME-PART] */
int main(int argc, char **argv)
{
	Suite *s = suite_create("golden");
	TCase *t = tcase_create("files");
	SRunner *r = srunner_create(s);
	int failed;

	dir = argc > 1 ? argv[1] : "tests/golden";
	find_files(argc > 2 ? argv[2] : NULL);
	ld_profile(&profile);
	tcase_set_timeout(t, 120);
	tcase_add_loop_test(t, golden, 0, n_files);
	suite_add_tcase(s, t);
	srunner_run_all(r, CK_NORMAL);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	for (int i = 0; i < n_files; i++)
		free(files[i]);
	return failed || !n_files;
}
