/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * list: what is enforced, in the input's own syntax, so that its own tool takes it back; whatever fwjit has to say stands
 * behind a '#'. An exact program's counters stand in the rules themselves. A slice's own drops are added to what the live
 * rules have counted.
 */
#include <stdlib.h>
#include <string.h>

#include "cli.h"

struct member {			/* one attachment */
	const struct ld_state *st;
	struct meta meta;
	bool shut;
};

struct total {			/* what the programs counted for one rule */
	const struct imr_at *at;
	struct be_counter count;
};

/* What was made from one reading of the rules: the programs of a file, at all their places, or the slices of all devices. */
struct listing {
	struct cli *c;
	struct strbuf out;
	uint32_t n;
	struct member *m;
	const struct imr *source;
	bool is_live;
	bool counts;			/* some attachment has counters (classic filters have none) */
	uint32_t n_total;
	struct total *total;		/* sorted by rule */
	struct fe_texts *live;		/* what the live rules have counted, where they are the authority */
};

static int cmp_at(const struct imr_at *a, const struct imr_at *b)
{
	int r = strcmp(a->where ? a->where : "", b->where ? b->where : "");

	if (!r)
		r = (a->number > b->number) - (a->number < b->number);
	if (!r)
		r = (a->handle > b->handle) - (a->handle < b->handle);
	return r ? r : strcmp(a->tool ? a->tool : "", b->tool ? b->tool : "");
}

static int cmp_total(const void *a, const void *b)
{
	return cmp_at(((const struct total *)a)->at, ((const struct total *)b)->at);
}

/* Sorted; a rule that stands at several places, or several times in one program, is one. */
static uint32_t merge(struct total *t, uint32_t n)
{
	uint32_t kept = 0;

	qsort(t, n, sizeof(*t), cmp_total);
	for (uint32_t i = 0; i < n; i++) {
		if (kept && !cmp_at(t[kept - 1].at, t[i].at)) {
			t[kept - 1].count.packets += t[i].count.packets;
			t[kept - 1].count.bytes += t[i].count.bytes;
		} else {
			t[kept++] = t[i];
		}
	}
	return kept;
}

/* The counters of one attachment, behind those that are there. */
static bool totals_add(struct listing *l, const struct member *m)
{
	const struct imr_at **slot = meta_slots(l->c->arena, m->meta.placed);
	struct be_counter *count = arena_alloc(l->c->arena, (m->st->n_slot + 1) * sizeof(*count));

	if (m->st->n_slot && ld_state_counters(l->c->diags, m->st->id, count, m->st->n_slot))
		return false;
	l->total = arena_grow(l->c->arena, l->total, l->n_total * sizeof(*l->total),
			      (l->n_total + m->st->n_slot + 1) * sizeof(*l->total));
	for (uint32_t i = 0; i < m->st->n_slot && i < m->meta.placed->n_slot; i++)
		if (slot[i])
			l->total[l->n_total++] = (struct total){ slot[i], count[i] };
	return true;
}

/* Our own counter of a rule, and what the live rule has counted itself. */
static void count_of(const struct listing *l, const struct imr_at *at, struct be_counter *sum)
{
	struct total key = { .at = at };
	const struct total *t = bsearch(&key, l->total, l->n_total, sizeof(*l->total), cmp_total);

	*sum = (struct be_counter){ 0 };
	if (l->live)
		fe_texts_count(l->live, at, &sum->packets, &sum->bytes);
	if (t) {
		sum->packets += t->count.packets;
		sum->bytes += t->count.bytes;
	}
}

/* nft's text, its counter with numbers unless -s says not to. */
static void nft_rule(struct listing *l, const struct imr_at *at)
{
	const char *text = at->text ? at->text : "", *p = l->counts ? strstr(text, "counter") : NULL;
	struct be_counter sum;

	strbuf_add(&l->out, "\t\t");
	if (p && !l->c->stateless && (p == text || p[-1] == ' ') && (!p[7] || p[7] == ' ')) {
		count_of(l, at, &sum);
		strbuf_add_bytes(&l->out, text, p + 7 - text);
		strbuf_add(&l->out, " packets %llu bytes %llu", (unsigned long long)sum.packets, (unsigned long long)sum.bytes);
		text = p + 7;
	}
	strbuf_add(&l->out, "%s", text);
	if (l->c->handles && at->handle)
		strbuf_add(&l->out, " # handle %llu", (unsigned long long)at->handle);
	strbuf_add(&l->out, "\n");
}

/* "ip filter INPUT" -> family, table, chain in buf (NUL-separated). False where it is not three words. */
static bool split_where(const char *where, char buf[512], const char **family, const char **table, const char **chain)
{
	char *p, *q;

	if (!where || strlen(where) >= 512)
		return false;
	strcpy(buf, where);
	p = strchr(buf, ' ');
	q = p ? strchr(p + 1, ' ') : NULL;
	if (!q)
		return false;
	*p = *q = '\0';
	*family = buf;
	*table = p + 1;
	*chain = q + 1;
	return true;
}

static const char *hook_word(enum imr_hook hook)
{
	const char *dot = strchr(imr_hooks[hook].name, '.');

	return dot ? dot + 1 : imr_hooks[hook].name;
}

static void nft_chain(struct listing *l, const struct imr_chain *ch, const char *chain)
{
	static const char *const kinds[] = { [KIND_FILTER] = "filter", [KIND_NAT] = "nat", [KIND_ROUTE] = "route" };

	strbuf_add(&l->out, "\tchain %s {\n", chain);
	if (ch->hook != HOOK_NONE) {
		strbuf_add(&l->out, "\t\ttype %s hook %s ", kinds[ch->kind], hook_word(ch->hook));
		for (uint32_t i = 0; i < ch->n_dev; i++)
			strbuf_add(&l->out, "%s\"%s\"%s", i ? ", " : ch->n_dev > 1 ? "devices = { " : "device ", ch->dev[i],
				   i + 1 == ch->n_dev ? (ch->n_dev > 1 ? " } " : " ") : "");
		strbuf_add(&l->out, "priority %d; policy %s;\n", ch->prio, ch->policy == OP_DROP ? "drop" : "accept");
	}
	for (uint32_t k = 0; k < ch->n; k++)
		nft_rule(l, &ch->rule[k].at);
	strbuf_add(&l->out, "\t}\n");
}

/* Every table once, with its chains; chains of one table need not stand together in the program. */
static void nft_tables(struct listing *l)
{
	const struct imr *imr = l->source;
	bool *done = arena_alloc(l->c->arena, imr->n + 1);

	for (uint32_t i = 0; i < imr->n; i++) {
		char a[512], b[512];
		const char *f1, *t1, *c1, *f2, *t2, *c2;

		if (done[i] || !imr->chain[i].at.tool || strcmp(imr->chain[i].at.tool, "nft") ||
		    !split_where(imr->chain[i].at.where, a, &f1, &t1, &c1))
			continue;
		strbuf_add(&l->out, "table %s %s {\n", f1, t1);
		/* A chain must stand before the jumps to it are read: nft takes them in any order within one table. */
		for (uint32_t k = i; k < imr->n; k++) {
			if (done[k] || !split_where(imr->chain[k].at.where, b, &f2, &t2, &c2) || strcmp(f1, f2) || strcmp(t1, t2))
				continue;
			nft_chain(l, &imr->chain[k], c2);
			done[k] = true;
		}
		strbuf_add(&l->out, "}\n");
	}
}

static void ipt_counter(struct listing *l, const struct imr_at *at, bool end)
{
	struct be_counter sum;

	count_of(l, at, &sum);
	if (!l->c->stateless)
		strbuf_add(&l->out, end ? " [%llu:%llu]" : "[%llu:%llu] ", (unsigned long long)sum.packets,
			   (unsigned long long)sum.bytes);
	else if (end)
		strbuf_add(&l->out, " [0:0]");
}

static void ipt_table(struct listing *l, const char *tool, const char *table, bool *done)
{
	const struct imr *imr = l->source;
	char b[512];
	const char *f, *t, *ch;

	strbuf_add(&l->out, "# %s\n*%s\n", tool, table);
	for (uint32_t pass = 0; pass < 2; pass++) {
		for (uint32_t k = 0; k < imr->n; k++) {
			const struct imr_chain *c = &imr->chain[k];

			if (!c->at.tool || strcmp(c->at.tool, tool) || !split_where(c->at.where, b, &f, &t, &ch) || strcmp(t, table))
				continue;
			done[k] = true;
			if (!pass) {
				strbuf_add(&l->out, ":%s %s", ch, c->hook == HOOK_NONE ? "-" : c->policy == OP_DROP ? "DROP" : "ACCEPT");
				ipt_counter(l, &c->at, true);
				strbuf_add(&l->out, "\n");
				continue;
			}
			for (uint32_t r = 0; r < c->n; r++) {
				ipt_counter(l, &c->rule[r].at, false);
				strbuf_add(&l->out, "%s\n", c->rule[r].at.text ? c->rule[r].at.text : "# no text");
			}
		}
	}
	strbuf_add(&l->out, "COMMIT\n");
}

static void ipt_tables(struct listing *l)
{
	const struct imr *imr = l->source;
	bool *done = arena_alloc(l->c->arena, imr->n + 1);

	for (uint32_t i = 0; i < imr->n; i++) {
		const struct imr_at *at = &imr->chain[i].at;
		char a[512];
		const char *f, *t, *ch;

		if (!done[i] && at->tool && strcmp(at->tool, "nft") && strcmp(at->tool, "imr") && split_where(at->where, a, &f, &t, &ch))
			ipt_table(l, at->tool, arena_strndup(l->c->arena, t, strlen(t)), done);
	}
}

/* One attachment's own: l->total is of it alone. */
static void counters_text(struct listing *l, const struct member *m)
{
	for (uint32_t i = 0; i < l->n_total; i++) {
		const struct imr_at *at = l->total[i].at;
		unsigned long long packets = l->total[i].count.packets, bytes = l->total[i].count.bytes;

		if (l->c->json) {
			strbuf_add(&l->out, "{\"id\":");
			json_str(&l->out, m->st->id);
			strbuf_add(&l->out, ",\"chain\":");
			json_str(&l->out, at->where);
			strbuf_add(&l->out, ",\"rule\":%u,\"handle\":%llu,\"packets\":%llu,\"bytes\":%llu,\"text\":", at->number,
				   (unsigned long long)at->handle, packets, bytes);
			json_str(&l->out, at->text);
			strbuf_add(&l->out, "}\n");
		} else {
			strbuf_add(&l->out, "%s %s rule %u: packets %llu bytes %llu  # %s\n", m->st->id, at->where, at->number,
				   packets, bytes, at->number ? (at->text ? at->text : "") : "policy");
		}
	}
}

/* Nobody has renewed it: the watcher has ended, or keeps it shut. Without the right to read the clock it is taken for open. */
static bool is_shut(struct cli *c, const struct ld_state *st)
{
	struct ld_jiffies clock;
	struct diags quiet = { .arena = c->arena };
	uint64_t until, now;

	if (ld_state_gate_get(st->id, &until) || ld_jiffies_open(&quiet, &clock))
		return false;
	now = ld_jiffies_in(&clock, 0);
	ld_jiffies_close(&clock);
	return now && until <= now;
}

static void header(struct listing *l, const struct member *m)
{
	const struct ld_state *st = m->st;

	if (l->c->json) {
		strbuf_add(&l->out, "{\"id\":");
		json_str(&l->out, st->id);
		strbuf_add(&l->out, ",\"target\":\"%s\",\"dev\":", st->target);
		json_str(&l->out, st->where.dev);
		strbuf_add(&l->out, ",\"program\":%u,\"mode\":\"%s\",\"gate\":\"%s\"}\n", st->prog_id,
			   l->is_live ? "slice" : "exact", st->gone ? "gone" : m->shut ? "shut" : "open");
		return;
	}
	strbuf_add(&l->out, "# fwjit: %s: %s, program %u, %s%s%s\n", st->id, st->target, st->prog_id,
		   l->is_live ? "drops early what the live rules surely drop" : "exact",
		   m->shut ? "; its gate is shut: everything passes (is its watcher running, and does `fwjit check` refuse "
			     "nothing?)" : "",
		   st->gone ? "; the device is gone" : "");
}

static int list_counters(struct listing *l)
{
	for (uint32_t i = 0; i < l->n; i++) {
		l->n_total = 0;
		if (!totals_add(l, &l->m[i]))
			return EXIT_INPUT;
		l->n_total = merge(l->total, l->n_total);
		header(l, &l->m[i]);
		counters_text(l, &l->m[i]);
	}
	return EXIT_DONE;
}

static int list_rules(struct listing *l)
{
	for (uint32_t i = 0; i < l->n; i++) {
		if (!totals_add(l, &l->m[i]))
			return EXIT_INPUT;
		header(l, &l->m[i]);
	}
	l->n_total = merge(l->total, l->n_total);
	l->counts = l->n_total || l->is_live;
	if (l->is_live) {
		struct fe_capture now;

		if (!cli_live(l->c, &now))
			l->live = fe_texts_new(l->c->arena, &now);
	}
	nft_tables(l);
	ipt_tables(l);
	return EXIT_DONE;
}

/* Made from the same rules, in the same mode. */
static bool together(const struct member *a, const struct member *b)
{
	return a->meta.live == b->meta.live && a->meta.source_len == b->meta.source_len &&
	       !memcmp(a->meta.source_text, b->meta.source_text, a->meta.source_len);
}

/* The attachment and all behind it that were made together with it; those are done then. */
static int one_group(struct cli *c, const struct member *all, uint32_t first, uint32_t n, bool *done, bool counters,
		     struct strbuf *out)
{
	struct listing l = { .c = c, .out = { .arena = c->arena }, .source = all[first].meta.source,
			     .is_live = all[first].meta.live };
	int r;

	l.m = arena_alloc(c->arena, (n - first) * sizeof(*l.m));
	for (uint32_t i = first; i < n; i++)
		if (!done[i] && together(&all[first], &all[i])) {
			l.m[l.n++] = all[i];
			done[i] = true;
		}
	r = counters || c->json ? list_counters(&l) : list_rules(&l);
	if (!r && l.out.len)
		strbuf_add_bytes(out, l.out.s, l.out.len);
	return r;
}

/* Classic filters that another user attached, or whose file is gone: the kernel keeps the filters alone. */
static void no_meta(struct cli *c, const struct ld_state *st, struct strbuf *out)
{
	if (!c->json) {
		strbuf_add(out, "# fwjit: %s: %s; its rules are not known here\n", st->id, st->target);
		return;
	}
	strbuf_add(out, "{\"id\":");
	json_str(out, st->id);
	strbuf_add(out, ",\"target\":\"%s\",\"mode\":null}\n", st->target);
}

static int list_all(struct cli *c, const struct ld_state *st, uint32_t n, bool counters, struct strbuf *out)
{
	struct member *all = arena_alloc(c->arena, (n + 1) * sizeof(*all));
	bool *done = arena_alloc(c->arena, n + 1);
	int r = EXIT_DONE;

	for (uint32_t i = 0; i < n && !r; i++) {
		all[i].st = &st[i];
		done[i] = !st[i].meta_len;
		if (done[i]) {
			no_meta(c, &st[i], out);
			continue;
		}
		all[i].shut = is_shut(c, &st[i]);
		r = meta_decode(c, &st[i], &all[i].meta);
	}
	for (uint32_t i = 0; i < n && !r; i++)
		if (!done[i])
			r = one_group(c, all, i, n, done, counters, out);
	return r;
}

int verb_list(struct cli *c)
{
	struct strbuf out = { .arena = c->arena };
	bool counters = c->object && !strcmp(c->object, "counters");
	struct ld_state *st = NULL;
	uint32_t n = 0;
	int r = EXIT_DONE;

	if (c->object && !counters && strcmp(c->object, "ruleset")) {
		fprintf(stderr, "fwjit: list \"%s\": ruleset or counters\n", c->object);
		return EXIT_USAGE;
	}
	if (ld_state_list(c->arena, c->diags, &st, &n))
		r = EXIT_INPUT;
	r = r ? r : list_all(c, st, n, counters, &out);
	if (!r && !n && ld_state_hidden()) {
		diag_add(c->diags, DIAG_ERROR, NULL, "what is attached here is not yours to see: the BPF file system is not yours");
		r = EXIT_RIGHTS;
	}
	cli_put(c, &out, true);
	cli_diags(c, DIAG_ERROR);
	return r;
}
