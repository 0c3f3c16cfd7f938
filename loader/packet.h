/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Packets as people and files write them: the packet language (docs/PACKETS.md) and capture files. Pure: bytes and text
 * in, frames out. Knows imr/ only.
 */
#ifndef FWJIT_PACKET_H
#define FWJIT_PACKET_H

#include "imr.h"

#define PACKET_MAC	"\x02\x00\x00\x00\x00\x01"	/* the receiving device, where the text does not say */
#define PACKET_PEER	"\x02\x00\x00\x00\x00\x09"	/* who sent it */

struct packet {
	uint8_t *frame;
	uint32_t len;
	char iif[16], oif[16];	/* "" where nothing was said */
};

/* packet.c: one packet from its text. False, with a DIAG_ERROR that marks the word, where it is not the language. */
bool packet_parse(struct arena *a, struct diags *ds, const char *text, struct packet *ret);
/* describe.c: text that packet_parse turns into the same packet, byte for byte. */
const char *packet_describe(struct arena *a, const struct packet *p);

/* pcap.c: the packets of a pcap or pcapng file, Ethernet or raw IP (which gets an Ethernet header to PACKET_MAC).
 * 0, or -EINVAL with a DIAG_ERROR where the file is no capture or is cut; the packets before the fault are returned. */
int pcap_read(struct arena *a, struct diags *ds, const uint8_t *data, size_t len, struct packet **ret, uint32_t *ret_n);

#endif
