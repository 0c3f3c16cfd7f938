/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Programs and packets for the test of the XDP backend: random ones that lie on each other's boundaries, and those of a
 * certain shape. All of it follows from the seed in struct xdp_gen.
 */
#ifndef FWJIT_XDP_GEN_H
#define FWJIT_XDP_GEN_H

#include "backend.h"

#define XDP_FRAME_MAX	1600
#define XDP_IFINDEX	7
#define XDP_MAC		{ 2, 0, 0, 0, 0, 1 }

struct xdp_packet {
	uint32_t len;
	uint8_t frame[XDP_FRAME_MAX];
};

struct xdp_gen {
	struct arena *arena;
	struct diags *diags;
	uint64_t rng;		/* not 0 */
	bool l3;		/* programs ask for nothing of the link layer */
};

uint32_t xdp_below(struct xdp_gen *g, uint32_t n);
/* tags: many of them VLAN-tagged */
void xdp_packet_any(struct xdp_gen *g, struct xdp_packet *p, bool tags);
/* IPv4 and UDP, whole */
void xdp_packet_udp(struct xdp_packet *p, uint32_t saddr, uint16_t dport);
/* TCP with a random list of options; the header at times cut off */
void xdp_packet_options(struct xdp_gen *g, struct xdp_packet *p);
/* n extension headers of eight bytes before UDP, the frame cut or filled up to len */
void xdp_packet_deep(struct xdp_packet *p, uint32_t n, uint32_t len);

/* A program whose constants come from the packets */
struct imr *xdp_program_any(struct xdp_gen *g, enum imr_hook hook, const struct xdp_packet *p, uint32_t n);
/* n rules: one source address each, with ports a destination port as well; count, drop */
struct imr *xdp_program_linear(struct xdp_gen *g, uint32_t n, bool ports);
/* Jumps over a large part of a large program: they go by islands, in and out of chunks. */
struct imr *xdp_program_far(struct xdp_gen *g, uint32_t n);

#endif
