# X6: the protocol of a later fragment.
-- nft
table inet t {
	chain c {
		type filter hook input priority 0; policy accept;
		meta l4proto udp drop
	}
}
-- hook input
-- run
in tap0 ip6 fd01::1 > fd02::2 frag 10 proto 17 len 30 => drop
in tap0 ip6 fd01::1 > fd02::2 frag 10 proto 60 payload 11000000000000000000 => accept
