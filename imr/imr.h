/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The IMR: the one meaning of a firewall, independent of where it was read and of what will run it.
 *
 * A program is a list of chains, a chain a list of rules, a rule a straight line of instructions with
 * forward side exits and one end. Every value is an unsigned number of at most 128 bits: what a header
 * holds in network byte order is that number, an interface name is its 16 bytes read as one number, the
 * first character first (so that "eth*" is a prefix like 10.0.0.0/8 is). docs/IMR.md is the language.
 *
 * All of it lives in one arena; nothing here opens, prints to a stream, exits or keeps state.
 */
#ifndef FWJIT_IMR_H
#define FWJIT_IMR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef unsigned __int128 u128;

/* arena.c: memory of one compilation, freed at once. Never returns NULL: a compilation that runs out of
 * memory aborts the process, as every caller would. Memory is zeroed. */
struct arena;
struct arena *arena_new(void);
void arena_free(struct arena *a);
void *arena_alloc(struct arena *a, size_t size);
void *arena_grow(struct arena *a, const void *old, size_t old_size, size_t new_size);
char *arena_strndup(struct arena *a, const char *s, size_t n);
char *arena_printf(struct arena *a, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* A growing string in an arena: what the printers write to. */
struct strbuf {
	struct arena *arena;
	char *s;		/* always NUL-terminated once something was added */
	size_t len, cap;
};
void strbuf_add(struct strbuf *b, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void strbuf_add_bytes(struct strbuf *b, const char *s, size_t n);
void strbuf_add_quoted(struct strbuf *b, const char *s);	/* "…" with \" \\ \xNN */

/* plain.c: one character of a text that is not at its end: its bytes, and what it is. */
#define PLAIN_NO_CHAR UINT32_MAX	/* no UTF-8 */
unsigned int plain_next(const char *s, uint32_t *ret);
bool plain_shows(uint32_t c);		/* it may be shown: no control of the terminal or of the line's direction */
/* "?" for what may not be shown, except the ASCII characters in keep. */
void strbuf_add_plain(struct strbuf *b, const char *s, const char *keep);

/* ------------------------------------------------------------------ tables */

enum imr_type {			/* type.def */
	T_NONE,
#define TYPE(id, ...) T_##id,
#include "type.def"
	T_MAX
};

enum imr_base {			/* where a field's bytes start; base.def */
#define BASE(id, ...) B_##id,
#include "base.def"
	B_MAX
};

enum imr_field {		/* field.def */
	F_NONE,
#define FIELD(id, ...) F_##id,
#include "field.def"
	F_MAX
};

enum imr_op {			/* op.def */
	OP_NONE,
#define OP(id, ...) OP_##id,
#include "op.def"
	OP_MAX
};

enum imr_hook {			/* hook.def */
	HOOK_NONE,		/* a user chain */
#define HOOK(id, ...) HOOK_##id,
#include "hook.def"
	HOOK_MAX
};

enum imr_order { ORDER_NONE, ORDER_NET, ORDER_HOST };
enum imr_show { SHOW_NUM, SHOW_HEX, SHOW_IP4, SHOW_IP6, SHOW_MAC, SHOW_NAME };

struct imr_type_info {
	const char *name;
	uint8_t bits;
	enum imr_order order;	/* as it lies in the packet or the context; the value itself is a number */
	enum imr_show show;
};

/* A field names bits of the packet, or a fact of it, as the chain's own hook sees it. */
struct imr_field_info {
	const char *name;
	enum imr_type type;
	enum imr_base base;
	uint8_t off, len;	/* bytes from the base; len 0: computed (meta, presence, parse results) */
	uint8_t shift, bits;	/* value = (len bytes as a big-endian number >> shift) & (2^bits - 1) */
	uint8_t l3, l4;		/* what makes the name fit the bytes: nfproto 2/10 (0 any), l4 protocol (0 any) */
};

enum imr_class {		/* what an op is to a pass */
	CLASS_VALUE,		/* yields a value, has no other effect, cannot fail */
	CLASS_TEST,		/* goes on, or leaves to `els` */
	CLASS_STMT,		/* an effect, then goes on */
	CLASS_END,		/* the last instruction of a rule */
};

/* Operands an op takes; each is one member of struct imr_insn. ORDER print.c parse.c */
#define ARG_FIELD	0x001	/* field (F_RAW: base, off, len too) */
#define ARG_A		0x002	/* value a */
#define ARG_B		0x004	/* value b */
#define ARG_IMM		0x008	/* constant imm */
#define ARG_SET		0x010	/* set: sorted disjoint ranges */
#define ARG_BASE	0x020	/* base and a byte count in len: need */
#define ARG_CHAIN	0x040	/* chain: a user chain's index */
#define ARG_TO		0x080	/* to: a later rule of this chain, 0 for the following */
#define ARG_WHY		0x100	/* text: what is not known */

struct imr_op_info {
	const char *name;
	enum imr_class class;
	unsigned int args;
};

enum imr_family { FAM_NONE = 0, FAM_INET = 1, FAM_IP = 2, FAM_NETDEV = 5, FAM_IP6 = 10 };	/* NFPROTO_* */
enum imr_hooknum { HN_PREROUTING, HN_INPUT, HN_FORWARD, HN_OUTPUT, HN_POSTROUTING, HN_INGRESS, HN_EGRESS, HN_EARLY };

/* What a hook promises of every packet that it sees, so that guards fold away. Read in docs/SEMANTICS.md. */
struct imr_hook_info {
	const char *name;	/* "ip.input" */
	enum imr_family family;
	enum imr_hooknum num;
	uint8_t nh_min;		/* avail.nh is at least this */
	uint8_t ll_min;		/* avail.ll is at least this */
	unsigned int facts;
};
#define HF_L3		0x01	/* the header was validated by ip_rcv / ip6_rcv */
#define HF_NO_FRAG	0x02	/* IPv4 fragments are never seen (input), or none at all (early) */
#define HF_NO_OIF	0x04	/* there is no outgoing device: index 0, name "" */
#define HF_NO_IIF	0x08	/* there is no incoming device: index 0, name "" */
#define HF_OIF_UNKNOWN	0x10	/* not known at this point of attachment */
#define HF_MARK_UNKNOWN	0x20

extern const struct imr_type_info imr_types[T_MAX];
extern const struct imr_field_info imr_fields[F_MAX];
extern const struct imr_op_info imr_ops[OP_MAX];
extern const struct imr_hook_info imr_hooks[HOOK_MAX];
extern const char *const imr_bases[B_MAX];

/* ------------------------------------------------------------------ the program */

/* Kernels differ; these are the ways, probed by trying. profile.def */
struct imr_profile {
#define PROFILE(id, ...) bool id;
#include "profile.def"
};

/* Where a rule came from: for messages, counters and listings; never for meaning. */
struct imr_at {
	const char *tool;	/* "nft", "iptables", "ip6tables", "imr" or a frontend's own */
	const char *where;	/* "ip filter INPUT": family, table, chain as the tool says them */
	uint32_t number;	/* from 1 in its chain; 0 is the policy */
	uint64_t handle;	/* nft's, 0 where there is none */
	const char *text;	/* as its own tool prints it, or NULL */
};

struct imr_range { u128 lo, hi; };	/* closed */
struct imr_set {
	uint32_t n;
	struct imr_range *r;	/* ascending, disjoint, not adjacent */
};

enum imr_else { ELSE_NEXT, ELSE_DROP, ELSE_PASS, ELSE_RULE };

#define IMR_NOVAL UINT32_MAX

struct imr_insn {
	uint8_t op;		/* enum imr_op */
	uint8_t type;		/* enum imr_type of dst; tests: of their operand */
	uint8_t field;		/* enum imr_field */
	uint8_t base;		/* enum imr_base: F_RAW, need */
	uint8_t els;		/* enum imr_else: tests */
	uint16_t off, len;	/* bytes: F_RAW; need: len */
	uint32_t dst, a, b;	/* value numbers, IMR_NOVAL where unused */
	uint32_t to;		/* ELSE_RULE, and next: index of a later rule; next 0: the following */
	uint32_t chain;		/* jump, goto */
	uint32_t slot;		/* count, tally: counter slot, given by imr_number; opaque, effect: its ordinal */
	u128 imm;
	const struct imr_set *set;
	const char *text;	/* opaque, effect: what it is, as the rule's author would say it */
};

struct imr_rule {
	struct imr_at at;
	uint32_t n;
	struct imr_insn *insn;	/* the last is CLASS_END */
};

enum imr_kind { KIND_FILTER, KIND_NAT, KIND_ROUTE };

struct imr_chain {
	const char *name;	/* unique in the program: "filter/INPUT" */
	struct imr_at at;	/* number 0: the policy as a rule */
	enum imr_hook hook;	/* HOOK_NONE: a user chain */
	enum imr_kind kind;	/* nat chains see only a flow's first packet */
	int32_t prio;
	uint8_t policy;		/* OP_ACCEPT, OP_DROP or OP_PASS; user chains OP_RETURN */
	bool policy_count;	/* the policy has a counter of its own (iptables' has) */
	uint32_t policy_slot;
	uint32_t n_dev;
	const char **dev;	/* netdev hooks: the devices it is bound to */
	uint32_t n_entry;	/* entry: loads shared by all rules, values and no tests */
	struct imr_insn *entry;
	uint32_t n;
	struct imr_rule *rule;
};

/* Do the rules have the kernel track connections? */
enum imr_conntrack {
	CONNTRACK_OFF,
	CONNTRACK_ON,
	CONNTRACK_EXPECTS,	/* with helpers: a packet may be expected that is of no known flow */
};

struct imr {
	struct arena *arena;
	struct imr_profile profile;
	enum imr_conntrack conntrack;
	uint32_t n;
	struct imr_chain *chain;	/* topological: jumps and gotos lead to later chains */
	uint32_t n_slot, n_opaque;	/* imr_number */
	struct diags *diags;
};

/* ------------------------------------------------------------------ diag.c */

enum diag_level {
	DIAG_NOTE,
	DIAG_UNSUPPORTED,	/* the rule cannot be said: fatal with -f (exit 4), unknown to a slice */
	DIAG_ERROR,		/* the input is malformed, or the kernel refused (exit 1) */
};
struct diag {
	enum diag_level level;
	struct imr_at at;	/* at.where NULL: no rule is to blame */
	const char *message;
	const char *mark;	/* substring of at.text to put the caret under, or NULL */
	const char *hint;	/* the next step, or NULL */
};
struct diags {
	struct arena *arena;
	uint32_t n, cap;
	struct diag *d;
};
struct diag *diag_add(struct diags *ds, enum diag_level level, const struct imr_at *at, const char *fmt, ...)
	__attribute__((format(printf, 4, 5)));
bool diags_have(const struct diags *ds, enum diag_level at_least);
void diag_print(struct strbuf *out, const struct diag *d);	/* nft's form: place, message, text, caret, hint */

/* ------------------------------------------------------------------ build.c */

struct imr *imr_new(struct arena *a, struct diags *ds, const struct imr_profile *p);
struct imr_chain *imr_chain_add(struct imr *imr, const char *name);	/* may move earlier chains: keep indices */
struct imr_rule *imr_rule_add(struct imr *imr, struct imr_chain *c, const struct imr_at *at);
struct imr_insn *imr_insn_add(struct imr *imr, struct imr_rule *r, enum imr_op op);	/* dst, a, b are IMR_NOVAL */
/* The shapes that frontends need; each returns the value's number, unique within the rule and its chain's entry. */
uint32_t imr_ld(struct imr *imr, struct imr_rule *r, enum imr_field f);
uint32_t imr_ld_raw(struct imr *imr, struct imr_rule *r, enum imr_base b, unsigned int off, unsigned int len);
uint32_t imr_op2(struct imr *imr, struct imr_rule *r, enum imr_op op, uint32_t a, u128 imm);	/* and, or, xor, shr */
uint32_t imr_opaque_value(struct imr *imr, struct imr_rule *r, enum imr_type t, const char *why);
void imr_cmp(struct imr *imr, struct imr_rule *r, enum imr_op op, uint32_t a, u128 imm, enum imr_else els);
void imr_in(struct imr *imr, struct imr_rule *r, bool not_in, uint32_t a, const struct imr_set *s, enum imr_else els);
void imr_need(struct imr *imr, struct imr_rule *r, enum imr_base b, unsigned int bytes, enum imr_else els);
void imr_stmt(struct imr *imr, struct imr_rule *r, enum imr_op op, const char *why);	/* count, opaque, effect */
void imr_end(struct imr *imr, struct imr_rule *r, enum imr_op op, uint32_t chain);
const struct imr_set *imr_set_new(struct imr *imr, struct imr_range *r, uint32_t n);	/* sorts, joins */
const struct imr_set *imr_set_one(struct imr *imr, u128 lo, u128 hi);
bool imr_set_has(const struct imr_set *s, u128 v);
u128 imr_type_max(enum imr_type t);
enum imr_type imr_type_be(unsigned int bytes);	/* u8, be16, be24 … be128 */
/* Slots and ordinals in program order: rules' counters, then each policy's. Every frontend and pass may call it. */
void imr_number(struct imr *imr);
/* Chains into topological order, indices mended. Reports a loop as DIAG_ERROR and returns false. */
bool imr_sort(struct imr *imr);

/* ------------------------------------------------------------------ print.c parse.c check.c same.c */

void imr_print(struct strbuf *out, const struct imr *imr);
void imr_print_rule(struct strbuf *out, const struct imr *imr, const struct imr_chain *c, const struct imr_rule *r);
void imr_print_value(struct strbuf *out, enum imr_type t, u128 v);
/* The exact inverse of imr_print. Errors (line and column in the message) are DIAG_ERROR; NULL then. */
struct imr *imr_parse(struct arena *a, struct diags *ds, const char *text, size_t len);
/* The IMR's own verifier; a message that blames `after` (a pass or frontend), or NULL where all is well. */
const char *imr_check(const struct imr *imr, const char *after);
/* Equal in meaning's form: names and provenance (imr_at, chain names) aside. */
bool imr_same(const struct imr *a, const struct imr *b);

/* ------------------------------------------------------------------ view.c interp.c */

/* One packet as it arrives, with what is outside its bytes. */
struct imr_pkt {
	const uint8_t *frame;	/* from the Ethernet header on */
	uint32_t len;
	uint32_t iif, oif;	/* device indices; 0 where the hook has none */
	char iifname[16], oifname[16];
	uint8_t mac[6];		/* of the receiving device */
	uint32_t mark;
	bool flow;		/* conntrack knows its flow, or cannot be asked */
};

/* What a hook sees of it. Offsets are bytes from the frame's start. */
struct imr_view {
	bool domain;		/* the packet reaches this hook at all */
	uint8_t nfproto;	/* of the packet: 2, 10; 5 at netdev hooks */
	uint16_t iiftype;	/* ARPHRD_ of the incoming device, 0 where there is none */
	uint16_t protocol;	/* skb->protocol as a number */
	uint32_t ll, nh, end;	/* link layer, network header, end of the visible bytes */
	uint32_t len;		/* skb->len at this hook */
	bool popped;		/* the outer tag is beside the bytes */
	bool hop;		/* it is being forwarded: its time to live is one less than in the frame */
	bool th_ok, tx_ok;
	uint8_t th_proto, tx_proto;
	uint32_t th, tx;	/* transport header as nft has it, and as xt has it (through AH) */
	uint16_t th_fragoff, tx_fragoff;
};
/* ARPHRD_ of a device whose frames have an Ethernet header, by its name: the loopback, and all others. */
unsigned int imr_iiftype(const char name[16]);
void imr_view(struct imr_view *ret, const struct imr_pkt *pkt, enum imr_hook hook, const struct imr_profile *p);

enum imr_verdict { V_NONE, V_ACCEPT, V_DROP, V_PASS, V_UNKNOWN };	/* V_NONE: outside the hook's domain */
struct imr_result {
	enum imr_verdict verdict;
	struct imr_at at;	/* the rule that decided; number 0: a policy */
	uint32_t n_slot;	/* counters it bumped, in order (a slot may repeat) */
	uint32_t slot[64];	/* the first 64 */
};
/* The reference: base chain `chain` on one packet. `choice`, indexed by ordinal, completes opaque values, tests
 * (0 fails, 1 matches, 2 hotdrops) and effects (0 goes on, 1 accepts, 2 drops); NULL: the verdict is V_UNKNOWN where one
 * decides. */
void imr_run(struct imr_result *ret, const struct imr *imr, uint32_t chain, const struct imr_pkt *pkt,
	     const uint64_t *choice);

/* ------------------------------------------------------------------ opt.c and one file a pass */

struct imr_pass {
	const char *name;
	void (*run)(struct imr *imr);
	const char *what;
};
extern const struct imr_pass imr_passes[];	/* in order, ends with name NULL */
/* Runs the passes up to and including `last` (NULL: all). False, with a DIAG_ERROR, if a pass broke the IMR. */
bool imr_optimise(struct imr *imr, const char *last);

/* ------------------------------------------------------------------ place.c slice.c */

/* What is true around the rules: made by the loader, printable, part of what a slice was made from. */
struct imr_env {
	char dev[16];		/* the device of attachment; its frames have an Ethernet header */
	uint32_t ifindex;
	uint8_t mac[6];
	bool fwd4, fwd6;	/* the device forwards */
	bool ct_lookup;		/* a program here may ask conntrack whether it knows a flow */
	bool ct_expects;	/* conntrack's helpers run unasked */
	bool plain_rules;	/* the routing policy looks at the local table first */
	bool no_gro;		/* nothing merges packets between this device and the rules: lengths are those on the wire */
	bool before_gro;	/* exact places: packets are seen as they were before that */
	uint32_t n_local4, n_local6;	/* what is delivered here by the local table: addresses, prefixes, broadcast, anycast */
	const struct imr_range *local4;	/* ascending, disjoint, not adjacent: fit for struct imr_set */
	const struct imr_range *local6;
};
/* All base chains at one hook with a priority in the range, as one exact chain; NULL and a DIAG_UNSUPPORTED for each rule
 * that cannot be said there. A hook of netdev: those bound to env->dev. Of ip or ip6: inet's too, and env is NULL. Of
 * inet: those of both families, each for its own packets. */
struct imr_range32 { int32_t lo, hi; };		/* closed */
struct imr *imr_place_hook(const struct imr *imr, const struct imr_env *env, enum imr_hook hook, struct imr_range32 prio);
/* The netdev ingress chains of env->dev as one exact chain (hook netdev.ingress); NULL and a DIAG_UNSUPPORTED for each
 * rule that cannot be said there. */
struct imr *imr_place_ingress(const struct imr *imr, const struct imr_env *env);
/* What the whole pipeline of L3 chains surely drops, as one chain (hook early.l3) that ends in drop or pass. */
struct imr *imr_place_slice(const struct imr *imr, const struct imr_env *env);
/* tags.c: the rules of a placed program that ask for a VLAN tag, which a device may hand beside the frame. */
const struct imr_rule **imr_tag_readers(struct imr *imr, uint32_t *ret_n);
/* Makes what any rule asks of a tag unknown: before imr_place_slice, for a device that may do so. */
void imr_tags_unknown(struct imr *imr);

/* sent.c: the rules of a placed program at egress that no program can say, and why. */
struct imr_untold { const struct imr_rule *rule; const char *what, *hint; };
const struct imr_untold *imr_sent_untold(const struct imr *imr, uint32_t chain, uint32_t *ret_n);

#endif
