# M5: lengths are compared as numbers.
-- nft
table inet t {
	chain c {
		type filter hook input priority 0; policy accept;
		meta length > 256 drop
	}
}
-- hook input
-- run
in tap0 ip 10.1.1.1 > 10.2.2.2 udp 1 > 2 len 229 => drop
in tap0 ip 10.1.1.1 > 10.2.2.2 udp 1 > 2 len 228 => accept
in tap0 ip 10.1.1.1 > 10.2.2.2 udp 1 > 2 len 483 => drop
