/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * bpf(2) where it makes something: programs, maps, BTF. These are the calls that ask for rights, so they alone raise the
 * capabilities, and use the BPF token where there is one; libbpf's own wrappers know no token before 1.4. The token's
 * fields are written by their place, since older headers do not have them.
 */
#include <errno.h>
#include <string.h>
#include <sys/syscall.h>

#include <bpf/bpf.h>

#include "priv.h"
#include "uapi.h"

union attr {
	union bpf_attr a;
	struct { uint8_t head[UAPI_BPF_PROG_TOKEN_AT]; int32_t token; } prog;
	struct { uint8_t head[UAPI_BPF_MAP_TOKEN_AT]; int32_t token; } map;
	struct { uint8_t head[UAPI_BPF_BTF_FLAGS_AT]; uint32_t flags; int32_t token; } btf;
};
_Static_assert(offsetof(union attr, btf.token) == UAPI_BPF_BTF_TOKEN_AT, "union bpf_attr");

/* A kernel that does not know the token takes the call without it: what follows is zero then. */
static int make(int cmd, union attr *attr, size_t size)
{
	uint64_t was _cleanup_rights_ = ld_rights_raise(LD_RIGHTS_BPF);
	int fd, tries = 5;

	do	/* EAGAIN: a signal came while the verifier was at work */
		fd = syscall(SYS_bpf, cmd, attr, size);
	while (fd < 0 && errno == EAGAIN && --tries);
	return fd < 0 ? -errno : fd;
}

static void put_name(char to[BPF_OBJ_NAME_LEN], const char *name)
{
	strncpy(to, name ? name : "", BPF_OBJ_NAME_LEN - 1);
}

int ld_sys_prog(uint32_t type, const char *name, const struct bpf_insn *insn, uint32_t n,
		const struct bpf_prog_load_opts *o)
{
	static const struct bpf_prog_load_opts none;
	int token = ld_token();
	union attr attr;

	o = o ? o : &none;
	memset(&attr, 0, sizeof(attr));
	attr.a.prog_type = type;
	attr.a.expected_attach_type = o->expected_attach_type;
	attr.a.insns = (uintptr_t)insn;
	attr.a.insn_cnt = n;
	attr.a.license = (uintptr_t)"GPL";
	attr.a.log_level = o->log_level;
	attr.a.log_buf = (uintptr_t)o->log_buf;
	attr.a.log_size = o->log_size;
	attr.a.prog_flags = o->prog_flags;
	put_name(attr.a.prog_name, name);
	attr.a.prog_btf_fd = o->prog_btf_fd;
	attr.a.func_info = (uintptr_t)o->func_info;
	attr.a.func_info_cnt = o->func_info_cnt;
	attr.a.func_info_rec_size = o->func_info_rec_size;
	attr.a.line_info = (uintptr_t)o->line_info;
	attr.a.line_info_cnt = o->line_info_cnt;
	attr.a.line_info_rec_size = o->line_info_rec_size;
	attr.a.fd_array = (uintptr_t)o->fd_array;
	if (token >= 0) {
		attr.a.prog_flags |= UAPI_BPF_F_TOKEN_FD;
		attr.prog.token = token;
	}
	return make(BPF_PROG_LOAD, &attr, offsetof(union attr, prog.token) + sizeof(attr.prog.token));
}

int ld_sys_map(uint32_t type, const char *name, uint32_t key_size, uint32_t value_size, uint32_t max_entries, uint32_t flags)
{
	int token = ld_token();
	union attr attr;

	memset(&attr, 0, sizeof(attr));
	attr.a.map_type = type;
	attr.a.key_size = key_size;
	attr.a.value_size = value_size;
	attr.a.max_entries = max_entries;
	attr.a.map_flags = flags;
	put_name(attr.a.map_name, name);
	if (token >= 0) {
		attr.a.map_flags |= UAPI_BPF_F_TOKEN_FD;
		attr.map.token = token;
	}
	return make(BPF_MAP_CREATE, &attr, offsetof(union attr, map.token) + sizeof(attr.map.token));
}

int ld_sys_btf(const void *data, uint32_t size)
{
	int token = ld_token();
	union attr attr;

	memset(&attr, 0, sizeof(attr));
	attr.a.btf = (uintptr_t)data;
	attr.a.btf_size = size;
	if (token >= 0) {
		attr.btf.flags = UAPI_BPF_F_TOKEN_FD;
		attr.btf.token = token;
	}
	return make(BPF_BTF_LOAD, &attr, offsetof(union attr, btf.token) + sizeof(attr.btf.token));
}
