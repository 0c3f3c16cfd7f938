# V5b: the length at input is that of the IP packet.
-- nft
table inet t {
	chain c {
		type filter hook input priority 0; policy accept;
		meta length 40 drop
	}
}
-- hook input
-- run
in tap0 ip 10.1.1.1 > 10.2.2.2 tcp 1 > 22 S pad 60 => drop
