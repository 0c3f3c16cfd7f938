/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * test: verdict and deciding rule of each packet, offline. The interpreter takes the packet through every base chain that
 * it would meet on its way in: ingress, prerouting, then forward where it has an outgoing device and input where it has
 * none; where a rule that cannot be said decides, the verdict is `unknown`. The engine xdp asks the loaded program.
 */
#include <errno.h>
#include <net/if.h>
#include <stdlib.h>
#include <string.h>

#include "cli.h"
#include "packet.h"

struct session {
	struct cli *c;
	struct cli_input in;
	struct plan plan;		/* engine xdp */
	struct ld_prog *prog;		/* one a device of the plan */
	unsigned int unknown;		/* packets whose verdict rests on what cannot be said */
	struct strbuf out;
};

/* Base chains in the order in which one packet meets them: by way, then priority. */
static int way(enum imr_hook h, bool forward)
{
	switch (imr_hooks[h].num) {
	case HN_INGRESS: return 1;
	case HN_PREROUTING:
	case HN_EARLY: return 2;
	case HN_INPUT: return forward ? 0 : 3;
	case HN_FORWARD: return forward ? 3 : 0;
	default: return 0;
	}
}

struct turn { int way; int32_t prio; uint32_t chain; };

static int cmp_turn(const void *a, const void *b)
{
	const struct turn *x = a, *y = b;

	if (x->way != y->way)
		return x->way - y->way;
	return x->prio != y->prio ? (x->prio > y->prio) - (x->prio < y->prio) : (int)x->chain - (int)y->chain;
}

static bool bound(const struct imr_chain *ch, const char *dev)
{
	for (uint32_t i = 0; i < ch->n_dev; i++)
		if (!strcmp(ch->dev[i], dev))
			return true;
	return !ch->n_dev || !*dev;
}

static void interpret(struct session *s, const struct imr_pkt *pkt, struct imr_result *ret)
{
	const struct imr *imr = s->in.imr;
	struct turn *t = arena_alloc(s->c->arena, (imr->n + 1) * sizeof(*t));
	uint32_t n = 0;

	*ret = (struct imr_result){ .verdict = V_NONE };
	for (uint32_t i = 0; i < imr->n; i++) {
		const struct imr_chain *ch = &imr->chain[i];
		int w = ch->hook == HOOK_NONE ? 0 : way(ch->hook, pkt->oif != 0);

		if (w && bound(ch, pkt->iifname))
			t[n++] = (struct turn){ w, ch->prio, i };
	}
	qsort(t, n, sizeof(*t), cmp_turn);
	for (uint32_t i = 0; i < n; i++) {
		struct imr_result r;

		imr_run(&r, imr, t[i].chain, pkt, NULL);
		if (r.verdict == V_NONE)
			continue;
		*ret = r;
		if (r.verdict != V_ACCEPT)
			return;
	}
}

static const char *const words[] = {
	[V_NONE] = "none", [V_ACCEPT] = "accept", [V_DROP] = "drop", [V_PASS] = "pass", [V_UNKNOWN] = "unknown",
};

static void say(struct session *s, unsigned int n, const struct packet *p, const struct imr_result *r)
{
	const struct imr_at *at = &r->at;

	if (s->c->json) {
		strbuf_add(&s->out, "{\"n\":%u,\"verdict\":\"%s\"", n, words[r->verdict]);
		if (at->where) {
			strbuf_add(&s->out, ",\"chain\":");
			json_str(&s->out, at->where);
			strbuf_add(&s->out, ",\"rule\":%u", at->number);
			if (at->handle)
				strbuf_add(&s->out, ",\"handle\":%llu", (unsigned long long)at->handle);
			if (at->text) {
				strbuf_add(&s->out, ",\"text\":");
				json_str(&s->out, at->text);
			}
		}
		strbuf_add(&s->out, "}\n");
		return;
	}
	strbuf_add(&s->out, "%s  => %s", packet_describe(s->c->arena, p), words[r->verdict]);
	if (at->where && at->number)
		strbuf_add(&s->out, "  # %s rule %u%s%s", at->where, at->number, at->text ? ": " : "", at->text ? at->text : "");
	else if (at->where)
		strbuf_add(&s->out, "  # %s policy", at->where);
	strbuf_add(&s->out, "\n");
}

static int device_of(struct session *s, const char *dev)
{
	for (uint32_t i = 0; i < s->plan.n; i++)
		if (!*dev || !strcmp(s->plan.dev[i].env.dev, dev))
			return i;
	return -1;
}

/* A program says what, not why: the rule is the one by which the interpreter comes to the same verdict. */
static void name_rule(struct session *s, const struct plan_dev *d, const struct imr_pkt *pkt, struct imr_result *verdict)
{
	struct imr_pkt here = *pkt;
	struct imr_result r;

	memcpy(here.mac, d->env.mac, sizeof(here.mac));
	here.iif = d->env.ifindex;
	memcpy(here.iifname, d->env.dev, sizeof(here.iifname));
	imr_run(&r, d->placed, 0, &here, NULL);
	if (r.verdict == verdict->verdict)
		verdict->at = r.at;
}

static int run_program(struct session *s, const struct packet *p, const struct imr_pkt *pkt, struct imr_result *ret)
{
	int i = device_of(s, p->iif), r;

	*ret = (struct imr_result){ .verdict = V_NONE };
	if (i < 0)
		return 0;
	r = ld_test_run(s->prog[i].fd, p->frame, p->len, 0);
	if (r < 0) {
		diag_add(s->c->diags, DIAG_ERROR, NULL, "the program cannot be run on this packet: %s", strerror(-r));
		return EXIT_INPUT;
	}
	ret->verdict = (uint32_t)r == s->plan.dev[i].target->verdict_drop ? V_DROP : s->plan.in.live ? V_PASS : V_ACCEPT;
	name_rule(s, &s->plan.dev[i], pkt, ret);
	return 0;
}

static void pkt_of(const struct packet *p, struct imr_pkt *ret)
{
	*ret = (struct imr_pkt){ .frame = p->frame, .len = p->len };
	memcpy(ret->mac, PACKET_MAC, sizeof(ret->mac));
	memcpy(ret->iifname, p->iif, sizeof(ret->iifname));
	memcpy(ret->oifname, p->oif, sizeof(ret->oifname));
	ret->iif = *p->iif ? fe_ifindex(p->iif) : 1;
	ret->oif = *p->oif ? fe_ifindex(p->oif) : 0;
}

static int judge(struct session *s, unsigned int n, const struct packet *p)
{
	struct imr_result r;
	struct imr_pkt pkt;
	int e = 0;

	pkt_of(p, &pkt);
	if (s->prog)
		e = run_program(s, p, &pkt, &r);
	else
		interpret(s, &pkt, &r);
	if (!e)
		say(s, n, p, &r);
	s->unknown += r.verdict == V_UNKNOWN;
	return e;
}

static int packets(struct session *s, struct packet **ret, uint32_t *ret_n)
{
	struct cli *c = s->c;
	char *data;
	size_t len;

	*ret_n = 0;
	if (c->pcap) {
		if (cli_slurp(c, c->pcap, &data, &len))
			return EXIT_INPUT;
		return pcap_read(c->arena, c->diags, (const uint8_t *)data, len, ret, ret_n) ? EXIT_INPUT : 0;
	}
	*ret = arena_alloc(c->arena, (c->n_packet + 1) * sizeof(**ret));
	for (unsigned int i = 0; i < c->n_packet; i++)
		if (!packet_parse(c->arena, c->diags, c->packet[i], &(*ret)[(*ret_n)++]))
			return EXIT_INPUT;
	for (uint32_t i = 0; i < *ret_n; i++)
		if (!*(*ret)[i].iif && c->n_dev)
			strncpy((*ret)[i].iif, c->dev[0], sizeof((*ret)[i].iif) - 1);
	return 0;
}

static int prepare(struct session *s)
{
	struct cli *c = s->c;
	int r;

	c->asks_no_more = !c->engine || !strcmp(c->engine, "interp");
	if (c->asks_no_more)
		return cli_read(c, &s->in);
	if (!c->target)
		c->target = c->engine;
	r = plan_make(c, &s->plan);
	if (r)
		return r;
	s->prog = arena_alloc(c->arena, (s->plan.n + 1) * sizeof(*s->prog));
	for (uint32_t i = 0; i < s->plan.n; i++) {
		r = ld_load(&s->plan.dev[i].prog, c->diags, &s->prog[i]);
		if (r)
			return r == -EPERM ? EXIT_RIGHTS : EXIT_INPUT;
	}
	return 0;
}

int verb_test(struct cli *c)
{
	struct session s = { .c = c, .out = { .arena = c->arena } };
	struct packet *p = NULL;
	uint32_t n = 0;
	int r;

	if (!c->pcap == !c->n_packet) {
		fprintf(stderr, "fwjit: test: --packet EXPR or --pcap FILE\n");
		return EXIT_USAGE;
	}
	r = packets(&s, &p, &n);
	if (!r)
		r = prepare(&s);
	for (uint32_t i = 0; i < n && !r; i++)
		r = judge(&s, i + 1, &p[i]);
	for (uint32_t i = 0; s.prog && i < s.plan.n; i++)
		ld_prog_close(&s.prog[i]);
	cli_put(c, &s.out, false);
	if (!r && s.unknown)
		r = EXIT_INEXACT;
	cli_diags(c, r ? DIAG_UNSUPPORTED : DIAG_ERROR);
	return r;
}
