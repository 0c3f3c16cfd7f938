# X4b: where nft has no protocol.
-- nft
table inet t {
	chain c {
		type filter hook input priority 0; policy accept;
		meta l4proto != 6 drop
	}
}
-- hook input
-- run
in tap0 ip6 fd01::1 > fd02::2 proto 43 payload 06 => accept
in tap0 ip6 fd01::1 > fd02::2 udp 1 > 2 => drop
in tap0 ip6 fd01::1 > fd02::2 tcp 1 > 2 S => accept
