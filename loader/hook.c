/* SPDX-License-Identifier: GPL-2.0-only */
/* The kinds of places where programs run, and what several of them share. A new kind is a row here and a file. */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include <bpf/bpf.h>
#include <linux/netfilter.h>

#include "priv.h"

const struct ld_hook *const ld_hooks[] = {	/* ORDER LD_KIND */
	[LD_XDP] = &ld_hook_xdp,
	[LD_TC] = &ld_hook_tc,
	[LD_NETFILTER] = &ld_hook_nf,
	[LD_CGROUP] = &ld_hook_cgroup,
	[LD_CBPF] = &ld_hook_cbpf,
	[LD_SOCKET] = &ld_hook_socket,
	[LD_XTCODE] = &ld_hook_xtcode,
	NULL,
};
#define N_HOOK (sizeof(ld_hooks) / sizeof(ld_hooks[0]) - 1)

const struct ld_hook *ld_hook_of(const char *id)
{
	for (const struct ld_hook *const *h = ld_hooks; *h; h++) {
		size_t n = strlen((*h)->name);

		if (!strncmp(id, (*h)->name, n) && id[n] == '-')
			return *h;
	}
	return NULL;
}

int ld_where_id(const struct ld_where *w, char ret[64])
{
	return (unsigned int)w->kind < N_HOOK ? ld_hooks[w->kind]->id(w, ret, 64) : -EINVAL;
}

const char *ld_way(const struct ld_where *w)
{
	return w->egress ? "egress" : "ingress";
}

int ld_id_dev(const char *name, const struct ld_where *w, const char *way, char *ret, size_t size)
{
	if (!memchr(w->dev, '\0', sizeof(w->dev)) || !ld_device_name_ok(w->dev))
		return -EINVAL;
	snprintf(ret, size, "%s-%s%s%s", name, w->dev, way ? "-" : "", way ? way : "");
	return 0;
}

static const char *const hook_word[] = {	/* ORDER NF_INET_ */
	"prerouting", "input", "forward", "output", "postrouting",
};

int ld_id_hook(const char *name, const struct ld_where *w, char *ret, size_t size)
{
	if ((w->pf != NFPROTO_IPV4 && w->pf != NFPROTO_IPV6) || w->hooknum >= NF_INET_NUMHOOKS)
		return -EINVAL;
	snprintf(ret, size, "%s-%s-%s-%d", name, w->pf == NFPROTO_IPV4 ? "ip" : "ip6", hook_word[w->hooknum], w->prio);
	return 0;
}

int ld_parse_hook(const char *name, const char *id, struct ld_where *ret)
{
	char begin[48];

	*ret = (struct ld_where){ 0 };
	for (int six = 0; six < 2; six++)
		for (uint32_t h = 0; h < NF_INET_NUMHOOKS; h++) {
			int n = snprintf(begin, sizeof(begin), "%s-%s-%s-", name, six ? "ip6" : "ip", hook_word[h]);
			char *end;
			long prio;

			if (strncmp(id, begin, n))
				continue;
			prio = strtol(id + n, &end, 10);
			ret->pf = six ? NFPROTO_IPV6 : NFPROTO_IPV4;
			ret->hooknum = h;
			ret->prio = prio;
			return *end || end == id + n || prio != ret->prio ? -ENOENT : 0;
		}
	return -ENOENT;
}

int ld_find_dev(struct ld_job *j)
{
	int err = ld_link_get(j->st.where.dev, 0, &j->link);

	j->name = j->st.where.dev;
	j->st.where.ifindex = j->link.ifindex;
	if (err)
		diag_add(j->ds, DIAG_ERROR, NULL, "cannot attach to \"%s\": no such device: %s", j->name, strerror(-err));
	return err;
}

int ld_look_link(struct ld_job *j)
{
	bool there = !j->old_err && j->old.alive;

	j->replace = there && j->old.ifindex == j->link.ifindex;
	if (!there || j->replace)
		return 0;
	diag_add(j->ds, DIAG_ERROR, NULL, "\"%s\" is attached to another device, index %u", j->st.id, j->old.ifindex)->hint =
		"the device was renamed; `fwjit detach` the attachment first";
	return -EBUSY;
}

/* Where pinning fails, the link ends with its descriptor. */
int ld_job_pin_link(struct ld_job *j, int fd)
{
	ld_pin_drop(j->dir, "link");	/* that of a place that is gone */
	return ld_pin_put(j->dir, "link", fd);
}

int ld_update_link(struct ld_job *j)
{
	LIBBPF_OPTS(bpf_link_update_opts, opts, .flags = BPF_F_REPLACE, .old_prog_fd = j->old.prog_fd);

	return bpf_link_update(j->old.link_fd, j->what->prog->fd, &opts) < 0 ? -errno : 0;
}

int ld_restore_link(struct ld_job *j)
{
	LIBBPF_OPTS(bpf_link_update_opts, opts, .flags = BPF_F_REPLACE, .old_prog_fd = j->what->prog->fd);

	return bpf_link_update(j->old.link_fd, j->old.prog_fd, &opts) < 0 ? -errno : 0;
}

/* Only who may ask is told: in a user namespace nobody is. */
void ld_name_others(struct ld_job *j, int target, uint32_t attach_type)
{
	uint64_t was _cleanup_rights_ = ld_rights_raise(LD_RIGHT(CAP_NET_ADMIN) | LD_RIGHT(CAP_SYS_ADMIN));
	uint32_t ids[32];

	LIBBPF_OPTS(bpf_prog_query_opts, opts, .prog_ids = ids, .prog_cnt = 32);
	if (bpf_prog_query_opts(target, attach_type, &opts) < 0 && errno != ENOSPC)
		return;
	for (uint32_t i = 0; i < opts.prog_cnt && i < 32; i++) {
		char name[BPF_OBJ_NAME_LEN + 1] = "";
		_cleanup_close_ int fd = -1;
		uint32_t id;

		if (j->replace && ids[i] == j->old.prog_id)
			continue;
		fd = bpf_prog_get_fd_by_id(ids[i]);
		if (fd >= 0)
			ld_prog_id(fd, &id, name);
		diag_add(j->ds, DIAG_NOTE, NULL, "\"%s\" also runs the program \"%s\" of somebody else, id %" PRIu32, j->name,
			 name, ids[i]);
	}
}
