/* SPDX-License-Identifier: GPL-2.0-only */
/* What an OCI hook is told (its standard input) and what the bundle's config.json says of the container. Pure. */
#ifndef FWJIT_OCI_H
#define FWJIT_OCI_H

#include "imr.h"

#define OCI_RULESET  "io.fwjit.ruleset"		/* annotation: absolute path of the rules, on the host */
#define OCI_BROKERED "io.fwjit.brokered"	/* annotation: "true" where a broker outside has attached the policy */

struct oci_state {
	const char *id, *bundle, *ruleset;	/* each is there */
	bool brokered;
};
struct oci_container {
	bool net_admin;			/* in any of its sets of capabilities */
	bool own_netns;			/* not the runtime's */
	const char *netns;		/* where it is one that was there before; NULL: one made for it */
};
/* False with an error that names the member. */
bool oci_state_parse(struct arena *a, struct diags *ds, const char *text, size_t len, struct oci_state *ret);
bool oci_container_parse(struct arena *a, struct diags *ds, const char *text, size_t len, struct oci_container *ret);

#endif
