/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What is attached, read back from the pins themselves. A directory of pins is believed only where the kernel agrees:
 * its link is of the kind that the name says, and the directory that is named by the program it runs holds that very
 * program. What main stored with it is the content of a frozen array map, so it lives exactly as long as the program it
 * describes. Kinds that are not pinned list themselves.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include <bpf/bpf.h>

#include "priv.h"
#include "uapi.h"

#define CHUNK 65536U
#define MAGIC "fwjit state 2\n"

struct head {			/* the first bytes of a state */
	char magic[16];
	char id[64];
	uint32_t kind, n_slot;
	uint64_t meta_len;
	uint32_t ifindex, hooknum;
	int32_t prio, prio_min;
	uint8_t egress, generic, fail_open, pf;
	char dev[16];
	char cgroup[LD_PATH];
	uint32_t reserved[7];
};
_Static_assert(sizeof(struct head) == 352, "the state's head is part of what is pinned");

int ld_pin_get(const char *dir, const char *name)
{
	char path[LD_PATH * 2];
	int fd;

	if (snprintf(path, sizeof(path), "%s/%s", dir, name) >= (int)sizeof(path))
		return -ENAMETOOLONG;
	fd = bpf_obj_get(path);
	return fd < 0 ? -errno : fd;
}

int ld_pin_put(const char *dir, const char *name, int fd)
{
	char path[LD_PATH * 2];

	if (snprintf(path, sizeof(path), "%s/%s", dir, name) >= (int)sizeof(path))
		return -ENAMETOOLONG;
	return bpf_obj_pin(fd, path) < 0 ? -errno : 0;
}

void ld_pin_drop(const char *dir, const char *name)
{
	char path[LD_PATH * 2];

	if (snprintf(path, sizeof(path), "%s/%s", dir, name) < (int)sizeof(path))
		unlink(path);
}

static void head_of(const struct ld_state *st, uint32_t n_slot, struct head *ret)
{
	const struct ld_where *w = &st->where;

	*ret = (struct head){
		.magic = MAGIC, .kind = w->kind, .n_slot = n_slot, .meta_len = st->meta_len, .ifindex = w->ifindex,
		.hooknum = w->hooknum, .prio = w->prio, .prio_min = w->prio_min, .egress = w->egress, .generic = w->generic,
		.fail_open = w->fail_open, .pf = w->pf,
	};
	memcpy(ret->id, st->id, sizeof(ret->id));
	memcpy(ret->dev, w->dev, sizeof(ret->dev));
	memcpy(ret->cgroup, w->cgroup, sizeof(ret->cgroup));
}

uint8_t *ld_state_bytes(const struct ld_state *st, uint32_t n_slot, size_t *ret_len, size_t *ret_step)
{
	size_t len = sizeof(struct head) + st->meta_len, step = len < CHUNK ? (len + 7) & ~7U : CHUNK;
	size_t n = (len + step - 1) / step;
	uint8_t *bytes = calloc(n, step);

	if (!bytes)
		return NULL;
	head_of(st, n_slot, (struct head *)bytes);
	if (st->meta_len)
		memcpy(bytes + sizeof(struct head), st->meta, st->meta_len);
	*ret_len = n * step;
	*ret_step = step;
	return bytes;
}

int ld_state_make(const struct ld_state *st, uint32_t n_slot)
{
	size_t len, step;
	_cleanup_free_ uint8_t *bytes = ld_state_bytes(st, n_slot, &len, &step);
	struct be_map m = { .name = "fwjit_state", .type = BPF_MAP_TYPE_ARRAY, .key_size = 4, .value = bytes };
	int fd, err;

	if (!bytes)
		return -ENOMEM;
	m.value_size = step;
	m.n_value = m.max_entries = len / step;
	fd = ld_map_create(&m);
	if (fd < 0)
		return fd;
	err = ld_map_fill(fd, &m);
	if (!err && bpf_map_freeze(fd) < 0)
		err = -errno;
	if (err)
		ld_closep(&fd);
	return err ? err : fd;
}

static bool head_ok(const struct head *h, size_t len)
{
	return len >= sizeof(*h) && !memcmp(h->magic, MAGIC, sizeof(MAGIC)) && h->meta_len <= len - sizeof(*h) &&
	       h->kind < LD_KINDS && !h->id[sizeof(h->id) - 1] && !h->dev[sizeof(h->dev) - 1] &&
	       !h->cgroup[sizeof(h->cgroup) - 1];
}

int ld_state_parse(const uint8_t *bytes, size_t len, struct ld_state *ret)
{
	const struct head *h = (const struct head *)bytes;

	if (!head_ok(h, len))
		return -EBADMSG;
	*ret = (struct ld_state){
		.n_slot = h->n_slot, .meta = (const char *)bytes + sizeof(*h), .meta_len = h->meta_len,
		.where = {
			.kind = h->kind, .ifindex = h->ifindex, .hooknum = h->hooknum, .prio = h->prio,
			.prio_min = h->prio_min, .egress = h->egress, .generic = h->generic, .fail_open = h->fail_open,
			.pf = h->pf,
		},
	};
	memcpy(ret->id, h->id, sizeof(ret->id));
	memcpy(ret->where.dev, h->dev, sizeof(ret->where.dev));
	memcpy(ret->where.cgroup, h->cgroup, sizeof(ret->where.cgroup));
	snprintf(ret->target, sizeof(ret->target), "%s", ld_hooks[h->kind]->target);
	return 0;
}

int ld_state_read(struct arena *a, const char *gen, struct ld_state *ret)
{
	_cleanup_close_ int fd = ld_pin_get(gen, "state");
	struct ld_map_shape m;
	uint8_t *bytes;
	size_t len;
	int err = fd < 0 ? fd : ld_map_shape(fd, &m);

	if (err)
		return err;
	if (m.type != BPF_MAP_TYPE_ARRAY)
		return -EBADMSG;
	len = (size_t)m.value_size * m.max_entries;
	bytes = arena_alloc(a, len + 8);
	for (uint32_t i = 0; i < m.max_entries && !err; i++)
		err = ld_map_lookup(fd, &i, bytes + (size_t)i * m.value_size);
	return err ? err : ld_state_parse(bytes, len, ret);
}

static int link_facts(struct ld_att *att)
{
	struct uapi_link_info info;
	int err = ld_link_info(att->link_fd, &info);

	if (err)
		return err;
	return info.type == att->hook->link_type ? att->hook->facts(att, &info) : -EBADMSG;
}

static int open_prog(struct ld_att *att)
{
	uint32_t id;
	int err;

	snprintf(att->gen, sizeof(att->gen), "%s/%" PRIu32, att->dir, att->prog_id);
	att->prog_fd = ld_pin_get(att->gen, "prog");
	if (att->prog_fd < 0)
		return att->prog_fd;
	err = ld_prog_id(att->prog_fd, &id, NULL);
	return err ? err : id == att->prog_id ? 0 : -EBADMSG;
}

int ld_att_open(const struct ld_root *r, const char *id, struct ld_att *ret)
{
	int err;

	*ret = (struct ld_att){ .link_fd = -1, .prog_fd = -1, .hook = ld_hook_of(id) };
	err = ld_id_path(r, id, ret->dir, sizeof(ret->dir));
	if (!err && (!ret->hook || !ret->hook->pinned))
		err = -ENOENT;
	if (err)
		return err;
	ret->link_fd = ld_pin_get(ret->dir, "link");
	if (ret->link_fd >= 0)
		err = link_facts(ret);
	else
		err = ret->link_fd == -ENOENT && ret->hook->unlinked ? ret->hook->unlinked(ret) : ret->link_fd;
	err = err ? err : open_prog(ret);
	if (err)
		ld_att_close(ret);
	return err;
}

void ld_att_close(struct ld_att *att)
{
	ld_closep(&att->link_fd);
	ld_closep(&att->prog_fd);
}

static void add_base(const char *gen, struct be_counter *c, uint32_t n)
{
	_cleanup_close_ int fd = ld_pin_get(gen, "base");

	for (uint32_t i = 0; fd >= 0 && i < n; i++) {
		struct be_counter b = { 0 };

		if (!ld_map_lookup(fd, &i, &b)) {
			c[i].packets += b.packets;
			c[i].bytes += b.bytes;
		}
	}
}

int ld_att_counters(const struct ld_att *att, struct be_counter *ret, uint32_t n)
{
	_cleanup_close_ int fd = -1;
	struct ld_map_shape m;
	int err;

	memset(ret, 0, n * sizeof(*ret));
	fd = ld_pin_get(att->gen, "counters");
	if (fd == -ENOENT)
		return 0;
	err = fd < 0 ? fd : ld_map_shape(fd, &m);
	if (err)
		return err;
	if (m.type != BPF_MAP_TYPE_PERCPU_ARRAY || m.value_size != sizeof(*ret))
		return -EBADMSG;
	n = n < m.max_entries ? n : m.max_entries;
	err = ld_counters_read(fd, ret, n);
	if (!err)
		add_base(att->gen, ret, n);
	return err;
}

int ld_state_counters(struct diags *ds, const char *id, struct be_counter *ret, uint32_t n)
{
	_cleanup_root_ struct ld_root r = { .fd = -1 };
	_cleanup_att_ struct ld_att att = { .link_fd = -1, .prog_fd = -1 };
	const struct ld_hook *hook = ld_hook_of(id);
	int err;

	memset(ret, 0, n * sizeof(*ret));
	if (hook && !hook->pinned)
		return 0;	/* classic programs count nothing */
	err = ld_root_open(&r, LD_READ);
	err = err ? err : ld_att_open(&r, id, &att);
	err = err ? err : ld_att_counters(&att, ret, n);
	if (err)
		diag_add(ds, DIAG_ERROR, NULL, "cannot read the counters of \"%s\": %s", id, strerror(-err));
	return err;
}

int ld_state_gate(const char *id, uint32_t prog_id, uint64_t value)
{
	_cleanup_root_ struct ld_root r = { .fd = -1 };
	_cleanup_att_ struct ld_att att = { .link_fd = -1, .prog_fd = -1 };
	_cleanup_close_ int fd = -1;
	uint32_t key = 0;
	int err = ld_root_open(&r, LD_READ);

	err = err ? err : ld_att_open(&r, id, &att);
	if (!err && prog_id && att.prog_id != prog_id)
		err = -ESTALE;
	if (err)
		return err;
	fd = ld_pin_get(att.gen, "gate");
	return fd < 0 ? fd : ld_map_update(fd, &key, &value);
}

int ld_state_gate_get(const char *id, uint64_t *ret)
{
	_cleanup_root_ struct ld_root r = { .fd = -1 };
	_cleanup_att_ struct ld_att att = { .link_fd = -1, .prog_fd = -1 };
	_cleanup_close_ int fd = -1;
	uint32_t key = 0;
	int err = ld_root_open(&r, LD_READ);

	err = err ? err : ld_att_open(&r, id, &att);
	if (err)
		return err;
	fd = ld_pin_get(att.gen, "gate");
	return fd < 0 ? fd : ld_map_lookup(fd, &key, ret);
}

static int list_one(struct arena *a, struct diags *ds, const struct ld_root *r, char *name, struct ld_state *ret)
{
	_cleanup_att_ struct ld_att att = { .link_fd = -1, .prog_fd = -1 };
	int err;

	for (char *c = name; *c; c++)
		if (*c == ':')
			*c = '.';
	err = ld_att_open(r, name, &att);
	err = err ? err : ld_state_read(a, att.gen, ret);
	if (!err && strcmp(ret->id, name))
		err = -EBADMSG;
	if (err) {
		diag_add(ds, DIAG_NOTE, NULL, "the pins of \"%s\" are not those of an attachment: %s", name,
			 strerror(-err))
			->hint = "`fwjit detach` removes them";
		return err;
	}
	ret->where.ifindex = att.ifindex;
	ret->prog_id = att.prog_id;
	ret->prio = att.prio;
	ret->where.generic = ret->where.generic || att.link_fd < 0;	/* a tc filter, also where tcx was asked for */
	ret->gone = !att.alive || (att.hook->gone && att.hook->gone(ret));
	return 0;
}

static int list_pinned(struct arena *a, struct diags *ds, struct ld_state **ret, uint32_t *ret_n)
{
	_cleanup_root_ struct ld_root r = { .fd = -1 };
	_cleanup_names_ char **names = NULL;
	uint32_t n = 0;
	int err = ld_root_open(&r, LD_READ);

	if (err == -ENOENT)
		return 0;
	if (err) {
		diag_add(ds, DIAG_ERROR, NULL, "cannot read the directory \"fwjit\" of the BPF file system: %s",
			 strerror(-err));
		return err;
	}
	names = ld_dir_names(r.path);
	while (names && names[n])
		n++;
	*ret = arena_alloc(a, (n + 1) * sizeof(**ret));
	for (uint32_t i = 0; i < n; i++)
		if (strcmp(names[i], LD_CLAIM) && !list_one(a, ds, &r, names[i], &(*ret)[*ret_n]))
			(*ret_n)++;
	return 0;
}

int ld_state_list(struct arena *a, struct diags *ds, struct ld_state **ret, uint32_t *ret_n)
{
	int err;

	*ret = NULL;
	*ret_n = 0;
	err = list_pinned(a, ds, ret, ret_n);
	for (const struct ld_hook *const *h = ld_hooks; *h && !err; h++) {
		if (!(*h)->list)
			continue;
		err = (*h)->list(a, ds, ret, ret_n);
		if (err)
			diag_add(ds, DIAG_ERROR, NULL, "cannot list the attachments of kind %s: %s", (*h)->target,
				 strerror(-err));
	}
	return err;
}

int ld_leftovers(struct arena *a, const char ***ret, uint32_t *ret_n)
{
	_cleanup_root_ struct ld_root r = { .fd = -1 };
	_cleanup_names_ char **names = NULL;
	struct diags quiet = { .arena = a };
	uint32_t n = 0;
	int err = ld_root_open(&r, LD_READ);

	*ret = NULL;
	*ret_n = 0;
	if (err)
		return err == -ENOENT ? 0 : err;
	names = ld_dir_names(r.path);
	while (names && names[n])
		n++;
	*ret = arena_alloc(a, (n + 1) * sizeof(**ret));
	for (uint32_t i = 0; i < n; i++) {
		struct ld_state st;

		if (strcmp(names[i], LD_CLAIM) && list_one(a, &quiet, &r, names[i], &st))
			(*ret)[(*ret_n)++] = arena_strndup(a, names[i], strlen(names[i]));
	}
	return 0;
}
