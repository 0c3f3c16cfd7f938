/* SPDX-License-Identifier: GPL-2.0-only */
/* UDP between v0, which has 10.0.0.1, and v1 at the wire's other end: to port 7777, which is to be dropped, and to port
 * 5000, which is to pass. Those of port 7777 are the longer ones. */
#ifndef FWJIT_TESTS_ATTACH_TRAFFIC_H
#define FWJIT_TESTS_ATTACH_TRAFFIC_H

#include <arpa/inet.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#define TRAFFIC_DROPPED		7777
#define TRAFFIC_PASSED		5000
#define TRAFFIC_DROPPED_LEN	128	/* from the IP header on */
#define TRAFFIC_CGROUP		"/run/cg"

struct traffic {
	bool egress;
	int in[2], out;		/* 7777 and 5000; egress: in[0] sees all that leaves */
};
struct traffic_count { uint64_t sent, leaked, lost; };	/* sent: of port 7777 */

void traffic_setup(void);	/* v0 and v1, made where they are not there */
void traffic_cgroup_enter(void);	/* the process, for sockets made from now on */
void traffic_cgroup_leave(void);
struct traffic traffic_open(bool egress);
void traffic_close(struct traffic *t);
/* One of each port: the one to 5000 arrives, the one to 7777 if it is to. */
void traffic_expect(struct traffic *t, const char *what, bool both);
/* Does one to port 5000 arrive at all? */
bool traffic_passes(struct traffic *t);
/* A child sends pairs until it is ended, waiting for the second of each. */
pid_t traffic_start(bool egress, int *ret_fd);
struct traffic_count traffic_end(pid_t pid, int fd);
int traffic_skb_len(void);	/* offset of struct sk_buff's len */

#endif
