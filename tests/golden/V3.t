# V3: the link layer header is shown as it was on the wire.
-- nft
table netdev t {
	chain c {
		type filter hook ingress device "tap0" priority 0; policy accept;
		@ll,96,16 0x8100 drop
	}
}
-- hook ingress
-- run
in tap0 vlan 5 ip 10.1.1.1 > 10.2.2.2 tcp 1 > 22 S => drop
in tap0 qinq 5 vlan 6 ip 10.1.1.1 > 10.2.2.2 tcp 1 > 22 S => accept
in tap0 ip 10.1.1.1 > 10.2.2.2 tcp 1 > 22 S => accept
