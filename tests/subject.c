/* SPDX-License-Identifier: GPL-2.0-only */
#include "subject.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "reader.h"

static void begin(struct subject *s, const struct imr_profile *p)
{
	memset(s, 0, sizeof(*s));
	s->arena = arena_new();
	s->diags.arena = s->arena;
	s->loaded.fd = -1;
	if (p)
		s->profile = *p;
}

static struct imr *read_quietly(struct subject *s)
{
	struct diags *quiet = arena_alloc(s->arena, sizeof(*quiet));

	quiet->arena = s->arena;
	return fe_read(s->arena, quiet, &s->profile, &s->capture);
}

static struct imr *copy(struct subject *s, const struct imr *from)
{
	struct strbuf text = { .arena = s->arena };
	struct diags *quiet = arena_alloc(s->arena, sizeof(*quiet));

	quiet->arena = s->arena;
	imr_print(&text, from);
	return imr_parse(s->arena, quiet, text.s, text.len);
}

/* The program once more for every prefix of the pass list. */
static int forms(struct subject *s)
{
	s->form[0].name = "read";
	s->n_form = 1;
	for (const struct imr_pass *p = imr_passes; p->name && s->n_form < SUBJECT_FORMS; p++) {
		struct imr *imr = s->capture.n ? read_quietly(s) : copy(s, s->form[0].imr);

		if (!imr)
			return -1;
		imr->diags = &s->diags;
		if (!imr_optimise(imr, p->name))
			return -1;
		s->form[s->n_form].name = p->name;
		s->form[s->n_form++].imr = imr;
	}
	return 0;
}

int subject_from_capture(struct subject *s, const struct fe_capture *c, const struct imr_profile *p)
{
	begin(s, p);
	s->capture = *c;
	s->form[0].imr = fe_read(s->arena, &s->diags, &s->profile, &s->capture);
	return s->form[0].imr ? forms(s) : -1;
}

int subject_from_imr(struct subject *s, const char *text)
{
	begin(s, NULL);
	s->form[0].imr = imr_parse(s->arena, &s->diags, text, strlen(text));
	if (!s->form[0].imr)
		return -1;
	s->profile = s->form[0].imr->profile;
	return forms(s);
}

static bool wanted(const struct fe_rec *r, enum judge_tool tool)
{
	switch (r->kind) {
	case FE_NFT:
	case FE_NFT_TEXT:
		return tool == JUDGE_NFT || tool == JUDGE_IPT_NFT || tool == JUDGE_IP6T_NFT;
	default:
		return r->family == (tool == JUDGE_IP6T ? 10 : 2) && (tool == JUDGE_IPT || tool == JUDGE_IP6T);
	}
}

const char *subject_no_text(void)
{
	static const char text[] = "table ip t {\n}\n";
	struct arena *a = arena_new();
	struct diags ds = { .arena = a };
	struct fe_capture cap;
	int r = fe_text_get(a, &ds, FE_TEXT_NFT, "probe", text, strlen(text), &cap);

	arena_free(a);
	return r ? "rule text needs a user or network namespace, and nft" : NULL;
}

int subject_read_live(struct subject *s, enum judge_tool tool, const struct imr_profile *p)
{
	uint32_t n = 0;

	begin(s, p);
	if (fe_live_get(s->arena, &s->diags, &s->capture))
		return -1;
	for (uint32_t i = 0; i < s->capture.n; i++)
		if (wanted(&s->capture.rec[i], tool))
			s->capture.rec[n++] = s->capture.rec[i];
	s->capture.n = n;
	s->form[0].imr = fe_read(s->arena, &s->diags, &s->profile, &s->capture);
	return s->form[0].imr ? forms(s) : -1;
}

/* The judge's namespace takes every address for its own, or forwards everything. */
static void env_of(struct subject *s)
{
	static const uint8_t mac[6] = JUDGE_MAC;

	s->env = (struct imr_env){ .ifindex = s->iif, .plain_rules = true };
	s->env.fwd4 = s->env.fwd6 = s->hook == JUDGE_FORWARD;
	memcpy(s->env.mac, mac, sizeof(mac));
	strcpy(s->env.dev, JUDGE_DEV);
}

void subject_at(struct subject *s, enum judge_hook hook)
{
	s->hook = hook;
	s->exact = hook == JUDGE_INGRESS || hook == JUDGE_EGRESS;
	s->iif = fe_ifindex(JUDGE_DEV);
	s->oif = fe_ifindex("out0");
}

int subject_compile(struct subject *s, bool load)
{
	const struct imr *imr = s->form[s->n_form - 1].imr;
	struct be_opts opts = { 0 };
	struct caps caps = { 0 };

	env_of(s);
	if (s->hook == JUDGE_EGRESS)
		s->placed = imr_place_hook(imr, &s->env, HOOK_NETDEV_EGRESS, (struct imr_range32){ INT32_MIN, INT32_MAX });
	else
		s->placed = s->exact ? imr_place_ingress(imr, &s->env) : imr_place_slice(imr, &s->env);
	if (!s->placed)
		return -1;
	for (const struct be_cap_info *k = be_caps_info; k->key; k++)
		be_caps_set(&caps, k->key, true);
	opts.ifindex = s->env.ifindex;
	memcpy(opts.mac, s->env.mac, sizeof(opts.mac));
	memcpy(opts.dev, s->env.dev, sizeof(opts.dev));
	if (!be_compile(s->placed, be_target_find(s->hook == JUDGE_EGRESS ? "tc" : "xdp"), &caps, &opts, &s->prog))
		return -1;
	return load && s->hook != JUDGE_EGRESS && ld_load(&s->prog, &s->diags, &s->loaded) ? -1 : 0;
}

static const enum imr_hooknum hooknum[] = {
	[JUDGE_INGRESS] = HN_INGRESS, [JUDGE_PREROUTING] = HN_PREROUTING, [JUDGE_INPUT] = HN_INPUT, [JUDGE_FORWARD] = HN_FORWARD,
	[JUDGE_EGRESS] = HN_EGRESS,
};

struct turn { int32_t prio; uint32_t chain; };

static int cmp_turn(const void *a, const void *b)
{
	const struct turn *x = a, *y = b;

	return x->prio != y->prio ? (x->prio > y->prio) - (x->prio < y->prio) : (int)x->chain - (int)y->chain;
}

enum imr_verdict subject_verdict(const struct subject *s, unsigned int form, const struct imr_pkt *pkt, struct imr_at *ret_at)
{
	const struct imr *imr = s->form[form].imr;
	struct imr_result r, last = { .verdict = V_NONE };
	struct turn t[64];
	uint32_t n = 0;

	for (uint32_t i = 0; i < imr->n && n < 64; i++)
		if (imr->chain[i].hook != HOOK_NONE && imr_hooks[imr->chain[i].hook].num == hooknum[s->hook])
			t[n++] = (struct turn){ imr->chain[i].prio, i };
	qsort(t, n, sizeof(*t), cmp_turn);
	for (uint32_t i = 0; i < n; i++) {
		imr_run(&r, imr, t[i].chain, pkt, NULL);
		if (r.verdict == V_NONE)
			continue;
		last = r;
		if (r.verdict != V_ACCEPT)
			break;
	}
	if (ret_at)
		*ret_at = last.at;
	return last.verdict;
}

enum imr_verdict subject_placed(const struct subject *s, const struct imr_pkt *pkt)
{
	struct imr_result r;

	imr_run(&r, s->placed, 0, pkt, NULL);
	return r.verdict;
}

int subject_program(const struct subject *s, const void *frame, uint32_t len)
{
	int r = ld_test_run(s->loaded.fd, frame, len, 0);

	if (r < 0)
		return r;
	return (uint32_t)r == be_target_find("xdp")->verdict_drop ? V_DROP : s->exact ? V_ACCEPT : V_PASS;
}

void subject_pkt(const struct subject *s, const void *frame, uint32_t len, struct imr_pkt *ret)
{
	static const uint8_t mac[6] = JUDGE_MAC;

	*ret = (struct imr_pkt){ .frame = frame, .len = len, .iif = s->iif, .iifname = JUDGE_DEV };
	memcpy(ret->mac, mac, sizeof(mac));
	if (s->hook == JUDGE_EGRESS)
		*ret = (struct imr_pkt){ .frame = frame, .len = len, .oif = s->iif, .oifname = JUDGE_DEV };
	if (s->hook == JUDGE_FORWARD) {
		ret->oif = s->oif;
		strcpy(ret->oifname, "out0");
	}
}

bool subject_agrees(enum judge_says j, enum imr_verdict v)
{
	switch (j) {
	case JUDGE_UNSEEN: return v == V_NONE;
	case JUDGE_ACCEPT: return v == V_ACCEPT;
	case JUDGE_DROP: return v == V_DROP;
	}
	return false;
}

bool subject_silent(const struct subject *s, const uint8_t *frame, uint32_t len)
{
	const struct imr *imr = s->form[0].imr;
	unsigned int type = len > 18 ? frame[12] << 8 | frame[13] : 0;
	uint32_t off = type == 0x8100 || type == 0x88a8 ? 16 : 12;
	enum imr_family family = frame[off] == 0x86 ? FAM_IP6 : FAM_IP;

	for (uint32_t i = 0; i < imr->n; i++) {
		const struct imr_hook_info *h = &imr_hooks[imr->chain[i].hook];

		if (imr->chain[i].hook != HOOK_NONE && h->num == hooknum[s->hook] &&
		    (h->family == family || h->family == FAM_INET || h->family == FAM_NETDEV))
			return false;
	}
	return true;
}

void subject_free(struct subject *s)
{
	if (s->loaded.fd >= 0)
		ld_prog_close(&s->loaded);
	arena_free(s->arena);
}
