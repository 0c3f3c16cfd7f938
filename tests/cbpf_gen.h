/* SPDX-License-Identifier: GPL-2.0-only */
/* Programs of certain shapes, and packets that meet them. */
#ifndef FWJIT_CBPF_GEN_H
#define FWJIT_CBPF_GEN_H

#include "xdp_gen.h"

/* n rules that mostly lead on, to near and far; of what they look at nothing can be remembered. */
struct imr *cbpf_jumpy(struct xdp_gen *g, uint32_t n);
/* n rules of prefixes, ports and verdicts; with six, every fourth of IPv6. */
struct imr *cbpf_acl(struct xdp_gen *g, uint32_t n, bool six);
/* A packet that some rule of it is about, or nearly so */
void cbpf_acl_packet(struct xdp_gen *g, const struct imr *imr, struct xdp_packet *p);
/* Rules that ask for a few things, with the packets' values */
struct imr *cbpf_usual(struct xdp_gen *g, enum imr_hook hook, const struct xdp_packet *p, uint32_t n);
/* One set of n ranges of IPv6 addresses, and addresses at the ends of such ranges */
struct imr *cbpf_wide(struct xdp_gen *g, uint32_t n);
void cbpf_wide_packet(struct xdp_gen *g, struct xdp_packet *p);
/* A set of n ranges, between rules that lead past it and behind it; and a packet in it or beside it */
struct imr *cbpf_large_set(struct xdp_gen *g, uint32_t n, bool six);
void cbpf_large_set_packet(struct xdp_gen *g, struct xdp_packet *p, uint32_t n, bool six);
/* Drops TCP to port 22; counts. */
struct imr *cbpf_ssh(struct xdp_gen *g, enum imr_hook hook);
/* n extension headers of every kind, the frame cut at len */
void cbpf_cut_packet(struct xdp_gen *g, struct xdp_packet *p, uint32_t n, uint32_t len);

#endif
