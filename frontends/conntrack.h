/* SPDX-License-Identifier: GPL-2.0-only */
/* Notes in a program that some of its rules have the kernel track connections (struct imr, conntrack). */
#ifndef FWJIT_CONNTRACK_H
#define FWJIT_CONNTRACK_H

#include "imr.h"

void fe_tracks(struct imr *imr, enum imr_conntrack how);
/* An nft expression by name; `object`: of objref the type of the object, 0 where that is not said. */
void fe_tracks_nft(struct imr *imr, const char *name, uint32_t object);
/* xtables' extensions by name; data, len: a target's own structure. */
void fe_tracks_match(struct imr *imr, const char *name);
void fe_tracks_target(struct imr *imr, const char *name, const void *data, size_t len);

#endif
