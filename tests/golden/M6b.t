# M6: the link type is the incoming device's; input has one.
-- nft
table inet t {
	chain c {
		type filter hook input priority 0; policy accept;
		udp dport 1 iiftype loopback drop
		udp dport 2 iiftype != ether drop
		udp dport 3 iiftype ether drop
		udp dport 4 iiftype != loopback drop
		udp dport 5 iiftype < 2 drop
	}
}
-- hook input
-- run
in tap0 ip 10.1.1.1 > 10.2.2.2 udp 9 > 1 => accept
in tap0 ip 10.1.1.1 > 10.2.2.2 udp 9 > 2 => accept
in tap0 ip 10.1.1.1 > 10.2.2.2 udp 9 > 3 => drop
in tap0 ip 10.1.1.1 > 10.2.2.2 udp 9 > 4 => drop
in tap0 ip 10.1.1.1 > 10.2.2.2 udp 9 > 5 => drop
