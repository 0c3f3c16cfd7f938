/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * XDP on a device: a link of one program. There is no second one beside it, so somebody else's is refused, and the mode
 * cannot be changed in place.
 */
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include <bpf/bpf.h>
#include <linux/if_link.h>

#include "priv.h"
#include "uapi.h"

static int id(const struct ld_where *w, char *ret, size_t size)
{
	return ld_id_dev("xdp", w, NULL, ret, size);
}

/* Named where the caller may ask for it. */
static int refuse_foreign(struct ld_job *j)
{
	uint64_t was _cleanup_rights_ = ld_rights_raise(LD_RIGHT(CAP_SYS_ADMIN));
	char name[BPF_OBJ_NAME_LEN + 1] = "";
	_cleanup_close_ int fd = j->link.xdp_id ? bpf_prog_get_fd_by_id(j->link.xdp_id) : -1;
	uint32_t id;
	struct diag *d;

	if (!j->link.xdp_id)
		d = diag_add(j->ds, DIAG_ERROR, NULL, "\"%s\" already runs several XDP programs", j->name);
	else if (fd < 0 || ld_prog_id(fd, &id, name))
		d = diag_add(j->ds, DIAG_ERROR, NULL, "\"%s\" already runs an XDP program of somebody else, id %" PRIu32,
			     j->name, j->link.xdp_id);
	else
		d = diag_add(j->ds, DIAG_ERROR, NULL,
			     "\"%s\" already runs the XDP program \"%s\" of somebody else, id %" PRIu32, j->name, name,
			     j->link.xdp_id);
	d->hint = "nothing was changed; remove it first (`ip link show` names it), or choose other devices with --dev";
	return -EBUSY;
}

static int refuse_mode(struct ld_job *j)
{
	diag_add(j->ds, DIAG_ERROR, NULL, "\"%s\" is attached in %s mode, which cannot be changed in place", j->st.id,
		 j->st.where.generic ? "native" : "generic")->hint = "`fwjit detach` it first";
	return -EBUSY;
}

static int look(struct ld_job *j)
{
	bool generic = j->link.xdp_mode == XDP_ATTACHED_SKB;
	bool ours = !j->old_err && j->old.ifindex == j->link.ifindex && j->old.prog_id == j->link.xdp_id;

	if (j->link.xdp_mode != XDP_ATTACHED_NONE && !ours)
		return refuse_foreign(j);
	if (ours && generic != j->st.where.generic)
		return refuse_mode(j);
	return ld_look_link(j);
}

static int create(struct ld_job *j)
{
	LIBBPF_OPTS(bpf_link_create_opts, opts, .flags = j->st.where.generic ? XDP_FLAGS_SKB_MODE : XDP_FLAGS_DRV_MODE);
	_cleanup_close_ int fd = bpf_link_create(j->what->prog->fd, j->link.ifindex, BPF_XDP, &opts);

	return fd < 0 ? -errno : ld_job_pin_link(j, fd);
}

/* What drivers mean by refusing: their words do not come back from LINK_CREATE. */
static void explain(struct ld_job *j, int err)
{
	bool native = !j->st.where.generic;

	if ((err == -EBUSY || err == -EEXIST) && !ld_link_get(j->name, 0, &j->link))
		refuse_foreign(j);
	else if (native && err == -EOPNOTSUPP)
		diag_add(j->ds, DIAG_ERROR, NULL, "the driver of \"%s\" has no native XDP", j->name)->hint =
			"--target xdp:generic runs the same program later, in the stack; --dev chooses other devices";
	else if (native && err == -ERANGE)
		diag_add(j->ds, DIAG_ERROR, NULL,
			 "the driver of \"%s\" refuses native XDP at this MTU (%u; a veth device also looks at that of its "
			 "peer)", j->name, j->link.mtu)
			->hint = "lower the MTU (veth takes up to 3506), --target xdp:generic, or --dev for the others alone";
}

/* drivers/net/veth.c: veth_xdp_set, in pages of 4096 bytes. Other drivers take about as much. */
#define MTU_MOST 3506

const char *ld_xdp_obstacle(struct arena *a, const char *dev, bool generic, uint32_t prog_id)
{
	struct ld_link l, peer;
	uint32_t mtu;

	if (ld_link_get(dev, 0, &l))
		return NULL;
	if (l.xdp_mode != XDP_ATTACHED_NONE && (!l.xdp_id || l.xdp_id != prog_id))
		return arena_printf(a, "\"%s\" already runs an XDP program of somebody else (`ip link show` names it)", dev);
	mtu = l.mtu;
	if (!strcmp(l.kind, "veth") && !l.has_lower_netns && !ld_link_get(NULL, l.lower, &peer) && peer.mtu > mtu)
		mtu = peer.mtu;
	if (generic || mtu <= MTU_MOST)
		return NULL;
	return arena_printf(a, "few drivers take native XDP at an MTU of %u (veth: up to %u)", mtu, MTU_MOST);
}

static int facts(struct ld_att *att, const struct uapi_link_info *info)
{
	att->prog_id = info->prog_id;
	att->ifindex = info->dev.ifindex;
	att->alive = att->ifindex;
	return 0;
}

/* The device still runs the program: what the link says is also what the device says. */
static bool gone(const struct ld_state *st)
{
	struct ld_link l;

	return ld_link_get(NULL, st->where.ifindex, &l) || l.xdp_id != st->prog_id;
}

const struct ld_hook ld_hook_xdp = {
	.name = "xdp", .target = "xdp", .pinned = true, .link_type = UAPI_BPF_LINK_TYPE_XDP, .id = id, .find = ld_find_dev,
	.look = look, .create = create, .replace = ld_update_link, .restore = ld_restore_link, .explain = explain,
	.facts = facts, .gone = gone,
};
