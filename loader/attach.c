/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Attaching, all or nothing, at whatever place. Everything that can fail is done beside what is there: the new program's
 * directory with its maps and state. Then one call to the kernel changes what runs there, and that call is the commit:
 * from then on the directory that carries the new program's id is the truth, and the old one is removed. No packet
 * sees the place without a program, and whatever fails leaves the old program with its counters and its state. What the
 * kinds of places do differently is in their rows: hook.c.
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
#include <linux/membarrier.h>

#include "priv.h"

static int refuse(struct ld_job *j, int err, const char *what)
{
	struct diag *d = diag_add(j->ds, DIAG_ERROR, NULL, "cannot attach to \"%s\": %s: %s", j->name, what, strerror(-err));

	if (err == -EPERM || err == -EACCES || err == -ENOENT)
		d->hint = ld_root_hint(err);
	return err;
}

static int pin_maps(struct ld_job *j)
{
	static const char *const name[] = { "counters", "gate", "scratch", "map" };	/* ORDER BE_MAP */
	int err = 0;

	for (uint32_t i = 0; i < j->what->prog->n_map && !err; i++) {
		char pin[32];

		if (j->what->prog->role[i] == BE_MAP_OTHER)
			snprintf(pin, sizeof(pin), "%s%u", name[BE_MAP_OTHER], i);
		else
			snprintf(pin, sizeof(pin), "%s", name[j->what->prog->role[i]]);
		err = ld_pin_put(j->gen, pin, j->what->prog->map_fd[i]);
	}
	return err;
}

static int pin_state(struct ld_job *j)
{
	_cleanup_close_ int fd = ld_state_make(&j->st, j->n_slot);

	return fd < 0 ? fd : ld_pin_put(j->gen, "state", fd);
}

/* What the replaced program has counted so far, by the new program's slots. */
static int write_base(struct ld_job *j)
{
	_cleanup_free_ struct be_counter *old = NULL, *base = NULL;
	struct be_map m = {
		.n_value = j->n_carry, .max_entries = j->n_carry, .key_size = 4, .value_size = sizeof(*base),
	};
	uint32_t n = 0;
	int err;

	for (uint32_t i = 0; i < j->n_carry; i++)
		if (j->what->carry[i] != UINT32_MAX && j->what->carry[i] >= n)
			n = j->what->carry[i] + 1;
	old = calloc(n + 1, sizeof(*old));
	base = calloc(j->n_carry, sizeof(*base));
	if (!old || !base)
		return -ENOMEM;
	err = ld_att_counters(&j->old, old, n);
	for (uint32_t i = 0; i < j->n_carry; i++)
		if (j->what->carry[i] != UINT32_MAX)
			base[i] = old[j->what->carry[i]];
	m.value = (const uint8_t *)base;
	return err ? err : ld_map_fill(j->base_fd, &m);
}

static int pin_base(struct ld_job *j)
{
	struct be_map m = {
		.name = "fwjit_base",
		.type = BPF_MAP_TYPE_ARRAY,
		.key_size = 4,
		.value_size = sizeof(struct be_counter),
		.max_entries = j->n_carry,
	};
	int err;

	if (!j->replace || j->old_err || !j->n_carry)
		return 0;
	j->base_fd = ld_map_create(&m);
	if (j->base_fd < 0)
		return j->base_fd;
	err = write_base(j);
	return err ? err : ld_pin_put(j->gen, "base", j->base_fd);
}

static int prepare(struct ld_job *j)
{
	int err = ld_id_path(j->root, j->st.id, j->dir, sizeof(j->dir));

	if (err)
		return err;
	snprintf(j->gen, sizeof(j->gen), "%s/%" PRIu32, j->dir, j->what->prog->id);
	if (mkdir(j->dir, 0700) < 0 && errno != EEXIST)
		return -errno;
	ld_dir_remove(j->gen);
	if (mkdir(j->gen, 0700) < 0)
		return -errno;
	err = ld_pin_put(j->gen, "prog", j->what->prog->fd);
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

static void remove_others(const struct ld_job *j)
{
	_cleanup_names_ char **names = ld_dir_names(j->dir);

	for (char **n = names; n && *n; n++) {
		char path[LD_PATH * 2];

		snprintf(path, sizeof(path), "%s/%s", j->dir, *n);
		if (strcmp(*n, "link") && strcmp(path, j->gen))
			ld_dir_remove(path);
	}
}

/* A directory whose attachment was never committed: pins beside the programs (a dispatcher's) are of no use. */
static void remove_empty(const struct ld_job *j)
{
	if (j->old_err == -ENOENT)
		ld_dir_remove(j->dir);
	else
		rmdir(j->dir);	/* stays where there is something in it */
}

/* The steps of a kind may have said why. */
static int said(struct ld_job *j, uint32_t had, int err, const char *what)
{
	return !err || j->ds->n > had ? err : refuse(j, err, what);
}

static int commit(struct ld_job *j)
{
	uint32_t had = j->ds->n;
	int err = j->replace ? j->hook->replace(j) : j->hook->create(j);

	if (err && j->hook->explain)
		j->hook->explain(j, err);
	if (err)
		return said(j, had, err, j->replace ? "replacing what is there" : "making it run there");
	j->done = true;
	if (j->base_fd >= 0) {
		wait_for_old();
		write_base(j);	/* a failure leaves what was counted before the change */
	}
	return 0;
}

/* The link is detached by name first: after it nothing runs any more, and the pins only take room. A link whose place
 * is gone has nothing to detach. */
static int detach_dir(const struct ld_hook *hook, const char *dir)
{
	_cleanup_close_ int link = ld_pin_get(dir, "link");
	struct ld_att att = { .link_fd = -1, .prog_fd = -1, .hook = hook };
	int err;

	if (link >= 0 && bpf_link_detach(link) < 0 && errno != ENOLINK && errno != EINVAL)
		return -errno;
	if (link == -ENOENT && hook && hook->detach) {
		snprintf(att.dir, sizeof(att.dir), "%s", dir);
		err = hook->detach(&att);
		if (err)
			return err;
	}
	ld_dir_remove(dir);
	return 0;
}

/* Back to what was there. The old program's directory is still in its place. */
static void undo(struct ld_job *j)
{
	int err = j->done && j->replace ? j->hook->restore(j) : 0;

	if (err) {
		diag_add(j->ds, DIAG_ERROR, NULL, "\"%s\" keeps its new program: the old one cannot be put back: %s", j->name,
			 strerror(-err));
		return;
	}
	if (j->hook->undo)
		j->hook->undo(j);
	if (!j->pinned)
		return;
	if (j->done && !j->replace)
		detach_dir(j->hook, j->dir);
	if (*j->gen) {
		ld_dir_remove(j->gen);
		remove_empty(j);
	}
}

static void sweep_one(const struct ld_root *r, char *name)
{
	_cleanup_att_ struct ld_att att = { .link_fd = -1, .prog_fd = -1 };

	for (char *c = name; *c; c++)
		*c = *c == ':' ? '.' : *c;
	/* What has no link cannot be judged from here. */
	if (!ld_att_open(r, name, &att) && att.link_fd >= 0 && !att.alive)
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
		ld_claim_sweep(&other);
		rmdir(other.path);
	}
}

static int slots(struct ld_job *j)
{
	int fd = ld_role_fd(j->what->prog, BE_MAP_COUNTERS);
	struct ld_map_shape m = { 0 };
	int err = fd < 0 ? 0 : ld_map_shape(fd, &m);

	j->n_slot = m.max_entries;
	if (j->n_carry > j->n_slot)
		j->n_carry = j->n_slot;
	return err;
}

static int look(struct ld_job *j)
{
	uint32_t had = j->ds->n;
	int err = j->hook->find(j);

	if (err)
		return said(j, had, err, "no such place");
	if (j->pinned)
		j->old_err = ld_att_open(j->root, j->st.id, &j->old);
	err = ld_claim_check(j);
	if (err)
		return refuse(j, err, "it was attached or detached meanwhile");
	err = j->hook->look(j);
	if (err || !j->pinned || !j->replace || j->old.prog_id != j->what->prog->id)
		return said(j, had, err, "what is there cannot be read");
	diag_add(j->ds, DIAG_ERROR, NULL, "\"%s\" already runs this very program", j->name);
	return -EALREADY;
}

static int ready(struct ld_job *j)
{
	uint32_t had = j->ds->n;
	int err = ld_where_id(&j->st.where, j->st.id);

	if (err)
		return refuse(j, err, "no such place");
	err = look(j);
	if (err)
		return err;
	had = j->ds->n;
	if (j->pinned) {
		err = slots(j);
		err = err ? err : prepare(j);
	}
	if (!err && j->hook->prepare)
		err = j->hook->prepare(j);
	return said(j, had, err, j->pinned ? "pinning the program and its maps" : "loading the filters");
}

/* All are ready before the first is committed; where one fails, those before it are undone, the last first. */
static int run(struct ld_job *j, uint32_t n)
{
	int err = 0;

	for (uint32_t i = 0; i < n && !err; i++)
		err = ready(&j[i]);
	for (uint32_t i = 0; i < n && !err; i++)
		err = commit(&j[i]);
	for (uint32_t i = n; err && i-- > 0;)
		undo(&j[i]);
	for (uint32_t i = 0; i < n && !err; i++) {
		if (j[i].hook->finish)
			j[i].hook->finish(&j[i]);
		if (j[i].pinned)
			remove_others(&j[i]);
	}
	return err;
}

/* Where what is pinned and what is remembered are; both locked, in this order. */
static int run_locked(struct ld_job *j, uint32_t n)
{
	_cleanup_root_ struct ld_root r = { .fd = -1 };
	_cleanup_close_ int run_fd = -ENOENT;
	bool pinned = false, must = false, other = false;
	int err;

	for (uint32_t i = 0; i < n; i++) {
		pinned = pinned || j[i].hook->pinned;
		must = must || (j[i].hook->pinned && !j[i].hook->unpinned);
		j[i].root = &r;
	}
	err = pinned ? ld_root_open(&r, LD_WRITE) : 0;
	if (err && must)
		return refuse(j, err, "no BPF file system with a directory \"fwjit\" that only this user may write");
	pinned = pinned && !err;
	for (uint32_t i = 0; i < n; i++) {
		j[i].pinned = j[i].hook->pinned && pinned;
		other = other || !j[i].pinned;
	}
	if (other)
		run_fd = ld_run_lock(true);
	for (uint32_t i = 0; i < n; i++)
		j[i].run_fd = run_fd;
	err = run(j, n);
	if (!err && pinned)
		sweep(&r);
	return err;
}

static int job_init(struct ld_job *j, struct diags *ds, const struct ld_attach *what)
{
	*j = (struct ld_job){
		.ds = ds, .what = what, .n_carry = what->carry ? what->n_carry : 0, .fd = -1, .run_fd = -ENOENT, .base_fd = -1,
		.old_err = -ENOENT, .old = { .link_fd = -1, .prog_fd = -1 },
		.st = { .where = what->where, .meta = what->meta, .meta_len = what->meta_len },
	};
	if ((unsigned int)what->where.kind >= LD_KINDS)
		return -EINVAL;
	j->hook = ld_hooks[what->where.kind];
	j->name = *what->where.dev ? what->where.dev : j->hook->target;
	return j->hook->pinned ? what->prog ? 0 : -EINVAL : what->filter ? 0 : -EINVAL;
}

static bool twice(const struct ld_attach *what, uint32_t n, uint32_t i)
{
	char id[64], other[64];

	if (ld_where_id(&what[i].where, id))
		return false;
	for (uint32_t k = 0; k < i; k++)
		if (!ld_where_id(&what[k].where, other) && !strcmp(id, other))
			return true;
	return false;
}

int ld_attach_all(struct diags *ds, const struct ld_attach *what, uint32_t n)
{
	_cleanup_free_ struct ld_job *j = calloc(n ? n : 1, sizeof(*j));
	int err = j ? 0 : -ENOMEM;

	if (err || !n)
		return err;
	for (uint32_t i = 0; i < n && !err; i++) {
		err = job_init(&j[i], ds, &what[i]);
		if (!err && twice(what, n, i))
			err = refuse(&j[i], -EINVAL, "twice at one place");
	}
	err = err ? err : run_locked(j, n);
	for (uint32_t i = 0; i < n && j[i].hook; i++) {
		if (j[i].hook->close)
			j[i].hook->close(&j[i]);
		ld_closep(&j[i].base_fd);
		ld_closep(&j[i].fd);
		ld_att_close(&j[i].old);
	}
	return err;
}

int ld_xdp_replace(struct arena *a, struct diags *ds, const struct ld_prog *prog, const char *dev, bool generic,
		   const void *meta, size_t meta_len, const uint32_t *carry, uint32_t n_carry)
{
	struct ld_attach one = {
		.prog = prog, .where = { .kind = LD_XDP, .generic = generic }, .meta = meta, .meta_len = meta_len,
		.carry = carry, .n_carry = n_carry,
	};

	snprintf(one.where.dev, sizeof(one.where.dev), "%s", dev);
	return ld_attach_all(ds, &one, 1);
}

int ld_xdp_attach(struct arena *a, struct diags *ds, const struct ld_prog *prog, const char *dev, bool generic,
		  const void *meta, size_t meta_len)
{
	return ld_xdp_replace(a, ds, prog, dev, generic, meta, meta_len, NULL, 0);
}

static int detach_pinned(const char *id)
{
	_cleanup_root_ struct ld_root r = { .fd = -1 };
	char dir[LD_PATH];
	struct stat st;
	int err = ld_root_open(&r, LD_CHANGE);

	err = err ? err : ld_id_path(&r, id, dir, sizeof(dir));
	if (!err && stat(dir, &st) < 0)
		err = -errno;
	return err ? err : detach_dir(ld_hook_of(id), dir);
}

int ld_detach(struct diags *ds, const char *id)
{
	const struct ld_hook *hook = ld_hook_of(id);
	int err = hook && !hook->pinned ? hook->remove(id) : detach_pinned(id);

	if (err && hook && hook->unpinned)
		err = hook->remove(id);
	if (err)
		diag_add(ds, DIAG_ERROR, NULL, "cannot detach \"%s\": %s", id,
			 err == -ENOENT ? "there is no such attachment here" : strerror(-err));
	return err;
}
