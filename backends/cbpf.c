/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Classic BPF, for callers who may load nothing else: a list of filters for cls_bpf, or one small program for xt_bpf. A
 * filter has at most 4,096 instructions and no state. Rules beyond that are another filter's, which begins with its own
 * look at the packet; where a rule of an earlier filter leads past its end, the later one asks that rule again.
 */
#include <linux/if_ether.h>
#include <linux/pkt_cls.h>
#include <string.h>

#include "cbpf.h"

#define XT_INSNS	64	/* XT_BPF_MAX_NUM_INSTR */
#define FIRST_GUESS	1024	/* rules */
#define GROWTHS		2

static bool init(struct cb *cb, const struct imr *imr, const struct be_opts *opts, const char *name)
{
	*cb = (struct cb){ .imr = imr, .opts = opts, .name = name, .steps = CB_STEPS, .e = { .arena = imr->arena } };
	if (imr->n != 1)
		cb_refuse(cb, NULL, "not one chain", NULL);
	else if (opts->gate)
		cb_refuse(cb, NULL, "a classic program has no map to open a gate by", NULL);
	if (cb->bad)
		return false;
	cb->chain = &imr->chain[0];
	cb->hook = &imr_hooks[cb->chain->hook];
	return true;
}

static uint32_t size_of(struct cb *cb, uint32_t from, uint32_t to)
{
	cb_filter(cb, from, to);
	return cb_finish(&cb->e, NULL);
}

/* About as many rules as fill a filter, when n have the size */
static uint32_t scaled(const struct cb *cb, uint32_t n, uint32_t size)
{
	uint32_t ret = (uint64_t)n * cb->max / size * 31 / 32;

	return ret ? ret : 1;
}

/* The filter of the rules from `from` on, as many as fit; they are tried from `guess` rules on. 0: not one fits. */
static uint32_t fill(struct cb *cb, uint32_t from, uint32_t guess)
{
	uint32_t left = cb->chain->n - from, n = guess < left ? guess : left;
	uint32_t size = size_of(cb, from, from + n), more, last;

	while (size > cb->max && n > 1) {
		more = scaled(cb, n, size);
		n = more < n ? more : n - 1;
		size = size_of(cb, from, from + n);
	}
	if (size > cb->max)
		return 0;
	last = n;
	for (int i = 0; i < GROWTHS && n < left && scaled(cb, n, size) > n + n / 16; i++) {
		more = scaled(cb, n, size);
		last = more < left ? more : left;
		more = size_of(cb, from, from + last);
		if (more > cb->max)
			break;
		n = last;
		size = more;
	}
	if (last != n)
		cb_filter(cb, from, from + n);
	return n;
}

/* A program of one filter follows as many extension headers as it has room for. */
static void widen(struct cb *cb)
{
	uint32_t size = cb_finish(&cb->e, NULL), wide, each;

	if (!cb->use6)
		return;
	cb->steps = CB_WIDE;
	wide = size_of(cb, 0, cb->chain->n);
	if (wide <= cb->max)
		return;
	each = (wide - size) / (CB_WIDE - CB_STEPS) + 1;
	cb->steps = CB_STEPS + (cb->max - size) / each;
	if (size_of(cb, 0, cb->chain->n) <= cb->max)
		return;
	cb->steps = CB_STEPS;
	cb_filter(cb, 0, cb->chain->n);
}

static void add_filter(const struct cb *cb, struct be_prog *ret, const struct be_filter *f)
{
	size_t size = sizeof(*f);

	ret->filter = arena_grow(cb->imr->arena, ret->filter, ret->n_filter * size, (ret->n_filter + 1) * size);
	ret->filter[ret->n_filter++] = *f;
}

static bool fill_all(struct cb *cb, struct be_prog *ret)
{
	uint32_t n, guess = FIRST_GUESS, total = cb->chain->n;

	for (uint32_t from = 0; from < total || !ret->n_filter; from += n) {
		struct be_filter f = { 0 };

		n = fill(cb, from, guess);
		if (!n && total) {
			cb_refuse(cb, &cb->chain->rule[from].at,
				  arena_printf(cb->imr->arena, "needs a filter of more than %u instructions", cb->max),
				  "an eBPF target can");
			return false;
		}
		guess = n + n / 16 + 1;
		if (from == 0 && n == total)
			widen(cb);
		cb_finish(&cb->e, &f);
		add_filter(cb, ret, &f);
	}
	return true;
}

static void at_netdev(struct cb *cb)
{
	cb->l2 = true;
	cb->egress = cb->hook->num == HN_EGRESS;
	cb->nh = ETH_HLEN;
	cb->data = cb->egress ? 0 : ETH_HLEN;
	cb->ret_drop = TC_ACT_SHOT;
	cb->ret_pass = TC_ACT_OK;
	cb->ret_next = TC_ACT_UNSPEC;
}

static bool compile_filters(struct cb *cb, struct be_prog *ret)
{
	at_netdev(cb);
	*ret = (struct be_prog){ .name = "fwjit_cbpf" };
	cb_prepare(cb);
	return !cb->bad && fill_all(cb, ret);
}

/* One program, which follows as many extension headers as it has room for. */
static bool compile_one(struct cb *cb, struct be_prog *ret)
{
	struct be_filter f = { 0 };

	cb->ret_drop = 1;
	*ret = (struct be_prog){ .name = "fwjit_xt_bpf" };
	cb_prepare(cb);
	if (cb->bad)
		return false;
	while (cb->steps && size_of(cb, 0, cb->chain->n) > cb->max)
		cb->steps--;
	if (!cb->steps) {
		cb_refuse(cb, &cb->chain->at,
			  arena_printf(cb->imr->arena, "needs a program of more than %u instructions", cb->max),
			  "cbpf, or an eBPF target, can");
		return false;
	}
	cb_finish(&cb->e, &f);
	add_filter(cb, ret, &f);
	return true;
}

bool cb_compile(const struct imr *imr, const struct be_opts *opts, const char *name, uint32_t max, struct be_prog *ret)
{
	struct cb cb;
	bool xt = strcmp(name, "xt_bpf") == 0;

	if (!init(&cb, imr, opts, name))
		return false;
	cb.max = max;
	if (xt && (cb.hook->facts & HF_L3) && cb.hook->num != HN_EARLY)
		return compile_one(&cb, ret);
	if (!xt && cb.hook->family == FAM_NETDEV)
		return compile_filters(&cb, ret);
	cb_refuse(&cb, &cb.chain->at, "packets are not seen as this hook sees them", NULL);
	return false;
}

bool be_cbpf_compile(const struct imr *imr, const struct caps *caps, const struct be_opts *opts, struct be_prog *ret)
{
	return cb_compile(imr, opts, "cbpf", BE_FILTER_INSNS, ret);
}

bool be_xt_bpf_compile(const struct imr *imr, const struct caps *caps, const struct be_opts *opts, struct be_prog *ret)
{
	return cb_compile(imr, opts, "xt_bpf", XT_INSNS, ret);
}
