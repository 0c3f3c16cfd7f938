/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * bpf(2): maps and program facts, by libbpf's thin wrappers. Filling and summing work in batches, one entry at a
 * time only where the kernel has no batches; nothing here depends on which.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include "priv.h"
#include "uapi.h"

void ld_closep(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

void ld_freep(void *p)
{
	free(*(void **)p);
}

int ld_cpus(void)
{
	return libbpf_num_possible_cpus();
}

int ld_map_create(const struct be_map *m)
{
	return ld_sys_map(m->type, m->name, m->key_size, m->value_size, m->max_entries, m->flags);
}

int ld_map_update(int fd, const void *key, const void *value)
{
	return bpf_map_update_elem(fd, key, value, BPF_ANY) < 0 ? -errno : 0;
}

int ld_map_lookup(int fd, const void *key, void *ret_value)
{
	return bpf_map_lookup_elem(fd, key, ret_value) < 0 ? -errno : 0;
}

int ld_map_shape(int fd, struct ld_map_shape *ret)
{
	struct bpf_map_info info = { 0 };
	uint32_t len = sizeof(info);

	if (bpf_obj_get_info_by_fd(fd, &info, &len) < 0)
		return -errno;
	*ret = (struct ld_map_shape){ info.type, info.key_size, info.value_size, info.max_entries };
	return 0;
}

int ld_prog_id(int fd, uint32_t *ret_id, char *ret_name)
{
	struct bpf_prog_info info = { 0 };
	uint32_t len = sizeof(info);

	if (bpf_obj_get_info_by_fd(fd, &info, &len) < 0)
		return -errno;
	*ret_id = info.id;
	if (ret_name)
		memcpy(ret_name, info.name, BPF_OBJ_NAME_LEN);
	return 0;
}

int ld_link_create(const struct uapi_link_create *how)
{
	int fd = syscall(SYS_bpf, BPF_LINK_CREATE, how, sizeof(*how));

	return fd < 0 ? -errno : fd;
}

int ld_link_info(int link_fd, struct uapi_link_info *ret)
{
	uint32_t len = sizeof(*ret);

	*ret = (struct uapi_link_info){ 0 };
	return bpf_obj_get_info_by_fd(link_fd, ret, &len) < 0 ? -errno : 0;
}

static bool is_percpu(uint32_t type)
{
	return type == BPF_MAP_TYPE_PERCPU_ARRAY || type == BPF_MAP_TYPE_PERCPU_HASH;
}

/* Contents of a per-CPU map are the same on every CPU. */
static int fill_percpu(int fd, const struct be_map *m)
{
	size_t stride = (m->value_size + 7) & ~7U;
	_cleanup_free_ uint8_t *v = NULL;
	int cpus = ld_cpus(), err = 0;

	if (cpus < 0)
		return cpus;
	v = calloc(cpus, stride);
	if (!v)
		return -ENOMEM;
	for (uint32_t key = 0; key < m->n_value && !err; key++) {
		for (int c = 0; c < cpus; c++)
			memcpy(v + c * stride, m->value + (size_t)key * m->value_size, m->value_size);
		err = ld_map_update(fd, &key, v);
	}
	return err;
}

static int fill_batch(int fd, const struct be_map *m)
{
	LIBBPF_OPTS(bpf_map_batch_opts, opts);
	_cleanup_free_ uint32_t *keys = calloc(m->n_value, sizeof(*keys));
	uint32_t count = m->n_value;

	if (!keys)
		return -ENOMEM;
	for (uint32_t i = 0; i < m->n_value; i++)
		keys[i] = i;
	if (bpf_map_update_batch(fd, keys, m->value, &count, &opts) < 0)
		return -errno;
	return count == m->n_value ? 0 : -EIO;
}

int ld_map_fill(int fd, const struct be_map *m)
{
	int err = 0;

	if (!m->n_value)
		return 0;
	if (m->key_size != sizeof(uint32_t) || m->n_value > m->max_entries)
		return -EINVAL;
	if (is_percpu(m->type))
		return fill_percpu(fd, m);
	if (m->n_value > 1 && !fill_batch(fd, m))
		return 0;
	for (uint32_t key = 0; key < m->n_value && !err; key++)
		err = ld_map_update(fd, &key, m->value + (size_t)key * m->value_size);
	return err;
}

static int read_batch(int fd, struct be_counter *values, uint32_t n)
{
	LIBBPF_OPTS(bpf_map_batch_opts, opts);
	_cleanup_free_ uint32_t *keys = calloc(n, sizeof(*keys));
	uint32_t next, count = n;

	if (!keys)
		return -ENOMEM;
	if (bpf_map_lookup_batch(fd, NULL, &next, keys, values, &count, &opts) < 0 && errno != ENOENT)
		return -errno;
	return count == n ? 0 : -EIO;
}

static int read_each(int fd, struct be_counter *values, uint32_t n, int cpus)
{
	int err = 0;

	for (uint32_t i = 0; i < n && !err; i++)
		err = ld_map_lookup(fd, &i, values + (size_t)i * cpus);
	return err;
}

int ld_counters_read(int fd, struct be_counter *ret, uint32_t n)
{
	_cleanup_free_ struct be_counter *v = NULL;
	int cpus = ld_cpus(), err;

	if (cpus < 0)
		return cpus;
	memset(ret, 0, n * sizeof(*ret));
	if (!n)
		return 0;
	v = calloc((size_t)n * cpus, sizeof(*v));
	if (!v)
		return -ENOMEM;
	if (read_batch(fd, v, n) < 0 && (err = read_each(fd, v, n, cpus)) < 0)
		return err;
	for (uint32_t i = 0; i < n; i++)
		for (int c = 0; c < cpus; c++) {
			ret[i].packets += v[(size_t)i * cpus + c].packets;
			ret[i].bytes += v[(size_t)i * cpus + c].bytes;
		}
	return 0;
}
