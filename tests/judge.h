/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The judge: the kernel's own netfilter, one packet at a time. A frame written to a tap device runs through the stack in
 * the writer's own context, so that when write(2) returns the verdict is final. Sensors right before and right behind the
 * hook in question (BPF programs that bump a word of a mapped array) say whether the packet came there and went on.
 */
#ifndef FWJIT_JUDGE_H
#define FWJIT_JUDGE_H

#include <stddef.h>
#include <stdint.h>

#include "imr.h"

enum judge_tool { JUDGE_NFT, JUDGE_IPT, JUDGE_IP6T, JUDGE_IPT_NFT, JUDGE_IP6T_NFT };
enum judge_says { JUDGE_UNSEEN, JUDGE_ACCEPT, JUDGE_DROP };	/* unseen: the packet never came to the hook */

/* Where the sensors sit. */
enum judge_hook { JUDGE_INGRESS, JUDGE_PREROUTING, JUDGE_INPUT, JUDGE_FORWARD, JUDGE_EGRESS, JUDGE_PATH };

/* JUDGE_PATH: the whole way of a packet, from the device to the end of input or forward; how many came to each place.
 * Nothing goes further than the two ends. */
struct judge_path {
	uint64_t seen;			/* by the stack at all: behind XDP, before ingress */
	uint64_t ingress_left;		/* untagged IPv4 and IPv6 frames behind the ingress hook */
	uint64_t came, left;		/* prerouting, behind defragmentation */
	uint64_t input_came, input_left;
	uint64_t forward_came, forward_left;
};

struct judge {
	enum judge_hook hook;
	int tap, out;			/* the tap devices' file descriptors */
	int send, send4, send6;		/* JUDGE_EGRESS: sockets of packets and of the two families */
	int map;
	volatile uint64_t *word;	/* the sensors' counters */
	int link[16];
	int sock[24];
	unsigned int n_link, n_sock;
	unsigned int iif, oif;		/* device indices: tap0 and out0 */
};

/* JUDGE_EGRESS: frames are sent by a packet socket; one from tap0 to 02:00:00:00:00:03 by a raw socket and a route. */
#define JUDGE_MAC { 2, 0, 0, 0, 0, 1 }	/* of tap0 */
#define JUDGE_DEV "tap0"

/* NULL where the caller may judge; else the reason, for a skip. */
const char *judge_missing(void);
/* Moves the calling process into a fresh network namespace with tap0 (and out0, where the default route leads for the
 * forward hook; else every address is local) and places the sensors around priorities from first to last. 0 or -errno. */
int judge_open(struct judge *j, enum judge_hook hook, int first, int last);
/* The same in an empty network namespace that is there already. */
int judge_open_in(struct judge *j, int netns, enum judge_hook hook, int first, int last);
void judge_close(struct judge *j);
/* Rules by their own tool; what was loaded before is flushed. 0, or -1 with the tool's words in err. */
int judge_load(struct judge *j, enum judge_tool tool, const char *text, char *err, size_t err_len);
/* The same, beside what is loaded already. */
int judge_add(struct judge *j, enum judge_tool tool, const char *text, char *err, size_t err_len);
int judge_flush(struct judge *j, enum judge_tool tool);
/* JUDGE_PATH in a fresh network namespace: 10.0.0.0/8 and 2001:db8::/32 are local, all else leads to out0, where
 * forward says so. */
int judge_open_path(struct judge *j, bool forward);
void judge_path(const struct judge *j, struct judge_path *ret);
/* JUDGE_EGRESS: makes of an untagged IPv4 or IPv6 frame one that a raw socket sends, as it will be then; false where
 * there is none. */
bool judge_routed(uint8_t *frame, uint32_t len);
enum judge_says judge_packet(struct judge *j, const void *frame, size_t len);
/* One command in the judge's namespace, quietly; its exit status. */
int judge_run(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
/* Ethertypes that the ingress sensor can tell; others must not be asked about. */
extern const uint16_t judge_ethertypes[];
extern const unsigned int judge_n_ethertypes;

#endif
