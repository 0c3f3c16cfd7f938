/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * From the options to a program: the live rules, or files recognised by what is in them. A capture and rule text both
 * become captured bytes, so that one frontend reads everything; only IMR text is a program already. Several files of rule text are
 * one ruleset, as if their tools had loaded them one after the other.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/capability.h>

#include "cli.h"

#define SLURP_MAX (1UL << 30)
#define IMR_MAGIC "imr 1"

/* Root may read every file: that right alone, and for the opening alone. */
static FILE *open_to_read(const char *path)
{
	uint64_t was = ld_rights_raise(1ULL << CAP_DAC_READ_SEARCH);
	FILE *f = strcmp(path, "-") ? fopen(path, "re") : stdin;
	int err = errno;

	ld_rights_lower(&was);
	errno = err;
	return f;
}

int cli_slurp(struct cli *c, const char *path, char **ret, size_t *ret_len)
{
	size_t cap = 1 << 16, len = 0, n;
	FILE *f = open_to_read(path);
	char *buf;

	if (!f) {
		diag_add(c->diags, DIAG_ERROR, NULL, "%s: %s", path, strerror(errno));
		return EXIT_INPUT;
	}
	buf = arena_alloc(c->arena, cap);
	while ((n = fread(buf + len, 1, cap - len - 1, f)) > 0) {
		len += n;
		if (len > SLURP_MAX)
			break;
		if (cap - len - 1 == 0) {
			buf = arena_grow(c->arena, buf, cap, cap * 2);
			cap *= 2;
		}
	}
	n = ferror(f);
	if (f != stdin)
		fclose(f);
	if (n || len > SLURP_MAX) {
		diag_add(c->diags, DIAG_ERROR, NULL, "%s: %s", path, n ? "cannot be read" : "longer than 1 GiB");
		return EXIT_INPUT;
	}
	buf[len] = '\0';
	*ret = buf;
	*ret_len = len;
	return 0;
}

int cli_profile(struct cli *c, struct imr_profile *ret)
{
	int r = ld_profile(ret);

	if (r)
		diag_add(c->diags, DIAG_NOTE, NULL,
			 "the kernel's semantics profile could not be probed (%s); a current kernel's is assumed", strerror(-r));
	return 0;
}

static bool begins(const char *text, size_t len, const char *with)
{
	return len >= strlen(with) && !memcmp(text, with, strlen(with));
}

/* Blank lines and comments may precede the magic word of IMR text. */
static bool is_imr_text(const char *s, size_t len)
{
	const char *end = s + len;

	while (s < end && (*s == '#' || *s == '\n' || *s == ' ' || *s == '\t')) {
		if (*s == '#')
			while (s < end && *s != '\n')
				s++;
		else
			s++;
	}
	return begins(s, end - s, IMR_MAGIC);
}

static enum fe_text_kind text_kind(const struct cli *c, const char *text, size_t len)
{
	enum fe_text_kind k = fe_text_recognise(text, len);

	if (c->from && !strcmp(c->from, "nft"))
		return k == FE_TEXT_IPT ? FE_TEXT_IPT_NFT : k == FE_TEXT_IP6T ? FE_TEXT_IP6T_NFT : k;
	return k;
}

/* One file that is no rule text is a whole ruleset by itself. */
static bool is_whole(const char *text, size_t len)
{
	return is_imr_text(text, len) || begins(text, len, FE_CAPTURE_MAGIC);
}

static int joined(struct cli *c, const char *path, const char *text, size_t len)
{
	diag_add(c->diags, DIAG_ERROR, NULL, "%s: %s is a whole ruleset: it cannot be joined with another file", path,
		 is_imr_text(text, len) ? "IMR text" : "a capture");
	return EXIT_INPUT;
}

static int live_exit(int err)
{
	return err == -EPERM || err == -EACCES ? EXIT_RIGHTS : err ? EXIT_INPUT : 0;
}

/* The kernel gives rules to CAP_NET_ADMIN only, the blobs of iptables to CAP_NET_RAW too. */
int cli_live(struct cli *c, struct fe_capture *ret)
{
	uint64_t was = ld_rights_raise(1ULL << CAP_NET_ADMIN | 1ULL << CAP_NET_RAW);
	int r = fe_live_get(c->arena, c->diags, ret);

	ld_rights_lower(&was);
	return live_exit(r);
}

/* The sandbox is made with the caller's rights, and keeps of them what its tools need. */
static int text_get(struct cli *c, const struct fe_text *t, struct fe_capture *ret)
{
	uint64_t was = ld_rights_raise(~0ULL);
	int r = fe_text_get_all(c->arena, c->diags, t, c->n_file, ret);

	ld_rights_lower(&was);
	return r ? EXIT_INPUT : 0;
}

int cli_capture(struct cli *c, struct fe_capture *ret, const char **ret_imr, size_t *ret_len)
{
	struct fe_text t[CLI_MAX] = { 0 };

	*ret = (struct fe_capture){ 0 };
	*ret_imr = NULL;
	if (!c->n_file)
		return cli_live(c, ret);
	for (unsigned int i = 0; i < c->n_file; i++) {
		char *text;

		if (cli_slurp(c, c->file[i], &text, &t[i].len))
			return EXIT_INPUT;
		t[i].path = c->file[i];
		t[i].text = text;
		t[i].kind = text_kind(c, text, t[i].len);
		if (is_whole(text, t[i].len) && c->n_file > 1)
			return joined(c, c->file[i], text, t[i].len);
	}
	if (is_imr_text(t[0].text, t[0].len)) {
		*ret_imr = t[0].text;
		*ret_len = t[0].len;
		return 0;
	}
	if (begins(t[0].text, t[0].len, FE_CAPTURE_MAGIC))
		return fe_capture_decode(c->arena, c->diags, t[0].text, t[0].len, ret) ? 0 : EXIT_INPUT;
	return text_get(c, t, ret);
}

/* The capture or text was read before without an error, so what it says again goes to a list that nobody prints. */
static struct imr *read_again(struct cli *c, const struct cli_input *in)
{
	struct diags *quiet = arena_alloc(c->arena, sizeof(*quiet));

	quiet->arena = c->arena;
	if (!in->capture.n) {
		struct strbuf text = { .arena = c->arena };

		imr_print(&text, in->source);
		return imr_parse(c->arena, quiet, text.s, text.len);
	}
	return fe_read(c->arena, quiet, &in->profile, &in->capture);
}

struct imr *cli_program(struct cli *c, const struct cli_input *in, const char *last)
{
	struct imr *imr = read_again(c, in);

	if (!imr)
		return NULL;
	imr->diags = c->diags;
	return imr_optimise(imr, last) ? imr : NULL;
}

int cli_read(struct cli *c, struct cli_input *ret)
{
	const char *text;
	size_t len;
	int r;

	*ret = (struct cli_input){ .live = !c->n_file || c->slice };
	cli_profile(c, &ret->profile);
	r = cli_capture(c, &ret->capture, &text, &len);
	if (r)
		return r;
	if (c->asks_no_more)
		ld_rights_renounce();
	ret->source = text ? imr_parse(c->arena, c->diags, text, len) :
			     fe_read(c->arena, c->diags, &ret->profile, &ret->capture);
	if (!ret->source || diags_have(c->diags, DIAG_ERROR))
		return EXIT_INPUT;
	ret->imr = cli_program(c, ret, NULL);
	return ret->imr ? 0 : EXIT_INPUT;
}
