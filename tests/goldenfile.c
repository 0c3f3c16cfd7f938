/* SPDX-License-Identifier: GPL-2.0-only */
#include "goldenfile.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FILE_MAX (1 << 20)

static const struct { const char *name; enum judge_tool tool; } tools[] = {
	{ "nft", JUDGE_NFT }, { "iptables", JUDGE_IPT }, { "ip6tables", JUDGE_IP6T },
	{ "iptables-nft", JUDGE_IPT_NFT }, { "ip6tables-nft", JUDGE_IP6T_NFT },
};
static const char *const hooks[] = { "ingress", "prerouting", "input", "forward", "egress" };
static const char *const says[] = { [JUDGE_UNSEEN] = "unseen", [JUDGE_ACCEPT] = "accept", [JUDGE_DROP] = "drop" };

static char *slurp(struct arena *a, const char *path)
{
	FILE *f = fopen(path, "r");
	char *s = arena_alloc(a, FILE_MAX);

	if (!f)
		return NULL;
	s[fread(s, 1, FILE_MAX - 1, f)] = '\0';
	fclose(f);
	return s;
}

bool golden_read(struct arena *a, const char *path, struct golden_file *g)
{
	char *text = slurp(a, path), *line = text, *end, *next;

	*g = (struct golden_file){ .arena = a, .path = path };
	if (!text)
		return false;
	if (strncmp(line, "-- ", 3)) {
		line = strstr(text, "\n-- ");
		if (!line)
			return false;
		line++;
	}
	g->head = arena_strndup(a, text, line - text);
	for (; line; line = next ? next + 1 : NULL) {
		struct golden_section *s = &g->s[g->n];

		end = strchr(line, '\n');
		if (!end || g->n++ == GOLDEN_SECTIONS)
			return false;
		snprintf(s->name, sizeof(s->name), "%.*s", (int)(end - line - 3), line + 3);
		next = strstr(end, "\n-- ");
		s->body = arena_strndup(a, end + 1, next > end ? (size_t)(next - end) : next ? 0 : strlen(end + 1));
	}
	return g->n > 0;
}

void golden_write(const struct golden_file *g)
{
	FILE *f = fopen(g->path, "w");

	if (!f)
		return;
	fputs(g->head, f);
	for (unsigned int i = 0; i < g->n; i++)
		fprintf(f, "-- %s\n%s", g->s[i].name, g->s[i].body);
	fclose(f);
}

struct golden_section *golden_section(struct golden_file *g, const char *name)
{
	for (unsigned int i = 0; i < g->n; i++)
		if (!strcmp(g->s[i].name, name))
			return &g->s[i];
	return NULL;
}

/* What stands behind the word in the section's name. */
static const char *hook_words(const struct golden_file *g)
{
	for (unsigned int i = 0; i < g->n; i++)
		if (!strncmp(g->s[i].name, "hook ", 5))
			return g->s[i].name + 5;
	return "";
}

enum judge_hook golden_hook(struct golden_file *g)
{
	char name[16] = "";

	sscanf(hook_words(g), "%15s", name);
	for (unsigned int h = 0; h < sizeof(hooks) / sizeof(*hooks); h++)
		if (!strcmp(name, hooks[h]))
			return h;
	return JUDGE_INPUT;
}

void golden_span(struct golden_file *g, int *ret_first, int *ret_last)
{
	if (sscanf(hook_words(g), "%*s %d %d", ret_first, ret_last) == 2)
		return;
	*ret_first = -1;
	*ret_last = 0;
}

struct golden_section *golden_rules(struct golden_file *g, enum judge_tool *ret_tool)
{
	for (size_t i = 0; i < sizeof(tools) / sizeof(*tools); i++) {
		struct golden_section *s = golden_section(g, tools[i].name);

		if (s) {
			*ret_tool = tools[i].tool;
			return s;
		}
	}
	return NULL;
}

static bool run_line(struct golden_file *g, struct diags *ds, char *line, struct golden_run *ret)
{
	char *arrow = strstr(line, "=>"), word[16] = "";

	if (!arrow || sscanf(arrow + 2, "%15s", word) != 1)
		return false;
	for (unsigned int k = 0; k < sizeof(says) / sizeof(*says); k++)
		if (!strcmp(word, says[k]) || !strcmp(word, "?")) {
			ret->want = k;
			ret->open = *word == '?';
			ret->line = line;
			return packet_parse(g->arena, ds, arena_strndup(g->arena, line, arrow - line), &ret->packet);
		}
	return false;
}

bool golden_runs(struct golden_file *g, struct diags *ds, struct golden_run **ret, unsigned int *ret_n)
{
	struct golden_section *s = golden_section(g, "run");
	char *copy, *save, *line;
	unsigned int max = 1;

	*ret_n = 0;
	if (!s)
		return true;
	copy = arena_strndup(g->arena, s->body, strlen(s->body));
	for (const char *p = copy; *p; p++)
		max += *p == '\n';
	*ret = arena_alloc(g->arena, max * sizeof(**ret));
	for (line = strtok_r(copy, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
		if (*line == '#')
			continue;
		if (!run_line(g, ds, line, &(*ret)[*ret_n])) {
			diag_add(ds, DIAG_ERROR, NULL, "%s: run line \"%s\" cannot be read", g->path, line);
			return false;
		}
		++*ret_n;
	}
	return true;
}

static int by_name(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

unsigned int golden_find(const char *dir, const char *only, char **ret, unsigned int max)
{
	DIR *d = opendir(dir);
	struct dirent *e;
	unsigned int n = 0;

	while (d && n < max && (e = readdir(d))) {
		size_t len = strlen(e->d_name);

		if (len < 3 || strcmp(e->d_name + len - 2, ".t") || (only && !strstr(e->d_name, only)))
			continue;
		if (asprintf(&ret[n], "%s/%s", dir, e->d_name) > 0)
			n++;
	}
	if (d)
		closedir(d);
	qsort(ret, n, sizeof(*ret), by_name);
	return n;
}
