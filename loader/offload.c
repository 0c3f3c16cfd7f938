/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What a device's offloads do to frames on their way. Does it hand VLAN tags beside the frame? Then a program on the frame does not see them, in the driver or in the
 * stack. A card takes them out where its rx-vlan offload is on. A veth device does nothing of the kind whatever it says
 * of itself: the tag stays where the sender's end, if its tx-vlan offload is on, left it. What reaches a device through
 * the stack, as a bridge's or a macvlan's frames do, has lost its outer tag on the way.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include <linux/ethtool.h>
#include <linux/sockios.h>

#include "priv.h"

static int ethtool(int fd, const char *dev, void *cmd)
{
	struct ifreq ifr = { .ifr_data = cmd };

	memcpy(ifr.ifr_name, dev, strnlen(dev, IFNAMSIZ - 1));
	return ioctl(fd, SIOCETHTOOL, &ifr) < 0 ? -errno : 0;
}

static uint32_t n_features(int fd, const char *dev)
{
	union {
		struct ethtool_sset_info i;
		uint8_t room[sizeof(struct ethtool_sset_info) + sizeof(uint32_t)];
	} s = { .i = { .cmd = ETHTOOL_GSSET_INFO, .sset_mask = 1ULL << ETH_SS_FEATURES } };

	return ethtool(fd, dev, &s) || !s.i.sset_mask || s.i.data[0] > 4096 ? 0 : s.i.data[0];
}

/* Which of the first `names` features are on, as bits; 0 where the device knows no features. */
static unsigned int features_on(const char *dev, const char *const *name, unsigned int names, bool *ret_known)
{
	_cleanup_close_ int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	_cleanup_free_ struct ethtool_gstrings *s = NULL;
	_cleanup_free_ struct ethtool_gfeatures *f = NULL;
	uint32_t n = fd < 0 ? 0 : n_features(fd, dev), words = (n + 31) / 32;
	unsigned int on = 0;

	*ret_known = false;
	s = calloc(1, sizeof(*s) + n * ETH_GSTRING_LEN);
	f = calloc(1, sizeof(*f) + words * sizeof(f->features[0]));
	if (!n || !s || !f)
		return 0;
	*s = (struct ethtool_gstrings){ .cmd = ETHTOOL_GSTRINGS, .string_set = ETH_SS_FEATURES, .len = n };
	*f = (struct ethtool_gfeatures){ .cmd = ETHTOOL_GFEATURES, .size = words };
	if (ethtool(fd, dev, s) || ethtool(fd, dev, f))
		return 0;
	*ret_known = true;
	for (uint32_t i = 0; i < n; i++)
		for (unsigned int k = 0; k < names; k++)
			if (!strncmp((char *)s->data + i * ETH_GSTRING_LEN, name[k], ETH_GSTRING_LEN) &&
			    f->features[i / 32].active >> i % 32 & 1)
				on |= 1u << k;
	return on;
}

/* Devices whose frames come through the stack, which pops the outer tag first. */
static bool is_above_stack(const char *kind)
{
	static const char *const known[] = {
		"bridge", "bond", "team", "vlan", "macvlan", "macvtap", "ipvlan", "ipvtap", "macsec", "hsr",
	};

	for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++)
		if (!strcmp(kind, known[i]))
			return true;
	return false;
}

/* `ethtool -K` takes the short name of the one and the long name of the other. */
static const char *hint(struct arena *a, const char *dev, unsigned int on, const char *ctag, const char *stag)
{
	return arena_printf(a, "`ethtool -K %s%s%s%s%s`", dev, on & 1 ? " " : "", on & 1 ? ctag : "",
			    on & 2 ? " " : "", on & 2 ? stag : "");
}

int ld_vlan_hidden(struct arena *a, const char *dev, const char **ret_hint)
{
	static const char *const rx[2] = { "rx-vlan-hw-parse", "rx-vlan-stag-hw-parse" };
	static const char *const tx[2] = { "tx-vlan-hw-insert", "tx-vlan-stag-hw-insert" };
	struct ld_link l, peer;
	unsigned int on;
	bool known;
	int err = ld_link_get(dev, 0, &l);

	if (err)
		return err;
	if (is_above_stack(l.kind)) {
		*ret_hint = "attach to the device below, where the tag still is in the frame";
		return 1;
	}
	if (!strcmp(l.kind, "veth") && !l.has_lower_netns && !ld_link_get(NULL, l.lower, &peer)) {
		on = features_on(peer.name, tx, 2, &known);
		*ret_hint = hint(a, peer.name, on, "txvlan off", "tx-vlan-stag-hw-insert off");
		return on != 0;
	}
	on = features_on(l.name, rx, 2, &known);
	*ret_hint = hint(a, l.name, on, "rxvlan off", "rx-vlan-stag-hw-parse off");
	if (!strcmp(l.kind, "veth"))
		*ret_hint = arena_printf(a, "%s, and txvlan off at its other end, in another network namespace", *ret_hint);
	return on != 0;
}

/* Devices of a kind get packets from elsewhere in the kernel, which may not have been cut to frames at all. */
bool ld_never_merges(const char *dev)
{
	static const char *const merge[3] = { "rx-gro", "rx-gro-hw", "rx-lro" };
	struct ld_link l;
	bool known;

	return !ld_link_get(dev, 0, &l) && !*l.kind && !features_on(dev, merge, 3, &known) && known;
}
