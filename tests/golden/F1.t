# F1: an aligned load of two bytes reads the ports of a later fragment, whatever lies there.
-- nft
table inet t {
	chain c {
		type filter hook forward priority 0; policy accept;
		udp dport 53 drop
	}
}
-- hook forward
-- run
in tap0 out out0 ip 10.1.1.1 > 10.2.2.2 frag 5 proto 17 payload 000000350000000000 => drop
in tap0 out out0 ip 10.1.1.1 > 10.2.2.2 frag 5 proto 17 payload 000000360000000000 => accept
in tap0 out out0 ip 10.1.1.1 > 10.2.2.2 udp 1000 > 53 => drop
in tap0 out out0 ip 10.1.1.1 > 10.2.2.2 udp 1000 > 54 => accept
