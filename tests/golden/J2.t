# J2: the end of a chain that was gone to returns to the caller of the last jump.
-- nft
table inet t {
	chain c2 {
		udp dport 1 drop
	}
	chain c1 {
		goto c2
		drop
	}
	chain c {
		type filter hook input priority 0; policy drop;
		jump c1
		accept
	}
}
-- hook input
-- run
in tap0 ip 10.1.1.1 > 10.2.2.2 udp 2 > 9 => accept
in tap0 ip 10.1.1.1 > 10.2.2.2 udp 2 > 1 => drop
