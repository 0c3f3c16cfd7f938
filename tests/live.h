/* SPDX-License-Identifier: GPL-2.0-only */
/* What the loader's live tests share: network and mount namespaces of the test's own, with a veth pair v0, v1. */
#ifndef FWJIT_TESTS_LIVE_H
#define FWJIT_TESTS_LIVE_H

#include <check.h>

#include "loader.h"

extern struct arena *live_arena;
extern struct diags live_diags;

void live_setup(void);		/* a checked fixture: in the process of each test */
void live_teardown(void);
void live_sh(const char *cmd);	/* must succeed */
const char *live_said(void);	/* all diagnostics so far */
uint32_t live_xdp(const char *dev);	/* id of the program on a device */
bool live_may(void);	/* false, having said why, where this user may not make such namespaces */
/* Runs the suite; 77 with a reason where this user may not make such namespaces. */
int live_main(Suite *s);

#endif
