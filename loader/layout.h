/* SPDX-License-Identifier: GPL-2.0-only */
/* Where the headers of a frame are, and what follows from that: shared by the files of the packet language. */
#ifndef FWJIT_LAYOUT_H
#define FWJIT_LAYOUT_H

#include <stdbool.h>
#include <stdint.h>

#define NONE UINT32_MAX

struct layout {
	uint32_t nh, th;	/* NONE: there is none */
	uint8_t family;		/* 4 or 6, of nh */
	uint8_t proto;		/* of th: TCP, UDP, ICMP, ICMPv6; 0 for any other */
	bool bad_ip, bad_l4;	/* checksums are to be wrong */
	bool set_tot, set_ulen;	/* the lengths in the headers are given */
};

/* Numbers in network order. */
void layout_put(uint8_t *p, uint32_t v, unsigned int len);
uint32_t layout_get(const uint8_t *p, unsigned int len);
/* Lengths and checksums of a packet that ends at len. */
void layout_finish(const struct layout *l, uint8_t *frame, uint32_t len);

#endif
