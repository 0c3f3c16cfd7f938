# V5: the length at ingress: without the tag, with the padding.
-- nft
table netdev t {
	chain c {
		type filter hook ingress device "tap0" priority 0; policy accept;
		meta length 40 drop
	}
}
-- hook ingress
-- run
in tap0 vlan 5 ip 10.1.1.1 > 10.2.2.2 tcp 1 > 22 S => drop
in tap0 ip 10.1.1.1 > 10.2.2.2 tcp 1 > 22 S => drop
in tap0 ip 10.1.1.1 > 10.2.2.2 tcp 1 > 22 S pad 60 => accept
