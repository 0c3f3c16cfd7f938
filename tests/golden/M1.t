# M1, M2: a device that is not there has an empty name and index 0.
-- nft
table inet t {
	chain c {
		type filter hook input priority 0; policy accept;
		oifname != "eth0" drop
	}
}
-- hook input
-- run
in tap0 ip 10.1.1.1 > 10.2.2.2 udp 1 > 2 => drop
