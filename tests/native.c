/* SPDX-License-Identifier: GPL-2.0-only */
#include <stdio.h>
#include <string.h>

#include "native.h"

#define DEVICE (1u << JUDGE_INGRESS | 1u << JUDGE_EGRESS)
#define L3 (1u << JUDGE_PREROUTING | 1u << JUDGE_INPUT | 1u << JUDGE_FORWARD)

const struct native_way native_ways[] = {
	{ "netfilter", "netfilter", LD_NETFILTER, false, L3 },
	{ "tc", "tc", LD_TC, false, DEVICE },
	{ "tc load_bytes", "tc", LD_TC, true, DEVICE },
	{ "socket", "socket", LD_SOCKET, false, L3 },
	{ "xt_bpf", "xt_bpf", LD_XTCODE, false, L3 },
	{ "cbpf", "cbpf", LD_CBPF, false, DEVICE },
	{ NULL, NULL, LD_XDP, false, 0 },
};

/* The hook of one family where the judge sits. */
static enum imr_hook hook_of(const struct subject *s, bool six)
{
	switch (s->hook) {
	case JUDGE_PREROUTING:
		return six ? HOOK_IP6_PREROUTING : HOOK_IP_PREROUTING;
	case JUDGE_INPUT:
		return six ? HOOK_IP6_INPUT : HOOK_IP_INPUT;
	case JUDGE_FORWARD:
		return six ? HOOK_IP6_FORWARD : HOOK_IP_FORWARD;
	case JUDGE_EGRESS:
		return HOOK_NETDEV_EGRESS;
	default:
		return HOOK_NETDEV_INGRESS;
	}
}

static bool has_chain(const struct imr *imr, enum imr_hook hook)
{
	for (uint32_t i = 0; i < imr->n; i++) {
		enum imr_hook h = imr->chain[i].hook;

		if (h != HOOK_NONE && imr_hooks[h].num == imr_hooks[hook].num &&
		    (imr_hooks[h].family == FAM_INET || imr_hooks[h].family == imr_hooks[hook].family))
			return true;
	}
	return false;
}

static struct ld_where where_of(const struct subject *s, const struct native_way *w, enum imr_hook hook, int32_t prio)
{
	struct ld_where r = { .kind = w->kind, .pf = imr_hooks[hook].family, .hooknum = imr_hooks[hook].num, .prio = prio,
			      .prio_min = prio + 1, .egress = hook == HOOK_NETDEV_EGRESS };

	if (imr_hooks[hook].family == FAM_NETDEV)
		snprintf(r.dev, sizeof(r.dev), JUDGE_DEV);
	return r;
}

static bool compile(struct subject *s, const struct native_way *w, enum imr_hook hook, struct be_prog *ret)
{
	const struct imr *imr = s->form[s->n_form - 1].imr;
	const struct imr_env *env = imr_hooks[hook].family == FAM_NETDEV ? &s->env : NULL;
	struct be_opts opts = { .load_bytes = w->load_bytes };
	struct caps caps = { 0 };
	struct imr *placed = imr_place_hook(imr, env, hook, (struct imr_range32){ INT32_MIN, INT32_MAX });

	for (const struct be_cap_info *k = be_caps_info; k->key; k++)
		be_caps_set(&caps, k->key, true);
	if (env) {
		opts.ifindex = env->ifindex;
		memcpy(opts.dev, env->dev, sizeof(opts.dev));
	}
	return placed && be_compile(placed, be_target_find(w->target), &caps, &opts, ret);
}

int native_attach(struct subject *s, const struct native_way *w, int32_t prio, struct native *ret)
{
	struct ld_prog prog[2] = { { .fd = -1 }, { .fd = -1 } };
	struct ld_attach what[2] = { 0 };
	struct be_prog p[2];
	int r = 0;

	*ret = (struct native){ .n = 0 };
	for (int six = 0; six < (1u << s->hook & DEVICE ? 1 : 2) && !r; six++) {
		enum imr_hook hook = hook_of(s, six);
		unsigned int n = ret->n;

		if (imr_hooks[hook].family != FAM_NETDEV && !has_chain(s->form[0].imr, hook))
			continue;
		if (!compile(s, w, hook, &p[n])) {
			r = 1;
			break;
		}
		if (p[n].n)
			r = ld_load(&p[n], &s->diags, &prog[n]);
		what[n] = (struct ld_attach){ .prog = p[n].n ? &prog[n] : NULL, .n_filter = p[n].n_filter,
			.filter = p[n].filter, .where = where_of(s, w, hook, prio), .meta = "test", .meta_len = 4 };
		ld_where_id(&what[n].where, ret->id[ret->n++]);
	}
	if (!r)
		r = ld_attach_all(&s->diags, what, ret->n);
	for (int i = 0; i < 2; i++)
		if (prog[i].fd >= 0)
			ld_prog_close(&prog[i]);
	if (r)
		ret->n = 0;
	return r < 0 ? -1 : r;
}

void native_detach(struct subject *s, struct native *n)
{
	for (unsigned int i = 0; i < n->n; i++)
		ld_detach(&s->diags, n->id[i]);
	n->n = 0;
}
