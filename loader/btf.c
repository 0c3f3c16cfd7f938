/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The rules as the program's source: BTF whose line info gives every instruction the text of its rule. So a kernel tool
 * that shows the program (bpftool prog dump xlated, perf) and the verifier's own log speak of rules, with their place.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <bpf/bpf.h>
#include <bpf/btf.h>

#include "priv.h"
#include "uapi.h"

#define PARSE_TEXT "the packet's headers"

static void btf_freep(struct btf **b)
{
	btf__free(*b);
}

/* Type 1 int, 2 its prototype, 3 the function: ids in order of addition. */
static int add_func(struct btf *b, const char *name)
{
	int i = btf__add_int(b, "int", 4, BTF_INT_SIGNED), proto, f;

	if (i < 0)
		return i;
	proto = btf__add_func_proto(b, i);
	if (proto < 0)
		return proto;
	f = btf__add_func(b, name, BTF_FUNC_STATIC, proto);
	return f;
}

/* BTF function names are C identifiers. */
static void identifier(char *to, size_t size, const char *from)
{
	size_t i = 0;

	for (; from[i] && i + 1 < size; i++) {
		bool letter = (from[i] >= 'a' && from[i] <= 'z') || (from[i] >= 'A' && from[i] <= 'Z');
		bool digit = i && from[i] >= '0' && from[i] <= '9';

		to[i] = letter || digit ? from[i] : '_';
	}
	to[i] = '\0';
}

static int add_line(struct btf *b, struct bpf_line_info *l, uint32_t insn, const struct imr_at *at)
{
	const char *text = !at ? PARSE_TEXT : at->text ? at->text : at->number ? "rule" : "policy";
	int file = btf__add_str(b, at && at->where ? at->where : "fwjit");
	int line = btf__add_str(b, text);

	if (file < 0 || line < 0)
		return file < 0 ? file : line;
	*l = (struct bpf_line_info){
		.insn_off = insn,
		.file_name_off = file,
		.line_off = line,
		.line_col = UAPI_LINE_NUM(at ? at->number : 0) | 1,
	};
	return 0;
}

/* A line starts where the rule changes, never at the second half of a 16-byte instruction. */
static int add_lines(struct btf *b, const struct be_prog *p, struct ld_lines *ret)
{
	int err = 0;

	for (uint32_t i = 0; i < p->n && !err; i++) {
		if (i && (p->at[i] == p->at[i - 1] || !p->insn[i].code))
			continue;
		err = add_line(b, &ret->line[ret->n++], i, p->at[i]);
	}
	return err;
}

int ld_lines_make(const struct be_prog *p, struct ld_lines *ret)
{
	struct btf *b __attribute__((cleanup(btf_freep))) = btf__new_empty();
	char name[16];
	const void *raw;
	uint32_t size;
	int func, err;

	*ret = (struct ld_lines){ .btf_fd = -1 };
	if (!b)
		return -ENOMEM;
	identifier(name, sizeof(name), p->name);
	func = add_func(b, name);
	ret->line = calloc(p->n ? p->n : 1, sizeof(*ret->line));
	if (func < 0 || !ret->line)
		return func < 0 ? func : -ENOMEM;
	ret->func = (struct bpf_func_info){ .insn_off = 0, .type_id = func };
	err = add_lines(b, p, ret);
	raw = err ? NULL : btf__raw_data(b, &size);
	if (raw)
		ret->btf_fd = ld_sys_btf(raw, size);
	if (!raw || ret->btf_fd < 0) {
		err = err ? err : raw ? ret->btf_fd : -ENOMEM;
		ld_lines_free(ret);
	}
	return err;
}

void ld_lines_free(struct ld_lines *l)
{
	ld_closep(&l->btf_fd);
	free(l->line);
	*l = (struct ld_lines){ .btf_fd = -1 };
}
