# S6: Ethernet padding is part of the packet at ingress, and not behind it.
-- nft
table netdev t {
	chain c {
		type filter hook ingress device "tap0" priority 0; policy accept;
		tcp dport 22 drop
	}
}
-- hook ingress
-- run
in tap0 ip 10.1.1.1 > 10.2.2.2 tot 20 proto 6 payload 000100160000 => drop
in tap0 ip 10.1.1.1 > 10.2.2.2 tcp 1 > 22 S => drop
in tap0 ip 10.1.1.1 > 10.2.2.2 tcp 1 > 23 S => accept
in tap0 ip 10.1.1.1 > 10.2.2.2 tot 400 tcp 1 > 22 S => accept
in tap0 ip 10.1.1.1 > 10.2.2.2 ver 7 tcp 1 > 22 S => accept
in tap0 ip 10.1.1.1 > 10.2.2.2 ihl 4 tcp 1 > 22 S => accept
in tap0 ip 10.1.1.1 > 10.2.2.2 opt 8 tcp 1 > 22 S => drop
in tap0 vlan 5 ip 10.1.1.1 > 10.2.2.2 tcp 1 > 22 S => drop
in tap0 eth 02:00:00:00:00:09 > 02:00:00:00:00:77 ip 10.1.1.1 > 10.2.2.2 tcp 1 > 22 S => drop
in tap0 ip6 fd01::1 > fd02::2 tcp 1 > 22 S => drop
in tap0 ip6 fd01::1 > fd02::2 hbh dst rt tcp 1 > 22 S => drop
in tap0 ip6 fd01::1 > fd02::2 ah tcp 1 > 22 S => accept
in tap0 ip 10.1.1.1 > 10.2.2.2 tcp 1 > 22 S cut 36 => accept
