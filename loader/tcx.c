/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A program at a device's ingress or egress in the stack. With tcx (Linux 6.6) it is a link among those of others, which
 * are left as they are; ours stands nearest to the wire: first at ingress, last at egress. Its verdict "next" lets the
 * others see the packet too.
 *
 * Without tcx it is a filter of clsact, at the first priority of ingress or the last of egress, replaced in its place.
 * There is no link then: the filter is found by its priority and name, and the program by its id.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include <bpf/bpf.h>

#include "priv.h"
#include "uapi.h"

#define NAME "fwjit"

static int id(const struct ld_where *w, char *ret, size_t size)
{
	return ld_id_dev("tc", w, ld_way(w), ret, size);
}

static uint32_t attach_type(const struct ld_where *w)
{
	return w->egress ? UAPI_BPF_TCX_EGRESS : UAPI_BPF_TCX_INGRESS;
}

static struct ld_filter filter_of(bool egress)
{
	return (struct ld_filter){ .prio = egress ? 0xffff : 1, .handle = 1, .bpf = true, .name = NAME };
}

bool ld_tc_filter_ours(const struct ld_filter *f)
{
	return f->bpf && f->handle == filter_of(false).handle && !strcmp(f->name, NAME);
}

/* Ours, or whatever else has our priority; NULL: nothing. */
static const struct ld_filter *at_our_place(const struct ld_filters *all, bool egress, bool ours)
{
	for (uint32_t i = 0; i < all->n; i++)
		if (all->f[i].prio == filter_of(egress).prio && ld_tc_filter_ours(&all->f[i]) == ours)
			return &all->f[i];
	return NULL;
}

static int look(struct ld_job *j)
{
	int err = ld_look_link(j);

	if (!err)
		ld_name_others(j, j->link.ifindex, attach_type(&j->st.where));
	return err;
}

static int create_filter(struct ld_job *j)
{
	const struct ld_where *w = &j->st.where;
	struct ld_filter f = filter_of(w->egress);
	_cleanup_filters_ struct ld_filters all = { 0 };
	_cleanup_nl_ struct ld_nl nl = { 0 };
	const struct ld_filter *there, *foreign;
	int err = ld_nl_open(&nl, NETLINK_ROUTE);

	err = err ? err : ld_tc_dump(&nl, w->ifindex, w->egress, &all);
	there = at_our_place(&all, w->egress, true);
	foreign = at_our_place(&all, w->egress, false);
	if (!err && !there && foreign) {
		diag_add(j->ds, DIAG_ERROR, NULL, "\"%s\" has a tc filter of somebody else at %s, priority %u", w->dev,
			 ld_way(w), f.prio)->hint = "nothing was changed; `tc filter show dev …` names it";
		return -EBUSY;
	}
	err = err ? err : ld_tc_qdisc(&nl, w->ifindex);
	return err ? err : ld_tc_add(&nl, w->ifindex, w->egress, &f, j->what->prog->fd, there);
}

static int create(struct ld_job *j)
{
	const struct ld_where *w = &j->st.where;
	struct uapi_link_create how = {
		.prog_fd = j->what->prog->fd, .target = w->ifindex, .attach_type = attach_type(w),
		.flags = w->egress ? UAPI_BPF_F_AFTER : UAPI_BPF_F_BEFORE,
	};
	_cleanup_close_ int fd = w->generic ? -EINVAL : ld_link_create(&how);

	return fd == -EINVAL ? create_filter(j) : fd < 0 ? fd : ld_job_pin_link(j, fd);
}

static int put_filter(struct ld_job *j, int prog_fd)
{
	const struct ld_where *w = &j->st.where;
	struct ld_filter f = filter_of(w->egress);
	_cleanup_nl_ struct ld_nl nl = { 0 };
	int err = ld_nl_open(&nl, NETLINK_ROUTE);

	return err ? err : ld_tc_add(&nl, w->ifindex, w->egress, &f, prog_fd, true);
}

static int replace(struct ld_job *j)
{
	return j->old.link_fd >= 0 ? ld_update_link(j) : put_filter(j, j->what->prog->fd);
}

static int restore(struct ld_job *j)
{
	return j->old.link_fd >= 0 ? ld_restore_link(j) : put_filter(j, j->old.prog_fd);
}

static int facts(struct ld_att *att, const struct uapi_link_info *info)
{
	att->prog_id = info->prog_id;
	att->ifindex = info->dev.ifindex;
	att->alive = att->ifindex;
	return 0;
}

static bool gone(const struct ld_state *st)
{
	struct ld_link l;

	return ld_link_get(NULL, st->where.ifindex, &l);
}

/* 0 if our filter at a place runs this program, -ENOENT if not. */
static int runs(struct ld_nl *nl, const struct ld_where *w, uint32_t prog_id)
{
	_cleanup_filters_ struct ld_filters all = { 0 };
	const struct ld_filter *f;
	int err = ld_tc_dump(nl, w->ifindex, w->egress, &all);

	if (err)
		return err;
	f = at_our_place(&all, w->egress, true);
	return f && f->prog_id == prog_id ? 0 : -ENOENT;
}

/* The directory of the program that the filter runs says where that is. */
static int of_filter(struct ld_att *att, struct ld_where *ret)
{
	_cleanup_names_ char **names = ld_dir_names(att->dir);
	_cleanup_nl_ struct ld_nl nl = { 0 };
	struct arena *a = arena_new();
	int err = ld_nl_open(&nl, NETLINK_ROUTE);

	if (!err)
		err = -ENOENT;
	for (char **n = names; err == -ENOENT && n && *n; n++) {
		char gen[LD_PATH * 2];
		struct ld_state st;

		att->prog_id = strtoul(*n, NULL, 10);
		snprintf(gen, sizeof(gen), "%s/%s", att->dir, *n);
		if (!att->prog_id || ld_state_read(a, gen, &st) || st.where.kind != LD_TC)
			continue;
		err = runs(&nl, &st.where, att->prog_id);
		att->ifindex = st.where.ifindex;
		att->alive = !err;
		*ret = st.where;
	}
	arena_free(a);
	return err;
}

static int unlinked(struct ld_att *att)
{
	struct ld_where w;

	return of_filter(att, &w);
}

static int detach(struct ld_att *att)
{
	_cleanup_nl_ struct ld_nl nl = { 0 };
	struct ld_where w;
	int err = of_filter(att, &w);

	if (err)
		return err == -ENOENT ? 0 : err;
	err = ld_nl_open(&nl, NETLINK_ROUTE);
	err = err ? err : ld_tc_del(&nl, w.ifindex, w.egress, filter_of(w.egress).prio, filter_of(w.egress).handle);
	if (!err)
		ld_tc_qdisc_put(&nl, w.ifindex);
	return err;
}

const struct ld_hook ld_hook_tc = {
	.name = "tc", .target = "tc", .pinned = true, .link_type = UAPI_BPF_LINK_TYPE_TCX, .id = id, .find = ld_find_dev,
	.look = look, .create = create, .replace = replace, .restore = restore, .facts = facts,
	.unlinked = unlinked, .detach = detach, .gone = gone,
};
