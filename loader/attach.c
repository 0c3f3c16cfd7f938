/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Attaching, all or nothing. Everything that can fail is done beside what is there: the new program's directory
 * with its maps and state. Then one call to the kernel changes the link's program, and that call is the commit:
 * from then on the directory that carries the new program's id is the truth, and the old one is removed. No packet
 * sees the device without a program, and whatever fails leaves the old program with its counters and its state.
 *
 * Counters that live on are carried in user space: a per-CPU counter that the program increments cannot be added
 * to from outside without losing packets. So a map beside it, "base", holds what earlier programs had counted.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include <bpf/bpf.h>
#include <linux/if_link.h>
#include <linux/membarrier.h>

#include "priv.h"

struct job {
	struct diags *ds;
	const struct ld_prog *prog;
	struct ld_link link;
	struct ld_state st;
	const uint32_t *carry;
	uint32_t n_carry, n_slot;
	bool replace;			/* old is ours and alive */
	bool done;			/* committed */
	struct ld_att old;
	char dir[LD_PATH], gen[LD_PATH + 16];
	int base_fd;
};

static int refuse(struct job *j, int err, const char *what)
{
	struct diag *d = diag_add(j->ds, DIAG_ERROR, NULL, "cannot attach to \"%s\": %s: %s", j->st.dev, what,
				  strerror(-err));

	if (err == -EPERM || err == -EACCES)
		d->hint = "`fwjit probe` says which right is missing";
	return err;
}

/* Somebody else's program: named where the caller may ask for it. */
static int refuse_foreign(struct job *j)
{
	char name[BPF_OBJ_NAME_LEN + 1] = "";
	_cleanup_close_ int fd = j->link.xdp_id ? bpf_prog_get_fd_by_id(j->link.xdp_id) : -1;
	uint32_t id;
	struct diag *d;

	if (!j->link.xdp_id) {
		d = diag_add(j->ds, DIAG_ERROR, NULL, "\"%s\" already runs several XDP programs", j->st.dev);
	} else if (fd < 0 || ld_prog_id(fd, &id, name)) {
		d = diag_add(j->ds, DIAG_ERROR, NULL,
			     "\"%s\" already runs an XDP program of somebody else, id %" PRIu32, j->st.dev,
			     j->link.xdp_id);
	} else {
		d = diag_add(j->ds, DIAG_ERROR, NULL,
			     "\"%s\" already runs the XDP program \"%s\" of somebody else, id %" PRIu32, j->st.dev,
			     name, j->link.xdp_id);
	}
	d->hint = "nothing was changed; remove it first (`ip link show` names it), or choose another device";
	return -EBUSY;
}

static int refuse_mode(struct job *j)
{
	diag_add(j->ds, DIAG_ERROR, NULL, "\"%s\" is attached in %s mode, which cannot be changed in place", j->st.id,
		 j->st.native ? "generic" : "native")->hint = "`fwjit detach` it first";
	return -EBUSY;
}

/* May this attachment be made, and is it a replacement? */
static int look(struct job *j, const struct ld_root *r)
{
	bool native = j->link.xdp_mode != XDP_ATTACHED_SKB;
	int err = ld_att_open(r, j->st.id, &j->old);

	j->replace = !err && j->old.ifindex == j->link.ifindex && j->old.prog_id == j->link.xdp_id;
	if (j->link.xdp_mode != XDP_ATTACHED_NONE && !j->replace)
		return refuse_foreign(j);
	if (j->replace && native != j->st.native)
		return refuse_mode(j);
	if (!err && !j->replace && j->old.ifindex) {
		diag_add(j->ds, DIAG_ERROR, NULL, "\"%s\" is attached to another device, index %u", j->st.id,
			 j->old.ifindex)
			->hint = "the device was renamed; `fwjit detach` the attachment first";
		return -EBUSY;
	}
	if (j->replace && j->old.prog_id == j->prog->id) {
		diag_add(j->ds, DIAG_ERROR, NULL, "\"%s\" already runs this very program", j->st.dev);
		return -EALREADY;
	}
	return 0;
}

static int pin_maps(struct job *j)
{
	static const char *const name[] = { "counters", "gate", "scratch", "map" };	/* ORDER BE_MAP */
	int err = 0;

	for (uint32_t i = 0; i < j->prog->n_map && !err; i++) {
		char pin[32];

		if (j->prog->role[i] == BE_MAP_OTHER)
			snprintf(pin, sizeof(pin), "%s%u", name[BE_MAP_OTHER], i);
		else
			snprintf(pin, sizeof(pin), "%s", name[j->prog->role[i]]);
		err = ld_pin_put(j->gen, pin, j->prog->map_fd[i]);
	}
	return err;
}

static int pin_state(struct job *j)
{
	_cleanup_close_ int fd = ld_state_make(&j->st, j->n_slot);

	return fd < 0 ? fd : ld_pin_put(j->gen, "state", fd);
}

/* What the replaced program has counted so far, by the new program's slots. */
static int write_base(struct job *j)
{
	_cleanup_free_ struct be_counter *old = NULL, *base = NULL;
	struct be_map m = {
		.n_value = j->n_carry, .max_entries = j->n_carry, .key_size = 4, .value_size = sizeof(*base),
	};
	uint32_t n = 0;
	int err;

	for (uint32_t i = 0; i < j->n_carry; i++)
		if (j->carry[i] != UINT32_MAX && j->carry[i] >= n)
			n = j->carry[i] + 1;
	old = calloc(n + 1, sizeof(*old));
	base = calloc(j->n_carry, sizeof(*base));
	if (!old || !base)
		return -ENOMEM;
	err = ld_att_counters(&j->old, old, n);
	for (uint32_t i = 0; i < j->n_carry; i++)
		if (j->carry[i] != UINT32_MAX)
			base[i] = old[j->carry[i]];
	m.value = (const uint8_t *)base;
	return err ? err : ld_map_fill(j->base_fd, &m);
}

static int pin_base(struct job *j)
{
	struct be_map m = {
		.name = "fwjit_base",
		.type = BPF_MAP_TYPE_ARRAY,
		.key_size = 4,
		.value_size = sizeof(struct be_counter),
		.max_entries = j->n_carry,
	};
	int err;

	if (!j->replace || !j->n_carry)
		return 0;
	j->base_fd = ld_map_create(&m);
	if (j->base_fd < 0)
		return j->base_fd;
	err = write_base(j);
	return err ? err : ld_pin_put(j->gen, "base", j->base_fd);
}

static int prepare(struct job *j, const struct ld_root *r)
{
	int err = ld_id_path(r, j->st.id, j->dir, sizeof(j->dir));

	if (err)
		return err;
	snprintf(j->gen, sizeof(j->gen), "%s/%" PRIu32, j->dir, j->prog->id);
	if (mkdir(j->dir, 0700) < 0 && errno != EEXIST)
		return -errno;
	ld_dir_remove(j->gen);
	if (mkdir(j->gen, 0700) < 0)
		return -errno;
	err = ld_pin_put(j->gen, "prog", j->prog->fd);
	err = err ? err : pin_maps(j);
	err = err ? err : pin_state(j);
	return err ? err : pin_base(j);
}

/* Every packet that was in the old program when the link changed is out of it. */
static void wait_for_old(void)
{
	if (syscall(SYS_membarrier, MEMBARRIER_CMD_GLOBAL, 0, 0) < 0)
		usleep(50000);
}

static int commit_replace(struct job *j)
{
	LIBBPF_OPTS(bpf_link_update_opts, opts, .flags = BPF_F_REPLACE, .old_prog_fd = j->old.prog_fd);

	if (bpf_link_update(j->old.link_fd, j->prog->fd, &opts) < 0)
		return -errno;
	if (j->base_fd >= 0) {
		wait_for_old();
		write_base(j);	/* a failure leaves what was counted before the change */
	}
	return 0;
}

static int commit_new(struct job *j)
{
	LIBBPF_OPTS(bpf_link_create_opts, opts, .flags = j->st.native ? XDP_FLAGS_DRV_MODE : XDP_FLAGS_SKB_MODE);
	_cleanup_close_ int fd = -1;
	char pin[LD_PATH + 8];

	fd = bpf_link_create(j->prog->fd, j->link.ifindex, BPF_XDP, &opts);
	if (fd < 0)
		return -errno;
	/* That of a device that is gone. */
	snprintf(pin, sizeof(pin), "%s/link", j->dir);
	unlink(pin);
	return ld_pin_put(j->dir, "link", fd);	/* where it fails, the link ends with its descriptor */
}

static void remove_others(const struct job *j)
{
	_cleanup_names_ char **names = ld_dir_names(j->dir);

	for (char **n = names; n && *n; n++) {
		char path[LD_PATH * 2];

		snprintf(path, sizeof(path), "%s/%s", j->dir, *n);
		if (strcmp(*n, "link") && strcmp(path, j->gen))
			ld_dir_remove(path);
	}
}

/* What drivers mean by refusing: their words do not come back from LINK_CREATE. */
static int refuse_native(struct job *j, int err)
{
	if (err == -EOPNOTSUPP)
		diag_add(j->ds, DIAG_ERROR, NULL, "the driver of \"%s\" has no native XDP", j->st.dev)
			->hint = "--target xdp:generic runs the same program later, in the stack";
	else
		diag_add(j->ds, DIAG_ERROR, NULL,
			 "the driver of \"%s\" refuses native XDP at this MTU (%u; a veth device also "
			 "looks at that of its peer)",
			 j->st.dev, j->link.mtu)
			->hint = "lower the MTU (veth takes up to 3506), or --target xdp:generic";
	return err;
}

static int commit(struct job *j)
{
	int err = j->replace ? commit_replace(j) : commit_new(j);

	if (j->st.native && (err == -EOPNOTSUPP || err == -ERANGE))
		return refuse_native(j, err);
	if (err == -EBUSY || err == -EEXIST)
		return ld_link_get(j->st.dev, 0, &j->link) ? refuse(j, err, "BPF_LINK_CREATE") : refuse_foreign(j);
	if (err)
		return refuse(j, err, j->replace ? "BPF_LINK_UPDATE" : "BPF_LINK_CREATE");
	j->done = true;
	return 0;
}

/* The link is detached by name first: after it nothing runs any more, and the pins only take room. A link whose device
 * is gone has nothing to detach. */
static int detach_dir(const char *dir)
{
	_cleanup_close_ int link = ld_pin_get(dir, "link");

	if (link >= 0 && bpf_link_detach(link) < 0 && errno != ENOLINK && errno != EINVAL)
		return -errno;
	ld_dir_remove(dir);
	return 0;
}

/* Back to what was there. The old program's directory is still in its place. */
static void undo(struct job *j)
{
	LIBBPF_OPTS(bpf_link_update_opts, opts, .flags = BPF_F_REPLACE, .old_prog_fd = j->prog->fd);

	if (j->done && j->replace && bpf_link_update(j->old.link_fd, j->old.prog_fd, &opts) < 0) {
		diag_add(j->ds, DIAG_ERROR, NULL, "\"%s\" keeps its new program: BPF_LINK_UPDATE: %s", j->st.dev,
			 strerror(errno));
		return;
	}
	if (j->done && !j->replace)
		detach_dir(j->dir);
	if (*j->gen) {
		ld_dir_remove(j->gen);
		rmdir(j->dir);	/* stays where there is something in it */
	}
}

static void sweep_one(const struct ld_root *r, char *name)
{
	_cleanup_att_ struct ld_att att = { .link_fd = -1, .prog_fd = -1 };

	for (char *c = name; *c; c++)
		*c = *c == ':' ? '.' : *c;
	if (!ld_att_open(r, name, &att) && !att.ifindex)
		ld_dir_remove(att.dir);
}

/* Attachments of network namespaces that have ended: their devices went with them. */
static void sweep(const struct ld_root *ours)
{
	char top[LD_PATH], *end;
	_cleanup_names_ char **net = NULL;

	snprintf(top, sizeof(top), "%s", ours->path);
	end = strrchr(top, '/');
	*end = '\0';
	net = ld_dir_names(top);
	for (char **n = net; n && *n; n++) {
		struct ld_root other = { .fd = ours->fd };
		_cleanup_names_ char **id = NULL;

		if (snprintf(other.path, sizeof(other.path), "%.100s/%.60s", top, *n) < 0 ||
		    !strcmp(other.path, ours->path))
			continue;
		id = ld_dir_names(other.path);
		for (char **i = id; i && *i; i++)
			sweep_one(&other, *i);
		rmdir(other.path);
	}
}

static int slots(struct job *j)
{
	int fd = ld_role_fd(j->prog, BE_MAP_COUNTERS);
	struct ld_map_shape m = { 0 };
	int err = fd < 0 ? 0 : ld_map_shape(fd, &m);

	j->n_slot = m.max_entries;
	if (j->n_carry > j->n_slot)
		j->n_carry = j->n_slot;
	return err;
}

static int ready(struct job *j, const struct ld_root *r)
{
	int err;

	if (!ld_device_name_ok(j->st.dev)) {
		diag_add(j->ds, DIAG_ERROR, NULL, "\"%s\" is not a device name", j->st.dev);
		return -EINVAL;
	}
	err = ld_link_get(j->st.dev, 0, &j->link);
	if (err)
		return refuse(j, err, "no such device");
	err = look(j, r);
	if (err)
		return err;
	err = slots(j);
	err = err ? err : prepare(j, r);
	return err ? refuse(j, err, "pinning the program and its maps") : 0;
}

/* All are ready before the first is committed; where one fails, those before it are undone, the last first. */
static int run(struct job *j, uint32_t n)
{
	_cleanup_root_ struct ld_root r = { .fd = -1 };
	int err = ld_root_open(&r, LD_WRITE);

	if (err)
		return refuse(j, err, "no BPF file system with a directory \"fwjit\" that only this user may write");
	for (uint32_t i = 0; i < n && !err; i++)
		err = ready(&j[i], &r);
	for (uint32_t i = 0; i < n && !err; i++)
		err = commit(&j[i]);
	for (uint32_t i = n; err && i-- > 0;)
		undo(&j[i]);
	if (err)
		return err;
	for (uint32_t i = 0; i < n; i++)
		remove_others(&j[i]);
	sweep(&r);
	return 0;
}

static void job_init(struct job *j, struct diags *ds, const struct ld_attach *what)
{
	*j = (struct job){
		.ds = ds, .prog = what->prog, .carry = what->carry, .n_carry = what->carry ? what->n_carry : 0,
		.base_fd = -1, .old = { .link_fd = -1, .prog_fd = -1 },
		.st = { .target = "xdp", .native = !what->generic, .meta = what->meta, .meta_len = what->meta_len },
	};
	snprintf(j->st.dev, sizeof(j->st.dev), "%s", what->dev);
	snprintf(j->st.id, sizeof(j->st.id), "xdp-%s", j->st.dev);
}

int ld_xdp_attach_all(struct diags *ds, const struct ld_attach *what, uint32_t n)
{
	_cleanup_free_ struct job *j = calloc(n ? n : 1, sizeof(*j));
	int err;

	if (!j)
		return -ENOMEM;
	if (!n)
		return 0;
	for (uint32_t i = 0; i < n; i++)
		job_init(&j[i], ds, &what[i]);
	err = run(j, n);
	for (uint32_t i = 0; i < n; i++) {
		ld_closep(&j[i].base_fd);
		ld_att_close(&j[i].old);
	}
	return err;
}

int ld_xdp_replace(struct arena *a, struct diags *ds, const struct ld_prog *prog, const char *dev, bool generic,
		   const void *meta, size_t meta_len, const uint32_t *carry, uint32_t n_carry)
{
	struct ld_attach one = {
		.prog = prog, .dev = dev, .generic = generic, .meta = meta, .meta_len = meta_len, .carry = carry,
		.n_carry = n_carry,
	};

	return ld_xdp_attach_all(ds, &one, 1);
}

int ld_xdp_attach(struct arena *a, struct diags *ds, const struct ld_prog *prog, const char *dev, bool generic,
		  const void *meta, size_t meta_len)
{
	return ld_xdp_replace(a, ds, prog, dev, generic, meta, meta_len, NULL, 0);
}

int ld_detach(struct diags *ds, const char *id)
{
	_cleanup_root_ struct ld_root r = { .fd = -1 };
	char dir[LD_PATH];
	struct stat st;
	int err = ld_root_open(&r, LD_CHANGE);

	err = err ? err : ld_id_path(&r, id, dir, sizeof(dir));
	if (!err && stat(dir, &st) < 0)
		err = -errno;
	err = err ? err : detach_dir(dir);
	if (err)
		diag_add(ds, DIAG_ERROR, NULL, "cannot detach \"%s\": %s", id,
			 err == -ENOENT ? "there is no such attachment here" : strerror(-err));
	return err;
}
