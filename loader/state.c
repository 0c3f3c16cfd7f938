/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What is attached, read back from the pins themselves. A directory of pins is believed only where the kernel agrees:
 * its link is an XDP link, and the directory that is named by the link's program holds that very program. What main
 * stored with it is the content of a frozen array map, so it lives exactly as long as the program it describes.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include <bpf/bpf.h>

#include "priv.h"

#define CHUNK 65536U
#define MAGIC "fwjit state 1\n"

struct head {			/* the first bytes of the state map */
	char magic[16];
	char id[64];
	char target[16];
	char dev[16];
	uint32_t native, n_slot;
	uint64_t meta_len;
};
_Static_assert(sizeof(struct head) == 128, "the state's head is part of what is pinned");

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

int ld_state_make(const struct ld_state *st, uint32_t n_slot)
{
	size_t len = sizeof(struct head) + st->meta_len, chunk = len < CHUNK ? (len + 7) & ~7U : CHUNK;
	size_t n = (len + chunk - 1) / chunk;
	_cleanup_free_ uint8_t *bytes = calloc(n, chunk);
	struct be_map m = {
		.name = "fwjit_state", .type = BPF_MAP_TYPE_ARRAY, .key_size = 4, .value_size = chunk,
		.max_entries = n, .n_value = n, .value = bytes,
	};
	struct head *h = (struct head *)bytes;
	int fd, err;

	if (!bytes)
		return -ENOMEM;
	*h = (struct head){ .magic = MAGIC, .native = st->native, .n_slot = n_slot, .meta_len = st->meta_len };
	memcpy(h->id, st->id, sizeof(h->id));
	memcpy(h->target, st->target, sizeof(h->target));
	memcpy(h->dev, st->dev, sizeof(h->dev));
	if (st->meta_len)
		memcpy(bytes + sizeof(*h), st->meta, st->meta_len);
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
	return !memcmp(h->magic, MAGIC, sizeof(MAGIC)) && h->meta_len <= len - sizeof(*h) &&
	       !h->id[sizeof(h->id) - 1] && !h->target[sizeof(h->target) - 1] && !h->dev[sizeof(h->dev) - 1];
}

int ld_state_get(struct arena *a, const struct ld_att *att, struct ld_state *ret)
{
	_cleanup_close_ int fd = ld_pin_get(att->gen, "state");
	struct ld_map_shape m;
	struct head *h;
	uint8_t *bytes;
	int err = fd < 0 ? fd : ld_map_shape(fd, &m);

	if (err)
		return err;
	if (m.type != BPF_MAP_TYPE_ARRAY || (size_t)m.value_size * m.max_entries < sizeof(*h))
		return -EBADMSG;
	bytes = arena_alloc(a, (size_t)m.value_size * m.max_entries + 8);
	for (uint32_t i = 0; i < m.max_entries && !err; i++)
		err = ld_map_lookup(fd, &i, bytes + (size_t)i * m.value_size);
	h = (struct head *)bytes;
	if (err || !head_ok(h, (size_t)m.value_size * m.max_entries))
		return err ? err : -EBADMSG;
	*ret = (struct ld_state){
		.ifindex = att->ifindex, .prog_id = att->prog_id, .native = h->native, .n_slot = h->n_slot,
		.meta = (const char *)bytes + sizeof(*h), .meta_len = h->meta_len,
	};
	memcpy(ret->id, h->id, sizeof(ret->id));
	memcpy(ret->target, h->target, sizeof(ret->target));
	memcpy(ret->dev, h->dev, sizeof(ret->dev));
	return 0;
}

static int link_facts(struct ld_att *att)
{
	struct bpf_link_info info = { 0 };
	uint32_t len = sizeof(info);

	if (bpf_obj_get_info_by_fd(att->link_fd, &info, &len) < 0)
		return -errno;
	if (info.type != BPF_LINK_TYPE_XDP)
		return -EBADMSG;
	att->prog_id = info.prog_id;
	att->ifindex = info.xdp.ifindex;
	return 0;
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

	*ret = (struct ld_att){ .link_fd = -1, .prog_fd = -1 };
	err = ld_id_path(r, id, ret->dir, sizeof(ret->dir));
	if (err)
		return err;
	ret->link_fd = ld_pin_get(ret->dir, "link");
	if (ret->link_fd < 0)
		return ret->link_fd;
	err = link_facts(ret);
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
	int err = ld_root_open(&r, LD_READ);

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

/* The device still runs the program: what the link says is also what the device says. */
static bool still_there(const struct ld_state *st)
{
	struct ld_link l;

	return st->ifindex && !ld_link_get(NULL, st->ifindex, &l) && l.xdp_id == st->prog_id;
}

static int list_one(struct arena *a, struct diags *ds, const struct ld_root *r, char *name, struct ld_state *ret)
{
	_cleanup_att_ struct ld_att att = { .link_fd = -1, .prog_fd = -1 };
	int err;

	for (char *c = name; *c; c++)
		if (*c == ':')
			*c = '.';
	err = ld_att_open(r, name, &att);
	err = err ? err : ld_state_get(a, &att, ret);
	if (!err && strcmp(ret->id, name))
		err = -EBADMSG;
	if (err) {
		diag_add(ds, DIAG_NOTE, NULL, "the pins of \"%s\" are not those of an attachment: %s", name,
			 strerror(-err))
			->hint = "`fwjit detach` removes them";
		return err;
	}
	ret->gone = !still_there(ret);
	return 0;
}

int ld_state_list(struct arena *a, struct diags *ds, struct ld_state **ret, uint32_t *ret_n)
{
	_cleanup_root_ struct ld_root r = { .fd = -1 };
	_cleanup_names_ char **names = NULL;
	uint32_t n = 0;
	int err = ld_root_open(&r, LD_READ);

	*ret = NULL;
	*ret_n = 0;
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
		if (!list_one(a, ds, &r, names[i], &(*ret)[*ret_n]))
			(*ret_n)++;
	return 0;
}
