# J1: accept ends its own base chain only.
-- nft
table inet t {
	chain a {
		type filter hook input priority 0; policy accept;
		udp dport 53 accept
	}
}
table inet u {
	chain b {
		type filter hook input priority -1; policy accept;
		udp dport 53 accept
		udp dport 54 drop
	}
}
table inet v {
	chain b {
		type filter hook input priority 0; policy accept;
		udp dport 53 drop
	}
}
-- hook input
-- run
in tap0 ip 10.1.1.1 > 10.2.2.2 udp 1 > 53 => drop
in tap0 ip 10.1.1.1 > 10.2.2.2 udp 1 > 54 => drop
in tap0 ip 10.1.1.1 > 10.2.2.2 udp 1 > 55 => accept
