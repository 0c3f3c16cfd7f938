/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * BPF_PROG_TYPE_NETFILTER at a hook of IPv4 or IPv6: between the chains of nftables and iptables, by priority. A priority
 * belongs to one hook function alone where a program comes to it (net/netfilter/core.c: nf_hook_entries_grow), so the
 * next free ones below are tried, as far as the caller allows: running a little earlier among chains of the same priority
 * is the caller's to judge. The kernel cannot change such a link's program, so it runs a dispatcher.
 *
 * The link holds the network namespace: one that is not detached keeps it alive.
 */
#include <errno.h>
#include <string.h>

#include <bpf/bpf.h>
#include <linux/netfilter.h>

#include "priv.h"
#include "uapi.h"

#define TRIES 16

static int id(const struct ld_where *w, char *ret, size_t size)
{
	return ld_id_hook("nf", w, ret, size);
}

static int find(struct ld_job *j)
{
	j->name = j->st.id;
	return 0;
}

static int make_dispatcher(struct ld_job *j)
{
	struct ld_dispatch d = { .prog.fd = -1, .slots_fd = -1 };
	int err = ld_dispatch_make(j->ds, UAPI_BPF_PROG_TYPE_NETFILTER, UAPI_BPF_NETFILTER,
				   j->st.where.fail_open ? NF_ACCEPT : NF_DROP, &d);

	err = err ? err : ld_dispatch_set(d.slots_fd, j->what->prog->fd);
	err = err ? err : ld_dispatch_pin(j->dir, &d);
	ld_prog_close(&d.prog);
	return err;
}

/* The array that is to be changed, or the dispatcher that is to be linked, both pinned. */
static int prepare(struct ld_job *j)
{
	int err = j->replace ? 0 : make_dispatcher(j);

	if (err)
		return err;
	j->fd = ld_pin_get(j->dir, j->replace ? "slots" : "dispatch");
	return j->fd < 0 ? j->fd : 0;
}

static int refuse_taken(struct ld_job *j, int32_t last)
{
	const struct ld_where *w = &j->st.where;

	if (last == w->prio)
		diag_add(j->ds, DIAG_ERROR, NULL, "cannot attach \"%s\": priority %d is taken", j->st.id, w->prio)->hint =
			"a chain or another program is there, and only one hook function a priority is possible for programs";
	else
		diag_add(j->ds, DIAG_ERROR, NULL, "cannot attach \"%s\": priorities %d to %d are taken", j->st.id, w->prio, last);
	return -EBUSY;
}

static int link_at_free(struct ld_job *j, int prog_fd)
{
	const struct ld_where *w = &j->st.where;
	struct uapi_link_create how = {
		.prog_fd = prog_fd, .attach_type = UAPI_BPF_NETFILTER, .netfilter = { .pf = w->pf, .hooknum = w->hooknum },
	};
	int64_t last = w->prio;
	int fd = -EBUSY;

	for (int64_t p = w->prio; fd == -EBUSY && p > w->prio - TRIES && (p == w->prio || p >= w->prio_min); p--) {
		how.netfilter.priority = last = p;
		fd = ld_link_create(&how);
	}
	return fd == -EBUSY ? refuse_taken(j, last) : fd;
}

static int create(struct ld_job *j)
{
	_cleanup_close_ int fd = link_at_free(j, j->fd);

	return fd < 0 ? fd : ld_job_pin_link(j, fd);
}

static int replace(struct ld_job *j)
{
	return ld_dispatch_set(j->fd, j->what->prog->fd);
}

static int restore(struct ld_job *j)
{
	return ld_dispatch_set(j->fd, j->old.prog_fd);
}

static int facts(struct ld_att *att, const struct uapi_link_info *info)
{
	att->prio = info->netfilter.priority;
	att->alive = true;
	return ld_dispatch_get(att->dir, info->prog_id, &att->prog_id);
}

const struct ld_hook ld_hook_nf = {
	.name = "nf", .target = "netfilter", .pinned = true, .link_type = UAPI_BPF_LINK_TYPE_NETFILTER, .id = id, .find = find,
	.look = ld_look_link, .prepare = prepare, .create = create, .replace = replace, .restore = restore,
	.facts = facts,
};
