/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Backends: a placed IMR in, a program out: instructions, map definitions and contents, and which rule each instruction
 * came from. Pure: opens nothing, asks the kernel nothing; what the kernel and the caller may do is struct caps, a value.
 */
#ifndef FWJIT_BACKEND_H
#define FWJIT_BACKEND_H

#include <linux/bpf.h>
#include <linux/filter.h>

#include "imr.h"

struct caps {
#define CAP(id, ...) bool id;
#include "caps.def"
};

struct be_map {
	const char *name;		/* at most 15 characters */
	uint32_t type;			/* enum bpf_map_type */
	uint32_t key_size, value_size, max_entries, flags;	/* value_size of per-CPU maps: of one CPU */
	uint32_t n_value;		/* contents of keys 0 … n_value - 1, value_size bytes each; 0: zeroes */
	const uint8_t *value;
};

/* The maps every program may have, by what they are for: the loader finds them by role. */
enum be_role { BE_MAP_COUNTERS, BE_MAP_GATE, BE_MAP_SCRATCH, BE_MAP_OTHER };

/* One counter: a per-CPU pair of u64, packets then bytes. */
struct be_counter { uint64_t packets, bytes; };

struct be_slot {
	const struct imr_at *at;
};

#define BE_KFUNC_MAX 4

/* A load whose offset is that of a member in this kernel's types, added to what stands there: "net_device.ifindex". */
struct be_reloc {
	uint32_t insn;
	const char *field;
};

/* A classic program. Several are a chain: each but the last ends with -1 (TC_ACT_UNSPEC) where the next is to judge. */
#define BE_FILTER_INSNS 3900	/* what the loader can attach: with its own marks it fits into a message of the kernel's */
struct be_filter {
	uint32_t n;
	struct sock_filter *insn;
	const struct imr_at **at;	/* per instruction, as in be_prog */
};

struct be_prog {
	const char *name;		/* at most 15 characters */
	const char *access;		/* how it reaches the packet: "direct", "load_bytes", …; NULL: classic BPF */
	uint32_t type, attach_type;	/* enum bpf_prog_type, enum bpf_attach_type */
	uint32_t n;
	struct bpf_insn *insn;		/* ld_imm64 of a map: src_reg BPF_PSEUDO_MAP_FD, imm the index into map */
	const struct imr_at **at;	/* per instruction; NULL in the parse that all rules share */
	uint32_t n_map;
	struct be_map *map;
	enum be_role *role;
	uint32_t n_kfunc;		/* kernel functions: a call's src_reg BPF_PSEUDO_KFUNC_CALL, imm the index */
	const char *kfunc[BE_KFUNC_MAX];
	uint32_t n_reloc;
	const struct be_reloc *reloc;
	uint32_t n_slot;		/* counters, in the order of BE_MAP_COUNTERS */
	struct be_slot *slot;
	uint32_t n_filter;		/* classic programs instead: n is 0 then */
	struct be_filter *filter;
};

struct be_opts {
	bool gate;	/* BE_MAP_GATE holds a u64: the jiffies64 until which packets are judged; 0 passes all (watch) */
	bool load_bytes;	/* no packet pointers where there is a choice */
	char dev[16];		/* the device of attachment: its name, index and address; index 0: none */
	uint32_t ifindex;
	uint8_t mac[6];
};

/* target.def names the rows; adding one touches no other. */
struct target {
	const char *name;	/* "xdp" */
	const char *what;
	/* Null-terminated list of caps.def keys without which it is not possible. */
	const char *const *needs;
	unsigned int hooks;		/* bits of enum imr_hooknum: where packets are seen as the hook sees them */
	/* False with a diagnostic that names the rule. */
	bool (*compile)(const struct imr *imr, const struct caps *caps, const struct be_opts *opts, struct be_prog *ret);
	uint32_t verdict_drop, verdict_pass;
};
#define BE_ON_REQUEST (1u << 31)	/* in hooks: not a place of the rules' own, so it must be asked for */
#define BE_BEFORE_GRO (1u << 30)	/* in hooks: packets are as they came, before receive offload merges them */
extern const struct target be_targets[];	/* best first, ends with name NULL */
const struct target *be_target_find(const char *name);
/* The first cap that the target needs and is missing (its caps.def row's key and text), or NULL. */
const char *be_target_missing(const struct target *t, const struct caps *caps, const char **ret_what);
bool be_caps_get(const struct caps *caps, const char *key);
void be_caps_set(struct caps *caps, const char *key, bool v);
extern const struct be_cap_info { const char *key, *what; } be_caps_info[];	/* ends with key NULL */

/* Compiles the only base chain of a placed program. */
bool be_compile(const struct imr *imr, const struct target *t, const struct caps *caps, const struct be_opts *opts,
		struct be_prog *ret);

/* asm.c: text that llvm-mc (-arch=bpf) accepts, rules as comments. */
void be_asm_print(struct strbuf *out, const struct be_prog *p);
/* cbpf.c: a placed chain of a netdev hook as filters for cls_bpf (direct action), and a small one of an L3 hook as a
 * program for xt_bpf, which returns 1 to drop. cbpf_print.c: in bpf_asm's form, rules as comments. */
bool be_cbpf_compile(const struct imr *imr, const struct caps *caps, const struct be_opts *opts, struct be_prog *ret);
bool be_xt_bpf_compile(const struct imr *imr, const struct caps *caps, const struct be_opts *opts, struct be_prog *ret);
void be_cbpf_print(struct strbuf *out, const struct be_prog *p);
/* Equal: instruction words, map definitions and contents. */
bool be_prog_same(const struct be_prog *a, const struct be_prog *b);

#endif
