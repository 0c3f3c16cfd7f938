/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What programs take from the kernel's own type information: functions by name, with their id there or in a module's,
 * which the program is then given a descriptor of; and where a structure's members lie.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <bpf/bpf.h>
#include <bpf/btf.h>

#include "priv.h"

static void btf_freep(struct btf **b)
{
	btf__free(*b);
}
#define _cleanup_btf_ __attribute__((cleanup(btf_freep)))

/* A descriptor of the kernel's or a module's types by the module's name. */
static int btf_fd(const char *module)
{
	uint64_t was _cleanup_rights_ = ld_rights_raise(LD_RIGHT(CAP_SYS_ADMIN));
	uint32_t id = 0;

	while (!bpf_btf_get_next_id(id, &id)) {
		struct bpf_btf_info info = { 0 };
		uint32_t len = sizeof(info);
		char name[64] = "";
		_cleanup_close_ int fd = bpf_btf_get_fd_by_id(id);

		info.name = (uintptr_t)name;
		info.name_len = sizeof(name);
		if (fd < 0 || bpf_obj_get_info_by_fd(fd, &info, &len) < 0 || !info.kernel_btf || strcmp(name, module))
			continue;
		return dup(fd);
	}
	return -ENOENT;
}

static int find(struct ld_kfuncs *k, const struct btf *kernel, const char *name, struct ld_kfunc *ret)
{
	_cleanup_btf_ struct btf *module = NULL;
	int id = btf__find_by_name_kind(kernel, name, BTF_KIND_FUNC);

	*ret = (struct ld_kfunc){ .id = id };
	if (id > 0)
		return 0;
	module = btf__load_module_btf(LD_KFUNC_MODULE, (struct btf *)kernel);
	id = module ? btf__find_by_name_kind(module, name, BTF_KIND_FUNC) : -ENOENT;
	if (id <= 0)
		return -ENOENT;
	if (k->fd[1] < 0)
		k->fd[1] = btf_fd(LD_KFUNC_MODULE);
	*ret = (struct ld_kfunc){ .id = id, .module = true };
	return k->fd[1] < 0 ? k->fd[1] : 0;
}

int ld_kfuncs_get(const char *const *names, uint32_t n, struct ld_kfuncs *ret)
{
	_cleanup_btf_ struct btf *kernel = NULL;
	int err = 0;

	*ret = (struct ld_kfuncs){ .fd = { 0, -1 } };
	if (!n)
		return 0;
	if (n > sizeof(ret->func) / sizeof(ret->func[0]))
		return -E2BIG;
	kernel = btf__load_vmlinux_btf();
	if (!kernel)
		return -ENOENT;
	for (uint32_t i = 0; i < n && !err; i++)
		err = find(ret, kernel, names[i], &ret->func[i]);
	return err;
}

void ld_kfuncs_put(struct ld_kfuncs *k)
{
	ld_closep(&k->fd[1]);
}

void ld_kfunc_resolve(const struct ld_kfuncs *k, struct bpf_insn *i)
{
	const struct ld_kfunc *f = &k->func[i->imm];

	i->imm = f->id;
	i->off = f->module ? 1 : 0;
}

/* ------------------------------------------------------------------ members */

/* Bytes from the start of type `id` to its member, through anonymous ones; negative where it has none. */
static int member_at(const struct btf *b, uint32_t id, const char *name, size_t n)
{
	const struct btf_type *t = btf__type_by_id(b, id);
	const struct btf_member *m;

	if (!t || !btf_is_composite(t))
		return -ENOENT;
	m = btf_members(t);
	for (int i = 0; i < btf_vlen(t); i++, m++) {
		const char *is = btf__name_by_offset(b, m->name_off);
		int at = btf_member_bit_offset(t, i) / 8, in;

		if (is && *is) {
			if (strlen(is) == n && !strncmp(is, name, n))
				return at;
			continue;
		}
		in = member_at(b, m->type, name, n);
		if (in >= 0)
			return at + in;
	}
	return -ENOENT;
}

/* "net_device.name+8" */
static int field_at(const struct btf *b, const char *field)
{
	size_t n = strcspn(field, "."), m;
	char type[64];
	int id, at;

	if (!field[n] || n >= sizeof(type))
		return -EINVAL;
	memcpy(type, field, n);
	type[n] = '\0';
	field += n + 1;
	m = strcspn(field, "+");
	id = btf__find_by_name_kind(b, type, BTF_KIND_STRUCT);
	at = id < 0 ? id : member_at(b, id, field, m);
	return at < 0 ? at : at + atoi(field + m);
}

int ld_relocs_apply(const struct be_reloc *r, uint32_t n, struct bpf_insn *insn)
{
	_cleanup_btf_ struct btf *kernel = n ? btf__load_vmlinux_btf() : NULL;

	if (n && !kernel)
		return -ENOENT;
	for (uint32_t i = 0; i < n; i++) {
		int at = field_at(kernel, r[i].field);

		if (at < 0 || at > INT16_MAX)
			return at < 0 ? at : -ERANGE;
		insn[r[i].insn].off = at;
	}
	return 0;
}
