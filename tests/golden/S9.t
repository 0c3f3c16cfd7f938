# S9: a prefix of a byte needs a byte.
-- nft
table netdev t {
	chain c {
		type filter hook ingress device "tap0" priority 0; policy accept;
		ip saddr 10.0.0.0/8 drop
	}
}
-- hook ingress
-- run
in tap0 ip 10.1.1.1 > 10.2.2.2 udp 1 > 2 cut 32 => drop
in tap0 ip 10.1.1.1 > 10.2.2.2 udp 1 > 2 cut 27 => drop
in tap0 ip 10.1.1.1 > 10.2.2.2 udp 1 > 2 cut 26 => accept
in tap0 ip 11.1.1.1 > 10.2.2.2 udp 1 > 2 cut 32 => accept
