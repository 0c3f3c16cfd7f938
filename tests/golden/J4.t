# J4: goto from a base chain, and the end of where it led: the policy.
-- nft
table inet t {
	chain c1 {
		udp dport 1 return
		udp dport 2 accept
	}
	chain c {
		type filter hook input priority 0; policy drop;
		goto c1
		accept
	}
}
-- hook input
-- run
in tap0 ip 10.1.1.1 > 10.2.2.2 udp 7 > 1 => drop
in tap0 ip 10.1.1.1 > 10.2.2.2 udp 7 > 2 => accept
in tap0 ip 10.1.1.1 > 10.2.2.2 udp 7 > 9 => drop
