# V8: a raw load asks for no protocol.
-- nft
table inet t {
	chain c {
		type filter hook input priority 0; policy accept;
		@nh,64,32 0xfd010000 drop
	}
}
-- hook input
-- run
in tap0 ip6 fd01::1 > fd02::2 udp 1 > 2 => drop
in tap0 ip 10.1.1.1 > 10.2.2.2 udp 1 > 2 => accept
