/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The bytes of a legacy table, checked as the kernel checks what it is given (translate_table,
 * check_entry_size_and_hooks and check_underflow of net/ipv4/netfilter/ip_tables.c, xt_check_entry_offsets of
 * x_tables.c) and further, as far as iptables' own library does when it finds the chains: an entry belongs to exactly
 * one chain, and every chain ends.
 */
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <linux/netfilter_ipv4/ip_tables.h>
#include <linux/netfilter_ipv6/ip6_tables.h>

#include "ipt.h"

#define ENTRY_ALIGN	8
#define ENTRIES_AT	offsetof(struct ipt_get_entries, entrytable)

static const struct ipt_layout layout4 = {
	sizeof(struct ipt_ip), offsetof(struct ipt_entry, target_offset), offsetof(struct ipt_entry, next_offset),
	sizeof(struct ipt_entry),
};
static const struct ipt_layout layout6 = {
	sizeof(struct ip6t_ip6), offsetof(struct ip6t_entry, target_offset), offsetof(struct ip6t_entry, next_offset),
	sizeof(struct ip6t_entry),
};

_Static_assert(sizeof(struct ipt_getinfo) == sizeof(struct ip6t_getinfo), "one header for both families");
_Static_assert(ENTRIES_AT == offsetof(struct ip6t_get_entries, entrytable), "one header for both families");

static const char *const hook_names[IPT_HOOKS] = { "PREROUTING", "INPUT", "FORWARD", "OUTPUT", "POSTROUTING" };

static bool bad(const struct ipt_blob *b, uint32_t off, const char *what)
{
	diag_add(b->imr->diags, DIAG_ERROR, NULL, "%s table \"%s\": entry at byte %u: %s", b->tool, b->table, off, what);
	return false;
}

static bool bad_table(const struct ipt_blob *b, const char *what)
{
	diag_add(b->imr->diags, DIAG_ERROR, NULL, "%s table \"%s\": %s", b->tool, b->table ? b->table : "?", what);
	return false;
}

static uint16_t get16(const uint8_t *p)
{
	uint16_t v;

	memcpy(&v, p, sizeof(v));
	return v;
}

static const char *target_name(const uint8_t *target)
{
	return (const char *)target + offsetof(struct xt_entry_target, u.user.name);
}

bool ipt_is_standard(const struct ipt_entry_view *e)
{
	return !*target_name(e->target);
}

int32_t ipt_verdict(const struct ipt_entry_view *e)
{
	int32_t v;

	memcpy(&v, e->target + offsetof(struct xt_standard_target, verdict), sizeof(v));
	return v;
}

static bool is_error(const struct ipt_entry_view *e)
{
	return !strcmp(target_name(e->target), XT_ERROR_TARGET);
}

static const char *error_name(const struct ipt_entry_view *e)
{
	return (const char *)e->target + offsetof(struct xt_error_target, errorname);
}

static bool is_unconditional(const struct ipt_blob *b, const struct ipt_entry_view *e)
{
	if (e->match_len)
		return false;
	for (unsigned int i = 0; i < b->lay->ip_size; i++)
		if (e->ip[i])
			return false;
	return true;
}

void ipt_entry_at(const struct ipt_blob *b, uint32_t off, struct ipt_entry_view *ret)
{
	const uint8_t *p = b->e + off;
	uint16_t target = get16(p + b->lay->target_offset);

	*ret = (struct ipt_entry_view){
		.off = off, .next = off + get16(p + b->lay->next_offset), .ip = p,
		.match = p + b->lay->size, .match_len = target - b->lay->size,
		.target = p + target, .target_len = get16(p + target),
	};
}

/* A match's or target's header: size (u16), name (29 bytes), revision (u8). */
static bool check_header(const uint8_t *p, uint32_t room)
{
	uint32_t size;

	if (room < sizeof(struct xt_entry_match))
		return false;
	size = get16(p);
	return size >= sizeof(struct xt_entry_match) && size <= room &&
	       memchr(target_name(p), 0, XT_EXTENSION_MAXNAMELEN);
}

static bool check_matches(const struct ipt_blob *b, const struct ipt_entry_view *e)
{
	for (uint32_t at = 0; at < e->match_len; at += get16(e->match + at))
		if (!check_header(e->match + at, e->match_len - at) || get16(e->match + at) % ENTRY_ALIGN)
			return bad(b, e->off, "a match has a bad size or name");
	return true;
}

static bool check_standard(const struct ipt_blob *b, const struct ipt_entry_view *e)
{
	int32_t v;

	if (e->target_len < sizeof(struct xt_standard_target) ||
	    (uint32_t)(e->target - b->e) + XT_ALIGN(sizeof(struct xt_standard_target)) != e->next)
		return bad(b, e->off, "the verdict has a bad size");
	v = ipt_verdict(e);
	if (v == 0 || (v < 0 && v != XT_RETURN && v != -NF_DROP - 1 && v != -NF_ACCEPT - 1 && v != -NF_QUEUE - 1))
		return bad(b, e->off, "an unknown verdict");
	return true;
}

static bool check_target(const struct ipt_blob *b, const struct ipt_entry_view *e)
{
	uint32_t room = e->next - (uint32_t)(e->target - b->e);

	if (!check_header(e->target, room))
		return bad(b, e->off, "the target has a bad size or name");
	if (ipt_is_standard(e))
		return check_standard(b, e);
	if (is_error(e) && (e->target_len < sizeof(struct xt_error_target) ||
			    !memchr(error_name(e), 0, XT_FUNCTION_MAXNAMELEN) || !*error_name(e)))
		return bad(b, e->off, "a chain's name is not a string");
	return true;
}

static bool check_flags(const struct ipt_blob *b, const struct ipt_entry_view *e)
{
	unsigned int flags, inv, proto;

	if (b->family == FAM_IP) {
		proto = get16(e->ip + offsetof(struct ipt_ip, proto));
		flags = e->ip[offsetof(struct ipt_ip, flags)] & ~IPT_F_MASK;
		inv = e->ip[offsetof(struct ipt_ip, invflags)] & ~IPT_INV_MASK;
	} else {
		proto = get16(e->ip + offsetof(struct ip6t_ip6, proto));
		flags = e->ip[offsetof(struct ip6t_ip6, flags)] & ~IP6T_F_MASK;
		inv = e->ip[offsetof(struct ip6t_ip6, invflags)] & ~IP6T_INV_MASK;
	}
	return !flags && !inv && proto <= 0xff ? true : bad(b, e->off, "unknown flags, or a protocol above 255");
}

static bool check_entry(const struct ipt_blob *b, uint32_t off)
{
	uint32_t room = b->size - off, target, next;
	struct ipt_entry_view e;

	if (off % ENTRY_ALIGN || room < b->lay->size + sizeof(struct xt_entry_target))
		return bad(b, off, "not whole");
	target = get16(b->e + off + b->lay->target_offset);
	next = get16(b->e + off + b->lay->next_offset);
	if (next > room || next % ENTRY_ALIGN || target % ENTRY_ALIGN || target < b->lay->size ||
	    target + sizeof(struct xt_entry_target) > next)
		return bad(b, off, "its offsets lead outside");
	ipt_entry_at(b, off, &e);
	return check_flags(b, &e) && check_matches(b, &e) && check_target(b, &e);
}

static bool check_entries(const struct ipt_blob *b)
{
	uint32_t n = 0;

	for (uint32_t off = 0; off < b->size; n++) {
		struct ipt_entry_view e;

		if (!check_entry(b, off))
			return false;
		ipt_entry_at(b, off, &e);
		off = e.next;
	}
	return n == b->n_entry ? true : bad_table(b, "the number of entries is not what its header says");
}

/* ------------------------------------------------------------------ chains */

/* The hook whose chain begins here, -1 where none does, -2 where several do. */
static int hook_at(const struct ipt_blob *b, const uint32_t at[IPT_HOOKS], uint32_t off)
{
	int found = -1;

	for (int h = 0; h < IPT_HOOKS; h++)
		if (b->valid_hooks & 1u << h && at[h] == off)
			found = found == -1 ? h : -2;
	return found;
}

static struct ipt_chain *chain_add(struct ipt_blob *b, const char *name, int hook, uint32_t head)
{
	struct ipt_chain *c;

	b->chain = arena_grow(b->imr->arena, b->chain, b->n_chain * sizeof(*c), (b->n_chain + 1) * sizeof(*c));
	c = &b->chain[b->n_chain++];
	*c = (struct ipt_chain){ .name = name, .hook = hook, .head = head };
	return c;
}

/* check_underflow: a base chain ends in its policy, without conditions. */
static bool is_policy(const struct ipt_blob *b, const struct ipt_entry_view *e)
{
	return is_unconditional(b, e) && ipt_is_standard(e) &&
	       (ipt_verdict(e) == -NF_DROP - 1 || ipt_verdict(e) == -NF_ACCEPT - 1);
}

static bool is_final_return(const struct ipt_blob *b, const struct ipt_entry_view *e)
{
	return is_unconditional(b, e) && ipt_is_standard(e) && ipt_verdict(e) == XT_RETURN;
}

/* The chain's last entry, from its first on. */
static bool find_tail(struct ipt_blob *b, struct ipt_chain *c)
{
	uint32_t stop = c->hook < 0 ? b->size : b->underflow[c->hook];
	struct ipt_entry_view e, after;

	for (uint32_t off = c->head;; off = e.next) {
		ipt_entry_at(b, off, &e);
		if (is_error(&e) || e.next >= b->size || (off != c->head && hook_at(b, b->hook_entry, off) != -1))
			return bad(b, c->head, "the chain that begins here has no end");
		ipt_entry_at(b, e.next, &after);
		if (c->hook < 0 ? is_error(&after) || hook_at(b, b->hook_entry, e.next) != -1 : off >= stop)
			break;
	}
	c->tail = e.off;
	if (c->hook >= 0 && (e.off != stop || !is_policy(b, &e)))
		return bad(b, e.off, "not a policy where the chain's header says that it is");
	if (c->hook < 0 && !is_final_return(b, &e))
		return bad(b, e.off, "a user chain does not end in RETURN");
	return true;
}

/* Chain heads follow each other: a hook's first entry, or an ERROR target with a name; the last ERROR has no chain. */
static bool find_chains(struct ipt_blob *b)
{
	struct ipt_entry_view e;
	struct ipt_chain *c;
	int hook;

	for (uint32_t off = 0;; ) {
		ipt_entry_at(b, off, &e);
		hook = hook_at(b, b->hook_entry, off);
		if (is_error(&e)) {
			if (hook != -1 || !is_unconditional(b, &e))
				return bad(b, off, "a chain's head is not one");
			if (e.next == b->size)
				return true;
			if (hook_at(b, b->hook_entry, e.next) != -1)
				return bad(b, off, "two chains begin at once");
			c = chain_add(b, error_name(&e), -1, e.next);
		} else if (hook >= 0) {
			c = chain_add(b, hook_names[hook], hook, off);
		} else {
			return bad(b, off, hook == -2 ? "two chains begin at once" : "an entry that belongs to no chain");
		}
		if (!find_tail(b, c))
			return false;
		ipt_entry_at(b, c->tail, &e);
		off = e.next;
	}
}

static int by_name(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static bool names_differ(const struct ipt_blob *b)
{
	const char **name = arena_alloc(b->imr->arena, b->n_chain * sizeof(*name));

	for (uint32_t i = 0; i < b->n_chain; i++)
		name[i] = b->chain[i].name;
	qsort(name, b->n_chain, sizeof(*name), by_name);
	for (uint32_t i = 1; i < b->n_chain; i++)
		if (!strcmp(name[i - 1], name[i]))
			return false;
	return true;
}

static bool check_chains(const struct ipt_blob *b)
{
	unsigned int base = 0;

	for (uint32_t i = 0; i < b->n_chain; i++)
		base += b->chain[i].hook >= 0;
	if (!names_differ(b))
		return bad_table(b, "two chains have one name");
	return base == (unsigned int)__builtin_popcount(b->valid_hooks) ? true :
	       bad_table(b, "not every hook has its chain");
}

const struct ipt_chain *ipt_chain_at(const struct ipt_blob *b, uint32_t head)
{
	uint32_t lo = 0, hi = b->n_chain;

	while (lo < hi) {
		uint32_t mid = lo + (hi - lo) / 2;

		if (b->chain[mid].head < head)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo < b->n_chain && b->chain[lo].head == head ? &b->chain[lo] : NULL;
}

/* ------------------------------------------------------------------ the header */

static bool is_table_name(const char *name, size_t room)
{
	size_t n = strnlen(name, room);

	if (!n || n == room)
		return false;
	for (size_t i = 0; i < n; i++)
		if (name[i] <= ' ' || name[i] >= 0x7f)
			return false;
	return true;
}

static bool open_header(struct ipt_blob *b, const struct fe_rec *rec)
{
	struct ipt_getinfo info;
	struct ipt_get_entries get = { };
	const uint8_t *second;

	if (rec->len < sizeof(info) + ENTRIES_AT)
		return bad_table(b, "the header is not whole");
	second = rec->data + sizeof(info);
	memcpy(&info, rec->data, sizeof(info));
	memcpy(&get, second, ENTRIES_AT);
	if (!is_table_name(info.name, sizeof(info.name)) || strncmp(info.name, get.name, sizeof(get.name)))
		return bad_table(b, "the table's name is not one");
	b->table = arena_strndup(b->imr->arena, info.name, strlen(info.name));
	if (info.size != get.size || info.size != rec->len - sizeof(info) - ENTRIES_AT || !info.size)
		return bad_table(b, "its size is not what its header says");
	b->valid_hooks = info.valid_hooks;
	memcpy(b->hook_entry, info.hook_entry, sizeof(b->hook_entry));
	memcpy(b->underflow, info.underflow, sizeof(b->underflow));
	b->n_entry = info.num_entries;
	b->size = info.size;
	b->e = memcpy(arena_alloc(b->imr->arena, info.size), second + ENTRIES_AT, info.size);
	return true;
}

bool ipt_blob_open(struct ipt_blob *b, const struct fe_rec *rec)
{
	b->family = rec->family;
	b->tool = rec->family == FAM_IP6 ? "ip6tables" : "iptables";
	b->lay = rec->family == FAM_IP6 ? &layout6 : &layout4;
	if (rec->family != FAM_IP && rec->family != FAM_IP6)
		return bad_table(b, "neither of IPv4 nor of IPv6");
	return open_header(b, rec) && check_entries(b) && find_chains(b) && check_chains(b);
}
