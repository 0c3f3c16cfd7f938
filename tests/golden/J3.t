# J3: return in a base chain is its policy.
-- nft
table inet t {
	chain c {
		type filter hook input priority 0; policy drop;
		udp dport 53 return
		accept
	}
}
-- hook input
-- run
in tap0 ip 10.1.1.1 > 10.2.2.2 udp 2 > 53 => drop
in tap0 ip 10.1.1.1 > 10.2.2.2 udp 2 > 54 => accept
