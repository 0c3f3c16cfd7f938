/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Classic programs as filters of clsact, for callers who may not load eBPF. bpf(2) is not used and nothing is pinned: the
 * filters themselves are the attachment. The kernel keeps no names of classic filters, so each of ours ends with
 * instructions that are never reached and say whose it is, of which generation, and which of how many.
 *
 * All filters of a generation have one priority, so that one request deletes them at once for every packet. A generation
 * decides every packet: its last filter never says "next". Hence the order of a change: the new filters are added behind
 * the old ones, where no packet gets to them, and then the old priority is deleted, which is the commit: a packet that
 * has entered the old filters is judged by them to the end, any other by the new ones to the end. Where nothing was there
 * before, a filter that passes everything stands in front meanwhile. What is behind the first of our priorities never
 * runs, so that a process killed under way leaves the old or the new, and the next change removes the rest.
 *
 * Our priorities are the last ones, behind the filters of others, as the ingress hook of netfilter is behind all of tc:
 * since ours decide, filters of others behind them would see nothing, and are refused. Each generation has the priority
 * after that of the one before; at the end of the range they start anew: rewind.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include <linux/pkt_cls.h>

#include "priv.h"

#define PRIO_REWIND	0xc001U		/* one a filter, while starting anew */
#define PRIO_SHIELD	0xc0ffU
#define PRIO_FIRST	0xc100U
#define PRIO_LAST	0xffffU
#define FILTERS_MAX	(PRIO_SHIELD - PRIO_REWIND)

#define TAIL		4
/* What fits into a message of a dump: netlink_dump has at most 32 KiB, less what a buffer needs with the most fragments
 * that a kernel can be configured for. */
_Static_assert((BE_FILTER_INSNS + TAIL) * sizeof(struct sock_filter) + 512 <= 32768 - 768, "our filters can be listed");
#define MAGIC		0x66776a74U	/* "fwjt" */

struct tail {
	uint32_t gen, index, n;	/* gen 0: the shield */
};

struct ld_classic {
	struct ld_nl nl;
	uint32_t ifindex;
	bool egress;
	uint32_t live;			/* priority of what decides now; 0: nothing of ours */
	struct ld_filters old;		/* its filters, in the order of evaluation */
	bool shielded;			/* it is the shield */
	uint32_t gen, prio;		/* of the new one; prio 0: it is not there yet */
};

/* ---- one filter */

static void tail_put(struct sock_filter *at, struct tail t)
{
	const uint32_t k[TAIL] = { MAGIC, t.gen, t.index, t.n };

	for (int i = 0; i < TAIL; i++)
		at[i] = (struct sock_filter){ .code = BPF_RET | BPF_K, .k = k[i] };
}

static bool tail_get(const struct ld_filter *f, struct tail *ret)
{
	const struct sock_filter *at;

	if (!f->bpf || f->n <= TAIL)
		return false;
	at = f->insn + f->n - TAIL;
	if (at[0].code != (BPF_RET | BPF_K) || at[0].k != MAGIC)
		return false;
	*ret = (struct tail){ .gen = at[1].k, .index = at[2].k, .n = at[3].k };
	return true;
}

bool ld_filter_ours(const struct ld_filter *f)
{
	struct tail t;

	return tail_get(f, &t);
}

static int add(struct ld_classic *c, const struct be_filter *from, uint32_t prio, struct tail t)
{
	struct ld_filter f = { .prio = prio, .handle = t.index + 1, .n = from->n + TAIL };
	int err;

	f.insn = calloc(f.n, sizeof(*f.insn));
	if (!f.insn)
		return -ENOMEM;
	memcpy(f.insn, from->insn, from->n * sizeof(*f.insn));
	tail_put(f.insn + from->n, t);
	err = ld_tc_add(&c->nl, c->ifindex, c->egress, &f, -1, false);
	free(f.insn);
	return err;
}

static int del(struct ld_classic *c, uint32_t prio)
{
	return ld_tc_del(&c->nl, c->ifindex, c->egress, prio, 0);
}

/* ---- what is there */

/* The priority of filter i of all is that of a whole generation. */
static bool whole(const struct ld_filters *all, uint32_t i)
{
	uint32_t n = 0;
	struct tail t = { 0 };

	for (uint32_t k = 0; k < all->n; k++)
		if (all->f[k].prio == all->f[i].prio && tail_get(&all->f[k], &t))
			n++;
	return n && n == t.n;
}

/* What decides is the first of ours. While starting anew its generation has a priority a filter. */
static uint32_t live_gen(const struct ld_filters *all)
{
	struct tail t;

	for (uint32_t i = 0; i < all->n; i++)
		if (tail_get(&all->f[i], &t))
			return t.gen;
	return 0;
}

/* Ours with priorities from … to, the last first; only incomplete ones, or all. */
static int sweep(struct ld_classic *c, uint32_t from, uint32_t to, bool incomplete)
{
	_cleanup_filters_ struct ld_filters all = { 0 };
	int err = ld_tc_dump(&c->nl, c->ifindex, c->egress, &all);
	uint32_t last = 0;
	struct tail t;

	for (uint32_t i = all.n; !err && i-- > 0;) {
		const struct ld_filter *f = &all.f[i];

		if (f->prio < from || f->prio > to || f->prio == last || !tail_get(f, &t) || (incomplete && whole(&all, i)))
			continue;
		last = f->prio;
		err = del(c, last);
	}
	return err;
}

/* Reads the filters and finds what decides. */
static int take(struct ld_classic *c)
{
	int err;

	ld_tc_free(&c->old);
	err = ld_tc_dump(&c->nl, c->ifindex, c->egress, &c->old);
	c->live = 0;
	for (uint32_t i = 0; i < c->old.n && !c->live; i++) {
		struct tail t;

		if (tail_get(&c->old.f[i], &t)) {
			c->live = c->old.f[i].prio;
			c->shielded = !t.gen;
		}
	}
	return err;
}

/* Removes what a killed process left: what is incomplete was being made behind one that decides. */
static int mend(struct ld_classic *c)
{
	int err = take(c);

	if (err || !c->live)
		return err;
	err = sweep(c, c->live < PRIO_FIRST ? PRIO_FIRST : c->live + 1, PRIO_LAST, true);
	err = err ? err : sweep(c, PRIO_REWIND, PRIO_SHIELD - 1, false);
	err = err ? err : take(c);
	return err || !c->live ? err : sweep(c, c->live + 1, PRIO_LAST, false);
}

/* Those of others: before ours they are named, among ours refused. */
static int others(struct ld_job *j)
{
	const struct ld_filters *all = &j->classic->old;
	uint32_t last = 0;
	struct tail t;

	for (uint32_t i = 0; i < all->n; i++) {
		const struct ld_filter *f = &all->f[i];

		if (tail_get(f, &t) || f->prio == last)
			continue;
		last = f->prio;
		if (last >= PRIO_REWIND) {
			diag_add(j->ds, DIAG_ERROR, NULL, "\"%s\" has a tc filter of somebody else at %s, priority %u", j->name,
				 ld_way(&j->st.where), last)
				->hint = "priorities from 49153 on are ours, and decide; `tc filter show dev …` names it";
			return -EBUSY;
		}
		diag_add(j->ds, DIAG_NOTE, NULL, "\"%s\" also has a tc filter of somebody else at %s, priority %u, before ours",
			 j->name, ld_way(&j->st.where), last);
	}
	return 0;
}

/* ---- a generation behind what decides */

/* The newest of a priority is evaluated first. */
static int put_new(struct ld_classic *c, const struct ld_attach *what, uint32_t prio)
{
	int err = 0;

	for (uint32_t i = what->n_filter; i-- > 0 && !err;)
		err = add(c, &what->filter[i], prio, (struct tail){ c->gen, i, what->n_filter });
	return err;
}

/* As it was dumped, its tails included. */
static int put_again(struct ld_classic *c, const struct ld_filter *f, uint32_t prio)
{
	struct ld_filter g = *f;

	g.prio = prio;
	return ld_tc_add(&c->nl, c->ifindex, c->egress, &g, -1, false);
}

static int put_old(struct ld_classic *c, uint32_t prio)
{
	struct tail t;
	int err = 0;

	for (uint32_t i = c->old.n; i-- > 0 && !err;)
		if (c->old.f[i].prio == c->live && tail_get(&c->old.f[i], &t))
			err = put_again(c, &c->old.f[i], prio);
	return err;
}

/*
 * The live generation from the end of the range to its beginning. Filters are functions of the packet: any number of its
 * first ones in front of the whole change nothing. So they are put there one after the other, each with a priority of its
 * own; once all are there they decide, and the whole is put behind them; then they go, the last first.
 */
static int rewind_live(struct ld_classic *c)
{
	uint32_t at = PRIO_REWIND;
	struct tail t;
	int err = 0;

	for (uint32_t i = 0; i < c->old.n && !err; i++)
		if (c->old.f[i].prio == c->live && tail_get(&c->old.f[i], &t))
			err = put_again(c, &c->old.f[i], at++);
	err = err ? err : put_old(c, PRIO_FIRST);
	err = err ? err : sweep(c, PRIO_REWIND, PRIO_SHIELD - 1, false);
	err = err ? err : del(c, c->live);
	return err ? err : mend(c);
}

static int shield(struct ld_classic *c)
{
	struct sock_filter pass = { .code = BPF_RET | BPF_K, .k = TC_ACT_OK };
	int err = add(c, &(struct be_filter){ .n = 1, .insn = &pass }, PRIO_SHIELD, (struct tail){ .n = 1 });

	c->live = err ? 0 : PRIO_SHIELD;
	c->shielded = !err;
	return err;
}

/* ---- steps */

static int id(const struct ld_where *w, char *ret, size_t size)
{
	return ld_id_dev("cbpf", w, ld_way(w), ret, size);
}

static int size_ok(struct ld_job *j)
{
	const struct ld_attach *what = j->what;

	if (!what->n_filter || what->n_filter > FILTERS_MAX) {
		diag_add(j->ds, DIAG_ERROR, NULL, "%u classic filters; 1 to %u can be attached", what->n_filter, FILTERS_MAX);
		return -E2BIG;
	}
	for (uint32_t i = 0; i < what->n_filter; i++)
		if (!what->filter[i].n || what->filter[i].n > BE_FILTER_INSNS) {
			diag_add(j->ds, DIAG_ERROR, NULL, "classic filter %u has %u instructions; at most %u can be attached", i,
				 what->filter[i].n, BE_FILTER_INSNS);
			return -E2BIG;
		}
	return 0;
}

static int find(struct ld_job *j)
{
	struct ld_classic *c;
	int err = ld_find_dev(j);

	err = err ? err : size_ok(j);
	if (err)
		return err;
	c = j->classic = calloc(1, sizeof(*c));
	if (!c)
		return -ENOMEM;
	c->ifindex = j->link.ifindex;
	c->egress = j->st.where.egress;
	err = ld_nl_open(&c->nl, NETLINK_ROUTE);
	err = err ? err : mend(c);
	j->replace = !err && c->live && !c->shielded;
	if (j->replace) {
		j->old_err = 0;
		j->old.alive = true;
		j->old.prog_id = live_gen(&c->old);
	}
	return err;
}

/* gen 0: what all names of the place begin with */
static void state_name(uint32_t ifindex, bool egress, uint32_t gen, char ret[48])
{
	int n = snprintf(ret, 48, "cbpf-%u-%s-", ifindex, egress ? "egress" : "ingress");

	if (gen)
		snprintf(ret + n, 48 - n, "%08" PRIx32, gen);
}

/* All states of a place but one. */
static void forget_others(int run_fd, const struct ld_classic *c, uint32_t gen)
{
	char any[48], keep[48];

	state_name(c->ifindex, c->egress, 0, any);
	state_name(c->ifindex, c->egress, gen, keep);
	ld_run_forget(run_fd, any, keep);
}

static int write_state(struct ld_job *j)
{
	char name[48];

	state_name(j->classic->ifindex, j->classic->egress, j->classic->gen, name);
	return ld_run_state_write(j, name);
}

static int behind(struct ld_classic *c, uint32_t *ret_prio)
{
	int err = c->live >= PRIO_LAST - 1 ? rewind_live(c) : 0;	/* restore needs one more */

	*ret_prio = c->shielded ? PRIO_FIRST : c->live + 1;
	return err;
}

static int prepare(struct ld_job *j)
{
	struct ld_classic *c = j->classic;
	uint32_t prio;
	int err = ld_tc_qdisc(&c->nl, c->ifindex);

	do
		if (getrandom(&c->gen, sizeof(c->gen), 0) < 0)
			return -errno;
	while (!c->gen);
	if (!err && !c->live)
		err = shield(c);
	err = err ? err : behind(c, &prio);
	if (err)
		return err;
	c->prio = prio;
	err = put_new(c, j->what, prio);
	return err ? err : write_state(j);
}

static int commit(struct ld_job *j)
{
	struct ld_classic *c = j->classic;
	int err = del(c, c->live);

	j->st.prog_id = c->gen;
	return err;
}

static int restore(struct ld_job *j)
{
	struct ld_classic *c = j->classic;
	int err = put_old(c, c->prio + 1);

	return err ? err : del(c, c->prio);
}

/* Nothing of the new one is left; of the old one everything is. */
static void undo(struct ld_job *j)
{
	struct ld_classic *c = j->classic;
	char name[48];

	if (!c)
		return;
	if (c->prio && (!j->done || !j->replace))
		del(c, c->prio);
	if (c->shielded && !j->done)
		del(c, PRIO_SHIELD);
	if (!j->replace)
		ld_tc_qdisc_put(&c->nl, c->ifindex);
	state_name(c->ifindex, c->egress, c->gen, name);
	if (j->run_fd >= 0 && c->gen)
		unlinkat(j->run_fd, name, 0);
}

static void finish(struct ld_job *j)
{
	forget_others(j->run_fd, j->classic, j->classic->gen);
}

static void close_job(struct ld_job *j)
{
	struct ld_classic *c = j->classic;

	if (!c)
		return;
	ld_nl_close(&c->nl);
	ld_tc_free(&c->old);
	free(c);
	j->classic = NULL;
}

/* ---- reading back */

struct listing {
	struct arena *a;
	struct diags *ds;
	struct ld_nl nl;
	int run_fd;
	struct ld_state **st;
	uint32_t *n;
};

static void list_one(struct listing *l, uint32_t ifindex, const char *dev, bool egress, uint32_t gen)
{
	struct ld_state *st = arena_alloc(l->a, (*l->n + 1) * sizeof(*st)), *one = &st[*l->n];
	_cleanup_free_ uint8_t *bytes = NULL;
	char name[48], *meta;
	size_t len;

	if (*l->n)
		memcpy(st, *l->st, *l->n * sizeof(*st));
	state_name(ifindex, egress, gen, name);
	bytes = l->run_fd < 0 ? NULL : ld_run_read(l->run_fd, name, &len);
	if (bytes && !ld_state_parse(bytes, len, one)) {
		meta = arena_alloc(l->a, one->meta_len + 1);
		memcpy(meta, one->meta, one->meta_len);
		one->meta = meta;
	} else {
		*one = (struct ld_state){ .meta = "", .where.kind = LD_CBPF, .where.egress = egress };
	}
	snprintf(one->where.dev, sizeof(one->where.dev), "%s", dev);
	one->where.ifindex = ifindex;
	one->prog_id = gen;
	id(&one->where, one->id, sizeof(one->id));
	snprintf(one->target, sizeof(one->target), "cbpf");
	*l->st = st;
	++*l->n;
}

struct devices { uint32_t n, *ifindex; };

static int on_device(uint32_t ifindex, void *data)
{
	struct devices *d = data;
	uint32_t *more = reallocarray(d->ifindex, d->n + 1, sizeof(*more));

	if (!more)
		return -ENOMEM;
	d->ifindex = more;
	d->ifindex[d->n++] = ifindex;
	return 0;
}

static int list_dev(struct listing *l, uint32_t ifindex)
{
	struct ld_link link;
	int err = ld_link_get(NULL, ifindex, &link);

	for (int egress = 0; egress < 2 && !err; egress++) {
		_cleanup_filters_ struct ld_filters all = { 0 };
		uint32_t gen;

		err = ld_tc_dump(&l->nl, ifindex, egress, &all);
		gen = live_gen(&all);
		if (!err && gen)
			list_one(l, ifindex, link.name, egress, gen);
	}
	return err;
}

static int list(struct arena *a, struct diags *ds, struct ld_state **ret, uint32_t *ret_n)
{
	struct listing l = { .a = a, .ds = ds, .run_fd = ld_run_lock(false), .st = ret, .n = ret_n };
	struct devices d = { 0 };
	int err = ld_nl_open(&l.nl, NETLINK_ROUTE);

	err = err ? err : ld_tc_each(&l.nl, on_device, &d);
	for (uint32_t i = 0; i < d.n && !err; i++)
		err = list_dev(&l, d.ifindex[i]);
	free(d.ifindex);
	ld_nl_close(&l.nl);
	ld_closep(&l.run_fd);
	return err;
}

/* The last priority first, so that one that decides does so until nothing is left. */
static int remove_all(struct ld_classic *c)
{
	int err = take(c);

	if (!err && !c->live)
		err = -ENOENT;
	err = err ? err : sweep(c, PRIO_REWIND, PRIO_LAST, false);
	if (!err)
		ld_tc_qdisc_put(&c->nl, c->ifindex);
	return err;
}

/* "cbpf-DEV-ingress" */
static int parse_id(const char *text, struct ld_where *ret)
{
	const char *dev = text + strlen("cbpf-"), *end = strrchr(text, '-');

	*ret = (struct ld_where){ .kind = LD_CBPF, .egress = end && !strcmp(end, "-egress") };
	if (!end || end <= dev || (size_t)(end - dev) >= sizeof(ret->dev) || (!ret->egress && strcmp(end, "-ingress")))
		return -ENOENT;
	memcpy(ret->dev, dev, end - dev);
	return 0;
}

static int remove_id(const char *text)
{
	_cleanup_close_ int run_fd = ld_run_lock(true);
	struct ld_classic c = { 0 };
	struct ld_where w;
	struct ld_link link;
	int err = parse_id(text, &w);

	if (!err && ld_link_get(w.dev, 0, &link))
		err = -ENOENT;
	err = err ? err : ld_nl_open(&c.nl, NETLINK_ROUTE);
	if (err)
		return err;
	c.ifindex = link.ifindex;
	c.egress = w.egress;
	err = remove_all(&c);
	if (!err)
		forget_others(run_fd, &c, 0);
	ld_tc_free(&c.old);
	ld_nl_close(&c.nl);
	return err;
}

const struct ld_hook ld_hook_cbpf = {
	.name = "cbpf", .target = "cbpf", .id = id, .find = find, .look = others, .prepare = prepare, .create = commit,
	.replace = commit, .restore = restore, .undo = undo, .finish = finish, .close = close_job, .list = list,
	.remove = remove_id,
};
