/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A compiled program into the kernel: maps made and filled, map references resolved, the program verified. What the
 * verifier says is turned round into the language of the one who wrote the rules: the instruction that it refused leads
 * to the rule it came from. Its log is read here and shown to nobody.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <bpf/bpf.h>

#include "priv.h"
#include "uapi.h"

#define LOG_SIZE (16U << 20)

int ld_role_fd(const struct ld_prog *p, enum be_role role)
{
	for (uint32_t i = 0; i < p->n_map; i++)
		if (p->role[i] == role)
			return p->map_fd[i];
	return -1;
}

int ld_prog_gate(const struct ld_prog *p, uint64_t value)
{
	int fd = ld_role_fd(p, BE_MAP_GATE);
	uint32_t key = 0;

	return fd < 0 ? -ENOENT : ld_map_update(fd, &key, &value);
}

void ld_prog_close(struct ld_prog *p)
{
	for (uint32_t i = 0; i < p->n_map; i++)
		ld_closep(&p->map_fd[i]);
	ld_closep(&p->fd);
	*p = (struct ld_prog){ .fd = -1 };
}

static int load_map(const struct be_map *m, struct diags *ds)
{
	int fd = ld_map_create(m), err;
	struct diag *d;

	if (fd < 0) {
		d = diag_add(ds, DIAG_ERROR, NULL, "cannot make the map \"%s\": %s", m->name, strerror(-fd));
		if (fd == -EPERM)
			d->hint = "maps need CAP_BPF; `fwjit probe` says what is missing";
		return fd;
	}
	err = ld_map_fill(fd, m);
	/* The verifier then takes the contents for constants. */
	if (!err && (m->flags & BPF_F_RDONLY_PROG) && bpf_map_freeze(fd) < 0)
		err = -errno;
	if (err) {
		diag_add(ds, DIAG_ERROR, NULL, "cannot fill the map \"%s\": %s", m->name, strerror(-err));
		ld_closep(&fd);
		return err;
	}
	return fd;
}

static int load_maps(const struct be_prog *p, struct diags *ds, struct ld_prog *ret)
{
	if (p->n_map > sizeof(ret->map_fd) / sizeof(ret->map_fd[0])) {
		diag_add(ds, DIAG_ERROR, NULL, "the program has %u maps; at most 8 can be loaded", p->n_map);
		return -E2BIG;
	}
	for (uint32_t i = 0; i < p->n_map; i++) {
		int fd = load_map(&p->map[i], ds);

		if (fd < 0)
			return fd;
		ret->map_fd[ret->n_map] = fd;
		ret->role[ret->n_map++] = p->role[i];
	}
	return 0;
}

static bool is_map_ref(const struct bpf_insn *i)
{
	return i->code == (BPF_LD | BPF_IMM | BPF_DW) &&
	       (i->src_reg == BPF_PSEUDO_MAP_FD || i->src_reg == BPF_PSEUDO_MAP_VALUE);
}

static bool is_kfunc_call(const struct bpf_insn *i)
{
	return i->code == (BPF_JMP | BPF_CALL) && i->src_reg == BPF_PSEUDO_KFUNC_CALL;
}

static struct bpf_insn *resolve(const struct be_prog *p, const struct ld_prog *l, const struct ld_kfuncs *k)
{
	struct bpf_insn *insn = calloc(p->n ? p->n : 1, sizeof(*insn));

	if (!insn)
		return NULL;
	memcpy(insn, p->insn, p->n * sizeof(*insn));
	for (uint32_t i = 0; i < p->n; i++) {
		if (is_map_ref(&insn[i]) && insn[i].imm >= 0 && insn[i].imm < l->n_map)
			insn[i].imm = l->map_fd[insn[i].imm];
		else if (is_kfunc_call(&insn[i]))
			ld_kfunc_resolve(k, &insn[i]);
	}
	return insn;
}

/* What a program is loaded with beside its instructions. */
struct ld_extra {
	struct ld_lines lines;
	struct ld_kfuncs kfuncs;
};

static void extra_put(struct ld_extra *x)
{
	ld_lines_free(&x->lines);
	ld_kfuncs_put(&x->kfuncs);
}

static int load_insns(const struct be_prog *p, const struct bpf_insn *insn, const struct ld_extra *x, char *log,
		      uint32_t log_size)
{
	const struct ld_lines *lines = &x->lines;
	LIBBPF_OPTS(bpf_prog_load_opts, opts,
		.expected_attach_type = p->attach_type,
		.log_level = log ? UAPI_BPF_LOG_LEVEL1 : 0,
		.log_buf = log,
		.log_size = log_size);

	if (x->kfuncs.fd[1] >= 0)
		opts.fd_array = x->kfuncs.fd;
	if (lines->btf_fd >= 0) {
		opts.prog_btf_fd = lines->btf_fd;
		opts.func_info = &lines->func;
		opts.func_info_cnt = 1;
		opts.func_info_rec_size = sizeof(lines->func);
		opts.line_info = lines->line;
		opts.line_info_cnt = lines->n;
		opts.line_info_rec_size = sizeof(*lines->line);
	}
	return ld_sys_prog(p->type, p->name, insn, p->n, &opts);
}

/* Lines of the verifier's log that are about its work, not about the program. */
static bool is_chatter(const char *line)
{
	static const char *const start[] = {
		"processed ", "verification time ", "stack depth ", "mark_precise", "from ", "func#", "last_idx ", ";",
	};

	for (size_t i = 0; i < sizeof(start) / sizeof(start[0]); i++)
		if (!strncmp(line, start[i], strlen(start[i])))
			return true;
	return !*line || *line == ' ';
}

/* "12: (61) r2 = *(u32 *)(r1 +0)": an instruction of the path to the refusal. */
static bool is_insn(const char *line, uint32_t *ret)
{
	char *end;
	unsigned long n = strtoul(line, &end, 10);

	if (end == line || strncmp(end, ": (", 3) || n > UINT32_MAX)
		return false;
	*ret = n;
	return true;
}

/* The last instruction that the log names, and the last line that gives a reason (in the log, NUL-terminated). */
static const char *read_log(char *log, uint32_t *ret_insn)
{
	const char *reason = NULL;
	char *save = NULL;

	for (char *line = strtok_r(log, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
		if (is_insn(line, ret_insn) || is_chatter(line) || (line[0] >= '0' && line[0] <= '9'))
			continue;
		reason = line;
	}
	return reason;
}

static void explain(const struct be_prog *p, const struct bpf_insn *insn, const struct ld_extra *x, int err,
		    struct diags *ds)
{
	_cleanup_free_ char *log = calloc(1, LOG_SIZE);
	uint32_t at = UINT32_MAX;
	const char *reason = NULL;
	struct diag *d;

	if (log) {
		int fd = load_insns(p, insn, x, log, LOG_SIZE);

		ld_closep(&fd);
		log[LOG_SIZE - 1] = '\0';
		reason = read_log(log, &at);
	}
	if (err == -EPERM && !reason) {
		d = diag_add(ds, DIAG_ERROR, NULL, "the kernel does not let this user load the program \"%s\"",
			     p->name);
		d->hint = "XDP needs CAP_BPF and CAP_NET_ADMIN; `fwjit probe` says what is missing";
	} else if (at < p->n) {
		diag_add(ds, DIAG_ERROR, p->at[at], "the kernel's verifier refused instruction %u of \"%s\": %s", at,
			 p->name, reason ? reason : strerror(-err));
	} else {
		diag_add(ds, DIAG_ERROR, NULL, "the kernel refused the program \"%s\" (%u instructions): %s", p->name,
			 p->n, reason ? reason : strerror(-err));
	}
}

static void facts(struct ld_prog *p)
{
	struct bpf_prog_info info = { 0 };
	uint32_t len = sizeof(info);

	if (bpf_obj_get_info_by_fd(p->fd, &info, &len) < 0)
		return;
	p->id = info.id;
	p->verified_insns = info.verified_insns;
}

static int load(const struct be_prog *p, struct diags *ds, struct ld_prog *ret)
{
	struct ld_extra x __attribute__((cleanup(extra_put))) = { .lines.btf_fd = -1, .kfuncs.fd = { 0, -1 } };
	_cleanup_free_ struct bpf_insn *insn = NULL;
	int err = load_maps(p, ds, ret);

	if (err)
		return err;
	err = ld_kfuncs_get(p->kfunc, p->n_kfunc, &x.kfuncs);
	if (err) {
		diag_add(ds, DIAG_ERROR, NULL, "a function that the program calls is not in this kernel: %s", strerror(-err));
		return err;
	}
	insn = resolve(p, ret, &x.kfuncs);
	if (!insn)
		return -ENOMEM;
	err = ld_relocs_apply(p->reloc, p->n_reloc, insn);
	if (err) {
		diag_add(ds, DIAG_ERROR, NULL, "a structure that the program reads is not in this kernel: %s", strerror(-err));
		return err;
	}
	ld_lines_make(p, &x.lines);
	err = load_insns(p, insn, &x, NULL, 0);
	if (err < 0) {
		explain(p, insn, &x, err, ds);
		return err;
	}
	ret->fd = err;
	facts(ret);
	return 0;
}

int ld_load(const struct be_prog *p, struct diags *ds, struct ld_prog *ret)
{
	int err;

	*ret = (struct ld_prog){ .fd = -1 };
	err = load(p, ds, ret);
	if (err)
		ld_prog_close(ret);
	return err;
}
