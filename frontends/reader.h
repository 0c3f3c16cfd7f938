/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The impure half of the frontends: the kernel's objects of the network namespace that the caller is in, as bytes.
 * Each returns 0 or -errno, with a DIAG_ERROR that names the call. Memory is of the arena.
 */
#ifndef FWJIT_READER_H
#define FWJIT_READER_H

#include "frontend.h"

/* nft_get.c: all nftables objects; the generation is the same before and after, else it is read again. */
int fe_nft_get(struct arena *a, struct diags *ds, struct fe_rec *ret, uint32_t *ret_generation);
/* ipt_get.c: one legacy table. -ENOENT without a diagnostic where the table is not there. Reading a table that nobody
 * has used would make the kernel register it, so fe_ipt_tables asks /proc/net/ip_tables_names first. */
int fe_ipt_get(struct arena *a, struct diags *ds, uint8_t family, const char *table, struct fe_rec *ret);
int fe_ipt_tables(struct arena *a, uint8_t family, const char ***ret, uint32_t *ret_n);
/* Everything that is live here: nft, every legacy table in use, and the texts their own tools print. */
int fe_live_get(struct arena *a, struct diags *ds, struct fe_capture *ret);

/* sandbox.c: rule text loaded by its own tool, in a child process in a throw-away user and network namespace, and read
 * back as a capture. The devices that the rules name are made there first. Whatever happens to the child (libnftables
 * may abort), the caller lives; the tool's own words become the diagnostic. Any user may do it, 10,000 rules too. */
enum fe_text_kind { FE_TEXT_NONE, FE_TEXT_NFT, FE_TEXT_IPT, FE_TEXT_IP6T, FE_TEXT_IPT_NFT, FE_TEXT_IP6T_NFT };
/* Which tool a text is for, by its first words; iptables-save or ip6tables-save by what stands in it. Pure. */
enum fe_text_kind fe_text_recognise(const char *text, size_t len);
struct fe_text {
	enum fe_text_kind kind;
	const char *path, *text;
	size_t len;
};
/* Several texts are one ruleset: loaded one after the other into the same namespace, and read back as a whole. */
int fe_text_get_all(struct arena *a, struct diags *ds, const struct fe_text *t, uint32_t n, struct fe_capture *ret);
int fe_text_get(struct arena *a, struct diags *ds, enum fe_text_kind kind, const char *path, const char *text,
		size_t len, struct fe_capture *ret);

/* A device's index as the rules know it: its index here, or for a device that is not here a number made of its name. The
 * sandbox gives its devices these indices, so that `iif "x"` read there means the same device here. */
uint32_t fe_ifindex(const char *name);
uint32_t fe_ifindex_made(const char *name);	/* that number, whether the device is here or not */
/* A hash over every legacy table in use, counters aside: what has no notification is compared. */
uint64_t fe_legacy_hash(struct arena *a, struct diags *ds);

#endif
