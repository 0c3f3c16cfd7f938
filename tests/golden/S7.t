# S7: an invalid header has no transport header, but its bytes can be loaded.
-- nft
table netdev t {
	chain c {
		type filter hook ingress device "tap0" priority 0; policy accept;
		ip protocol tcp drop
	}
}
-- hook ingress
-- run
in tap0 ip 10.1.1.1 > 10.2.2.2 ver 7 tcp 1 > 22 S => drop
in tap0 ip 10.1.1.1 > 10.2.2.2 tot 400 tcp 1 > 22 S => drop
in tap0 ip 10.1.1.1 > 10.2.2.2 udp 1 > 22 => accept
in tap0 ip6 fd01::1 > fd02::2 tcp 1 > 22 S => accept
