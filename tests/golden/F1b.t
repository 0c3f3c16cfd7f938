# F1b: in a later IPv6 fragment the transport offset is 0, so "dport" lies in the flow label.
-- nft
table inet t {
	chain c {
		type filter hook input priority 0; policy accept;
		udp dport 53 drop
	}
}
-- hook input
-- run
in tap0 ip6 fd01::1 > fd02::2 flow 53 frag 5 proto 17 payload 00000000000000000000 => drop
in tap0 ip6 fd01::1 > fd02::2 flow 54 frag 5 proto 17 payload 00000035000000000000 => accept
in tap0 ip6 fd01::1 > fd02::2 udp 1 > 53 => drop
