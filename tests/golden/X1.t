# X1: nexthdr is a field of the fixed header.
-- nft
table ip6 t {
	chain c {
		type filter hook input priority 0; policy accept;
		ip6 nexthdr tcp drop
	}
}
-- hook input
-- run
in tap0 ip6 fd01::1 > fd02::2 hbh tcp 1 > 22 S => accept
in tap0 ip6 fd01::1 > fd02::2 tcp 1 > 22 S => drop
