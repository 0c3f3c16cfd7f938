/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * cgroup_skb on a directory of cgroup v2: a link, which always runs beside those of others and of the cgroups above
 * (BPF_F_ALLOW_MULTI): a packet passes if all of them let it. It is about the sockets of the cgroup, in whatever network
 * namespace they are. The id is by the directory's inode, which is the cgroup's id: names come again.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/vfs.h>

#include <bpf/bpf.h>

#include "priv.h"
#include "uapi.h"

static int open_dir(const struct ld_where *w)
{
	struct statfs fs;
	int fd = open(w->cgroup, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (fd < 0)
		return -errno;
	if (!fstatfs(fd, &fs) && (uint32_t)fs.f_type == UAPI_CGROUP2_MAGIC)
		return fd;
	close(fd);
	return -EINVAL;
}

static uint32_t attach_type(const struct ld_where *w)
{
	return w->egress ? BPF_CGROUP_INET_EGRESS : BPF_CGROUP_INET_INGRESS;
}

static int id(const struct ld_where *w, char *ret, size_t size)
{
	_cleanup_close_ int fd = -1;
	struct stat st;

	if (!memchr(w->cgroup, '\0', sizeof(w->cgroup)))
		return -EINVAL;
	fd = open_dir(w);
	if (fd < 0)
		return fd;
	if (fstat(fd, &st) < 0)
		return -errno;
	snprintf(ret, size, "cgroup-%" PRIu64 "-%s", (uint64_t)st.st_ino, ld_way(w));
	return 0;
}

static int find(struct ld_job *j)
{
	j->name = j->st.where.cgroup;
	j->fd = open_dir(&j->st.where);
	return j->fd < 0 ? j->fd : 0;
}

static int look(struct ld_job *j)
{
	int err = ld_look_link(j);

	if (!err)
		ld_name_others(j, j->fd, attach_type(&j->st.where));
	return err;
}

static int create(struct ld_job *j)
{
	/* The one kind of link that takes a right, and not the program alone. */
	uint64_t was _cleanup_rights_ = ld_rights_raise(LD_RIGHT(CAP_NET_ADMIN));
	_cleanup_close_ int fd = bpf_link_create(j->what->prog->fd, j->fd, attach_type(&j->st.where), NULL);

	return fd < 0 ? -errno : ld_job_pin_link(j, fd);
}

static int facts(struct ld_att *att, const struct uapi_link_info *info)
{
	att->prog_id = info->prog_id;
	att->alive = info->cgroup.id;
	return 0;
}

const struct ld_hook ld_hook_cgroup = {
	.name = "cgroup", .target = "cgroup", .pinned = true, .link_type = UAPI_BPF_LINK_TYPE_CGROUP, .id = id, .find = find,
	.look = look, .create = create, .replace = ld_update_link, .restore = ld_restore_link, .facts = facts,
};
