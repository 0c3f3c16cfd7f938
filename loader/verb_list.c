/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * list: what is enforced, in the input's own syntax, so that its own tool takes it back; whatever fwjit has to say stands
 * behind a '#'. An exact program's counters stand in the rules themselves. A slice's own drops are added to what the live
 * rules have counted.
 */
#include <stdlib.h>
#include <string.h>

#include "cli.h"

struct listing {
	struct cli *c;
	struct strbuf out;
	const struct ld_state *st;
	struct meta meta;
	const struct imr_at **slot;
	struct be_counter *count;
	struct fe_texts *live;		/* what the live rules have counted, where they are the authority */
	bool shut;			/* it drops nothing: its gate is not open */
};

/* Our own counter of a rule (a rule may have several in a slice), and what the live rule has counted itself. */
static void count_of(const struct listing *l, const struct imr_at *at, struct be_counter *sum)
{
	*sum = (struct be_counter){ 0 };
	if (l->live)
		fe_texts_count(l->live, at, &sum->packets, &sum->bytes);
	for (uint32_t i = 0; i < l->meta.placed->n_slot && i < l->st->n_slot; i++) {
		if (!l->slot[i] || !at_same(l->slot[i], at))
			continue;
		sum->packets += l->count[i].packets;
		sum->bytes += l->count[i].bytes;
	}
}

/* nft's text, its counter with numbers unless -s says not to. */
static void nft_rule(struct listing *l, const struct imr_at *at)
{
	const char *text = at->text ? at->text : "", *p = strstr(text, "counter");
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
	const struct imr *imr = l->meta.source;
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
	const struct imr *imr = l->meta.source;
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
	const struct imr *imr = l->meta.source;
	bool *done = arena_alloc(l->c->arena, imr->n + 1);

	for (uint32_t i = 0; i < imr->n; i++) {
		const struct imr_at *at = &imr->chain[i].at;
		char a[512];
		const char *f, *t, *ch;

		if (!done[i] && at->tool && strcmp(at->tool, "nft") && strcmp(at->tool, "imr") && split_where(at->where, a, &f, &t, &ch))
			ipt_table(l, at->tool, arena_strndup(l->c->arena, t, strlen(t)), done);
	}
}

static void counters_text(struct listing *l)
{
	for (uint32_t i = 0; i < l->meta.placed->n_slot && i < l->st->n_slot; i++) {
		const struct imr_at *at = l->slot[i];

		if (!at)
			continue;
		if (l->c->json) {
			strbuf_add(&l->out, "{\"id\":");
			json_str(&l->out, l->st->id);
			strbuf_add(&l->out, ",\"chain\":");
			json_str(&l->out, at->where);
			strbuf_add(&l->out, ",\"rule\":%u,\"handle\":%llu,\"packets\":%llu,\"bytes\":%llu,\"text\":", at->number,
				   (unsigned long long)at->handle, (unsigned long long)l->count[i].packets,
				   (unsigned long long)l->count[i].bytes);
			json_str(&l->out, at->text);
			strbuf_add(&l->out, "}\n");
		} else {
			strbuf_add(&l->out, "%s %s rule %u: packets %llu bytes %llu  # %s\n", l->st->id, at->where, at->number,
				   (unsigned long long)l->count[i].packets, (unsigned long long)l->count[i].bytes,
				   at->number ? (at->text ? at->text : "") : "policy");
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

static const char *header_json(const struct listing *l)
{
	return l->st->gone ? "gone" : l->shut ? "shut" : "open";
}

static void header(struct listing *l)
{
	if (l->c->json) {
		strbuf_add(&l->out, "{\"id\":");
		json_str(&l->out, l->st->id);
		strbuf_add(&l->out, ",\"target\":\"%s\",\"dev\":", l->st->target);
		json_str(&l->out, l->st->where.dev);
		strbuf_add(&l->out, ",\"program\":%u,\"mode\":\"%s\",\"gate\":\"%s\"}\n", l->st->prog_id,
			   l->meta.live ? "slice" : "exact", header_json(l));
		return;
	}
	strbuf_add(&l->out, "# fwjit: %s on %s, program %u, %s%s%s\n", l->st->target, *l->st->where.dev ? l->st->where.dev : l->st->id, l->st->prog_id,
		   l->meta.live ? "drops early what the live rules surely drop" : "exact",
		   l->shut ? "; its gate is shut: everything passes (is its watcher running, and does `fwjit check` refuse "
			     "nothing?)" : "",
		   l->st->gone ? "; the device is gone" : "");
}

static int one(struct cli *c, const struct ld_state *st, bool counters, struct strbuf *out)
{
	struct listing l = { .c = c, .out = { .arena = c->arena }, .st = st };

	if (meta_decode(c, st, &l.meta))
		return EXIT_INPUT;
	l.slot = meta_slots(c->arena, l.meta.placed);
	l.count = arena_alloc(c->arena, (st->n_slot + 1) * sizeof(*l.count));
	if (st->n_slot && ld_state_counters(c->diags, st->id, l.count, st->n_slot))
		return EXIT_INPUT;
	if (l.meta.live && !counters && !c->json) {
		struct fe_capture now;

		if (!fe_live_get(c->arena, c->diags, &now))
			l.live = fe_texts_new(c->arena, &now);
	}
	l.shut = is_shut(c, st);
	header(&l);
	if (counters || c->json) {
		counters_text(&l);
	} else {
		nft_tables(&l);
		ipt_tables(&l);
	}
	if (l.out.len)
		strbuf_add_bytes(out, l.out.s, l.out.len);
	return EXIT_DONE;
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
	for (uint32_t i = 0; i < n && !r; i++)
		r = one(c, &st[i], counters, &out);
	if (!r && !n && ld_state_hidden()) {
		diag_add(c->diags, DIAG_ERROR, NULL, "what is attached here is not yours to see: the BPF file system is not yours");
		r = EXIT_RIGHTS;
	}
	cli_put(c, &out, true);
	cli_diags(c, DIAG_ERROR);
	return r;
}
