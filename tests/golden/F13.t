# F13: the raw field holds the flags too.
-- nft
table ip t {
	chain c {
		type filter hook forward priority 0; policy accept;
		ip frag-off != 0 drop
	}
}
-- hook forward
-- run
in tap0 out out0 ip 10.1.1.1 > 10.2.2.2 flags 2 udp 1 > 2 => drop
in tap0 out out0 ip 10.1.1.1 > 10.2.2.2 frag 0+ proto 17 payload 0000003500000000 => drop
in tap0 out out0 ip 10.1.1.1 > 10.2.2.2 udp 1 > 2 => accept
