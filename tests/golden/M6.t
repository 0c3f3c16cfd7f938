# M6: before a match of the link header nft asks for the device's type.
-- nft
table netdev t {
	chain c {
		type filter hook ingress device "tap0" priority 0; policy accept;
		ether type arp counter accept
		vlan id 5 vlan pcp 3 counter drop
		ether saddr 02:00:00:00:00:09 tcp dport 22 drop
		ether daddr != 02:00:00:00:00:01 drop
	}
}
-- hook ingress
-- run
in tap0 ip 10.1.1.1 > 10.2.2.2 tcp 1 > 22 S => drop
in tap0 ip 10.1.1.1 > 10.2.2.2 tcp 1 > 23 S => accept
in tap0 eth 02:00:00:00:00:08 > 02:00:00:00:00:01 ip 10.1.1.1 > 10.2.2.2 tcp 1 > 22 S => accept
in tap0 eth 02:00:00:00:00:08 > 02:00:00:00:00:77 ip 10.1.1.1 > 10.2.2.2 tcp 1 > 22 S => drop
in tap0 eth 02:00:00:00:00:09 > ff:ff:ff:ff:ff:ff type 0x0806 payload 0001080006040001 => accept
in tap0 vlan 0x6005 ip 10.1.1.1 > 10.2.2.2 tcp 1 > 23 S => drop
in tap0 vlan 5 ip 10.1.1.1 > 10.2.2.2 tcp 1 > 23 S => accept
in tap0 vlan 0x6006 ip 10.1.1.1 > 10.2.2.2 tcp 1 > 23 S => accept
in tap0 vlan 6 ip 10.1.1.1 > 10.2.2.2 tcp 1 > 22 S => drop
